"""Sign-ins that need a person, as a script or a program without a terminal sees them."""

import json
import os
import signal
import stat
import subprocess
import threading

from fake_daemon import ok, problem
from fake_login import DONE, ID, URL, FakeLogin, device_view, failed, login_view
from harness import CREDSYNC, CliTest, status

ACCOUNT = ("GET", "/v1/accounts/flat-me")


class SessionTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[ACCOUNT] = ok(status(grant="authorization_code", notes=["ends for good on 2026-12-24"]))

    def begin(self, *arguments, view=None, env=None):
        """`credsync login` without any terminal, under way."""
        self.login = FakeLogin(self.daemon, view or login_view())
        before = self.polls()
        process = subprocess.Popen([CREDSYNC, "login", "flat-me", *arguments], env=self.environment(**(env or {})),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.daemon.wait_for(lambda: self.polls() > before)  # it waits for the session to end
        return process

    def polls(self):
        return len([r for r in self.daemon.requests if (r.method, r.path) == ("GET", f"/v1/logins/{ID}")])

    def end_of(self, process):
        out, err = process.communicate(timeout=60)
        return process.returncode, out.decode(), err.decode()

    def outcome(self, *arguments, view=None, env=None, **changes):
        process = self.begin(*arguments, view=view, env=env)
        self.login.move(**changes)
        return self.end_of(process)


class WithoutTerminalTest(SessionTest):
    def test_an_address_that_must_be_opened_soon_says_so(self):
        code, _, err = self.outcome(view=login_view(url_expires_in=60), **DONE)
        self.assertEqual(code, 0, err)
        self.assertIn("The provider takes this address for 1 min: open it by then.", " ".join(err.split()))

    def test_the_address_goes_to_standard_error_and_the_outcome_to_standard_output(self):
        code, out, err = self.outcome(**DONE)
        self.assertEqual(code, 0, err)
        self.assertIn("\n" + URL + "\n", err)
        for word in ("flat-me", "Flat", "client-77", "authorization_code", "account.public_profile scores"):
            self.assertIn(word, err)
        self.assertNotIn("open it by then", err)
        self.assertEqual(out, "flat-me: ok, the token lives 42 min (generation 7)\n"
                              "  signed in as  someone@example.org\n"
                              "  granted       account.public_profile\n"
                              "  not granted   scores\n"
                              "  ends for good on 2026-12-24\n")
        self.assertNotIn("\033", out + err)
        self.assertNotIn("left; Ctrl-C", err)

    def test_asks_the_daemon_for_what_the_options_say(self):
        self.outcome(**DONE)
        self.assertEqual(self.login.begun, [{"method": "auto"}])
        self.outcome("--no-browser", **DONE)
        self.assertEqual(self.login.begun, [{"method": "auto"}])
        self.outcome("--device", view=device_view(), **DONE)
        self.assertEqual(self.login.begun, [{"method": "device"}])
        self.outcome("--replace-identity", "--browser-user", "1234", **DONE)
        self.assertEqual(self.login.begun, [{"method": "auto", "browser_uid": 1234, "replace_identity": True}])
        self.outcome("--browser-user", "root", **DONE)
        self.assertEqual(self.login.begun, [{"method": "auto", "browser_uid": 0}])

    def test_a_user_that_is_not_there_is_not_sent(self):
        login = FakeLogin(self.daemon, login_view())
        for name in ("nobody-of-that-name", "-x", "a:b", "99999999999999999999"):
            result = self.credsync("login", "flat-me", "--no-browser", f"--browser-user={name}")
            self.assert_done(result, 2)
            self.assertIn("there is no user", result.err)
        self.assertEqual(login.begun, [])

    def test_a_grant_that_needs_nobody_is_done_at_once(self):
        self.daemon.routes[("POST", "/v1/accounts/flat-me/login")] = ok(status())
        self.daemon.routes[ACCOUNT] = ok(status(grant="client_credentials"))
        result = self.credsync("login", "flat-me")
        self.assert_done(result)
        self.assertEqual(result.out, "flat-me: ok, the token lives 42 min (generation 7)\n")

    def test_the_sign_in_is_done_even_if_the_account_cannot_be_asked_for(self):
        process = self.begin("--no-browser")
        self.daemon.routes[ACCOUNT] = problem("busy", 429, "Too many requests.")
        self.login.move(**DONE)
        code, out, err = self.end_of(process)
        self.assertEqual(code, 0, err)
        self.assertIn("flat-me: signed in (generation 8)\n", out)

    def test_warns_of_the_implicit_grant(self):
        _, _, err = self.outcome(view=login_view(grant="implicit"), **DONE)
        self.assertEqual(err.count("RFC 9700"), 1)
        _, _, err = self.outcome(**DONE)
        self.assertNotIn("RFC 9700", err)

    def test_an_address_that_is_no_web_address_is_neither_shown_nor_opened(self):
        for bad in ("javascript:alert(1)", "file:///etc/passwd", "--help", "https://x/\033]0;title\007", "https://x y", None):
            FakeLogin(self.daemon, login_view(url=bad))
            result = self.credsync("login", "flat-me", "--no-browser")
            self.assert_done(result, 1)
            self.assertIn("no address that can be opened", result.err)
            self.assertNotIn("javascript", result.err)

    def test_text_of_the_provider_is_cleaned(self):
        _, out, err = self.outcome(view=login_view(provider_title="Fl\033[31mat\u202e"), **{**DONE, "identity": "a\033[2Jb"})
        self.assertNotIn("\033", out + err)
        self.assertNotIn("\u202e", err)


class FailureTest(SessionTest):
    def test_each_failure_says_what_to_do(self):
        cases = (
            ("access_denied", "The provider said no.", "needs-login", 1, "agree"),
            ("redirect_uri", "The provider does not know the redirect URI.", "needs-login", 1, "  http://127.0.0.1:40123/callback\n"),
            ("untrusted", "certificate has expired", "unavailable", 5, "timedatectl"),
            ("id-token", "the ID token is not valid yet", "needs-login", 1, "timedatectl"),
            ("redirect_uri_mismatch", "The redirect URI is not registered.", "needs-login", 1, "as redirect_uri, then `credsync reload`"),
            ("invalid_request", "The provider refuses the request.", "needs-login", 1, "  http://127.0.0.1:40123/callback\n"),
            ("unsupported_response_type", "Not this way.", "needs-login", 1, "may use this grant"),
            ("jwks", "No keys.", "needs-login", 1, "issuer"),
            ("storage", "The disk is full.", "unavailable", 5, "credsync doctor"),
            ("expired", "The sign-in was not finished in time.", "needs-login", 1, "Begin again"),
            ("expired_token", "The code expired.", "needs-login", 1, "Begin again"),
            ("invalid_client", "Client authentication failed.", "suspended", 7, "compare client_id and client_secret"),
            ("client", "Client authentication failed.", "suspended", 7, "client-77"),
            ("invalid_scope", "No such scope.", "needs-login", 1, "scopes"),
            ("identity", "other@example.org signed in, before it was someone@example.org.", "needs-login", 1, "--replace-identity"),
            ("state", "The state is not ours.", "needs-login", 1, "not the answer to this sign-in"),
            ("transient", "HTTP 503", "unavailable", 5, "try again later"),
            ("something-new", "Words of a newer daemon.", "something-new", 1, "Words of a newer daemon."),
        )
        for error_class, detail, name, exit_code, words in cases:
            with self.subTest(error_class):
                code, out, err = self.outcome(**failed(error_class, detail, name))
                self.assertEqual((code, out), (exit_code, ""), err)
                self.assertIn(f"credsync: the sign-in of flat-me failed: {detail}\n", err)
                self.assertIn(words, err)
                self.assertIn("Try: credsync login flat-me\n", err)

    def test_a_failure_without_words(self):
        code, _, err = self.outcome(phase="failed")
        self.assertEqual(code, 1)
        self.assertIn("the sign-in of flat-me failed\n", err)

    def test_refused_before_it_began(self):
        for answer, code, words in (
                (problem("login-in-progress", 409, "Another user is signing in to flat-me."), 5, "Another user"),
                (problem("not-allowed", 403, "You may not sign in."), 4, "You may not"),
                (problem("bad-request", 400, "flat offers no device grant."), 1, "no device grant"),
                (problem("unavailable", 503, "The provider cannot be reached."), 5, "cannot be reached")):
            self.daemon.routes[("POST", "/v1/accounts/flat-me/login")] = answer
            result = self.credsync("login", "flat-me")
            self.assert_done(result, code)
            self.assertIn(words, result.err)

    def test_replaced_or_expired(self):
        process = self.begin()
        self.login.over(problem("login-over", 410, "A newer sign-in took its place.", "credsync login flat-me"))
        code, out, err = self.end_of(process)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("credsync: the sign-in of flat-me has ended: A newer sign-in took its place.\nTry: credsync login flat-me\n", err)

    def test_cancelled_by_somebody_else(self):
        code, _, err = self.outcome(phase="cancelled")
        self.assertEqual(code, 1)
        self.assertIn("was cancelled", err)

    def test_a_session_of_another_id_is_not_believed(self):
        process = self.begin()
        self.login.move(id="f" * 32, **DONE)
        code, _, err = self.end_of(process)
        self.assertEqual(code, 1, err)

    def test_ids_that_would_lead_elsewhere_are_not_followed(self):
        for bad in ("../accounts/x/grant", "", "a" * 65, "a b", "a?x"):
            self.daemon.routes[("POST", "/v1/accounts/flat-me/login")] = ok(login_view(id=bad), 201)
            self.assert_done(self.credsync("login", "flat-me"), 1)
        self.assertEqual([r.path for r in self.daemon.requests if r.path not in ("/v1/accounts/flat-me", "/v1/accounts/flat-me/login")], [])


class DaemonGoesAwayTest(SessionTest):
    def test_a_restart_ends_the_sign_in_and_says_so(self):
        process = self.begin()
        self.daemon.stop()
        self.login.over(b"")
        for path in list(self.daemon.routes):
            if path[1].startswith("/v1/logins/"):
                del self.daemon.routes[path]
        self.daemon.start()
        code, out, err = self.end_of(process)
        self.assertEqual((code, out), (1, ""), err)
        self.assertIn("Try: credsync login flat-me", err)

    def test_a_connection_that_broke_is_made_again(self):
        view = login_view()
        process = self.begin(view=view)
        broken = self.login
        calls = []
        self.login = FakeLogin(self.daemon, view)
        wait = self.login.wait

        def cut_once(request):
            calls.append(request)
            return b"" if len(calls) == 1 else wait(request)

        self.daemon.routes[("GET", f"/v1/logins/{ID}")] = cut_once
        broken.over(b"")
        self.daemon.wait_for(lambda: self.polls() == 3)
        self.login.move(**DONE)
        code, out, err = self.end_of(process)
        self.assertEqual(code, 0, err)
        self.assertEqual(len(calls), 2)

    def test_a_daemon_that_stays_away(self):
        process = self.begin()
        self.daemon.stop()
        self.login.over(b"")
        code, out, err = self.end_of(process)
        self.assertEqual((code, out), (6, ""), err)
        self.assertIn("credsyncd went away, which ended the sign-in of flat-me", err)

    def test_a_daemon_that_answers_without_waiting_is_not_asked_in_a_circle(self):
        asked = []

        def at_once(request):
            asked.append(request)
            if len(asked) == 3:
                self.login.move(**DONE)
            return ok(self.login.view)

        self.login = FakeLogin(self.daemon, login_view())
        self.daemon.routes[("GET", f"/v1/logins/{ID}")] = at_once
        self.assert_done(self.credsync("login", "flat-me"))
        self.assertEqual(len(asked), 3)


class CancelTest(SessionTest):
    def test_signals_cancel_the_session_in_the_daemon(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.subTest(number):
                process = self.begin()
                process.send_signal(number)
                code, out, err = self.end_of(process)
                self.assertEqual((code, out), (1, ""), err)
                self.assertTrue(self.login.cancelled.is_set())
                self.assertIn("the sign-in of flat-me was cancelled; nothing has changed", err)

    def test_cancelled_while_it_still_begins(self):
        self.login = FakeLogin(self.daemon, login_view())
        go_on = threading.Event()
        self.addCleanup(go_on.set)

        def slowly(request):
            go_on.wait(60)
            return self.login.begin(request)

        self.daemon.routes[("POST", "/v1/accounts/flat-me/login")] = slowly
        process = subprocess.Popen([CREDSYNC, "login", "flat-me"], env=self.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.daemon.wait_for(lambda: any(r.method == "POST" for r in self.daemon.requests))
        process.send_signal(signal.SIGINT)
        go_on.set()
        code, _, err = self.end_of(process)
        self.assertEqual(code, 1)
        self.assertTrue(self.login.cancelled.is_set())
        self.assertIn("was cancelled", err)

    def test_done_at_the_last_moment_is_done(self):
        process = self.begin()
        self.daemon.routes[("DELETE", f"/v1/logins/{ID}")] = ok(login_view(**DONE))
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.end_of(process)[0], 0)

    def test_what_cannot_be_cancelled_is_said(self):
        process = self.begin()
        self.daemon.routes[("DELETE", f"/v1/logins/{ID}")] = problem("login-over", 410, "It is over.")
        process.send_signal(signal.SIGINT)
        code, _, err = self.end_of(process)
        self.assertEqual(code, 1)
        self.assertIn("could not be cancelled: It is over.", err)


class JsonTest(SessionTest):
    def lines(self, out):
        return [json.loads(line) for line in out.splitlines()]

    def test_a_line_when_it_begins_and_one_when_it_ends(self):
        code, out, err = self.outcome("--json", **DONE)
        self.assertEqual((code, err), (0, ""))
        begin, end = self.lines(out)
        self.assertEqual(begin, login_view())
        self.assertEqual(end, login_view(**DONE))

    def test_a_failure_is_in_the_line_and_in_the_exit_code(self):
        code, out, err = self.outcome("--json", **failed("access_denied", "No."))
        self.assertEqual(code, 1)
        self.assertEqual(self.lines(out)[1]["error"]["class"], "access_denied")
        self.assertIn("failed: No.", err)

    def test_cancelled(self):
        process = self.begin("--json")
        process.send_signal(signal.SIGTERM)
        code, out, _ = self.end_of(process)
        self.assertEqual(code, 1)
        self.assertEqual([line["phase"] for line in self.lines(out)], ["waiting", "cancelled"])

    def test_done_in_one_request(self):
        self.daemon.routes[("POST", "/v1/accounts/flat-me/login")] = ok(status())
        result = self.credsync("login", "flat-me", "--json", "--token-stdin", stdin=b"x")
        self.assert_done(result)
        self.assertEqual(json.loads(result.out)["account"], "flat-me")


class BrowserTest(SessionTest):
    def browser(self, name, body):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as script:
            script.write("#!/bin/sh\n" + body)
        os.chmod(path, stat.S_IRWXU)
        return path

    def recorder(self, name="browser", exit_code=0):
        """A browser that writes down its arguments, one a line, and whether it has a terminal."""
        seen = os.path.join(self.directory, name + ".seen")
        return self.browser(name, f"printf '%s\\n' \"$@\" > '{seen}.part'; mv '{seen}.part' '{seen}'; exit {exit_code}\n"), seen

    def opened(self, environment, *arguments, seen):
        process = self.begin(*arguments, env=environment)
        while process.poll() is None and not os.path.exists(seen):
            try:
                process.wait(0.02)
            except subprocess.TimeoutExpired:
                pass
        self.login.move(**DONE)
        code, _, err = self.end_of(process)
        self.assertEqual(code, 0, err)
        with open(seen, encoding="utf-8") as text:
            return text.read().splitlines(), err

    def test_the_address_is_one_argument(self):
        path, seen = self.recorder()
        self.assertEqual(self.opened({"BROWSER": path}, seen=seen)[0], [URL])
        os.unlink(seen)
        self.assertEqual(self.opened({"BROWSER": f"{path} --new %s 100%%"}, seen=seen)[0], ["--new", URL, "100%"])

    def test_the_next_of_the_list_is_tried(self):
        bad, bad_seen = self.recorder("bad", exit_code=3)
        good, good_seen = self.recorder("good")
        lines, _ = self.opened({"BROWSER": f"/nonexistent/browser::{bad}:{good}"}, seen=good_seen)
        self.assertEqual(lines, [URL])
        self.assertTrue(os.path.exists(bad_seen))

    def test_none_that_works(self):
        bad, seen = self.recorder("bad", exit_code=3)
        _, err = self.opened({"BROWSER": bad}, seen=seen)
        self.assertIn(URL, err)

    def test_no_browser_is_opened_where_none_is_wanted(self):
        path, seen = self.recorder()
        for arguments, environment in ((["--no-browser"], {"BROWSER": path}), (["--json"], {"BROWSER": path}),
                                       ([], {"BROWSER": path, "SUDO_UID": "1234"})):
            if "SUDO_UID" in environment and os.geteuid() != 0:
                continue
            process = self.begin(*arguments, env=environment)
            self.login.move(**DONE)
            self.end_of(process)
            self.assertFalse(os.path.exists(seen), arguments)

    def test_under_sudo_the_callers_browser_may_answer(self):
        if os.geteuid() != 0:
            self.skipTest("only root is asked through sudo")
        _, _, err = self.outcome(env={"SUDO_UID": "1234"}, **DONE)
        self.assertEqual(self.login.begun, [{"method": "auto", "browser_uid": 1234}])
        self.assertIn("as the person who called sudo", err)

    def test_xdg_open_needs_a_display_and_an_ordinary_user(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to be somebody else")
        path, seen = self.recorder("xdg-open")
        directory = os.path.dirname(path)
        for name in (self.directory, path):
            os.chmod(name, 0o777)
        os.chmod(self.socket, 0o666)
        for display, expected in (({"DISPLAY": ":9"}, True), ({"WAYLAND_DISPLAY": "wayland-9"}, True), ({}, False)):
            self.login = FakeLogin(self.daemon, login_view())
            before = self.polls()
            environment = self.environment(PATH=directory + ":" + os.environ["PATH"], **display)
            process = subprocess.Popen(["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", self.readable_copy(), "login", "flat-me"],
                                       env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.daemon.wait_for(lambda: self.polls() > before)
            while expected and process.poll() is None and not os.path.exists(seen):
                try:
                    process.wait(0.02)
                except subprocess.TimeoutExpired:
                    pass
            self.login.move(**DONE)
            code, _, err = self.end_of(process)
            self.assertEqual(code, 0, err)
            self.assertEqual(os.path.exists(seen), expected, display)
            if expected:
                os.unlink(seen)

    def readable_copy(self):
        """The build may lie where only its owner can go."""
        copy = os.path.join(self.directory, "credsync")
        if not os.path.exists(copy):
            with open(CREDSYNC, "rb") as program, open(copy, "wb") as out:
                out.write(program.read())
            os.chmod(copy, 0o755)
        return copy


class DeviceTest(SessionTest):
    def test_shows_the_code_and_where_to_enter_it(self):
        code, _, err = self.outcome("--device", view=device_view(), **DONE)
        self.assertEqual(code, 0, err)
        self.assertIn("    https://example.org/device\n", err)
        self.assertIn("WDJB-MJHT", err)
        self.assertIn("https://example.org/device?user_code=WDJB-MJHT", err)
        self.assertNotIn("█", err)

    def test_no_browser_is_opened(self):
        marker = os.path.join(self.directory, "opened")
        self.outcome(view=device_view(), env={"BROWSER": f"touch {marker}"}, **DONE)
        self.assertFalse(os.path.exists(marker))
