"""Starts a practice provider for a test and talks to its control API. Standard library only.

    with PracticeProvider(lifetime=5) as provider:
        pair = provider.issue("flat", scope="scores")
        provider.behave("drop_after", {"provider": "flat", "endpoint": "token"}, times=1)
        ...
        self.assertFalse(provider.check(old_token)["alive"])
"""

import base64
import hashlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)   # whoever imports this file may live anywhere

import profiles  # noqa: E402

PROGRAM = os.path.join(HERE, "practice_provider.py")
START_DEADLINE = 90.0   # seconds; making an RSA key on a busy machine takes its time
STOP_DEADLINE = 10.0


class ControlError(RuntimeError):
    """The control API refused."""


class Answer:
    """A plain HTTP answer: status, headers (lower-case names), body, json()."""

    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode(errors="replace")


class Connection:
    """One HTTPS connection that trusts only the provider's CA."""

    def __init__(self, base_url, ca_file, timeout=30.0, certificate=None):
        parts = urllib.parse.urlsplit(base_url)
        context = ssl.create_default_context(cafile=ca_file)
        if certificate:
            context.load_cert_chain(certificate["certificate"], certificate["key"])
        self.http = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout, context=context)

    def request(self, method, path, body=None, headers=None):
        self.http.request(method, path, body, headers or {})
        answer = self.http.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def close(self):
        self.http.close()


def basic(client_id, secret):
    """The Authorization header of HTTP Basic, form-encoded as RFC 6749 2.3.1 says."""
    pair = f"{urllib.parse.quote_plus(client_id)}:{urllib.parse.quote_plus(secret)}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def pkce():
    """A verifier and its S256 challenge."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return verifier, challenge


class PracticeProvider:
    """A practice provider process. Use as a context manager, or start() and stop().

    directory: where its files go; None: a temporary one, removed by stop(). lifetime: seconds of access tokens, None: as
    the documents say. ledger: keep the ledger over restart(). config: list of dicts for --config. port 0: any.
    """

    def __init__(self, directory=None, port=0, lifetime=None, ledger=False, config=None, idle=None):
        self.temporary = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="practice-")
        self.port, self.lifetime, self.ledger, self.config, self.idle = port, lifetime, ledger, config, idle
        self.process = None
        self.local = threading.local()
        self.connections = set()
        self.base_url = self.ca_file = self.token = None

    # --- the process

    def start(self):
        """Starts it and returns when it listens."""
        command = ["/usr/bin/python3", "-B", PROGRAM, "--dir", self.directory, "--port", str(self.port), "--until-stdin-ends"]
        if self.lifetime is not None:
            command += ["--lifetime", str(self.lifetime)]
        if self.ledger:
            command += ["--ledger", os.path.join(self.directory, "ledger.jsonl")]
        if self.config:
            command += ["--config", json.dumps(self.config)]
        if self.idle is not None:
            command += ["--idle", str(self.idle)]
        ready = os.path.join(self.directory, "ready")
        if os.path.exists(ready):
            os.unlink(ready)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        self._await_ready(ready)
        return self

    @classmethod
    def attach(cls, directory):
        """Talks to a practice provider that somebody else started on that directory."""
        provider = cls(directory)
        provider._read_ready(os.path.join(directory, "ready"))
        return provider

    def _await_ready(self, ready):
        deadline = time.monotonic() + START_DEADLINE
        while not os.path.exists(ready):
            if self.process.poll() is not None:
                raise RuntimeError(f"the practice provider ended with {self.process.returncode}")
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the practice provider did not get ready")
            time.sleep(0.02)
        self._read_ready(ready)

    def _read_ready(self, ready):
        with open(ready, encoding="utf-8") as f:
            facts = json.load(f)
        self.port, self.base_url, self.ca_file = facts["port"], facts["base_url"], facts["ca_file"]
        with open(facts["control_token_file"], encoding="ascii") as f:
            self.token = f.read().strip()
        self.local = threading.local()

    def stop(self, with_signal=signal.SIGTERM):
        """Ends it if it was started here; its exit status. Removes the directory if it was a temporary one."""
        status = self._end(with_signal)
        if self.temporary:
            shutil.rmtree(self.directory, ignore_errors=True)
        return status

    def _end(self, with_signal):
        try:
            return self._end_process(with_signal)
        finally:
            while self.connections:
                self.connections.pop().close()

    def _end_process(self, with_signal):
        if self.process is None:
            return None
        process, self.process = self.process, None
        process.send_signal(with_signal)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            process.stdin.close()
        return process.returncode

    def restart(self, with_signal=signal.SIGTERM):
        """Stops and starts it on the same port and directory. Without ledger=True it has forgotten everything."""
        self._end(with_signal)
        return self.start()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # --- HTTP

    def url(self, path=""):
        return self.base_url + path

    def connect(self, timeout=30.0, base_url=None, certificate=None):
        connection = Connection(base_url or self.base_url, self.ca_file, timeout, certificate)
        self.connections.add(connection)   # closed by stop() if not before
        return connection

    def http(self, method, path, body=None, headers=None, timeout=30.0):
        """One request on its own connection."""
        connection = self.connect(timeout)
        try:
            return connection.request(method, path, body, headers)
        finally:
            connection.close()
            self.connections.discard(connection)

    def get(self, path, bearer=None):
        return self.http("GET", path, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})

    def form(self, path, fields, headers=None):
        """POSTs a form."""
        return self.http("POST", path, urllib.parse.urlencode(fields),
                         {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})})

    def consent(self, path, decision="allow", user=None):
        """Plays the person at an authorization URL: opens the page, submits its form; the redirect's Location."""
        page = self.http("GET", path)
        if page.status == 302:
            return page.headers["location"]
        found = re.search(r'name=request value="([^"]+)"', page.text)
        if page.status != 200 or not found:
            raise AssertionError(f"no consent page: {page.status} {page.text[-300:]}")
        fields = {"request": found[1], "decision": decision, **({"user": user} if user else {})}
        answer = self.form(path.split("?")[0], fields)
        return answer.headers.get("location", answer.text)

    # --- control

    def control(self, method, name, body=None, timeout=30.0):
        """A control request; its JSON. Raises ControlError with the server's words."""
        path, data = f"/_control/{name}", None
        if method == "GET" and body:
            path += "?" + urllib.parse.urlencode({k: v for k, v in body.items() if v is not None})
        elif method == "POST":
            data = json.dumps(body or {})
        headers = {"X-Practice-Control": self.token}
        answer = self._control_connection(timeout, method, path, data, headers)
        if answer.status != 200:
            raise ControlError(answer.json()["error"])
        return answer.json()

    def _control_connection(self, timeout, *request):
        """One kept connection a thread; a stale one is replaced once."""
        for fresh in (False, True):
            kept = getattr(self.local, "connection", None)
            if kept is None or fresh:
                kept = self.local.connection = self.connect(timeout)
            if kept.http.sock is not None:
                kept.http.sock.settimeout(timeout)
            try:
                return kept.request(*request)
            except (ConnectionError, http.client.HTTPException, ssl.SSLError):
                kept.close()
                self.local.connection = None
                if fresh:
                    raise
        return None

    def register(self, provider, clients=(), users=(), switches=None):
        """Adds clients ({"id", "secret", "redirect_uris", "switches", …}) and users ({"name", "password", "id", …})."""
        return self.control("POST", "client", {"provider": provider, "clients": list(clients), "users": list(users),
                                               **({"switches": switches} if switches else {})})

    def switch(self, provider, client=None, **switches):
        """Sets switches of a provider instance, or of one of its clients; None: back to the default."""
        return self.control("POST", "switch", {"provider": provider, "switches": switches,
                                               **({"client": client} if client else {})})

    def set_lifetime(self, provider, seconds, client=None):
        return self.switch(provider, client, lifetime=seconds)

    def issue(self, provider, client="demo-client", user="demo@example.com", scope="", kind="pair", **more):
        """Tokens as if someone had signed in: dict with access_token, refresh_token, access_id, refresh_id, family."""
        return self.control("POST", "issue", {"provider": provider, "client": client, "user": user, "scope": scope,
                                              "kind": kind, **more})

    def issue_many(self, requests):
        """One control request for thousands: a list of dicts as issue() takes them; the answers in that order."""
        return self.control("POST", "issue", {"many": list(requests)}, timeout=120)["issued"]

    def pat(self, provider="flat", client="demo-client", user="demo@example.com", scope="", lifetime=None):
        """A personal access token."""
        return self.issue(provider, client, user, scope, "pat", lifetime=lifetime)["access_token"]

    def behave(self, do, match=None, **parameters):
        """Adds a misbehaviour rule (times, skip, probability, seed and what `do` takes); its id."""
        return self.control("POST", "behave", {"do": do, "match": match or {}, **parameters})["ids"][0]

    def clear(self, rule=None):
        """Ends one rule, or all."""
        return self.control("POST", "behave", {"clear": rule or True})

    def rule(self, identifier):
        """A rule as it stands: hits, hanging, …"""
        return next(r for r in self.control("GET", "behave")["rules"] if r["id"] == identifier)

    def release(self, rule=None, drop=False):
        """Lets hung requests go on (or drops them); their rule ends."""
        return self.control("POST", "release", {**({"id": rule} if rule else {}), "drop": drop})

    def reset(self, what="all", **more):
        return self.control("POST", "reset", {"what": what, **more})

    def revoke(self, token, family=False):
        """As if the user took it back."""
        return self.control("POST", "revoke", {"token": token, "family": family})

    def decide_device(self, user_code, decision="allow", provider="rfc", user=None):
        return self.control("POST", "device", {"provider": provider, "user_code": user_code, "decision": decision,
                                               **({"user": user} if user else {})})

    def trap(self, kind, **more):
        """A port that is wrong before HTTP: its base URL."""
        return self.control("POST", "trap", {"kind": kind, **more})["base_url"]

    def certificate(self, subject):
        """A client certificate: {"certificate": path, "key": path}."""
        return self.control("POST", "certificate", {"subject": subject})

    # --- asking the ledger

    def tokens(self, values=False, **filters):
        return self.control("GET", "tokens", {**filters, "values": int(values)})["tokens"]

    def requests(self, **filters):
        return self.control("GET", "requests", filters)["requests"]

    def summary(self, **filters):
        return self.control("GET", "summary", filters)

    def check(self, token):
        """Is it alive, superseded, which generation; why is it dead."""
        return self.control("POST", "check", {"token": token})

    def check_all(self, tokens):
        return self.control("POST", "check", {"tokens": list(tokens)})["tokens"]

    def wait(self, count=1, timeout=10.0, **what):
        """Waits in the server, without polling, until `count` of something are there; raises when time is up.

        what: requests={filters} (done=False counts those under way), tokens={filters}, event="used", hanging=RULE, hits=RULE.
        """
        body = {"count": count, "timeout": timeout, **what}
        answer = self.control("POST", "wait", body, timeout=timeout + 10)
        if not answer["reached"]:
            raise AssertionError(f"the practice provider saw {answer['found']} of {count} in {timeout} s: {what}")
        return answer["found"]

    # --- configuration for the daemon

    def write_overrides(self, path):
        """Writes a TOML file that points the shipped profiles flat, flume, fflogs and example here."""
        with open(path, "w", encoding="utf-8") as f:
            f.write(profiles.overrides(self.base_url))
        return path

    def rfc_profile(self, profile_id, instance="rfc", tables=None, without=()):
        """TOML of a whole profile of instance rfc or rfc/NAME, with `tables` laid over it."""
        return profiles.rfc(profile_id, self.base_url, instance, tables, without)
