"""Runs credsync against a fake daemon: as a script would, or as a person at a terminal would."""

import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from fake_daemon import FakeDaemon

CREDSYNC = os.environ.get("CREDSYNC", "credsync")
TIMEOUT = 60  # a safety net: nothing here waits for time to pass

TOKEN = "eyJhbGciOiJub25lIn0.canary-access-token-5f1c.sig"


def at(seconds):
    """RFC 3339, that many seconds from now."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def status(account="flat-me", **changes):
    value = {
        "account": account, "provider": "flat", "grant": "refresh_token", "state": "ok", "since": at(-3600),
        "generation": 7, "usable": True, "expires_at": at(2555), "expires_in": 2555, "lifetime": 4000,
        "refreshable": True, "refreshing": False, "next_refresh": at(1955), "refresh_expires_at": None,
        "scope": ["account.public_profile", "scores"], "last_used": at(-60), "error": None, "next_step": None,
        "retiring": {"pending": 0, "unrevoked": 0, "next": None}, "notes": [], "actions": ["get", "watch"],
    }
    value.update(changes)
    return value


def token_answer(**changes):
    value = {
        "account": "flat-me", "access_token": TOKEN, "token_type": "Bearer", "expires_at": at(2555),
        "expires_in": 2555, "scope": ["scores"], "generation": 7, "min_valid_met": True, "state": "ok",
        "header": {"name": "Authorization", "value": "Bearer " + TOKEN}, "extra": {},
    }
    value.update(changes)
    return value


@dataclass
class Result:
    code: int
    out: str
    err: str


class CliTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="credsync-cli-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.socket = os.path.join(self.directory, "api.sock")
        self.daemon = FakeDaemon(self.socket)
        self.addCleanup(self.daemon.stop)

    def environment(self, **more):
        environment = {"PATH": os.environ["PATH"], "HOME": self.directory, "LC_ALL": "C.UTF-8", "TZ": "UTC",
                       "TERM": "xterm", "CREDSYNC_SOCKET": self.socket}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LLVM_PROFILE_FILE"):
            if name in os.environ:
                environment[name] = os.environ[name]
        environment.update(more)
        return {name: value for name, value in environment.items() if value is not None}

    def credsync(self, *arguments, stdin=b"", env=None, **options):
        done = subprocess.run([CREDSYNC, *arguments], input=stdin, capture_output=True, timeout=TIMEOUT,
                              env=self.environment(**(env or {})), check=False, **options)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def own_daemon(self):
        """(a daemon where one's own listens, the environment in which it is found)"""
        runtime = os.path.join(self.directory, "run")
        os.makedirs(os.path.join(runtime, "credsyncd"))
        own = FakeDaemon(os.path.join(runtime, "credsyncd/api.sock"))
        self.addCleanup(own.stop)
        return own, {"CREDSYNC_SOCKET": None, "XDG_RUNTIME_DIR": runtime}

    def terminal(self, *arguments, columns=100, rows=30, env=None):
        return Terminal([CREDSYNC, *arguments], self.environment(**(env or {})), columns, rows, self)

    def assert_done(self, result, code=0):
        self.assertEqual(result.code, code, f"stdout: {result.out}\nstderr: {result.err}")


class Terminal:
    """A person at a pseudo-terminal: what appears, what is typed, and whether it is echoed."""

    def __init__(self, command, environment, columns, rows, case):
        self.shown = b""
        self.code = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            self.fd = 0
            self.resize(columns, rows)
            os.execve(shutil.which(command[0]), command, environment)
        case.addCleanup(self.close)

    def resize(self, columns, rows):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def type(self, text):
        rest = text.encode()
        while rest:
            rest = rest[os.write(self.fd, rest):]

    def text(self):
        return self.shown.decode(errors="replace")

    def plain(self):
        """What is shown without escape sequences and carriage returns."""
        return re.sub(r"\033(\[[0-9;?]*[A-Za-z]|[()][A-Z0-9])", "", self.text()).replace("\r", "")

    def read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return False
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side is gone
            return False
        self.shown += piece
        return bool(piece)

    def until(self, condition, timeout=TIMEOUT):
        """Reads until condition(self) holds."""
        end = time.monotonic() + timeout
        while not condition(self):
            left = end - time.monotonic()
            if left <= 0:
                raise AssertionError(f"not seen within {timeout} s; the terminal shows:\n{self.plain()}")
            if not self.read(min(left, 0.2)) and self.finished():
                if condition(self):
                    return self
                raise AssertionError(f"it ended with {self.code}; the terminal shows:\n{self.plain()}")
        return self

    def expect(self, text, timeout=TIMEOUT):
        return self.until(lambda t: text in t.plain(), timeout)

    def finished(self):
        if self.code is None:
            pid, state = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                self.code = os.waitstatus_to_exitcode(state)
        return self.code is not None

    def wait(self, timeout=TIMEOUT):
        """Reads to the end; gives the exit code (negative: the signal)."""
        end = time.monotonic() + timeout
        while not self.finished():
            if time.monotonic() > end:
                raise AssertionError(f"it does not end; the terminal shows:\n{self.plain()}")
            self.read(0.1)
        while self.read(0.05):
            pass
        return self.code

    def close(self):
        if not self.finished():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.code = -signal.SIGKILL
        os.close(self.fd)
