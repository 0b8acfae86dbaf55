"""A private message bus for a test: dbus-daemon with the rules of the system bus and the policy file we ship.

Callers of other users reach it; the daemon and its clients find it by DBUS_SYSTEM_BUS_ADDRESS.
"""

import os
import shutil
import signal
import subprocess
import tempfile

from harness import REPOSITORY, START_DEADLINE, wait_for

POLICY = os.path.join(REPOSITORY, "systemd", "dbus", "org.credsync.CredSync1.conf")
NAME = "org.credsync.CredSync1"
PATH = "/org/credsync/CredSync1"
ERROR = NAME + ".Error."
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"

# What /usr/share/dbus-1/system.conf says, but for the user, the socket and files of other services; and the limits of a
# test that has more callers than a machine would.
CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <auth>EXTERNAL</auth>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
  <include>{policy}</include>
  {more}
  <limit name="max_connections_per_user">4096</limit>
  <limit name="max_completed_connections">8192</limit>
  <limit name="max_replies_per_connection">8192</limit>
</busconfig>
"""


class PrivateBus:
    """One dbus-daemon. Stopping and starting it again is a bus that went away and came back at the same address."""

    def __init__(self, more=""):
        self.directory = tempfile.mkdtemp(prefix="credsync-bus-")
        os.chmod(self.directory, 0o755)
        self.socket = os.path.join(self.directory, "bus.sock")
        self.address = f"unix:path={self.socket}"
        self.config = os.path.join(self.directory, "bus.conf")
        with open(self.config, "w", encoding="utf-8") as out:
            out.write(CONFIG.format(socket=self.socket, policy=POLICY, more=more))
        self.process = None

    def start(self):
        self.process = subprocess.Popen(["dbus-daemon", f"--config-file={self.config}", "--nofork", "--nopidfile",
                                         "--nosyslog"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.socket) and self.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId")
                 .returncode == 0, START_DEADLINE, "the private bus")
        return self

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            self.process = None
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self):
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address, "DBUS_SESSION_BUS_ADDRESS": self.address}

    def call(self, *arguments, user=None, groups=(), timeout=60):
        """busctl call; as another user when one is named."""
        command = ["busctl", "--system", "--json=short", f"--timeout={timeout}", "call", *arguments]
        return subprocess.run([*become(user, groups), *command], env=self.environment(), capture_output=True, text=True,
                              timeout=timeout + 10, check=False, cwd="/")

    def owner(self, name=NAME):
        got = self.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", "s", name)
        return got.stdout if got.returncode == 0 else ""


def become(user, groups=()):
    if user is None:
        return []
    group_options = ["--groups", ",".join(map(str, groups))] if groups else ["--clear-groups"]
    return ["setpriv", "--reuid", str(user), "--regid", str(user), *group_options]
