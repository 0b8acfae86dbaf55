import os
import signal
import subprocess

from fake_daemon import ok, problem
from harness import CREDSYNC, CliTest, Terminal, status

SECRET = "canary-refresh-token-9b1d"
LOGIN = ("POST", "/v1/accounts/flat-me/login")
STATUS = ("GET", "/v1/accounts/flat-me")
NEEDS_ITS_PASSWORD = problem("bad-request", 400, "this account needs its password", "credsync login flat-me")


def without_a_password(grant):
    """A daemon whose configuration names none."""
    return lambda request: NEEDS_ITS_PASSWORD if request.json()["method"] == "auto" else ok(status(grant=grant))


class LoginFromStdinTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[LOGIN] = ok(status())

    def sent(self):
        return self.daemon.requests[-1].json()

    def test_each_kind_of_secret(self):
        for option, method in (("--refresh-token-stdin", "refresh_token"), ("--token-stdin", "token"), ("--password-stdin", "password")):
            result = self.credsync("login", "flat-me", option, stdin=SECRET.encode() + b"\n")
            self.assert_done(result)
            self.assertEqual(self.sent(), {"method": method, "secret": SECRET})
            self.assertIn("flat-me: ok, the token lives 42 min", result.out)
            self.assertNotIn(SECRET, result.out + result.err)

    def test_only_one_line_end_is_removed(self):
        for given, kept in ((b"x", "x"), (b"x\n", "x"), (b"x\r\n", "x"), (b" x \n\n", " x \n"), (b"a\nb", "a\nb")):
            self.credsync("login", "flat-me", "--password-stdin", stdin=given)
            self.assertEqual(self.sent()["secret"], kept)

    def test_awkward_characters_arrive_as_they_are(self):
        awkward = "ü\"\\\t'$(x) \u2028 🔑 \x7f"
        self.credsync("login", "flat-me", "--password-stdin", "--username", "someone\"@example.org", stdin=awkward.encode())
        self.assertEqual(self.sent(), {"method": "password", "secret": awkward, "username": "someone\"@example.org"})

    def test_the_largest_secret_fits_and_no_larger_one(self):
        self.assert_done(self.credsync("login", "flat-me", "--token-stdin", stdin=b"x" * 65536 + b"\n"))
        self.assertEqual(len(self.sent()["secret"]), 65536)
        count = len(self.daemon.requests)
        for size in (65537, 65538, 65539, 1000000):
            self.assert_done(self.credsync("login", "flat-me", "--token-stdin", stdin=b"x" * size), 2)
        self.assertEqual(len(self.daemon.requests), count)

    def test_what_is_no_secret_is_refused_before_anything_is_sent(self):
        for bad in (b"", b"\n", b"\r\n", b"a\x00b", b"\xff\xfe", b"\xc3"):
            result = self.credsync("login", "flat-me", "--refresh-token-stdin", stdin=bad)
            self.assert_done(result, 2)
        self.assertEqual(self.daemon.requests, [])

    def test_one_method_at_a_time(self):
        self.assert_done(self.credsync("login", "flat-me", "--token-stdin", "--refresh-token-stdin", stdin=b"x"), 2)

    def test_a_refused_secret(self):
        self.daemon.routes[LOGIN] = problem("bad-request", 400, "The provider did not take this refresh token.", "credsync login flat-me")
        result = self.credsync("login", "flat-me", "--refresh-token-stdin", stdin=SECRET.encode())
        self.assert_done(result, 1)
        self.assertNotIn(SECRET, result.err)

    def test_notes_are_told(self):
        self.daemon.routes[LOGIN] = ok(status(refreshable=False, notes=["cannot refresh; ends 2026-12-01"]))
        self.assertIn("cannot refresh; ends 2026-12-01", self.credsync("login", "flat-me", "--token-stdin", stdin=b"x").out)

    def test_a_secret_in_the_arguments_is_refused_and_not_repeated(self):
        for arguments in (["login", "flat-me", SECRET], ["login", "flat-me", "--password", SECRET],
                          ["login", "flat-me", "--token-stdin=" + SECRET], ["login", "flat-me", "-p" + SECRET], [SECRET],
                          ["reject", "flat-me", SECRET], ["reject", "flat-me", "--generation", SECRET]):
            result = self.credsync(*arguments)
            self.assert_done(result, 2)
            self.assertNotIn(SECRET, result.out + result.err, arguments)
        self.assertEqual(self.daemon.requests, [])

    def test_other_grants_ask_the_daemon(self):
        self.daemon.routes[STATUS] = ok(status(grant="authorization_code"))
        self.assert_done(self.credsync("login", "flat-me"))
        self.assertEqual(self.sent(), {"method": "auto"})

    def test_a_password_that_the_configuration_names_is_not_asked_for(self):
        self.daemon.routes[STATUS] = ok(status(grant="password"))
        result = self.credsync("login", "flat-me", "--replace-identity")
        self.assert_done(result)
        self.assertEqual(self.sent(), {"method": "auto", "replace_identity": True})
        self.assertIn("flat-me: ok", result.out)

    def test_a_refused_password_of_the_configuration_is_told(self):
        self.daemon.routes[STATUS] = ok(status(grant="password"))
        for name, code, http in (("needs-login", 3, 409), ("unavailable", 5, 503)):
            self.daemon.routes[LOGIN] = problem(name, http, "the provider said no")
            result = self.credsync("login", "flat-me")
            self.assert_done(result, code)
            self.assertIn("the provider said no", result.err)
            self.assertEqual("--password-stdin" in result.err, code == 3)

    def test_without_a_terminal_there_is_nobody_to_ask(self):
        self.daemon.routes[STATUS] = ok(status(grant="password"))
        self.daemon.routes[LOGIN] = NEEDS_ITS_PASSWORD
        done = subprocess.run([CREDSYNC, "login", "flat-me"], env=self.environment(), start_new_session=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"no terminal", done.stderr)

    def test_an_account_that_is_not_there_is_not_asked_for(self):
        self.assert_done(self.credsync("login", "flat-me"), 4)


class PromptTest(CliTest):
    def begin(self, grant="password"):
        self.daemon.routes[STATUS] = ok(status(grant=grant))
        self.daemon.routes[LOGIN] = without_a_password(grant)
        person = self.terminal("login", "flat-me")
        person.expect(" for flat-me (flat): ")
        return person

    def secret_sent(self, person):
        self.assertEqual(person.wait(), 0, person.plain())
        return self.daemon.requests[-1].json()

    def test_asks_for_what_the_grant_needs(self):
        for grant, word, method in (("password", "Password", "password"), ("refresh_token", "Refresh token", "refresh_token"), ("static", "Access token", "token")):
            person = self.begin(grant)
            self.assertIn(word + " for flat-me", person.plain())
            person.type(SECRET + "\n")
            self.assertEqual(self.secret_sent(person), {"method": method, "secret": SECRET})

    def test_nothing_is_echoed_and_the_echo_comes_back(self):
        person = self.begin()
        self.assertFalse(person.echoes())
        person.type(SECRET + "\n")
        self.secret_sent(person)
        self.assertNotIn(SECRET, person.text())
        self.assertTrue(person.echoes())

    def test_the_line_can_be_edited(self):
        person = self.begin()
        person.type("wrong\x15pä\x7fasswore\x08d\n")
        self.assertEqual(self.secret_sent(person)["secret"], "password")

    def test_a_token_longer_than_a_line_of_the_terminal(self):
        person = self.begin("refresh_token")
        long = "x" * 20000
        for start in range(0, len(long), 2000):
            person.type(long[start:start + 2000])
            person.read(0.02)
        person.type("\r")
        self.assertEqual(self.secret_sent(person)["secret"], long)

    def test_nothing_typed(self):
        person = self.begin()
        person.type("\n")
        self.assertEqual(person.wait(), 2)
        self.assertIn("is empty", person.plain())

    def test_a_signal_gives_the_echo_back_and_ends_as_it_should(self):
        for key, number in (("\x03", signal.SIGINT), ("\x1c", signal.SIGQUIT), (None, signal.SIGTERM), (None, signal.SIGHUP)):
            with self.subTest(number):
                person = self.begin()
                person.type("half")
                if key:
                    person.type(key)
                else:
                    os.kill(person.pid, number)
                self.assertEqual(person.wait(), -number)
                self.assertTrue(person.echoes())
                self.assertNotIn("password", [r.json()["method"] for r in self.daemon.requests if r.method == "POST"])

    def test_stopping_gives_the_echo_back_and_continuing_asks_again(self):
        self.daemon.routes[STATUS] = ok(status(grant="password"))
        self.daemon.routes[LOGIN] = without_a_password("password")
        # Only a shell's jobs can be stopped by the terminal.
        shell = f"set -m; '{CREDSYNC}' login flat-me; echo stopped: $?; fg > /dev/null"
        person = Terminal(["bash", "--norc", "-c", shell], self.environment(), 80, 24, self)
        person.expect("Password for")
        person.type("half\x1a")
        person.expect(f"stopped: {128 + signal.SIGTSTP}")
        person.until(lambda t: t.plain().count("Password for") == 2)
        self.assertFalse(person.echoes())
        person.type(SECRET + "\n")
        self.assertEqual(self.secret_sent(person)["secret"], SECRET)
        self.assertNotIn(SECRET, person.text())
        self.assertTrue(person.echoes())

    def test_the_prompt_is_not_part_of_the_output(self):
        self.daemon.routes[STATUS] = ok(status(grant="password"))
        self.daemon.routes[LOGIN] = without_a_password("password")
        out = os.path.join(self.directory, "out")
        person = Terminal(["sh", "-c", f"exec '{CREDSYNC}' login flat-me > '{out}' < /dev/null"], self.environment(), 80, 24, self)
        person.expect("Password for flat-me")
        person.type(SECRET + "\n")
        self.assertEqual(person.wait(), 0)
        with open(out, encoding="utf-8") as text:
            self.assertEqual(text.read(), "flat-me: ok, the token lives 42 min (generation 7)\n")
