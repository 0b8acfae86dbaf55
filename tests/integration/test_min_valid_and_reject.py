"""min_valid, reject and ordered refreshes: what they may cause at the provider, and what not."""

import time
import unittest

import crowd
from harness import DaemonTest, USER

LIFETIME = 120    # seconds; at most one ordered POST per clamp(L/10, 10 s, 5 min) = 12 s
ALLOWANCE = 12


class MinValidAndReject(DaemonTest):
    LIFETIME = LIFETIME

    def setUp(self):
        super().setUp()
        self.daemon.account("a", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        self.api = self.start()
        self.first = self.granted(self.api.token("a"))
        self.assertEqual(len(self.posts()), 1)

    # --- min_valid

    def test_more_than_the_provider_gives_brings_the_freshest_token_and_no_loop(self):
        for _ in range(20):
            answer = self.granted(self.api.token("a", min_valid=10 * LIFETIME))
            self.assertFalse(answer["min_valid_met"])
            self.assertGreaterEqual(answer["expires_in"], LIFETIME * 0.9)
        self.assertEqual(len(self.posts()), 1, "a fresh token cannot be made fresher")

    def test_a_hundred_who_want_too_much_at_once_cause_no_post(self):
        answers = crowd.ask_all(self.daemon.socket, [crowd.get(f"/v1/accounts/a/token?min_valid={10 * LIFETIME}")] * 100)
        self.assertEqual({(a.status, a.json["min_valid_met"]) for a in answers}, {(200, False)})
        self.assertEqual(len(self.posts()), 1)

    def test_min_valid_is_met_for_what_remains(self):
        answer = self.granted(self.api.token("a", min_valid=LIFETIME // 2))
        self.assertTrue(answer["min_valid_met"])
        self.assertEqual(answer["generation"], self.first["generation"])
        self.assertEqual(len(self.posts()), 1)

    def test_min_valid_forces_one_refresh_of_an_aged_token(self):
        # Aged by the answer: it says less than the token's whole life, so that 0.9 L is soon out of reach.
        self.daemon.stop()
        self.provider.switch("flume", lifetime=30)
        self.daemon.account("b", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        self.daemon.start()
        api = self.new_api()
        young = self.granted(api.token("b"))
        before = len(self.posts())
        self.assertEqual(self.granted(api.token("b", min_valid=20))["generation"], young["generation"])
        deadline = time.monotonic() + 20
        while self.granted(api.token("b"))["expires_in"] >= 25:   # below 0.9 L, above half of it: not yet due by itself
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        answers = [self.granted(api.token("b", min_valid=300)) for _ in range(10)]
        self.assertEqual({(a["generation"], a["min_valid_met"]) for a in answers}, {(young["generation"] + 1, False)})
        self.assertEqual(len(self.posts()) - before, 1)

    def test_values_that_are_none_are_refused(self):
        for query in ("min_valid=-1", "min_valid=x", "min_valid=", "wait=61", "wait=1.5", "min_valid=99999999999", "what=1"):
            self.refused(self.api("GET", f"/v1/accounts/a/token?{query}"), "bad-request", 400)

    # --- reject

    def test_rejecting_the_current_generation_causes_one_refresh(self):
        answer = self.api.reject("a", generation=self.first["generation"])
        self.assertEqual((answer.status, answer.json["generation"]), (200, self.first["generation"] + 1), answer)
        self.assertEqual(len(self.posts()), 2)
        self.assertNotEqual(self.granted(self.api.token("a"))["access_token"], self.first["access_token"])

    def test_rejecting_an_old_generation_does_nothing(self):
        current = self.api.reject("a", generation=self.first["generation"]).json["generation"]
        before = len(self.posts())
        for body in ({"generation": self.first["generation"]}, {"access_token": self.first["access_token"]},
                     {"generation": current + 5}, {"access_token": "never-seen"}):
            answer = self.api.reject("a", **body)
            self.assertEqual((answer.status, answer.json["generation"]), (200, current), (body, answer))
        self.assertEqual(len(self.posts()), before)

    def test_a_crowd_that_rejects_the_same_token_causes_one_refresh(self):
        body = f'{{"access_token":"{self.first["access_token"]}"}}'
        answers = crowd.ask_all(self.daemon.socket, [crowd.post("/v1/accounts/a/reject", body)] * 200)
        self.assertEqual({a.status for a in answers}, {200})
        self.assertEqual(len(self.posts()), 2)

    # --- the allowance

    def test_refresh_reject_and_min_valid_share_one_allowance(self):
        began = time.monotonic()
        self.assertEqual(self.api.refresh("a").status, 200)
        self.assertEqual(len(self.posts()), 2)
        generation = self.granted(self.api.token("a"))["generation"]
        for _ in range(5):
            self.api.refresh("a")
            answer = self.api.reject("a", generation=generation)
            self.assertEqual((answer.status, answer.json["generation"]), (200, generation))
            self.assertLessEqual(1, int(answer.headers["retry-after"]))
            self.assertLessEqual(int(answer.headers["retry-after"]), ALLOWANCE)
            self.api.token("a", min_valid=10 * LIFETIME)
        self.assertLess(time.monotonic() - began, ALLOWANCE, "the machine is too slow for this test")
        self.assertEqual(len(self.posts()), 2)
        answer = self.granted(self.api.token("a"))
        self.assertEqual((answer["generation"], answer["state"]), (generation, "ok"), "the current token is still served")

    def test_reject_and_refresh_of_a_dead_account_say_what_mends_it(self):
        self.provider.behave("status", {"endpoint": "token"}, status=400, json={"error": "invalid_grant"})
        status = self.api.refresh("a").json
        self.assertEqual(status["state"], "needs-login")
        answer = self.granted(self.api.token("a"))   # a failure costs no working token
        self.assertEqual((answer["access_token"], answer["state"]), (self.first["access_token"], "needs-login"))
        self.assert_alive(answer["access_token"])
        doctor = {check["name"]: check for check in self.api("GET", "/v1/doctor").json["checks"]}
        self.assertEqual((doctor["account a"]["result"], doctor["account a"]["next_step"]), ("warning", "credsync login a"))
        self.assertIn("; sign in", doctor["account a"]["detail"])


if __name__ == "__main__":
    unittest.main()
