"""The same table of decisions over the message bus, with the same outcomes as over the socket where the broker hands over the
caller's process; where it does not, rules that name a unit or an executable match nobody. Needs root."""

import copy
import os
import unittest

import decisions
import test_decisions
from bus import PrivateBus
from harness import wait_for

DBUS_PROBE = r"""
import dbus, dbus.bus, json, os, sys
order = json.loads(sys.stdin.readline())
bus = dbus.bus.BusConnection(order["bus"])
NAME, PATH = "org.credsync.CredSync1", "/org/credsync/CredSync1"
def call(method, signature="", *arguments):
    return bus.call_blocking(NAME, PATH, NAME, method, signature, arguments)
def options(**given):
    return dbus.Dictionary(given, signature="sv")
def probe(account, action):
    try:
        if action == "get":
            token = call("GetAccessToken", "sa{sv}", account, options(wait=dbus.UInt32(0)))[0]
            return "allowed" if token == "token-of-" + account else "another account's token"
        method = {"watch": "GetAccount", "refresh": "Refresh", "login": "BeginLogin", "admin": "SignOut"}[action]
        more = (options(method="password"),) if action == "login" else ()
        call(method, "s" + "a{sv}" * len(more), account, *more)
        return "allowed"
    except dbus.exceptions.DBusException as error:
        name = error.get_dbus_name().rsplit(".", 1)[-1]
        return {"NotAllowed": "not-allowed", "NoSuchAccount": "no-such-account"}.get(name, "allowed")
outcomes = [probe(*a) for a in order["asks"]]
who = call("WhoAmI")
def plain(value):
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return str(value) if isinstance(value, str) else bool(value) if isinstance(value, dbus.Boolean) else int(value)
credentials = bus.call_blocking("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetConnectionCredentials",
                                "s", (bus.get_unique_name(),))
print(json.dumps({"outcomes": outcomes, "whoami": plain(who), "pid": os.getpid(), "hands_over": "ProcessFD" in credentials}),
      flush=True)
sys.stdin.read()
"""


class DecisionsOverTheBus(test_decisions.Decisions):
    # dbus-daemon lets in no user that the machine does not know: those of base-passwd are everywhere.
    KNOWN = (1, 2, 3, 5, 6, 7, 8, 9, 10)
    INVENTED = range(4001, 4100)
    hands_over = False   # the broker tells which process connected; known once one has

    def setUp(self):
        users = sorted(name for name, value in vars(decisions).items() if isinstance(value, int) and value in self.INVENTED)
        for name, uid in zip(users, self.KNOWN, strict=False):
            for module in (decisions, test_decisions):
                if hasattr(module, name):
                    self.addCleanup(setattr, module, name, getattr(module, name))
                    setattr(module, name, uid)
        self.assertLessEqual(len(users), len(self.KNOWN))
        self.bus = PrivateBus().start()
        self.addCleanup(self.bus.close)
        super().setUp()
        self.stage.exes["not established"] = None
        wait_for(self.bus.owner, 30, "the daemon on the bus")

    def new_daemon(self, **options):
        daemon = super().new_daemon(**options)
        daemon.bus = self.bus
        return daemon

    def seen(self, caller):
        """The caller as the bus shows it."""
        if self.hands_over:
            return caller
        blurred = copy.copy(caller)
        blurred.unit, blurred.exe = None, "not established"
        return blurred

    def granted_to(self, caller, account):
        return super().granted_to(self.seen(caller), account)

    def ask(self, caller, actions, check_whoami=False):
        asks = [(account, action) for account in self.rules for action in actions]
        said = self.stage.outcomes(caller, DBUS_PROBE, {"bus": self.bus.address, "asks": asks})
        self.hands_over = said["hands_over"]
        for (account, action), outcome in zip(asks, said["outcomes"]):
            with self.subTest(caller=caller.name, account=account, action=action):
                self.assertEqual(outcome, decisions.expected(self.granted_to(caller, account), action))
        if check_whoami:
            self.explained(caller, said)
        return len(asks)

    def explained(self, caller, said):
        """WhoAmI says the same as the rules, for each of them."""
        who, seen = said["whoami"], self.seen(caller)
        self.assertEqual((who["uid"], who["pid"]), (caller.uid, said["pid"]), caller.name)
        self.assertEqual({gid for gid, _ in who["groups"]}, caller.all_groups(), caller.name)
        self.assertEqual(who["gid"], min(caller.all_groups()))
        self.assertEqual((who.get("unit"), who.get("exe")), (seen.unit, self.stage.exes[seen.exe]), (caller.name, who))
        for key in ("unit", "exe"):
            self.assertNotEqual(key in who, bool(who.get(key + "_why")), (caller.name, who))
            if not self.hands_over:
                self.assertIn("broker does not hand over", who[key + "_why"])
        shown = {a["account"]: a for a in who["accounts"]}
        self.assertEqual({name: set(a["actions"]) for name, a in shown.items()},
                         {a: self.granted_to(caller, a) for a in self.rules if self.granted_to(caller, a)}, caller.name)
        for account, found in shown.items():
            matches = {r["rule"]: r["matches"] for r in found["rules"]}
            self.assertEqual([r for r in found["rules"] if not r["why"]], [], "each is explained")
            for where, rules in (("defaults", self.defaults), (f"account.{account}", self.rules[account])):
                for i, rule in enumerate(rules):
                    self.assertEqual(matches[f"{where}.allow[{i}]"], decisions.rule_matches(seen, rule, self.stage.exes),
                                     (caller.name, account, found))

    test_whoami_of_others_is_for_their_users_and_administrators = None   # the interface has no such method


if __name__ == "__main__":
    unittest.main()
