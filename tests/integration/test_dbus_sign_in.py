"""Signing in over the message bus, with the real daemon and the practice provider: the browser that comes back by itself, the
address that is pasted, a session that is cancelled, and another user who has its id."""

import json
import os
import subprocess
import sys
import unittest

import dbus

from bus import ERROR, become
from bus_client import Refused, turn_until
from harness import EVERY_ACTION, HERE
from signing_in import FLAT_SCOPES, SignInTest, visit, with_query
from test_dbus import BusTest

STRANGER = 3   # sys of base-passwd: dbus-daemon lets in no user that the machine does not know
LONGEST_WAIT = 20


def options(**given):
    return dbus.Dictionary(given, signature="sv")


class SignInOverTheBus(SignInTest, BusTest):
    def setUp(self):
        super().setUp()
        # The stranger may sign in too: it is the session that is not his.
        self.daemon.configure(self.provider, rules=[{"user": os.getuid(), "actions": EVERY_ACTION},
                                                    {"user": STRANGER, "actions": EVERY_ACTION}])
        self.flat()
        self.api = self.start()
        self.client = self.connect()

    def begin_login(self):
        login, view = self.client("BeginLogin", "sa{sv}", "flat", options(method="browser"))
        self.assertRegex(login, r"\A[0-9a-f]{32}\Z")
        self.assertEqual((view["id"], view["account"], view["phase"], view["method"]), (login, "flat", "waiting", "browser"))
        self.assertNotIn("error", view)
        return view

    def look(self, view):
        return self.client("WaitLogin", "sa{sv}", view["id"], options(wait=dbus.UInt32(0)))

    def start_waiting(self, view):
        """A call that waits for the session's end; where its answer will be."""
        answers = []
        self.client.send("WaitLogin", "sa{sv}", (view["id"], options(wait=dbus.UInt32(LONGEST_WAIT))), answers.append)
        self.client("WhoAmI")   # what came before it is under way
        self.assertEqual(answers, [])
        return answers

    def ended(self, answers, phase):
        self.assertTrue(turn_until(lambda: answers), "no answer")
        self.assertNotIsInstance(answers[0], Refused)
        (view,) = answers[0]
        self.assertEqual(view["phase"], phase, view)
        return view

    def assert_signed_in(self, done):
        self.assertEqual(sorted(done["granted"]), sorted(FLAT_SCOPES))
        self.assertNotIn("url", done, "what is over is shown to nobody")
        token = self.client.token("flat")
        self.assertEqual(token["generation"], done["generation"])
        self.assert_alive(token["token"])
        self.assertEqual(self.assert_token_of(self.api, "flat")["value"], token["token"])
        self.assertNotIn(token["token"], self.daemon.log())

    def test_a_pasted_address_signs_in_and_a_wrong_one_changes_nothing(self):
        view = self.begin_login()
        answers = self.start_waiting(view)
        address = self.consent(view)
        for wrong in (with_query(address, state="x" * 43), with_query(address, state=None), "https://evil.example/", ""):
            self.refused_call("BadRequest", lambda a=wrong: self.client("AnswerLogin", "ss", view["id"], a))
        self.assertEqual(self.look(view)["phase"], "waiting")
        self.assertEqual(self.posts(), [])
        answered = self.client("AnswerLogin", "ss", view["id"], address)
        self.assertIn(answered["phase"], ("finishing", "done"), answered)
        self.assert_signed_in(self.ended(answers, "done"))
        self.assertEqual(len(self.posts()), 1)
        self.assertNotIn("code=", self.daemon.log())
        self.assertEqual(self.client("AnswerLogin", "ss", view["id"], address)["phase"], "done")
        self.assertEqual(len(self.posts()), 1, "a second answer is not sent to the provider")

    def test_a_browser_comes_back_by_itself(self):
        view = self.begin_login()
        self.assertTrue(view["listening"])
        answers = self.start_waiting(view)
        page = visit(self.consent(view))
        self.assertEqual(page.status, 200, page)
        self.assert_signed_in(self.ended(answers, "done"))

    def test_who_declines_is_told_so(self):
        view = self.begin_login()
        self.client("AnswerLogin", "ss", view["id"], self.consent(view, "deny"))
        error = self.ended([[self.client("WaitLogin", "sa{sv}", view["id"], options())]], "failed")["error"]
        self.assertEqual(error["class"], "access_denied", error)
        self.assertTrue(error["detail"], error)
        self.refused_call("NeedsLogin", lambda: self.client.token("flat"))

    def test_a_cancelled_session_ends_and_its_answer_comes_too_late(self):
        view = self.begin_login()
        answers = self.start_waiting(view)
        address = self.consent(view)
        self.assertEqual(self.client("CancelLogin", "s", view["id"])["phase"], "cancelled")
        self.ended(answers, "cancelled")
        self.assertEqual(self.client("AnswerLogin", "ss", view["id"], address)["phase"], "cancelled")
        self.assertEqual(self.posts(), [], "the code was not used")
        self.refused_call("NeedsLogin", lambda: self.client.token("flat"))
        self.begin_login()

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming another user needs root")
    def test_to_another_user_the_session_does_not_exist(self):
        view = self.begin_login()
        address = self.consent(view)

        def calls(login):
            return [("WaitLogin", "sa{sv}", [login, {"wait": 0}]), ("AnswerLogin", "ss", [login, address]),
                    ("CancelLogin", "s", [login])]
        own, invented = self.bus_ask_as(STRANGER, calls(view["id"])), self.bus_ask_as(STRANGER, calls("0" * 32))
        self.assertEqual({answer["error"] for answer in own}, {ERROR + "NoSuchAccount"}, own)
        self.assertEqual(own, invented, "with the same words")
        self.assertEqual(self.bus_ask_as(STRANGER, [("BeginLogin", "sa{sv}", ["flat", {}])])[0]["error"],
                         ERROR + "LoginInProgress")
        self.assertEqual(self.posts(), [])
        self.assertEqual(self.look(view)["phase"], "waiting")
        answers = self.start_waiting(view)
        self.client("AnswerLogin", "ss", view["id"], address)
        self.assert_signed_in(self.ended(answers, "done"))
        self.assertEqual(self.bus_ask_as(STRANGER, calls(view["id"])), invented, "nor does it once it is over")

    def bus_ask_as(self, uid, calls):
        """What calls of another user's process came to."""
        done = subprocess.run([*become(uid), sys.executable, "-B", os.path.join(HERE, "bus_client.py")], cwd="/", text=True,
                              input=json.dumps({"address": self.bus.address, "calls": calls}), capture_output=True, timeout=90,
                              check=True)
        return json.loads(done.stdout)["answers"]


if __name__ == "__main__":
    unittest.main()
