"""Pushed authorization requests, RFC 9126."""

import secrets
from dataclasses import dataclass

from .call import OAuthError
from .wire import Response

PREFIX = "urn:ietf:params:oauth:request_uri:"
NOT_OF_THE_REQUEST = ("client_secret", "client_assertion", "client_assertion_type")
MAX_PUSHED = 10_000


@dataclass
class Pushed:
    client: str
    query: dict
    ends_at: float


class PushedRequests:
    """Part of the RFC provider."""

    def __init__(self, world, name):
        self.pushes = {}
        super().__init__(world, name)

    def push(self, call):
        """Keeps what would have been in the address; it is used once, by the client that pushed it."""
        self.check_body(call)
        client = self.authenticate(call, allow_public=True)
        query = {k: v for k, v in call.params.values.items() if k not in NOT_OF_THE_REQUEST}
        if "request_uri" in query:
            raise OAuthError(400, "invalid_request", "request_uri cannot be pushed")
        problem = self._refuse_to_redirect(client, query)
        if problem:
            raise OAuthError(400, "invalid_request", problem)
        self.pushes = {uri: p for uri, p in self.pushes.items() if p.ends_at > self.now()}
        if len(self.pushes) >= MAX_PUSHED:
            raise OAuthError(503, "temporarily_unavailable", "too many requests are pushed")
        uri = PREFIX + secrets.token_urlsafe(24)
        lifetime = self.switch("par_lifetime", client)
        self.pushes[uri] = Pushed(client.id, query, self.now() + lifetime)
        call.record.outcome = "ok"
        return self.no_store(Response(201, payload={"request_uri": uri, "expires_in": int(lifetime)}))

    def pushed(self, client, query):
        uri = query.get("request_uri")
        if uri is None:
            return query, "This client must push its request first." if self.switch("require_par", client) else None
        found = self.pushes.pop(uri, None)
        if found is None or found.ends_at <= self.now() or client is None or found.client != client.id:
            return query, "request_uri is unknown, was used, or has expired."
        return {**found.query, "client_id": client.id}, None
