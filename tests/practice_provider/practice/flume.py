"""Flume: the password grant in JSON, answers in an envelope, JWT access tokens that outlive their successors."""

import hmac
import secrets
from http import HTTPStatus

from .call import EMPTY, OAuthError
from .provider import Provider
from .wire import Response

OK_CODE = 602        # the envelope's own code for success
ERROR_CODE = 400


class Flume(Provider):
    kind = "flume"
    token_prefix = "flume"
    document = {"lifetime": 604800, "encodings": ["json", "form"], "auth_methods": ["post"],
                "refresh_in_answer": "always", "old_access": "lives",
                "dead_refresh": {"status": 400, "body": {"error": "invalid_grant",
                                                         "error_description": "Invalid refresh token"}}}
    endpoints = {
        "/oauth/token": ("token", "token"),
        "/me": ("api", "me"),
        "/users/{id}": ("api", "user"),
    }

    def access_value(self, client, user, lifetime):
        """The claims the document names, and jti so that two tokens of one second differ."""
        now = int(self.told_now())
        return self.world.sign({"user_id": int(user.id) if user.id.isdigit() else user.id, "type": "USER",
                                "iat": now, "exp": now + int(lifetime), "jti": secrets.token_urlsafe(12)})

    def token(self, call):
        self.check_body(call)
        bare = dict(call.request.query).get("envelope") == "false"
        if call.params.encoding == "form" and not bare:
            self.deviate(call, "a form without envelope=false")
        call.record.grant = call.params.get("grant_type")
        grant = self.grant_type(call, {"password": self._by_password, "refresh_token": self.refresh})
        client = self.authenticate(call)
        self.may_use(client, call.record.grant)
        access, refresh = grant(call, client)
        fields = self.token_answer(call, client, access, refresh, {
            "token_type": "bearer", "access_token": access.value, "expires_in": self.expires_in(call, access)})
        return self.answer(fields if bare else envelope([fields]), fields)

    def _by_password(self, call, client):
        user = self.users.get(call.required("username"))
        given = call.required("password")
        if user is None or not hmac.compare_digest(user.password.encode(), given.encode()):
            raise OAuthError(401, "invalid_grant", "Invalid username or password")
        return self.sign_in(call, client, user, "password", self.asked_scope(call, client))

    def error(self, call, error):
        """400 says what is wrong in detailed[0], everything else in message."""
        if error.payload == EMPTY:
            return self.no_store(Response(error.status, list(error.headers)))
        if error.payload and "error_description" not in error.payload:
            return super().error(call, error)
        words = error.payload["error_description"] if error.payload else error.words
        detailed = [words] if error.status == 400 else None
        message = "Request validation error" if error.status == 400 else words
        payload = envelope([], status=error.status, message=message, detailed=detailed)
        return self.no_store(Response(error.status, list(error.headers), payload=payload, token=payload))

    def me(self, call):
        token = self.bearer(call)
        return self._person(call, token)

    def user(self, call):
        token = self.bearer(call)
        if call.request.path.rsplit("/", 1)[1] != self.users[token.user].id:
            raise OAuthError(403, "forbidden", "Not your user")
        return self._person(call, token)

    def _person(self, call, token):
        user = self.users[token.user]
        call.record.outcome = "ok"
        return Response(200, payload=envelope([{"id": int(user.id) if user.id.isdigit() else user.id,
                                                "email_address": user.email, "first_name": user.full_name}]))


def envelope(data, status=200, message="Request OK", detailed=None):
    good = status == 200
    return {"success": good, "code": OK_CODE if good else ERROR_CODE, "message": message, "http_code": status,
            "http_message": HTTPStatus(status).phrase, "detailed": detailed, "data": data, "count": len(data),
            "pagination": None}
