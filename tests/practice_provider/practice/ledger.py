"""The honest ledger: every token that was ever made and every request that was ever received, and what became of them.

It is the truth that tests hold the daemon to, so nothing here depends on how an answer was bent before it was sent.
With a file it is an append-only journal of JSON lines; loading replays them.
"""

import hashlib
import json
import os
from collections import Counter, deque
from dataclasses import asdict, dataclass, field

MAX_EVENTS_PER_TOKEN = 500     # a token used in a benchmark must not grow without end; counts go on
MAX_REQUESTS = 1_000_000


def digest(value):
    return hashlib.sha256(value.encode()).hexdigest()


@dataclass
class Token:
    """One access token, refresh token, code or personal access token. Times are epoch seconds of the true clock."""
    id: str
    kind: str                  # access, refresh, code, pat
    provider: str
    client: str
    user: str | None
    value: str
    issued_at: float
    expires_at: float | None
    family: str                # one grant a user (or client) gave
    generation: int            # of the family, from 1
    parent: str | None = None  # the refresh token or code it came from
    grant: str = ""
    scope: str = ""
    family_started: float = 0.0
    request: str | None = None
    facts: dict = field(default_factory=dict)   # redirect_uri and challenge of a code, for example
    dies_at: float | None = None                # end of the overlap after it was superseded
    superseded_at: float | None = None
    superseded_by: str | None = None
    dead_at: float | None = None
    dead_by: str | None = None
    events: list = field(default_factory=list)
    counts: dict = field(default_factory=dict)

    def expired(self, now):
        return self.expires_at is not None and now >= self.expires_at

    def alive(self, now):
        overlap_over = self.dies_at is not None and now >= self.dies_at
        return self.dead_at is None and not overlap_over and not self.expired(now)

    def why_dead(self, now):
        if self.dead_at is not None:
            return self.dead_by
        if self.dies_at is not None and now >= self.dies_at:
            return "superseded"
        return "expired" if self.expired(now) else None


@dataclass
class RequestRecord:
    """One request: parameter names, never their values."""
    id: str
    at: float
    provider: str
    endpoint: str
    method: str
    connection: int
    nth_on_connection: int
    grant: str | None = None
    client: str | None = None
    auth: str | None = None
    encoding: str = "none"
    parameters: list = field(default_factory=list)
    accept_encoding: str = ""          # what the client said it can unpack
    credential: str | None = None      # id of the refresh token, code or bearer token that was sent
    in_flight_same_credential: int = 0  # others under way with the same credential when this one came
    over_limit: bool = False
    deviations: list = field(default_factory=list)
    misbehaviour: list = field(default_factory=list)
    acted: bool = False
    outcome: str | None = None         # "ok", an error code, or what was done to it instead
    status: int | None = None
    answer: str | None = None          # sent, bent, lost; None while under way
    tokens: list = field(default_factory=list)
    ended: float | None = None


class Journal:
    """Append-only JSON lines; nothing at all without a path."""

    def __init__(self, path):
        self.path = path
        self.file = None

    def lines(self):
        if not self.path or not os.path.exists(self.path):
            return
        self._cut_half_line()
        with open(self.path, encoding="utf-8") as f:
            for line in f:
                yield json.loads(line)

    def _cut_half_line(self):
        """A write that a kill cut off was never acted on."""
        with open(self.path, "rb+") as f:
            f.truncate(f.read().rfind(b"\n") + 1)

    def open(self):
        if self.path:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self.file = os.fdopen(descriptor, "w", encoding="utf-8")

    def write(self, operation, **fields):
        if self.file:
            self.file.write(json.dumps({"op": operation, **fields}) + "\n")
            self.file.flush()

    def close(self):
        if self.file:
            self.file.close()
            self.file = None


class Ledger:
    """All tokens and requests, in memory, with look-ups by value, family and id."""

    def __init__(self, clock, journal):
        self.clock = clock
        self.journal = journal
        self.listeners = []
        self._clear()

    def _clear(self):
        self.tokens, self.by_value, self.families = {}, {}, {}
        self.generations, self.logins = {}, {}
        self.requests = {}
        self.in_flight = Counter()
        self.serial = getattr(self, "serial", 0)
        self.arrivals, self.peaks = {}, {}
        self.open_posts, self.widest = getattr(self, "open_posts", Counter()), Counter()

    def clear(self):
        self._clear()
        self.journal.write("clear", serial=self.serial)

    def forget_past(self, before):
        """Drops what had ended by then: dead tokens and answered requests. For runs so long that the book would fill memory;
        counts of what was dropped are lost. With a ledger file they come back at a restart."""
        for token in list(self.tokens.values()):
            ended = min(t for t in (token.expires_at, token.dead_at, token.dies_at, float("inf")) if t is not None)
            if ended < before:
                del self.tokens[token.id], self.by_value[token.value]
                self.families[token.family].remove(token)
        for record in list(self.requests.values()):
            if record.ended is not None and record.ended < before:
                del self.requests[record.id]

    def next_id(self, prefix):
        self.serial += 1
        return f"{prefix}{self.serial}"

    def changed(self):
        """Wakes whoever waits for something to be in the ledger."""
        for listener in self.listeners:
            listener.set()

    # --- tokens

    def _index(self, token):
        self.tokens[token.id] = token
        self.by_value[token.value] = token
        self.families.setdefault(token.family, []).append(token)
        if token.kind == "access":
            self.generations[token.family] = max(token.generation, self.generations.get(token.family, 0))
        owner = self.owner(token)
        self.logins[owner] = max(token.family_started, self.logins.get(owner, 0.0))

    @staticmethod
    def owner(token):
        return token.kind, token.provider, token.client, token.user

    def add(self, **fields):
        """A new token. Its family starts here when none is named."""
        now = self.clock()
        token_id = self.next_id("t")
        family = fields.pop("family", None) or f"f{token_id[1:]}"
        token = Token(id=token_id, issued_at=now, family=family, **fields)
        token.family_started = token.family_started or now
        self._index(token)
        self.journal.write("token", **{k: v for k, v in asdict(token).items() if k not in ("events", "counts")})
        self.event(token, "issued", request=token.request)
        return token

    def find(self, value, provider=None):
        token = self.by_value.get(value or "")
        return token if token and (provider is None or token.provider == provider) else None

    def generation(self, family):
        return self.generations.get(family, 0)

    def event(self, token, what, **details):
        entry = {"at": self.clock(), "what": what, **{k: v for k, v in details.items() if v is not None}}
        self._note(token, entry)
        self.journal.write("event", token=token.id, entry=entry)
        self.changed()

    @staticmethod
    def _note(token, entry):
        token.counts[entry["what"]] = token.counts.get(entry["what"], 0) + 1
        if len(token.events) < MAX_EVENTS_PER_TOKEN:
            token.events.append(entry)

    def update(self, token, **fields):
        for name, value in fields.items():
            setattr(token, name, value)
        self.journal.write("update", token=token.id, fields=fields)

    def kill(self, token, by, what="revoked", **details):
        """The token stops working now. Killing a dead token only leaves a note."""
        if token.dead_at is not None:
            self.event(token, f"{what}_again", by=by, **details)
            return
        self.update(token, dead_at=self.clock(), dead_by=by)
        self.event(token, what, by=by, **details)

    def supersede(self, token, successor, dies_at):
        self.update(token, superseded_at=self.clock(), superseded_by=successor.id, dies_at=dies_at)
        self.event(token, "superseded", by=successor.id)

    def kill_family(self, family, by, what="revoked", kinds=None):
        for token in self.families.get(family, ()):
            if token.dead_at is None and (kinds is None or token.kind in kinds):
                self.kill(token, by, what)

    # --- requests

    def open_request(self, **fields):
        record = RequestRecord(id=self.next_id("r"), at=self.clock(), **fields)
        if len(self.requests) < MAX_REQUESTS:
            self.requests[record.id] = record
        self._count_arrival(record)
        if record.endpoint == "token":
            self.open_posts[record.provider] += 1
            self.widest[record.provider] = max(self.widest[record.provider], self.open_posts[record.provider])
        self.changed()
        return record

    def journal_request(self, record):
        """Once before the answer leaves and once after: a kill in between must not lose what was done."""
        self.journal.write("request", **asdict(record))

    def close_request(self, record):
        record.ended = self.clock()
        if record.endpoint == "token":
            self.open_posts[record.provider] -= 1
        self.journal_request(record)
        self.changed()

    def _count_arrival(self, record):
        if record.endpoint != "token":
            return
        recent = self.arrivals.setdefault(record.provider, deque())
        recent.append(record.at)
        while recent[0] <= record.at - 1.0:
            recent.popleft()
        self.peaks[record.provider] = max(self.peaks.get(record.provider, 0), len(recent))

    # --- replay

    def load(self, apply_other):
        """Replays the journal; lines that are not about tokens and requests go to apply_other."""
        for line in self.journal.lines():
            operation = line.pop("op")
            if operation == "token":
                self._index(Token(**line))
                self._seen(line["id"])
            elif operation == "event":
                self._note(self.tokens[line["token"]], line["entry"])
            elif operation == "update":
                for name, value in line["fields"].items():
                    setattr(self.tokens[line["token"]], name, value)
            elif operation == "request":
                record = RequestRecord(**line)
                if record.id not in self.requests:
                    self._count_arrival(record)
                self.requests[record.id] = record
                self._seen(record.id)
            elif operation == "clear":
                self._clear()
                self.serial = line["serial"]
            else:
                apply_other(operation, line)
        for record in self.requests.values():
            if record.ended is None:
                record.answer, record.ended = record.answer or "lost", record.at

    def _seen(self, identifier):
        self.serial = max(self.serial, int(identifier[1:]))
