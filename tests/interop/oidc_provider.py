"""Starts oidc-provider for a test, signs in at it as a person with a browser does, and asks it about tokens. Stdlib only."""

import base64
import hashlib
import html
import http.cookiejar
import json
import os
import re
import secrets
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
MODULES = ("provider.mjs", "clients.mjs", "pki.mjs")
START_DEADLINE = 60.0   # seconds; the first start reads a hundred packages from a cold disk
POLL = 0.05
MOST_PAGES = 16         # and redirects of one sign-in, with room to spare


def query_of(url):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))


class NoFollow(urllib.request.HTTPRedirectHandler):
    """Redirects are answers: where one leads is what a test wants to see."""

    def redirect_request(self, *_):
        return None


class Client:
    """A registration as provider.mjs made it."""

    def __init__(self, metadata):
        self.id = metadata["client_id"]
        self.auth = metadata["token_endpoint_auth_method"]
        self.secret = metadata.get("client_secret", "")
        self.lifetime = metadata["lifetime"]
        self.redirect_uri = (metadata["redirect_uris"] or [""])[0]
        self.metadata = metadata


class OidcProvider:
    """One process of provider.mjs, run from a directory that has its node_modules."""

    def __init__(self, installed):
        self.directory = tempfile.mkdtemp(prefix="credsync-oidc-")
        self.log_path = os.path.join(self.directory, "log")
        for module in MODULES:
            shutil.copy2(os.path.join(HERE, module), installed)
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(["node", os.path.join(installed, MODULES[0]), self.directory], cwd="/",
                                            stdin=subprocess.PIPE, stdout=log, stderr=log)
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def _wait_until_ready(self):
        path, deadline = os.path.join(self.directory, "ready"), time.monotonic() + START_DEADLINE
        while not os.path.exists(path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log_path, encoding="utf-8", errors="replace") as log:
                    raise AssertionError("oidc-provider does not start:\n" + log.read()[-3000:])
            time.sleep(POLL)
        with open(path, encoding="utf-8") as ready:
            about = json.load(ready)
        self.issuer, self.keys = about["issuer"], about["pki"]
        self.ca_file = self.keys["ca"]["pem"]
        self.clients = {each["client_id"]: Client(each) for each in about["clients"]}
        self.tls = ssl.create_default_context(cafile=self.ca_file)
        self.metadata = json.loads(self.browser().open(self.issuer + "/.well-known/openid-configuration").read())

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- what it did

    def ledger(self, event=None, **fields):
        """Its records, oldest first: dicts with `at` (epoch s), `event` and what belongs to it."""
        try:
            with open(os.path.join(self.directory, "ledger"), encoding="utf-8") as lines:
                records = [json.loads(line) for line in lines if line.endswith("\n")]
        except FileNotFoundError:
            return []
        return [r for r in records if event in (None, r["event"]) and all(r.get(k) == v for k, v in fields.items())]

    # --- as a person and as other parties

    def browser(self):
        """A new visitor: own cookies, this CA and no other, no proxy."""
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls), NoFollow(),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    @staticmethod
    def visit(browser, url, form=None):
        """(status, body, where a redirect leads or None). With a form, POST."""
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        try:
            answer = browser.open(urllib.request.Request(url, data, {"Accept": "text/html"}), timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            place = answer.headers.get("Location")
            return answer.status, answer.read().decode(), place and urllib.parse.urljoin(url, place)

    def call(self, endpoint, form, client=None):
        """What one of the server's endpoints answers to a client of the tests' own: (status, JSON or None)."""
        headers = {"Accept": "application/json"}
        if client is not None:
            pair = f"{urllib.parse.quote_plus(client.id)}:{urllib.parse.quote_plus(client.secret)}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        request = urllib.request.Request(self.metadata[endpoint], urllib.parse.urlencode(form).encode(), headers)
        try:
            answer = self.browser().open(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            body = answer.read()
            return answer.status, json.loads(body) if body else None

    def introspect(self, token):
        """What it tells a resource server about a token (RFC 7662)."""
        status, answer = self.call("introspection_endpoint", {"token": token}, self.clients["resource-server"])
        if status != 200:
            raise AssertionError(f"introspection: {status} {answer}")
        return answer

    def sign_in(self, client, user, assertion=None):
        """Authorization code with PKCE, through the login and consent pages. The answer of the token endpoint."""
        verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        url = self.metadata["authorization_endpoint"] + "?" + urllib.parse.urlencode({
            "client_id": client.id, "response_type": "code", "redirect_uri": client.redirect_uri, "state": state,
            "scope": "openid offline_access", "prompt": "consent", "code_challenge": challenge,
            "code_challenge_method": "S256"})
        answer = query_of(self.walk(url, user, client.redirect_uri))
        if answer.get("state") != state or answer.get("iss") != self.issuer:
            raise AssertionError(f"not the answer to what was asked: {answer}")
        form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": client.redirect_uri,
                "code_verifier": verifier, **(assertion or {})}
        if client.auth == "client_secret_basic":
            status, tokens = self.call("token_endpoint", form, client)
        else:
            secret = {"client_secret": client.secret} if client.auth == "client_secret_post" else {}
            status, tokens = self.call("token_endpoint", {**form, "client_id": client.id, **secret})
        if status != 200:
            raise AssertionError(f"the code was not redeemed: {status} {tokens}")
        return tokens

    def walk(self, url, user, until=None, decision="allow"):
        """A person with a browser of their own: through its login, consent and device pages. Where it leads in the end: the
        redirect that begins with `until`, else the words of the last page."""
        browser, form = self.browser(), None
        for _ in range(MOST_PAGES):
            status, body, place = self.visit(browser, url, form)
            aborted, form = form is not None and "abort" in form, None
            if place and until and place.startswith(until):
                return place
            if place:
                url = place
                continue
            page = re.search(r'<form[^>]* action="([^"]+)"', body)
            if status == 200 and (page is None or aborted):
                return re.sub(r"<[^>]+>", " ", body.split("<body>")[-1])
            if status != 200:
                raise AssertionError(f"{url}: {status}: {body[:2000]}")
            url, form = urllib.parse.urljoin(url, page[1]), self._filled(body, user, decision)
            if decision == "deny" and (place := self._way_out(body, url)):
                url, form = place, None
        raise AssertionError("the sign-in does not come to an end")

    @staticmethod
    def _filled(body, user, decision):
        """What a person puts into the form of a page, with what the page hides in it."""
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', body)
        form = {name: html.unescape(value) for name, value in hidden}
        if 'name="login"' in body:
            return {**form, "login": user, "password": "any"}
        if 'name="abort"' in body and decision == "deny":
            return {**form, "abort": "yes"}
        return form

    @staticmethod
    def _way_out(body, url):
        """Where the page's own link leads that ends the sign-in."""
        found = re.search(r'<a href="([^"]+/abort)"', body)
        return found and urllib.parse.urljoin(url, found[1])
