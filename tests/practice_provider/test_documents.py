"""Each mission provider behaves as its document says, seen over HTTPS by a plain client."""

import base64
import json
import unittest
import urllib.parse
import uuid

from control import PracticeProvider, basic, pkce

CLIENT = {"client_id": "demo-client", "client_secret": "demo-secret"}
REDIRECT = "http://127.0.0.1:7777/callback"
provider = None


def setUpModule():
    global provider
    provider = PracticeProvider().start()


def tearDownModule():
    provider.stop()


def authorize_path(path, **query):
    return path + "?" + urllib.parse.urlencode({"client_id": "demo-client", "redirect_uri": REDIRECT,
                                                "response_type": "code", **query})


def query_of(location):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))


class Case(unittest.TestCase):
    def tearDown(self):
        provider.reset("behaviour")
        provider.reset("switches")

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json().get("error")), (status, code), answer.text)


class Flat(Case):
    TOKEN = "/flat/oauth/access_token"

    def code(self, **query):
        location = provider.consent(authorize_path("/flat/auth/oauth", scope="scores", state="s t&", **query))
        self.assertEqual(query_of(location)["state"], "s t&")
        return query_of(location)["code"]

    def redeem(self, code, **fields):
        return provider.form(self.TOKEN, {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT,
                                          **CLIENT, **fields})

    def test_code_answer_has_the_fields_of_the_document(self):
        answer = self.redeem(self.code())
        body = answer.json()
        self.assertEqual(set(body), {"type", "token_type", "access_token", "issued_at", "expires_in", "app", "appStatus",
                                     "user", "scope"})
        self.assertEqual((body["type"], body["token_type"], body["expires_in"], body["appStatus"], body["scope"]),
                         ("access", "bearer", 86400, "trusted", "scores"))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        me = provider.get("/flat/v2/me", body["access_token"])
        self.assertEqual((me.status, me.json()["id"]), (200, body["user"]))
        self.assertGreater(int(me.headers["x-ratelimit-reset"]), 1_600_000_000)

    def test_offline_gives_a_refresh_token_that_stays_after_use(self):
        refresh = self.redeem(self.code(access_type="offline")).json()["refresh_token"]
        for _ in range(2):
            answer = provider.form(self.TOKEN, {"grant_type": "refresh_token", "refresh_token": refresh, **CLIENT})
            self.assertEqual(answer.status, 200)
            self.assertNotIn("refresh_token", answer.json())

    def test_implicit_puts_the_token_in_the_fragment_without_token_type(self):
        location = provider.consent(authorize_path("/flat/auth/oauth", response_type="token", scope="scores", state="z"))
        fragment = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).fragment))
        self.assertEqual(set(fragment), {"scope", "expires_in", "access_token", "state"})
        self.assertEqual(provider.get("/flat/v2/me", fragment["access_token"]).status, 200)

    def test_implicit_as_in_the_sample_has_no_state_either(self):
        provider.switch("flat", state_echo=False)
        location = provider.consent(authorize_path("/flat/auth/oauth", response_type="token", scope="scores", state="z"))
        self.assertEqual(set(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).fragment))),
                         {"scope", "expires_in", "access_token"})
        provider.switch("flat", state_echo=None)

    def test_code_works_once_and_a_replay_kills_its_tokens(self):
        code = self.code()
        token = self.redeem(code).json()["access_token"]
        self.refused(self.redeem(code), 400, "invalid_grant")
        self.assertEqual(provider.check(token)["why_dead"], "code reuse")

    def test_another_redirect_uri_is_refused_at_both_ends(self):
        page = provider.http("GET", authorize_path("/flat/auth/oauth", scope="scores",
                                                   redirect_uri="https://evil.example/callback"))
        self.assertEqual(page.status, 400)
        self.assertNotIn("location", page.headers)
        self.refused(self.redeem(self.code(), redirect_uri="http://127.0.0.1:7778/callback"), 400, "invalid_grant")

    def test_deny_and_missing_scope_come_back_as_errors(self):
        denied = provider.consent(authorize_path("/flat/auth/oauth", scope="scores", state="q"), decision="deny")
        self.assertEqual((query_of(denied)["error"], query_of(denied)["state"]), ("access_denied", "q"))
        self.assertEqual(query_of(provider.consent(authorize_path("/flat/auth/oauth")))["error"], "invalid_scope")

    def test_client_secret_must_be_in_the_body_and_right(self):
        fields = {"grant_type": "refresh_token", "refresh_token": "x"}
        self.refused(provider.form(self.TOKEN, fields, basic("demo-client", "demo-secret")), 401, "invalid_client")
        self.refused(provider.form(self.TOKEN, {**fields, **CLIENT, "client_secret": "no"}), 401, "invalid_client")
        self.refused(provider.form(self.TOKEN, {**fields, **CLIENT}), 400, "invalid_grant")

    def test_revocation_by_rfc_7009(self):
        pair = provider.issue("flat", scope="scores")
        invalidate = lambda token, **f: provider.form("/flat/oauth/invalidate_token", {"token": token, **CLIENT, **f})
        self.assertEqual(invalidate("never-heard-of").status, 200)
        self.refused(invalidate(pair["access_token"], client_secret="no"), 401, "invalid_client")
        self.assertTrue(provider.check(pair["access_token"])["alive"])
        self.assertEqual(invalidate(pair["access_token"]).status, 200)
        self.assertFalse(provider.check(pair["access_token"])["alive"])
        self.assertTrue(provider.check(pair["refresh_token"])["alive"])
        self.assertEqual(provider.get("/flat/v2/me", pair["access_token"]).status, 401)

    def test_cascade_switch_kills_the_refresh_token_too(self):
        provider.switch("flat", cascade_access="grant")
        pair = provider.issue("flat")
        provider.form("/flat/oauth/invalidate_token", {"token": pair["access_token"], **CLIENT})
        self.assertFalse(provider.check(pair["refresh_token"])["alive"])

    def test_personal_access_token_does_not_expire(self):
        token = provider.pat()
        self.assertIsNone(provider.check(token)["expires_in"])
        self.assertEqual(provider.get("/flat/v2/me", token).status, 200)


class Flume(Case):
    PASSWORD = {"grant_type": "password", "username": "demo@example.com", "password": "demo-password", **CLIENT}

    def post(self, fields, path="/flume/oauth/token"):
        return provider.http("POST", path, json.dumps(fields), {"Content-Type": "application/json"})

    @staticmethod
    def claims(token):
        part = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))

    def test_password_grant_in_json_answers_in_the_envelope(self):
        body = self.post(self.PASSWORD).json()
        self.assertEqual((body["success"], body["code"], body["http_code"], body["count"]), (True, 602, 200, 1))
        self.assertIn("detailed", body)
        self.assertIn("pagination", body)
        data = body["data"][0]
        self.assertEqual(set(data), {"token_type", "access_token", "refresh_token", "expires_in"})
        self.assertEqual(data["expires_in"], 604800)
        claims = self.claims(data["access_token"])
        self.assertEqual((claims["user_id"], claims["exp"] - claims["iat"]), (1001, 604800))
        self.assertIn("type", claims)
        for path in ("/flume/me", "/flume/users/1001"):
            self.assertEqual(provider.get(path, data["access_token"]).json()["data"][0]["id"], 1001)
        self.assertEqual(provider.get("/flume/users/2", data["access_token"]).status, 403)

    def test_form_without_envelope_answers_the_bare_object(self):
        answer = provider.form("/flume/oauth/token?envelope=false", self.PASSWORD)
        self.assertEqual(set(answer.json()), {"token_type", "access_token", "refresh_token", "expires_in"})

    def test_form_that_asks_for_the_envelope_is_a_deviation(self):
        self.assertEqual(provider.form("/flume/oauth/token", self.PASSWORD).status, 400)
        self.assertIn("a form without envelope=false", provider.requests(provider="flume")[-1]["deviations"])

    def test_old_access_token_stays_valid_after_a_refresh(self):
        first = self.post(self.PASSWORD).json()["data"][0]
        again = self.post({"grant_type": "refresh_token", "refresh_token": first["refresh_token"], **CLIENT}).json()["data"][0]
        self.assertNotEqual(first["access_token"], again["access_token"])
        for token in (first, again):
            self.assertEqual(provider.get("/flume/me", token["access_token"]).status, 200)
        self.assertTrue(provider.check(first["access_token"])["superseded"])

    def test_errors_are_in_the_envelope(self):
        missing = self.post({"grant_type": "password", **CLIENT})
        self.assertEqual((missing.status, missing.json()["success"]), (400, False))
        self.assertEqual(missing.json()["detailed"], ["missing parameter: username"])
        wrong = self.post({**self.PASSWORD, "password": "no"})
        self.assertEqual((wrong.status, wrong.json()["message"], wrong.json()["detailed"]),
                         (401, "Invalid username or password", None))
        dead = self.post({"grant_type": "refresh_token", "refresh_token": "no", **CLIENT})
        self.assertEqual((dead.status, dead.json()["detailed"]), (400, ["Invalid refresh token"]))
        client = self.post({**self.PASSWORD, "client_secret": "no"})
        self.assertEqual((client.status, client.json()["http_code"]), (401, 401))


class FFLogs(Case):
    TOKEN = "/fflogs/oauth/token"
    BASIC = basic("demo-client", "demo-secret")

    def test_client_credentials_by_form_and_by_multipart(self):
        boundary = uuid.uuid4().hex
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="grant_type"\r\n\r\nclient_credentials\r\n--{boundary}--\r\n'
        multipart = provider.http("POST", self.TOKEN, part,
                                  {"Content-Type": f"multipart/form-data; boundary={boundary}", **self.BASIC})
        form = provider.form(self.TOKEN, {"grant_type": "client_credentials"}, self.BASIC)
        for answer, encoding in ((multipart, "multipart"), (form, "form")):
            self.assertEqual((answer.status, answer.json()["expires_in"]), (200, 31104000), answer.text)
            self.assertNotIn("refresh_token", answer.json())
            self.assertTrue(provider.requests(provider="fflogs", encoding=encoding, auth="basic", outcome="ok"))
        self.assertTrue(provider.check(multipart.json()["access_token"])["alive"])
        self.assertTrue(provider.check(multipart.json()["access_token"])["superseded"])

    def test_each_api_takes_its_own_kind_of_token(self):
        client_token = provider.form(self.TOKEN, {"grant_type": "client_credentials"}, self.BASIC).json()["access_token"]
        user_token = provider.issue("fflogs")["access_token"]
        for path, good, bad in (("client", client_token, user_token), ("user", user_token, client_token)):
            self.assertEqual(provider.get(f"/fflogs/api/v2/{path}", good).status, 200)
            self.assertIn(provider.get(f"/fflogs/api/v2/{path}", bad).status, (401, 403))

    def test_secret_in_the_body_is_refused(self):
        self.refused(provider.form(self.TOKEN, {"grant_type": "client_credentials", **CLIENT}), 401, "invalid_client")

    def public_code(self, challenge, **more):
        query = {"client_id": "demo-public", "state": "x", "code_challenge_method": "S256", **more}
        if challenge:
            query["code_challenge"] = challenge
        return query_of(provider.consent(authorize_path("/fflogs/oauth/authorize", **query)))

    def redeem(self, code, verifier, **more):
        return provider.form(self.TOKEN, {"grant_type": "authorization_code", "client_id": "demo-public", "code": code,
                                          "redirect_uri": REDIRECT, "code_verifier": verifier, **more})

    def test_pkce_for_a_public_client(self):
        verifier, challenge = pkce()
        code = self.public_code(challenge)["code"]
        self.refused(self.redeem(code, "short"), 400, "invalid_request")
        self.refused(self.redeem(code, "x" * 43), 400, "invalid_grant")
        answer = self.redeem(code, verifier)
        self.assertEqual(answer.status, 200, answer.text)
        self.assertEqual(provider.get("/fflogs/api/v2/user", answer.json()["access_token"]).status, 200)
        self.assertTrue(provider.requests(provider="fflogs", auth="none", outcome="ok"))

    def test_public_client_may_not_leave_pkce_out_nor_use_plain(self):
        self.assertEqual(self.public_code(None)["error"], "invalid_request")
        self.assertEqual(self.public_code("x" * 43, code_challenge_method="plain")["error"], "invalid_request")

    def test_verifier_without_a_challenge_is_a_downgrade_and_refused(self):
        code = query_of(provider.consent(authorize_path("/fflogs/oauth/authorize", state="x")))["code"]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": "v" * 43}
        self.refused(provider.form(self.TOKEN, fields, self.BASIC), 400, "invalid_grant")

    def test_refresh_kills_the_old_pair_and_a_dead_one_reads_like_passport(self):
        old = provider.issue("fflogs")
        refresh = lambda token: provider.form(self.TOKEN, {"grant_type": "refresh_token", "refresh_token": token}, self.BASIC)
        new = refresh(old["refresh_token"]).json()
        self.assertFalse(provider.check(old["access_token"])["alive"])
        self.assertFalse(provider.check(old["refresh_token"])["alive"])
        self.assertTrue(provider.check(new["refresh_token"])["alive"])
        dead = refresh(old["refresh_token"])
        self.refused(dead, 401, "invalid_request")
        self.assertEqual(dead.json()["error_description"], "The refresh token is invalid.")
        self.assertTrue(provider.check(new["access_token"])["alive"])
        provider.switch("fflogs", dead_refresh="invalid_grant")
        self.refused(refresh(old["refresh_token"]), 400, "invalid_grant")


class Example(Case):
    TOKEN = "/example/api/token.php"

    def code(self):
        return query_of(provider.consent(authorize_path("/example/api/authorize.php")))["code"]

    def test_three_parameters_give_a_token(self):
        answer = provider.form(self.TOKEN, {"code": self.code(), **CLIENT})
        self.assertEqual({k: v for k, v in answer.json().items() if k != "access_token"},
                         {"token_type": "Bearer", "expires_in": 3600})
        info = provider.get("/example/api/userinfo.php", answer.json()["access_token"])
        self.assertEqual(set(info.json()), {"username", "email", "full_name"})

    def test_state_does_not_come_back(self):
        path = authorize_path("/example/api/authorize.php", state="z")
        self.assertEqual(set(query_of(provider.consent(path))), {"code"})
        self.assertEqual(set(query_of(provider.consent(path, decision="deny"))), {"error", "error_description"})

    def test_grant_type_or_redirect_uri_is_a_deviation(self):
        for extra in ({"grant_type": "authorization_code"}, {"redirect_uri": REDIRECT}):
            name = next(iter(extra))
            code = self.code()
            self.refused(provider.form(self.TOKEN, {"code": code, **CLIENT, **extra}), 400, "invalid_request")
            self.assertEqual(provider.requests(provider="example")[-1]["deviations"], [f"unexpected parameter: {name}"])
            provider.switch("example", strict=False)
            self.assertEqual(provider.form(self.TOKEN, {"code": code, **CLIENT, **extra}).status, 200)
            self.assertEqual(provider.requests(provider="example")[-1]["deviations"], [f"unexpected parameter: {name}"])
            provider.switch("example", strict=None)

    def test_errors_have_the_codes_of_the_document(self):
        self.refused(provider.form(self.TOKEN, CLIENT), 400, "invalid_request")
        self.refused(provider.form(self.TOKEN, {"code": "x", "client_id": "demo-client", "client_secret": "n"}), 401,
                     "invalid_client")
        self.refused(provider.form(self.TOKEN, {"code": "x", **CLIENT}), 400, "invalid_code")
        self.refused(provider.get("/example/api/userinfo.php", "x"), 401, "invalid_token")

    def test_over_its_rate_limit_it_says_when_to_come_back(self):
        provider.switch("example", rate_limit={"per_second": 0.01, "burst": 1, "endpoints": ["api"]})
        token = provider.issue("example", kind="access")["access_token"]
        self.assertEqual(provider.get("/example/api/userinfo.php", token).status, 200)
        limited = provider.get("/example/api/userinfo.php", token)
        self.assertEqual(limited.status, 429)
        self.assertIn("retry-after", limited.headers)
        self.assertIn("x-ratelimit-limit", limited.headers)
        self.assertEqual(provider.summary(provider="example", endpoint="api")["over_limit"], 1)


if __name__ == "__main__":
    unittest.main()
