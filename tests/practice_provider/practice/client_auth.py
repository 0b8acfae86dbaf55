"""Who the client is: RFC 6749 2.3, RFC 7523 assertions, RFC 8705 certificates, and public clients."""

import hmac

from . import jose, params
from .call import OAuthError

ASSERTION_MAX_LIFE = 3600   # a client assertion that lives longer is refused: it should be short (RFC 7523 3)


class ClientAuthentication:
    """Part of a Provider."""

    def authenticate(self, call, allow_public=False):
        """The client of a token, revocation or introspection request, or an OAuthError."""
        found = params.credentials(call.request, call.params)
        if len(found) > 1:
            call.record.auth = "+".join(c.method for c in found)
            raise OAuthError(400, "invalid_request", "more than one way of client authentication")
        if not found:
            call.record.auth = "missing"
            raise self._invalid_client(call, "no client authentication")
        credential = found[0]
        call.record.auth = credential.method
        if credential.method == "basic" and self.switch("basic_encoding") == "form":
            credential = params.form_decoded(credential)
        client = self.clients.get(credential.client_id)
        call.record.client = credential.client_id if client else None
        if client is None:
            raise self._invalid_client(call, "unknown client")
        self._prove(call, client, credential, allow_public)
        return client

    def _prove(self, call, client, credential, allow_public):
        method = credential.method
        proven = False
        if method in ("basic", "post"):
            proven = client.secret is not None and hmac.compare_digest(client.secret.encode(),
                                                                      (credential.secret or "").encode())
        elif method == "none":
            proven = client.public and allow_public
        elif method == "tls":
            proven = client.tls_subject is not None and client.tls_subject == _common_name(call.request.certificate)
            proven = proven or (client.public and allow_public)
        elif method == "jwt":
            method = self._prove_assertion(call, client, credential.assertion)
            proven = True
        call.record.auth = method
        if not proven:
            raise self._invalid_client(call, "client authentication failed")
        if method not in self.switch("auth_methods", client):
            call.deviation(f"client authentication {method}")
            raise self._invalid_client(call, f"client authentication {method} is not accepted here")

    def _prove_assertion(self, call, client, assertion):
        if call.params.get("client_assertion_type") != params.ASSERTION_TYPE:
            raise OAuthError(400, "invalid_request", "client_assertion_type")
        try:
            algorithm, claims = jose.verify(assertion, secret=client.secret, public_pem=client.public_key)
        except jose.BadToken as error:
            raise self._invalid_client(call, f"client assertion: {error}") from error
        problem = self._assertion_problem(client, claims)
        if problem:
            raise self._invalid_client(call, f"client assertion: {problem}")
        return "client_secret_jwt" if algorithm == "HS256" else "private_key_jwt"

    def _assertion_problem(self, client, claims):
        """RFC 7523 3."""
        now = self.told_now()
        if claims.get("iss") != client.id or claims.get("sub") != client.id:
            return "iss and sub must be the client_id"
        audience = claims.get("aud")
        audience = audience if isinstance(audience, list) else [audience]
        if not set(audience) & self.audiences():
            return "aud is neither the issuer nor the token endpoint"
        expiry = claims.get("exp")
        if not isinstance(expiry, (int, float)) or not now < expiry <= now + ASSERTION_MAX_LIFE:
            return "exp is missing, past or too far away"
        jti = claims.get("jti")
        if not jti or (client.id, jti) in self.used_jti:
            return "jti is missing or was used before"
        self.used_jti = {k: e for k, e in self.used_jti.items() if e > now}
        self.used_jti[(client.id, jti)] = expiry
        return None

    def audiences(self):
        token_path = next(path for path, row in self.endpoints.items() if row[0] == "token")
        return {f"{base}/{self.name}{tail}" for base in self.world.all_bases for tail in ("", token_path)}

    def _invalid_client(self, call, words):
        headers = []
        if call.request.header("authorization").lower().startswith("basic"):
            headers.append(("WWW-Authenticate", f'Basic realm="{self.name}"'))
        return OAuthError(401, "invalid_client", words, headers)


def _common_name(certificate):
    for group in (certificate or {}).get("subject", ()):
        for name, value in group:
            if name == "commonName":
                return value
    return None
