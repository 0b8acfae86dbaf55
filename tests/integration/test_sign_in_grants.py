"""Sign-in sessions against the practice provider: each interactive grant, each end, and what becomes of the grant of before.

The judge is the provider's ledger. The browser is played over plain HTTP here; tests/browser has a real one.
"""

import os
import signal
import socket
import time
import unittest

from harness import CLIENT, SECRET, USER, wait_for
from signing_in import FLAT_SCOPES, PUBLIC, SignInTest, query_of, visit, with_query

OTHER = "other@example.com"
STRANGER = 4001     # a user id that nobody has
CODE = "authorization_code"


class Grants(SignInTest):
    def last_post(self, **filters):
        return self.posts(outcome="ok", **filters)[-1]

    def test_flat_by_code_gets_a_refresh_token_and_says_who_and_what(self):
        self.flat()
        api = self.start()
        view = self.begin(api, "flat")
        self.assertEqual((view["method"], view["grant"], view["client_id"], view["scopes"]), ("browser", CODE, CLIENT, FLAT_SCOPES))
        self.assertEqual((view["redirect_uri"], view["listening"], view["user_code"]), (self.redirect, True, None))
        asked = query_of(view["url"])
        self.assertEqual((asked["access_type"], asked["scope"], asked["redirect_uri"]), ("offline", " ".join(FLAT_SCOPES), self.redirect))
        self.assertNotIn("code_challenge", asked)
        self.assertGreaterEqual(len(asked["state"]), 32)
        self.assertEqual(visit(self.consent(view)).status, 200)
        done = self.over(api, view)
        self.assertEqual((done["granted"], done["missing"], done["generation"]), (FLAT_SCOPES, [], 1))
        self.assert_token_of(api, "flat", user=USER, grant=CODE, generation=1)
        post = self.last_post(provider="flat")
        self.assertEqual((post["auth"], post["encoding"], post["deviations"]), ("post", "form", []))
        status = api.status("flat")
        self.assertEqual((status["state"], status["refreshable"]), ("ok", True))
        self.assertEqual(api.refresh("flat").status, 200)
        self.assert_token_of(api, "flat", generation=2)

    def test_fflogs_with_its_secret_and_pkce(self):
        self.fflogs()
        api = self.start()
        view = self.begin(api, "fflogs")
        self.assertEqual(query_of(view["url"])["code_challenge_method"], "S256")
        visit(self.consent(view))
        self.over(api, view)
        record = self.assert_token_of(api, "fflogs", user=USER, grant=CODE)
        self.assertEqual(self.last_post(provider="fflogs")["auth"], "basic")
        self.assertIn("code_verifier", self.last_post(provider="fflogs")["parameters"])
        self.assertEqual(self.provider.get("/fflogs/api/v2/user", bearer=record["value"]).status, 200)

    def test_fflogs_as_a_public_client(self):
        self.fflogs(public=True)
        api = self.start()
        done = self.sign_in(api, "fflogs")
        self.assertEqual(done["client_id"], PUBLIC)
        post = self.last_post(provider="fflogs")
        self.assertEqual((post["auth"], "client_secret" in post["parameters"], "code_verifier" in post["parameters"]),
                         ("none", False, True))
        self.assert_token_of(api, "fflogs", client=PUBLIC)
        self.assertEqual(api.refresh("fflogs").status, 200)
        self.assert_token_of(api, "fflogs", generation=2)

    def test_example_sends_three_parameters_and_lives_without_state(self):
        self.example()
        api = self.start()
        view = self.begin(api, "example")
        answer = self.consent(view)
        self.assertNotIn("state", query_of(answer))
        self.assertEqual(visit(answer).status, 200)
        self.over(api, view)
        self.assertEqual(self.last_post(provider="example")["parameters"], ["client_id", "client_secret", "code"])
        self.assert_token_of(api, "example", user=USER)
        status = api.status("example")
        self.assertEqual((status["state"], status["refreshable"]), ("ok", False))

    def test_flat_implicit_by_a_pasted_address(self):
        self.flat(grant="implicit")
        api = self.start()
        view = self.begin(api, "flat")
        self.assertEqual(query_of(view["url"])["response_type"], "token")
        answer = api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": self.consent(view)})
        self.assertEqual(answer.status, 200, answer)
        self.over(api, view)
        self.assert_token_of(api, "flat", user=USER, grant="implicit")
        self.assertEqual(self.posts(), [])
        self.assertFalse(api.status("flat")["refreshable"])

    def test_openid_is_found_by_its_issuer_and_its_id_token_says_who(self):
        for algorithm in ("RS256", "PS256", "ES256"):
            with self.subTest(algorithm):
                instance = self.openid()
                self.provider.switch(instance, id_token_alg=algorithm)
                api = self.start()
                view = self.begin(api, "openid")
                self.assertIn("nonce", query_of(view["url"]))
                visit(self.consent(view))
                self.assertIn(USER, self.over(api, view)["identity"])
                self.assert_token_of(api, "openid", user=USER)
                self.daemon.close()
                self.daemon = self.new_daemon()

    def test_a_request_is_pushed_where_the_server_wants_it(self):
        instance = self.openid()
        self.provider.switch(instance, require_par=True, par_lifetime=45)
        api = self.start()
        view = self.begin(api, "openid")
        self.assertEqual(set(query_of(view["url"])), {"client_id", "request_uri"})
        self.assertIn(view["url_expires_in"], range(1, 46))
        visit(self.consent(view))
        self.over(api, view)
        pushed = self.provider.requests(endpoint="par", provider=instance)
        self.assertEqual([(r["outcome"], r["auth"]) for r in pushed], [("ok", "basic")])
        self.assertLessEqual({"state", "nonce", "code_challenge", "redirect_uri", "response_type"}, set(pushed[0]["parameters"]))
        self.assert_token_of(api, "openid", user=USER)

    def test_what_was_asked_and_not_given_is_named(self):
        instance = self.openid()
        self.provider.switch(instance, granted_scope="openid")
        api = self.start()
        done = self.sign_in(api, "openid")
        self.assertEqual((done["granted"], done["missing"]), (["openid"], ["reports"]))


class Device(SignInTest):
    def setUp(self):
        super().setUp()
        self.register("rfc/tv")
        self.provider.switch("rfc/tv", device_interval=1)
        self.daemon.profile("tv", self.provider.base_url)
        self.daemon.account("tv", provider="tv", grant="device_code", scopes=["openid"])

    def polls(self):
        return self.posts(provider="rfc/tv", grant="urn:ietf:params:oauth:grant-type:device_code")

    def begin_device(self, api):
        view = self.begin(api, "tv")
        self.assertEqual((view["method"], view["listening"], view["url"]), ("device", False, None))
        self.assertEqual(view["verification_uri"], self.provider.url("/rfc/tv/device"))
        self.assertIn(view["user_code"], view["verification_uri_complete"])
        return view

    def test_it_waits_until_the_person_allows_it(self):
        api = self.start()
        view = self.begin_device(api)
        wait_for(lambda: [r for r in self.polls() if r["outcome"] == "authorization_pending"], 15, "a poll that has to wait")
        self.goes_on(api, view)
        self.provider.decide_device(view["user_code"], provider="rfc/tv")
        self.over(api, view)
        self.assert_token_of(api, "tv", user=USER, grant="device_code")
        self.assertEqual(api.refresh("tv").status, 200)
        self.assert_token_of(api, "tv", generation=2)

    def test_a_refusal_says_so_and_polling_ends(self):
        api = self.start()
        view = self.begin_device(api)
        self.provider.decide_device(view["user_code"], "deny", "rfc/tv")
        self.failed(api, view, "access_denied")
        count = len(self.polls())
        time.sleep(2.5)   # two intervals and more: whether something happens that must not
        self.assertEqual(len(self.polls()), count)

    def test_slow_down_adds_five_seconds_for_good(self):
        self.provider.behave("status", {"provider": "rfc/tv", "endpoint": "token"}, times=1, status=400, json={"error": "slow_down"})
        api = self.start()
        view = self.begin_device(api)
        wait_for(lambda: len(self.polls()) >= 2, 30, "the poll after slow_down")
        first, second = self.polls()[:2]
        self.assertGreaterEqual(second["at"] - first["at"], 5.9)
        self.assertNotIn("slow_down", {r["outcome"] for r in self.polls()[1:]})
        self.provider.decide_device(view["user_code"], provider="rfc/tv")
        self.over(api, view)

    def test_a_code_that_ends_ends_the_session(self):
        self.provider.behave("status", {"provider": "rfc/tv", "endpoint": "token"}, status=400, json={"error": "expired_token"})
        api = self.start()
        error = self.failed(api, self.begin_device(api))
        self.assertIn("credsync login tv", error["next_step"])

    def test_a_provider_that_fails_for_a_while_is_asked_again(self):
        self.provider.behave("status", {"provider": "rfc/tv", "endpoint": "token"}, times=1, status=503)
        self.provider.behave("drop_before", {"provider": "rfc/tv", "endpoint": "token"}, times=1, skip=1)
        api = self.start()
        view = self.begin_device(api)
        self.provider.decide_device(view["user_code"], provider="rfc/tv")
        self.over(api, view)
        self.assert_token_of(api, "tv", user=USER)


class Ends(SignInTest):
    def setUp(self):
        super().setUp()
        self.flat()
        self.api = self.start()

    def test_a_refusal(self):
        view = self.begin(self.api, "flat")
        self.assertEqual(visit(self.consent(view, "deny")).status, 200)
        error = self.failed(self.api, view, "access_denied")
        self.assertEqual(error["next_step"], "credsync login flat")
        self.refused(self.api.token("flat"), "needs-login", 409)
        self.assertEqual(self.posts(), [])

    def test_a_provider_that_fails_on_its_page(self):
        self.provider.switch("flat", authorize_error="server_error")
        view = self.begin(self.api, "flat")
        visit(self.consent(view))
        self.failed(self.api, view)

    def test_a_redirect_uri_that_is_not_registered_shows_at_the_provider_and_the_session_goes_on(self):
        self.provider.register("flat", clients=[{"id": CLIENT, "secret": "x", "redirect_uris": ["https://elsewhere.example/"]}])
        view = self.begin(self.api, "flat")
        page = self.provider.get(view["url"].removeprefix(self.provider.base_url))
        self.assertEqual(page.status, 400)
        self.goes_on(self.api, view)

    def test_a_wrong_client_secret_is_named(self):
        self.provider.register("flat", clients=[{"id": CLIENT, "secret": "another", "redirect_uris": [self.redirect]}])
        view = self.begin(self.api, "flat")
        visit(self.consent(view))
        error = self.failed(self.api, view)
        self.assertIn("client", error["detail"].lower())

    def test_cancelled(self):
        view = self.begin(self.api, "flat")
        answer = self.api("DELETE", f"/v1/logins/{view['id']}")
        self.assertEqual((answer.status, answer.json["phase"]), (200, "cancelled"))
        self.assertIsNone(visit(self.redirect + "?code=x&state=y").status, "nobody listens any more")
        self.over(self.api, view, "cancelled")

    def test_a_pasted_address_does_what_the_browser_does(self):
        view = self.begin(self.api, "flat")
        answer = self.api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": f"  {self.consent(view)}\n"})
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(answer.json["phase"], ("finishing", "done"))
        self.over(self.api, view)
        self.assert_token_of(self.api, "flat", user=USER)

    def test_where_the_redirect_leads_elsewhere_the_address_is_pasted(self):
        self.redirect = "https://apps.example/callback"
        self.flat("remote", redirect_uri=self.redirect)
        self.assertEqual(self.api.reload().status, 200)
        view = self.begin(self.api, "remote")
        self.assertEqual((view["listening"], view["redirect_uri"]), (False, self.redirect))
        answer = self.api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": self.consent(view)})
        self.assertEqual(answer.status, 200, answer)
        self.over(self.api, view)
        self.assert_token_of(self.api, "remote", user=USER)

    def test_a_port_that_another_program_holds_is_named(self):
        with socket.create_server(("127.0.0.1", self.port)):
            problem = self.refused(self.api.login("flat", "auto"), "unavailable", 503)
        self.assertIn(str(self.port), problem["detail"])
        self.sign_in(self.api, "flat")

    def test_pasted_addresses_that_are_no_answer_are_told_and_the_session_goes_on(self):
        view = self.begin(self.api, "flat")
        right = self.consent(view)
        wrong = [with_query(right, state="of-another"), with_query(right, state=None), "nonsense", "", view["url"],
                 right.replace(self.redirect, "https://elsewhere.example/callback"), right + "&code=again", self.redirect]
        for pasted in wrong:
            with self.subTest(pasted):
                self.refused(self.api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": pasted}), "bad-request", 400)
                self.goes_on(self.api, view)
        self.assertEqual(self.posts(), [])
        visit(right)
        self.over(self.api, view)

    def test_a_second_session_of_the_same_account_replaces_the_first(self):
        first = self.begin(self.api, "flat")
        second = self.begin(self.api, "flat")
        problem = self.refused(self.ask(self.api, first), "login-over", 410)
        self.assertEqual(problem["next_step"], "credsync login flat")
        self.assertNotEqual(visit(self.consent(first)).status, 200, "the answer to the first is nobody's")
        visit(self.consent(second))
        self.over(self.api, second)

    def test_several_accounts_at_once(self):
        self.openid(redirect_port=None)
        self.provider.register("rfc/openid", clients=[{"id": CLIENT, "secret": SECRET, "loopback_any_port": True,
                                                       "redirect_uris": ["http://127.0.0.1/callback"]}])
        self.assertEqual(self.api.reload().status, 200)
        first, second = self.begin(self.api, "flat"), self.begin(self.api, "openid")
        self.assertNotEqual(first["redirect_uri"], second["redirect_uri"])
        visit(self.consent(second))
        self.over(self.api, second)
        self.goes_on(self.api, first)
        visit(self.consent(first))
        self.over(self.api, first)
        self.assert_token_of(self.api, "flat", provider="flat")
        self.assert_token_of(self.api, "openid", provider="rfc/openid")

    def test_an_id_that_never_was_is_the_same_as_no_account(self):
        missing = self.api("GET", "/v1/logins/" + "0" * 32)
        self.refused(missing, "no-such-account", 404)
        self.assertEqual(missing.body, self.api("GET", "/v1/accounts/nosuch").body)

    def test_a_finished_session_can_still_be_asked_for(self):
        view = self.begin(self.api, "flat")
        visit(self.consent(view))
        self.over(self.api, view)
        self.assertEqual(self.ask(self.api, view).json["phase"], "done")
        answer = self.api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": self.redirect + "?code=1"})
        self.assertEqual((answer.status, answer.json["phase"]), (200, "done"))
        self.assertEqual(len(self.posts()), 1)

    def test_a_stop_ends_sessions_and_says_so(self):
        view = self.begin(self.api, "flat")
        waiting = self.daemon.api()
        self.addCleanup(waiting.close)
        waiting.connection.request("GET", f"/v1/logins/{view['id']}?wait=30")
        for _ in range(3):   # by then the one before has been read
            self.goes_on(self.api, view)
        self.assertEqual(self.daemon.stop(), 0)
        answer = waiting.connection.getresponse()
        body = answer.read()
        self.assertEqual((answer.status, b"login-over" in body, b"stopping" in body), (410, True, True), body)
        self.daemon.start()
        api = self.new_api()
        self.refused(self.ask(api, view), "no-such-account", 404)
        self.assertIsNone(visit(self.consent(view)).status)
        self.sign_in(api, "flat")


class Again(SignInTest):
    """Signing in while the grant of before still works."""

    def setUp(self):
        super().setUp()
        self.instance = self.openid(revoke_grace="0s")
        self.provider.register(self.instance, users=[{"name": OTHER, "id": "2002"}])
        self.provider.switch(self.instance, rotation="always")
        self.api = self.start()
        self.sign_in(self.api, "openid")
        self.old = self.granted(self.api.token("openid"))

    def test_the_old_tokens_go_once_the_new_ones_are_durable(self):
        view = self.begin(self.api, "openid")
        self.assert_untouched(self.api, "openid", self.old["access_token"])
        visit(self.consent(view))
        done = self.over(self.api, view)
        self.assertGreater(done["generation"], self.old["generation"])
        new = self.assert_token_of(self.api, "openid", generation=1)
        self.assertNotEqual(new["value"], self.old["access_token"])
        wait_for(lambda: not self.provider.check(self.old["access_token"])["alive"], 15, "the old token to be revoked")
        self.assertGreaterEqual(self.provider.check(self.old["access_token"])["dead_at"], new["issued_at"])
        self.assert_alive(new["value"])

    def test_every_other_end_leaves_the_old_grant_alone(self):
        view = self.begin(self.api, "openid")
        visit(self.consent(view, "deny"))
        self.failed(self.api, view)
        self.assert_untouched(self.api, "openid", self.old["access_token"])
        self.provider.behave("status", {"endpoint": "token"}, times=1, status=400, json={"error": "invalid_grant"})
        view = self.begin(self.api, "openid")
        visit(self.consent(view))
        self.failed(self.api, view)
        view = self.begin(self.api, "openid")
        self.api("DELETE", f"/v1/logins/{view['id']}")
        self.assert_untouched(self.api, "openid", self.old["access_token"])
        self.assertEqual(self.api.refresh("openid").status, 200)
        self.assert_token_of(self.api, "openid", generation=2)

    def test_a_kill_between_the_exchange_and_its_storage_leaves_the_old_grant(self):
        rule = self.provider.behave("hang", {"endpoint": "token", "grant": CODE}, when="after")
        view = self.begin(self.api, "openid")
        visit(self.consent(view), follow=False)
        self.provider.wait(hanging=rule, timeout=60)
        self.assertEqual(len(self.provider.tokens(kind="access", provider=self.instance)), 2, "the provider has acted")
        self.assertEqual(self.daemon.kill(), -signal.SIGKILL)
        self.provider.release(rule, drop=True)
        self.daemon.start()
        api = self.new_api()
        self.assert_untouched(api, "openid", self.old["access_token"])
        self.assertEqual(api.refresh("openid").status, 200)
        self.assert_token_of(api, "openid", generation=2)
        self.sign_in(api, "openid")

    def test_somebody_else_is_refused_unless_asked_for(self):
        view = self.begin(self.api, "openid")
        visit(self.consent(view, user=OTHER))
        error = self.failed(self.api, view, "identity")
        self.assertIn("somebody else", error["detail"])
        self.assert_untouched_grant()
        self.sign_in(self.api, "openid", user=OTHER, replace_identity=True)
        self.assert_token_of(self.api, "openid", user=OTHER)

    def assert_untouched_grant(self):
        """The old one works; what the other person's sign-in gave us is let go of at the provider."""
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], self.old["access_token"])
        self.assert_alive(self.old["access_token"])
        wait_for(lambda: not self.provider.tokens(user=OTHER, alive=1, kind="access"), 15, "the other person's token to be revoked")

    def test_a_refresh_that_answers_for_somebody_else_is_refused(self):
        self.provider.switch(self.instance, id_token_claims={"sub": "2002"})
        self.api.refresh("openid")
        status = self.api.status("openid")
        self.assertIsNotNone(status["error"], status)
        self.assertEqual(self.granted(self.api.token("openid"))["access_token"], self.old["access_token"])


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class Users(SignInTest):
    def test_only_the_user_who_began_may_ask(self):
        self.flat(allow=[{"user": STRANGER, "actions": ["login"]}])
        api = self.start()
        view = self.begin(api, "flat")
        path = f"/v1/logins/{view['id']}"
        for method, tail, body in (("GET", "", None), ("DELETE", "", None), ("POST", "/answer", {"redirect_url": "x"})):
            self.assertEqual(self.ask_as(STRANGER, method, path + tail, body).status, 404)
        self.goes_on(api, view)
        self.assertEqual(self.ask_as(STRANGER, "POST", "/v1/accounts/flat/login", {"method": "auto"}).problem, "login-in-progress")
        named = self.ask_as(STRANGER, "POST", "/v1/accounts/flat/login", {"method": "auto", "browser_uid": 0})
        self.assertEqual(named.problem, "bad-request")
        self.goes_on(api, view)


if __name__ == "__main__":
    unittest.main()
