from fake_daemon import ok
from harness import CliTest, token_answer

COMMANDS = ("token", "exec", "status", "login", "logout", "refresh", "reject", "account", "whoami", "providers", "log",
            "reload", "doctor", "completion")


# Those and what stands below them.
PATHS = [[command] for command in COMMANDS if command != "account"] + [["account", below] for below in ("add", "remove", "list")]


class ArgumentsTest(CliTest):
    def test_help_goes_to_standard_output(self):
        result = self.credsync("--help")
        self.assert_done(result)
        for command in COMMANDS:
            self.assertIn(f"  {command} ", result.out)
        self.assertEqual(result.err, "")

    def test_each_command_has_help(self):
        for path in [["account"], *PATHS]:
            for option in ("--help", "-h"):
                result = self.credsync(*path, option)
                self.assert_done(result)
                self.assertIn(path[-1], result.out)

    def test_version(self):
        self.assertRegex(self.credsync("--version").out, r"^credsync \d+\.\d+\.\d+\n$")

    def test_usage_errors(self):
        cases = [[], ["tokne"], ["--nonsense"], ["token"], ["token", "a", "b"], ["token", "a", "--nonsense"], ["token", ""],
                 ["token", "A"], ["token", "../a"], ["token", "a" * 65], ["token", "-a"], ["token", "a", "--wait"],
                 ["token", "a", "--wait", "61"], ["token", "a", "--wait", "2m"], ["token", "a", "--min-valid", "1y"],
                 ["token", "a", "--min-valid", "-1"], ["token", "a", "--min-valid", "1.5s"], ["token", "a", "--min-valid", ""],
                 ["account"], ["completion"], ["completion", "tcsh"], ["whoami", "--pid", "x"], ["reload", "x"], ["log", "A"],
                 ["account", "add"], ["account", "remove"], ["account", "rename"], ["account", "add", "A"]]
        for arguments in cases:
            with self.subTest(arguments):
                result = self.credsync(*arguments)
                self.assert_done(result, 2)
                self.assertEqual(result.out, "")
                self.assertRegex(result.err, r"^credsync: .+\nTry: credsync( \w+){0,2} --help\n$")
        self.assertEqual(self.daemon.requests, [])

    def test_a_misspelt_command_is_guessed(self):
        self.assertIn("did you mean 'status'?", self.credsync("statsu").err)

    def test_a_misspelt_command_of_account_is_guessed(self):
        self.assertIn("there is no command 'remvoe', did you mean 'remove'?", self.credsync("account", "remvoe").err)
        self.assertIn("there is no command 'frob': there are add, remove, list\n", self.credsync("account", "frob").err)
        self.assertIn("say what to do: credsync account COMMAND", self.credsync("account").err)

    def test_a_command_to_run_needs_its_mark(self):
        for words in (["ls"], ["ls", "-l"], ["ls", "flat-me"]):
            self.assertIn("write -- before the command to run: credsync exec ACCOUNT -- COMMAND", self.credsync("exec", "flume", *words).err)

    def test_the_longest_time_is_named(self):
        for text in ("99999d", "366d", "31536001", "99999999999999999999"):
            self.assertIn("at most 365d", self.credsync("token", "a", "--min-valid", text).err)
        self.daemon.routes[("GET", "/v1/accounts/a/token")] = ok(token_answer())
        self.assert_done(self.credsync("token", "a", "--min-valid", "365d"))
        self.assertIn("a duration is written", self.credsync("token", "a", "--min-valid", "1y").err)

    def test_an_unknown_option_is_named(self):
        self.assertIn("there is no option --min-vlaid", self.credsync("token", "a", "--min-vlaid", "3").err)

    def test_accounts_may_be_named_like_commands(self):
        for command in COMMANDS:
            self.daemon.routes[("GET", f"/v1/accounts/{command}/token")] = ok(token_answer())
            self.assert_done(self.credsync("token", command))

    def test_durations(self):
        self.daemon.routes[("GET", "/v1/accounts/a/token")] = ok(token_answer())
        for text, seconds in (("0", 0), ("7", 7), ("90s", 90), ("10m", 600), ("12h", 43200), ("30d", 2592000)):
            self.assert_done(self.credsync("token", "a", "--min-valid", text))
            self.assertEqual(self.daemon.requests[-1].query["min_valid"], str(seconds))
