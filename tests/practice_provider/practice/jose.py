"""Just enough of RFC 7515/7519: signing access and ID tokens, checking client assertions (RFC 7523)."""

import base64
import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key


class BadToken(ValueError):
    """A JWT that is malformed or whose signature does not hold."""


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64url(text):
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise BadToken("not base64url") from error


def _json_part(value):
    return b64url(json.dumps(value, separators=(",", ":")).encode())


def _signature(key, algorithm, signed):
    if algorithm == "none":
        return b""
    if algorithm == "HS256":
        return hmac.new(key, signed, hashlib.sha256).digest()
    if algorithm == "ES256":
        r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
    how = padding.PKCS1v15()
    if algorithm == "PS256":
        how = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return key.sign(signed, how, hashes.SHA256())


def sign(key, algorithm, claims, key_id):
    """A compact JWS over the claims: RS256, PS256, ES256, HS256 (key: bytes), or "none" (RFC 7519 6)."""
    signed = f"{_json_part({'alg': algorithm, 'typ': 'JWT', 'kid': key_id})}.{_json_part(claims)}"
    return f"{signed}.{b64url(_signature(key, algorithm, signed.encode()))}"


def key_id(key):
    """The JWK thumbprint's role, by simpler means: the same key has the same name."""
    return hashlib.sha256(public_pem(key)).hexdigest()[:16]


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_jwk(key):
    """The public half. An RSA key says no algorithm: it signs RS256 and PS256."""
    numbers = key.public_key().public_numbers()
    as_text = lambda n, size=None: b64url(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))
    common = {"use": "sig", "kid": key_id(key)}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", **common, "x": as_text(numbers.x, 32), "y": as_text(numbers.y, 32)}
    return {"kty": "RSA", **common, "n": as_text(numbers.n), "e": as_text(numbers.e)}


def split(token):
    """Header, claims, what was signed, signature. Nothing is verified here."""
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken("not a compact JWS")
    try:
        header, claims = (json.loads(from_b64url(p)) for p in parts[:2])
    except ValueError as error:
        raise BadToken("not JSON") from error
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("not JSON objects")
    return header, claims, f"{parts[0]}.{parts[1]}".encode(), from_b64url(parts[2])


def _verify_rsa(key, algorithm, signature, signed):
    if not isinstance(key, rsa.RSAPublicKey):
        raise BadToken("the registered key is not RSA")
    how = padding.PKCS1v15()
    if algorithm == "PS256":
        how = padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    key.verify(signature, signed, how, hashes.SHA256())


def _verify_public(pem, algorithm, signature, signed):
    key = load_pem_public_key(pem.encode())
    if algorithm in ("RS256", "PS256"):
        _verify_rsa(key, algorithm, signature, signed)
    elif algorithm == "ES256" and isinstance(key, ec.EllipticCurvePublicKey) and len(signature) == 64:
        r, s = (int.from_bytes(signature[i:i + 32], "big") for i in (0, 32))
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
    elif algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
    else:
        raise BadToken(f"algorithm {algorithm} does not fit the registered key")


def verify(token, *, secret=None, public_pem=None):
    """The claims of a JWT signed with the secret (HS256) or with the private half of public_pem."""
    header, claims, signed, signature = split(token)
    algorithm = header.get("alg")
    if algorithm == "HS256":
        if not secret:
            raise BadToken("no secret registered for HS256")
        if not hmac.compare_digest(hmac.new(secret.encode(), signed, hashlib.sha256).digest(), signature):
            raise BadToken("wrong signature")
        return algorithm, claims
    if not public_pem:
        raise BadToken("no public key registered")
    try:
        _verify_public(public_pem, algorithm, signature, signed)
    except InvalidSignature as error:
        raise BadToken("wrong signature") from error
    return algorithm, claims
