"""FF Logs: client credentials, authorization code, and PKCE for public clients; a Passport-style server."""

from . import switches
from .call import OAuthError
from .provider import Provider
from .wire import Response

YEAR_OF_360_DAYS = 31104000   # seconds; over 2^31 milliseconds


class FFLogs(Provider):
    kind = "fflogs"
    token_prefix = "fflogs"
    document = {"lifetime": YEAR_OF_360_DAYS, "encodings": ["form", "multipart"], "auth_methods": ["basic", "none"],
                "rotation": "always", "overlap": 0, "old_access": "dies", "dead_refresh": "passport"}
    consent_title = "Authorization request"
    endpoints = {
        "/oauth/authorize": ("authorize", "authorize"),
        "/oauth/token": ("token", "token"),
        "/api/v2/client": ("api", "public_api"),
        "/api/v2/user": ("api", "private_api"),
    }

    def install_defaults(self):
        super().install_defaults()
        self.add_client(switches.Client(**switches.DEMO_PUBLIC))

    def token(self, call):
        self.check_body(call)
        call.record.grant = call.params.get("grant_type")
        grant = self.grant_type(call, {"client_credentials": self._by_client, "authorization_code": self._by_code,
                                       "refresh_token": self.refresh})
        client = self.authenticate(call, allow_public=call.record.grant != "client_credentials")
        self.may_use(client, call.record.grant)
        access, refresh = grant(call, client)
        return self.answer(self.token_answer(call, client, access, refresh, {
            "token_type": "Bearer", "expires_in": self.expires_in(call, access), "access_token": access.value}))

    def _by_client(self, call, client):
        return self.client_credentials(call, client, self.asked_scope(call, client))

    def _by_code(self, call, client):
        code, user = self.code_grant(call, client)
        return self.sign_in(call, client, user, "authorization_code", code.scope, code.id)

    def error(self, call, error):
        """Passport repeats the words as `message`."""
        response = super().error(call, error)
        if response.payload is not None and error.words:
            response.payload.setdefault("message", error.words)
        return response

    def public_api(self, call):
        return self._api(call, wants_user=False)

    def private_api(self, call):
        return self._api(call, wants_user=True)

    def _api(self, call, wants_user):
        try:
            token = self.bearer(call)
            if (token.user is not None) != wants_user:
                raise OAuthError(403 if wants_user else 401, "wrong_token", "This API takes the other kind of token.")
        except OAuthError as error:
            call.record.outcome = error.code
            return Response(error.status, error.headers, payload={"error": "Unauthenticated.", "message": error.words})
        call.record.outcome = "ok"
        if not wants_user:
            return Response(200, payload={"data": {"rateLimitData": {
                "limitPerHour": 3600, "pointsSpentThisHour": 1, "pointsResetIn": 3600}}})
        user = self.users[token.user]
        return Response(200, payload={"data": {"userData": {"currentUser": {"id": user.id, "name": user.full_name}}}})
