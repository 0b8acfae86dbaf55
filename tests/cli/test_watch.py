import json
import os
import select
import signal
import subprocess
import time

from fake_daemon import ok, problem
from harness import CREDSYNC, CliTest, at, status

ALL = ("GET", "/v1/accounts")


def state_event(account="flat-me", state="ok", generation=7):
    return {"account": account, "state": state, "since": at(-5), "generation": generation, "expires_at": "2030-01-31T12:00:00Z"}


class WatchOnTerminalTest(CliTest):
    def setUp(self):
        super().setUp()
        self.accounts = [status()]
        self.daemon.routes[ALL] = lambda request: ok({"accounts": self.accounts})

    def begin(self, *arguments, **options):
        person = self.terminal("status", "--watch", *arguments, **options)
        self.addCleanup(self.daemon.stop)
        return person

    def fetches(self):
        return sum(1 for request in self.daemon.requests if request.path == "/v1/accounts")

    def test_shows_the_table_and_what_changes(self):
        person = self.begin()
        person.expect("flat-me")
        self.accounts = [status(state="retrying"), status("flume")]
        self.daemon.feed().push("state", state_event(state="retrying"))
        person.expect("retrying").expect("flume").expect("2 accounts: 1 ok, 1 retrying")

    def test_time_runs_without_events(self):
        self.accounts = [status(expires_at=at(40), expires_in=40)]
        person = self.begin()
        person.until(lambda t: t.plain().count("ACCOUNT") >= 3)
        self.assertEqual(self.fetches(), 1)

    def test_a_burst_of_events_is_no_burst_of_requests(self):
        person = self.begin()
        person.expect("flat-me")
        begin = time.monotonic()
        for number in range(200):
            self.daemon.feed().push("token", {"account": "flat-me", "generation": number, "expires_at": None})
        self.accounts = [status("last-one")]
        self.daemon.feed().push("token", {"account": "flat-me", "generation": 201, "expires_at": None})
        person.expect("last-one")
        self.assertLessEqual(self.fetches(), 3 + 4 * (time.monotonic() - begin))

    def test_ctrl_c_gives_the_screen_back(self):
        person = self.begin()
        person.expect("flat-me")
        person.type("\x03")
        self.assertEqual(person.wait(), 0)
        text = person.text()
        self.assertTrue(text.endswith("\033[?7h\033[?25h\033[?1049l"), repr(text[-60:]))

    def test_term_ends_it_too(self):
        person = self.begin()
        person.expect("flat-me")
        os.kill(person.pid, signal.SIGTERM)
        self.assertEqual(person.wait(), 0)
        self.assertIn("\033[?1049l", person.text())

    def test_stopping_gives_the_screen_back_and_continuing_takes_it(self):
        person = self.begin()
        person.expect("flat-me")
        person.type("\x1a")
        person.until(lambda t: "\033[?1049l" in t.text())
        pid, state = os.waitpid(person.pid, os.WUNTRACED)
        self.assertTrue(os.WIFSTOPPED(state))
        os.kill(pid, signal.SIGCONT)
        person.until(lambda t: t.text().count("\033[?1049h") == 2)

    def test_the_daemon_goes_and_comes_back(self):
        person = self.begin()
        person.expect("flat-me")
        self.daemon.feed()
        self.daemon.stop()
        person.expect("trying again")
        person.expect("flat-me")  # what was known stays
        self.accounts = [status("after-restart")]
        self.daemon.start()
        person.expect("after-restart")

    def test_a_smaller_terminal(self):
        self.accounts = [status(f"account-{number:02}") for number in range(50)]
        person = self.begin(rows=10)
        person.expect("more lines")
        self.assertNotIn("account-30", person.plain())
        person.resize(100, 60)
        person.expect("account-49")

    def test_one_account(self):
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status())
        person = self.begin("flat-me")
        person.expect("access token")
        events = next(request for request in self.daemon.requests if request.path == "/v1/events")
        self.assertEqual(events.query, {"account": "flat-me"})

    def test_an_account_that_leaves_ends_it(self):
        self.daemon.routes[("GET", "/v1/accounts/flat-me")] = ok(status())
        person = self.begin("flat-me")
        person.expect("access token")
        del self.daemon.routes[("GET", "/v1/accounts/flat-me")]
        self.daemon.feed().push("state", state_event())
        self.assertEqual(person.wait(), 4)
        self.assertIn("no such account", person.plain())


class WatchElsewhereTest(CliTest):
    def begin(self, *arguments):
        process = subprocess.Popen([CREDSYNC, "status", "--watch", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment(), bufsize=0)
        self.addCleanup(self.end, process)
        return process

    def line(self, stream, timeout=60):
        """The next line, within `timeout` seconds."""
        text = b""
        end = time.monotonic() + timeout
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([stream], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"no line within {timeout} s, only {text!r}")
            byte = os.read(stream.fileno(), 1)
            self.assertTrue(byte, f"it ended after {text!r}")
            text += byte
        return text.decode()

    @staticmethod
    def end(process):
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()

    def test_a_line_an_event(self):
        process = self.begin()
        feed = self.daemon.feed()
        feed.raw(b": heartbeat\n\n")
        feed.push("state", state_event())
        self.assertRegex(self.line(process.stdout), r"^\d{4}-\d\d-\d\dT[\d:]+Z flat-me state ok generation 7 expires 2030-01-31T12:00:00Z\n$")
        feed.push("token", {"account": "flat-me", "generation": 8, "expires_at": None})
        self.assertRegex(self.line(process.stdout), r"Z flat-me token generation 8\n$")
        self.assertEqual([request.path for request in self.daemon.requests], ["/v1/events"])

    def test_events_that_come_with_the_header(self):
        event = b"event: state\ndata: " + json.dumps(state_event("early")).encode() + b"\n\n"
        self.daemon.routes[("GET", "/v1/events")] = (b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + event)
        process = self.begin()
        self.assertIn("early", self.line(process.stdout))
        self.assertIn("trying again", self.line(process.stderr))
        self.assertIn("early", self.line(process.stdout))

    def test_events_cut_anywhere(self):
        process = self.begin()
        feed = self.daemon.feed()
        text = b"event: state\r\ndata: " + json.dumps(state_event("cut-up")).encode() + b"\r\n\r\n"
        for at_byte in range(len(text)):
            feed.raw(text[at_byte:at_byte + 1])
        self.assertIn("cut-up", self.line(process.stdout))

    def test_as_json_lines(self):
        process = self.begin("--json")
        event = state_event()
        self.daemon.feed().push("state", event)
        self.assertEqual(json.loads(self.line(process.stdout)), {"event": "state", **event})

    def test_signals_end_it_cleanly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            count = len(self.daemon.feeds)
            process = self.begin()
            self.daemon.feed(count)
            process.send_signal(number)
            self.assertEqual(process.wait(60), 0)

    def test_the_daemon_goes_and_comes_back(self):
        process = self.begin()
        self.daemon.feed()
        self.daemon.stop()
        self.assertIn("trying again", self.line(process.stderr))
        self.daemon.start()
        self.daemon.feed().push("state", state_event("again"))
        self.assertIn("again", self.line(process.stdout))
        self.assertIn("is back", self.line(process.stderr))

    def test_without_a_daemon_it_does_not_begin(self):
        self.daemon.stop()
        self.assert_done(self.credsync("status", "--watch"), 6)

    def test_refused(self):
        self.daemon.routes[("GET", "/v1/events")] = problem("no-such-account", 404, "There is no such account.")
        self.assert_done(self.credsync("status", "--watch", "nobody"), 4)

    def test_what_is_no_event_stream(self):
        self.daemon.routes[("GET", "/v1/events")] = ok({})
        self.assert_done(self.credsync("status", "--watch"), 1)

    def test_a_reader_that_leaves_ends_it(self):
        process = self.begin()
        feed = self.daemon.feed()
        process.stdout.close()
        feed.push("state", state_event())
        self.assertNotEqual(process.wait(60), 0)

    def test_an_event_without_end_is_not_swallowed_for_ever(self):
        process = self.begin()
        feed = self.daemon.feed()
        try:
            for _ in range(100):
                feed.raw(b"data: " + b"x" * 65536)
        except OSError:
            pass
        self.assertIn("too long", self.line(process.stderr))
