"""The daemon on a message bus: what the documents show works, another user sees nothing, and buses and daemons may go and
come back. The bus is a dbus-daemon of the test's own, with the policy that we ship.

Becoming other users needs root; says so loudly otherwise.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import unittest
import xml.etree.ElementTree

import dbus

import bus_client
import sanitizer
from bus import ERROR, INVALID_ARGS, NAME, PATH, PrivateBus, become
from bus_client import Client, Refused, turn_until, wait_all
from harness import DaemonTest, HERE, REPOSITORY, USER, wait_for

# dbus-daemon lets in no user that the machine does not know: those of base-passwd are everywhere.
OWNER, STRANGER, MEMBER = 1, 3, 7   # daemon, sys, lp
GROUP = 4100
INTERFACE_DOCUMENT = os.path.join(REPOSITORY, "ipc", "dbus", "org.credsync.CredSync1.xml")
MANUAL = os.path.join(REPOSITORY, "docs", "man", "org.credsync.CredSync1.5")
FLUME = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}
CALLERS = 1000
CONNECTIONS = 10
HOSTILE_MESSAGES = 2000


class BusTest(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.bus = PrivateBus().start()
        self.addCleanup(self.bus.close)
        self.daemon.bus = self.bus
        self.daemon.configure(self.provider)

    def start(self):
        api = super().start()
        self.on_the_bus()
        return api

    def on_the_bus(self):
        wait_for(self.bus.owner, 30, "the daemon on the bus")

    def connect(self):
        client = Client(self.bus.address)
        self.addCleanup(client.close)
        return client

    def refused_call(self, name, call):
        """A call that must end with that error; it."""
        with self.assertRaises(Refused) as caught:
            call()
        self.assertEqual(caught.exception.name, name, caught.exception)
        return caught.exception


class Documented(BusTest):
    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)
        self.api = self.start()
        self.token = self.granted(self.api.token("flume"))["access_token"]

    def test_the_commands_of_the_manual_get_a_token(self):
        with open(MANUAL, encoding="utf-8") as manual:
            shown = re.findall(r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$", manual.read(), re.MULTILINE | re.DOTALL)
        commands = [text.replace("\\e", "\\").replace("\\(aq", "'").replace("flat-me", "flume") for text in shown
                    if "GetAccessToken" in text]
        self.assertEqual(len(commands), 3, "busctl, gdbus and Python")
        for command in commands:
            done = subprocess.run(["sh", "-ec", command], env={**self.bus.environment(), "PATH": "/usr/bin:/bin"},
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, (command, done.stderr))
            self.assertIn(self.token, done.stdout, command)

    def test_what_is_served_is_what_the_document_says(self):
        served = xml.etree.ElementTree.fromstring(
            self.connect()("Introspect", interface="org.freedesktop.DBus.Introspectable"))
        document = xml.etree.ElementTree.parse(INTERFACE_DOCUMENT).getroot()

        def members(root):
            interface = next(i for i in root.iter("interface") if i.get("name") == NAME)
            return {(m.tag, m.get("name")): [(a.get("name"), a.get("type"), a.get("direction") if m.tag == "method" else "")
                                             for a in m.iter("arg")] for m in interface if m.tag in ("method", "signal", "property")}
        self.assertEqual(members(served), members(document))
        self.assertEqual(len(members(document)), 16)
        undocumented = [e.get("name") for e in document.iter() if e.tag in ("method", "signal", "arg", "interface")
                        and e.find("annotation") is None]
        self.assertEqual(undocumented, [])

    def test_the_answers_are_those_of_http(self):
        client = self.connect()
        got, other = client.token("flume"), self.granted(self.api.token("flume"))
        self.assertEqual(got["token"], other["access_token"])
        for key in ("account", "generation", "min_valid_met", "state", "scope", "token_type", "extra"):
            self.assertEqual(got[key], other[key], key)
        self.assertEqual([got["header_name"], got["header_value"]], list(other["header"].values()))
        status, over_http = client("GetAccount", "s", "flume"), self.api.status("flume")
        for key in ("provider", "grant", "state", "generation", "usable", "lifetime", "scope", "actions", "notes"):
            self.assertEqual(status[key], over_http[key], key)
        self.assertEqual(set(over_http) - set(status), {k for k, v in over_http.items() if v is None})

    def test_rejecting_refreshing_and_signing_out(self):
        client = self.connect()
        client("Reject", "st", "flume", 1)
        self.assertEqual(client("GetAccount", "s", "flume")["generation"], 2)
        client("Reject", "st", "flume", 1)
        self.assertEqual(client("GetAccount", "s", "flume")["generation"], 2, "only the current one is replaced")
        client("SignOut", "s", "flume")
        error = self.refused_call("NeedsLogin", lambda: client.token("flume"))
        self.assertIn("credsync login flume", error.words)
        client("Reload")
        self.daemon.write("accounts.d/bad.toml", "[account.bad]\nnonsense = 1\n")
        self.assertIn("bad.toml:2:1", self.refused_call("BadRequest", lambda: client("Reload")).words)

    def test_logs_hold_no_token(self):
        self.connect().token("flume")
        self.assertNotIn(self.token, self.daemon.log())

    @unittest.skipIf(sanitizer.BUILT_WITH, sanitizer.OWN_HEAP)
    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: looking into the daemon's memory needs root")
    def test_no_copy_of_a_token_is_left_when_it_has_been_signed_out(self):
        client = self.connect()
        for _ in range(50):
            client.token("flume")
        needle = self.token[-60:].encode()
        self.assertGreater(self.copies(needle), 0, "the one in use is seen")
        client("SignOut", "s", "flume")
        wait_for(lambda: self.copies(needle) == 0, 10, "the last copy to go")

    def copies(self, needle):
        """How often that is in the daemon's memory."""
        found = 0
        with open(f"/proc/{self.daemon.process.pid}/maps", encoding="utf-8") as maps, \
                open(f"/proc/{self.daemon.process.pid}/mem", "rb", 0) as memory:
            for line in maps:
                span, rights, *_ = line.split()
                if rights.startswith("rw"):
                    start, end = (int(x, 16) for x in span.split("-"))
                    try:
                        found += os.pread(memory.fileno(), end - start, start).count(needle)
                    except OSError:   # gone meanwhile, or of a device
                        pass
        return found


class Signals(BusTest):
    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)

    def test_subscribers_hear_of_new_tokens_until_they_unsubscribe(self):
        self.start()
        subscriber, other = self.connect(), self.connect()
        subscriber("Subscribe")
        before = other.token("flume")
        other("Refresh", "s", "flume")
        self.assertTrue(turn_until(lambda: ["flume", before["generation"] + 1] in
                                   [arguments[:2] for name, arguments in subscriber.signals if name == "TokenChanged"]))
        self.assertEqual(other.signals, [])
        self.assertNotIn(before["token"], json.dumps(subscriber.signals))
        subscriber("Unsubscribe")
        heard = len(subscriber.signals)
        other("SignOut", "s", "flume")
        other("WhoAmI")
        self.assertEqual(len(subscriber.signals), heard)

    def test_state_changes_are_told_and_a_subscriber_may_leave(self):
        self.start()
        subscriber, leaver = self.connect(), self.connect()
        subscriber("Subscribe")
        leaver("Subscribe")
        leaver.bus.close()
        self.connect()("SignOut", "s", "flume")
        self.assertTrue(turn_until(lambda: ("StateChanged", ["flume", "signed-out"]) in subscriber.signals), subscriber.signals)


class ComingAndGoing(BusTest):
    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)

    def test_a_bus_that_comes_late_goes_and_comes_again(self):
        self.bus.stop()
        self.daemon.start()
        api = self.new_api()
        self.granted(api.token("flume"))
        doctor = {c["name"]: c for c in api("GET", "/v1/doctor").json["checks"]}
        self.assertEqual(doctor["bus"]["result"], "warning", doctor["bus"])
        for _ in range(2):
            self.bus.start()
            self.on_the_bus()
            self.assertTrue(self.connect().token("flume")["token"])
            self.bus.stop()
        self.granted(api.token("flume"))
        self.assertEqual(self.daemon.log().count("connect to the system bus"), 1, "said once")
        self.assertEqual(self.daemon.stop(), 0)

    def test_a_daemon_that_starts_again_is_there_again(self):
        self.start()
        client = self.connect()
        generation = client.token("flume")["generation"]
        self.daemon.restart()
        self.on_the_bus()
        self.assertEqual(client.token("flume")["generation"], generation)
        self.daemon.kill()
        self.daemon.start()
        self.on_the_bus()
        self.assertEqual(client.token("flume")["generation"], generation)

    def test_who_waits_when_it_stops_is_told(self):
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": "flume"}, when="after", times=1)
        self.start()
        client = self.connect()
        answers = []
        for _ in range(50):
            client.send("GetAccessToken", "sa{sv}", ("flume", dbus.Dictionary({"wait": dbus.UInt32(20)}, signature="sv")),
                        answers.append)
        self.provider.wait(hanging=rule)
        client("WhoAmI")   # all that came before it is under way
        self.daemon.process.send_signal(signal.SIGTERM)
        self.assertTrue(turn_until(lambda: len(answers) == 50), len(answers))
        self.assertEqual({a.name for a in answers}, {"Unavailable"})
        self.provider.release(rule)
        self.assertEqual(self.daemon.ended(), 0)

    def test_a_name_that_another_has_is_waited_for(self):
        other = self.connect()
        other.bus.request_name(NAME)
        self.daemon.start()
        wait_for(lambda: "another process has our name" in self.daemon.log(), 30, "the daemon to say so")
        doctor = {c["name"]: c for c in self.new_api()("GET", "/v1/doctor").json["checks"]}
        self.assertEqual((doctor["bus"]["result"], doctor["bus"]["next_step"]), ("warning", f"busctl status {NAME}"))
        other.bus.release_name(NAME)
        wait_for(lambda: "D-Bus: on the bus" in self.daemon.log(), 30, "the name")
        self.assertTrue(self.connect().token("flume")["token"])


class Crowd(BusTest):
    def test_a_thousand_callers_at_one_expired_token_cost_one_post(self):
        self.daemon.write("conf.d/10.toml", f"[callers]\nmax_waiting_per_user = {2 * CALLERS}\n")
        self.daemon.account("flume", **FLUME)
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": "flume"}, when="before", times=1)
        self.start()
        clients = [self.connect() for _ in range(CONNECTIONS)]
        options = dbus.Dictionary({"wait": dbus.UInt32(20)}, signature="sv")
        answers = []
        for index in range(CALLERS):
            clients[index % CONNECTIONS].send("GetAccessToken", "sa{sv}", ("flume", options), answers.append)
        for client in clients:
            client("WhoAmI")   # all that it sent before is under way
        self.assertEqual(answers, [])
        self.provider.release(rule)
        self.assertTrue(turn_until(lambda: len(answers) == CALLERS), len(answers))
        self.assertEqual([a for a in answers if isinstance(a, Refused)], [])
        self.assertEqual(len({a[0] for a in answers}), 1)
        self.assertEqual(len(self.posts(provider="flume")), 1)

    def test_two_thousand_hostile_messages_end_nothing(self):
        self.daemon.account("flume", **FLUME)
        api = self.start()
        self.granted(api.token("flume"))
        client, bystander = self.connect(), self.connect()
        chance = random.Random(20260115)
        document = xml.etree.ElementTree.parse(INTERFACE_DOCUMENT).getroot()
        methods = [m.get("name") for m in document.iter("method") if m.get("name") not in ("Reload", "SignOut")]

        def value(depth=0):
            return chance.choice([
                lambda: dbus.UInt32(chance.randrange(2**32)), lambda: dbus.Int64(-chance.randrange(2**62)),
                lambda: dbus.String("x" * chance.choice([0, 1, 64, 5000])), lambda: dbus.Boolean(True),
                lambda: dbus.Array([dbus.Byte(7)] * chance.randrange(300), signature="y"), lambda: dbus.ObjectPath("/a/b"),
                lambda: dbus.Struct((value(9), value(9))) if depth < 4 else dbus.Double(0.5),
                lambda: dbus.Dictionary({chance.choice(["min_valid", "wait", "", "method"]): value(depth + 1)
                                         for _ in range(chance.randrange(5))}, signature="sv") if depth < 4 else dbus.Int16(-1),
            ])()
        for start in range(0, HOSTILE_MESSAGES, 100):
            calls = []
            for _ in range(100):
                arguments = ["flume"] * chance.randrange(2) + [value() for _ in range(chance.randrange(4))]
                calls.append(lambda end, m=chance.choice(methods), a=arguments: client.send(m, None, a, end))
            answers = wait_all(calls)
            self.assertEqual(len(answers), 100)
            self.assertTrue(bystander.token("flume")["token"], start)
        self.assertIsNone(self.daemon.process.poll())
        self.assertNotIn("D-Bus: something failed", self.daemon.log())


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class TwoUsers(BusTest):
    def setUp(self):
        super().setUp()
        self.daemon.configure(self.provider, rules=[])
        self.daemon.account("mine", allow=[{"user": OWNER, "actions": ["get"]}], **FLUME)
        self.daemon.account("ours", allow=[{"group": GROUP, "actions": ["get", "refresh"]}], **FLUME)
        self.api = self.start()

    def order(self, uid, calls, groups=(), listen=None):
        """A process of that user that makes those calls."""
        process = subprocess.Popen([*become(uid, groups), sys.executable, "-B", os.path.join(HERE, "bus_client.py")],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        self.addCleanup(process.stdout.close)
        process.stdin.write(json.dumps({"address": self.bus.address, "calls": calls, "listen": listen}))
        process.stdin.close()
        return process

    def ask_as(self, uid, calls, groups=()):
        process = self.order(uid, calls, groups)
        done = json.loads(process.stdout.read())
        self.assertEqual(process.wait(60), 0)
        return done["answers"]

    def token_as(self, uid, account, groups=()):
        answer = self.ask_as(uid, [("GetAccessToken", "sa{sv}", [account, {}])], groups)[0]
        return answer.get("error", "").rsplit(".", 1)[-1] or answer["result"][0]

    def test_rules_are_decided_on_what_the_bus_says(self):
        self.assert_alive(self.token_as(OWNER, "mine"))
        self.assert_alive(self.token_as(MEMBER, "ours", groups=[5000, GROUP]))
        self.assertEqual(self.token_as(MEMBER, "ours", groups=[5000]), "NoSuchAccount")
        self.assertEqual(self.token_as(MEMBER, "mine", groups=[GROUP]), "NoSuchAccount")
        self.assertEqual(self.token_as(None, "mine"), "NotAllowed", "root administers, but gets no token")
        answers = self.ask_as(OWNER, [("Refresh", "s", ["mine"]), ("SignOut", "s", ["mine"]), ("Reload", "", [])])
        self.assertEqual({a["error"] for a in answers}, {ERROR + "NotAllowed"})

    def test_a_stranger_cannot_tell_an_account_from_a_missing_one(self):
        def calls(name):
            return [("GetAccessToken", "sa{sv}", [name, {}]), ("GetAccessToken", "sa{sv}", [name, {"wait": 0, "min_valid": 9}]),
                    ("GetAccount", "s", [name]), ("Refresh", "s", [name]), ("Reject", "st", [name, 1]),
                    ("BeginLogin", "sa{sv}", [name, {}]), ("SignOut", "s", [name])]
        mine, missing = self.ask_as(STRANGER, calls("mine")), self.ask_as(STRANGER, calls("nosuch"))
        self.assertEqual(mine, missing)
        self.assertEqual({a["error"] for a in mine}, {ERROR + "NoSuchAccount"})

    def test_a_stranger_sees_nothing_that_tells_of_an_account(self):
        self.assert_alive(self.token_as(OWNER, "mine"))
        properties, peer, introspectable = (f"org.freedesktop.DBus.{n}" for n in ("Properties", "Peer", "Introspectable"))
        everything = self.ask_as(STRANGER, [
            ("ListAccounts", "", []), ("WhoAmI", "", []), ("Introspect", "", [], introspectable), ("GetAll", "s", [NAME], properties),
            ("GetAll", "s", [""], properties), ("Get", "ss", [NAME, "Accounts"], properties), ("Ping", "", [], peer),
            ("GetManagedObjects", "", [], "org.freedesktop.DBus.ObjectManager"),
            ("GetAccessToken", "s", ["mine"])])
        listed, who, introspected, *_ = everything
        self.assertEqual(listed, {"result": []})
        self.assertEqual(who["result"]["accounts"], [])
        self.assertIn(NAME, introspected["result"])
        self.assertEqual(everything[3], {"result": {}})
        self.assertEqual(everything[-1]["error"], INVALID_ARGS)
        for name in ("mine", "ours"):
            self.assertNotIn(f'"{name}"', json.dumps(everything))

    def test_signals_come_to_those_who_may_see_the_account(self):
        owner = self.order(OWNER, [("Subscribe", "", [])], listen="mine")
        stranger = self.order(STRANGER, [("Subscribe", "", [])], listen="theirs")
        for process in (owner, stranger):
            self.assertEqual(json.loads(process.stdout.readline()), "listening")
        self.assertEqual(self.ask_as(OWNER, [("GetAccessToken", "sa{sv}", ["mine", {}]), ("Reject", "st", ["mine", 1])])[1],
                         {"result": []})
        self.assertIn(["TokenChanged", "mine"], [[name, arguments[0]] for name, arguments in
                                                 json.loads(owner.stdout.read())["signals"]])
        # What a stranger may see ends its waiting: all that came before is there then.
        self.daemon.account("theirs", allow=[{"user": STRANGER, "actions": ["get"]}], **FLUME)
        self.assertEqual(self.api.reload().status, 200)
        self.assert_alive(self.token_as(STRANGER, "theirs"))
        heard = json.loads(stranger.stdout.read())["signals"]
        self.assertEqual({arguments[0] for _, arguments in heard}, {"theirs"})
        self.assertEqual([process.wait(30) for process in (owner, stranger)], [0, 0])

    def test_others_may_not_take_the_name_nor_send_anything_else(self):
        taken = self.bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "RequestName", "su", NAME, "0", user=STRANGER)
        self.assertIn("Access denied", taken.stderr)
        other = self.bus.call(NAME, PATH, "org.example.Other", "Method", user=STRANGER)
        self.assertIn("Access denied", other.stderr)

    def test_denials_are_audited_with_the_brokers_word_for_who_it_was(self):
        self.token_as(STRANGER, "mine")
        self.token_as(OWNER, "mine")
        for decision, uid in (("denied", STRANGER), ("allowed", OWNER)):   # the log has a thread of its own
            line = rf'"decision":"{decision}","account":"mine",.*"uid":{uid},'
            wait_for(lambda sought=line: re.search(sought, self.daemon.log()), what=line)


if __name__ == "__main__":
    unittest.main()
