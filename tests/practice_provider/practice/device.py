"""The device authorization grant, RFC 8628."""

import secrets
from dataclasses import dataclass, field

from . import pages
from .call import OAuthError

USER_CODE_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"   # RFC 8628 6.1: no vowels, nothing ambiguous


@dataclass
class Device:
    device_code: str
    user_code: str
    client: str
    scope: str
    ends_at: float
    interval: float
    decision: str | None = None   # "allow", "deny"
    user: str | None = None
    last_poll: float = 0.0
    polls: list = field(default_factory=list)
    record: str = ""              # its id in the ledger


class DeviceGrant:
    """Part of the RFC provider."""

    def __init__(self, world, name):
        self.devices = {}
        super().__init__(world, name)

    def device_start(self, call):
        self.check_body(call)
        client = self.authenticate(call, allow_public=True)
        letters = "".join(secrets.choice(USER_CODE_LETTERS) for _ in range(8))
        device = Device(self.new_value("device"), f"{letters[:4]}-{letters[4:]}", client.id,
                        self.asked_scope(call, client), self.now() + self.switch("device_lifetime", client),
                        self.switch("device_interval", client))
        self.devices[device.device_code] = device
        device.record = self.world.ledger.add(kind="device", provider=self.name, client=client.id, user=None,
                                              value=device.device_code, expires_at=device.ends_at, generation=0,
                                              grant="device_code", scope=device.scope, request=call.record.id).id
        call.record.outcome = "ok"
        page = self.url("/device")
        complete = {"verification_uri_complete": f"{page}?user_code={device.user_code}"}
        return self.answer({"device_code": device.device_code, "user_code": device.user_code, "verification_uri": page,
                            **(complete if self.switch("device_complete_uri", client) else {}),
                            "expires_in": int(self.switch("device_lifetime", client)), "interval": device.interval})

    def by_device(self, call, client):
        """A poll: still pending, too fast, over, denied, or the tokens."""
        device = self.devices.get(call.required("device_code"))
        now = self.now()
        if device is None or device.client != client.id:
            raise OAuthError(400, "invalid_grant", "the device code is unknown")
        call.record.credential = device.record
        early = device.last_poll and now - device.last_poll < device.interval
        device.last_poll = now
        device.polls.append(now)
        if now >= device.ends_at:
            raise OAuthError(400, "expired_token", "the device code has expired")
        if early:
            device.interval += 5   # RFC 8628 3.5: for this and all later polls
            raise OAuthError(400, "slow_down", "polled faster than the interval")
        if device.decision is None:
            raise OAuthError(400, "authorization_pending", "nobody has decided yet")
        del self.devices[device.device_code]
        if device.decision != "allow":
            raise OAuthError(400, "access_denied", "the user denied the request")
        return self.sign_in(call, client, self.users[device.user], "device_code", device.scope)

    def decide_device(self, user_code, decision, user=None):
        """A person's decision; False where no such code waits."""
        device = self.waiting(user_code)
        if device is None:
            return False
        device.decision, device.user = decision, user or self.switch("consent_user")
        return True

    def waiting(self, user_code):
        """The device that shows this code, in whatever way a person types it, and waits for an answer."""
        wanted = user_code.replace("-", "").replace(" ", "").upper()
        return next((d for d in self.devices.values() if d.user_code.replace("-", "") == wanted and d.decision is None
                     and d.ends_at > self.now()), None)

    def device_page(self, call):
        """Asks for the code, then for consent, and says what came of it."""
        call.record.outcome = "ok"
        if call.request.method == "POST":
            decision = "allow" if call.params.get("decision") == "allow" else "deny"
            if not self.decide_device(call.params.get("request", ""), decision, call.params.get("user")):
                return pages.message("This code is over", "It is not known, was answered before, or has expired.", 400)
            words = "Done. You may return to your device." if decision == "allow" else "The device was refused."
            return pages.message("Connect a device", words)
        code = dict(call.request.query).get("user_code", "")
        waiting = self.waiting(code)
        if waiting is None:
            return pages.device_code(call.request.path, code)
        return pages.consent(call.request.path, waiting.user_code, self.clients[waiting.client], waiting.scope, list(self.users),
                             "Connect this device?")
