"""Answers that are lost after the provider has rotated, and ways to providers that lead nowhere."""

import os
import socket
import time
import unittest

import failures
from elsewhere import Elsewhere
from front import Fronts, black_hole
from harness import DaemonTest, wait_for

ROOT = os.geteuid() == 0


class LostAnswers(DaemonTest):
    """The provider has rotated, and its answer is lost: what can be mended and what cannot."""

    LIFETIME = 12   # seconds; a quarter of it is the floor

    def account_with(self, name, tables, **switches):
        self.provider.switch(f"rfc/{name}", rotation="always", reuse_detection=True, **switches)
        self.daemon.profile(name, self.provider.base_url, tables=tables)
        self.daemon.account(name, provider=name, grant="refresh_token")

    def lose(self, api, name):
        pair = self.provider.issue(f"rfc/{name}")
        self.assertEqual(api.login(name, "refresh_token", pair["refresh_token"]).json["state"], "ok")
        self.provider.behave("drop_after", {"provider": f"rfc/{name}", "endpoint": "token"}, times=1)
        return api.refresh(name).json

    def test_within_a_declared_overlap_it_is_asked_for_again_at_once(self):
        self.account_with("lenient", {"refresh": {"rotation": "always", "overlap": "60s"}}, overlap=60)
        api = self.start()
        self.lose(api, "lenient")
        wait_for(lambda: api.status("lenient")["state"] == "ok", 5, "the second answer")
        self.assert_alive(self.granted(api.token("lenient"))["access_token"])
        self.assertEqual(self.provider.summary(provider="rfc/lenient")["reused"], 0)

    def test_without_one_it_is_asked_for_once_more_near_the_end_and_then_a_person_must_act(self):
        self.account_with("strict", {"refresh": {"rotation": "always", "overlap": "0s"}})
        api = self.start()
        status = self.lose(api, "strict")
        self.assertEqual((status["state"], status["usable"]), ("retrying", True))
        old = self.granted(api.token("strict"))
        self.assert_alive(old["access_token"])
        sent = len(self.posts(provider="rfc/strict"))
        wait_for(lambda: api.status("strict")["state"] == "needs-login", 2 * self.LIFETIME, "the last try")
        self.assertEqual(len(self.posts(provider="rfc/strict")), sent + 1)
        last = self.posts(provider="rfc/strict")[-1]
        self.assertGreater(last["at"], self.posts(provider="rfc/strict")[-2]["at"] + self.LIFETIME / 4, "not before it must")
        error = api.status("strict")["error"]
        self.assertIn("the answer to an earlier refresh was lost on the way", error["message"])
        self.assertEqual(api.status("strict")["next_step"]["command"], "credsync login strict --refresh-token-stdin")


class Ways(DaemonTest):
    """The way to a provider, not the provider."""

    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.fronts = Fronts()
        self.addCleanup(self.fronts.close)

    @unittest.skipUnless(ROOT, "NOT TESTED: a hosts file of its own needs root")
    def test_an_ipv6_that_swallows_everything_does_not_hold_up_an_ipv4_that_works(self):
        daemon = Elsewhere()
        self.addCleanup(daemon.close)
        daemon.configure(self.provider)
        front = self.fronts.open(self.provider.port)
        held = black_hole(socket.AF_INET6, "::1", front.port)
        self.addCleanup(lambda: [s.close() for s in held])
        daemon.profile("both", f"https://localhost:{front.port}", "rfc/both")
        daemon.account("both", provider="both", grant="client_credentials")
        began = time.time()
        daemon.start()
        api = daemon.api()
        self.addCleanup(api.close)
        self.granted(api.token("both", wait=20))
        self.assertLess(time.time() - began, 10, "it fell back long before the deadline of an exchange")
        self.assertEqual(api.status("both")["state"], "ok")

    def test_forty_hung_providers_leave_the_others_alone(self):
        """More than there are workers, each a client of its own; meanwhile an account must be renewed every few seconds."""
        hung, lifetime = 40, 12
        front = self.fronts.open(self.provider.port)
        front.set("silent")
        self.provider.set_lifetime("rfc/quick", lifetime)
        self.daemon.profile("quick", self.provider.base_url)
        self.daemon.account("quick", provider="quick", grant="client_credentials")
        self.daemon.profile("hung", f"https://127.0.0.1:{front.port}")
        api = self.start()
        self.granted(api.token("quick"))
        for i in range(hung):
            self.daemon.account(f"hung-{i}", provider="hung", grant="client_credentials", client_id=f"client-{i}")
        self.assertEqual(api.reload().status, 200)
        ends = time.time() + failures.DEADLINE_MS / 1000
        while time.time() < ends:
            answer = self.granted(api.token("quick", wait=5))
            self.assertEqual(answer["state"], "ok")
            self.assert_alive(answer["access_token"])
            time.sleep(0.2)
        self.assertGreater(len(self.posts(provider="rfc/quick")), failures.DEADLINE_MS / 1000 / lifetime)
        self.assertFalse(any(api.status(f"hung-{i}")["usable"] for i in range(hung)), "they did hang")


if __name__ == "__main__":
    unittest.main()
