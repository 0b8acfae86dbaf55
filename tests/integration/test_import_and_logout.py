"""Tokens that are imported, and signing out: everything that can be revoked is, and nothing comes back."""

import os
import unittest

from harness import DaemonTest, USER, wait_for

SCOPES = ["scores"]


class ImportAndLogout(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        for name in ("one", "two"):
            self.daemon.account(name, provider="flat", grant="refresh_token", scopes=SCOPES)
        self.api = self.start()

    def import_pair(self, account="one"):
        pair = self.provider.issue("flat", scope="scores")
        self.assertEqual(self.granted(self.api.login(account, "refresh_token", pair["refresh_token"]))["state"], "ok")
        return pair

    def revoked_events(self, value):
        token = next(t for t in self.provider.tokens(values=True) if t["value"] == value)
        return token["counts"].get("revoked", 0)

    # --- importing

    def test_a_refresh_token_that_another_account_holds_is_refused(self):
        pair = self.import_pair("one")
        posts = len(self.posts())
        problem = self.refused(self.api.login("two", "refresh_token", pair["refresh_token"]), "bad-request", 400)
        self.assertIn("another account", problem["detail"])
        self.assertNotIn(pair["refresh_token"], str(problem))
        self.assertEqual(len(self.posts()), posts, "it was not sent")
        self.assertEqual(self.granted(self.api.token("one"))["state"], "ok")
        self.refused(self.api.token("two"), "needs-login", 409)

    def test_a_dead_refresh_token_is_refused_and_the_account_stays_as_it_was(self):
        self.import_pair()
        before = self.granted(self.api.token("one"))
        answer = self.api.login("one", "refresh_token", "no-such-refresh-token")
        self.assertEqual(answer.problem, "needs-login", answer)
        self.assertEqual(self.granted(self.api.token("one"))["access_token"], before["access_token"])
        self.assertEqual(self.api.status("one")["state"], "ok")

    def test_an_import_in_the_wrong_way_says_the_right_one(self):
        self.daemon.account("pat", provider="flat", grant="static")
        self.daemon.account("client", provider="fflogs", grant="client_credentials")
        self.assertEqual(self.api.reload().status, 200)
        for account, method in (("pat", "refresh_token"), ("client", "token"), ("client", "refresh_token"), ("one", "password")):
            self.refused(self.api.login(account, method, "secret-of-no-use"), "bad-request", 400)

    def test_a_new_sign_in_replaces_the_old_grant(self):
        self.import_pair()
        first = self.granted(self.api.token("one"))
        self.import_pair()
        second = self.granted(self.api.token("one"))
        self.assertGreater(second["generation"], first["generation"])
        self.assertNotEqual(self.provider.check(first["access_token"])["family"], self.provider.check(second["access_token"])["family"])

    # --- signing out

    def test_signing_out_revokes_access_and_refresh_token(self):
        pair = self.import_pair()
        token = self.granted(self.api.token("one"))
        answer = self.api.logout("one")
        self.assertIn(answer.status, (200, 202))
        wait_for(lambda: not self.provider.check(pair["refresh_token"])["alive"], 10, "the refresh token to be revoked")
        wait_for(lambda: not self.provider.check(token["access_token"])["alive"], 10, "the access token to be revoked")
        self.assertEqual((self.revoked_events(pair["refresh_token"]), self.revoked_events(token["access_token"])), (1, 1))
        wait_for(lambda: self.api.status("one")["retiring"]["pending"] == 0, 10, "an empty queue")
        status = self.api.status("one")
        self.assertEqual((status["state"], status["usable"], status["retiring"]["unrevoked"]), ("signed-out", False, 0))
        problem = self.refused(self.api.token("one"), "needs-login", 409)
        self.assertIn("signed out", problem["detail"])
        self.assertIn("credsync login one", problem["next_step"])

    def test_signing_out_is_not_undone_by_anything_but_a_sign_in(self):
        self.import_pair()
        last = self.granted(self.api.token("one"))
        self.api.logout("one")
        posts = len(self.posts())
        for again in (self.daemon.restart, self.crash):
            again()
            self.api = self.new_api()
            self.assertEqual(self.api.status("one")["state"], "signed-out")
            self.refused(self.api.token("one", wait=1), "needs-login", 409)
            self.api.refresh("one")
            self.assertEqual(self.api.reload().status, 200)
        self.assertEqual(len(self.posts()), posts)
        self.assertGreaterEqual(self.api.status("one")["generation"], last["generation"])
        self.import_pair()
        after = self.granted(self.api.token("one"))
        self.assertGreater(after["generation"], last["generation"], "a generation never goes back")

    def crash(self):
        self.daemon.kill()
        self.daemon.start()

    def test_signing_out_answers_202_while_the_provider_does_not(self):
        pair = self.import_pair()
        access = self.granted(self.api.token("one"))["access_token"]
        self.provider.behave("status", {"endpoint": "revoke"}, status=503)
        answer = self.api.logout("one")
        self.assertEqual((answer.status, answer.json["pending"]), (202, 2), answer)
        self.assertEqual(self.api.status("one")["retiring"]["pending"], 2)
        self.crash()   # what is pending is on the disk
        self.api = self.new_api()
        self.assertEqual(self.api.status("one")["retiring"]["pending"], 2)
        self.provider.clear()
        for token in (pair["refresh_token"], access):
            wait_for(lambda t=token: self.revoked_events(t) == 1, 40, "the revocation to be tried again")
        wait_for(lambda: self.api.status("one")["retiring"]["pending"] == 0, 10, "an empty queue")

    def test_signing_out_without_the_clients_secret_is_finished_when_it_is_there(self):
        pair = self.import_pair()
        access = self.granted(self.api.token("one"))["access_token"]
        hidden = self.daemon.place("hidden")
        os.rename(self.daemon.place("accounts.d/client.secret"), hidden)
        answer = self.api.logout("one")
        self.assertEqual((answer.status, answer.json["pending"]), (202, 2), answer)
        os.rename(hidden, self.daemon.place("accounts.d/client.secret"))
        for token in (pair["refresh_token"], access):
            wait_for(lambda t=token: self.revoked_events(t) == 1, 40, "the revocation to be tried again")

    def test_signing_out_where_nothing_can_be_revoked_answers_200_and_forgets(self):
        self.daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        self.assertEqual(self.api.reload().status, 200)
        self.granted(self.api.token("flume"))
        done = self.daemon.cli("logout", "flume")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.api.logout("flume").status, 200)
        posts = len(self.posts())
        self.refused(self.api.token("flume", wait=2), "needs-login", 409)
        self.assertEqual(len(self.posts()), posts, "the password is not used to undo it")
        done = self.daemon.cli("token", "flume")
        self.assertEqual((done.returncode, done.stdout), (3, ""))

    def test_an_answer_that_comes_after_the_sign_out_is_revoked_too(self):
        pair = self.import_pair()
        rule = self.provider.behave("hang", {"endpoint": "token"}, when="after", times=1)
        other = self.new_api()
        other.connection.request("POST", "/v1/accounts/one/refresh")
        self.provider.wait(hanging=rule)
        self.assertIn(self.api.logout("one").status, (200, 202))
        self.provider.release(rule)
        other.connection.getresponse().read()

        def left():   # but the access token that came with the import was never ours
            return [t["id"] for t in self.provider.tokens(provider="flat", alive=1) if t["id"] != pair["access_id"]]
        wait_for(lambda: not left(), 15, "all tokens of the grant to die")
        self.assertEqual(self.api.status("one")["state"], "signed-out")
        self.refused(self.api.token("one"), "needs-login", 409)


if __name__ == "__main__":
    unittest.main()
