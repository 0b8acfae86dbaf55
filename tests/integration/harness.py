"""Runs the real daemon for a test: a fresh directory, a configuration, a process, its socket. Standard library only.

The judge of every test is the practice provider's ledger; what the daemon says of itself is only compared with it.
Nothing here sleeps for a guessed time: waits poll a real condition up to a deadline.
"""

import http.client
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "practice_provider"))

import profiles  # noqa: E402
import sanitizer  # noqa: E402
from control import PracticeProvider  # noqa: E402

sanitizer.begin()
PROVIDERS = os.path.join(REPOSITORY, "config", "providers")
START_DEADLINE = 60.0 * sanitizer.PATIENCE   # seconds; the machine may be busy
STOP_DEADLINE = 45.0 * sanitizer.PATIENCE    # longer than an exchange that a stopping daemon waits for
POLL = 0.02
EVERY_ACTION = ["get", "watch", "refresh", "login", "admin"]
CONFIG_ERROR = 78       # EX_CONFIG
PROBLEM = "urn:credsync:error:"
CLIENT, SECRET = "demo-client", "demo-secret"
USER, PASSWORD = "demo@example.com", "demo-password"


def binary(variable):
    """Where CMake built it; a run by hand sets the variable itself."""
    path = os.environ.get(variable)
    if not path or not os.access(path, os.X_OK):
        raise RuntimeError(f"{variable} must name the built program")
    return path


def wait_for(condition, timeout=15.0, what="the condition"):
    """Polls until `condition` gives something true, and returns that."""
    deadline = time.monotonic() + timeout * sanitizer.PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(POLL)


class UnixConnection(http.client.HTTPConnection):
    """A kept HTTP connection over a Unix socket."""

    def __init__(self, path, timeout=70.0):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    """Status, headers (lower-case names) and body of an HTTP answer."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The name of a problem document; "" if it is none."""
        if self.headers.get("content-type") != "application/problem+json":
            return ""
        return self.json["type"].removeprefix(PROBLEM)

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


class Api:
    """The daemon's HTTP interface on one kept connection. Not for use by several threads."""

    def __init__(self, path, timeout=70.0):
        self.connection = UnixConnection(path, timeout)

    def __call__(self, method, path, body=None, headers=None):
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, path, data, headers or {})
        got = self.connection.getresponse()
        return Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())

    def token(self, account, **query):
        text = "&".join(f"{k}={v}" for k, v in query.items())
        return self("GET", f"/v1/accounts/{account}/token" + (f"?{text}" if text else ""))

    def status(self, account):
        return self("GET", f"/v1/accounts/{account}").json

    def reject(self, account, **body):
        return self("POST", f"/v1/accounts/{account}/reject", body)

    def refresh(self, account):
        return self("POST", f"/v1/accounts/{account}/refresh")

    def login(self, account, method, secret=None, **more):
        return self("POST", f"/v1/accounts/{account}/login", {"method": method, **({"secret": secret} if secret else {}), **more})

    def logout(self, account):
        return self("DELETE", f"/v1/accounts/{account}/grant")

    def reload(self):
        return self("POST", "/v1/reload")

    def close(self):
        self.connection.close()


class EventStream:
    """What /v1/events says, read in a thread until close() or its end."""

    def __init__(self, path, query=""):
        self.connection = UnixConnection(path)
        self.connection.request("GET", "/v1/events" + query)
        self.socket = self.connection.sock   # http.client lets go of it at the answer
        self.response = self.connection.getresponse()
        self.data = b""
        self.ended = False
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self):
        try:
            while got := self.response.read1(65536):
                self.data += got
        except (OSError, ValueError, http.client.HTTPException):
            pass
        self.ended = True

    @property
    def text(self):
        return self.data.decode()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.thread.join(STOP_DEADLINE)
        self.response.close()
        self.connection.close()


class Daemon:
    """One daemon's directory and, between start() and stop(), its process."""

    def __init__(self, log_level="info"):
        self.directory = tempfile.mkdtemp(prefix="credsync-")
        os.chmod(self.directory, 0o755)   # callers of other users reach the socket
        self.state = self.place("state")
        self.socket = self.place("run", "api.sock")
        self.log_path = self.place("log")
        self.log_level = log_level
        self.process = None
        self.bus = None   # of bus.py, for a daemon that is on one
        self.program = "CREDSYNCD"   # or CREDSYNCD_SWITCHED, for faults.py
        self.variables = {}          # of its environment, besides ours
        self.options = []            # on its command line, besides ours
        for folder in ("accounts.d", "conf.d", "providers.d", "run"):
            os.mkdir(self.place(folder), 0o755)
        self.secret("client.secret", SECRET)
        self.secret("flume.password", PASSWORD)

    def place(self, *parts):
        return os.path.join(self.directory, *parts)

    # --- configuration

    def write(self, name, text, mode=0o644):
        """Writes a file of the configuration as an editor does: the whole or nothing."""
        path = self.place(name)
        with open(path + ".new", "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
        os.rename(path + ".new", path)
        return path

    def secret(self, name, value):
        return self.write(os.path.join("accounts.d", name) if os.sep not in name else name, value + "\n", 0o600)

    def configure(self, provider, rules=None, extra="", callers=4096):
        """credsyncd.toml and the profiles that point at `provider`. rules: dicts of [[defaults.allow]]; None: this user, all."""
        if rules is None:
            rules = [{"user": pwd.getpwuid(os.getuid()).pw_name, "actions": EVERY_ACTION}]
        lines = ["[listen]", f"http = {profiles.toml(self.socket)}", f'dbus = "{"system" if self.bus else "off"}"',
                 "[callers]", f"max_connections_per_user = {callers}",
                 "[defaults]", f"ca_file = {profiles.toml(provider.ca_file)}"]
        for rule in rules:
            lines += ["[[defaults.allow]]", *(f"{k} = {profiles.toml(v)}" for k, v in rule.items())]
        self.write("credsyncd.toml", "\n".join(lines) + "\n" + extra)
        self.write("providers.d/practice.toml", profiles.overrides(provider.base_url))

    def profile(self, profile_id, base_url, instance=None, tables=None, without=()):
        """A profile of an RFC instance of the practice provider."""
        text = profiles.rfc(profile_id, base_url, instance or f"rfc/{profile_id}", tables, without)
        self.write(f"providers.d/{profile_id}.toml", text)

    def account(self, name, allow=(), **keys):
        """Writes accounts.d/NAME.toml; keys as in credsyncd.toml(5). Gives the practice client unless told otherwise."""
        if keys.get("grant") != "static":
            keys = {"client_id": CLIENT, "client_secret": {"file": "client.secret"}, **keys}
        lines = [f"[account.{name}]", *(f"{k} = {profiles.toml(v)}" for k, v in keys.items() if v is not None)]
        for rule in allow:
            lines += [f"[[account.{name}.allow]]", *(f"{k} = {profiles.toml(v)}" for k, v in rule.items())]
        return self.write(f"accounts.d/{name}.toml", "\n".join(lines) + "\n")

    def remove_account(self, name):
        os.unlink(self.place("accounts.d", f"{name}.toml"))

    # --- the process

    def arguments(self, *more):
        return [binary(self.program), "--config", self.directory, "--state", self.state, "--providers", PROVIDERS,
                *self.options, *more]

    def environment(self):
        return {**(self.bus.environment() if self.bus else os.environ), **self.variables}

    def spawn(self):
        """Starts it and does not wait."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.arguments("--log-level", self.log_level), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, cwd="/", env=self.environment())
        return self

    def start(self):
        """Starts it and returns when its socket answers."""
        self.spawn()
        wait_for(self._ready, START_DEADLINE, "the daemon to be ready")
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"credsyncd ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(self.socket)
            return True
        except OSError:
            return False

    def stop(self, with_signal=signal.SIGTERM):
        """Ends it; its exit status (negative: the signal)."""
        if self.process is None:
            return None
        self.process.send_signal(with_signal)
        try:
            return self.ended()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def ended(self, timeout=STOP_DEADLINE):
        """Waits for its end; its exit status."""
        status = self.process.wait(timeout)
        self.process = None
        return status

    def kill(self):
        """As a crash or a power cut would: nothing is said, nothing is flushed."""
        self.process.kill()
        return self.ended()

    def restart(self):
        self.stop()
        return self.start()

    def run(self, *options, timeout=30):
        """Runs credsyncd to its end, as --check-config does."""
        return subprocess.run(self.arguments(*options), capture_output=True, text=True, timeout=timeout, check=False,
                              env=self.environment())

    def cli(self, *arguments, stdin="", timeout=90):
        """Runs the `credsync` command."""
        return subprocess.run([binary("CREDSYNC"), "--socket", self.socket, *arguments], input=stdin, capture_output=True,
                              text=True, timeout=timeout, check=False)

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def api(self, timeout=70.0):
        return Api(self.socket, timeout)

    def close(self):
        if self.process is not None and sanitizer.BUILT_WITH:
            self.stop()   # what has leaked is told at an orderly end only
        elif self.process is not None:
            self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        sanitizer.check()


class DaemonTest(unittest.TestCase):
    """A test with one practice provider for its class and a fresh daemon for each test."""

    LIFETIME = None

    @classmethod
    def setUpClass(cls):
        cls.provider = PracticeProvider(lifetime=cls.LIFETIME).start()
        cls.addClassCleanup(cls.provider.stop)

    def setUp(self):
        self.provider.reset()
        self.daemon = self.new_daemon()

    def new_daemon(self, **options):
        daemon = Daemon(**options)
        self.addCleanup(daemon.close)
        daemon.configure(self.provider)
        return daemon

    def start(self):
        """Starts the daemon and gives its API."""
        self.daemon.start()
        return self.new_api()

    def new_api(self):
        api = self.daemon.api()
        self.addCleanup(api.close)
        return api

    def granted(self, answer):
        """The token of an answer that must be one."""
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def refused(self, answer, problem, status):
        """An answer that must be that problem; its document."""
        self.assertEqual((answer.status, answer.problem), (status, problem), answer)
        return answer.json

    def posts(self, **filters):
        """Requests that reached the token endpoint."""
        return self.provider.requests(endpoint="token", **filters)

    def assert_alive(self, token):
        self.assertTrue(self.provider.check(token)["alive"], self.provider.check(token))

    def assert_dead(self, token, why=None):
        found = self.provider.check(token)
        self.assertFalse(found["alive"], found)
        if why:
            self.assertEqual(found["why_dead"], why, found)
