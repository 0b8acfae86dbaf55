"""How tokens are made: values, first tokens of a grant, next generations, and what becomes of the older ones."""

import secrets


class Issuing:
    """Part of a Provider."""

    def new_value(self, kind, client=None):
        return f"{self.token_prefix}-{kind}-{secrets.token_urlsafe(int(self.switch('token_bytes', client)))}"

    def access_value(self, client, user, lifetime):
        if self.switch("jwt_access", client):
            now = int(self.told_now())
            claims = {"iss": self.url(), "sub": user.id if user else client.id, "client_id": client.id, "iat": now,
                      "exp": now + int(lifetime), "jti": secrets.token_urlsafe(12)}
            return self.world.sign(claims)
        return self.new_value("access", client)

    def _access(self, call, client, user, family, parent, grant, scope, started):
        lifetime = self.switch("lifetime", client)
        token = self.world.ledger.add(
            kind="access", provider=self.name, client=client.id, user=user.name if user else None,
            value=self.access_value(client, user, lifetime), expires_at=self.now() + lifetime, family=family,
            generation=self.world.ledger.generation(family) + 1 if family else 1, parent=parent, grant=grant,
            scope=scope, family_started=started, request=call.record.id)
        call.issued.append(token)
        return token

    def _refresh_expiry(self, client, started):
        ends = []
        if self.switch("refresh_lifetime", client) is not None:
            ends.append(started + self.switch("refresh_lifetime", client))
        if self.switch("refresh_idle", client) is not None:
            ends.append(self.now() + self.switch("refresh_idle", client))
        return min(ends, default=None)

    def _refresh(self, call, client, access, parent):
        token = self.world.ledger.add(
            kind="refresh", provider=self.name, client=client.id, user=access.user,
            value=self.new_value("refresh", client), expires_at=self._refresh_expiry(client, access.family_started),
            family=access.family, generation=access.generation, parent=parent, grant=access.grant, scope=access.scope,
            family_started=access.family_started, request=call.record.id)
        call.issued.append(token)
        return token

    def sign_in(self, call, client, user, grant, scope, parent=None, with_refresh=True):
        """A new grant: its first access token and, if so, its refresh token."""
        if user and self.switch("old_login", client) == "dies":
            for token in list(self.world.ledger.tokens.values()):
                if (token.provider, token.client, token.user) == (self.name, client.id, user.name) and not token.dead_at:
                    self.world.ledger.kill(token, "new sign-in")
        access = self._access(call, client, user, None, parent, grant, scope, 0.0)
        return access, self._refresh(call, client, access, parent) if with_refresh else None

    def client_credentials(self, call, client, scope):
        """Tokens of the client itself: one family per client and scope, so that generations can be counted."""
        family = f"cc:{self.name}:{client.id}:{scope}"
        existing = self.world.ledger.families.get(family)
        if call.same_token and existing:
            return self._reissue(call, existing), None
        started = existing[0].family_started if existing else 0.0
        access = self._access(call, client, None, family, None, "client_credentials", scope, started)
        self._retire_access(client, access)
        if self.switch("client_credentials_refresh", client):
            return access, self._refresh(call, client, access, None)
        return access, None

    def _reissue(self, call, family):
        """The same access token once more, as some providers do while it is young."""
        token = max((t for t in family if t.kind == "access"), key=lambda t: t.generation)
        self.world.ledger.event(token, "reissued", request=call.record.id)
        return token

    def _retire_access(self, client, newest):
        """What becomes of the family's older access tokens when a new one is made, as `old_access` says."""
        policy = self.switch("old_access", client)
        if newest.grant == "client_credentials":
            policy = "lives"
        ledger = self.world.ledger
        for token in ledger.families[newest.family]:
            if token.kind != "access" or token is newest or token.superseded_at is not None:
                continue
            dies_at = {"lives": None, "dies": self.now()}.get(policy) if isinstance(policy, str) else self.now() + policy
            ledger.supersede(token, newest, dies_at)

    def expires_in(self, call, token):
        """Whole seconds an answer may promise: all of a fresh token's life, what remains of one handed out again."""
        if token in call.issued:
            return int(self.switch("lifetime", self.clients.get(token.client)))
        return int(token.expires_at - self.now())

    def token_answer(self, call, client, access, refresh, fields):
        """Adds to the fields what every answer may carry, and what the switches lay over it."""
        if refresh is not None:
            fields["refresh_token"] = refresh.value
            name = self.switch("refresh_expires_field", client)
            if name and refresh.expires_at is not None:
                fields[name] = int(refresh.expires_at - self.now())
        for name, value in self.switch("answer_fields", client).items():
            fields[name] = value
            if value is None:
                del fields[name]
        call.record.outcome = "ok"
        call.record.tokens = [t.id for t in call.issued] or [access.id]
        return fields
