"""Waking up and a network that comes: what failed for want of it is tried again at once, and no more than that.

The test lives in a network namespace of its own, which needs root; it says so loudly otherwise.
"""

import ctypes
import errno
import os
import socket
import struct
import subprocess
import sys
import time
import unittest
import unittest.mock
from datetime import datetime

import dbus
import dbus.lowlevel

from bus import PrivateBus
from harness import DaemonTest, START_DEADLINE, USER, wait_for

CLONE_NEWNET = 0x40000000
FLUME = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}
LOGIND = "org.freedesktop.login1"
LOGIND_POLICY = f'<policy user="root"><allow own="{LOGIND}"/></policy>'
WAITS = 20         # seconds that are left of a back-off at least, when something is to end it
SOON = 10          # seconds within which it does; the machine may be busy


def forbid_netlink():
    """What RestrictAddressFamilies= without AF_NETLINK does: socket(2) of it fails. For the calling process, for good."""
    numbers = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
    architecture, call = numbers[os.uname().machine]
    load, equal, give = 0x20, 0x15, 0x06
    program = [(load, 0, 0, 4), (equal, 0, 5, architecture), (load, 0, 0, 0), (equal, 0, 3, call), (load, 0, 0, 16),
               (equal, 0, 1, socket.AF_NETLINK), (give, 0, 0, 0x00050000 | errno.EAFNOSUPPORT), (give, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    libc = ctypes.CDLL(None, use_errno=True)
    filters = struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    set_no_new_privileges, set_seccomp, with_filter = 38, 22, 2
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) != 0 or libc.prctl(set_seccomp, with_filter, filters, 0, 0) != 0:
        os._exit(99)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, timeout=20)


def own_network():
    """The calling thread, and what it starts, in a namespace with nothing but a loopback."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        return False
    ip("link", "set", "lo", "up")
    return True


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: a network namespace needs root")
class Network(DaemonTest):
    LIFETIME = 3600

    @classmethod
    def setUpClass(cls):
        if not own_network():
            raise unittest.SkipTest("NOT TESTED: no network namespace can be made here")
        super().setUpClass()

    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)
        self.addresses = 0

    def comes_up(self):
        """An address, and the route that comes with it."""
        self.addresses += 1
        address = f"10.77.{self.addresses}.1/24"
        ip("address", "add", address, "dev", "lo")
        self.addCleanup(ip, "address", "del", address, "dev", "lo")

    def retrying(self, **answer):
        """A daemon whose account waits long for the next attempt; how many requests the provider has seen."""
        api = self.start()
        self.granted(api.token("flume"))
        self.provider.behave("status", {"provider": "flume", "endpoint": "token"}, **answer)
        self.assertEqual(api.refresh("flume").json["state"], "retrying")
        wait_for(lambda: self.left(api) > WAITS, 120, "the back-off to be long")
        return api, len(self.posts(provider="flume"))

    @staticmethod
    def left(api):
        """Seconds until the next attempt."""
        planned = api.status("flume")["next_refresh"]
        return datetime.fromisoformat(planned.replace("Z", "+00:00")).timestamp() - time.time() if planned else 0

    def test_a_network_that_comes_up_ends_the_wait(self):
        api, before = self.retrying(status=503)
        self.provider.clear()
        self.comes_up()
        wait_for(lambda: len(self.posts(provider="flume")) > before, SOON, "the next attempt")
        wait_for(lambda: api.status("flume")["state"] == "ok", SOON, "the account to be well")

    def test_one_that_flaps_causes_few_attempts(self):
        _, before = self.retrying(status=503)
        began = time.monotonic()
        while time.monotonic() - began < 12:
            self.comes_up()
            time.sleep(0.2)
        wait_for(lambda: len(self.posts(provider="flume")) > before, SOON, "the next attempt")
        most = 2 + (time.monotonic() - began) / 10   # one at the beginning, and one in ten seconds
        self.assertLessEqual(len(self.posts(provider="flume")) - before, most)

    def test_what_the_provider_asked_for_is_respected(self):
        _, before = self.retrying(status=503, headers={"Retry-After": "600"})
        self.comes_up()
        time.sleep(8)   # beyond the pause before the attempt, and its spread
        self.assertEqual(len(self.posts(provider="flume")), before)

    def test_waking_up_ends_the_wait(self):
        bus = PrivateBus(LOGIND_POLICY).start()
        self.addCleanup(bus.close)
        self.daemon.bus = bus
        self.daemon.configure(self.provider)
        api, before = self.retrying(status=503)
        self.provider.clear()
        wait_for(bus.owner, 30, "the daemon on the bus")
        logind = dbus.bus.BusConnection(bus.address)
        self.addCleanup(logind.close)
        logind.request_name(LOGIND)

        def prepare_for_sleep(begins):
            signal = dbus.lowlevel.SignalMessage("/org/freedesktop/login1", LOGIND + ".Manager", "PrepareForSleep")
            signal.append(begins, signature="b")
            logind.send_message(signal)
            logind.flush()

        prepare_for_sleep(True)
        time.sleep(6)
        self.assertEqual(len(self.posts(provider="flume")), before, "going to sleep is no reason\n" + self.daemon.log())
        woken = time.monotonic()
        prepare_for_sleep(False)
        wait_for(lambda: len(self.posts(provider="flume")) > before, SOON, "the next attempt")
        self.assertLess(time.monotonic() - woken, 8, "within five seconds, and a busy machine's")
        wait_for(lambda: api.status("flume")["state"] == "ok", SOON, "the account to be well")
        self.assertIn("the machine has woken up", self.daemon.log())

    def test_where_netlink_is_forbidden_the_clock_alone_decides(self):
        popen = subprocess.Popen
        with unittest.mock.patch("subprocess.Popen", lambda *a, **k: popen(*a, preexec_fn=forbid_netlink, **k)):
            self.daemon.spawn()
        wait_for(self.daemon._ready, START_DEADLINE, "the daemon to be ready")
        api = self.new_api()
        self.granted(api.token("flume"))
        self.provider.behave("status", {"provider": "flume", "endpoint": "token"}, status=503, times=1)
        self.assertEqual(api.refresh("flume").json["state"], "retrying")
        wait_for(lambda: api.status("flume")["state"] == "ok", 30, "the next attempt by the clock")
        self.assertEqual(self.daemon.log().count("changes of the network are not noticed"), 1)

    def test_an_account_that_is_well_is_left_alone(self):
        api = self.start()
        self.granted(api.token("flume"))
        before = len(self.posts(provider="flume"))
        descriptors = os.listdir(f"/proc/{self.daemon.process.pid}/fd")
        self.comes_up()
        time.sleep(8)
        self.assertEqual(len(self.posts(provider="flume")), before)
        self.assertEqual(os.listdir(f"/proc/{self.daemon.process.pid}/fd"), descriptors, "it does not even listen")


if __name__ == "__main__":
    if os.geteuid() != 0:
        print("NOT TESTED: a network namespace needs root", file=sys.stderr)
    unittest.main()
