"""The table of decisions over the socket, and that whoami explains each as it was made. Needs root."""

import os
import unittest

import decisions
from decisions import ACTIONS, SETUP
from harness import DaemonTest


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class Decisions(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.stage = decisions.Stage(self.daemon.directory)
        self.addCleanup(self.stage.close)
        self.rules, self.defaults = decisions.rules(self.stage.exes)
        self.daemon.configure(self.provider, rules=self.defaults)
        for name, own in self.rules.items():
            self.daemon.account(name, allow=own, provider="flat", grant="static")
        self.admin_group = decisions.with_admin_group(self.daemon)
        self.api = self.start()
        setup = decisions.Caller("setup", SETUP)
        tokens = 'import http.client, json, socket, sys\n' + TOKENS
        said = self.stage.outcomes(setup, tokens, {"socket": self.daemon.socket, "accounts": list(self.rules)})
        self.assertEqual(said, [200] * len(self.rules))

    def granted_to(self, caller, account):
        return decisions.granted(caller, self.rules[account], self.defaults, self.stage.exes, self.admin_group)

    def ask(self, caller, actions, check_whoami=False):
        asks = [(account, action) for account in self.rules for action in actions]
        order = {"socket": self.daemon.socket, "asks": asks}
        while_alive = (lambda said: self.explained(caller, said)) if check_whoami else None
        said = self.stage.outcomes(caller, decisions.HTTP_PROBE, order, while_alive)
        for (account, action), outcome in zip(asks, said["outcomes"]):
            with self.subTest(caller=caller.name, account=account, action=action):
                self.assertEqual(outcome, decisions.expected(self.granted_to(caller, account), action))
        return len(asks)

    def explained(self, caller, said):
        """Its own whoami, and an administrator's of it, say the same as the rules."""
        seen = self.api("GET", f"/v1/whoami?pid={said['pid']}").json
        own = said["whoami"]
        for who in (seen, own):
            self.assertEqual((who["uid"], who["gid"], who["pid"]), (caller.uid, caller.gid, said["pid"]), caller.name)
            self.assertEqual(who["unit"], caller.unit, (caller.name, who))
            self.assertEqual(who["exe"], self.stage.exes[caller.exe], caller.name)
            self.assertEqual({g["gid"] for g in who["groups"]}, caller.all_groups())
            self.assertEqual(who["unit"] is None, who["unit_why"] is not None)
        shown = {a["account"]: a for a in seen["accounts"]}
        self.assertEqual(set(shown), set(self.rules), "an administrator sees all accounts")
        for account, own_rules in self.rules.items():
            granted = self.granted_to(caller, account)
            self.assertEqual(set(shown[account]["actions"]), granted, (caller.name, account))
            matches = {r["rule"]: r["matches"] for r in shown[account]["rules"]}
            for where, rules in (("defaults", self.defaults), (f"account.{account}", own_rules)):
                for i, rule in enumerate(rules):
                    self.assertEqual(matches[f"{where}.allow[{i}]"], decisions.rule_matches(caller, rule, self.stage.exes),
                                     (caller.name, account, shown[account]))
        self.assertEqual({a["account"]: set(a["actions"]) for a in own["accounts"]},
                         {a: self.granted_to(caller, a) for a in self.rules if self.granted_to(caller, a)}, caller.name)

    def test_every_row_is_decided_and_explained_as_the_rules_say(self):
        rows = 0
        present = [c for c in decisions.callers() if self.stage.can_play(c)]
        for caller in present:
            rows += self.ask(caller, ACTIONS[:-1], check_whoami=True)
        for caller in present:
            rows += self.ask(caller, ACTIONS[-1:])
        print(f"{rows} rows, {len(present)} callers", flush=True)
        self.assertGreaterEqual(rows, 200)
        if len(present) < len(decisions.callers()) or self.admin_group is None:
            self.skipTest("NOT TESTED: callers in units (no unified control group hierarchy can be written), or administrators by "
                          "group (no mount namespace)")

    def test_whoami_of_others_is_for_their_users_and_administrators(self):
        alice, bob = decisions.Caller("alice", decisions.ALICE), decisions.Caller("bob", decisions.BOB)
        order = {"socket": self.daemon.socket, "asks": []}

        def ask_of(pid):
            probe = PID_PROBE.replace("PID", str(pid))
            return lambda said: seen.append([self.stage.outcomes(c, probe, order) for c in (alice, bob)])
        seen = []
        self.stage.outcomes(alice, decisions.HTTP_PROBE, order, lambda said: ask_of(said["pid"])(said))
        (mine, (status, body)), = seen
        self.assertEqual(mine[0], 200)
        self.assertEqual(mine[1]["uid"], decisions.ALICE)
        self.assertEqual(status, 403)
        missing = self.stage.outcomes(bob, PID_PROBE.replace("PID", "4194303"), order)
        self.assertEqual(missing, [status, body], "another's process and none are not told apart")
        self.refused(self.api("GET", "/v1/whoami?pid=4194303"), "bad-request", 400)
        for wrong in ("0", "-1", "x", "99999999999", ""):
            self.refused(self.api("GET", f"/v1/whoami?pid={wrong}"), "bad-request", 400)


COMMON = """
order = json.loads(sys.stdin.readline())
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(order["socket"])
connection = Connection("localhost")
"""
TOKENS = COMMON + """
statuses = []
for account in order["accounts"]:
    connection.request("POST", f"/v1/accounts/{account}/login", json.dumps({"method": "token", "secret": "token-of-" + account}))
    got = connection.getresponse()
    got.read()
    statuses.append(got.status)
print(json.dumps(statuses), flush=True)
sys.stdin.read()
"""
PID_PROBE = "import http.client, json, socket, sys\n" + COMMON + """
connection.request("GET", "/v1/whoami?pid=PID")
got = connection.getresponse()
print(json.dumps([got.status, json.loads(got.read())]), flush=True)
sys.stdin.read()
"""

if __name__ == "__main__":
    unittest.main()
