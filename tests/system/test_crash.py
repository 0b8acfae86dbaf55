"""kill -9 in mid-rotation, and systemd starts the daemon again: nothing is lost, by the provider's ledger.

CREDSYNC_ROUNDS sets how many kills, CREDSYNC_SEED repeats a run.
"""

import os
import random
import time
import unittest

from harness import SERVICE, SOCKET, MachineTest, wait_for

ORDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "order.py")
ROUNDS = int(os.environ.get("CREDSYNC_ROUNDS", "60" if os.environ.get("CREDSYNC_LONG") else "8"))
SEED = int(os.environ.get("CREDSYNC_SEED", "0")) or random.randrange(1, 2**31)
ACCOUNTS = [f"account-{i}" for i in range(6)]
WINDOW = 0.25                 # seconds after the order in which the kill comes
BEFORE, AFTER = 0.05, 0.1     # seconds the provider takes before and after it has rotated
OVERLAP = 300                 # seconds in which a replaced refresh token still gives new ones: then no kill may cost a grant
RECOVERY = 60.0               # seconds


class Crash(MachineTest):
    LIFETIME = 3600   # nothing is refreshed but what the test orders

    def sign_in_all(self):
        self.provider.switch("rfc/kill", rotation="always", reuse_detection=True, overlap=OVERLAP, overlap_answer="new")
        self.box.configure(self.provider)
        self.box.profile(self.provider, "kill", tables={"refresh": {"rotation": "always", "overlap": f"{OVERLAP}s"}})
        self.box.copy_in(ORDER, "/opt/test/order.py")
        for name in ACCOUNTS:
            self.box.account(name, provider="kill", grant="refresh_token", revoke_grace="0s")
        self.box.run("systemctl", "reload-or-restart", SERVICE)
        self.family = {}
        for name in ACCOUNTS:
            pair = self.provider.issue("rfc/kill")
            self.box.credsync("login", name, "--refresh-token-stdin", stdin=pair["refresh_token"] + "\n")
            self.family[name] = pair["family"]
        self.provider.behave("delay", {"endpoint": "token", "grant": "refresh_token"}, seconds=BEFORE, when="before")
        self.provider.behave("delay", {"endpoint": "token", "grant": "refresh_token"}, seconds=AFTER, when="after")

    def order_and_kill(self):
        before = self.box.main_pid()
        orders = self.box.popen("/usr/bin/python3", "/opt/test/order.py", SOCKET, *ACCOUNTS)
        self.assertEqual(orders.stdout.readline(), "ordered\n")
        time.sleep(self.random.random() * WINDOW)
        self.box.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", SERVICE)
        orders.communicate()
        wait_for(lambda: self.box.is_active() and self.box.main_pid() not in (0, before), RECOVERY, "systemd to have started another")

    def verify(self, name):
        """After the restart: what is handed out works, and the grant can still be renewed."""
        found = self.assert_alive(self.box.token(name))
        self.assertEqual(found["family"], self.family[name])
        status, answer = self.http_refresh(name)
        self.assertEqual((status, answer.get("state")), (200, "ok"), answer)
        found = self.assert_alive(self.box.token(name))
        self.assertFalse(found["superseded"], found)
        self.assertEqual(found["generation"], found["latest_generation"], found)

    def rotations(self):
        return self.provider.summary()["outcomes"].get("ok", 0)

    def http_refresh(self, name):
        return self.box.http("POST", f"/v1/accounts/{name}/refresh")

    def test_kills_cost_nothing_and_it_starts_again(self):
        self.random = random.Random(SEED)
        self.sign_in_all()
        hit = 0
        for number in range(1, ROUNDS + 1):
            before = self.rotations()
            self.order_and_kill()
            hit += self.rotations() > before
            for name in ACCOUNTS:
                with self.subTest(kill=number, seed=SEED, account=name):
                    self.verify(name)
        self.assertGreater(hit, 0, "no kill came after the provider had rotated")
        self.assertEqual(self.box.show(SERVICE, "NRestarts")["NRestarts"], str(ROUNDS))
        self.assertEqual(self.provider.summary()["same_credential_in_flight"], 0)
        print(f"\n{ROUNDS} kills of seed {SEED}: {self.provider.summary()['outcomes']}")


if __name__ == "__main__":
    unittest.main()
