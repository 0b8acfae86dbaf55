"""Storms: far more accounts due at once than the provider allows requests, with a declared limit and without one; and a
provider that is down for half of its tokens' life. No caller is handed an expired token or an error, the provider is never
asked for more than it allows, and what waited does not rush in when it is back. The ledger is the judge.

All three go on at once, at three instances of one practice provider. CREDSYNC_LONG=1 runs them at their full size: 10,000
accounts due in a minute at 100 requests a second, half an hour without the provider.

Why the short form is faithful: what decides is the ratio of what falls due to what is allowed (10,000 in 60 s at 100/s is
1.7 times too much; 3,000 in 18 s is the same), and shares of a token's life: margin, jitter, outage and the ceiling of
retries (a quarter of what remains). Those scale. Absolute are the floor (a tenth of the life, at least 10 s), the first retry
(1 s), a 429's pause (1 s) and the network; against a life of two minutes each of them weighs more than against an hour, so
the short form is the harder one. Under a sanitizer, which takes several times the processor's time for each request, a quarter of
the accounts meets a quarter of the limits: the same ratio, in the same time.
"""

import bisect
import os
import threading
import time
import unittest

import sanitizer
from front import Fronts
from harness import Api, DaemonTest, wait_for

LONG = bool(os.environ.get("CREDSYNC_LONG"))
SHARE = sanitizer.PATIENCE
LIMIT = 100 // SHARE        # requests a second
DUE = (10_000 if LONG else 3_000) // SHARE       # at a provider whose limit the profile names
UNTOLD = (2_000 if LONG else 600) // SHARE       # at one with the same limit, of which the profile says nothing
DOWN = (2_000 if LONG else 400) // SHARE         # at one that goes away
LIFE = 240 if LONG else 80            # seconds, of the first two: half of it is the margin, a fifth of that the jitter
LIFE_DOWN = 3_600 if LONG else 120    # of the third
OUTAGE = LIFE_DOWN / 2
# What the daemon does by itself for tokens of an hour (refresh/policy.h); laid over the short ones as a setting.
MARGIN_OF_AN_HOUR = 35 / 60
JITTER = 0.2
A_FILE = 2_000              # accounts in one file, which has a MiB at most
SEED_SECONDS = 60           # in which all must have their first token
CATCH_UP = 5 / 60 * LIFE_DOWN   # within which all are refreshed when it is back
LONGEST_RETRY = min(300, MARGIN_OF_AN_HOUR * LIFE_DOWN / 4)   # a quarter of what remains, at most five minutes
WINDOW = 24                 # exchanges under way with one endpoint and client (refresh/limits.h)
FIRST_WINDOW = 4
PAUSE = 1.0                 # the practice provider's Retry-After
SLACK = 0.05                # seconds; one clock, but read in two processes


class Caller(threading.Thread):
    """Asks for one account's token after the other, again and again, until told to stop."""

    def __init__(self, socket, names):
        super().__init__()
        self.api, self.names = Api(socket), names
        self.pause = 0.001   # seconds between two requests: this is no benchmark
        self.handed_out, self.failures = [], []
        self.latest = {}   # account -> (generation, when it ends): cheaper to ask than the ledger of a busy provider
        self.over = threading.Event()

    def run(self):
        try:
            while not self.over.is_set():
                for name in self.names:
                    asked = time.time()
                    answer = self.api.token(name)
                    if answer.status == 200:
                        told = answer.json
                        self.handed_out.append((name, asked, told["access_token"]))
                        self.latest[name] = (told["generation"], asked + told["expires_in"])
                    else:
                        self.failures.append((name, asked, answer))
                    time.sleep(self.pause)
        except Exception as error:   # whatever it is, the test must hear of it
            self.failures.append(("caller", time.time(), error))
        finally:
            self.api.close()


def most_in_a_second(moments):
    """The most of these in any second, wherever it begins."""
    moments = sorted(moments)
    return max((bisect.bisect_left(moments, at + 1.0) - i for i, at in enumerate(moments)), default=0)


class Storms(DaemonTest):
    def setUp(self):
        super().setUp()
        self.fronts = Fronts()
        self.addCleanup(self.fronts.close)
        self.front = self.fronts.open(self.provider.port)

    def prepare(self):
        self.names = {"due": [f"due-{i}" for i in range(DUE)], "untold": [f"untold-{i}" for i in range(UNTOLD)],
                      "down": [f"down-{i}" for i in range(DOWN)]}
        for provider, names in self.names.items():
            margin = f"{MARGIN_OF_AN_HOUR * LIFE_DOWN:.0f}s" if provider == "down" and not LONG else None
            texts = [self.text_of(name, provider, i, margin) for i, name in enumerate(names)]
            for first in range(0, len(texts), A_FILE):
                self.daemon.write(f"accounts.d/{provider}-{first}.toml", "".join(texts[first:first + A_FILE]))
            # A client of its own: what one endpoint and client may do is shared, and these are to be three providers.
            self.provider.register(f"rfc/{provider}", clients=[{"id": f"{provider}-client", "secret": "demo-secret"}])
            self.provider.set_lifetime(f"rfc/{provider}", LIFE_DOWN if provider == "down" else LIFE)
        self.write_profiles()

    @staticmethod
    def text_of(name, provider, number, margin):
        """One account; each has a scope of its own, so that each is a grant of its own."""
        return (f'[account.{name}]\nprovider = "{provider}"\ngrant = "client_credentials"\nclient_id = "{provider}-client"\n'
                f'client_secret = {{ file = "client.secret" }}\nscopes = ["s{number}"]\n' + (f'margin = "{margin}"\n' if margin else ""))

    def write_profiles(self, limited=False):
        for provider in self.names:
            base = f"https://127.0.0.1:{self.front.port}" if provider == "down" else self.provider.base_url
            tables = {"limits": {"requests_per_second": LIMIT}} if limited and provider == "due" else {}
            self.daemon.profile(provider, base, tables=tables)

    def posts_of(self, provider, since=0.0):
        return self.posts(provider=f"rfc/{provider}", since=since)

    def renewed(self, provider):
        """Accounts of it whose callers have had a token that is newer than their first."""
        return sum(generation > 1 for generation, _ in list(self.callers[provider].latest.values()))

    def test_storms(self):
        self.prepare()
        began = time.time()
        api = self.start()
        everything = sum(len(names) for names in self.names.values())
        wait_for(lambda: self.installed(api) >= everything, SEED_SECONDS, "a token for everybody")
        seeded = time.time()
        api.close()
        # From here on the limits hold; the profile of one provider names its own.
        for provider in ("due", "untold"):
            self.provider.switch(f"rfc/{provider}", rate_limit={"per_second": LIMIT, "burst": LIMIT})
        self.write_profiles(limited=True)
        self.daemon.restart()
        self.callers = {provider: Caller(self.daemon.socket, names) for provider, names in self.names.items()}
        for caller in self.callers.values():
            caller.start()
        try:
            outage = threading.Thread(target=self.take_away)
            outage.start()
            wait_for(lambda: self.renewed("due") == DUE, 2 * LIFE, "all of the first storm to be renewed")
            wait_for(lambda: self.renewed("untold") == UNTOLD, LIFE, "all of the second storm to be renewed")
            self.calm("due", "untold")
            outage.join()
            wait_for(lambda: not self.still_waiting(), LONGEST_RETRY + CATCH_UP, "the third to have caught up")
        finally:
            for caller in self.callers.values():
                caller.over.set()
            for caller in self.callers.values():
                caller.join()
        print(f"\n{everything} accounts had their first token after {seeded - began:.0f} s", flush=True)
        tokens = {t["value"]: t for t in self.provider.tokens(values=True, kind="access")}
        for check in (self.check_callers, self.check_limit, self.check_untold, self.check_return):
            with self.subTest(check.__name__):
                check(seeded, tokens)

    def calm(self, *providers):
        """Their storms are over. What they would go on with costs the machine that the third needs for the rest of its hour."""
        for provider in providers:
            self.provider.set_lifetime(f"rfc/{provider}", LIFE_DOWN)
            self.callers[provider].pause = 0.1

    @staticmethod
    def installed(api):
        lines = api("GET", "/metrics").body.decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("credsync_refreshes_installed_total "))

    def take_away(self):
        """The provider goes when half of its accounts have been renewed: then many are as near to their end as an account ever
        is whose provider is well."""
        wait_for(lambda: self.renewed("down") >= DOWN / 2, LIFE_DOWN, "half of them to be renewed")
        self.front.refuse()
        self.gone_at = time.time()
        time.sleep(OUTAGE)
        # Those whose renewal fell due while it was away.
        self.back_at = time.time()
        self.waiting = {name: generation for name, (generation, ends) in list(self.callers["down"].latest.items())
                        if ends - self.back_at < MARGIN_OF_AN_HOUR * LIFE_DOWN}
        self.front.relay()

    def still_waiting(self):
        return [name for name, generation in self.waiting.items() if self.callers["down"].latest[name][0] <= generation]

    # --- what must be true

    def check_callers(self, _, tokens):
        """None was handed an error or an expired token, before, in and after the storms."""
        for caller in self.callers.values():
            self.assertEqual(caller.failures[:3], [], f"{len(caller.failures)} requests failed")
            self.assertGreater(len(caller.handed_out), len(caller.names))
            for name, asked, value in caller.handed_out:
                self.assertGreater(tokens[value]["expires_at"], asked - SLACK, f"{name}: expired when it was handed out")
        print(f"{sum(len(c.handed_out) for c in self.callers.values())} hand-outs, none of them expired", flush=True)

    def check_limit(self, since, _):
        """Never over a limit that the profile names, and not far below it either."""
        posts = self.posts_of("due", since)
        self.assertEqual({p["outcome"] for p in posts}, {"ok"}, "nobody was turned away")
        most = most_in_a_second([p["at"] for p in posts])
        self.assertLessEqual(most, LIMIT)
        storm = sorted(p["at"] for p in posts)[:DUE]
        rate = (len(storm) - 1) / (storm[-1] - storm[0])
        print(f"{DUE} due at {LIMIT}/s: {rate:.0f} a second for {storm[-1] - storm[0]:.0f} s, at most {most} in one", flush=True)

    def check_untold(self, since, _):
        """A limit that is only learnt by running into it: who is turned away waits, and so does everybody else."""
        posts = sorted(self.posts_of("untold", since), key=lambda p: p["at"])
        refused = [p["at"] for p in posts if p["over_limit"]]
        self.assertEqual({p["outcome"] for p in posts} - {"over limit"}, {"ok"})
        pauses = []   # the first refusal of each run into the limit
        for at in refused:
            if not pauses or at > pauses[-1] + PAUSE / 2:
                pauses.append(at)
        for at in pauses:
            # What was under way when the first was refused may still come; then silence until the time that was named.
            meanwhile = [p["at"] for p in posts if at < p["at"] < at + PAUSE - SLACK]
            self.assertLessEqual(len(meanwhile), WINDOW, f"asked on {len(meanwhile)} times after a 429")
        self.assertLessEqual(len(refused), WINDOW * max(1, len(pauses)))
        print(f"{UNTOLD} due at an untold {LIMIT}/s: {len(refused)} refusals in {len(pauses)} runs into the limit", flush=True)

    def check_return(self, *_):
        """When it is back it is asked by one account after the other, not by all at once."""
        came = sorted(p["at"] for p in self.posts_of("down", self.back_at))
        self.assertEqual([p for p in self.posts_of("down", self.gone_at + 1) if p["at"] < self.back_at], [])
        first_second = [at for at in came if at < came[0] + 1]
        peak = most_in_a_second(came)
        self.assertLessEqual(peak, max(FIRST_WINDOW, len(self.waiting) / 2), "a stampede")
        self.assertLessEqual(self.provider.summary(provider="rfc/down")["peak_in_flight"], WINDOW)
        print(f"away for {OUTAGE:.0f} s: {len(self.waiting)} of {DOWN} waited; back: {len(first_second)} requests in the first second, "
              f"at most {peak} in one, the first after {came[0] - self.back_at:.1f} s", flush=True)


if __name__ == "__main__":
    unittest.main()
