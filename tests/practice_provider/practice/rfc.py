"""A provider by the RFCs, for fault tests: as many independent instances as a test likes, each with its own switches."""

import secrets

from . import switches
from .call import OAuthError
from .device import DeviceGrant
from .openid import OpenId
from .provider import Provider
from .pushed import PushedRequests
from .wire import Response

GRANTS = ["authorization_code", "implicit", "refresh_token", "client_credentials", "password",
          "urn:ietf:params:oauth:grant-type:device_code"]


class Rfc(DeviceGrant, PushedRequests, OpenId, Provider):
    kind = "rfc"
    token_prefix = "rfc"
    document = {"iss_parameter": True, "cascade_refresh": "grant", "old_access": "lives"}
    response_types = ("code", "token")
    endpoints = {
        "/authorize": ("authorize", "authorize"),
        "/par": ("par", "push"),
        "/token": ("token", "token"),
        "/revoke": ("revoke", "revocation"),
        "/introspect": ("introspect", "introspect"),
        "/device_authorization": ("device_start", "device_start"),
        "/device": ("device_page", "device_page"),
        "/userinfo": ("api", "userinfo"),
        "/jwks": ("jwks", "jwks"),
        "/.well-known/openid-configuration": ("metadata", "metadata"),
        "/.well-known/oauth-authorization-server": ("metadata", "metadata"),
    }

    def install_defaults(self):
        super().install_defaults()
        self.add_client(switches.Client(**switches.DEMO_PUBLIC))

    def token(self, call):
        self.check_body(call)
        call.record.grant = call.params.get("grant_type")
        grant = self.grant_type(call, {
            "client_credentials": self._by_client, "authorization_code": self._by_code,
            "password": self._by_password, "refresh_token": self.refresh,
            "urn:ietf:params:oauth:grant-type:device_code": self.by_device})
        client = self.authenticate(call, allow_public=call.record.grant != "client_credentials")
        self.may_use(client, call.record.grant)
        access, refresh = grant(call, client)
        return self.answer(self.token_answer(call, client, access, refresh, {
            "access_token": access.value, "token_type": "Bearer", "expires_in": self.expires_in(call, access),
            "scope": access.scope, **self.id_token(call, client, access)}))

    def _by_client(self, call, client):
        return self.client_credentials(call, client, self.asked_scope(call, client))

    def _by_code(self, call, client):
        code, user = self.code_grant(call, client)
        return self.sign_in(call, client, user, "authorization_code", code.scope, code.id)

    def _by_password(self, call, client):
        user = self.users.get(call.required("username"))
        if user is None or not secrets.compare_digest(user.password.encode(), call.required("password").encode()):
            raise OAuthError(400, "invalid_grant", "wrong username or password")
        return self.sign_in(call, client, user, "password", self.asked_scope(call, client))

    def revocation(self, call):
        self.check_body(call)
        client = self.authenticate(call, allow_public=True)
        self.revoke(call, client)
        call.record.outcome = call.record.outcome or "ok"
        return self.no_store(Response(200))

    def introspect(self, call):
        """RFC 7662. Tokens of other clients are told about too: the caller stands in for a resource server."""
        self.check_body(call)
        self.authenticate(call)
        token = self.world.ledger.find(call.required("token"), self.name)
        call.record.outcome = "ok"
        if token is None:
            return self.answer({"active": False})
        call.record.credential = token.id
        self.world.ledger.event(token, "introspected", request=call.record.id)
        if not token.alive(self.now()):
            return self.answer({"active": False})
        fields = {"active": True, "client_id": token.client, "scope": token.scope, "iss": self.url(),
                  "iat": int(token.issued_at + self.switch("clock_offset")),
                  "token_type": "Bearer" if token.kind == "access" else token.kind}
        if token.user:
            fields["username"] = token.user
            fields["sub"] = self.users[token.user].id
        if token.expires_at is not None:
            fields["exp"] = int(token.expires_at + self.switch("clock_offset"))
        return self.answer(fields)

    def userinfo(self, call):
        token = self.bearer(call)
        call.record.outcome = "ok"
        user = self.users.get(token.user)
        fields = {"sub": user.id, "name": user.full_name, "email": user.email} if user else {"sub": token.client}
        for name, value in self.switch("userinfo_fields").items():
            fields[name] = value
            if value is None:
                del fields[name]
        return Response(200, payload=fields)

    def jwks(self, call):
        call.record.outcome = "ok"
        return Response(200, payload=self.world.jwks(self.switch("key_serial")))

    def metadata(self, call):
        """RFC 8414 and OpenID Connect Discovery: one document for both."""
        call.record.outcome = "ok"
        document = {
            "issuer": self.switch("issuer") or self.url(),
            "authorization_endpoint": self.url("/authorize"), "token_endpoint": self.url("/token"),
            "revocation_endpoint": self.url("/revoke"), "introspection_endpoint": self.url("/introspect"),
            "device_authorization_endpoint": self.url("/device_authorization"),
            "userinfo_endpoint": self.url("/userinfo"), "jwks_uri": self.url("/jwks"),
            "response_types_supported": list(self.response_types), "grant_types_supported": GRANTS,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": self._advertised_methods(),
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "PS256", "ES256", "EdDSA", "HS256"],
            "authorization_response_iss_parameter_supported": self.switch("iss_parameter"),
            "pushed_authorization_request_endpoint": self.url("/par"),
            "require_pushed_authorization_requests": self.switch("require_par"),
            "scopes_supported": ["openid"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(switches.ID_TOKEN_ALGORITHMS),
        }
        for name, value in self.switch("metadata").items():
            document[name] = value
            if value is None:
                del document[name]
        return Response(200, payload=document)

    def _advertised_methods(self):
        names = {"basic": "client_secret_basic", "post": "client_secret_post", "tls": "tls_client_auth"}
        return [names.get(m, m) for m in self.switch("auth_methods")]

