import json
import re

from fake_daemon import Answer, ok, problem
from harness import CliTest, at, status

ALL = ("GET", "/v1/accounts")


def broken(account="flume"):
    return status(account, provider="flume", state="needs-login", usable=False, expires_in=0, expires_at=at(-100),
                  next_refresh=None, error={"class": "invalid_grant", "message": "The refresh token is dead", "at": at(-3610)},
                  next_step={"text": "sign in again", "command": f"credsync login {account}"},
                  retiring={"pending": 2, "unrevoked": 1, "next": at(5)})


class StatusTest(CliTest):
    def show(self, *accounts):
        self.daemon.routes[ALL] = ok({"accounts": list(accounts)})
        return self.credsync("status")

    def rows(self, *accounts):
        result = self.show(*accounts)
        self.assert_done(result)
        return [re.split(r"  +", line.strip()) for line in result.out.splitlines()]

    def test_a_row_an_account(self):
        rows = self.rows(status(), status("other", provider="flume", generation=3))
        self.assertEqual(rows[0], ["ACCOUNT", "PROVIDER", "STATE", "TOKEN", "REFRESH", "RETIRING"])
        self.assertEqual(rows[1], ["flat-me", "flat", "ok", "42 min", "in 32 min", "-"])
        self.assertEqual(rows[2][0], "other")

    def test_what_is_wrong_and_the_next_step_stand_below(self):
        out = self.show(status(), broken()).out.splitlines()
        self.assertIn("    last error: invalid_grant: The refresh token is dead (1 h ago)", out)
        self.assertIn("    next step: sign in again: credsync login flume", out)
        self.assertIn("    1 token was erased without the provider having revoked it", out)
        self.assertEqual(re.split(r"  +", out[2]), ["flume", "flume", "needs-login", "expired", "-", "2"])

    def test_every_way_to_have_a_token_or_none(self):
        cases = [
            (dict(expires_at=None, expires_in=None, lifetime=None), "no end"),
            (dict(generation=0, usable=False, expires_at=None, expires_in=None), "none"),
            (dict(usable=False, expires_at=at(-5), expires_in=0), "expired"),
            (dict(usable=False), "unusable"),
            (dict(usable=False, state="signed-out"), "none"),
            (dict(expires_at=None, expires_in=2555), "42 min"),
            (dict(expires_at=None, expires_in=45), "45 s"),
            (dict(expires_at=at(31104000 + 60), expires_in=31104060), "360 d"),
            (dict(expires_at=at(90060), expires_in=90060), "1 d 1 h"),
        ]
        for changes, shown in cases:
            with self.subTest(shown):
                self.assertEqual(self.rows(status(**changes))[1][3], shown)

    def test_every_way_to_be_refreshed_or_not(self):
        cases = [(dict(refreshing=True), "now"), (dict(next_refresh=at(-3)), "due"),
                 (dict(next_refresh=None), "-"), (dict(next_refresh=None, refreshable=False), "never")]
        for changes, shown in cases:
            with self.subTest(shown):
                self.assertEqual(self.rows(status(**changes))[1][4], shown)

    def test_a_note_is_shown(self):
        out = self.show(status(refreshable=False, notes=["cannot refresh; ends 2026-12-01"])).out
        self.assertIn("    cannot refresh; ends 2026-12-01\n", out)

    def test_no_terminal_no_bars_no_colours(self):
        out = self.show(status(), broken()).out
        self.assertNotIn("\033", out)
        self.assertNotIn("█", out)

    def test_json_is_the_daemons_answer(self):
        value = {"accounts": [status(), broken()], "new": {"x": [1, 2.5, None]}}
        self.daemon.routes[ALL] = ok(value)
        result = self.credsync("status", "--json")
        self.assertEqual(json.loads(result.out), value)

    def test_json_cannot_steer_the_terminal(self):
        self.daemon.routes[ALL] = ok({"accounts": [status("a\u202eb\x1b[2J")]})
        out = self.credsync("status", "--json").out
        self.assertTrue(out.isascii())
        self.assertNotIn("\x1b", out)

    def test_no_account_is_said_on_standard_error(self):
        result = self.show()
        self.assert_done(result)
        self.assertEqual(result.out, "")
        self.assertIn("no account that you may see", result.err)

    def test_ones_own_daemon_without_accounts_says_how_to_begin(self):
        own, env = self.own_daemon()
        own.routes[ALL] = ok({"accounts": []})
        result = self.credsync("status", env=env)
        self.assert_done(result)
        self.assertEqual(result.out, "")
        self.assertIn("no account yet\nTry: credsync account add NAME\n", result.err)

    def test_one_account_in_full(self):
        self.daemon.routes[("GET", "/v1/accounts/flume")] = ok(broken())
        result = self.credsync("status", "flume")
        self.assert_done(result)
        for text in ("flume\n", "needs-login, since", "expired, since", "generation 7", "refresh_token",
                     "account.public_profile scores", "2 pending, next in", "1 erased unrevoked",
                     "sign in again: credsync login flume", "get, watch"):
            self.assertIn(text, result.out)

    def test_one_account_as_json(self):
        self.daemon.routes[("GET", "/v1/accounts/flume")] = ok(broken())
        self.assertEqual(json.loads(self.credsync("status", "flume", "--json").out)["account"], "flume")

    def test_an_account_that_is_not_there(self):
        self.assert_done(self.credsync("status", "flume"), 4)

    def test_texts_are_cleaned(self):
        evil = "\x1b]0;owned\x07 \u202e\x9b2J"
        out = self.show(status(account="a" + evil, provider=evil + "p", state=evil, notes=[evil],
                               error={"class": evil, "message": evil, "at": None},
                               next_step={"text": evil, "command": evil})).out
        for forbidden in ("\x1b", "\x07", "\u202e", "\x9b"):
            self.assertNotIn(forbidden, out)

    def test_members_of_other_types_are_taken_as_absent(self):
        odd = {name: 7.5 for name in status()}
        odd.update(account="odd", state="ok", retiring=[1], error="x", next_step=[], scope=[1, None], notes={"a": 1})
        self.assert_done(self.show(odd))
        self.assert_done(self.show({"account": "bare"}))
        self.daemon.routes[ALL] = ok({"accounts": [1, "x", None, [], status()]})
        self.assert_done(self.credsync("status"))
        self.daemon.routes[ALL] = ok({"accounts": "x"})
        self.assert_done(self.credsync("status"), 1)

    def test_times_out_of_range_are_survived(self):
        for moment in ("9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z",
                       "2026-01-01T00:00:00+23:59", "2026-01-01T00:00:00.123456789Z", "x", "", "2026-01-01T00:00:00"):
            self.assert_done(self.show(status(expires_at=moment, next_refresh=moment, since=moment)))

    def test_ten_thousand_accounts(self):
        self.daemon.routes[ALL] = ok({"accounts": [status(f"account-{i}") for i in range(10000)]})
        result = self.credsync("status")
        self.assert_done(result)
        self.assertEqual(result.out.count("\n"), 10001)

    def test_a_busy_daemon(self):
        self.daemon.routes[ALL] = problem("busy", 429, "Too many requests of yours are under way.")
        self.assert_done(self.credsync("status"), 5)

    def test_without_a_body(self):
        self.daemon.routes[ALL] = Answer(204)
        self.assert_done(self.credsync("status"), 1)


class StatusOnTerminalTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[ALL] = ok({"accounts": [status(), broken(), status("wide", provider="例え話", lifetime=None)]})

    def show(self, columns=100, **env):
        terminal = self.terminal("status", columns=columns, env=env)
        self.assertEqual(terminal.wait(), 0, terminal.plain())
        return terminal

    def test_bars_and_colours(self):
        shown = self.show()
        self.assertIn("█████░░░", shown.plain())
        self.assertIn("\033[32mok", shown.text())
        self.assertIn("\033[31mneeds-login", shown.text())
        self.assertIn("3 accounts: 2 ok, 1 needs-login", shown.plain())

    def test_no_color(self):
        for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": None}):
            with self.subTest(env):
                shown = self.show(**env)
                self.assertNotIn("\033[", shown.text())
                self.assertIn("█████░░░", shown.plain())

    def test_a_locale_that_is_not_utf8_gets_ascii(self):
        for locale in ({"LC_ALL": "C"}, {"LC_ALL": "", "LANG": "POSIX"}, {"LC_ALL": None, "LC_CTYPE": "de_DE.ISO-8859-1"}):
            with self.subTest(locale):
                text = self.show(**locale).plain()
                self.assertTrue(text.isascii(), text)
                self.assertIn("[#####---]", text)

    def test_columns_stay_aligned_beside_wide_characters(self):
        lines = self.show().plain().splitlines()
        column = lines[0].index("STATE")
        wide = next(line for line in lines if line.startswith("wide"))
        self.assertEqual(wide[column - 3:].split()[0], "ok")  # three characters of two columns each

    def test_every_width_is_kept(self):
        for columns in (200, 100, 80, 72, 60, 50, 40, 30):
            with self.subTest(columns=columns):
                text = self.show(columns).plain()
                for line in text.splitlines()[:-1]:
                    width = len(line) + len(re.findall("[例え話]", line))
                    self.assertLessEqual(width, columns, line)
                self.assertIn("ACCOUNT", text)
                self.assertIn("STATE", text)
                self.assertIn("needs-", text)

    def test_eighty_columns_show_everything(self):
        head = self.show(80).plain().splitlines()[0].split()
        self.assertEqual(head, ["ACCOUNT", "PROVIDER", "STATE", "TOKEN", "REFRESH", "RETIRING"])

    def test_a_terminal_of_no_size(self):
        self.show(columns=0)
        self.show(columns=1)


class AccountListTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[ALL] = ok({"accounts": [status(), broken()]})

    def test_list(self):
        result = self.credsync("account", "list")
        self.assertEqual([line.split() for line in result.out.splitlines()],
                         [["ACCOUNT", "PROVIDER", "GRANT", "STATE", "FILE"], ["flat-me", "flat", "refresh_token", "ok"],
                          ["flume", "flume", "refresh_token", "needs-login"]])

    def test_names(self):
        self.assertEqual(self.credsync("account", "list", "--names").out, "flat-me\nflume\n")
