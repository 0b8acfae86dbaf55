import re
import shutil
import subprocess
import unittest

from fake_daemon import ok
from harness import CREDSYNC, CliTest, status
from test_arguments import PATHS


class CompletionTest(CliTest):
    def script(self, shell):
        result = self.credsync("completion", shell)
        self.assert_done(result)
        return result.out

    def options_of(self, path):
        return set(re.findall(r"--[a-z][a-z-]+", self.credsync(*path, "--help").out)) - {"--help"}

    def check_syntax(self, shell):
        if shutil.which(shell) is None:
            self.skipTest(f"no {shell} here")
        done = subprocess.run([shell, "-n"], input=self.script(shell).encode(), capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_bash_reads_it(self):
        self.check_syntax("bash")

    def test_zsh_reads_it(self):
        self.check_syntax("zsh")

    def test_fish_reads_it(self):
        self.check_syntax("fish")

    def test_no_command_and_no_option_is_forgotten(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.script(shell)
            for path in PATHS:
                for command in path:
                    self.assertRegex(script, rf"\b{command}\b")
                for option in self.options_of(path):
                    wanted = rf"-l {option[2:]}\b" if shell == "fish" else rf"{option}\b"
                    self.assertRegex(script, wanted, f"{shell}: {path}")

    def test_it_needs_no_daemon(self):
        self.daemon.stop()
        self.script("bash")

    def complete(self, *words):
        """What bash offers for the last of these words."""
        self.daemon.routes[("GET", "/v1/accounts")] = ok({"accounts": [status("flat-me"), status("flume")]})
        quoted = " ".join(f"'{word}'" for word in words)
        program = (f"credsync() {{ '{CREDSYNC}' \"$@\"; }}\n{self.script('bash')}\n"
                   f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _credsync; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
        done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, env=self.environment(), check=True)
        return done.stdout.decode().split()

    def test_bash_offers_commands_accounts_options_and_values(self):
        self.assertEqual(self.complete("credsync", "to"), ["token"])
        self.assertEqual(self.complete("credsync", "token", "f"), ["flat-me", "flume"])
        self.assertEqual(self.complete("credsync", "--socket", self.socket, "token", "flu"), ["flume"])
        self.assertEqual(self.complete("credsync", "token", "flume", "--f"), ["--format"])
        self.assertEqual(self.complete("credsync", "token", "flume", "--format", "h"), ["header"])
        self.assertEqual(self.complete("credsync", "completion", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("credsync", "account", ""), ["add", "remove", "list"])
        self.assertEqual(self.complete("credsync", "account", "remove", "flu"), ["flume"])
        self.assertEqual(self.complete("credsync", "account", "remove", "flume", "--s"), ["--socket", "--sign-out", "--system"])
        self.assertEqual(self.complete("credsync", "account", "list", "--n"), ["--names"])
        self.assertIn("device_code", self.complete("credsync", "account", "add", "x", "--grant", ""))
        self.assertEqual(self.complete("credsync", "login", "flume", "--d"), ["--device"])
        self.assertEqual(self.complete("credsync", "--v"), ["--version"])


if __name__ == "__main__":
    unittest.main()
