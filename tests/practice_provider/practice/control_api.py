"""The control API: how tests register, issue, misbehave and ask. See README.md for each request."""

import asyncio
import hmac
import json
import os

from . import report, switches
from .behaviour import BadRule
from .call import Call
from .params import Params
from .traps import Traps
from .wire import Response
from .world import NotFound

MAX_WAIT = 120.0    # seconds a wait may take


class Refused(ValueError):
    """A control request that makes no sense."""


class ControlApi:
    def __init__(self, world, app, token):
        self.world, self.token = world, token
        self.traps = Traps(world, app)
        self.routes = {
            ("GET", "ledger"): self.get_ledger, ("GET", "tokens"): self.get_tokens,
            ("GET", "requests"): self.get_requests, ("GET", "summary"): self.get_summary,
            ("POST", "check"): self.check, ("POST", "behave"): self.behave, ("GET", "behave"): self.get_rules,
            ("POST", "release"): self.release, ("POST", "reset"): self.reset, ("POST", "client"): self.client,
            ("POST", "switch"): self.switch, ("POST", "lifetime"): self.lifetime, ("POST", "issue"): self.issue,
            ("POST", "revoke"): self.revoke, ("POST", "device"): self.device, ("POST", "wait"): self.wait,
            ("POST", "trap"): self.trap, ("POST", "certificate"): self.certificate,
            ("GET", "health"): self.health,
        }

    async def handle(self, request):
        given = request.header("x-practice-control")
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return Response(403, payload={"error": "control token missing or wrong"})
        route = self.routes.get((request.method, request.path.removeprefix("/_control/")))
        if route is None:
            return Response(404, payload={"error": "no such control request"})
        try:
            body = json.loads(request.body or b"{}") if request.method == "POST" else dict(request.query)
            answer = route(body)
            if asyncio.iscoroutine(answer):
                answer = await answer
            return Response(200, payload=answer)
        except (Refused, BadRule, switches.BadSwitch, NotFound, KeyError, TypeError, ValueError) as error:
            return Response(400, payload={"error": f"{type(error).__name__}: {error}"})

    # --- asking

    def health(self, _):
        return {"base_url": self.world.base_url, "pid": os.getpid(), "providers": sorted(self.world.providers)}

    def get_tokens(self, filters):
        return {"tokens": report.tokens(self.world.ledger, filters)}

    def get_requests(self, filters):
        return {"requests": report.requests(self.world.ledger, filters)}

    def get_ledger(self, filters):
        return {**self.get_tokens(filters), **self.get_requests(filters)}

    def get_summary(self, filters):
        return report.summary(self.world.ledger, filters)

    def check(self, body):
        if "tokens" in body:
            return {"tokens": [report.check(self.world.ledger, t) for t in body["tokens"]]}
        return report.check(self.world.ledger, body["token"])

    async def wait(self, body):
        """Until `count` requests, tokens or events are there, or a rule holds so many requests; or time is up."""
        deadline = asyncio.get_running_loop().time() + min(float(body.get("timeout", 10)), MAX_WAIT)
        changed = asyncio.Event()
        self.world.ledger.listeners.append(changed)
        try:
            while (found := self._count(body)) < body.get("count", 1):
                changed.clear()
                remaining = deadline - asyncio.get_running_loop().time()
                try:
                    await asyncio.wait_for(changed.wait(), remaining)
                except TimeoutError:
                    return {"reached": False, "found": self._count(body)}
        finally:
            self.world.ledger.listeners.remove(changed)
        return {"reached": True, "found": found}

    def _count(self, body):
        if "hanging" in body:
            return self.world.behaviours.rules[body["hanging"]].hanging
        if "hits" in body:
            return self.world.behaviours.rules[body["hits"]].hits
        if "requests" in body:
            done = body.get("done", True)
            found = report.request_records(self.world.ledger, body["requests"])
            return sum(1 for r in found if r.ended is not None or not done)
        if "event" in body:
            return self._events(body["event"], body.get("tokens", {}))
        return len(report.tokens(self.world.ledger, body.get("tokens", {})))

    def _events(self, what, filters):
        chosen = report.tokens(self.world.ledger, filters)
        return sum(t["counts"].get(what, 0) for t in chosen)

    # --- telling

    def behave(self, body):
        if body.get("clear") is True:
            self.world.behaviours.clear()
            return {"cleared": True}
        if "clear" in body:
            self.world.behaviours.remove(body["clear"])
            return {"cleared": body["clear"]}
        rules = body["rules"] if "rules" in body else [body]
        return {"ids": [self.world.behaviours.add(rule).id for rule in rules]}

    def get_rules(self, _):
        return {"rules": [rule.view() for rule in self.world.behaviours.rules.values()]}

    def release(self, body):
        """Lets the hung requests of a rule (or of all) go on, or drops them; the rule ends."""
        chosen = [body["id"]] if "id" in body else [r.id for r in self.world.behaviours.rules.values() if r.do == "hang"]
        for identifier in chosen:
            self.world.behaviours.rules[identifier].drop_on_release = bool(body.get("drop", False))
            self.world.behaviours.remove(identifier)
        return {"released": chosen}

    def reset(self, body):
        """What: behaviour, switches, ledger, or all three; past: of the ledger what had ended `before` (epoch s)."""
        what = body.get("what", "all")
        if what not in ("all", "behaviour", "switches", "ledger", "past"):
            raise Refused("what is one of all, behaviour, switches, ledger, past")
        if what == "past":
            self.world.ledger.forget_past(float(body["before"]))
        if what in ("all", "behaviour"):
            self.world.behaviours.clear()
            self.world.limits.buckets.clear()
        if what in ("all", "switches"):
            self.world.forget_switches()
        if what in ("all", "ledger"):
            self.world.ledger.clear()
        return {"reset": what}

    def client(self, body):
        clients = body.get("clients", []) + ([body["client"]] if "client" in body else [])
        users = body.get("users", []) + ([body["user"]] if "user" in body else [])
        self.world.register(body["provider"], clients, users, body.get("switches"))
        return {"provider": body["provider"], "clients": [c["id"] for c in clients], "users": [u["name"] for u in users]}

    def switch(self, body):
        self.world.register(body["provider"], changed=body["switches"], client_id=body.get("client"))
        return {"provider": body["provider"], "switches": self.world.provider(body["provider"]).switches}

    def lifetime(self, body):
        return self.switch({**body, "switches": {"lifetime": body["lifetime"]}})

    def issue(self, body):
        """Tokens as if someone had signed in: kind "pair" (default), "access" or "pat"; {"many": […]} for thousands."""
        if "many" in body:
            return {"issued": [self.issue(one) for one in body["many"]]}
        provider = self.world.provider(body["provider"])
        client = provider.clients[body.get("client", "demo-client")]
        user = provider.users[body.get("user", "demo@example.com")]
        scope = body.get("scope", provider.switch("default_scope", client))
        if body.get("kind", "pair") == "pat":
            return self._pat(provider, client, user, scope, body.get("lifetime"))
        if body.get("kind", "pair") not in ("pair", "access"):
            raise Refused("kind is one of pair, access, pat")
        record = type("Record", (), {"id": None})()
        call = Call(None, Params(), record)
        access, refresh = provider.sign_in(call, client, user, body.get("grant", "authorization_code"), scope,
                                           with_refresh=body.get("kind", "pair") == "pair")
        return {"access_token": access.value, "access_id": access.id, "family": access.family,
                "expires_in": provider.expires_in(call, access), "scope": scope,
                "refresh_token": refresh.value if refresh else None, "refresh_id": refresh.id if refresh else None}

    def _pat(self, provider, client, user, scope, lifetime):
        ends = None if lifetime is None else self.world.clock() + lifetime
        token = self.world.ledger.add(kind="pat", provider=provider.name, client=client.id, user=user.name,
                                      value=provider.new_value("pat", client), expires_at=ends, generation=1,
                                      grant="personal", scope=scope)
        return {"access_token": token.value, "access_id": token.id, "family": token.family, "scope": scope}

    def revoke(self, body):
        """As if the user or the provider took it back: a token, or with "family": true all of its grant."""
        token = self.world.ledger.find(body["token"])
        if token is None:
            raise Refused("the token is unknown")
        if body.get("family"):
            self.world.ledger.kill_family(token.family, "control")
        else:
            self.world.ledger.kill(token, "control")
        return report.check(self.world.ledger, body["token"])

    def device(self, body):
        provider = self.world.provider(body.get("provider", "rfc"))
        if not provider.decide_device(body["user_code"], body.get("decision", "allow"), body.get("user")):
            raise Refused("no such code waits")
        return {"decided": body["user_code"]}

    async def trap(self, body):
        return await self.traps.open(body)

    def certificate(self, body):
        """A client certificate of our CA for tls client authentication; the paths of its files."""
        pem, key = self.world.authority.issue(f"client-{body['subject']}", body["subject"], client=True)
        return {"certificate": pem, "key": key}
