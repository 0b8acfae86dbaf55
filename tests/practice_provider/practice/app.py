"""The road of a request: read, record, misbehave before, act, bend the answer, send, record what became of it."""

import asyncio
import itertools
import json

from . import behaviour, params
from .call import Call, OAuthError
from .control_api import ControlApi
from .wire import BadRequest, Connection, Lost, Response, Wire
from .world import NotFound

KEPT_IDLE_SECONDS = 75.0


class Gone(Exception):
    """The connection ended while the request was held back, or a rule dropped it; `acted` says on which side."""


class App:
    """Serves connections. Everything runs on one event loop."""

    def __init__(self, world, control_token, idle=KEPT_IDLE_SECONDS):
        self.world, self.idle = world, idle
        self.control = ControlApi(world, self, control_token)
        self.serials = itertools.count(1)
        self.tasks = set()

    async def serve(self, reader, writer, gone):
        """One connection from accept to end."""
        task = asyncio.current_task()
        self.tasks.add(task)
        connection = Connection(reader, writer, gone, next(self.serials), self.idle)
        try:
            while await self._one(connection):
                pass
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.close()

    async def _one(self, connection):
        try:
            request = await connection.read()
        except BadRequest as error:
            await self._plain(connection, None, 400, str(error))
            return False
        if request is None:
            return False
        if request.path.startswith("/_control/"):
            return await self._controlled(connection, request)
        try:
            provider, row = self.world.route(request.path)
        except NotFound:
            return await self._plain(connection, request, 404, "no such path")
        return await self._exchange(connection, request, provider, *row)

    async def _plain(self, connection, request, status, words):
        request_like = request or type("None_", (), {"method": "GET", "header": lambda *_: "close"})()
        response = Response(status, payload={"error": "not_found" if status == 404 else "bad_request",
                                             "error_description": words})
        try:
            return await connection.send(request_like, response, Wire(), self.world.clock())
        except Lost:
            return False

    async def _controlled(self, connection, request):
        response = await self.control.handle(request)
        try:
            return await connection.send(request, response, Wire(), self.world.clock())
        except Lost:
            return False

    # --- one exchange with a provider

    async def _exchange(self, connection, request, provider, endpoint, handler):
        call, facts = self._open(request, provider, endpoint)
        record, ledger = call.record, self.world.ledger
        rules = self.world.behaviours.for_request(facts)
        record.misbehaviour = [f"{r.id}:{r.do}" for r in rules]
        sent = record.credential
        if sent:
            record.in_flight_same_credential = ledger.in_flight[sent]
            ledger.in_flight[sent] += 1
        try:
            return await self._answered(connection, call, provider, handler, rules)
        except (Gone, Lost) as lost:
            self._lost(call, str(lost))
            return False
        except asyncio.CancelledError:
            self._lost(call, "shutdown")
            raise
        finally:
            if sent:
                ledger.in_flight[sent] -= 1
            ledger.close_request(record)

    def _open(self, request, provider, endpoint):
        """The record of a request, and the facts that rules match on."""
        parsed = params.parse(request)
        found = params.credentials(request, parsed)
        claimed = found[0].client_id if found else dict(request.query).get("client_id")
        credential = self._credential(request, provider, parsed)
        record = self.world.ledger.open_request(
            provider=provider.name, endpoint=endpoint, method=request.method, connection=request.serial,
            nth_on_connection=request.nth, grant=parsed.get("grant_type"), encoding=parsed.encoding,
            parameters=parsed.names(), accept_encoding=request.header("accept-encoding"), credential=credential.id if credential else None,
            client=claimed if claimed in provider.clients else None)
        facts = {"provider": provider.name, "endpoint": endpoint, "client": claimed, "grant": record.grant,
                 "user": credential.user if credential else parsed.get("username"), "path": request.path,
                 "method": request.method, "kept": request.nth > 1, "credential": record.credential}
        if credential and not claimed:
            facts["client"] = credential.client
        return Call(request, parsed, record), facts

    def _credential(self, request, provider, parsed):
        value = parsed.get("refresh_token") or parsed.get("code") or parsed.get("token")
        if value is None and request.header("authorization").lower().startswith("bearer "):
            value = request.header("authorization")[7:].strip()
        return self.world.ledger.find(value, provider.name)

    async def _answered(self, connection, call, provider, handler, rules):
        for rule in rules:
            await self._before(connection, rule)
        response = self._limited(provider, call) or self._replaced(rules, provider, call, acting=False)
        if response is None:
            response = self._act(provider, handler, call, rules)
        for rule in rules:
            await self._after(connection, rule)
        return await self._send(connection, call, provider, response, rules)

    async def _before(self, connection, rule):
        if rule.do == "drop_before":
            await connection.leave(rule.get("how", "rst"))
            raise Gone("dropped before acting")
        if rule.get("when", "before") == "before":
            await self._hold(connection, rule)

    async def _after(self, connection, rule):
        if rule.get("when", "before") == "after":
            await self._hold(connection, rule)

    async def _hold(self, connection, rule):
        """Delays or hangs; a peer that leaves meanwhile ends it."""
        if rule.do == "delay":
            await self._sleep_or_gone(connection, asyncio.sleep(rule.get("seconds", 1.0)))
        elif rule.do == "hang":
            rule.hanging += 1
            self.world.ledger.changed()
            try:
                await self._sleep_or_gone(connection, rule.released.wait())
            finally:
                rule.hanging -= 1
            if rule.drop_on_release:
                await connection.leave("rst")
                raise Gone("dropped when released")

    @staticmethod
    async def _sleep_or_gone(connection, waiting):
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(connection.gone.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        if connection.gone.is_set():
            raise Gone("the peer left while it was held back")

    def _limited(self, provider, call):
        """429 where the provider's own limit is passed."""
        client = provider.clients.get(call.record.client)
        wait = self.world.limits.over(provider.name, provider.switch("rate_limit", client), call.record.endpoint,
                                      call.record.client)
        if wait is None:
            return None
        call.record.over_limit, call.record.outcome = True, "over limit"
        limit = int(provider.switch("rate_limit", client)["per_second"])
        return behaviour.too_many(provider.switch("rate_style"), wait, provider.told_now(), limit)

    def _replaced(self, rules, provider, call, acting):
        """The last replacement among the rules; before acting only those that keep the provider from it."""
        offset = provider.switch("clock_offset")
        for rule in reversed(rules):
            if bool(rule.get("act", False)) != acting:
                continue
            response = behaviour.replacement(rule, self.world.clock(), offset)
            if response is not None:
                call.record.outcome = call.record.outcome or rule.do
                if rule.get("act") == "consume":
                    self._consume(call)
                return response
        return None

    def _consume(self, call):
        """Some providers burn a refresh token although they refuse the request."""
        token = self.world.ledger.tokens.get(call.record.credential)
        if token is not None and token.kind == "refresh":
            self.world.ledger.kill(token, "consumed by a refusal", what="consumed", request=call.record.id)

    def _act(self, provider, handler, call, rules):
        call.same_token = any(r.do == "same_token" for r in rules)
        burning = any(r.get("act") == "consume" for r in rules)
        if burning:
            return self._replaced(rules, provider, call, acting=True)
        response = provider.handle(handler, call)
        call.record.acted = True
        for rule in rules:
            behaviour.bend(rule, response)
        replaced = self._replaced(rules, provider, call, acting=True)
        if replaced is not None:
            self._note_loss(call, "the answer was replaced")
        elif any(r.do in behaviour.LOSING for r in rules) and response.status == 200:
            self._note_loss(call, "the answer was bent")
        return replaced or response

    async def _send(self, connection, call, provider, response, rules):
        record = call.record
        record.status = response.status
        record.outcome = record.outcome or "ok"
        wire = behaviour.plan_wire(rules, provider.switch("clock_offset"))
        self.world.ledger.journal_request(record)
        keep = await connection.send(call.request, response, wire, self.world.clock())
        record.answer = record.answer or ("bent" if rules else "sent")
        return keep

    def _note_loss(self, call, why):
        call.record.answer = "lost"
        for token in call.issued:
            self.world.ledger.event(token, "answer_lost", request=call.record.id, why=why)

    def _lost(self, call, why):
        call.record.outcome = call.record.outcome or why
        if call.record.answer is None:
            self._note_loss(call, why)

    async def stop(self):
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
