"""Callers that go on through restarts, each as the manual says: a kept connection that asks again, on a new one, when the
old one ended between two messages; and the command, which does that by itself."""

import http.client
import subprocess
import threading
import time

from harness import UnixConnection, binary


class Keeper(threading.Thread):
    """One kept connection. `lost`: requests that were sent whole and had no answer."""

    def __init__(self, path, target):
        super().__init__()
        self.path, self.target = path, target
        self.over = threading.Event()
        self.answers, self.refused, self.lost, self.renewed = 0, [], [], 0

    def run(self):
        connection = UnixConnection(self.path, 60.0)
        while not self.over.is_set():
            try:
                if connection.sock is None:
                    connection.connect()
                    self.renewed += 1
            except (ConnectionRefusedError, FileNotFoundError):   # a daemon without a socket unit is away for a moment
                connection.close()
                time.sleep(0.02)
                continue
            try:
                connection.request("GET", self.target)
            except (BrokenPipeError, ConnectionResetError):       # the end came first: the daemon has not seen the request
                connection.close()
                continue
            try:
                answer = connection.getresponse()
                body = answer.read()
            except (http.client.HTTPException, OSError) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status == 200:
                self.answers += 1
            else:
                self.refused.append((answer.status, body[:200]))
            time.sleep(0.002)   # beside fifty others
        connection.close()


class Commander(threading.Thread):
    """Runs `credsync token` again and again."""

    def __init__(self, path, account):
        super().__init__()
        self.path, self.account = path, account
        self.over = threading.Event()
        self.done, self.failed = 0, []

    def run(self):
        while not self.over.is_set():
            result = subprocess.run([binary("CREDSYNC"), "--socket", self.path, "token", self.account, "--wait", "30"],
                                    capture_output=True, text=True, timeout=90, check=False)
            if result.returncode == 0:
                self.done += 1
            else:
                self.failed.append((result.returncode, result.stderr))


class Crowd:
    """Keepers and commanders, started together and ended together."""

    def __init__(self, path, account, keepers, commanders):
        self.keepers = [Keeper(path, f"/v1/accounts/{account}/token") for _ in range(keepers)]
        self.commanders = [Commander(path, account) for _ in range(commanders)]

    def __enter__(self):
        for one in self.keepers + self.commanders:
            one.start()
        return self

    def __exit__(self, *_):
        for one in self.keepers + self.commanders:
            one.over.set()
        for one in self.keepers + self.commanders:
            one.join()

    def counts(self):
        return [k.answers for k in self.keepers] + [c.done for c in self.commanders]
