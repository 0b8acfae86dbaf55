"""The command and the daemon together, as a person meets them: an account is added, signed in to, used and removed; addresses
are pasted at a terminal (tmux), codes entered on another device."""

import os
import re
import shlex
import stat
import sys
import unittest

from harness import CLIENT, SECRET, binary
from test_sign_in import SignInWorld

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../cli"))
import tmux  # noqa: E402


class CommandWorld(SignInWorld):
    def account_file(self, name):
        return self.daemon.place("accounts.d", name)

    def add(self, name, *arguments, stdin=""):
        done = self.daemon.cli("account", "add", name, "--config", self.daemon.directory, *arguments, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done


class AccountsWithoutAnEditor(CommandWorld):
    def test_added_signed_in_used_and_removed(self):
        done = self.add("mine", "--provider", "rfc", "--grant", "client_credentials", "--client-id", CLIENT, "--scope", "read",
                        "--client-secret-stdin", "--allow-user", "me", "--login", stdin=SECRET + "\n")
        self.assertIn("added: mine\n", done.stdout)
        self.assertIn("mine: ok, the token lives", done.stdout)
        self.assertEqual(stat.S_IMODE(os.stat(self.account_file("mine.secret")).st_mode) & 0o077, 0)
        token = self.daemon.cli("token", "mine").stdout.strip()
        self.assert_alive(token)
        done = self.daemon.cli("account", "remove", "mine", "--config", self.daemon.directory, "--sign-out", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assert_dead(token)
        self.assertEqual(self.daemon.cli("token", "mine").returncode, 4)
        self.assertEqual([n for n in os.listdir(self.daemon.place("accounts.d")) if n.startswith("mine")], [])

    def test_what_the_daemon_refuses_is_taken_back(self):
        done = self.daemon.cli("account", "add", "mine", "--config", self.daemon.directory, "--provider", "rfc", "--grant",
                               "client_credentials", "--client-id", CLIENT, "--var", "nonsense=x", "--client-secret-stdin",
                               "--no-login", stdin=SECRET)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(self.account_file("mine.toml") + ":", done.stderr)
        self.assertEqual([n for n in os.listdir(self.daemon.place("accounts.d")) if n.startswith("mine")], [])
        self.assertEqual(self.daemon.cli("reload").returncode, 0)

    def test_every_value_that_the_command_takes_is_understood(self):
        for number, value in enumerate(('a"b\\c', "ü☃", "[x] # y", "'''", "a=b")):
            self.add(f"odd.{number}", "--provider", "rfc", "--grant", "authorization_code", "--client-id", value, "--client-secret-stdin",
                     "--param", f"login_hint={value}", "--redirect-uri", "http://127.0.0.1:8912/callback", "--no-login", stdin=SECRET)
            self.assertEqual(self.daemon.cli("status", f"odd.{number}").returncode, 0)


@unittest.skipUnless(tmux.available(), "no tmux here")
class AtATerminal(CommandWorld):
    @property
    def directory(self):
        return self.daemon.directory

    def person(self, command):
        person = tmux.Tmux(self, {"PATH": os.environ["PATH"], "HOME": self.directory, "LC_ALL": "C.UTF-8",
                                  "CREDSYNC_SOCKET": self.daemon.socket}, 100, 50)
        person.command(shlex.join([binary("CREDSYNC"), *command]) + "; echo ended: $?")
        return person.expect("left; Ctrl-C")

    def address(self, person):
        """The address on the screen, which the terminal may have wrapped."""
        lines = person.lines()
        first = next(i for i, line in enumerate(lines) if line.startswith("https://"))
        return "".join(lines[first:lines.index("", first)])

    def test_the_address_is_pasted_from_another_machine(self):
        person = self.person(["login", "code", "--no-browser"])
        view = {"url": self.address(person), "redirect_uri": "http://127.0.0.1:"}
        person.paste("http://127.0.0.1:1/callback?code=canary-code&state=wrong")
        person.key("Enter")
        person.until(lambda t: "Still waiting" in " ".join(t.lines()), "that the sign-in goes on")
        person.paste(self.callback_of(view))
        person.key("Enter")
        person.expect("ended: 0")
        self.assertRegex(person.pane(), r"granted +read write")
        self.assertNotIn("canary-code", person.pane(history=True))
        self.assertNotIn("code=", person.pane(history=True).split("It is not shown.")[1])
        self.granted(self.api.token("code"))

    def test_the_code_is_entered_on_another_device(self):
        for decision, end, words in (("deny", 1, "Sign in again and agree"), ("allow", 0, "granted")):
            person = self.person(["login", "tv"])
            code = re.search(r"│ +(\S+) +│", person.pane())[1]
            self.provider.decide_device(code, decision)
            person.expect(f"ended: {end}")
            self.assertIn(words, person.pane())
        self.granted(self.api.token("tv"))

    def test_ctrl_c_ends_it_in_the_daemon(self):
        person = self.person(["login", "code", "--no-browser"])
        callback = self.callback_of({"url": self.address(person), "redirect_uri": "http://127.0.0.1:"})
        person.key("C-c")
        person.expect("ended: 1")
        with self.assertRaisesRegex(AssertionError, "ConnectionRefused"):   # nobody listens any more
            self.come(callback)
        self.assertEqual(self.api.status("code")["state"], "needs-login")

    def test_a_daemon_that_restarts_ends_it_and_says_so(self):
        for how in (self.daemon.stop, self.daemon.kill):
            person = self.person(["login", "code", "--no-browser"])
            how()
            self.daemon.start()
            person.expect("ended: 1")
            self.assertIn("has ended: ", " ".join(person.lines()))
            person.expect("Try: credsync login code")


if __name__ == "__main__":
    unittest.main()
