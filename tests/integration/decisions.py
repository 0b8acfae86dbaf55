"""One table of decisions, caller x account x action, for every front door: what the rules say is worked out here, on its
own, and each front door is asked as the caller itself.

A front door brings a probe: a Python program, run as the caller, that reads {"asks": [[account, action], …], …} from
standard input, writes one outcome for each as a JSON list on one line of standard output, and ends when standard input
does. `outcomes` below runs it; HTTP_PROBE is the one of the socket.
"""

import json
import os
import re
import shutil
import subprocess
import sys

ALICE, BOB, EVE, CAROL, SETUP = 4001, 4002, 4003, 4004, 4009
STAFF, OTHERS, ADMINS = 4100, 4200, 4300
OVERFLOW = 65534
UNIT, OTHER_UNIT = "credsync-test-a.service", "credsync-test-b.service"
ACTIONS = ("get", "watch", "refresh", "login", "admin")   # admin last: it signs out
ALLOWED, NOT_ALLOWED, NO_SUCH_ACCOUNT = "allowed", "not-allowed", "no-such-account"

HTTP_PROBE = r"""
import http.client, json, os, socket, sys
order = json.loads(sys.stdin.readline())
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(order["socket"])
connection = Connection("localhost")
def ask(method, path, body=None):
    connection.request(method, path, json.dumps(body) if body else None, {})
    got = connection.getresponse()
    return got.status, json.loads(got.read())
def probe(account, action):
    path = "/v1/accounts/" + account
    status, body = {"get": lambda: ask("GET", path + "/token?wait=0"), "watch": lambda: ask("GET", path),
                    "refresh": lambda: ask("POST", path + "/refresh"),
                    "login": lambda: ask("POST", path + "/login", {"method": "password"}),
                    "admin": lambda: ask("DELETE", path + "/grant")}[action]()
    if action == "get" and status == 200 and body["access_token"] != "token-of-" + account:
        return "another account's token"
    name = body.get("type", "").rsplit(":", 1)[-1]
    return name if name in ("not-allowed", "no-such-account") else "allowed"
print(json.dumps({"outcomes": [probe(*a) for a in order["asks"]], "whoami": ask("GET", "/v1/whoami")[1], "pid": os.getpid()}),
      flush=True)
sys.stdin.read()
"""


class Caller:
    """Who asks: `setpriv` makes the user and groups, a control group the unit, a copied interpreter the executable."""

    def __init__(self, name, uid, gid=None, groups=(), unit=None, cgroup=None, exe="plain"):
        self.name, self.uid, self.gid, self.groups = name, uid, uid if gid is None else gid, tuple(groups)
        self.unit, self.exe = unit, exe
        self.cgroup = cgroup or (f"system.slice/{unit}" if unit else None)

    def all_groups(self):
        return {self.gid, *self.groups}


def callers():
    """One for each way to differ."""
    return [
        Caller("alice", ALICE), Caller("alice-staff", ALICE, groups=[OTHERS, STAFF]), Caller("alice-gid-staff", ALICE, gid=STAFF),
        Caller("alice-unit", ALICE, unit=UNIT), Caller("alice-other-unit", ALICE, unit=OTHER_UNIT),
        Caller("alice-exe", ALICE, exe="special"), Caller("alice-unit-exe", ALICE, unit=UNIT, exe="special"),
        Caller("alice-own-unit", ALICE, cgroup=f"user.slice/user-{ALICE}.slice/user@{ALICE}.service/app.slice/{UNIT}"),
        Caller("alice-deeper", ALICE, unit=UNIT, cgroup=f"system.slice/{UNIT}/payload/{OTHER_UNIT}"),
        Caller("bob", BOB), Caller("bob-staff", BOB, groups=[STAFF]), Caller("bob-unit", BOB, unit=UNIT),
        Caller("bob-exe", BOB, exe="special"), Caller("eve", EVE), Caller("eve-others", EVE, groups=[OTHERS]),
        Caller("carol-admin", CAROL, groups=[ADMINS]), Caller("overflow", OVERFLOW, groups=[STAFF, ADMINS]), Caller("root", 0), Caller("root-unit", 0, unit=UNIT),
    ]


def rules(exes):
    """{account: its own rules}, and those of [defaults]. `exes`: the path of each kind of interpreter."""
    special = exes["special"]
    own = {
        "nobodys": [],
        "alices": [{"user": ALICE, "actions": ["get"]}],
        "staffs": [{"group": STAFF, "actions": ["get", "refresh"]}],
        "alice-in-staff": [{"user": ALICE, "group": STAFF, "actions": ["get", "login"]}],
        "by-unit": [{"unit": UNIT, "actions": ["get", "refresh"]}],
        "alice-by-unit": [{"user": ALICE, "unit": UNIT, "actions": ["get"]}],
        "alice-by-exe": [{"user": ALICE, "exe": special, "actions": ["get"]}],
        "unit-and-exe": [{"unit": UNIT, "exe": special, "actions": ["login"]}],
        "everything": [{"user": ALICE, "group": STAFF, "unit": UNIT, "exe": special, "actions": ["get"]}],
        "either": [{"user": BOB, "actions": ["watch"]}, {"group": OTHERS, "actions": ["refresh"]},
                   {"unit": OTHER_UNIT, "actions": ["login"]}],
        "eve-signs-out": [{"user": EVE, "actions": ["admin"]}],
        "roots": [{"user": 0, "actions": ["get"]}],
    }
    return own, [{"user": SETUP, "actions": ["login"]}, {"user": BOB, "unit": UNIT, "actions": ["watch"]}]


def rule_matches(caller, rule, exes):
    if caller.uid == OVERFLOW:
        return False
    return (("user" not in rule or rule["user"] == caller.uid) and ("group" not in rule or rule["group"] in caller.all_groups())
            and ("unit" not in rule or rule["unit"] == caller.unit) and ("exe" not in rule or rule["exe"] == exes[caller.exe]))


def granted(caller, account_rules, default_rules, exes, admin_group):
    """The actions that the rules give a caller on an account."""
    actions = set()
    for rule in [*default_rules, *account_rules]:
        if rule_matches(caller, rule, exes):
            actions |= {*rule["actions"], "watch"}
    if caller.uid != OVERFLOW and (caller.uid == 0 or admin_group in caller.all_groups()):
        actions |= {"admin", "watch"}
    return actions


def expected(actions, action):
    if action in actions:
        return ALLOWED
    return NOT_ALLOWED if actions else NO_SUCH_ACCOUNT


def with_admin_group(daemon):
    """Has the daemon start where the group credsync-admin has the number ADMINS: in a mount namespace with another
    /etc/group. The number; None if that cannot be made here."""
    with open("/etc/group", encoding="utf-8") as text:
        own = [line for line in text.read().splitlines() if not line.startswith("credsync-admin:")]
    groups = daemon.write("group", "\n".join([*own, f"credsync-admin:x:{ADMINS}:", ""]))
    wrap = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/group && exec "$@"', groups]
    if subprocess.run([*wrap, "true"], check=False, capture_output=True).returncode != 0:
        return None
    arguments = daemon.arguments
    daemon.arguments = lambda *more: [*wrap, *arguments(*more)]
    return ADMINS


# --- what makes callers

def cgroup_root():
    """Where the unified hierarchy is mounted and can be written; None if it is not."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, place, kind = line.split()[:3]
            if kind == "cgroup2" and os.access(place, os.W_OK):
                return place
    return None


class Stage:
    """Interpreters and control groups for the callers, made in `directory` and taken away by close()."""

    def __init__(self, directory):
        self.root = cgroup_root()
        self.made = []
        real = os.path.realpath(sys.executable)
        special = shutil.copy(real, os.path.join(directory, "special-python"))
        self.exes = {"plain": real, "special": special}

    def can_play(self, caller):
        return caller.cgroup is None or self.root is not None

    def _cgroup(self, caller):
        place = self.root
        for part in caller.cgroup.split("/"):
            place = os.path.join(place, part)
            if not os.path.isdir(place):
                os.mkdir(place)
                self.made.append(place)
        return place

    def start(self, caller, probe):
        """A process of that caller that runs `probe`, with pipes."""
        command = ["setpriv", "--reuid", str(caller.uid), "--regid", str(caller.gid),
                   *(["--groups", ",".join(map(str, caller.groups))] if caller.groups else ["--clear-groups"]),
                   self.exes[caller.exe], "-c", probe]
        if caller.cgroup:
            place = os.path.join(self._cgroup(caller), "cgroup.procs")
            command = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', place, *command]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/",
                                env={**os.environ, "PYTHONHOME": re.sub("/bin/[^/]*$", "", self.exes["plain"])})

    def outcomes(self, caller, probe, order, while_alive=None):
        """What the probe prints; `while_alive` is called with it while the caller still runs."""
        process = self.start(caller, probe)
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise AssertionError(f"the probe of {caller.name} said nothing")
            said = json.loads(line)
            if while_alive:
                while_alive(said)
            return said
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()

    def close(self):
        for place in reversed(self.made):
            try:
                os.rmdir(place)
            except OSError:
                pass
