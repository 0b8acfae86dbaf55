"""script/soak stays alive: a short run of it ends well, and it notices a broken promise and growth."""

import os
import subprocess
import sys
import unittest

import soak
from harness import HERE

SECONDS = 45


class SoakTest(unittest.TestCase):
    def run_soak(self, *options, **environment):
        return subprocess.run([sys.executable, "-B", os.path.join(HERE, "soak.py"), "--minutes", str(SECONDS / 60), "--accounts", "120",
                               "--callers", "40", "--warm-up", "10", *options], capture_output=True, text=True, timeout=300, check=False,
                              env={**os.environ, **environment})

    def test_a_short_run_ends_well(self):
        done = self.run_soak("--seed", "7", "--kill-every", "15")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])
        self.assertIn("broken promises: 0", done.stdout)
        self.assertRegex(done.stdout, r"[1-9]\d* kill")

    @unittest.skipUnless(os.environ.get("CREDSYNCD_SWITCHED"), "NOT TESTED: needs a daemon that breaks its promises on order")
    def test_a_daemon_that_breaks_its_promises_is_noticed(self):
        # Shows within a minute, whatever the faults are.
        done = self.run_soak("--seed", "8", CREDSYNCD=os.environ["CREDSYNCD_SWITCHED"], CREDSYNC_MUTATION="revoke-at-once")
        self.assertEqual(done.returncode, 1, done.stdout[-3000:])
        self.assertIn("BROKEN", done.stdout)


class Growth(unittest.TestCase):
    def figure(self, samples):
        figure = soak.Figure("rss", 0.02, soak.MIB)
        figure.samples = samples
        return figure.growth()

    def test_what_grows_is_told_and_spikes_are_not(self):
        level = 50 * soak.MIB
        self.assertEqual(self.figure([level] * 60), "")
        self.assertEqual(self.figure([level + (20 * soak.MIB if i % 7 == 0 else 0) for i in range(60)]), "", "spikes")
        self.assertIn("rss grew", self.figure([level + i * soak.MIB // 20 for i in range(60)]))
        self.assertEqual(self.figure([level, 3 * level]), "", "too little to tell")


class Judgement(unittest.TestCase):
    def test_errors_and_ends_are_held_against_what_was_told(self):
        class Provider:
            def check_all(self, tokens):
                ends = {"good": 100, "ended": 0, "revoked": 100}
                return [{"known": t in ends, "dead_at": 1.0 if t == "revoked" else None, "expires_in": ends.get(t), "why_dead": "?"}
                        for t in tokens]
        for token, broken in (("good", 0), ("ended", 1), ("revoked", 1), ("unknown", 1)):
            book = soak.Book()
            now = soak.time.time()
            book.handed_out("a", now - 9, 8, {"expires_in": 20, "access_token": token})
            ends = {"ended": -5}
            provider = Provider()
            if token in ends:
                provider.check_all = lambda tokens: [{"known": True, "dead_at": None, "expires_in": -5, "why_dead": "expired"}]
            book.judge(provider)
            self.assertEqual(len(book.broken), broken, token)
        book = soak.Book()
        book.handed_out("a", soak.time.time(), 0, {"expires_in": 20, "access_token": "good"})
        book.refused("a", soak.time.time() + 1, 503, "unavailable")
        self.assertEqual(len(book.broken), 1, "an error although a token was there")
        book.refused("b", soak.time.time() + 1, 503, "unavailable")
        self.assertEqual(len(book.broken), 1, "there was none")


if __name__ == "__main__":
    unittest.main()
