"""A daemon that restarts while the command asks it."""

import os
import threading
import time
import unittest

from fake_daemon import ok, problem
from harness import CliTest, TOKEN, status, token_answer

PATH = ("GET", "/v1/accounts/flat-me/token")
STOPPING = problem("unavailable", 503, "the daemon is stopping", headers={"Retry-After": "1"}, stopping=True)
OUTAGE = problem("unavailable", 503, "the provider cannot be reached", headers={"Retry-After": "1"})


class Restart(CliTest):
    def answers(self, key, *answers):
        """One after the other; the last stays."""
        left = list(answers)
        self.daemon.routes[key] = lambda _: left.pop(0) if len(left) > 1 else left[0]

    def count(self):
        return len(self.daemon.requests)

    def test_asks_again_when_the_daemon_said_that_it_is_stopping(self):
        self.answers(PATH, STOPPING, STOPPING, ok(token_answer()))
        result = self.credsync("token", "flat-me", "--wait", "10")
        self.assert_done(result)
        self.assertEqual((result.out, self.count()), (TOKEN + "\n", 3))

    def test_the_wait_that_is_left_is_asked_for(self):
        self.answers(PATH, STOPPING, STOPPING, ok(token_answer()))
        self.assert_done(self.credsync("token", "flat-me", "--wait", "10"))
        waits = [int(request.query["wait"]) for request in self.daemon.requests]
        self.assertEqual(waits[0], 10)
        self.assertLessEqual(waits[2], 8)

    def test_gives_up_when_the_wait_is_over(self):
        self.answers(PATH, STOPPING)
        result = self.credsync("token", "flat-me", "--wait", "3")
        self.assert_done(result, 5)
        self.assertLessEqual(self.count(), 4)

    def test_without_a_wait_asks_once(self):
        self.answers(PATH, STOPPING)
        self.assert_done(self.credsync("token", "flat-me", "--wait", "0"), 5)
        self.assertEqual(self.count(), 1)

    def test_an_outage_of_the_provider_is_no_restart(self):
        self.answers(PATH, OUTAGE)
        self.assert_done(self.credsync("token", "flat-me"), 5)
        self.assertEqual(self.count(), 1)

    def test_a_connection_that_ends_without_an_answer_is_made_again_for_what_only_reads(self):
        self.answers(PATH, b"", ok(token_answer()))
        self.assert_done(self.credsync("token", "flat-me"))
        self.answers(("GET", "/v1/accounts/flat-me"), b"", ok(status()))
        self.assert_done(self.credsync("status", "flat-me"))

    def test_what_may_have_been_done_is_not_asked_again(self):
        self.answers(("POST", "/v1/accounts/flat-me/refresh"), b"", ok(status()))
        self.assert_done(self.credsync("refresh", "flat-me"), 6)
        self.assertEqual(self.count(), 1)

    def test_what_was_refused_by_a_stopping_daemon_is_asked_again(self):
        self.answers(("POST", "/v1/accounts/flat-me/refresh"), STOPPING, ok(status()))
        self.assert_done(self.credsync("refresh", "flat-me"))
        self.assertEqual(self.count(), 2)

    def test_half_an_answer_is_a_failure(self):
        self.answers(PATH, b"HTTP/1.1 200 OK\r\nContent-Le", ok(token_answer()))
        self.assertNotEqual(self.credsync("token", "flat-me").code, 0)
        self.assertEqual(self.count(), 1)

    def test_token_waits_for_a_daemon_that_is_away_for_a_moment(self):
        self.daemon.routes[PATH] = ok(token_answer())
        self.daemon.stop()
        timer = threading.Timer(1.0, self.daemon.start)
        timer.start()
        self.addCleanup(timer.join)
        self.assert_done(self.credsync("token", "flat-me"))

    def test_one_that_stays_away_is_waited_for_as_long_as_was_said(self):
        self.daemon.stop()
        began = time.monotonic()
        self.assert_done(self.credsync("token", "flat-me", "--wait", "2"), 6)
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assert_done(self.credsync("token", "flat-me", "--wait", "0"), 6)
        began = time.monotonic()
        self.assert_done(self.credsync("status"), 6)
        self.assertLess(time.monotonic() - began, 4, "who only looks is told at once")

    def test_where_there_is_not_even_a_folder_nothing_is_waited_for(self):
        result = self.credsync("--socket", os.path.join(self.directory, "none", "api.sock"), "token", "flat-me")
        self.assert_done(result, 6)


if __name__ == "__main__":
    unittest.main()
