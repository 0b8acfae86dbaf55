"""A hundred accounts with five-second tokens and callers on all of them; a thousand callers at one expired token.

CREDSYNC_LONG=1 runs ten minutes instead of one.
"""

import collections
import os
import resource
import threading
import time
import unittest

import crowd
import on_disk
from harness import Api, DaemonTest, USER, wait_for

LIFETIME = 5
DURATION = 600 if os.environ.get("CREDSYNC_LONG") else 60
CALLERS = 4               # threads, each with one kept connection
PACE = 0.005              # seconds between a caller's requests: this is no benchmark
ROTATING, FLAT, FLUME = 34, 33, 33
EARLIEST_RENEWAL = LIFETIME / 2 * (1 - 0.2)   # seconds of a token's life: half of it, at most a fifth of that earlier
SLACK = 0.05              # seconds; one clock, but read in two processes
THOUSAND = 1000


class HandOut:
    """What one caller was told, and when it asked."""

    def __init__(self, asked, min_valid, answer):
        self.asked, self.min_valid = asked, min_valid
        self.account, self.token = answer["account"], answer["access_token"]
        self.generation, self.expires_in, self.met = answer["generation"], answer["expires_in"], answer["min_valid_met"]


class ManyAccounts(DaemonTest):
    LIFETIME = LIFETIME

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))   # the daemon inherits it

    def write_accounts(self):
        """Three ways to be retired: rotation with a known cascade, revocation by order, erasure."""
        self.provider.switch("rfc/many", rotation="always", reuse_detection=True, overlap=0)
        self.daemon.profile("many", self.provider.base_url, tables={"refresh": {"rotation": "always", "overlap": "0s"}})
        for i in range(ROTATING):
            self.daemon.account(f"rotating-{i}", provider="many", grant="refresh_token", revoke_grace="0s")
        for i in range(FLAT):
            self.daemon.account(f"flat-{i}", provider="flat", grant="refresh_token", revoke_superseded="always", revoke_grace="0s")
        for i in range(FLUME):
            self.daemon.account(f"flume-{i}", provider="flume", grant="password", username=USER,
                                password={"file": "flume.password"})

    def sign_in_all(self, api):
        for kind, provider, count in (("rotating", "rfc/many", ROTATING), ("flat", "flat", FLAT)):
            pairs = self.provider.issue_many([{"provider": provider}] * count)
            for i, pair in enumerate(pairs):
                answer = api.login(f"{kind}-{i}", "refresh_token", pair["refresh_token"])
                self.assertEqual(answer.status, 200, answer)

    def call(self, names, until, hand_outs, failures, started):
        """A caller: goes round its accounts, asking now for any token, now for a second's validity."""
        api = Api(self.daemon.socket)
        min_valid = started % 2
        try:
            while time.time() < until:
                for name in names:
                    time.sleep(PACE)
                    min_valid = 1 - min_valid
                    asked = time.time()
                    answer = api.token(name, min_valid=min_valid)
                    if answer.status == 200:
                        hand_outs.append(HandOut(asked, min_valid, answer.json))
                    else:
                        failures.append((name, answer))
        except Exception as error:   # whatever it is, the test must hear of it
            failures.append(("caller", error))
        finally:
            api.close()

    def run_callers(self, names):
        hand_outs, failures, until = [], [], time.time() + DURATION
        threads = [threading.Thread(target=self.call, args=(names[i::CALLERS], until, hand_outs, failures, i))
                   for i in range(CALLERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures[:5], [])
        return hand_outs

    def test_a_hundred_accounts_with_short_tokens(self):
        self.write_accounts()
        api = self.start()
        self.sign_in_all(api)
        names = [f"{kind}-{i}" for kind, count in (("rotating", ROTATING), ("flat", FLAT), ("flume", FLUME)) for i in range(count)]
        began = time.time()
        hand_outs = self.run_callers(names)
        self.daemon.stop()   # so that all of the ledger is of one moment
        took = time.time() - began
        tokens = {t["value"]: t for t in self.provider.tokens(values=True)}
        self.check_hand_outs(hand_outs, tokens)
        self.check_generations(hand_outs, tokens, names, took)
        self.check_retired()

    def check_hand_outs(self, hand_outs, tokens):
        """No hand-out below what it promised, by the provider's clock and book."""
        for h in hand_outs:
            token = tokens[h.token]
            self.assertTrue(h.met, vars(h))
            self.assertGreaterEqual(h.expires_in, h.min_valid)
            self.assertGreaterEqual(token["expires_at"], h.asked + h.expires_in - SLACK, "more was promised than there is")
            good_until = min(t for t in (token["expires_at"], token["dead_at"], token["dies_at"]) if t is not None)
            self.assertGreaterEqual(good_until, h.asked + h.min_valid - SLACK,
                                    f"it died before its promise was over: {vars(h)} {token}")

    def check_generations(self, hand_outs, tokens, names, took):
        """One POST a generation, none too early, nobody forgotten, and nothing old after something new."""
        summary = self.provider.summary()
        self.assertEqual(set(summary["outcomes"]), {"ok"}, summary["outcomes"])
        access = [t for t in tokens.values() if t["kind"] == "access"]
        issued_by_hand = ROTATING + FLAT
        self.assertEqual(summary["posts"], len(access) - issued_by_hand)
        self.assertEqual((summary["reused"], summary["same_credential_in_flight"], summary["dead_uses"]), (0, 0, 0))
        families = collections.Counter(t["family"] for t in access)
        self.assertEqual(len(families), len(names))
        self.assertLessEqual(max(families.values()), took / (EARLIEST_RENEWAL - 0.1) + 3, "renewed more often than needed")
        self.assertGreaterEqual(min(families.values()), took / (2 * LIFETIME))
        newest = {}
        for h in hand_outs:   # of each account in the order in which its one caller asked
            generation = tokens[h.token]["generation"]
            self.assertGreaterEqual(generation, newest.get(h.account, 0), f"{h.account}: an old token came back")
            newest[h.account] = generation
        self.assertEqual(set(newest), set(names))

    def check_retired(self):
        """Revoked where that is possible, else erased; what the stop left to do is done after the next start."""
        self.daemon.start()
        api = self.new_api()
        wait_for(lambda: all(a["retiring"]["pending"] == 0 for a in api("GET", "/v1/accounts").json["accounts"]), 30,
                 "the queue of retirements to be empty")
        self.assertEqual({r["outcome"] for r in self.provider.requests(endpoint="revoke")}, {"ok"})
        for provider in ("flat", "rfc/many"):
            summary = self.provider.summary(provider=provider)
            self.assertGreater(summary["superseded_revoked"], 0.9 * summary["superseded"], "the rest had ended by itself")
        self.daemon.stop()
        self.assertEqual(on_disk.rows(self.daemon.state, "SELECT account FROM retirements"), [])
        kept = on_disk.rows(self.daemon.state, "SELECT count(*) FROM accounts WHERE tokens IS NOT NULL")
        self.assertEqual(kept, [(ROTATING + FLAT + FLUME,)])

    def test_a_thousand_callers_at_one_expired_token(self):
        self.daemon.account("one", provider="flume", grant="password", username=USER, password={"file": "flume.password"},
                            refresh="on-demand")
        api = self.start()
        first = self.granted(api.token("one"))
        wait_for(lambda: not self.provider.check(first["access_token"])["alive"], 15, "the token to end")
        before = len(self.posts())
        self.provider.behave("delay", {"endpoint": "token"}, seconds=1, when="before", times=1)
        answers = crowd.ask_all(self.daemon.socket, [crowd.get("/v1/accounts/one/token?wait=30")] * THOUSAND)
        served = {(a.status, a.json.get("access_token")) for a in answers}
        self.assertEqual(len(answers), THOUSAND)
        self.assertEqual(len(served), 1, served)
        status, token = served.pop()
        self.assertEqual(status, 200)
        self.assertNotEqual(token, first["access_token"])
        self.assert_alive(token)
        self.assertEqual(len(self.posts()) - before, 1)

    def test_a_thousand_callers_at_a_first_token(self):
        rule = self.provider.behave("hang", {"endpoint": "token"}, when="before", times=1)
        self.daemon.account("one", provider="fflogs", grant="client_credentials")
        self.start()
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/accounts/one/token?wait=30")] * THOUSAND)
        crowd.send_all(callers)
        self.provider.wait(hanging=rule)
        self.provider.release(rule)
        answers = crowd.gather(callers)
        self.assertEqual({a.status for a in answers}, {200})
        self.assertEqual(len({a.json["access_token"] for a in answers}), 1)
        self.assertEqual(len(self.posts()), 1)


if __name__ == "__main__":
    unittest.main()
