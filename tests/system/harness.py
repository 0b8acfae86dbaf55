"""Tests on a booted Debian with the packages installed. Standard library only.

The practice provider runs beside the machine, on the same loopback interface: it outlives the machine's reboots, and its
ledger is the judge. Whoever asks the daemon runs in the machine, as a user of it.
"""

import json
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "practice_provider"))

import debian_root  # noqa: E402
import machine  # noqa: E402
import namespaces  # noqa: E402
import profiles  # noqa: E402
from control import PracticeProvider  # noqa: E402

DIRECTORY = os.environ.get("CREDSYNC_SYSTEM_DIR", os.path.join(REPOSITORY, "build", "release", "tests", "system", "bookworm"))
SOCKET = "/run/credsyncd-api/api.sock"
SERVICE, SOCKET_UNIT = "credsyncd.service", "credsyncd.socket"
CONFIG, STATE = "/etc/credsyncd", "/var/lib/credsyncd"
EVERY_ACTION = ["get", "watch", "refresh", "login", "admin"]
CLIENT, SECRET = "demo-client", "demo-secret"
CONFIG_ERROR = 78     # EX_CONFIG
POLL = 0.05
JOURNAL_TAIL = "60"   # lines, when a test has failed

_facts = None
_held = []   # locks of roots in use


def facts():
    """What prepare.py left: suite, root, debs. Skips the test if it said that it cannot be here."""
    global _facts
    if _facts is None:
        skipped = os.path.join(DIRECTORY, "skipped")
        if os.path.exists(skipped):
            with open(skipped, encoding="utf-8") as reason:
                raise unittest.SkipTest(f"SKIPPED: not on a booted machine: {reason.read()}")
        with open(os.path.join(DIRECTORY, "ready"), encoding="utf-8") as ready:
            _facts = json.load(ready)
        namespaces.own_mounts()
        go_offline(_facts["root"])
    return _facts


def go_offline(root):
    """Before the first machine: from here on this process has its loopback interface only, and `root` stays where it is."""
    _held.append(debian_root.hold(root))
    namespaces.own_network()
    machine.end_on_sigterm()
    machine.remove_leftovers()


def wait_for(condition, timeout=30.0, what="the condition"):
    """Polls until `condition` gives something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(POLL)


class Box(machine.Machine):
    """A machine with credsyncd in it, or to be installed in it."""

    # --- configuration, as an admin writes it

    def secret(self, name, value):
        """A file in accounts.d that the daemon may read and others may not."""
        path = f"{CONFIG}/accounts.d/{name}"
        self.write(path, value + "\n", 0o640)
        os.chown(self.path(path), 0, self.user("credsyncd")[1])

    def configure(self, provider, rules=None, extra=""):
        """conf.d/test.toml, the practice provider's profiles and its CA. rules: of [[defaults.allow]]; None: root may all."""
        self.copy_in(provider.ca_file, f"{CONFIG}/practice-ca.pem")
        rules = [{"user": "root", "actions": EVERY_ACTION}] if rules is None else rules
        lines = ["[defaults]", f'ca_file = "{CONFIG}/practice-ca.pem"']
        for rule in rules:
            lines += ["[[defaults.allow]]", *(f"{k} = {profiles.toml(v)}" for k, v in rule.items())]
        self.write(f"{CONFIG}/conf.d/test.toml", "\n".join(lines) + "\n" + extra)
        self.write(f"{CONFIG}/providers.d/practice.toml", profiles.overrides(provider.base_url))
        self.secret("client.secret", SECRET)

    def profile(self, provider, profile_id, tables=None, instance=None):
        """A profile of an RFC instance of the practice provider."""
        self.write(f"{CONFIG}/providers.d/{profile_id}.toml",
                   profiles.rfc(profile_id, provider.base_url, instance or f"rfc/{profile_id}", tables))

    def account(self, name, allow=(), directory=CONFIG, **keys):
        """accounts.d/NAME.toml; keys as in credsyncd.toml(5). Has the practice client unless told otherwise."""
        if keys.get("grant") != "static":
            keys = {"client_id": CLIENT, "client_secret": {"file": "client.secret"}, **keys}
        lines = [f"[account.{name}]", *(f"{k} = {profiles.toml(v)}" for k, v in keys.items() if v is not None)]
        for rule in allow:
            lines += [f"[[account.{name}.allow]]", *(f"{k} = {profiles.toml(v)}" for k, v in rule.items())]
        self.write(f"{directory}/accounts.d/{name}.toml", "\n".join(lines) + "\n")

    # --- asking

    def credsync(self, *arguments, **options):
        """Runs the command; options as run()'s."""
        return self.run("credsync", *arguments, **options)

    def token(self, account, *arguments, **options):
        """The token that `credsync token` prints."""
        return self.credsync("token", account, *arguments, **options).stdout.strip()

    def http(self, method, path, body=None, user=None, deadline=70):
        """A request on the socket, by curl in the machine: (status, JSON or None)."""
        data = ["-H", "Content-Type: application/json", "--data-binary", json.dumps(body)] if body is not None else []
        done = self.run("curl", "-sS", "-X", method, "--max-time", str(deadline), "--unix-socket", SOCKET, *data, "-w", "\n%{http_code}",
                        f"http://localhost{path}", user=user, deadline=deadline + 5)
        text, _, status = done.stdout.rpartition("\n")
        return int(status), (json.loads(text) if text else None)

    def status(self, account):
        return self.http("GET", f"/v1/accounts/{account}")[1]

    # --- the service

    def tell_journal(self, what):
        """Shows the end of the journal, when something has failed."""
        if self.leader:
            found = self.run("journalctl", "-b", "--no-pager", "-n", JOURNAL_TAIL, check=False).stdout
            print(f"\n--- {what}: the journal's end\n{found}", file=sys.stderr, flush=True)

    def main_pid(self):
        """Of the running daemon as the machine numbers it; 0 if it does not run."""
        return int(self.show(SERVICE, "MainPID")["MainPID"])

    def is_active(self, unit=SERVICE):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip() == "active"

    def restart(self):
        self.run("systemctl", "restart", SERVICE, deadline=120)


class MachineTest(unittest.TestCase):
    """Tests with one practice provider and one booted machine for their class."""

    LIFETIME = None     # seconds that access tokens live; None: as the providers' documents say
    INSTALLED = True

    @classmethod
    def setUpClass(cls):
        cls.layers()   # the provider must be in the machine's network, too
        cls.provider = cls.start_provider()
        cls.box = cls.new_box()
        cls.box.boot()
        try:
            cls.set_up_machine()
        except Exception:
            cls.box.tell_journal(cls.__name__)
            raise

    @classmethod
    def set_up_machine(cls):
        """What all tests of the class find in the machine."""

    @classmethod
    def start_provider(cls):
        provider = PracticeProvider(lifetime=cls.LIFETIME, ledger=True).start()
        cls.addClassCleanup(provider.stop)
        return provider

    @classmethod
    def new_box(cls):
        """Not booted yet; ends with the class."""
        box = Box(cls.__name__.lower(), cls.layers())
        cls.addClassCleanup(box.kill)
        return box

    @classmethod
    def layers(cls):
        """What the class's machines stand on, the topmost first."""
        return [*([os.path.join(DIRECTORY, "installed")] if cls.INSTALLED else []), facts()["root"]]

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            self.box.tell_journal(self.id())
        return result

    def signed_in(self, box, name, provider_id, **keys):
        """Writes an account whose refresh token is imported, reloads, and signs it in; what the provider issued."""
        box.account(name, provider=provider_id, grant="refresh_token", **keys)
        box.run("systemctl", "reload", SERVICE)
        instance = keys.get("instance") or f"rfc/{provider_id}"
        pair = self.provider.issue(instance)
        box.credsync("login", name, "--refresh-token-stdin", stdin=pair["refresh_token"] + "\n")
        return pair

    def assert_alive(self, token):
        found = self.provider.check(token)
        self.assertTrue(found["alive"], found)
        return found

    def assert_dead(self, token):
        found = self.provider.check(token)
        self.assertFalse(found["alive"], found)
