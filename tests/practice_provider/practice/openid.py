"""ID tokens (OpenID Connect Core 1.0, 2 and 3.1.3.6), right or wrong in one way."""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric import ec

from . import jose

ELSEWHERE = "https://elsewhere.example"     # an issuer that is not this one
SOMEBODY_ELSE = "somebody-elses-client"
FAR = 3600                                  # seconds; beyond any leeway for clocks


def at_hash(access_token):
    """3.1.3.6: the left half of the hash that the signature's algorithm uses; SHA-256 for all of ours."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()[:16]).rstrip(b"=").decode()


class OpenId:
    """Part of the RFC provider."""

    def id_token(self, call, client, access):
        """{"id_token": …} for a person who was asked for `openid`, else nothing."""
        refreshed = call.params.get("grant_type") == "refresh_token"
        if access.user is None or "openid" not in access.scope.split():
            return {}
        if refreshed and not self.switch("id_token_at_refresh", client):
            return {}
        claims = self._claims(call, client, access)
        self._spoil(claims, self.switch("id_token_flaw", client))
        for name, value in self.switch("id_token_claims", client).items():
            claims[name] = value
            if value is None:
                del claims[name]
        token = self._signed(claims, client)
        self.world.ledger.add(kind="id", provider=self.name, client=client.id, user=access.user, value=token,
                              expires_at=self.now() + self.switch("id_token_lifetime", client), family=access.family,
                              generation=access.generation, parent=access.id, grant=access.grant, scope=access.scope,
                              family_started=access.family_started, request=call.record.id)
        return {"id_token": token}

    def _claims(self, call, client, access):
        user, now = self.users[access.user], int(self.told_now())
        claims = {"iss": self.switch("issuer") or self.url(), "sub": user.id, "aud": client.id, "iat": now,
                  "exp": now + int(self.switch("id_token_lifetime", client)), "at_hash": at_hash(access.value),
                  "email": user.email, "name": user.full_name}
        if call.nonce is not None:
            claims["nonce"] = call.nonce
        return claims

    def _spoil(self, claims, flaw):
        now = claims["iat"]
        changes = {
            "expired": {"iat": now - 2 * FAR, "exp": now - FAR}, "not_yet_valid": {"iat": now + FAR, "exp": now + 2 * FAR},
            "audience": {"aud": SOMEBODY_ELSE}, "azp": {"aud": [claims["aud"], SOMEBODY_ELSE], "azp": SOMEBODY_ELSE},
            "issuer": {"iss": ELSEWHERE}, "nonce": {"nonce": "of-another-request"}, "at_hash": {"at_hash": at_hash("another")},
        }
        claims.update(changes.get(flaw, {}))
        for name, missing in (("nonce", "nonce_missing"), ("sub", "sub_missing")):
            if flaw == missing:
                claims.pop(name, None)

    def _signed(self, claims, client):
        flaw, algorithm = self.switch("id_token_flaw", client), self.switch("id_token_alg", client)
        key = self.world.curve_key(self.switch("key_serial")) if algorithm == "ES256" else self.world.signing_key
        name = jose.key_id(key)
        if flaw == "garbage":
            return "this.is.not-a-token"
        if flaw == "alg_none":
            return jose.sign(None, "none", claims, name)
        if flaw == "hs256":
            return jose.sign(jose.public_pem(key), "HS256", claims, name)
        if flaw == "unlisted_key":
            key = ec.generate_private_key(ec.SECP256R1())
            return jose.sign(key, "ES256", claims, jose.key_id(key))
        token = jose.sign(key, algorithm, claims, name)
        if flaw == "signature":
            head, _, signature = token.split(".")
            return f"{head}.{jose.sign(key, algorithm, {**claims, 'sub': 'forged'}, name).split('.')[1]}.{signature}"
        return token
