"""The four mission providers: first token, renewal before its end, retirement as each document wants."""

import time
import unittest

import on_disk
from harness import DaemonTest, PASSWORD, USER, wait_for

LIFETIME = 8          # seconds; renewed at about half of it
GRACE = 1             # seconds
SCOPES = ["account.public_profile", "scores"]
CLOCK_SLACK = 0.25    # seconds; two processes read their clocks


class MissionProviders(DaemonTest):
    LIFETIME = LIFETIME

    def follow(self, api, account, generations):
        """Uses the account until it has had that many tokens; the answers, one a generation."""
        seen = {}

        def ask():
            asked = time.time()
            answer = self.granted(api.token(account))
            self.assert_was_alive(answer["access_token"], asked)
            self.assertGreater(answer["expires_in"] if answer["expires_in"] is not None else 1, 0)
            seen.setdefault(answer["generation"], answer)
            return len(seen) >= generations
        wait_for(ask, LIFETIME * generations + 20, f"{generations} generations of {account}")
        return [seen[g] for g in sorted(seen)]

    def assert_was_alive(self, value, when):
        """It may have been replaced since, but it was good at that time."""
        if not self.provider.check(value)["alive"]:
            record = self.token_record(value)
            ends = [t for t in (record["expires_at"], record["dead_at"], record["dies_at"]) if t is not None]
            self.assertGreaterEqual(min(ends), when - CLOCK_SLACK, record)

    def token_record(self, value):
        return next(t for t in self.provider.tokens(values=True) if t["value"] == value)

    def assert_renewed_in_time(self, older, newer):
        old, new = self.token_record(older["access_token"]), self.token_record(newer["access_token"])
        self.assertLess(new["issued_at"], old["expires_at"] - 1, "renewed before the old one ended")

    def assert_one_post_a_generation(self, **filters):
        posts = self.posts(outcome="ok", **filters)
        issued = [t for t in self.provider.tokens(kind="access", **filters)]
        self.assertEqual(len(posts), len(issued))
        self.assertEqual(self.provider.summary(**filters)["same_credential_in_flight"], 0)

    def assert_nothing_waits_for_retirement(self, api, account):
        self.assertEqual(api.status(account)["retiring"]["pending"], 0)
        self.daemon.stop()
        self.assertEqual(on_disk.rows(self.daemon.state, "SELECT account FROM retirements"), [])
        self.assertEqual(len(on_disk.rows(self.daemon.state, "SELECT name FROM accounts WHERE tokens IS NOT NULL")), 1)

    # --- Flat

    def test_flat_personal_access_token_is_handed_out_as_it_is(self):
        token = self.provider.pat("flat", scope="scores")
        self.daemon.account("flat-pat", provider="flat", grant="static")
        api = self.start()
        self.refused(api.token("flat-pat"), "needs-login", 409)
        done = self.daemon.cli("login", "flat-pat", "--token-stdin", stdin=token + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = self.granted(api.token("flat-pat", min_valid=86400))
        self.assertEqual((answer["access_token"], answer["expires_at"], answer["expires_in"], answer["min_valid_met"]),
                         (token, None, None, True))
        self.assertEqual(answer["header"], {"name": "Authorization", "value": f"Bearer {token}"})
        self.assertEqual(self.provider.get("/flat/v2/me", bearer=answer["access_token"]).status, 200)
        self.assertEqual(self.posts(), [])
        self.assertFalse(api.status("flat-pat")["refreshable"])

    def import_flat(self, **keys):
        self.daemon.account("flat", provider="flat", grant="refresh_token", scopes=SCOPES, **keys)
        pair = self.provider.issue("flat", scope=" ".join(SCOPES))
        api = self.start()
        done = self.daemon.cli("login", "flat", "--refresh-token-stdin", stdin=pair["refresh_token"] + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        return api

    def test_flat_renews_ahead_and_revokes_what_it_replaced_after_the_grace(self):
        api = self.import_flat(revoke_superseded="always", revoke_grace=f"{GRACE}s")
        first, second, third = self.follow(api, "flat", 3)
        self.assertEqual(sorted(first["scope"]), sorted(SCOPES))
        self.assert_renewed_in_time(first, second)
        self.assert_renewed_in_time(second, third)
        for old, new in ((first, second), (second, third)):
            wait_for(lambda t=old["access_token"]: not self.provider.check(t)["alive"], 15, "the old token to be revoked")
            gone, successor = self.token_record(old["access_token"]), self.token_record(new["access_token"])
            self.assertEqual(gone["why_dead"], "client demo-client", "revoked by the client")
            self.assertIn("revoked", gone["counts"])
            self.assertLess(gone["dead_at"], gone["expires_at"], "revoked, not run out")
            self.assertGreaterEqual(gone["dead_at"] - successor["issued_at"], GRACE - CLOCK_SLACK)
        self.assert_alive(self.granted(api.token("flat"))["access_token"])
        revocations = self.provider.requests(endpoint="revoke")
        self.assertEqual({r["outcome"] for r in revocations}, {"ok"})
        self.assertEqual({r["auth"] for r in self.posts()}, {"post"})

    def test_flat_waits_for_the_last_promise_before_it_revokes(self):
        api = self.import_flat(revoke_superseded="always", revoke_grace="0s")
        promised = 6
        first = self.granted(api.token("flat", min_valid=promised))
        promised_until = time.time() + min(promised, first["expires_in"])
        self.follow(api, "flat", 2)
        wait_for(lambda: not self.provider.check(first["access_token"])["alive"], 15, "the end of the first token")
        gone = self.token_record(first["access_token"])
        self.assertGreaterEqual(gone["dead_at"] or gone["expires_at"], promised_until - CLOCK_SLACK)

    def test_flat_is_left_alone_without_an_order_because_its_cascade_is_unknown(self):
        api = self.import_flat(revoke_grace="0s")
        first, _ = self.follow(api, "flat", 2)
        self.assert_alive(first["access_token"])
        self.assertEqual(self.provider.requests(endpoint="revoke"), [])
        self.assertEqual(api.status("flat")["retiring"]["pending"], 0)

    def test_flat_with_rotation_revokes_old_refresh_tokens_too(self):
        self.provider.switch("flat", rotation="always", reuse_detection=True)
        api = self.import_flat(revoke_superseded="always", revoke_grace="0s")
        self.follow(api, "flat", 2)
        old = [t for t in self.provider.tokens(kind="refresh", provider="flat") if t["superseded_by"]]
        self.assertTrue(old)
        wait_for(lambda: all(not t["alive"] for t in self.provider.tokens(kind="refresh") if t["superseded_by"]), 10,
                 "old refresh tokens to die")
        self.assertEqual(self.provider.summary()["reused"], 0)
        self.follow(api, "flat", 2)   # the grant outlives all that

    # --- Flume

    def test_flume_uses_its_password_once_and_then_lives_on_its_refresh_token(self):
        self.daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        api = self.start()
        first, second = self.follow(api, "flume", 2)
        self.assertEqual(first["access_token"].count("."), 2, "a JWT")
        self.assert_renewed_in_time(first, second)
        self.assertEqual(self.provider.summary()["grants"].get("password"), 1)
        self.assertEqual({r["encoding"] for r in self.posts()}, {"json"})
        self.assertEqual(self.provider.summary()["deviations"], {})
        # The document: the old token goes on working, clients are to delete it.
        self.assert_alive(first["access_token"])
        self.assertEqual(api.status("flume")["state"], "ok")
        self.assert_nothing_waits_for_retirement(api, "flume")
        # Nobody needs the password any more, not even after a restart.
        self.provider.register("flume", users=[{"name": USER, "password": PASSWORD + "-changed", "id": "1001"}])
        self.daemon.start()
        api = self.new_api()
        later = self.follow(api, "flume", 2)
        self.assertGreater(later[0]["generation"], first["generation"])
        self.assertEqual(self.provider.summary()["grants"].get("password"), 1)
        self.assert_one_post_a_generation(provider="flume")

    def test_flume_never_hands_out_an_old_token_again(self):
        self.daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        api = self.start()
        first, _ = self.follow(api, "flume", 2)
        self.daemon.kill()
        self.daemon.start()
        self.assertNotEqual(self.granted(self.new_api().token("flume"))["access_token"], first["access_token"])

    def test_flume_refused_password_is_not_tried_again_by_itself(self):
        self.daemon.secret("flume.password", "wrong")
        self.daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        api = self.start()
        problem = self.refused(api.token("flume"), "needs-login", 409)
        self.assertIn("credsync login flume", problem["next_step"])
        self.daemon.restart()
        self.refused(self.new_api().token("flume"), "needs-login", 409)
        self.assertEqual(len(self.posts()), 1, "no restart loop locks a user out")

    # --- FF Logs

    def test_fflogs_by_client_credentials_with_basic(self):
        self.daemon.account("fflogs", provider="fflogs", grant="client_credentials")
        api = self.start()
        first, second, third = self.follow(api, "fflogs", 3)
        self.assert_renewed_in_time(first, second)
        self.assert_renewed_in_time(second, third)
        posts = self.posts()
        self.assertEqual({(r["auth"], r["encoding"], r["grant"]) for r in posts}, {("basic", "form", "client_credentials")})
        self.assertEqual(self.provider.get("/fflogs/api/v2/client", bearer=third["access_token"]).status, 200)
        self.assertEqual(self.provider.requests(endpoint="revoke"), [])
        self.assert_one_post_a_generation(provider="fflogs")
        self.assert_nothing_waits_for_retirement(api, "fflogs")

    def test_fflogs_refresh_that_kills_the_old_token_waits_for_the_last_promise(self):
        self.daemon.account("fflogs", provider="fflogs", grant="refresh_token")
        pair = self.provider.issue("fflogs")
        api = self.start()
        self.assertEqual(self.granted(api.login("fflogs", "refresh_token", pair["refresh_token"]))["state"], "ok")
        promised = 5   # longer than until the planned refresh, shorter than until the floor
        first = self.granted(api.token("fflogs", min_valid=promised))
        asked = time.time()
        self.follow(api, "fflogs", 2)
        gone = self.token_record(first["access_token"])
        self.assertGreaterEqual(gone["dies_at"], asked + promised - CLOCK_SLACK)
        self.assertLess(gone["dies_at"], gone["expires_at"], "still renewed before its end")
        self.assertEqual(self.provider.summary()["reused"], 0)

    # --- example

    def test_example_serves_an_imported_token_and_says_when_it_ends(self):
        self.provider.switch("example", lifetime=3600)
        token = self.provider.issue("example", kind="access")["access_token"]
        host = self.provider.base_url.removeprefix("https://")
        self.daemon.account("example", provider="example", grant="static", vars={"host": host})
        api = self.start()
        done = self.daemon.cli("login", "example", "--token-stdin", stdin=token + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = self.granted(api.token("example"))
        self.assertEqual(answer["access_token"], token)
        status = api.status("example")
        self.assertEqual((status["state"], status["refreshable"], status["next_refresh"]), ("ok", False, None))
        self.assertIsNotNone(status["expires_at"], "the document says 3600 s")
        self.assertIn(f"cannot refresh; ends {status['expires_at']}", status["notes"])
        self.assertLessEqual(status["expires_in"], 3600)
        self.assertIn("cannot refresh", self.daemon.cli("status", "example").stdout)
        refused = api.refresh("example")
        self.assertEqual(refused.problem, "needs-login")
        self.assertIn("credsync login example --token-stdin", refused.json["next_step"])
        self.assertEqual(self.posts(), [])


if __name__ == "__main__":
    unittest.main()
