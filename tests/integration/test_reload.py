"""Reload: what has not changed notices nothing; a bad configuration changes nothing; accounts come and go with their tokens."""

import os
import signal
import time
import unittest

import crowd
import sanitizer
from harness import DaemonTest, EventStream, USER, wait_for

FLUME = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}


class Reload(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.account("steady", **FLUME)
        self.daemon.account("other", provider="fflogs", grant="client_credentials")

    def reload(self, api):
        answer = api.reload()
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def test_what_has_not_changed_notices_nothing(self):
        api = self.start()
        tokens = {a: self.granted(api.token(a)) for a in ("steady", "other")}
        connection = api.connection.sock
        stream = EventStream(self.daemon.socket)
        self.addCleanup(stream.close)
        for _ in range(5):
            self.assertEqual(self.reload(api)["changed"], [])
        self.daemon.account("third", provider="fflogs", grant="client_credentials", scopes=["third"])
        self.assertEqual(self.reload(api)["added"], ["third"])
        self.granted(api.token("third"))
        for account, before in tokens.items():
            self.assertEqual(self.granted(api.token(account))["access_token"], before["access_token"])
        self.assertEqual(len(self.posts()), 3)
        self.assertIs(api.connection.sock, connection, "the connection was kept")
        wait_for(lambda: '"third"' in stream.text, 10, "the event stream to go on")
        self.assertFalse(stream.ended)

    def test_a_bad_configuration_leaves_the_old_one_in_force(self):
        api = self.start()
        before = self.granted(api.token("steady"))
        path = self.daemon.account("steady", nonsense=1, **FLUME)
        problem = self.refused(api.reload(), "bad-request", 400)
        self.assertTrue(problem["problems"][0].startswith(f"{path}:"), problem)
        done = self.daemon.cli("reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn("nonsense", done.stderr)
        self.assertEqual(self.granted(api.token("steady"))["access_token"], before["access_token"])
        self.daemon.account("steady", **FLUME)
        self.reload(api)
        self.assertEqual(len(self.posts(provider="flume")), 1)

    def with_a_folder_that_hangs(self):
        """A daemon, and what ends the hanging of its folders, which begins with this."""
        flag = self.daemon.place("stuck")
        self.daemon.variables.update(LD_PRELOAD=os.environ["STUCK_DISK"], STUCK_FOLDER_WHILE=flag)
        self.start()
        with open(flag, "w", encoding="ascii"):
            pass
        self.addCleanup(lambda: os.path.exists(flag) and os.unlink(flag))
        return lambda: os.unlink(flag)

    @unittest.skipIf(sanitizer.BUILT_WITH, "NOT TESTED: a sanitizer must be loaded before the folder that hangs")
    def test_a_folder_that_hangs_holds_nobody_but_who_reloads(self):
        go_on = self.with_a_folder_that_hangs()
        api = self.new_api()
        self.daemon.account("third", provider="fflogs", grant="client_credentials", scopes=["third"])
        waiting = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/reload")] * 3)
        crowd.send_all(waiting)
        for _ in range(50):
            self.granted(api.token("steady"))
        self.assertEqual(api.token("third").status, 404)
        self.assertEqual([caller.received for caller in waiting if caller.read()], [])
        go_on()
        answers = crowd.gather(waiting)
        self.assertEqual([answer.status for answer in answers], [200] * 3)
        self.assertEqual(sorted(answer.json["added"] for answer in answers), [[], [], ["third"]], "two share the next reading")
        self.granted(api.token("third"))

    @unittest.skipIf(sanitizer.BUILT_WITH, "NOT TESTED: a sanitizer must be loaded before the folder that hangs")
    def test_a_folder_that_goes_on_hanging_keeps_nobody_from_ending(self):
        self.with_a_folder_that_hangs()
        before = self.granted(self.new_api().token("steady"))
        waiting = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/reload")])
        crowd.send_all(waiting)
        self.granted(self.new_api().token("steady"))
        self.daemon.process.send_signal(signal.SIGTERM)
        self.refused(crowd.gather(waiting)[0], "unavailable", 503)
        self.assertEqual(self.daemon.ended(), 0)
        self.assertRegex(self.daemon.log().splitlines()[-1], "ended")
        self.assertFalse(os.path.exists(self.daemon.socket))
        os.unlink(self.daemon.place("stuck"))
        self.assertEqual(self.granted(self.start().token("steady"))["access_token"], before["access_token"], "and all is stored")

    @unittest.skipIf(sanitizer.BUILT_WITH, "NOT TESTED: a sanitizer must be loaded before the folder that hangs")
    def test_who_waits_for_a_reload_is_told_of_a_stop(self):
        go_on = self.with_a_folder_that_hangs()
        waiting = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/reload")] * 2)
        crowd.send_all(waiting)
        self.granted(self.new_api().token("steady"))
        self.daemon.process.send_signal(signal.SIGTERM)
        for answer in crowd.gather(waiting):
            self.refused(answer, "unavailable", 503)
        go_on()
        self.assertEqual(self.daemon.ended(), 0)

    def test_sighup_reloads(self):
        api = self.start()
        self.daemon.account("late", provider="fflogs", grant="client_credentials", scopes=["late"])
        self.assertEqual(api.token("late").status, 404)
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: api.token("late").status == 200, 15, "the new account")
        self.daemon.write("conf.d/bad.toml", "[nonsense]\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "reload refused" in self.daemon.log(), 15, "the refusal in the log")
        self.assertEqual(api.token("late").status, 200)

    def test_a_removed_account_is_parked_and_restored(self):
        api = self.start()
        before = self.granted(api.token("steady"))
        self.daemon.remove_account("steady")
        self.assertEqual(self.reload(api)["removed"], ["steady"])
        self.refused(api.token("steady"), "no-such-account", 404)
        self.daemon.restart()   # parked is on the disk
        api = self.new_api()
        self.refused(api.token("steady"), "no-such-account", 404)
        self.assert_alive(before["access_token"])
        self.daemon.account("steady", **FLUME)
        self.reload(api)
        after = self.granted(api.token("steady"))
        self.assertEqual((after["access_token"], after["generation"]), (before["access_token"], before["generation"]))
        self.assertEqual(len(self.posts(provider="flume")), 1)

    def test_a_disabled_account_is_neither_served_nor_refreshed_and_comes_back(self):
        api = self.start()
        before = self.granted(api.token("steady"))
        self.daemon.account("steady", enabled=False, **FLUME)
        self.reload(api)
        self.refused(api.token("steady"), "no-such-account", 404)
        self.daemon.account("steady", **FLUME)
        self.reload(api)
        self.assertEqual(self.granted(api.token("steady"))["access_token"], before["access_token"])
        self.assertEqual(len(self.posts(provider="flume")), 1)

    def test_another_identity_is_another_grant_and_the_old_one_comes_back_with_its_setting(self):
        self.provider.register("flume", users=[{"name": "second@example.com", "password": "demo-password", "id": "2002"}])
        api = self.start()
        before = self.granted(api.token("steady"))
        self.daemon.account("steady", **{**FLUME, "username": "second@example.com"})
        self.assertEqual(self.reload(api)["changed"], ["steady"])
        second = self.granted(api.token("steady"))
        self.assertEqual(self.provider.check(second["access_token"])["user"], "second@example.com")
        self.assertGreater(second["generation"], before["generation"])
        self.daemon.account("steady", **FLUME)
        self.reload(api)
        third = self.granted(api.token("steady"))
        self.assertEqual(self.provider.check(third["access_token"])["user"], USER)
        self.assertGreaterEqual(third["generation"], second["generation"], "a generation never goes back")

    def test_an_identity_change_without_a_new_sign_in_gives_the_old_tokens_back(self):
        pair = self.provider.issue("flat", scope="a")
        self.daemon.account("flat", provider="flat", grant="refresh_token", scopes=["a"])
        api = self.start()
        api.login("flat", "refresh_token", pair["refresh_token"])
        before = self.granted(api.token("flat"))
        posts = len(self.posts())
        self.daemon.account("flat", provider="flat", grant="refresh_token", scopes=["a", "typo"])
        self.reload(api)
        self.refused(api.token("flat"), "needs-login", 409)
        self.daemon.account("flat", provider="flat", grant="refresh_token", scopes=["a"])
        self.reload(api)
        self.assertEqual(self.granted(api.token("flat"))["access_token"], before["access_token"])
        self.assertEqual(len(self.posts()), posts)
        self.assertEqual(self.provider.requests(endpoint="revoke"), [])

    def test_a_mended_secret_resumes_a_suspended_account(self):
        self.daemon.secret("other.secret", "wrong")
        self.daemon.account("other", provider="fflogs", grant="client_credentials", client_secret={"file": "other.secret"})
        api = self.start()
        problem = self.refused(api.token("other"), "suspended", 409)
        self.assertIn("credsync status other", problem["next_step"])
        self.assertEqual(api.status("other")["next_step"]["command"], "credsync reload")
        posts = len(self.posts(provider="fflogs"))
        self.refused(api.token("other", wait=1), "suspended", 409)
        self.assertEqual(len(self.posts(provider="fflogs")), posts, "nobody's asking makes it try again")
        self.daemon.secret("other.secret", "demo-secret")   # the same file: only its content is mended
        self.reload(api)
        wait_for(lambda: api.token("other").status == 200, 15, "the account to resume")
        self.assertEqual(api.status("other")["state"], "ok")

    def test_rules_change_with_a_reload_for_connections_that_are_open(self):
        api = self.start()
        self.granted(api.token("steady"))
        self.daemon.configure(self.provider, rules=[{"user": 4001, "actions": ["get"]}])
        self.reload(api)
        self.assertIn(api.token("steady").status, (403, 404))
        self.assertEqual(len(self.posts(provider="flume")), 1)

    def test_a_refresh_under_way_is_not_lost_by_a_reload(self):
        rule = self.provider.behave("hang", {"provider": "fflogs"}, when="after", times=1)
        api = self.start()
        self.provider.wait(hanging=rule)
        self.daemon.account("late", provider="fflogs", grant="client_credentials", scopes=["late"])
        began = time.monotonic()
        self.reload(api)
        self.assertLess(time.monotonic() - began, 10, "a reload does not wait for a provider")
        self.provider.release(rule)
        wait_for(lambda: api.token("other", wait=0).status == 200, 15, "the answer")
        self.assertEqual(len([r for r in self.posts(provider="fflogs") if "scope" not in r["parameters"]]), 1)


if __name__ == "__main__":
    unittest.main()
