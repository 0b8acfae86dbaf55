"""Processes that try to pass for another: taken process ids, exec after connect, connections handed on, callers that die.

No grant to the wrong user, ever; and what exec and handing on can get is what credsyncd.toml(5) says. Needs root.
"""

import os
import shutil
import subprocess
import unittest

from harness import DaemonTest, binary

OWNER = 4001


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users, and taking process ids, needs root")
class Identity(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.configure(self.provider, rules=[{"user": 0, "actions": ["login"]}])
        # Where every user may run them.
        self.program = shutil.copy(binary("IMPOSTORS"), self.daemon.place("impostors"))
        self.other = shutil.copy(self.program, self.daemon.place("other"))
        rules = {"by-user": {"user": OWNER}, "by-exe": {"user": OWNER, "exe": self.program},
                 "by-other-exe": {"user": OWNER, "exe": self.other},
                 "by-unit": {"unit": "credsync-test.service"}}
        for name, rule in rules.items():
            self.daemon.account(name, provider="flat", grant="static", allow=[{**rule, "actions": ["get"]}])
        api = self.start()
        for name in rules:
            self.assertEqual(api.login(name, "token", f"token-of-{name}").status, 200)

    def rounds(self, scenario, count, *more):
        """{subject: {status: how often}}"""
        done = subprocess.run([self.program, scenario, self.daemon.socket, str(count), *more], capture_output=True, text=True,
                              timeout=500, check=False)
        if "Operation not permitted" in done.stderr:
            self.skipTest("NOT TESTED: clone3 with set_tid is not permitted here")
        self.assertEqual(done.returncode, 0, done.stderr)
        tally = {}
        for line in done.stdout.splitlines():
            subject, status, times = line.rsplit(" ", 2)
            tally.setdefault(subject, {})[int(status)] = int(times)
        self.assertIsNone(self.daemon.process.poll(), "the daemon died")
        return tally

    def test_a_taken_process_id_is_not_the_process(self):
        tally = self.rounds("reuse", 200)
        for account in ("by-user", "by-exe", "by-unit"):
            self.assertNotIn(200, tally[f"stranger {account}"], tally)
        # Of the same user: its connection is as good as one of its own, but shows neither unit nor executable.
        self.assertEqual(tally["same-user by-user"], {200: 200}, tally)
        self.assertEqual(tally["same-user by-exe"], {404: 200}, tally)
        self.assertEqual(tally["same-user by-unit"], {404: 200}, tally)

    def test_exec_after_connect_is_seen(self):
        tally = self.rounds("exec", 1000, self.other)
        self.assertEqual(tally, {"before by-exe": {200: 1000}, "after by-exe": {404: 1000}, "after by-other-exe": {200: 1000}})

    def test_a_connection_handed_on_is_good_for_nothing_new(self):
        tally = self.rounds("pass", 1000)
        for way in ("owner-to-stranger", "stranger-to-owner"):
            for account in ("by-user", "by-exe"):
                self.assertEqual(set(tally[f"{way} {account}"]) & {200}, set(), tally)
        self.assertEqual(tally["owner-to-owner by-user"], {200: 1000}, tally)
        self.assertEqual(tally["owner-to-owner by-exe"], {404: 1000}, tally)

    def test_who_dies_in_mid_request_leaves_nothing_to_others(self):
        tally = self.rounds("die", 1000)
        for account in ("by-user", "by-exe"):
            self.assertNotIn(200, tally[f"stranger {account}"], tally)
        self.assertEqual(tally["same-user by-exe"], {404: 1000}, tally)
        self.assertEqual(tally["same-user by-user"], {200: 1000}, tally)
        self.granted(self.new_api()("GET", "/v1/health"))


if __name__ == "__main__":
    unittest.main()
