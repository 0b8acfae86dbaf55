"""Flat: authorization code and implicit grants, personal access tokens, revocation by RFC 7009."""

from .call import OAuthError
from .provider import Provider
from .wire import Response

SCOPES = ["account.public_profile", "account.education_profile", "scores.readonly", "scores.social", "scores"]
API_LIMIT_PER_HOUR = 100_000   # what the rate headers tell; the document gives no number


class Flat(Provider):
    kind = "flat"
    token_prefix = "flat"
    document = {"lifetime": 86400, "scopes": SCOPES, "encodings": ["form"], "auth_methods": ["post"],
                "rate_style": "reset-epoch"}
    response_types = ("code", "token")
    authorize_scope_required = True
    consent_title = "Allow this app to use your Flat account?"
    endpoints = {
        "/auth/oauth": ("authorize", "authorize"),
        "/oauth/access_token": ("token", "token"),
        "/oauth/invalidate_token": ("revoke", "invalidate"),
        "/v2/me": ("api", "me"),
    }

    def __init__(self, world, name):
        super().__init__(world, name)
        self.api_window = (0, 0)   # the running hour, and how many requests it has seen

    def token(self, call):
        self.check_body(call)
        call.record.grant = call.params.get("grant_type")
        grant = self.grant_type(call, {"authorization_code": self._by_code, "refresh_token": self._by_refresh})
        client = self.authenticate(call)
        self.may_use(client, call.record.grant)
        access, refresh = grant(call, client)
        return self.answer(self._fields(call, client, access, refresh))

    def _by_code(self, call, client):
        code, user = self.code_grant(call, client)
        return self.sign_in(call, client, user, "authorization_code", code.scope, code.id, code.facts["offline"])

    def _by_refresh(self, call, client):
        return self.refresh(call, client)

    def _fields(self, call, client, access, refresh):
        user = self.users.get(access.user)
        fields = {"type": "access", "token_type": "bearer", "access_token": access.value,
                  "issued_at": int(self.told_now()), "expires_in": self.expires_in(call, access),
                  "app": client.id, "appStatus": "trusted", "user": user.id if user else None, "scope": access.scope}
        return self.token_answer(call, client, access, refresh, fields)

    def implicit_fields(self, client, access):
        """As the document's sample: no token_type."""
        return {"scope": access.scope, "expires_in": int(self.switch("lifetime", client)), "access_token": access.value}

    def invalidate(self, call):
        self.check_body(call)
        client = self.authenticate(call)
        self.revoke(call, client)
        call.record.outcome = call.record.outcome or "ok"
        return self.no_store(Response(200))

    def me(self, call):
        try:
            token = self.bearer(call)
        except OAuthError as error:
            call.record.outcome = error.code
            return Response(401, error.headers + self._limits(), payload={"code": "UNAUTHORIZED", "message": error.words})
        user = self.users.get(token.user)
        call.record.outcome = "ok"
        return Response(200, self._limits(), payload={
            "id": user.id if user else None, "username": token.user, "type": "user",
            "printableName": user.full_name if user else None})

    def _limits(self):
        """X-RateLimit-*: requests per hour, the reset in epoch seconds."""
        hour = int(self.told_now()) // 3600
        used = self.api_window[1] + 1 if self.api_window[0] == hour else 1
        self.api_window = (hour, used)
        return [("X-RateLimit-Limit", API_LIMIT_PER_HOUR), ("X-RateLimit-Remaining", max(0, API_LIMIT_PER_HOUR - used)),
                ("X-RateLimit-Reset", (hour + 1) * 3600)]
