"""The generic PHP-style API: an authorization code, and a token request of exactly three parameters."""

from .call import OAuthError
from .provider import Provider
from .wire import Response

NOT_IN_THE_DOCUMENT = ("grant_type", "redirect_uri")


class Example(Provider):
    kind = "example"
    token_prefix = "example"
    document = {"lifetime": 3600, "encodings": ["form"], "auth_methods": ["post"], "state_echo": False}
    endpoints = {
        "/api/authorize.php": ("authorize", "authorize"),
        "/api/token.php": ("token", "token"),
        "/api/userinfo.php": ("api", "userinfo"),
    }

    def token(self, call):
        self.check_body(call)
        for name in NOT_IN_THE_DOCUMENT:
            if call.params.get(name) is not None:
                self.deviate(call, f"unexpected parameter: {name}")
        for name in ("code", "client_id", "client_secret"):
            call.required(name)
        call.record.grant = "authorization_code"
        client = self.authenticate(call)
        code, user = self.code_grant(call, client, replay_redirect=False)
        access, _ = self.sign_in(call, client, user, "authorization_code", code.scope, code.id, with_refresh=False)
        return self.answer(self.token_answer(call, client, access, None, {
            "access_token": access.value, "token_type": "Bearer", "expires_in": self.expires_in(call, access)}))

    def bad_code(self, words):
        return OAuthError(400, "invalid_code", words)

    def userinfo(self, call):
        user = self.users[self.bearer(call).user]
        call.record.outcome = "ok"
        return Response(200, payload={"username": user.name, "email": user.email, "full_name": user.full_name})
