#!/usr/bin/python3
"""Callers that ask for a token without a pause until stdin ends; then prints what became of their requests, as JSON.

    load.py SOCKET ACCOUNT COMMANDS CLIENTS

COMMANDS run `credsync token ACCOUNT` again and again, CLIENTS ask over a kept HTTP connection each. A request has failed if it
ended in anything but a token. As RFC 9112 9.3.1 has it, a client whose kept connection turns out to have been closed asks once
more on a new one; what fails on a new connection has failed.
"""

import collections
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time

PACE = 0.005      # seconds between a caller's requests: they are many, and the machine is small
PATIENCE = 30.0   # seconds for one request
SHOWN = 5         # failures that are told in full


class Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self.path)


class Callers:
    """All callers and what they saw. Counters are changed under one lock."""

    def __init__(self, path, account):
        self.path, self.account = path, account
        self.over = threading.Event()
        self.lock = threading.Lock()
        self.counts, self.failures, self.tokens = collections.Counter(), [], set()
        self.slowest = 0.0

    def record(self, kind, began, token, failure):
        with self.lock:
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.counts[kind if token else f"{kind} failed"] += 1
            if token:
                self.tokens.add(hashlib.sha256(token.encode()).hexdigest())
            elif len(self.failures) < SHOWN:
                self.failures.append(f"{kind}: {failure}")

    def run_commands(self):
        while not self.over.wait(PACE):
            began = time.monotonic()
            done = subprocess.run(["credsync", "token", self.account], capture_output=True, text=True, check=False)
            token = done.stdout.strip() if done.returncode == 0 else ""
            self.record("command", began, token, f"{done.returncode} {done.stderr.strip()}")

    def run_client(self):
        connection = Connection(self.path)
        while not self.over.wait(PACE):
            began = time.monotonic()
            try:
                status, body = self.ask(connection)
                token = json.loads(body).get("access_token") if status == 200 else ""
                self.record("client", began, token, f"{status} {body[:300]!r}")
            except (OSError, ValueError, http.client.HTTPException) as error:
                connection.close()
                self.record("client", began, "", repr(error))
        connection.close()

    def ask(self, connection):
        kept = connection.sock is not None
        try:
            return self.ask_once(connection)
        except (http.client.RemoteDisconnected, ConnectionError):
            connection.close()
            if not kept:
                raise
        with self.lock:
            self.counts["asked again on a new connection"] += 1
        return self.ask_once(connection)

    def ask_once(self, connection):
        connection.request("GET", f"/v1/accounts/{self.account}/token")
        answer = connection.getresponse()
        return answer.status, answer.read()

    def run(self, commands, clients):
        threads = [threading.Thread(target=f) for f in [self.run_commands] * commands + [self.run_client] * clients]
        for thread in threads:
            thread.start()
        print("started", flush=True)
        sys.stdin.read()
        self.over.set()
        for thread in threads:
            thread.join()
        print(json.dumps({"counts": self.counts, "failures": self.failures, "tokens": len(self.tokens), "slowest": self.slowest}))


if __name__ == "__main__":
    Callers(sys.argv[1], sys.argv[2]).run(int(sys.argv[3]), int(sys.argv[4]))
