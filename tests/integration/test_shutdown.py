"""SIGTERM: an answer under way is stored, callers who wait are told, and the next start goes on from there."""

import signal
import time
import unittest

import crowd
import on_disk
from harness import DaemonTest, EventStream, USER, wait_for

WAITING = 50


class Shutdown(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.provider.switch("rfc/stop", rotation="always", reuse_detection=True)
        self.daemon.profile("stop", self.provider.base_url, tables={"refresh": {"rotation": "always", "overlap": "0s"}})
        self.daemon.account("rotating", provider="stop", grant="refresh_token", revoke_grace="0s")
        self.daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})

    def sign_in(self, api):
        pair = self.provider.issue("rfc/stop")
        self.assertEqual(api.login("rotating", "refresh_token", pair["refresh_token"]).status, 200)

    def test_idle_it_ends_at_once(self):
        api = self.start()
        self.granted(api.token("flume"))
        api.close()
        began = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("ended", self.daemon.log())

    def test_the_answer_to_a_rotation_under_way_is_stored(self):
        api = self.start()
        self.sign_in(api)
        before = self.granted(api.token("rotating"))
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": "rfc/stop"}, when="after", times=1)
        callers = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/accounts/rotating/refresh")])
        crowd.send_all(callers)
        self.provider.wait(hanging=rule)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self.daemon.log(), 10, "the stop to begin")
        self.assertIsNone(self.daemon.process.poll(), "it waits for the answer")
        self.provider.release(rule)
        self.assertEqual(self.daemon.ended(), 0)
        crowd.gather(callers)
        self.assertEqual(on_disk.intents(self.daemon.state), {})
        self.daemon.start()
        after = self.granted(self.new_api().token("rotating"))
        self.assertEqual(after["generation"], before["generation"] + 1)
        found = self.provider.check(after["access_token"])
        self.assertTrue(found["alive"] and not found["superseded"], found)
        self.assertEqual(self.provider.summary()["reused"], 0)

    def test_callers_who_wait_are_told_that_it_is_unavailable(self):
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": "flume"}, when="after", times=1)
        self.start()
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/accounts/flume/token?wait=60")] * WAITING)
        crowd.send_all(callers)
        self.provider.wait(hanging=rule)
        self.daemon.process.send_signal(signal.SIGTERM)
        answers = crowd.gather(callers, 20)
        self.assertEqual({(a.status, a.problem) for a in answers}, {(503, "unavailable")})
        self.assertTrue(all(int(a.headers["retry-after"]) >= 1 for a in answers))
        self.provider.release(rule)
        self.assertEqual(self.daemon.ended(), 0)
        self.daemon.start()
        self.granted(self.new_api().token("flume"))
        self.assertEqual(len(self.posts(provider="flume")), 1, "the answer that came during the stop was kept")

    def test_event_streams_end_and_new_callers_are_not_kept_waiting(self):
        api = self.start()
        self.granted(api.token("flume"))
        stream = EventStream(self.daemon.socket)
        self.addCleanup(stream.close)
        self.assertEqual(self.daemon.stop(), 0)
        wait_for(lambda: stream.ended, 5, "the stream to end")

    def test_a_second_sigterm_ends_it_at_once(self):
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": "flume"}, when="before", times=1)
        self.start()
        self.provider.wait(hanging=rule)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "stopping" in self.daemon.log(), 10, "the stop to begin")
        began = time.monotonic()
        self.daemon.process.send_signal(signal.SIGTERM)
        self.daemon.ended()
        self.assertLess(time.monotonic() - began, 15, "sooner than the exchange's own deadline")

    def test_sigint_stops_it_too(self):
        self.start()
        self.assertEqual(self.daemon.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    unittest.main()
