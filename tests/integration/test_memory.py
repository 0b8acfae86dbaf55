"""What stays in the daemon's memory of a secret that it needs no longer: nothing. And nobody but root can look there: not
by a debugger, not through /proc, not in a core dump.

Needs root, to read another process's memory and to become another user; says so loudly otherwise.
"""

import base64
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import types
import unittest
import urllib.parse

from harness import PROVIDERS, DaemonTest, binary, wait_for
import sanitizer
import test_sign_in
from memory import copies, copies_that_stay

OWNER = 4011   # a real user without any right

# What a program of the same user can try; prints a line for each: how it ended.
SPY = """
import ctypes, os, sys
pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
for name in ("mem", "maps", "environ", "auxv"):
    try:
        with open(f"/proc/{pid}/{name}", "rb") as f:
            f.read(0 if name == "mem" else 1)
        print(name, "open")
    except PermissionError:
        print(name, "refused")
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(1)
address = int(sys.argv[2], 16)
here, there = Piece(ctypes.addressof(buffer), 1), Piece(address, 1)
got = libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
print("process_vm_readv", "open" if got == 1 else "refused")
libc.ptrace.argtypes = [ctypes.c_long] * 4
libc.ptrace.restype = ctypes.c_long
PTRACE_SEIZE = 0x4206
print("ptrace", "open" if libc.ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 else "refused")
"""


def first_address(pid):
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        return maps.readline().split("-")[0]


def spied_on(pid):
    """{what was tried: "open" or "refused"} by a process of the same user."""
    ran = subprocess.run(["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", sys.executable, "-c", SPY, str(pid),
                          first_address(pid)], capture_output=True, text=True, timeout=30, check=True)
    return dict(line.split() for line in ran.stdout.splitlines())


def as_owner(arguments):
    """A process of OWNER whose core dumps nobody limits; its working directory is the place for one."""
    def unlimited():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return ["setpriv", f"--reuid={OWNER}", f"--regid={OWNER}", "--clear-groups", *arguments], unlimited


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming another user needs root")
class NobodyElse(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        # Wherever the build is, OWNER may not be let in there.
        self.program = shutil.copy(binary("CREDSYNCD"), self.daemon.place("credsyncd"))
        self.providers = shutil.copytree(PROVIDERS, self.daemon.place("providers"))
        ca_file = shutil.copy(self.provider.ca_file, self.daemon.place("ca.pem"))
        os.chmod(ca_file, 0o644)
        self.daemon.configure(types.SimpleNamespace(ca_file=ca_file, base_url=self.provider.base_url))
        for path in ("run", "."):
            os.chown(self.daemon.place(path), OWNER, OWNER)

    def spawn(self, arguments):
        command, unlimited = as_owner(arguments)
        with open(self.daemon.log_path, "ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.daemon.directory,
                                       preexec_fn=unlimited)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        if process.returncode is None:
            process.kill()
            process.wait()

    def spawn_daemon(self):
        process = self.spawn([self.program, "--config", self.daemon.directory, "--state", self.daemon.state, "--providers", self.providers])
        self.daemon.process = process
        wait_for(self.daemon._ready, 30, "the daemon to be ready")
        self.daemon.process = None
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            self.assertRegex(status.read(), rf"Uid:\t{OWNER}\t{OWNER}\t")
        return process

    def spawn_other(self):
        """Any other program of that user, for comparison: what works there is what the daemon refuses."""
        process = self.spawn(["/usr/bin/sleep", "300"])
        wait_for(lambda: "sleep" in os.readlink(f"/proc/{process.pid}/exe"), 30, "the program to run")
        return process

    def test_the_same_user_cannot_look_inside(self):
        other, daemon = spied_on(self.spawn_other().pid), spied_on(self.spawn_daemon().pid)
        for name in ("mem", "maps", "environ"):
            self.assertEqual(other[name], "open", "without the guard it would be possible")
        self.assertEqual(set(daemon.values()), {"refused"}, daemon)
        self.assertEqual(set(daemon), {"mem", "maps", "environ", "auxv", "process_vm_readv", "ptrace"})

    def dumped(self, process, with_signal):
        """Whether its end by that signal made a core dump, as the kernel says."""
        process.send_signal(with_signal)
        _, status = os.waitpid(process.pid, 0)
        process.returncode = -with_signal
        self.assertTrue(os.WIFSIGNALED(status), status)   # of a fault Poco's handler makes an abort
        return os.WCOREDUMP(status)

    def core_files(self):
        return sorted(name for name in os.listdir(self.daemon.directory) if name.startswith("core"))

    @unittest.skipIf(sanitizer.BUILT_WITH, f"NOT TESTED: {sanitizer.BUILT_WITH} catches these signals to report them")
    def test_no_signal_makes_a_core_dump(self):
        if not self.dumped(self.spawn_other(), signal.SIGABRT):
            print("no program can dump core here: the limit is looked at, the dump cannot be tried", file=sys.stderr)
        others = self.core_files()
        for with_signal in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT, signal.SIGBUS):
            process = self.spawn_daemon()
            with open(f"/proc/{process.pid}/limits", encoding="ascii") as limits:
                core = next(line for line in limits if line.startswith("Max core file size"))
            self.assertEqual(core.split()[4:6], ["0", "0"], "it gave up what it was allowed")
            self.assertFalse(self.dumped(process, with_signal), with_signal)
            self.assertEqual(self.core_files(), others)
            os.unlink(self.daemon.socket)


@unittest.skipIf(sanitizer.BUILT_WITH, sanitizer.OWN_HEAP)
@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: reading the memory of a process needs root")
class Memory(DaemonTest):
    LIFETIME = 3600
    ACCOUNTS = {"flat": "flat", "rotating": "rfc/canary", "flume": "flume"}

    def setUp(self):
        super().setUp()
        self.client_secret = "canary+client/secret=" + secrets.token_urlsafe(18)
        self.password = "canary&password%" + secrets.token_urlsafe(18)
        user = {"name": "canary@example.com", "password": self.password, "id": "4711"}
        client = {"id": "canary-client", "secret": self.client_secret}
        for provider in self.ACCOUNTS.values():
            self.provider.register(provider, clients=[client], users=[user])
        self.provider.switch("rfc/canary", rotation="always", reuse_detection=True)
        self.daemon.close()
        self.daemon = self.new_daemon(log_level="debug")
        self.daemon.secret("client.secret", self.client_secret)
        self.daemon.profile("canary", self.provider.base_url, tables={"refresh": {"rotation": "always"}})
        mine = {"client_id": "canary-client", "revoke_superseded": "always", "revoke_grace": "0s"}
        self.daemon.account("rotating", provider="canary", grant="refresh_token", **mine)
        self.daemon.account("flat", provider="flat", grant="refresh_token", **mine)
        self.daemon.account("flume", provider="flume", grant="password", username=user["name"], keep_password=True, **mine)
        self.go_on_a_bus()
        self.api = self.start()

    def go_on_a_bus(self):
        """The daemon's session bus is one of its own."""
        path = self.daemon.place("bus")
        bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--nopidfile", f"--address=unix:path={path}"],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(bus.wait)
        self.addCleanup(bus.terminate)
        wait_for(lambda: os.path.exists(path), 20, "the bus")
        before = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={path}"
        self.addCleanup(lambda: os.environ.pop("DBUS_SESSION_BUS_ADDRESS") if before is None
                        else os.environ.__setitem__("DBUS_SESSION_BUS_ADDRESS", before))
        with open(self.daemon.place("credsyncd.toml"), encoding="utf-8") as f:
            config = f.read()
        self.daemon.write("credsyncd.toml", config.replace('dbus = "off"', 'dbus = "session"'))

    def on_the_bus(self, method, *arguments):
        """What a program gets that calls it there."""
        ran = subprocess.run(["gdbus", "call", "--session", "--dest=org.credsync.CredSync1", "--object-path=/org/credsync/CredSync1",
                              f"--method=org.credsync.CredSync1.{method}", *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def sign_in(self):
        for account in ("flat", "rotating"):
            pair = self.provider.issue(self.ACCOUNTS[account], client="canary-client", user="canary@example.com")
            self.assertEqual(self.api.login(account, "refresh_token", pair["refresh_token"]).status, 200)
        self.assertEqual(self.api.login("flume", "password", self.password, username="canary@example.com").status, 200)

    def use(self):
        """Hand-outs, refreshes, a rejected token, an answer that says our secrets back, an answer that is cut."""
        for account in self.ACCOUNTS:
            token = self.granted(self.api.token(account))["access_token"]
            self.assertIn(token, self.on_the_bus("GetAccessToken", account, "{}"))
        for account in self.ACCOUNTS:
            self.assertEqual(self.api.refresh(account).status, 200)
            self.api.reject(account, access_token=self.granted(self.api.token(account))["access_token"])
            self.granted(self.api.token(account))
        echo = f"you sent {self.client_secret}"
        self.provider.behave("status", {"endpoint": "token", "provider": "flat"}, status=400,
                             json={"error": "invalid_request", "error_description": echo})
        self.api.refresh("flat")
        self.provider.clear()
        self.assertEqual(self.api.login("flume", "password", "wrong-" + self.password[6:], username="canary@example.com").status // 100, 4)

    def sign_out(self):
        for account in self.ACCOUNTS:
            self.assertIn(self.api.logout(account).status, (200, 202))
        self.wait_for_revocations()

    def wait_for_revocations(self):
        """An order to revoke holds the client's secret until it was carried out."""
        wait_for(lambda: "credsync_retirements_pending 0\n" in self.api("GET", "/metrics").body.decode(), 30, "all to be revoked")

    def canaries(self):
        with open(self.daemon.place("state", "credsyncd.key"), encoding="ascii") as f:
            key = f.read().strip()
        found = {"the client's secret": self.client_secret, "the password": self.password, "the master key": base64.b64decode(key),
                 "the master key's text": key}
        for token in self.provider.tokens(values=True):
            found[f"{token['kind']} token {token['id']} of {token['provider']}"] = token["value"]
        self.assertGreater(len(found), 12)
        return found

    def test_after_a_sign_out_nothing_is_left(self):
        self.sign_in()
        self.use()
        pid = self.daemon.process.pid
        current = {a: self.granted(self.api.token(a))["access_token"] for a in self.ACCOUNTS}
        self.assertEqual(set(copies(pid, current)), set(current), "the search finds what is there")
        self.sign_out()
        self.assertEqual(copies_that_stay(pid, self.canaries()), {})

    def test_what_is_only_needed_for_a_moment_is_gone_at_once(self):
        self.sign_in()
        self.use()
        self.wait_for_revocations()
        canaries = self.canaries()
        kept = ("the client's secret", "the master key", "the master key's text")
        self.assertEqual(copies_that_stay(self.daemon.process.pid, {name: canaries[name] for name in kept}), {})


@unittest.skipIf(sanitizer.BUILT_WITH, sanitizer.OWN_HEAP)
@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: reading the memory of a process needs root")
class MemoryOfSignIns(DaemonTest):
    """Codes, verifiers and the address that brings them: over as soon as they were redeemed."""

    LIFETIME = 3600
    begin = test_sign_in.SignIn.begin
    wait = test_sign_in.SignIn.wait
    opener = test_sign_in.SignIn.opener
    browse = test_sign_in.SignIn.browse
    callback_of = test_sign_in.SignIn.callback_of

    def setUp(self):
        super().setUp()
        self.daemon.profile("rfc", self.provider.base_url, instance="rfc", tables={"authorize": {"pkce": "S256"}})
        self.daemon.account("code", provider="rfc", grant="authorization_code", scopes=["read", "write"])
        self.api = self.start()

    def expect_gone(self, canaries):
        self.assertTrue(all(len(secret) >= 16 for secret in canaries.values()), canaries)
        self.assertEqual(copies_that_stay(self.daemon.process.pid, canaries), {})

    def test_nothing_is_left_of_a_code_that_was_redeemed(self):
        canaries = {}
        for way in ("pasted", "browsed"):
            view = self.begin()
            address = self.callback_of(view) if way == "pasted" else view["url"]
            asked = urllib.parse.parse_qs(urllib.parse.urlsplit(view["url"]).query)
            canaries[f"state, {way}"] = asked["state"][0]
            self.assertTrue(copies(self.daemon.process.pid, {"state": asked["state"][0]}), "the search finds what is there")
            if way == "pasted":
                self.assertEqual(self.api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": address}).status, 200)
            else:
                self.browse(view)
            self.assertEqual(self.wait(view)["phase"], "done")
        for token in self.provider.tokens(values=True):
            if token["kind"] == "code":
                canaries[f"code {token['id']}"] = token["value"]
                canaries[f"verifier of {token['id']}"] = token["facts"]["verifier"]
        self.assertEqual(len(canaries), 6)
        self.expect_gone(canaries)


if __name__ == "__main__":
    unittest.main()
