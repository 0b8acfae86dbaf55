"""Plays systemd for a daemon: passes it a listening socket, hears its notifications, waits for READY=1."""

import os
import socket
import subprocess
import sys
import threading
import time

from harness import Daemon, START_DEADLINE, wait_for

# LISTEN_PID must be the number of the process that becomes the daemon.
PASS = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


class Notifications:
    """The manager's end of NOTIFY_SOCKET: each message as a dict, with the time it came."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.messages = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while True:
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            fields = dict(line.split("=", 1) for line in data.decode().splitlines())
            self.messages.append((time.monotonic(), fields))

    def having(self, key):
        return [fields[key] for _, fields in list(self.messages) if key in fields]

    def times(self, key):
        return [at for at, fields in list(self.messages) if key in fields]

    @property
    def status(self):
        lines = self.having("STATUS")
        return lines[-1] if lines else None

    def clear(self):
        self.messages = []

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()
        self.thread.join(5)


class ManagedDaemon(Daemon):
    """activated: the socket is the manager's and outlives the daemon, as with a socket unit."""

    def __init__(self, activated=True, watchdog=None, name="http", environment=None, **options):
        super().__init__(**options)
        self.notifications = Notifications(self.directory)
        self.watchdog, self.name = watchdog, name
        self.environment = environment or {}
        self.listening = self.listen(self.socket) if activated else None

    @staticmethod
    def listen(path, mode=0o666):
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(path)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)   # PassCredentials=yes of the socket unit
        os.chmod(path, mode)
        listening.listen(4096)
        return listening

    def spawn(self):
        of_sanitizers = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        environment = {"PATH": os.environ["PATH"], "NOTIFY_SOCKET": self.notifications.path, **of_sanitizers, **self.environment}
        if self.bus:
            environment.update(self.bus.environment())
        if self.watchdog:
            environment["WATCHDOG_USEC"] = str(int(self.watchdog * 1e6))
        command = self.arguments("--log-level", self.log_level)
        descriptors = ()
        if self.listening:
            environment.update(LISTEN_FDS="1", LISTEN_FDNAMES=self.name)
            descriptors = (self.listening.fileno(),)
            command = [sys.executable, "-c", PASS, str(descriptors[0]), *command]
        self.notifications.clear()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            env=environment, pass_fds=descriptors)
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"credsyncd ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return bool(self.notifications.having("READY"))

    def start(self):
        self.spawn()
        wait_for(self._ready, START_DEADLINE, "READY=1")
        return self

    def close(self):
        super().close()
        self.notifications.close()
        if self.listening:
            self.listening.close()
