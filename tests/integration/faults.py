"""A daemon that can be broken on purpose: its fail points (base/fail_point.h) and its disk.

The provider replaces the refresh token at each use and ends the grant when it sees an old one again, so that whatever the
daemon forgets or repeats is in the ledger.
"""

import errno
import os
import re
import signal
import subprocess

from harness import REPOSITORY, DaemonTest, START_DEADLINE, wait_for

LONG = os.environ.get("CREDSYNC_LONG") == "1"
POINT = re.compile(r'CREDSYNC_FAIL_POINT\("([^"]*)"\)')
REFUSED_START = 78


def all_points():
    """The names of all fail points, from the sources."""
    names = set()
    for top, _, files in os.walk(os.path.join(REPOSITORY, "daemon")):
        for name in files:
            if name.endswith(".cc"):
                with open(os.path.join(top, name), encoding="utf-8") as source:
                    names.update(POINT.findall(source.read()))
    return names


class Points:
    """The file of fail points of one daemon."""

    def __init__(self, daemon):
        self.path = daemon.place("fail-points")
        daemon.program = "CREDSYNCD_SWITCHED"
        daemon.variables["CREDSYNC_FAIL_POINTS"] = self.path
        self.serial = 0
        self.set()

    def set(self, *rules):
        """These rules and no others from now on; each "NAME ACTION …". A rule counts its hits anew each time it is set."""
        self.serial += 1
        with open(self.path + ".new", "w", encoding="utf-8") as out:
            out.writelines(f"{rule} #{self.serial}\n" for rule in rules)
        os.rename(self.path + ".new", self.path)

    def _lines(self, suffix):
        try:
            with open(self.path + suffix, encoding="utf-8") as lines:
                return lines.read().split()
        except FileNotFoundError:
            return []

    def seen(self):
        """Points that were reached, in order, by all processes since forget()."""
        return self._lines(".seen")

    def held(self):
        return self._lines(".held")

    def forget(self):
        for suffix in (".seen", ".held"):
            try:
                os.unlink(self.path + suffix)
            except FileNotFoundError:
                pass


class RotatingTest(DaemonTest):
    """Accounts at a provider that rotates with reuse detection and no overlap, and the ledger's view of them."""

    LIFETIME = 3600   # nothing is refreshed but what the test orders
    INSTANCE = "rfc/faults"

    def setUp(self):
        super().setUp()
        self.provider.switch(self.INSTANCE, rotation="always", reuse_detection=True)
        self.daemon.profile("faults", self.provider.base_url, self.INSTANCE, {"refresh": {"rotation": "always", "overlap": "0s"}})
        self.family = {}   # account -> the grant's family in the ledger

    def rotating(self, *names, **keys):
        for name in names:
            self.daemon.account(name, **{"provider": "faults", "grant": "refresh_token", "revoke_grace": "0s", **keys})

    def steady(self, *names):
        """Accounts whose grants do not rotate."""
        for name in names:
            self.daemon.account(name, provider="fflogs", grant="client_credentials", scopes=[name])

    def sign_in(self, api, name):
        pair = self.provider.issue(self.INSTANCE)
        answer = api.login(name, "refresh_token", pair["refresh_token"])
        self.assertEqual((answer.status, answer.json.get("state")), (200, "ok"), answer)
        self.family[name] = pair["family"]

    def newest(self, name):
        """The generation of the newest access token in the account's family."""
        return max(t["generation"] for t in self.provider.tokens(family=self.family[name], kind="access"))

    def assert_newest(self, api, name, wait=5):
        """What is handed out is alive, of the account's own grant, and the newest there is; the token."""
        answer = self.granted(api.token(name, wait=wait))
        found = self.provider.check(answer["access_token"])
        self.assertTrue(found["alive"] and not found["superseded"], (name, found))
        self.assertEqual(found["family"], self.family[name])
        return answer["access_token"]

    def assert_works_on(self, api, name):
        """The refresh token is the newest too: a refresh succeeds and reuses nothing."""
        before = self.provider.summary()["reused"]
        status = api.refresh(name).json
        self.assertEqual(status["state"], "ok", status)
        self.assertEqual(self.provider.summary()["reused"], before)
        return self.assert_newest(api, name)

    def refused_start(self, timeout=START_DEADLINE):
        """The daemon must not start: status 78; what it said."""
        self.daemon.spawn()
        with_status = self.daemon.ended(timeout)
        said = self.daemon.log()
        self.assertEqual(with_status, REFUSED_START, said[-2000:])
        return said.rstrip().rsplit("\n", 1)[-1]


class TinyDisk:
    """A tmpfs over a directory, in the mount namespace of the tests. Needs root."""

    def __init__(self, path, size):
        self.path = path
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tiny", path], capture_output=True,
                              text=True, check=False)
        self.mounted = done.returncode == 0
        self.why = done.stderr.strip()
        self.ballast = os.path.join(path, "ballast")

    def resize(self, size):
        self.remount(f"size={size}")

    def remount(self, options):
        subprocess.run(["mount", "-o", f"remount,{options}", self.path], check=True, capture_output=True)

    def used(self):
        stat = os.statvfs(self.path)
        return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

    def fill(self, leave=0):
        """Until only `leave` bytes are free (whole pages)."""
        stat = os.statvfs(self.path)
        room = stat.f_bfree * stat.f_frsize - leave
        with open(self.ballast, "ab") as out:
            try:
                out.write(b"\0" * max(0, room))
                out.flush()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def make_room(self):
        if os.path.exists(self.ballast):
            os.unlink(self.ballast)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=False, capture_output=True)


def died(daemon, timeout):
    """Whether the daemon was killed by its fail point within `timeout` seconds."""
    try:
        wait_for(lambda: daemon.process.poll() is not None, timeout, "the daemon to die")
    except AssertionError:
        return False
    return daemon.ended() == -signal.SIGKILL
