"""Sign-in sessions of the daemon at oidc-provider: its pages are walked through, its introspection and ledger are the judge."""

import os
import pty
import select
import signal
import time
import unittest

import test_interop
from test_interop import InteropTest, setUpModule, toml  # noqa: F401  (unittest starts the server by it)
from harness import binary
from oidc_provider import query_of
from signing_in import visit

WAIT = 30                # s; a session ends in a moment once the person has answered
CODE = "authorization_code"
PERSON = "alice"
SCOPES = ["openid", "offline_access"]
GRANTS = ["authorization_code", "device_code", "client_credentials", "refresh_token"]


class SignIn(InteropTest):
    def setUp(self):
        super().setUp()
        self.server = test_interop.provider
        extra = (f'[provider.op-people]\nextends = "op"\ngrants = {toml(GRANTS)}\nauthorize.nonce = true\n'
                 '[provider.op-people-public]\nextends = "op-people"\nclient.auth = ["none"]\n')
        self.daemon.write("providers.d/people.toml", extra)

    def interactive(self, name, client, grant=CODE, public=False):
        more = {"params": {"prompt": "consent"}} if grant == CODE else {}
        return self.account(name, ("op-people-public" if public else "op-people", client, None), grant, scopes=SCOPES, **more)

    def begin(self, account):
        self.daemon.start()
        self.api = self.daemon.api()
        self.addCleanup(self.api.close)
        return self.again(account)

    def again(self, account):
        answer = self.api.login(account, "auto")
        self.assertEqual(answer.status, 201, f"{answer}\n{self.daemon.log()[-2000:]}")
        return answer.json

    def over(self, view, phase="done"):
        deadline = time.monotonic() + WAIT
        while True:
            found = self.api("GET", f"/v1/logins/{view['id']}?wait=10").json
            if found["phase"] not in ("waiting", "finishing") or time.monotonic() > deadline:
                break
        self.assertEqual(found["phase"], phase, f"{found}\n{self.daemon.log()[-2000:]}")
        return found

    def walk(self, view, person=PERSON, decision="allow"):
        """The person, and then the browser at our listener."""
        place = self.server.walk(view["url"], person, view["redirect_uri"], decision)
        return visit(place)

    def check_grant(self, account, client, person=PERSON):
        """Alive, of that client and person; renewed; and gone after the sign-out."""
        first = self.token(account)
        found = self.server.introspect(first["access_token"])
        self.assertEqual((found["active"], found["client_id"], found["sub"]), (True, client.id, person))
        self.cli("refresh", account)
        second = self.token(account)
        self.assertNotEqual(first["access_token"], second["access_token"])
        self.assert_alive(second["access_token"], client)
        self.wait_destroyed(first["access_token"])
        self.cli("logout", account)
        kept = self.records("refresh_token saved", client=client.id)[-1]["token"]
        test_interop.wait_for(lambda: self.records("grant revoked", client=client.id), 15.0, "the grant to be revoked")
        self.assert_dead(kept)
        self.assert_dead(second["access_token"])
        self.assert_nothing_went_wrong()
        self.assert_log_holds_no_token()

    def check_code(self, name, client_id, public):
        client = self.interactive(name, client_id, public=public)
        view = self.begin(name)
        self.assertEqual(query_of(view["url"])["code_challenge_method"], "S256")
        page = self.walk(view)
        self.assertEqual(page.status, 200, page)
        done = self.over(view)
        self.assertEqual(set(done["granted"]), set(SCOPES))
        self.check_grant(name, client)

    def test_code_with_a_secret(self):
        self.check_code("confidential", "code-basic", False)

    def test_code_with_pkce_alone(self):
        self.check_code("public", "code-public", True)

    def test_a_client_that_must_push_its_requests(self):
        # The server says that it takes pushed requests, not that one of its clients has to push: the profile does.
        self.daemon.write("providers.d/pushes.toml", "[provider.op-people.authorize]\npush_required = true\n")
        client = self.interactive("pushes", "code-pushes")
        view = self.begin("pushes")
        self.assertEqual(set(query_of(view["url"])), {"client_id", "request_uri"})
        self.assertEqual(self.walk(view).status, 200)
        self.over(view)
        self.check_grant("pushes", client)

    def check_device(self, name, client_id, public):
        client = self.interactive(name, client_id, "device_code", public)
        view = self.begin(name)
        self.assertTrue(view["verification_uri_complete"].startswith(self.server.issuer), view)
        self.assertIn("successful", self.server.walk(view["verification_uri_complete"], PERSON))
        self.over(view)
        errors = {r["error"] for r in self.records("grant.error")}
        self.assertLessEqual(errors, {"authorization_pending"})
        first = self.token(name)
        self.assertEqual(self.server.introspect(first["access_token"])["sub"], PERSON)
        self.cli("refresh", name)
        self.assert_alive(self.token(name)["access_token"], client)
        self.cli("logout", name)
        test_interop.wait_for(lambda: self.records("grant revoked", client=client.id), 15.0, "the grant to be revoked")

    def test_a_device_with_a_secret(self):
        self.check_device("tv", "device-basic", False)

    def test_a_device_without_one(self):
        self.check_device("radio", "device-public", True)

    def test_denied_on_its_pages(self):
        self.interactive("declined", "code-basic")
        view = self.begin("declined")
        self.walk(view, decision="deny")
        self.assertEqual(self.over(view, "failed")["error"]["class"], "access_denied")
        self.interactive("tv", "device-public", "device_code", True)
        self.assertEqual(self.api.reload().status, 200)
        view = self.again("tv")
        self.server.walk(view["verification_uri_complete"], PERSON, decision="deny")
        self.assertEqual(self.over(view, "failed")["error"]["class"], "access_denied")

    def test_somebody_else_is_refused_and_the_grant_of_before_stands(self):
        client = self.interactive("mine", "code-basic")
        view = self.begin("mine")
        self.walk(view)
        self.over(view)
        first = self.token("mine")["access_token"]
        view = self.again("mine")
        self.walk(view, "mallory")
        self.over(view, "failed")
        self.assertEqual(self.token("mine")["access_token"], first)
        self.assert_alive(first, client)

    def test_the_command_and_a_pasted_address(self):
        """As over SSH: `credsync login` at a terminal, the browser elsewhere, and the address it ended at is pasted."""
        client = self.interactive("shell", "code-basic")
        self.daemon.start()
        with Terminal([binary("CREDSYNC"), "--socket", self.daemon.socket, "login", "shell", "--no-browser"]) as terminal:
            terminal.read_until("Waiting")
            url = next(w for w in terminal.said.split() if w.startswith(self.server.issuer) and "client_id" in w)
            place = self.server.walk(url, PERSON, query_of(url)["redirect_uri"])
            terminal.type(place + "\n")
            self.assertEqual(terminal.end(), 0, terminal.said)
        self.assertIn(PERSON, terminal.said)
        self.assertNotIn(query_of(place)["code"], terminal.said, "what is pasted is not shown")
        self.assert_alive(self.token("shell")["access_token"], client)


class Terminal:
    """A program at a terminal of its own, for as long as the context lasts."""

    def __init__(self, command):
        self.said = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.environ.update({"TERM": "xterm", "NO_COLOR": "1"})
            os.execv(command[0], command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.master)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)

    def read(self, seconds):
        """What it says next; nothing when it has ended."""
        if not select.select([self.master], [], [], seconds)[0]:
            raise AssertionError(f"it says nothing more: {self.said}")
        try:
            more = os.read(self.master, 65536).decode(errors="replace")
        except OSError:   # the other end is closed
            return ""
        self.said += more
        return more

    def read_until(self, word):
        while word not in self.said:
            if not self.read(WAIT):
                raise AssertionError(f"it has ended: {self.said}")

    def type(self, text):
        os.write(self.master, text.encode())

    def end(self):
        """Its exit status."""
        while self.read(WAIT):
            pass
        pid, self.pid = self.pid, 0
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    unittest.main()
