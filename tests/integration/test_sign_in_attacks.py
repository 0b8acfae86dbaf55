"""Sign-ins under attack, against the real daemon: each attempt is refused in words, and the grant of before is not touched.

The attacker is a web page (any request to the listener, without our state), another local user (any request, from a process
of its own), or the authorization server that somebody else runs (mix-up, ID tokens that are wrong).
"""

import json
import os
import socket
import subprocess
import sys
import time
import unittest

from harness import CLIENT, SECRET, wait_for
from signing_in import SESSION_DEADLINE, SignInTest, query_of, visit, visit_as, with_query
from test_two_users import request

STRANGER = 4001               # a user id that nobody has
CODE = "authorization_code"
FLOOD = 400                   # connections; more than any listener here keeps
GIVEN_UP = 40                 # sign-ins; a user may have 16
PROMPT = 2.0                  # seconds in which a cached token is handed out whatever goes on at a listener

# Run as the stranger: opens many connections, says so, and holds them until stdin ends.
FLOODER = """
import json, socket, sys
order = json.loads(sys.stdin.readline())
held = []
for _ in range(order["count"]):
    try:
        held.append(socket.create_connection((order["host"], order["port"]), 5))
    except OSError:
        pass
print(len(held), flush=True)
sys.stdin.read()
"""


class WithGrant(SignInTest):
    """The account has a working grant; what an attack must not change."""

    PROVIDER = {}

    def setUp(self):
        super().setUp()
        self.instance = self.openid(**self.PROVIDER)
        self.api = self.start()
        self.sign_in(self.api, "openid")
        self.old = self.granted(self.api.token("openid"))["access_token"]
        self.redeemed = len(self.posts())
        self.view = self.begin(self.api, "openid")

    def assert_nothing_was_redeemed(self):
        self.assertEqual(len(self.posts()), self.redeemed)

    def assert_refused_and_waiting(self, page):
        """The browser got no success, the code went nowhere, the session waits for the right answer."""
        self.assertNotEqual(page.status, 200, page)
        self.goes_on(self.api, self.view)
        self.assert_nothing_was_redeemed()
        self.assert_untouched(self.api, "openid", self.old)

    def finish(self):
        """And the right answer still works."""
        self.assertEqual(visit(self.consent(self.view)).status, 200)
        self.over(self.api, self.view)
        self.assertNotEqual(self.granted(self.api.token("openid"))["access_token"], self.old)


class Listener(WithGrant):
    def test_a_wrong_or_missing_state(self):
        right = self.consent(self.view)
        state = query_of(right)["state"]
        for wrong in ("of-another-request", "", state[:-1], state + "x", state.swapcase(), None):
            with self.subTest(state=wrong):
                page = visit(with_query(right, state=wrong))
                self.assert_refused_and_waiting(page)
                self.assertNotIn(state, page.text)
        self.assertEqual(visit(right).status, 200)
        self.over(self.api, self.view)

    def test_an_error_without_our_state_ends_nothing(self):
        self.assert_refused_and_waiting(visit(self.redirect + "?error=access_denied"))
        self.assert_refused_and_waiting(visit(self.redirect + "?error=access_denied&state=guess"))
        self.finish()

    def test_another_host_as_after_dns_rebinding(self):
        right = self.consent(self.view)
        for host in ("evil.example", f"evil.example:{self.port}", f"127.0.0.1.evil.example:{self.port}", "127.0.0.1", "127.0.0.1:1", ""):
            with self.subTest(host=host):
                self.assert_refused_and_waiting(visit(right, headers={"Host": host}))
        self.finish_with(right)

    def finish_with(self, right):
        self.assertEqual(visit(right).status, 200)
        self.over(self.api, self.view)

    def test_other_methods_and_paths(self):
        right = self.consent(self.view)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"):
            with self.subTest(method):
                self.assert_refused_and_waiting(visit(right, method, body="" if method in ("POST", "PUT", "PATCH") else None))
        visit(right, "HEAD")
        self.goes_on(self.api, self.view)
        for path in ("/", "/callback/", "/callback/../callback", "/Callback", "//callback", "/callback%2f", "/favicon.ico"):
            with self.subTest(path):
                self.assert_refused_and_waiting(visit(right.replace("/callback", path)))
        self.finish_with(right)

    def test_parameters_that_come_twice(self):
        right = self.consent(self.view)
        for more in ("&code=another", "&state=another", f"&state={query_of(right)['state']}"):
            with self.subTest(more):
                page = visit(right + more)
                self.assertNotEqual(page.status, 200)
                self.assert_nothing_was_redeemed()
        self.assert_untouched(self.api, "openid", self.old)

    def test_requests_that_are_too_large(self):
        right = self.consent(self.view)
        for page in (visit(right + "&padding=" + "x" * 20_000), visit(right, headers={"X-Padding": "x" * 70_000}),
                     visit(right, headers={f"X-{i}": "y" for i in range(3000)})):
            self.assert_refused_and_waiting(page)
        self.finish_with(right)

    def test_a_second_callback_is_not_redeemed(self):
        right = self.consent(self.view)
        self.finish_with(right)
        again = visit(right)
        self.assertIn(again.status, (410, None), "it says that it is over, or nobody listens any more")
        self.assertEqual(len(self.posts()), self.redeemed + 1)

    def test_many_callbacks_at_once_are_redeemed_once(self):
        host, port = "127.0.0.1", self.port
        target = self.consent(self.view).split(f":{self.port}", 1)[1]
        held = [socket.create_connection((host, port), 10) for _ in range(8)]
        for s in held:
            s.sendall(f"GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        for s in held:
            s.settimeout(30)
            try:
                s.recv(65536)
            except ConnectionError:
                pass
            s.close()
        self.over(self.api, self.view)
        self.assertEqual(len(self.posts()), self.redeemed + 1)

    def test_a_code_that_was_used_before(self):
        """A stolen code, injected into our redirect with our state: the provider refuses it, and kills what it gave."""
        provider_name = "rfc/victim"
        self.provider.register(provider_name, clients=[{"id": CLIENT, "secret": SECRET, "redirect_uris": [self.redirect]}])
        used = query_of(self.consent(self.view))
        self.assertEqual(visit(with_query(self.redirect, **used)).status, 200)
        self.over(self.api, self.view)
        now = self.granted(self.api.token("openid"))["access_token"]
        self.view = self.begin(self.api, "openid")
        state = query_of(self.view["url"])["state"]
        visit(with_query(self.redirect, **{**used, "state": state}))
        self.failed(self.api, self.view)
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], now)

    def test_slow_requests_end_and_hold_up_nobody(self):
        slow = [socket.create_connection(("127.0.0.1", self.port), 10) for _ in range(4)]
        self.addCleanup(lambda: [s.close() for s in slow])
        slow[0].sendall(b"GET /callback?code=")
        slow[1].sendall(b"G")
        slow[2].sendall(b"GET /callback HTTP/1.1\r\nHost: ")
        began = time.monotonic()
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], self.old)
        self.assertLess(time.monotonic() - began, PROMPT)
        self.finish()

        def ended():
            for s in slow:
                s.settimeout(60)
                try:
                    while s.recv(4096):
                        pass
                except ConnectionError:
                    pass
            return True
        self.assertTrue(ended())

    def test_a_request_in_single_bytes_is_cut_off(self):
        with socket.create_connection(("127.0.0.1", self.port), 10) as s:
            s.settimeout(0.2)
            began = time.monotonic()
            try:
                while time.monotonic() - began < 60:
                    s.sendall(b"x")
                    try:
                        if not s.recv(4096):
                            break
                    except TimeoutError:
                        continue
                    break
            except ConnectionError:
                pass
            self.assertLess(time.monotonic() - began, 50, "it has a deadline in total")
        self.finish()

    def test_a_flood_of_our_own_users_connections(self):
        held = []
        self.addCleanup(lambda: [s.close() for s in held])
        for _ in range(FLOOD):
            try:
                held.append(socket.create_connection(("127.0.0.1", self.port), 5))
            except OSError:
                break
        began = time.monotonic()
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], self.old)
        self.assertLess(time.monotonic() - began, PROMPT)
        while held:
            held.pop().close()
        right = self.consent(self.view)
        wait_for(lambda: visit(right).status == 200, 45, "the listener after the flood")
        self.over(self.api, self.view)

    def test_a_flood_of_wrong_answers(self):
        for _ in range(FLOOD):
            visit(self.redirect + "?code=x&state=guess")
        self.goes_on(self.api, self.view)
        self.assert_nothing_was_redeemed()
        right = self.consent(self.view)
        wait_for(lambda: visit(right).status == 200, 45, "the listener after the flood")
        self.over(self.api, self.view)

    def test_nobody_listens_before_and_after(self):
        self.finish()
        wait_for(lambda: visit(self.redirect).status is None, 15, "the listener to be closed")


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class OtherUsers(WithGrant):
    def test_another_users_process_with_the_right_answer_is_not_believed(self):
        right = self.consent(self.view)
        page = visit_as(STRANGER, right)
        self.assert_refused_and_waiting(page)
        self.assertNotIn(query_of(right)["code"], page.text)
        visit_as(STRANGER, self.redirect + "?error=access_denied&state=" + query_of(right)["state"])
        self.goes_on(self.api, self.view)
        self.assertEqual(visit(right).status, 200)
        self.over(self.api, self.view)

    def test_the_user_that_root_named_may_bring_it_and_root_may_not(self):
        self.api("DELETE", f"/v1/logins/{self.view['id']}")
        self.view = self.begin(self.api, "openid", browser_uid=STRANGER)
        right = self.consent(self.view)
        self.assert_refused_and_waiting(visit(right))
        self.assertEqual(visit_as(STRANGER, right).status, 303)
        self.over(self.api, self.view)

    def test_another_users_flood_holds_up_nobody(self):
        flooder = subprocess.Popen(["setpriv", "--reuid", str(STRANGER), "--regid", str(STRANGER), "--clear-groups", sys.executable,
                                    "-c", FLOODER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        try:
            flooder.stdin.write(json.dumps({"host": "127.0.0.1", "port": self.port, "count": FLOOD}) + "\n")
            flooder.stdin.flush()
            self.assertEqual(int(flooder.stdout.readline()), FLOOD)
            self.finish()   # while all of them are held
        finally:
            flooder.kill()
            flooder.communicate()


class GivenUp(SignInTest):
    """Sign-ins that their callers give up, again and again, while the provider hangs."""

    def ask_without_waiting(self, account):
        connection = socket.socket(socket.AF_UNIX)
        self.addCleanup(connection.close)
        connection.connect(self.daemon.socket)
        connection.sendall(request("POST", f"/v1/accounts/{account}/login", {"method": "auto"}).encode())

    def test_no_refresh_waits_for_them_and_they_are_bounded(self):
        with open(self.daemon.place("credsyncd.toml"), "a", encoding="utf-8") as out:
            out.write("[refresh]\nworkers = 2\n")     # fewer than one user may leave behind
        self.openid()
        self.flat()
        api = self.start()
        self.sign_in(api, "flat")
        old = self.granted(api.token("flat"))["access_token"]
        rule = self.provider.behave("hang", {"provider": "rfc/openid", "endpoint": "metadata"}, when="before")
        for _ in range(GIVEN_UP):   # each takes the place of the one before
            self.ask_without_waiting("openid")
        self.provider.wait(hanging=rule, count=2)
        self.assertEqual(api.refresh("flat").status, 200)
        self.assertNotEqual(self.granted(api.token("flat"))["access_token"], old)
        self.refused(api.login("openid", "auto"), "busy", 429)
        self.provider.release(rule)
        wait_for(lambda: api.login("openid", "auto").status == 201, SESSION_DEADLINE, "room for another")


class Issuers(WithGrant):
    def end_of(self, **callback):
        self.provider.switch(self.instance, callback_fields=callback)
        visit(self.consent(self.view))
        error = self.failed(self.api, self.view)
        self.assert_nothing_was_redeemed()
        self.assert_untouched(self.api, "openid", self.old)
        return error

    def test_an_answer_of_another_issuer(self):
        error = self.end_of(iss="https://evil.example")
        self.assertEqual(error["class"], "issuer")
        self.assertIn("https://evil.example", error["detail"])

    def test_an_answer_that_does_not_say_its_issuer_although_the_server_always_does(self):
        self.assertEqual(self.end_of(iss=None)["class"], "issuer")

    def test_metadata_of_another_issuer(self):
        self.provider.switch(self.instance, issuer="https://evil.example")
        self.daemon.restart()
        self.api = self.new_api()
        answer = self.api.login("openid", "auto")
        self.assertNotEqual(answer.status, 201, answer)
        self.assertIn("issuer", answer.json["detail"])
        self.provider.switch(self.instance, issuer=None)
        self.assert_untouched(self.api, "openid", self.old)


class Downgrades(WithGrant):
    def test_a_server_that_knows_no_s256_is_not_used_without_pkce(self):
        self.provider.switch(self.instance, metadata={"code_challenge_methods_supported": ["plain"]})
        self.daemon.restart()
        self.api = self.new_api()
        self.assertIn("PKCE", self.refused(self.api.login("openid", "auto"), "suspended", 409)["detail"])
        self.assert_untouched(self.api, "openid", self.old)

    def test_an_address_without_its_challenge_gives_a_code_that_the_verifier_does_not_fit(self):
        stripped = with_query(self.view["url"], code_challenge=None, code_challenge_method=None)
        visit(self.consent({"url": stripped}))
        self.failed(self.api, self.view)
        self.assertIn("code_verifier", self.posts()[-1]["parameters"], "never left out")
        self.assert_untouched(self.api, "openid", self.old)

    def test_another_challenge_is_found_out(self):
        swapped = with_query(self.view["url"], code_challenge="A" * 43)
        visit(self.consent({"url": swapped}))
        self.failed(self.api, self.view)
        self.assert_untouched(self.api, "openid", self.old)

    def test_a_server_that_ignores_pkce_gets_the_verifier_all_the_same(self):
        self.provider.switch(self.instance, pkce_ignored=True)
        self.finish()
        self.assertIn("code_verifier", self.posts()[-1]["parameters"])


class IdTokens(WithGrant):
    def spoiled(self, **switches):
        """The words of a sign-in with that ID token; the one of before stands."""
        self.provider.switch(self.instance, **switches)
        visit(self.consent(self.view))
        error = self.failed(self.api, self.view)
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], self.old)
        self.assert_alive(self.old)
        self.provider.switch(self.instance, **{name: None for name in switches})
        self.view = self.begin(self.api, "openid")
        return error

    def test_each_way_an_id_token_can_be_wrong(self):
        words = {
            "signature": "signature", "unlisted_key": "a key that the issuer does not publish", "alg_none": "`none`",
            "hs256": "`hs256`", "expired": "it ended", "not_yet_valid": "clock", "audience": "for another client",
            "azp": "issued to another client", "issuer": "issuer", "nonce": "this sign-in", "nonce_missing": "this sign-in",
            "at_hash": "another access token", "sub_missing": "who signed in", "garbage": "",
        }
        for flaw, word in words.items():
            with self.subTest(flaw):
                error = self.spoiled(id_token_flaw=flaw)
                self.assertEqual(error["class"], "id-token", error)
                self.assertIn(word, error["detail"].lower())
        self.assert_alive(self.old)
        self.finish()

    def test_another_subject_than_before(self):
        self.assertEqual(self.spoiled(id_token_claims={"sub": "4711"})["class"], "identity")

    def test_without_an_id_token_the_user_info_tells_who_it_is(self):
        self.assertEqual(self.spoiled(answer_fields={"id_token": None}, userinfo_fields={"sub": "4711"})["class"], "identity")
        self.provider.switch(self.instance, answer_fields={"id_token": None})
        self.finish()

    def test_the_words_hold_nothing_of_the_token(self):
        self.spoiled(id_token_flaw="signature")
        token = self.provider.tokens(kind="id", values=True)[-1]["value"]
        for part in token.split("."):
            self.assertNotIn(part, self.daemon.log())


if __name__ == "__main__":
    unittest.main()
