"""`credsync login` in front of a person: a real terminal emulator (tmux), whose panes are read as they are drawn."""

import os
import re
import unittest

import tmux
from fake_daemon import ok
from fake_login import DONE, URL, FakeLogin, device_view, failed, login_view
from harness import CREDSYNC, CliTest, status

try:
    import zbar  # reads QR codes
except ImportError:
    zbar = None

ANSWER = "http://127.0.0.1:40123/callback?code=canary-code-77aa&state=Zm9vYmFyYmF6cXV4"


@unittest.skipUnless(tmux.available(), "no tmux here")
class TerminalTest(CliTest):
    def person(self, arguments="", view=None, columns=100, rows=46, env=None):
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        self.login = FakeLogin(self.daemon, view or login_view())
        person = tmux.Tmux(self, self.environment(**(env or {})), columns, rows)
        person.command(f"'{CREDSYNC}' login flat-me {arguments}; echo ended: $?")
        return person.expect("left; Ctrl-C") if (env or {}).get("TERM") != "dumb" else person


class PasteTest(TerminalTest):
    def enter(self, person, text):
        person.paste(text)
        person.key("Enter")

    def finish(self, person):
        self.daemon.wait_for(lambda: self.login.answers)
        self.login.move(**DONE)
        person.expect("ended: 0")

    def test_the_address_is_taken_without_being_shown(self):
        person = self.person("--no-browser")
        person.expect(URL[:60])
        person.paste(ANSWER)
        person.expect(f"{len(ANSWER)} characters so far")
        person.key("Enter")
        self.finish(person)
        self.assertEqual(self.login.answers, [{"redirect_url": ANSWER}])
        seen = person.pane(history=True)
        self.assertNotIn("canary-code", seen)
        for words in ("signed in as  someone@example.org", "granted       account.public_profile", "not granted   scores"):
            self.assertIn(words, seen)
        person.command("stty -a | tr ' ' '\\n' | grep -x -- '-\\?\\(echo\\|icanon\\)'")
        person.until(lambda t: {"echo", "icanon"} <= set(t.lines()), "the terminal as it was")

    def test_six_thousand_characters_in_one_line_and_broken_into_many(self):
        long = ANSWER + "&extra=" + "x" * (6000 - len(ANSWER) - 7)
        for text in (long, "\n".join(long[i:i + 79] for i in range(0, len(long), 79))):
            person = self.person("--no-browser")
            self.enter(person, text)
            self.finish(person)
            self.assertEqual(self.login.answers, [{"redirect_url": long}])

    def test_typed_without_the_marks_of_a_paste(self):
        person = self.person("--no-browser")
        person.run("load-buffer", "-", input=ANSWER.encode())
        person.run("paste-buffer")
        person.key("Enter")
        self.finish(person)
        self.assertEqual(self.login.answers, [{"redirect_url": ANSWER}])

    def test_a_wrong_address_is_refused_in_words_and_the_sign_in_goes_on(self):
        person = self.person("--no-browser")
        self.login.refusals = ["This address is the answer to another sign-in."]
        self.enter(person, "http://127.0.0.1:1/?code=canary-code-1&state=wrong")
        person.expect("This address is the answer to another sign-in. Still waiting")
        self.enter(person, ANSWER)
        self.finish(person)
        self.assertEqual([a["redirect_url"][-5:] for a in self.login.answers], ["wrong", ANSWER[-5:]])
        self.assertNotIn("canary-code", person.pane(history=True))

    def test_an_empty_line_is_no_answer(self):
        person = self.person("--no-browser")
        person.key("Enter", "Enter", "Up", "x", "C-u", "Enter")
        self.enter(person, ANSWER)
        self.finish(person)
        self.assertEqual(self.login.answers, [{"redirect_url": ANSWER}])

    def test_what_was_pasted_too_late_does_not_reach_the_shell(self):
        person = self.person("--no-browser")
        person.paste("touch 'canary-command'")
        person.expect("characters so far")
        self.login.move(**DONE)
        person.expect("ended: 0")
        person.command("echo $((40 + 2))")
        person.expect("42")
        self.assertNotIn("canary-command", person.pane(history=True))


class LeaveTest(TerminalTest):
    def test_ctrl_c_cancels_in_the_daemon(self):
        person = self.person("--no-browser")
        person.key("C-c")
        person.expect("ended: 1")
        self.assertTrue(self.login.cancelled.is_set())
        person.expect("the sign-in of flat-me was cancelled; nothing has changed")

    def test_the_terminal_going_away_cancels_too(self):
        person = self.person("--no-browser")
        person.run("kill-session")
        self.assertTrue(self.login.cancelled.wait(60))

    def test_stopped_and_continued(self):
        person = self.person("--no-browser")
        person.key("C-z")
        person.expect("Stopped")
        person.command("echo shown as it is $((1 + 1))")
        person.expect("shown as it is 2")
        person.command("fg")
        person.until(lambda t: "left; Ctrl-C" in [line for line in t.lines() if line][-1], "the time left, last")
        person.paste(ANSWER)
        person.key("Enter")
        self.daemon.wait_for(lambda: self.login.answers)
        self.login.move(**DONE)
        person.expect("flat-me: ok")
        self.assertNotIn("canary-code", person.pane(history=True))

    def test_in_the_background_it_is_neither_stopped_nor_does_it_take_what_is_typed(self):
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        self.login = FakeLogin(self.daemon, login_view())
        person = tmux.Tmux(self, self.environment(), 100, 46)
        person.command(f"'{CREDSYNC}' login flat-me --no-browser 2> '{self.directory}/words' > '{self.directory}/out' &")
        self.daemon.wait_for(lambda: any(r.path.startswith("/v1/logins/") for r in self.daemon.requests))
        person.command("echo typed $((1 + 1))")
        person.expect("typed 2")
        self.login.move(**DONE)
        person.command("wait; echo all ended: $?")
        person.expect("all ended: 0")
        with open(f"{self.directory}/out", encoding="utf-8") as text:
            self.assertIn("signed in as  someone@example.org", text.read())


class NarrowTest(TerminalTest):
    def test_forty_columns(self):
        person = self.person("--no-browser", columns=40)
        for _ in range(3):  # the line is rewritten, not repeated
            self.assertEqual(person.pane().count("Ctrl-C"), 1)
        self.assertLessEqual(max(len(line) for line in person.lines()), 40)
        person.paste(ANSWER)
        person.expect("characters so far")
        self.assertEqual(person.pane().count("Ctrl-C"), 0)
        self.login.move(**DONE)
        person.expect("ended: 0")
        self.assertNotIn("left; Ctrl-C", person.pane())

    def test_twenty_columns(self):
        person = tmux.Tmux(self, self.environment(), 20, 46)
        self.login = FakeLogin(self.daemon, login_view())
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        person.command(f"'{CREDSYNC}' login flat-me --no-browser")
        person.expect("Waiting, 10 min le…")
        person.key("C-c")
        self.assertTrue(self.login.cancelled.wait(60))

    def test_what_went_wrong_is_folded_and_an_address_is_not(self):
        person = self.person("--no-browser", columns=40)
        self.login.move(**failed("redirect_uri_mismatch", "the redirect URI is not registered at the provider",
                                 "needs-login"), redirect_uri="http://127.0.0.1:40123/a-callback-of-more-than-forty-columns")
        person.expect("ended: 1")
        lines = person.lines()
        begin = lines.index("credsync: the sign-in of flat-me failed:")
        self.assertEqual(lines[begin + 1:begin + 3], ["the redirect URI is not registered at", "the provider"])
        self.assertIn("    http://127.0.0.1:40123/a-callback-of", "\n".join(lines))
        self.assertIn("Try: credsync login flat-me", lines)

    def test_resized(self):
        person = self.person("--no-browser")
        person.resize(50, 30)
        person.expect("left; Ctrl-C")
        person.resize(120, 40)
        person.expect("left; Ctrl-C")
        person.key("C-c")
        person.expect("ended: 1")

    def test_a_dumb_terminal_gets_no_sequences(self):
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status(grant="authorization_code"))
        self.login = FakeLogin(self.daemon, login_view())
        person = self.terminal("login", "flat-me", "--no-browser", env={"TERM": "dumb"})
        self.daemon.wait_for(lambda: any(r.path.startswith("/v1/logins/") for r in self.daemon.requests))
        self.assertFalse(person.echoes())
        self.login.move(**DONE)
        self.assertEqual(person.wait(), 0)
        self.assertNotIn("\033", person.text())


def modules(pane, drawn_is_dark):
    """The rows of half blocks as rows of True (dark)."""
    rows = []
    for line in pane:
        upper = {"█": True, "▀": True, "▄": False, " ": False}
        lower = {"█": True, "▄": True, "▀": False, " ": False}
        rows.append([upper[c] == drawn_is_dark for c in line])
        rows.append([lower[c] == drawn_is_dark for c in line])
    return rows


def read_code(rows):
    """What a reader sees on a photograph of these modules, six pixels each."""
    scale = 6
    width = len(rows[0]) * scale
    pixels = b"".join(bytes(0 if dark else 255 for dark in row for _ in range(scale)) * scale for row in rows)
    scanner = zbar.ImageScanner()
    image = zbar.Image(width, len(rows) * scale, "Y800", pixels)
    scanner.scan(image)
    return [symbol.data for symbol in image]


@unittest.skipIf(zbar is None, "no zbar for this Python")
class QrCodeTest(TerminalTest):
    ADDRESS = "https://example.org/device?user_code=WDJB-MJHT"

    def code_lines(self, person):
        lines = person.pane(spaces=True).splitlines()
        begin = next(i for i, line in enumerate(lines) if line.startswith("or scan this")) + 2
        end = next(i for i, line in enumerate(lines) if i > begin and line.startswith(("Waiting", "(On a light")))
        return lines[begin:end]

    def test_dark_on_light_by_its_own_colours(self):
        person = self.person("--device", device_view())
        text = person.pane(colours=True)
        begin = text.index("or scan this")
        code = text[begin:text.index("Waiting", begin)]
        # Ink and paper are set before the first module, the terminal's own colours after the last.
        self.assertRegex(code, r"\n\n\033\[38;5;16m?(\033\[|;)48;5;231m")
        self.assertRegex(code, r"\n\033\[(0|39m\033\[49)m\s*$")
        lines = [line for line in self.code_lines(person) if line]
        width = max(map(len, lines))
        self.assertEqual({len(line) for line in lines}, {width})
        rows = modules(lines, drawn_is_dark=True)
        self.assertEqual(read_code(rows), [self.ADDRESS])
        for edge in (rows[:4], [row[:4] for row in rows], [row[-4:] for row in rows]):
            self.assertFalse(any(dark for row in edge for dark in row))  # the quiet zone
        person.key("C-c")
        person.expect("ended: 1")

    def test_light_modules_without_colours(self):
        person = self.person("--device", device_view(), env={"NO_COLOR": "1"})
        lines = [line for line in self.code_lines(person) if line.strip()]
        self.assertNotIn("\033[", re.sub(r"\033\[(39|49|0)?m", "", person.pane(colours=True)))
        width = max(map(len, lines))
        rows = modules([line.ljust(width) for line in lines], drawn_is_dark=False)
        self.assertEqual(read_code(rows[:-1]), [self.ADDRESS])

    def test_left_out_where_it_does_not_fit(self):
        for options, why in (({"columns": 30}, "too small"), ({"env": {"LC_ALL": "C"}}, "not UTF-8")):
            person = self.person("--device", device_view(), **options)
            text = person.pane()
            self.assertNotIn("█", text)
            self.assertIn(why, " ".join(person.lines()))
            self.assertIn("WDJB-MJHT", text)
            person.key("C-c")
            self.assertTrue(self.login.cancelled.wait(60))

    def test_the_widest_terminal_that_is_too_narrow_still_gets_it_with_half_the_quiet(self):
        person = self.person("--device", device_view(), columns=34)
        self.assertTrue(any("█" in line for line in person.lines()))


class SecretsTest(TerminalTest):
    def test_nothing_secret_in_arguments_environment_or_output(self):
        person = self.person("--no-browser")
        person.paste(ANSWER)
        person.expect("characters so far")
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            for name in ("cmdline", "environ"):
                try:
                    with open(f"/proc/{pid}/{name}", "rb") as text:
                        if b"canary-code" in text.read():
                            found.append((pid, name))
                except OSError:
                    pass
        self.assertEqual(found, [])
        person.key("C-c")
        person.expect("ended: 1")
        self.assertNotIn("canary-code", person.pane(history=True))


if __name__ == "__main__":
    unittest.main()
