import json

from fake_daemon import ok, problem
from harness import TOKEN, CliTest, at, status, token_answer


class RefreshTest(CliTest):
    ROUTE = ("POST", "/v1/accounts/flat-me/refresh")

    def test_says_how_it_is_now(self):
        self.daemon.routes[self.ROUTE] = ok(status(generation=8))
        result = self.credsync("refresh", "flat-me")
        self.assert_done(result)
        self.assertEqual(result.out, "flat-me: ok, the token lives 42 min (generation 8)\n")
        self.assertEqual(self.daemon.requests[0].body, b"")

    def test_the_exit_code_is_that_of_the_state(self):
        for state, code in (("ok", 0), ("retrying", 5), ("needs-login", 3), ("suspended", 7), ("signed-out", 3)):
            self.daemon.routes[self.ROUTE] = ok(status(state=state))
            self.assert_done(self.credsync("refresh", "flat-me"), code)

    def test_not_allowed(self):
        self.daemon.routes[self.ROUTE] = problem("not-allowed", 403, "You may not refresh flat-me.")
        self.assert_done(self.credsync("refresh", "flat-me"), 4)


class LogoutTest(CliTest):
    ROUTE = ("DELETE", "/v1/accounts/flat-me/grant")

    def test_done(self):
        self.daemon.routes[self.ROUTE] = ok({"account": "flat-me", "pending": 0})
        result = self.credsync("logout", "flat-me")
        self.assert_done(result)
        self.assertEqual(result.out, "flat-me: signed out\n")

    def test_revocation_still_under_way(self):
        self.daemon.routes[self.ROUTE] = ok({"account": "flat-me", "pending": 2}, 202)
        result = self.credsync("logout", "flat-me")
        self.assert_done(result)
        self.assertIn("2 tokens are still to be revoked", result.out)

    def test_not_allowed(self):
        self.daemon.routes[self.ROUTE] = problem("not-allowed", 403, "You may not sign flat-me out.")
        self.assert_done(self.credsync("logout", "flat-me"), 4)


class RejectTest(CliTest):
    ROUTE = ("POST", "/v1/accounts/flat-me/reject")

    def setUp(self):
        super().setUp()
        self.daemon.routes[self.ROUTE] = ok({"account": "flat-me", "generation": 8})

    def test_by_generation(self):
        result = self.credsync("reject", "flat-me", "--generation", "7")
        self.assert_done(result)
        self.assertEqual(self.daemon.requests[0].json(), {"generation": 7})
        self.assertEqual(result.out, "flat-me: generation 8 is the current one; what was refused is older\n")

    def test_by_the_token_on_standard_input(self):
        result = self.credsync("reject", "flat-me", stdin=TOKEN.encode() + b"\n")
        self.assert_done(result)
        self.assertEqual(self.daemon.requests[0].json(), {"access_token": TOKEN})
        self.assertNotIn(TOKEN, result.out + result.err)

    def refused(self, token, *, handed_out=TOKEN, **changes):
        self.daemon.routes[("GET", "/v1/accounts/flat-me/token")] = ok(token_answer(access_token=handed_out))
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(**changes))
        by_token = self.credsync("reject", "flat-me", stdin=token.encode())
        self.assertNotIn(token, by_token.out + by_token.err)
        return by_token, self.credsync("reject", "flat-me", "--generation", "8")

    def test_a_stale_token_is_told_from_the_current_one(self):
        stale, _ = self.refused("old-token")
        self.assert_done(stale)
        self.assertEqual(stale.out, "flat-me: generation 8 is the current one; what was refused is older, or not its token\n")
        for current in self.refused(TOKEN):
            self.assert_done(current)
            self.assertEqual(current.out, "flat-me: generation 8 was refused: a new one is on its way\n")

    def test_the_current_one_of_an_account_that_cannot_renew(self):
        for result in self.refused(TOKEN, refreshable=False, grant="static"):
            self.assert_done(result, 3)
            self.assertIn("flat-me: generation 8 was refused: it cannot be renewed, and is still what is handed out\n", result.err)
            self.assertIn("Try: credsync login flat-me", result.err)

    def test_a_generation_to_come(self):
        self.assertIn("not there yet", self.credsync("reject", "flat-me", "--generation", "9").out)

    def test_at_a_terminal_it_says_how(self):
        person = self.terminal("reject", "flat-me")
        self.assertEqual(person.wait(), 2)
        self.assertIn("--generation", person.plain())
        self.assertEqual(self.daemon.requests, [])

    def test_generations_are_whole_numbers(self):
        for bad in ("x", "-1", "1.5", "", "99999999999999999999"):
            self.assert_done(self.credsync("reject", "flat-me", "--generation", bad), 2)


class ReloadTest(CliTest):
    ROUTE = ("POST", "/v1/reload")

    def test_says_what_changed(self):
        self.daemon.routes[self.ROUTE] = ok({"reloaded": True, "changed": ["a", "b"], "added": ["c"], "removed": ["d"],
                                             "warnings": ["accounts.d/c.toml:3:1: odd"]})
        result = self.credsync("reload")
        self.assert_done(result)
        self.assertEqual(result.out, "the configuration was read again\nadded: c\nchanged: a, b\nremoved: d\n")
        self.assertEqual(result.err, "credsync: warning: accounts.d/c.toml:3:1: odd\n")

    def test_nothing_changed(self):
        self.daemon.routes[self.ROUTE] = ok({"reloaded": True, "changed": [], "added": [], "removed": [], "warnings": []})
        self.assertIn("nothing changed", self.credsync("reload").out)

    def test_every_problem_is_shown(self):
        problems = ["accounts.d/a.toml:3:1: account.a.grnat: unknown key, did you mean grant?", "credsyncd.toml:1:1: no"]
        self.daemon.routes[self.ROUTE] = problem("bad-request", 400, "The new configuration is wrong; the old one stays.", problems=problems)
        result = self.credsync("reload")
        self.assert_done(result, 1)
        for line in problems:
            self.assertIn("  " + line + "\n", result.err)
