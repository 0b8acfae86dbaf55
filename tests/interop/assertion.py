"""A signed client assertion (RFC 7523) of the tests' own, made with openssl: for a client that signs in without the daemon."""

import base64
import json
import secrets
import subprocess
import time


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def rs256(client_id, audience, key_file):
    """The parameters that stand for a client secret."""
    now = int(time.time())
    claims = {"iss": client_id, "sub": client_id, "aud": audience, "iat": now, "exp": now + 60, "jti": secrets.token_hex(16)}
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "RS256"}, claims))
    signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key_file], input=text.encode(), capture_output=True,
                            timeout=30, check=True)
    return {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": f"{text}.{base64url(signed.stdout)}"}
