"""An account that only a person can renew says so before it ends: in its status, as an event and in the log, each once."""

import base64
import json
import time
import unittest

from harness import DaemonTest, EventStream, wait_for

LIFE = 24    # seconds: warned at a half, a quarter and an eighth of it
TEXT = "this account will need a sign-in"


def jwt(ends):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
    return f"{part({'alg': 'RS256'})}.{part({'exp': ends})}.c2lnbmF0dXJl"


class Warnings(DaemonTest):
    def setUp(self):
        super().setUp()
        self.daemon.account("ends", provider="flat", grant="static")
        self.daemon.account("stays", provider="flat", grant="static")
        self.api = self.start()

    def warned(self):
        return [line for line in self.daemon.log().splitlines() if TEXT in line]

    def test_each_warning_comes_once_and_not_again_after_a_restart(self):
        events = EventStream(self.daemon.socket)
        self.addCleanup(events.close)
        ends = int(time.time()) + LIFE
        self.granted(self.api.login("ends", "token", jwt(ends)))
        self.granted(self.api.login("stays", "token", "a-token-without-an-end"))
        self.assertEqual(self.warned(), [], "half of its life is still to come")
        self.assertIsNone(self.api.status("ends")["next_step"])
        before = events.text.count("event: state")
        wait_for(self.warned, LIFE, "the first warning")
        self.assertIn("account=ends", self.warned()[0])
        wait_for(lambda: events.text.count("event: state") > before, 5, "an event")
        status = self.api.status("ends")
        self.assertTrue([note for note in status["notes"] if "ends" in note], status)
        self.assertEqual(status["next_step"]["command"], "credsync login ends --token-stdin")
        said = len(self.warned())
        self.api.close()
        self.daemon.restart()   # within the quarter before the next one, or just after it
        self.api = self.new_api()
        wait_for(lambda: time.time() >= ends, LIFE + 5, "the end")
        self.assertLessEqual(len(self.warned()), 3, "three warnings, each once")
        self.assertGreater(len(self.warned()), said, "the later ones come after a restart too")
        self.assertFalse([line for line in self.warned() if "account=stays" in line])
        self.assertIsNone(self.api.status("stays")["next_step"])


if __name__ == "__main__":
    unittest.main()
