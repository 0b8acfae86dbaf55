"""Sign-in sessions as a program drives them, and the person and browser at the other end played over plain HTTP.

The account's client is registered with the one redirect URI that it uses, so that the provider holds the daemon to it.
"""

import http.client
import json
import random
import socket
import subprocess
import sys
import time
import urllib.parse

from harness import CLIENT, DaemonTest, SECRET
from test_two_users import CALLER, Raw, request

PUBLIC = "demo-public"
OVER = ("done", "failed", "cancelled")
SESSION_DEADLINE = 90.0     # seconds until a session is over once the person has answered
BROWSER_TIMEOUT = 90.0      # a machine may be very busy
FLAT_SCOPES = ["account.public_profile", "scores"]
PORTS = (20000, 31000)      # below the kernel's ephemeral ports: no outgoing connection takes one between choice and use

# Run as another user: one GET, its raw answer (nothing if the connection was refused or ended) as JSON.
VISITOR = """
import json, socket, sys
order = json.load(sys.stdin)
got = b""
try:
    with socket.create_connection((order["host"], order["port"]), 30) as s:
        s.settimeout(30)
        s.sendall(order["request"].encode("latin-1"))
        while more := s.recv(65536):
            got += more
except OSError as error:
    pass
print(json.dumps(got.decode("latin-1")))
"""


def free_port():
    """A port that nobody listens on, on both loopback addresses."""
    for port in random.sample(range(*PORTS), 50):
        try:
            for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                with socket.socket(family) as probe:
                    probe.bind((host, port))
            return port
        except OSError:
            continue
    raise AssertionError("no free port")


def query_of(url):
    """The parameters of an address, of its query or its fragment."""
    parts = urllib.parse.urlsplit(url)
    return dict(urllib.parse.parse_qsl(parts.query or parts.fragment, keep_blank_values=True))


def with_query(url, **changed):
    """The same address with parameters changed; None takes one away."""
    parts = urllib.parse.urlsplit(url)
    fields = {k: v for k, v in {**query_of(url), **changed}.items() if v is not None}
    return parts._replace(query=urllib.parse.urlencode(fields)).geturl()


class Page:
    """What the listener answered to a browser. `status` is None where it said nothing."""

    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    @classmethod
    def raw(cls, text):
        head, _, body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        if not lines[0].startswith("HTTP/1."):
            return cls(None, {}, text)
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
        return cls(int(lines[0].split(" ")[1]), headers, body)

    def __repr__(self):
        return f"<{self.status} {self.text[:200]!r}>"


def place_of(url):
    """Host, port and target of an http:// address."""
    parts = urllib.parse.urlsplit(url)
    return parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def visit(url, method="GET", headers=None, body=None, follow=True):
    """As a browser would, without the fragment, which it keeps to itself; where it leads to elsewhere, that page. A connection
    that ends without a word: status None."""
    page = visit_once(url, method, headers, body)
    if follow and page.status == 303:
        return visit_once(urllib.parse.urljoin(url, page.headers["location"]))
    return page


def visit_once(url, method="GET", headers=None, body=None):
    host, port, target = place_of(url)
    connection = http.client.HTTPConnection(host, port, timeout=BROWSER_TIMEOUT)
    try:
        connection.request(method, target, body, {"Sec-Fetch-Site": "cross-site", **(headers or {})})
        answer = connection.getresponse()
        return Page(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode(errors="replace"))
    except (ConnectionError, http.client.HTTPException):
        return Page(None, {}, "")
    finally:
        connection.close()


def run_as(uid, script, order):
    """What a script prints, run by a process of another user with `order` on its stdin. Needs root."""
    done = subprocess.run(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", sys.executable, "-c", script],
                          input=json.dumps(order), capture_output=True, text=True, timeout=90, check=True, cwd="/")
    return json.loads(done.stdout)


def visit_as(uid, url):
    """As visit(), by a process of another user."""
    host, port, target = place_of(url)
    text = f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    return Page.raw(run_as(uid, VISITOR, {"host": host, "port": port, "request": text}))


class SignInTest(DaemonTest):
    """A daemon whose accounts are signed in to by a person at the practice provider."""

    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.redirect = f"http://127.0.0.1:{self.port}/callback"

    # --- accounts

    def register(self, provider, client=CLIENT, **more):
        """The client with this redirect URI and no other."""
        secret = {} if client == PUBLIC else {"secret": SECRET}
        self.provider.register(provider, clients=[{"id": client, "title": "Practice client", "redirect_uris": [self.redirect],
                                                   "loopback_any_port": False, **secret, **more}])

    def interactive(self, name, provider, grant="authorization_code", **keys):
        if "redirect_uri" not in keys:
            keys.setdefault("redirect_port", self.port)
        self.daemon.account(name, provider=provider, grant=grant, **keys)

    def flat(self, name="flat", **keys):
        self.register("flat")
        self.interactive(name, "flat", **{"scopes": FLAT_SCOPES, **keys})

    def fflogs(self, name="fflogs", public=False, **keys):
        self.register("fflogs", PUBLIC if public else CLIENT)
        self.interactive(name, "fflogs", **({"client_id": PUBLIC, "client_secret": None} if public else {}), **keys)

    def example(self, name="example", **keys):
        self.register("example")
        self.interactive(name, "example", vars={"host": self.provider.base_url.removeprefix("https://")}, **keys)

    def openid(self, name="openid", tables=None, without=("authorize", "token", "device", "revoke", "introspect", "userinfo"), **keys):
        """An account at an OpenID provider of its own that is found by its issuer."""
        instance = f"rfc/{name}"
        self.register(instance)
        tables = {"title": "Practice OpenID", "issuer": self.provider.url(f"/{instance}"), "authorize": {"nonce": True},
                  **(tables or {})}
        self.daemon.profile(name, self.provider.base_url, instance, tables, without)
        self.interactive(name, name, **{"scopes": ["openid", "reports"], **keys})
        return instance

    # --- a session

    def begin(self, api, account, method="auto", **more):
        answer = api.login(account, method, **more)
        self.assertEqual(answer.status, 201, answer)
        view = answer.json
        self.assertEqual(answer.headers.get("location"), f"/v1/logins/{view['id']}")
        self.assertRegex(view["id"], r"\A[0-9a-f]{32}\Z")
        self.assertEqual((view["account"], view["phase"], view["error"]), (account, "waiting", None), view)
        return view

    def ask(self, api, view, wait=0):
        return api("GET", f"/v1/logins/{view['id']}?wait={wait}")

    def over(self, api, view, phase="done"):
        """The session once it is over, which must be in that way."""
        deadline = time.monotonic() + SESSION_DEADLINE
        while True:
            answer = self.ask(api, view, wait=10)
            self.assertEqual(answer.status, 200, answer)
            if answer.json["phase"] in OVER or time.monotonic() > deadline:
                break
        self.assertEqual(answer.json["phase"], phase, f"{answer}\n{self.daemon.log()[-2000:]}")
        return answer.json

    def goes_on(self, api, view):
        """The session still waits for the right answer."""
        answer = self.ask(api, view)
        self.assertEqual((answer.status, answer.json["phase"]), (200, "waiting"), answer)

    def failed(self, api, view, error_class=None):
        """The error of a session that must have failed."""
        error = self.over(api, view, "failed")["error"]
        self.assertTrue(error["detail"], error)
        if error_class:
            self.assertEqual(error["class"], error_class, error)
        return error

    def consent(self, view, decision="allow", user=None):
        """The person's answer on the provider's page: the address the browser is sent to."""
        self.assertTrue(view["url"].startswith(self.provider.base_url + "/"), view)
        return self.provider.consent(view["url"].removeprefix(self.provider.base_url), decision, user)

    def sign_in(self, api, account, user=None, **more):
        """All of it; the session as it ended."""
        view = self.begin(api, account, **more)
        page = visit(self.consent(view, user=user))
        self.assertEqual(page.status, 200, page)
        return self.over(api, view)

    def ask_as(self, uid, method, path, body=None):
        """A request on the daemon's socket by another user. Needs root."""
        order = {"socket": self.daemon.socket, "requests": [request(method, path, body)], "hold": False, "until": ""}
        done = run_as(uid, CALLER, order)
        return Raw(done[0])

    # --- the judge

    def assert_token_of(self, api, account, **expected):
        """What is handed out is what the provider's ledger says was issued; its record."""
        answer = self.granted(api.token(account))
        record = next(t for t in self.provider.tokens(values=True, kind="access") if t["value"] == answer["access_token"])
        self.assertTrue(record["alive"], record)
        self.assertEqual({k: record[k] for k in expected}, expected)
        return record

    def assert_untouched(self, api, account, token):
        """The grant of before: the same token is handed out, it is alive, and nothing was revoked."""
        self.assertEqual(self.granted(api.token(account))["access_token"], token)
        self.assert_alive(token)
        self.assertEqual(self.provider.requests(endpoint="revoke"), [])
