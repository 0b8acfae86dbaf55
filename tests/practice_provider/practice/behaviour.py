"""Misbehaviour: rules that match requests and what each does, before the provider acts, to its answer, and on the wire.

A rule: {"do": NAME, "match": {...}, "times": N, "skip": N, "probability": p, "seed": s, ...parameters of NAME}.
All rules that match a request apply, in the order they were given.
"""

import asyncio
import gzip
import random
from dataclasses import dataclass, field
from email.utils import formatdate

from .wire import Response, Wire

MATCHABLE = ("provider", "endpoint", "client", "grant", "user", "path", "method", "kept", "credential")
COMMON = {"do", "match", "times", "skip", "probability", "seed", "id"}

# What each can be told, besides the common keys. `act`: does the provider do its work although the answer is replaced.
KINDS = {
    "delay": {"seconds", "when"}, "hang": {"when"},
    "drop_before": {"how"}, "drop_after": {"how"}, "drop_bytes": {"bytes", "how"},
    "too_many": {"style", "seconds", "act"}, "status": {"status", "body", "json", "headers", "content_type", "act"},
    "html": {"status", "act"}, "redirect": {"location", "status", "act"}, "huge": {"bytes", "act"},
    "endless": {"act"}, "gzip_bomb": {"bytes", "act"}, "truncated": {"bytes"}, "wrong_length": {"delta"}, "drip": {"interval", "bytes"},
    "slow_headers": {"interval"}, "garbage_status": {"line"}, "continue_flood": {"count"}, "chunked": set(), "bad_chunks": {"size_line"},
    "close": set(), "close_kept": {"seconds"}, "token_missing": set(), "error_inside": {"error", "description"},
    "expires_in": {"value"}, "token_type": {"value"}, "scope": {"value"}, "same_token": set(),
    "set": {"fields"}, "remove": {"fields"},
}
WHENS = ("before", "after")
HOWS = ("rst", "fin", "tls")
HUGE_BYTES = 8 * 1024 * 1024


class BadRule(ValueError):
    """A rule that names something that does not exist."""


@dataclass
class Rule:
    id: str
    do: str
    match: dict
    params: dict
    times: int | None = None
    skip: int = 0
    probability: float = 1.0
    chance: random.Random = None
    hits: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    drop_on_release: bool = False
    hanging: int = 0

    def get(self, name, default=None):
        return self.params.get(name, default)

    def takes(self, facts):
        """Does it apply to this request; counts what it skips and hits."""
        for name, wanted in self.match.items():
            actual = facts[name]
            if name == "path":
                if not str(actual).startswith(wanted):
                    return False
            elif isinstance(wanted, list):
                if actual not in wanted:
                    return False
            elif actual != wanted:
                return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1.0 and self.chance.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def view(self):
        return {"id": self.id, "do": self.do, "match": self.match, "times": self.times, "skip": self.skip,
                "probability": self.probability, "hits": self.hits, "hanging": self.hanging, **self.params}


def make_rule(identifier, text):
    """A rule of its JSON, every name checked: a misspelt fault that never happens would make a test pass for nothing."""
    do, match = text.get("do"), text.get("match", {})
    if do not in KINDS:
        raise BadRule(f"do: {do!r}; there are: {', '.join(sorted(KINDS))}")
    unknown = set(text) - COMMON - KINDS[do]
    if unknown:
        raise BadRule(f"{do}: unknown {sorted(unknown)}; it takes {sorted(KINDS[do])}")
    if set(match) - set(MATCHABLE):
        raise BadRule(f"match: unknown {sorted(set(match) - set(MATCHABLE))}; there are {MATCHABLE}")
    if text.get("when", "before") not in WHENS or text.get("how", "rst") not in HOWS:
        raise BadRule(f"when is one of {WHENS}, how one of {HOWS}")
    parameters = {k: text[k] for k in KINDS[do] if k in text}
    return Rule(identifier, do, match, parameters, text.get("times"), text.get("skip", 0), text.get("probability", 1.0),
                random.Random(text.get("seed", 0)))


class Behaviours:
    """The rules in force."""

    def __init__(self):
        self.rules = {}
        self.serial = 0

    def add(self, text):
        self.serial += 1
        rule = make_rule(text.get("id") or f"b{self.serial}", text)
        self.rules[rule.id] = rule
        return rule

    def remove(self, identifier):
        rule = self.rules.pop(identifier)
        rule.released.set()

    def clear(self):
        for identifier in list(self.rules):
            self.remove(identifier)

    def for_request(self, facts):
        return [rule for rule in self.rules.values() if rule.takes(facts)]


# --- answers that replace the provider's

def _too_many(rule, now, offset):
    """429 with one of the header styles that providers use."""
    seconds = rule.get("seconds", 5)
    return too_many(rule.get("style", "retry-after-seconds"), seconds, now + offset)


def too_many(style, seconds, now, limit=None):
    headers = {
        "retry-after-seconds": [("Retry-After", max(1, round(seconds)))],
        "retry-after-date": [("Retry-After", formatdate(now + seconds, usegmt=True))],
        "reset-epoch": [("X-RateLimit-Reset", int(now + seconds + 0.999))],
        "reset-epoch-ms": [("X-RateLimit-Reset", int((now + seconds) * 1000))],
        "reset-delta": [("X-RateLimit-Reset", max(1, round(seconds)))],
        "none": [],
    }[style]
    if style != "none":
        headers += [("X-RateLimit-Limit", limit or 60), ("X-RateLimit-Remaining", 0)]
    return Response(429, headers, payload={"error": "too_many_requests", "error_description": "Rate limit exceeded"})


def _status(rule):
    headers = [(str(k), v) for k, v in dict(rule.get("headers") or {}).items()]
    if "json" in rule.params:
        return Response(rule.get("status", 500), headers, payload=rule.get("json"), content_type=rule.get("content_type"))
    body = rule.get("body", "")
    return Response(rule.get("status", 500), headers, body.encode(), content_type=rule.get("content_type"))


def replacement(rule, now, offset):
    """The answer sent instead of the provider's, or None: the rule does not replace it."""
    if rule.do == "too_many":
        return _too_many(rule, now, offset)
    if rule.do == "status":
        return _status(rule)
    if rule.do == "html":
        return Response(rule.get("status", 200), body=b"<html><body><h1>Please sign in to this network</h1></body></html>")
    if rule.do == "redirect":
        return Response(rule.get("status", 302), [("Location", rule.get("location", "https://elsewhere.example/"))])
    if rule.do == "huge":
        return Response(200, body=b'{"padding":"' + b"x" * rule.get("bytes", HUGE_BYTES) + b'"}',
                        content_type="application/json")
    if rule.do == "endless":
        return Response(200, body=b"{", content_type="application/json")
    if rule.do == "gzip_bomb":
        plain = b'{"padding":"' + b"x" * rule.get("bytes", HUGE_BYTES) + b'"}'
        return Response(200, [("Content-Encoding", "gzip")], gzip.compress(plain), content_type="application/json")
    return None


# --- answers that are bent

def _token_missing(token, rule):
    token.pop("access_token", None)


def _error_inside(token, rule):
    token.clear()
    token.update({"error": rule.get("error", "invalid_grant"),
                  "error_description": rule.get("description", "an error inside a 200")})


def _valued(name):
    def change(token, rule):
        if "value" in rule.params:
            token[name] = rule.get("value")
        else:
            token.pop(name, None)
    return change


def _remove(token, rule):
    for name in rule.get("fields", []):
        token.pop(name, None)


MUTATIONS = {
    "token_missing": _token_missing, "error_inside": _error_inside, "expires_in": _valued("expires_in"),
    "token_type": _valued("token_type"), "scope": _valued("scope"), "remove": _remove,
    "set": lambda token, rule: token.update(rule.get("fields", {})),
}
# After these the client has no way to learn the tokens that were made.
LOSING = {"token_missing", "error_inside", "truncated", "drop_after", "drop_bytes", "garbage_status", "bad_chunks"}


def bend(rule, response):
    """Changes the provider's answer in place; True when the rule bends answers."""
    if rule.do in MUTATIONS:
        if response.token is not None and response.status == 200:
            MUTATIONS[rule.do](response.token, rule)
        return True
    if rule.do == "truncated":
        body = response.rendered()
        response.body, response.content_type = body[:rule.get("bytes", len(body) // 2)], response.type()
        response.payload = None
        return True
    return False


def onto_wire(rule, wire):
    """Adds what the rule wants to the wire plan."""
    if rule.do == "drop_after":
        wire.drop = rule.get("how", "rst")
    elif rule.do == "drop_bytes":
        wire.drop_after_bytes, wire.how = rule.get("bytes", 20), rule.get("how", "rst")
    elif rule.do == "wrong_length":
        wire.length_delta = rule.get("delta", 10)
    elif rule.do == "drip":
        wire.drip_interval, wire.drip_bytes = rule.get("interval", 0.05), rule.get("bytes", 1)
    elif rule.do == "slow_headers":
        wire.slow_head_interval = rule.get("interval", 0.05)
    elif rule.do == "garbage_status":
        wire.garbage = rule.get("line", "SSH-2.0-OpenSSH_9.2 \x00\x01").encode("latin-1", "replace")
    elif rule.do == "bad_chunks":
        wire.chunked, wire.size_line = True, rule.get("size_line", "0x5 bytes")
    elif rule.do == "continue_flood":
        wire.continues = rule.get("count", 10_000)
    elif rule.do == "close_kept":
        wire.close_after = rule.get("seconds", 0.0)
    else:
        wire.endless = wire.endless or rule.do == "endless"
        wire.chunked = wire.chunked or rule.do == "chunked"
        wire.close = wire.close or rule.do == "close"


def plan_wire(rules, date_offset):
    wire = Wire(date_offset=date_offset)
    for rule in rules:
        onto_wire(rule, wire)
    return wire
