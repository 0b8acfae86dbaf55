"""What happens to tokens after they were issued: refreshed, revoked, used at an API."""

from . import switches
from .call import EMPTY, OAuthError


class Lifecycle:
    """Part of a Provider."""

    def dead_refresh(self, client):
        """The refusal of a refresh token that is not (or no longer) good, in the shape the switch asks for."""
        shape = self.switch("dead_refresh", client)
        status, body = switches.DEAD_REFRESH[shape] if isinstance(shape, str) else (shape["status"], shape.get("body"))
        if body is None:
            return OAuthError(status, "empty", payload=EMPTY)
        code = body.get("error") or body.get("status") or "dead refresh token"
        return OAuthError(status, str(code), payload=dict(body))

    def refresh(self, call, client):
        """RFC 6749 6 with rotation, overlap and reuse detection as the switches say. Returns access, refresh to show."""
        token = self.refreshable(call, client)
        scope = self._narrowed(call, token)
        ledger = self.world.ledger
        if token.superseded_at is not None and self.switch("overlap_answer", client) == "same":
            successor = ledger.tokens[token.superseded_by]
            ledger.event(token, "refreshed_again", request=call.record.id)
            return self._reissue(call, ledger.families[token.family]), successor
        user = self.users.get(token.user)
        if call.same_token:
            ledger.event(token, "refreshed", request=call.record.id)
            return self._reissue(call, ledger.families[token.family]), self._shown(client, token, None)
        access = self._access(call, client, user, token.family, token.id, token.grant, scope, token.family_started)
        ledger.event(token, "refreshed", by=access.id, request=call.record.id)
        self._retire_access(client, access)
        return access, self._shown(client, token, self._rotate(call, client, token, access))

    def refreshable(self, call, client):
        """The refresh token of the request if it may be used by this client; else the right refusal."""
        ledger, now = self.world.ledger, self.now()
        token = ledger.find(call.required("refresh_token"), self.name)
        if token is None or token.kind != "refresh":
            raise self.dead_refresh(client)
        call.record.credential = token.id
        if token.client != client.id:
            raise OAuthError(400, "invalid_grant", "the refresh token was issued to another client")
        if token.alive(now):
            return token
        if token.superseded_at is not None:
            ledger.event(token, "reused", request=call.record.id)
            if self.switch("reuse_detection", client):
                ledger.kill_family(token.family, "reuse detection")
            raise self.dead_refresh(client)
        ledger.event(token, "used_expired" if token.expired(now) else "used_dead", request=call.record.id)
        raise self.dead_refresh(client)

    def _narrowed(self, call, token):
        asked = call.params.get("scope")
        if asked is None:
            return token.scope
        if set(asked.split()) - set(token.scope.split()):
            raise OAuthError(400, "invalid_scope", "more than was granted")
        return asked

    def _rotate(self, call, client, token, access):
        """The new refresh token, or None when the old one stays."""
        ledger = self.world.ledger
        rotation = self.switch("rotation", client)
        turn = token.counts.get("refreshed", 0) % self.switch("rotate_every", client) == 0
        if rotation == "none" or (rotation == "sometimes" and not turn):
            if self.switch("refresh_idle", client) is not None:
                ledger.update(token, expires_at=self._refresh_expiry(client, token.family_started))
            return None
        successor = self._refresh(call, client, access, token.id)
        if token.superseded_at is None:
            ledger.supersede(token, successor, self.now() + self.switch("overlap", client))
        return successor

    def _shown(self, client, old, new):
        """The refresh token that the answer carries."""
        mode = self.switch("refresh_in_answer", client)
        return new if new is not None else (old if mode == "always" else None)

    # --- revoking

    def revoke(self, call, client):
        """RFC 7009: 200 for anything that is not this provider's, refusal for another client's."""
        token = self.world.ledger.find(call.required("token"), self.name)
        if token is None or token.kind == "code":
            call.record.outcome = "unknown token"
            return
        call.record.credential = token.id
        if token.client != client.id:
            raise OAuthError(400, "invalid_grant", "the token was issued to another client")
        if token.kind not in self.switch("revocable", client):
            raise OAuthError(400, "unsupported_token_type", f"{token.kind} tokens cannot be revoked")
        self._revoke_known(call, client, token)

    def _revoke_known(self, call, client, token):
        ledger, now = self.world.ledger, self.now()
        was_alive = token.alive(now)
        rotated = token.kind == "refresh" and token.superseded_at is not None
        ledger.kill(token, f"client {client.id}", request=call.record.id)
        cascade = was_alive and self.switch(f"cascade_{token.kind}", client) == "grant" if token.kind != "pat" else False
        if rotated and not was_alive:
            cascade = self.switch("superseded_revocation_kills", client)
        if cascade:
            ledger.kill_family(token.family, f"cascade from {token.id}")

    # --- APIs

    def bearer(self, call, kinds=("access", "pat")):
        """The token of an API request (RFC 6750, header only). A dead one is an attempt worth noting."""
        scheme, _, value = call.request.header("authorization").partition(" ")
        if scheme.lower() != "bearer" or not value.strip():
            raise self.unauthorized("no bearer token")
        token = self.world.ledger.find(value.strip(), self.name)
        if token is None or token.kind not in kinds:
            raise self.unauthorized("the token is unknown")
        call.record.credential, call.record.client = token.id, token.client
        now = self.now()
        if not token.alive(now):
            what = "used_expired" if token.expired(now) and token.dead_at is None else "used_dead"
            self.world.ledger.event(token, what, request=call.record.id)
            raise self.unauthorized("the token is no longer valid")
        self.world.ledger.event(token, "used", request=call.record.id)
        return token

    def unauthorized(self, words):
        return OAuthError(401, "invalid_token", words,
                          [("WWW-Authenticate", f'Bearer realm="{self.name}", error="invalid_token"')])

