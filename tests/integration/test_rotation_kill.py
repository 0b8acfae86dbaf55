"""kill -9 at any moment of a rotation, against rotation with reuse detection.

Each round orders a refresh of every account, kills the daemon somewhere in it, and reads from the disk how far each one
had come. Then: an account whose answer had reached the disk works on, at the newest token the provider gave; one whose
answer was lost says so and asks for a sign-in, but only if the provider did rotate; nothing superseded is handed out.

CREDSYNC_ROUNDS sets how many rotations a kill must hit (each kill hits those of several accounts, each at its own
moment), CREDSYNC_SEED repeats a run.
"""

import collections
import os
import random
import socket
import time
import unittest

import on_disk
from harness import DaemonTest, wait_for

ROUNDS = int(os.environ.get("CREDSYNC_ROUNDS", "500"))
SEED = int(os.environ.get("CREDSYNC_SEED", "0")) or random.randrange(1, 2**31)
ACCOUNTS = [f"account-{i}" for i in range(6)]
WINDOW = 0.12          # seconds over which random kills are spread
BEFORE, AFTER = 0.02, 0.05   # seconds the provider takes before and after it has rotated


class RotationKill(DaemonTest):
    LIFETIME = 3600   # nothing is refreshed but what the test orders

    def setUp(self):
        super().setUp()
        self.random = random.Random(SEED)
        self.provider.switch("rfc/kill", rotation="always", reuse_detection=True)
        self.daemon.profile("kill", self.provider.base_url, tables={"refresh": {"rotation": "always", "overlap": "0s"}})
        for name in ACCOUNTS:
            self.daemon.account(name, provider="kill", grant="refresh_token", revoke_grace="0s")
        self.family = {}                            # account -> the grant's family in the ledger
        self.newest = collections.Counter()         # account -> highest ledger generation handed out of that family
        self.handed_out = {}                        # token -> account
        self.seen = collections.Counter()
        self.kills = 0
        self.ordered = set()                        # accounts that have had their refresh since the daemon started

    def sign_in(self, api, name):
        pair = self.provider.issue("rfc/kill")
        answer = api.login(name, "refresh_token", pair["refresh_token"])
        self.assertEqual((answer.status, answer.json.get("state")), (200, "ok"), answer)
        self.family[name], self.newest[name] = pair["family"], 0

    def ledger_generation(self, name):
        """Of the newest access token in the account's family, as the provider knows it."""
        return max(t["generation"] for t in self.provider.tokens(family=self.family[name], kind="access"))

    def hand_out(self, api, name):
        """Takes a token and holds it against the ledger."""
        answer = self.granted(api.token(name, wait=0))
        found = self.provider.check(answer["access_token"])
        self.assertTrue(found["alive"], (name, found))
        self.assertEqual(found["family"], self.family[name])
        self.assertGreaterEqual(found["generation"], self.newest[name], f"{name}: a superseded token was handed out")
        self.newest[name] = found["generation"]
        self.handed_out[answer["access_token"]] = name
        return found

    # --- a round

    def order_all(self):
        """Orders a refresh of each account, each on its own connection, and does not wait for answers."""
        sockets = []
        for name in ACCOUNTS:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.connect(self.daemon.socket)
            s.sendall(f"POST /v1/accounts/{name}/refresh HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            sockets.append(s)
        return sockets

    def kill_somewhere(self, began):
        """At a random moment, or right when the provider has sent some of its answers."""
        can = len(ACCOUNTS) - len(self.ordered)
        if not can or self.random.random() < 0.5:
            time.sleep(self.random.random() * WINDOW)
        else:
            self.provider.wait(count=self.random.randint(1, can), timeout=10,
                               requests={"endpoint": "token", "since": began})
            time.sleep(self.random.random() * 0.01)
        self.daemon.kill()

    def round(self):
        """Orders, kills, and says what must be true of each account after that: works, or may be lost."""
        before = {name: self.ledger_generation(name) for name in ACCOUNTS}
        began = time.time()
        sockets = self.order_all()
        self.kill_somewhere(began)
        for s in sockets:
            s.close()
        wait_for(lambda: self.provider.summary()["under_way"] == 0, 10, "the provider to be done with what it got")
        under_way = on_disk.intents(self.daemon.state)
        expected = {}
        for name in ACCOUNTS:
            rotated = self.ledger_generation(name) > before[name]
            if name not in under_way:
                expected[name] = "installed" if rotated else "untouched"
            elif under_way[name]:
                expected[name] = "in its slot"
            else:
                expected[name] = "lost" if rotated else "not sent"
        return expected

    def verify(self, api, name, what):
        """After the restart."""
        self.seen[what] += 1
        try:
            self.check(api, name, what)
        except AssertionError as error:
            raise AssertionError(f"kill {self.kills} of seed {SEED}, {name} was: {what}") from error

    def check(self, api, name, what):
        found = self.hand_out(api, name)   # a lost answer costs no working token either
        if what in ("installed", "in its slot", "untouched"):
            self.assertFalse(found["superseded"], f"{name}: {what}, but an older token was handed out")
            return
        self.ordered.add(name)             # its allowance is used up until the next start
        status = api.refresh(name).json    # a person orders it: the unknown outcome is cleared up now
        if what == "not sent":
            self.assertEqual(status["state"], "ok", status)
            self.assertFalse(self.hand_out(api, name)["superseded"])
            return
        self.assertEqual(status["state"], "needs-login", status)
        self.assertIn("lost", status["error"]["message"])
        self.assertIn(f"credsync login {name}", status["next_step"]["command"])
        self.sign_in(api, name)
        self.hand_out(api, name)

    def hits(self):
        return sum(self.seen.values()) - self.seen["untouched"]

    def test_a_kill_at_any_moment_costs_nothing_that_had_reached_the_disk(self):
        api = self.start()
        for name in ACCOUNTS:
            self.sign_in(api, name)
            self.hand_out(api, name)
        self.provider.behave("delay", {"endpoint": "token", "grant": "refresh_token"}, seconds=BEFORE, when="before")
        self.provider.behave("delay", {"endpoint": "token", "grant": "refresh_token"}, seconds=AFTER, when="after",
                             probability=0.7, seed=SEED)
        while self.hits() < ROUNDS:
            self.kills += 1
            self.assertLessEqual(self.kills, ROUNDS, f"most kills hit nothing (seed {SEED}): {dict(self.seen)}")
            expected = self.round()
            self.daemon.start()
            self.ordered.clear()
            api = self.daemon.api()
            for name in ACCOUNTS:
                self.verify(api, name, expected[name])
            api.close()
        self.check_the_end()

    def check_the_end(self):
        self.provider.clear()
        self.daemon.restart()
        api = self.new_api()
        for name in ACCOUNTS:
            self.assertEqual(api.refresh(name).json["state"], "ok")
            self.assertFalse(self.hand_out(api, name)["superseded"])
        reused = self.provider.summary()["reused"]
        self.assertLessEqual(reused, self.seen["lost"], "a rotated refresh token is sent again only when its answer was lost")
        self.assertEqual(self.provider.summary()["same_credential_in_flight"], 0)
        print(f"\n{self.hits()} rotations hit by {self.kills} kills, seed {SEED}: " + ", ".join(f"{n} {what}" for what, n in sorted(self.seen.items())))
        if ROUNDS >= 100:   # the run did reach every window
            for what in ("installed", "in its slot", "lost", "not sent"):
                self.assertGreater(self.seen[what], 0, f"no kill came when an account was: {what}")
        self.assert_superseded_are_revoked()

    def assert_superseded_are_revoked(self):
        """What was handed out and replaced is revoked in the end, across all those crashes."""
        current = {name: self.newest[name] for name in ACCOUNTS}

        def left():
            found = zip(self.handed_out, self.provider.check_all(self.handed_out))
            return [t for t, f in found if f["alive"] and not (f["family"] == self.family[self.handed_out[t]]
                                                               and f["generation"] == current[self.handed_out[t]])]
        wait_for(lambda: not left(), 30, "all superseded tokens to be revoked")


if __name__ == "__main__":
    unittest.main()
