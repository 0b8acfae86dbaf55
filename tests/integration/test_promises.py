"""A caller was promised a token; then the daemon is killed. What replaces the token must not cost the caller its promise.

The practice provider's ledger says when a token died. What is stored lies a step ahead of the last promise (decision 032), and
what nobody was promised is revoked at once, so that it shows whether anything is revoked at that time at all.
"""

import time
import unittest

from faults import Points, RotatingTest, died
from harness import wait_for

PROMISE = 15          # seconds that callers ask for
AHEAD = 60            # seconds that what is stored lies ahead of a promise this short
SOON = 10             # seconds for a revocation that is due
ALL = ["rotated", "kept", "parked", "unpromised"]


class Promises(RotatingTest):
    def setUp(self):
        super().setUp()
        self.points = Points(self.daemon)
        self.rotating(*ALL)
        self.old = {}        # account -> the token that is replaced
        self.until = 0.0     # when the last promise is over

    def hand_out(self, api, name, min_valid):
        self.points.forget()
        self.old[name] = self.granted(api.token(name, min_valid=min_valid, wait=0))["access_token"]
        self.until = time.monotonic() + PROMISE
        if min_valid:
            wait_for(lambda: "promise.kept" in self.points.seen(), 10, "the promise to be stored")

    def alive(self, name):
        return self.provider.check(self.old[name])["alive"]

    def replace(self, api, name):
        self.assert_works_on(api, name)
        self.assertNotEqual(self.assert_newest(api, name), self.old[name])

    def test_a_crash_takes_no_promise_back_and_keeps_nothing_for_long(self):
        api = self.start()
        for name in ALL:
            self.sign_in(api, name)
            self.hand_out(api, name, 0 if name == "unpromised" else PROMISE)
        self.replace(api, "rotated")
        self.replace(api, "unpromised")
        self.daemon.remove_account("parked")
        self.assertEqual(api.reload().status, 200)
        self.daemon.kill()
        api.close()
        self.rotating("parked")

        self.daemon.start()
        api = self.new_api()
        self.replace(api, "kept")
        self.replace(api, "parked")
        wait_for(lambda: not self.alive("unpromised"), SOON, "a token that nobody was promised to be revoked")
        promised = [name for name in ALL if name != "unpromised"]
        self.assertLess(time.monotonic(), self.until, "too slow to see anything")
        while time.monotonic() < self.until - 0.5:
            for name in promised:
                self.assertTrue(self.alive(name) or time.monotonic() >= self.until, f"{name}: revoked before its promise is over")
            time.sleep(0.2)
        left = self.until + AHEAD + SOON - time.monotonic()
        wait_for(lambda: not any(self.alive(name) for name in promised), left, "what was promised to be revoked soon after")

    def test_a_kill_while_a_promise_is_stored_costs_nothing(self):
        api = self.start()
        self.sign_in(api, "kept")
        self.points.set("promise.kept kill")
        token = self.granted(api.token("kept", min_valid=PROMISE, wait=0))["access_token"]
        self.assertTrue(died(self.daemon, 10), "the point was not reached")
        api.close()
        self.points.set()
        self.daemon.start()
        api = self.new_api()
        self.assertEqual(self.assert_newest(api, "kept"), token)
        self.assert_works_on(api, "kept")
        self.assert_alive(token)


if __name__ == "__main__":
    unittest.main()
