"""Several users on one machine: who has no rule cannot tell an account from a missing one, and is written down.

Needs root, to become other users; says so loudly otherwise.
"""

import json
import os
import re
import subprocess
import sys
import unittest

from harness import DaemonTest, USER, wait_for

OWNER, STRANGER, MEMBER, ROOT = 4001, 4002, 4003, 0
GROUP = 4100
OVERFLOW = 65534
AUDIT_MESSAGE = "36da9fb268b646678ca7ddcb22489506"   # base/message_ids.h

# Run as the other user: sends requests read from stdin over one connection each, prints the raw answers as JSON.
CALLER = """
import json, socket, sys
order = json.load(sys.stdin)
held, answers = [], []
for text in order["requests"]:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    s.connect(order["socket"])
    try:
        s.sendall(text.encode())
        got = b""
        while b"\\r\\n\\r\\n" not in got or order["until"].encode() not in got or (not order["hold"] and len(got.split(b"\\r\\n\\r\\n", 1)[1]) < int(
                got.lower().split(b"content-length:")[1].split(b"\\r\\n")[0])):
            more = s.recv(65536)
            if not more:
                break
            got += more
    except ConnectionError as error:
        got = b""
    answers.append(got.decode())
    held.append(s) if order["hold"] else s.close()
print(json.dumps(answers))
"""


def request(method, path, body=None):
    data = json.dumps(body) if body is not None else ""
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n{data}"


class Raw:
    """An answer as it came over the wire."""

    def __init__(self, text):
        self.text = text
        self.head, _, self.body = text.partition("\r\n\r\n")
        self.status = int(self.head.split(" ")[1]) if text else None

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        return self.json.get("type", "").rsplit(":", 1)[-1]


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class TwoUsers(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.configure(self.provider, rules=[], callers=16)
        flume = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}
        self.daemon.account("mine", allow=[{"user": OWNER, "actions": ["get"]}], **flume)
        self.daemon.account("ours", allow=[{"group": GROUP, "actions": ["get", "refresh"]}], **flume)
        self.daemon.account("both", allow=[{"user": OWNER, "group": GROUP, "actions": ["get"]}], **flume)
        self.api = self.start()

    def ask_as(self, uid, requests, groups=(), gid=None, hold=False, until=""):
        order = json.dumps({"socket": self.daemon.socket, "requests": requests, "hold": hold, "until": until})
        group_options = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
        done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(gid if gid is not None else uid), *group_options,
                               sys.executable, "-c", CALLER],
                              input=order, capture_output=True, text=True, timeout=60, check=False, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [Raw(text) for text in json.loads(done.stdout)]

    def ask_one(self, uid, method, path, body=None, **more):
        return self.ask_as(uid, [request(method, path, body)], **more)[0]

    def audit(self):
        return self.api("GET", "/v1/audit").json["records"]

    def test_the_owner_gets_its_token_and_nothing_more(self):
        answer = self.ask_one(OWNER, "GET", "/v1/accounts/mine/token")
        self.assertEqual(answer.status, 200, answer.text)
        self.assert_alive(answer.json["access_token"])
        for method, path in (("POST", "/v1/accounts/mine/refresh"), ("DELETE", "/v1/accounts/mine/grant"),
                             ("POST", "/v1/reload"), ("GET", "/metrics"), ("GET", "/v1/audit"), ("GET", "/v1/doctor")):
            answer = self.ask_one(OWNER, method, path)
            self.assertEqual((answer.status, answer.problem), (403, "not-allowed"), (path, answer.text))

    def test_a_stranger_cannot_tell_an_account_from_a_missing_one(self):
        requests = []
        for name in ("mine", "nosuch"):
            path = f"/v1/accounts/{name}"
            requests += [request("GET", f"{path}/token"), request("GET", f"{path}/token?min_valid=60&wait=0"), request("GET", path),
                         request("POST", f"{path}/reject", {"generation": 1}), request("POST", f"{path}/refresh"),
                         request("POST", f"{path}/login", {"method": "token", "secret": "s"}),
                         request("DELETE", f"{path}/grant"), request("GET", f"/v1/events?account={name}")]
        answers = self.ask_as(STRANGER, requests)
        half = len(answers) // 2
        for mine, missing in zip(answers[:half], answers[half:]):
            self.assertEqual((mine.status, mine.problem), (404, "no-such-account"), mine.text)
            self.assertEqual(mine.text, missing.text)
        self.assertEqual(self.ask_one(STRANGER, "GET", "/v1/accounts").json, {"accounts": []})
        self.assertEqual(self.ask_one(STRANGER, "GET", "/v1/whoami").json["accounts"], [])

    def test_denials_are_audited_with_the_kernels_word_for_who_it_was(self):
        self.ask_one(STRANGER, "GET", "/v1/accounts/mine/token")
        self.ask_one(STRANGER, "GET", "/v1/accounts/nosuch/token")
        self.ask_one(OWNER, "GET", "/v1/accounts/mine/token")
        records = self.audit()
        denied = {(r["uid"], r["account"], r["action"]) for r in records if r["decision"] == "denied"}
        self.assertEqual(denied, {(STRANGER, "mine", "get"), (STRANGER, "nosuch", "get")})
        allowed = [r for r in records if r["decision"] == "allowed" and r["uid"] == OWNER]
        self.assertEqual([(r["account"], r["action"], r["rule"]) for r in allowed], [("mine", "get", "account.mine.allow[0]")])
        # The same, as JSON lines on standard error; the log has a thread of its own.
        wait_for(lambda: len(self.json_log()) >= len(records), what="the log")
        logged = self.json_log()
        for record in records:
            self.assertIn(record, [{k: v for k, v in line.items() if k != "message_id"} for line in logged])
        self.assertEqual({line["message_id"] for line in logged}, {AUDIT_MESSAGE})

    def json_log(self):
        return [json.loads(line) for line in self.daemon.log().splitlines() if line.startswith("{")]

    def test_group_rules_look_at_all_the_groups_the_kernel_knows(self):
        path = "/v1/accounts/ours/token"
        self.assertEqual(self.ask_one(MEMBER, "GET", path, groups=[5000, GROUP]).status, 200)
        self.assertEqual(self.ask_one(MEMBER, "GET", path, gid=GROUP).status, 200)
        self.assertEqual(self.ask_one(MEMBER, "GET", path, groups=[5000]).status, 404)
        self.assertEqual(self.ask_one(MEMBER, "GET", path).status, 404)

    def test_the_keys_of_one_rule_are_anded(self):
        path = "/v1/accounts/both/token"
        self.assertEqual(self.ask_one(OWNER, "GET", path, groups=[GROUP]).status, 200)
        self.assertEqual(self.ask_one(OWNER, "GET", path).status, 404)
        self.assertEqual(self.ask_one(MEMBER, "GET", path, groups=[GROUP]).status, 404)

    def test_root_administers_but_gets_no_token(self):
        answer = self.ask_one(ROOT, "GET", "/v1/accounts/mine/token")
        self.assertEqual((answer.status, answer.problem), (403, "not-allowed"))
        self.assertEqual(self.ask_one(ROOT, "GET", "/v1/accounts/mine").status, 200)
        self.assertEqual(self.ask_one(ROOT, "GET", "/metrics").status, 200)

    def test_the_overflow_id_matches_nothing(self):
        config = self.daemon.place("accounts.d", "mine.toml")
        self.assertEqual(self.ask_one(OVERFLOW, "GET", "/v1/accounts/mine/token").status, 404)
        self.daemon.account("mine", allow=[{"user": OVERFLOW, "actions": ["get"]}], provider="flume", grant="password",
                            username=USER, password={"file": "flume.password"})
        checked = self.daemon.run("--check-config")
        self.assertEqual(checked.returncode, 78)
        self.assertIn(f"{config}:", checked.stderr)
        self.assertIn("65534", checked.stderr)

    def test_one_users_limit_is_nobody_elses(self):
        many = [request("GET", "/v1/health")] * 20
        answers = self.ask_as(STRANGER, many, hold=True)
        self.assertEqual([a.status for a in answers[:16]], [200] * 16)
        self.assertEqual({(a.status, a.problem) for a in answers[16:]}, {(429, "busy")})
        held = subprocess.Popen(["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", sys.executable, "-c",
                                 CALLER + "\nsys.stdout.flush()\nimport time\ntime.sleep(60)\n"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        try:
            held.stdin.write(json.dumps({"socket": self.daemon.socket, "requests": many, "hold": True, "until": ""}))
            held.stdin.close()
            held.stdout.readline()   # all its connections are open now
            self.assertEqual(self.ask_one(OWNER, "GET", "/v1/accounts/mine/token").status, 200)
            refused = self.ask_one(STRANGER, "GET", "/v1/health")
            self.assertEqual((refused.status, refused.problem), (429, "busy"))
            self.assertIn("retry-after:", refused.head.lower())
        finally:
            held.kill()
            held.wait()
            held.stdout.close()
        self.assertTrue([r for r in self.audit() if r["uid"] == STRANGER and r["action"] == "connect"])

    def test_events_show_a_user_only_its_own_accounts(self):
        # The present states come in the order of names: "mine" is last of what this one may see, "ours" would follow.
        self.daemon.account("zoo", allow=[{"user": OWNER, "actions": ["watch"]}], provider="flat", grant="static")
        self.assertEqual(self.api.reload().status, 200)
        stream = self.ask_as(OWNER, [request("GET", "/v1/events")], hold=True, until='"zoo"')[0]
        self.assertEqual(stream.status, 200)
        shown = set(re.findall(r'"account":"([^"]+)"', stream.text))
        self.assertEqual(shown, {"mine", "zoo"})


if __name__ == "__main__":
    unittest.main()
