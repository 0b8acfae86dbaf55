"""Questions to the ledger: views of tokens and requests, checks of one token, counts."""

from collections import Counter
from dataclasses import asdict

TOKEN_FILTERS = ("provider", "client", "user", "kind", "family", "id", "grant")
REQUEST_FILTERS = ("provider", "client", "endpoint", "grant", "outcome", "auth", "encoding", "answer", "id", "credential")
DEAD_USES = ("used_dead", "used_expired")


def _matches(item, filters, names):
    return all(str(getattr(item, name)) == str(filters[name]) for name in names if filters.get(name) is not None)


def token_view(token, now, with_value):
    from .ledger import digest
    view = asdict(token)
    if not with_value:
        del view["value"]
    view["sha256"] = digest(token.value)
    view["alive"] = token.alive(now)
    view["why_dead"] = token.why_dead(now)
    return view


def tokens(ledger, filters):
    """Tokens by provider, client, user, kind, family, id, grant; alive=0|1, since=epoch s; values=1 shows them."""
    now, since = ledger.clock(), float(filters.get("since") or 0)
    found = []
    for token in ledger.tokens.values():
        if not _matches(token, filters, TOKEN_FILTERS) or token.issued_at < since:
            continue
        if filters.get("alive") is not None and token.alive(now) != (str(filters["alive"]).lower() in ("1", "true")):
            continue
        found.append(token_view(token, now, str(filters.get("values", "")).lower() in ("1", "true")))
    return found


def request_records(ledger, filters):
    since = float(filters.get("since") or 0)
    return [r for r in ledger.requests.values() if r.at >= since and _matches(r, filters, REQUEST_FILTERS)]


def requests(ledger, filters):
    """Requests by provider, client, endpoint, grant, outcome, auth, encoding, answer, credential; since=epoch s."""
    return [asdict(r) for r in request_records(ledger, filters)]


def check(ledger, value):
    """What became of one token: is it alive, which generation, has a newer one taken its place."""
    token = ledger.find(value)
    if token is None:
        return {"known": False, "alive": False}
    now = ledger.clock()
    newest = max((t for t in ledger.families[token.family] if t.kind == token.kind), key=lambda t: t.generation)
    return {"known": True, "id": token.id, "kind": token.kind, "provider": token.provider, "client": token.client,
            "user": token.user, "family": token.family, "generation": token.generation,
            "latest_generation": newest.generation, "superseded": newest.generation > token.generation,
            "newer_login": ledger.logins[ledger.owner(token)] > token.family_started, "alive": token.alive(now), "why_dead": token.why_dead(now),
            "expires_in": None if token.expires_at is None else token.expires_at - now,
            "dead_at": token.dead_at, "counts": token.counts}


def _superseded_alive(ledger, chosen, now):
    """Access tokens that still work although their family has a newer generation: what retiring should leave at 0."""
    count = 0
    for token in chosen:
        if token.kind == "access" and token.alive(now) and ledger.generation(token.family) > token.generation:
            count += 1
    return count


def _superseded_counts(ledger, chosen):
    superseded = [t for t in chosen if t.kind == "access" and ledger.generation(t.family) > t.generation]
    return {"superseded": len(superseded), "superseded_revoked": sum(t.dead_at is not None for t in superseded)}


def _peak(peaks, provider):
    """Of one provider, or the highest of all."""
    return peaks.get(provider, 0) if provider else max(peaks.values(), default=0)


def summary(ledger, filters):
    """Counts over all tokens and requests that the filters let through."""
    now = ledger.clock()
    chosen = [t for t in ledger.tokens.values() if _matches(t, filters, TOKEN_FILTERS)]
    records = request_records(ledger, filters)
    events = Counter()
    for token in chosen:
        events.update(token.counts)
    posts = [r for r in records if r.endpoint == "token"]
    provider = filters.get("provider")
    return {
        "tokens": dict(Counter(t.kind for t in chosen)),
        "alive": dict(Counter(t.kind for t in chosen if t.alive(now))),
        "superseded_alive": _superseded_alive(ledger, chosen, now),
        **_superseded_counts(ledger, chosen),
        "generations": {f: ledger.generation(f) for f in sorted({t.family for t in chosen if t.kind == "access"})},
        "events": dict(events),
        "dead_uses": sum(events[e] for e in DEAD_USES),
        "reused": events["reused"],
        "lost_answers": sum(r.answer == "lost" for r in records),
        "requests": dict(Counter(r.endpoint for r in records)),
        "posts": len(posts),
        "outcomes": dict(Counter(r.outcome or "under way" for r in posts)),
        "grants": dict(Counter(r.grant or "none" for r in posts)),
        "over_limit": sum(r.over_limit for r in records),
        "same_credential_in_flight": sum(r.in_flight_same_credential > 0 for r in posts),
        "deviations": dict(Counter(d for r in records for d in r.deviations)),
        "under_way": sum(r.ended is None for r in records),
        "peak_per_second": _peak(ledger.peaks, provider),
        "peak_in_flight": _peak(ledger.widest, provider),
    }
