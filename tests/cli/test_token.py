import json
import os
import socket
import subprocess
import threading
import time
import unittest

from fake_daemon import Answer, ok, problem
from harness import CREDSYNC, TOKEN, CliTest, at, token_answer

PATH = ("GET", "/v1/accounts/flat-me/token")


class TokenTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[PATH] = ok(token_answer())

    def test_prints_the_token_and_a_newline_and_nothing_else(self):
        result = self.credsync("token", "flat-me")
        self.assert_done(result)
        self.assertEqual(result.out, TOKEN + "\n")
        self.assertEqual(result.err, "")

    def test_says_how_long_it_waits_and_what_it_needs(self):
        self.credsync("token", "flat-me")
        self.credsync("token", "flat-me", "--min-valid", "10m", "--wait", "0")
        self.credsync("token", "flat-me", "--min-valid=90", "--wait=1m")
        queries = [request.query for request in self.daemon.requests]
        self.assertEqual(queries, [{"wait": "10"}, {"wait": "0", "min_valid": "600"}, {"wait": "60", "min_valid": "90"}])

    def test_header_format(self):
        result = self.credsync("token", "flat-me", "--format", "header")
        self.assertEqual(result.out, f"Authorization: Bearer {TOKEN}\n")

    def test_header_format_uses_the_header_of_the_provider(self):
        self.daemon.routes[PATH] = ok(token_answer(header={"name": "X-Auth-Token", "value": TOKEN}))
        self.assertEqual(self.credsync("token", "flat-me", "--format", "header").out, f"X-Auth-Token: {TOKEN}\n")

    def test_env_format_survives_a_shell(self):
        awkward = "a'b$(touch x)`c` \"d\"\\"
        self.daemon.routes[PATH] = ok(token_answer(access_token=awkward))
        line = self.credsync("token", "flat-me", "--format", "env").out
        shown = subprocess.run(["bash", "-c", line + 'printf %s "$CREDSYNC_TOKEN"'], capture_output=True, check=True)
        self.assertEqual(shown.stdout.decode(), awkward)

    def test_json_format_is_the_daemons_answer(self):
        answer = token_answer(extra={"instance_url": "https://a.example/é"})
        self.daemon.routes[PATH] = ok(answer)
        out = self.credsync("token", "flat-me", "--format", "json").out
        self.assertEqual(json.loads(out), answer)
        self.assertEqual(out.count("\n"), 1)
        self.assertTrue(out.isascii())

    def test_unknown_format_is_a_usage_error(self):
        self.assert_done(self.credsync("token", "flat-me", "--format", "xml"), 2)

    def test_a_token_that_would_break_a_line_is_not_printed(self):
        for bad in ("a\nInjected: header", "a\rb", "a\x1b[2J", "a\x00b"):
            value = token_answer(access_token=bad, header={"name": "Authorization", "value": "Bearer " + bad})
            self.daemon.routes[PATH] = ok(value)
            for kind in ("plain", "header", "env"):
                result = self.credsync("token", "flat-me", "--format", kind)
                self.assert_done(result, 1)
                self.assertEqual(result.out, "")

    def test_says_when_the_token_is_shorter_than_asked(self):
        self.daemon.routes[PATH] = ok(token_answer(min_valid_met=False, expires_in=40))
        result = self.credsync("token", "flat-me", "--min-valid", "60")
        self.assert_done(result)
        self.assertEqual(result.out, TOKEN + "\n")
        self.assertIn("good for 40 s only", result.err)

    def test_says_when_it_is_the_last_token(self):
        self.daemon.routes[PATH] = ok(token_answer(state="needs-login"))
        result = self.credsync("token", "flat-me")
        self.assert_done(result)
        self.assertIn("Try: credsync login flat-me", result.err)

    def test_each_problem_has_its_exit_code(self):
        codes = {("bad-request", 400): 1, ("not-allowed", 403): 4, ("no-such-account", 404): 4,
                 ("needs-login", 409): 3, ("suspended", 409): 7, ("login-in-progress", 409): 5,
                 ("login-over", 410): 1, ("too-large", 413): 1, ("busy", 429): 5, ("unavailable", 503): 5,
                 ("timeout", 504): 5, ("something-new", 503): 5, ("something-new", 500): 1}
        for (name, number), code in codes.items():
            with self.subTest(problem=name, status=number):
                self.daemon.routes[PATH] = problem(name, number, f"This is {name}.", "credsync try this")
                result = self.credsync("token", "flat-me")
                self.assert_done(result, code)
                self.assertEqual(result.out, "")
                self.assertIn(f"credsync: This is {name}.\n", result.err)
                self.assertIn("Try: credsync try this\n", result.err)

    def test_retry_after_is_told(self):
        self.daemon.routes[PATH] = problem("unavailable", 503, "The provider is away.", headers={"Retry-After": "12"})
        self.assertIn("again in 12 s", self.credsync("token", "flat-me").err)

    def test_text_of_the_daemon_cannot_steer_the_terminal(self):
        evil = "bad \x1b]0;title\x07\x1b[31m red \u202e desrever \x9b1m\r\nnext"
        self.daemon.routes[PATH] = problem("needs-login", 409, evil, "rm\x1b[2K -rf")
        err = self.credsync("token", "flat-me").err
        for forbidden in ("\x1b", "\x07", "\u202e", "\x9b", "\r"):
            self.assertNotIn(forbidden, err)

    def test_a_full_disk_is_noticed(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([CREDSYNC, "token", "flat-me"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output", done.stderr)

    def test_with_closed_standard_streams_the_token_goes_nowhere_else(self):
        done = subprocess.run(["sh", "-c", f"exec '{CREDSYNC}' token flat-me <&- >&- 2>&-"], env=self.environment(), check=False)
        self.assertIn(done.returncode, (0, 1))
        self.assertEqual(len(self.daemon.requests), 1)
        self.assertNotIn(TOKEN.encode(), self.daemon.requests[0].body)

    def test_no_daemon(self):
        self.daemon.stop()
        result = self.credsync("token", "flat-me")
        self.assert_done(result, 6)
        self.assertIn("no daemon", result.err)
        self.assertIn(self.socket, result.err)

    def test_a_socket_without_a_listener(self):
        path = os.path.join(self.directory, "dead.sock")
        dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        dead.bind(path)
        dead.close()
        self.assert_done(self.credsync("token", "flat-me", "--socket", path), 6)

    def test_no_token_in_argv_or_environment_while_it_waits(self):
        self.daemon.routes[PATH] = lambda request: (self.gate.wait(60), ok(token_answer()))[1]
        self.gate = threading.Event()
        process = subprocess.Popen([CREDSYNC, "token", "flat-me"], stdout=subprocess.PIPE, env=self.environment())
        self.daemon.wait_for(lambda: self.daemon.requests)
        seen = b""
        for name in ("cmdline", "environ"):
            with open(f"/proc/{process.pid}/{name}", "rb") as shown:
                seen += shown.read()
        self.gate.set()
        out, _ = process.communicate(timeout=60)
        self.assertEqual(out.decode(), TOKEN + "\n")
        self.assertNotIn(TOKEN.encode(), seen)


class BadDaemonTest(CliTest):
    """What answers at the socket is slow, cut, oversized or no HTTP at all."""

    def answer(self, raw, code, words=""):
        self.daemon.routes[PATH] = raw
        result = self.credsync("token", "flat-me")
        self.assert_done(result, code)
        self.assertEqual(result.out, "")
        self.assertIn(words, result.err)

    def test_garbage(self):
        self.answer(b"SSH-2.0-OpenSSH_9.2\r\n", 1, "does not speak HTTP")
        self.answer(b"\x00\xff" * 1000, 1, "does not speak HTTP")

    def test_closed_at_once_or_within_the_answer(self):
        self.answer(b"", 6, "closed the connection")
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Le", 6, "closed the connection")
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"access_token\":", 6, "closed the connection")
        self.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{", 6, "closed the connection")

    def test_oversized(self):
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", 1, "too long")
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", 1, "bad body length")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        self.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 2, 1, "too long")
        self.answer(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 0x200000, 1, "too long")
        self.answer(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 5000, 1, "too long")
        self.answer(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100 + b"\r\n", 1, "too many header lines")

    def test_ambiguous_framing(self):
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 1, "ambiguous")
        self.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1, "ambiguous")
        self.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", 1, "transfer encoding")

    def test_not_json(self):
        for body in (b"", b"<html>", b"[1,2", b"\"text\"", b"{}", b"{\"access_token\":7}", b"\xff\xfe"):
            self.daemon.routes[PATH] = Answer(200, body)
            result = self.credsync("token", "flat-me")
            self.assert_done(result, 1)
            self.assertIn("cannot be understood", result.err)

    def test_json_that_nests_without_end(self):
        for body in (b"[" * 500000, b"{\"a\":" * 100000):
            for kind in ("plain", "json"):
                self.daemon.routes[PATH] = Answer(200, body)
                self.assert_done(self.credsync("token", "flat-me", "--format", kind), 1)

    def test_an_error_that_is_no_problem_document(self):
        self.daemon.routes[PATH] = Answer(502, b"<h1>Bad gateway</h1>")
        result = self.credsync("token", "flat-me")
        self.assert_done(result, 1)
        self.assertIn("HTTP status 502", result.err)

    def test_chunks_and_interim_answers_are_read(self):
        body = json.dumps(token_answer()).encode()
        pieces = b"".join(b"%x;x=y\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7))
        raw = (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-ENCODING: Chunked\r\n\r\n" + pieces +
               b"0\r\nX-Trailer: y\r\n\r\n")
        self.daemon.routes[PATH] = raw
        self.assertEqual(self.credsync("token", "flat-me").out, TOKEN + "\n")

    def test_silence_ends_at_the_deadline(self):
        silence = threading.Event()
        self.addCleanup(silence.set)
        self.daemon.routes[PATH] = lambda request: (silence.wait(60), b"")[1]
        begin = time.monotonic()
        result = self.credsync("token", "flat-me", "--wait", "0")
        self.assert_done(result, 6)
        self.assertIn("does not answer", result.err)
        self.assertLess(time.monotonic() - begin, 15)

    def test_dripping_ends_at_the_deadline(self):
        over = threading.Event()
        self.addCleanup(over.set)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        path = os.path.join(self.directory, "drip.sock")
        listener.bind(path)
        listener.listen(1)

        def drip():
            connection, _ = listener.accept()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            try:
                while not over.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                pass
            connection.close()

        threading.Thread(target=drip, daemon=True).start()
        begin = time.monotonic()
        self.assert_done(self.credsync("token", "flat-me", "--wait", "0", "--socket", path), 6)
        self.assertLess(time.monotonic() - begin, 15)


class SocketChoiceTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[PATH] = ok(token_answer())

    def test_option_before_environment(self):
        result = self.credsync("token", "flat-me", "--socket", self.socket, env={"CREDSYNC_SOCKET": "/nowhere"})
        self.assert_done(result)
        self.assert_done(self.credsync("--socket", self.socket, "token", "flat-me", env={"CREDSYNC_SOCKET": "/nowhere"}))

    def test_the_users_socket_is_found(self):
        os.mkdir(os.path.join(self.directory, "credsyncd"), 0o700)
        os.symlink(self.socket, os.path.join(self.directory, "credsyncd", "api.sock"))
        self.assert_done(self.credsync("token", "flat-me", env={"CREDSYNC_SOCKET": None, "XDG_RUNTIME_DIR": self.directory}))

    def test_without_one_it_is_the_systems(self):
        result = self.credsync("token", "flat-me", env={"CREDSYNC_SOCKET": None, "XDG_RUNTIME_DIR": self.directory})
        self.assertIn("/run/credsyncd-api/api.sock", result.err)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to give a socket away")
    def test_a_users_socket_of_somebody_else_is_not_ours(self):
        os.mkdir(os.path.join(self.directory, "credsyncd"), 0o755)
        os.rename(self.socket, os.path.join(self.directory, "credsyncd", "api.sock"))
        os.symlink(os.path.join(self.directory, "credsyncd", "api.sock"), self.socket)
        os.chown(self.socket, 12345, 12345)
        result = self.credsync("token", "flat-me", env={"CREDSYNC_SOCKET": None, "XDG_RUNTIME_DIR": self.directory})
        self.assertIn("/run/credsyncd-api/api.sock", result.err)

    def test_a_path_that_is_too_long(self):
        self.assert_done(self.credsync("token", "flat-me", "--socket", "/" + "x" * 200), 2)


if __name__ == "__main__":
    unittest.main()
