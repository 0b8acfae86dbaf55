"""`credsync account`: files are written whole or not at all, never over another, and secrets stay out of the TOML."""

import os
import stat
import subprocess
import tomllib

import fake_login
from fake_daemon import FakeDaemon, ok, problem
from harness import CREDSYNC, CliTest, Result, status

SECRET = "canary-client-secret-3e1f"
RELOAD = ("POST", "/v1/reload")
RELOADED = ok({"reloaded": True, "changed": [], "added": ["flat-me", "a.b-c_9", "b"], "removed": [], "warnings": []})


def fact(key, value):
    return {"key": key, "value": value, "file": "flat.toml", "line": 1, "source": None}


class AccountFilesTest(CliTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.directory, "config")
        self.accounts = os.path.join(self.folder, "accounts.d")
        os.makedirs(self.accounts)
        self.daemon.routes[RELOAD] = RELOADED
        self.provider("flat", ["authorization_code", "implicit", "static"], fact("client.auth", '["post"]'),
                      fact("authorize.redirect_port", '"exact"'))
        self.daemon.routes[("GET", "/v1/providers")] = ok({"providers": [
            {"id": i, "title": t, "docs": None, "grants": g, "file": ""} for i, t, g in (
                ("flat", "Flat", ["authorization_code", "implicit", "static"]),
                ("flume", "Flume", ["password"]),
                ("okta", "Okta", ["authorization_code", "client_credentials"]))]})
        self.provider("flume", ["password"], fact("client.auth", '["post"]'))
        self.provider("okta", ["authorization_code"], fact("client.auth", '["basic", "none"]'),
                      fact("vars.sub.pattern", "'[a-z]+'"), fact("vars.host.pattern", "'x'"), fact("vars.host.default", '"okta.com"'))

    def provider(self, name, grants, *facts):
        self.daemon.routes[("GET", f"/v1/providers/{name}")] = ok(
            {"id": name, "title": name.title(), "docs": None, "facts": [fact("grants", str(grants)), *facts]})

    def path(self, name):
        return os.path.join(self.accounts, name)

    def files(self):
        return sorted(os.listdir(self.accounts))

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read().decode()

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def asked(self, path):
        return [r for r in self.daemon.requests if r.path == path]

    def alone(self, *arguments, stdin=b"", env=None):
        """Without any terminal, as a script at boot would call it."""
        done = subprocess.run([CREDSYNC, *arguments], env=self.environment(**(env or {})), start_new_session=True, input=stdin,
                              capture_output=True, timeout=60, check=False)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


class AddTest(AccountFilesTest):
    BASICS = ("--provider", "flat", "--grant", "authorization_code", "--client-id", "client-77")

    def add(self, *arguments, name="flat-me", **options):
        return self.alone("account", "add", name, "--config", self.folder, *arguments, **options)

    def test_writes_what_was_said(self):
        result = self.add(*self.BASICS, "--client-secret-stdin", "--scope", "account.public_profile scores", "--scope", "x",
                          "--param", "prompt=consent", "--redirect-uri", "http://127.0.0.1:8912/callback",
                          "--allow-user", "alice", "--allow-user", "bob", "--allow-group", "audio", "--no-login",
                          stdin=SECRET.encode() + b"\n")
        self.assert_done(result)
        self.assertEqual(self.read("flat-me.toml"), """\
# Written by `credsync account add`. What may stand here: credsyncd.toml(5).
[account.flat-me]
provider = "flat"
grant = "authorization_code"
client_id = "client-77"
client_secret = { file = "flat-me.secret" }
scopes = ["account.public_profile", "scores", "x"]
params = { prompt = "consent" }
redirect_uri = "http://127.0.0.1:8912/callback"

[[account.flat-me.allow]]
user = "alice"
actions = ["get", "refresh", "login"]

[[account.flat-me.allow]]
user = "bob"
actions = ["get", "refresh", "login"]

[[account.flat-me.allow]]
group = "audio"
actions = ["get"]
""")
        self.assertEqual(self.read("flat-me.secret"), SECRET + "\n")
        self.assertEqual(self.files(), ["flat-me.secret", "flat-me.toml"])
        for name in self.files():
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode), 0o600, name)
        self.assertEqual(len(self.asked("/v1/reload")), 1)
        self.assertIn(f"written: {self.path('flat-me.toml')}\n", result.out)
        self.assertIn("added: flat-me, ", result.out)
        self.assertNotIn(SECRET, result.out + result.err)

    def test_awkward_values_are_read_back_as_they_were(self):
        awkward = 'a"b\\c\'d#e=ü☃ [x]'
        self.assert_done(self.add("--provider", "okta", "--grant", "client_credentials", "--client-id", awkward, "--var", f"sub={awkward}",
                                  "--var", "a.b=c", "--username", awkward, "--no-client-secret", "--allow-user", awkward, name="a.b-c_9"))
        with open(self.path("a.b-c_9.toml"), "rb") as file:
            account = tomllib.load(file)["account"]["a.b-c_9"]
        self.assertEqual(account, {"provider": "okta", "grant": "client_credentials", "client_id": awkward, "username": awkward,
                                   "vars": {"sub": awkward, "a.b": "c"}, "allow": [{"user": awkward, "actions": ["get", "refresh", "login"]}]})

    def test_what_could_break_out_of_a_line_is_refused(self):
        for bad in ("a\nb", "a\tb", "a\x7fb", "a\u202eb", b"a\xffb"):
            result = self.add("--provider", "okta", "--grant", "client_credentials", "--client-id", bad, "--no-client-secret")
            self.assert_done(result, 2)
            self.assertIn("client_id has characters", result.err)
        self.assertEqual(self.files(), [])

    def test_no_secret_is_taken_from_arguments(self):
        self.assertNotRegex(self.credsync("account", "add", "--help").out, r"--client-secret (TEXT|SECRET|VALUE)")

    def test_a_refusal_takes_back_what_was_written(self):
        problems = [f"{self.path('flat-me.toml')}:3:1: account.flat-me.scopes: wrong"]
        self.daemon.routes[RELOAD] = problem("bad-request", 400, "The new configuration is wrong; the old one stays.", problems=problems)
        result = self.add(*self.BASICS, "--client-secret-stdin", stdin=SECRET.encode())
        self.assert_done(result, 1)
        self.assertEqual(self.files(), [])
        self.assertIn("  " + problems[0] + "\n", result.err)
        self.assertIn("Nothing was added", result.err)
        self.assertNotIn("mend the others", result.err)

    def test_a_refusal_for_another_file_says_so(self):
        self.daemon.routes[RELOAD] = problem("bad-request", 400, "Wrong.", problems=["/etc/credsyncd/other.toml:1:1: wrong"])
        result = self.add(*self.BASICS, "--no-client-secret")
        self.assertIn("mend the others", result.err)
        self.assertEqual(self.files(), [])

    def test_who_may_not_reload_adds_nothing(self):
        self.daemon.routes[RELOAD] = problem("not-allowed", 403, "Only admins may reload.")
        self.assert_done(self.add(*self.BASICS, "--no-client-secret"), 4)
        self.assertEqual(self.files(), [])

    def test_a_daemon_that_reads_another_folder_adds_nothing(self):
        for added in ([], ["other"]):
            self.daemon.routes[RELOAD] = ok({"reloaded": True, "changed": [], "added": added, "removed": [], "warnings": []})
            result = self.add(*self.BASICS, "--client-secret-stdin", "--login", stdin=SECRET.encode())
            self.assert_done(result, 1)
            self.assertIn(f"{self.socket} does not read {self.accounts}", result.err)
            self.assertIn("CREDSYNC_SOCKET", result.err)
            self.assertIn("Nothing was added", result.err)
            self.assertEqual((self.files(), result.out), ([], ""))

    def test_an_account_that_was_there_before_may_change(self):
        self.daemon.routes[RELOAD] = ok({"reloaded": True, "changed": ["flat-me"], "added": [], "removed": [], "warnings": []})
        self.assert_done(self.add(*self.BASICS, "--no-client-secret"))
        self.assertEqual(self.files(), ["flat-me.toml"])

    def test_without_a_daemon_nothing_is_written(self):
        self.daemon.stop()
        result = self.add(*self.BASICS, "--client-secret-stdin", stdin=b"x")
        self.assert_done(result, 6)
        self.assertIn("no socket", result.err)
        self.assertEqual(self.files(), [])

    def test_a_daemon_that_goes_away_before_it_reloads(self):
        self.daemon.routes[RELOAD] = b""
        self.assert_done(self.add(*self.BASICS, "--no-client-secret"), 6)
        self.assertEqual(self.files(), [])

    def test_no_file_is_overwritten(self):
        for name in ("flat-me.toml", "flat-me.secret"):
            self.write(name, "mine")
            result = self.add(*self.BASICS, "--client-secret-stdin", stdin=b"x")
            self.assert_done(result, 1)
            self.assertIn("is left as it is", result.err)
            self.assertEqual(self.files(), [name])
            self.assertEqual(self.read(name), "mine")
            os.unlink(self.path(name))
        # Nor what a link points to.
        os.symlink(os.path.join(self.directory, "elsewhere"), self.path("flat-me.toml"))
        self.assert_done(self.add(*self.BASICS, "--no-client-secret"), 1)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "elsewhere")))
        self.assertEqual(self.asked("/v1/reload"), [])

    def test_an_unknown_provider_is_guessed(self):
        result = self.add("--provider", "flatt", "--grant", "static")
        self.assert_done(result, 2)
        self.assertIn("did you mean flat?", result.err)
        self.assertIn("Try: credsync providers", result.err)

    def test_usage(self):
        for arguments in (["--grant", "magic", "--provider", "flat"], [*self.BASICS, "--var", "novalue"], [*self.BASICS, "--var", "=x"],
                          [*self.BASICS, "--var", "a=1", "--var", "a=2"], [*self.BASICS, "--login", "--no-login"],
                          [*self.BASICS, "--client-secret-stdin", "--no-client-secret"], ["--provider", "flat"],
                          ["--grant", "static"], ["--provider", "flat", "--grant", "authorization_code"], [*self.BASICS, "--system"]):
            self.assert_done(self.add(*arguments), 2)
        self.assert_done(self.alone("account", "add", "flat-me", *self.BASICS, "--config", "relative"), 2)
        self.assert_done(self.alone("account", "add", *self.BASICS), 2)
        self.assertEqual(self.files(), [])

    def test_the_folder_of_a_socket_of_its_own_must_be_named(self):
        result = self.alone("account", "add", "flat-me", *self.BASICS, "--no-client-secret")
        self.assert_done(result, 2)
        self.assertIn("--config", result.err)

    def test_print_writes_nothing_and_needs_no_daemon_if_all_is_said(self):
        result = self.add(*self.BASICS, "--print")
        self.assert_done(result)
        self.assertEqual(tomllib.loads(result.out)["account"]["flat-me"]["client_secret"], {"file": "flat-me.secret"})
        self.daemon.stop()
        result = self.add(*self.BASICS, "--print", "--no-client-secret")
        self.assert_done(result)
        self.assertNotIn("client_secret", tomllib.loads(result.out)["account"]["flat-me"])
        self.assertEqual(self.files(), [])

    def test_warns_when_nobody_may_use_it(self):
        self.assertIn("nobody may use flat-me yet", self.add(*self.BASICS, "--no-client-secret").err)
        self.assertNotIn("nobody", self.add(*self.BASICS, "--no-client-secret", "--allow-user", "x", name="b").err)

    def test_me_is_who_calls(self):
        name = subprocess.run(["id", "-un"], capture_output=True, check=True).stdout.decode().strip()
        self.assert_done(self.add(*self.BASICS, "--no-client-secret", "--allow-user", "me"))
        self.assertIn(f'user = "{name}"\n', self.read("flat-me.toml"))

    def test_me_is_who_called_sudo(self):
        if os.geteuid() != 0:
            self.skipTest("only root is asked through sudo")
        self.assert_done(self.add(*self.BASICS, "--no-client-secret", "--allow-user", "me", env={"SUDO_UID": "1"}))
        self.assertIn('user = "daemon"\n', self.read("flat-me.toml"))

    def test_the_users_own_folder_is_made(self):
        config = os.path.join(self.directory, "xdg")
        self.assert_done(self.alone("account", "add", "flat-me", "--user", *self.BASICS, "--no-client-secret",
                                    env={"XDG_CONFIG_HOME": config}))
        folder = os.path.join(config, "credsyncd/accounts.d")
        self.assertEqual(os.listdir(folder), ["flat-me.toml"])
        self.assertEqual(stat.S_IMODE(os.stat(folder).st_mode), 0o700)
        self.assert_done(self.alone("account", "add", "b", "--user", *self.BASICS, "--no-client-secret"))
        self.assertTrue(os.path.exists(os.path.join(self.directory, ".config/credsyncd/accounts.d/b.toml")))

    def test_signs_in_then(self):
        login = fake_login.FakeLogin(self.daemon, fake_login.login_view(**fake_login.DONE))
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        result = self.add(*self.BASICS, "--no-client-secret", "--login")
        self.assert_done(result)
        self.assertEqual(login.begun, [{"method": "auto"}])
        self.assertIn("signed in as  someone@example.org", result.out)


class AskTest(AccountFilesTest):
    def person(self, *arguments):
        return self.terminal("account", "add", "flat-me", "--config", self.folder, *arguments)

    def answer(self, person, question, text):
        person.expect(question)
        person.shown = b""
        person.type(text + "\n")

    def test_asks_for_what_the_provider_needs(self):
        person = self.person()
        self.answer(person, "Provider (credsync providers lists them): ", "flat")
        person.expect("Flat offers authorization_code, implicit, static.")
        self.answer(person, "Grant [authorization_code]: ", "")
        self.answer(person, "Client id: ", "client-77")
        self.answer(person, "Scopes", "account.public_profile, scores")
        self.answer(person, "Redirect URI", "http://127.0.0.1:8912/callback")
        self.answer(person, "Users who may use it, separated by blanks [me]: ", "alice bob")
        person.expect("Client secret (not shown): ")
        self.assertFalse(person.echoes())
        person.type(SECRET + "\n")
        person.expect("Sign in now? [Y/n] ")
        self.assertNotIn(SECRET, person.text())
        person.type("n\n")
        self.assertEqual(person.wait(), 0, person.plain())
        account = tomllib.loads(self.read("flat-me.toml"))["account"]["flat-me"]
        self.assertEqual(account["scopes"], ["account.public_profile", "scores"])
        self.assertEqual(account["redirect_uri"], "http://127.0.0.1:8912/callback")
        self.assertEqual([rule["user"] for rule in account["allow"]], ["alice", "bob"])
        self.assertEqual(self.read("flat-me.secret"), SECRET + "\n")

    def test_variables_user_names_and_public_clients(self):
        person = self.person("--provider", "okta")
        self.answer(person, "Grant [authorization_code]: ", "")
        self.answer(person, "Client id: ", "c")
        self.answer(person, "Variable sub of", "example")
        self.answer(person, "Scopes", "")
        self.answer(person, "Users", "me")
        self.answer(person, "empty: a public client): ", "")
        self.answer(person, "Sign in now?", "n")
        self.assertEqual(person.wait(), 0, person.plain())
        account = tomllib.loads(self.read("flat-me.toml"))["account"]["flat-me"]
        self.assertEqual(account["vars"], {"sub": "example"})
        self.assertNotIn("client_secret", account)
        self.assertEqual(self.files(), ["flat-me.toml"])

    def test_the_secret_alone_is_asked_for_when_all_else_is_said(self):
        person = self.person("--provider", "flume", "--grant", "password", "--client-id", "c", "--username", "u", "--no-login")
        self.answer(person, "Client secret", SECRET)
        self.assertEqual(person.wait(), 0, person.plain())
        self.assertEqual(self.files(), ["flat-me.secret", "flat-me.toml"])

    def test_given_up(self):
        person = self.person("--provider", "okta")
        person.expect("Grant")
        person.type("\x04")
        self.assertEqual(person.wait(), 1)
        self.assertEqual(self.files(), [])

    def test_signs_in_when_asked_to(self):
        login = fake_login.FakeLogin(self.daemon, fake_login.login_view(**fake_login.DONE))
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        person = self.person(*AddTest.BASICS, "--no-client-secret")
        self.answer(person, "Sign in now? [Y/n] ", "")
        self.assertEqual(person.wait(), 0, person.plain())
        self.assertEqual(len(login.begun), 1)


class RemoveTest(AccountFilesTest):
    MARK = "# Written by `credsync account add`. What may stand here: credsyncd.toml(5).\n"
    FILE = MARK + '# mine\n[account.flat-me]\nprovider = "flat"\nclient_secret = { file = "flat-me.secret" }\n\n[[account.flat-me.allow]]\nuser = "x"\n'

    def setUp(self):
        super().setUp()
        self.write("flat-me.toml", self.FILE)
        self.write("flat-me.secret", "x\n")
        self.daemon.routes[RELOAD] = ok({"reloaded": True, "changed": [], "added": [], "removed": ["flat-me", "a.b", "x"], "warnings": []})

    def remove(self, *arguments):
        return self.alone("account", "remove", "flat-me", "--config", self.folder, *arguments)

    def test_removes_the_file_and_the_secret_it_names(self):
        self.write("other.toml", "")
        result = self.remove("--yes")
        self.assert_done(result)
        self.assertEqual(self.files(), ["other.toml"])
        self.assertIn("removed: flat-me, a.b, x\n", result.out)
        for name in ("flat-me.toml", "flat-me.secret"):
            self.assertIn(f"removed: {self.path(name)}\n", result.out)
        self.assertNotIn("DELETE", [r.method for r in self.daemon.requests])

    def test_a_secret_that_it_does_not_name_stays(self):
        self.write("flat-me.toml", '[account.flat-me]\nclient_secret = { file = "../shared.secret" }\n')
        self.assert_done(self.remove("--yes"))
        self.assertEqual(self.files(), ["flat-me.secret"])

    def test_a_secret_that_a_person_wrote_stays(self):
        self.write("flat-me.toml", self.FILE.removeprefix(self.MARK))
        result = self.remove("--yes")
        self.assert_done(result)
        self.assertEqual(self.files(), ["flat-me.secret"])
        self.assertIn(f"left: {self.path('flat-me.secret')}", result.out)

    def test_a_daemon_that_reads_another_folder_removes_nothing(self):
        self.daemon.routes[RELOAD] = ok({"reloaded": True, "changed": [], "added": [], "removed": ["other"], "warnings": []})
        result = self.remove("--yes")
        self.assert_done(result, 1)
        self.assertIn(f"{self.socket} does not read {self.accounts}", result.err)
        self.assertIn("CREDSYNC_SOCKET", result.err)
        self.assertIn("Nothing was removed", result.err)
        self.assertEqual(self.files(), ["flat-me.secret", "flat-me.toml"])
        self.assertEqual(self.read("flat-me.toml"), self.FILE)

    def test_signs_out_first_if_told_to(self):
        self.daemon.routes[("DELETE", "/v1/accounts/flat-me/grant")] = ok({"account": "flat-me", "pending": 1}, 202)
        result = self.remove("--yes", "--sign-out")
        self.assert_done(result)
        self.assertEqual([r.method for r in self.daemon.requests], ["DELETE", "POST"])
        self.assertIn("signed out; 1 token is still to be revoked", result.out)

    def test_nothing_is_removed_if_the_sign_out_fails(self):
        self.daemon.routes[("DELETE", "/v1/accounts/flat-me/grant")] = problem("unavailable", 503, "not stored")
        self.assert_done(self.remove("--yes", "--sign-out"), 5)
        self.assertEqual(self.files(), ["flat-me.secret", "flat-me.toml"])

    def test_a_refused_reload_puts_it_back(self):
        self.daemon.routes[RELOAD] = problem("bad-request", 400, "Wrong.", problems=["other.toml:1:1: wrong"])
        result = self.remove("--yes")
        self.assert_done(result, 1)
        self.assertIn("Nothing was removed", result.err)
        self.assertEqual(self.files(), ["flat-me.secret", "flat-me.toml"])
        self.assertEqual(self.read("flat-me.toml"), self.FILE)

    def test_a_file_that_defines_more_is_left_to_people(self):
        for text in (self.FILE + "[account.other]\n", self.FILE + "[defaults]\n", "[listen]\n" + self.FILE, "x = 1\n" + self.FILE,
                     "account.other.provider = 'x'\n" + self.FILE, self.FILE.replace("flat-me]", "flat-me2]"), "", "# nothing\n",
                     self.FILE + "  [ account.other ]\n", self.FILE + '[account."other"]\n', self.FILE + "[account.flat-me-2.allow]\n"):
            self.write("flat-me.toml", text)
            result = self.remove("--yes")
            self.assert_done(result, 1)
            self.assertIn("by hand", result.err)
            self.assertEqual(self.read("flat-me.toml"), text)
        self.assertEqual(self.daemon.requests, [])

    def test_names_that_toml_quotes(self):
        for header, name in (('[account."a.b"]', "a.b"), ("[account.'a.b'] # x", "a.b"), ("[account.x]\r", "x")):
            self.write(name + ".toml", header + "\nprovider = \"flat\"\n")
            self.assert_done(self.alone("account", "remove", name, "--config", self.folder, "--yes"))
        self.write("a.b.toml", "[account.a.b]\n")
        self.assert_done(self.alone("account", "remove", "a.b", "--config", self.folder, "--yes"), 1)

    def test_no_file(self):
        result = self.alone("account", "remove", "other", "--config", self.folder, "--yes")
        self.assert_done(result, 1)
        self.assertIn("there is no file", result.err)

    def test_asks_first(self):
        self.assert_done(self.remove(), 2)
        for answer, code, files in (("", 1, 2), ("n", 1, 2), ("y", 0, 0)):
            person = self.terminal("account", "remove", "flat-me", "--config", self.folder)
            person.expect("[y/N] ")
            self.assertIn(f"Remove {self.path('flat-me.toml')} and {self.path('flat-me.secret')}? [y/N]", person.plain().replace("\n", ""))
            person.type(answer + "\n")
            self.assertEqual(person.wait(), code)
            self.assertEqual(len(self.files()), files)


class ListTest(AccountFilesTest):
    def test_names_the_file_where_it_is_known(self):
        config = os.path.join(self.directory, ".config/credsyncd/accounts.d")
        os.makedirs(config)
        with open(os.path.join(config, "flat-me.toml"), "w", encoding="utf-8"):
            pass
        own, env = self.own_daemon()
        own.routes[("GET", "/v1/accounts")] = ok({"accounts": [status(), status("other", grant="static")]})
        result = self.credsync("account", "list", env=env)
        self.assert_done(result)
        first, second = result.out.splitlines()[1:]
        self.assertTrue(first.endswith(os.path.join(config, "flat-me.toml")), first)
        self.assertTrue(second.endswith("ok"), second)

    def test_none_is_said_on_standard_error(self):
        own, env = self.own_daemon()
        own.routes[("GET", "/v1/accounts")] = ok({"accounts": []})
        result = self.credsync("account", "list", env=env)
        self.assert_done(result)
        self.assertEqual(result.out, "")
        self.assertIn("no account yet\nTry: credsync account add NAME\n", result.err)
        self.assertEqual(self.credsync("account", "list", "--names", env=env).err, "", "for scripts")
