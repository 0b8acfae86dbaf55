"""Rate limits that a provider really enforces: a token bucket per provider or per client."""

from dataclasses import dataclass


@dataclass
class Bucket:
    level: float
    at: float


class Limits:
    """Buckets by provider (and client)."""

    def __init__(self, clock):
        self.clock = clock
        self.buckets = {}

    def over(self, provider, limit, endpoint, client):
        """Seconds to wait when this request is over the limit, else None. A request over it takes nothing."""
        if not limit or endpoint not in limit.get("endpoints", ["token"]):
            return None
        rate = float(limit["per_second"])
        burst = float(limit.get("burst", max(1.0, rate)))
        key = (provider, client if limit.get("per") == "client" else None)
        now = self.clock()
        bucket = self.buckets.setdefault(key, Bucket(burst, now))
        bucket.level = min(burst, bucket.level + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.level >= 1.0:
            bucket.level -= 1.0
            return None
        return (1.0 - bucket.level) / rate
