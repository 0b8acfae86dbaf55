"""Every way in which failures.py says that a provider can be sick, all at once, on one daemon: what the admin sees of each, in
the status and in the journal; that tokens are kept and handed out meanwhile; that others are served as fast as ever; and
that no grant is lost when it is over. Each for a grant whose refresh token stays and for one whose refresh token rotates.
The practice provider's ledger is the judge.
"""

import os
import re
import time
import unittest

import crowd
import failures
import stopwatch
from elsewhere import Elsewhere
from front import Fronts
from harness import DaemonTest

ROOT = os.geteuid() == 0
LIFETIME = 90        # seconds: longer than all that takes the whole deadline of an exchange, and what follows
FLOOR = 10           # of such tokens (design section 6)
ALLOWANCE = 10.5     # seconds between two refreshes that a person orders
ALL_SEEN = 60        # seconds in which everything must have failed: the deadline of an exchange and room for a busy machine
KINDS = ("plain", "rotating")


class Patient:
    """One account that will meet one failure."""

    def __init__(self, test, failure, kind):
        self.test, self.failure, self.kind = test, failure, kind
        self.name = f"{failure.key}-{kind}"
        self.instance = f"rfc/{self.name}"
        self.rotates = kind == "rotating"
        self.front = None
        self.rule = self.family = self.before = None
        self.base_url = test.provider.base_url

    def set_up(self):
        """Its own instance of the provider with its own client, and a front where the way there is what fails."""
        provider, daemon = self.test.provider, self.test.daemon
        # The overlap is the provider's secret: the daemon may count on none.
        provider.switch(self.instance, lifetime=LIFETIME, rotation="always" if self.rotates else "none",
                        reuse_detection=self.rotates, overlap=600 if self.rotates else 0)
        provider.register(self.instance, clients=[{"id": self.name, "secret": "demo-secret"}])
        if self.failure.does[0] in ("front", "trap", "both-families"):
            self.front = self.test.fronts.open(provider.port)
            host = "localhost" if self.failure.does[0] == "both-families" else "127.0.0.1"
            self.base_url = f"https://{host}:{self.front.port}"
        self.write_profile()
        daemon.account(self.name, provider=self.name, grant="refresh_token", client_id=self.name)

    def write_profile(self, refresh_host=None):
        tables = {**self.failure.profile, "refresh": {"rotation": "always" if self.rotates else "none"}}
        text_of = self.test.daemon.profile
        text_of(self.name, self.base_url, self.instance, tables)
        if refresh_host:
            path = self.test.daemon.place("providers.d", f"{self.name}.toml")
            with open(path, "a", encoding="utf-8") as out:
                out.write(f'\n[provider.{self.name}.endpoints.refresh]\nurl = "https://{refresh_host}/token"\n')

    def sign_in(self, api, pair):
        self.family = pair["family"]
        answer = api.login(self.name, "refresh_token", pair["refresh_token"])
        self.test.assertEqual((answer.status, answer.json.get("state")), (200, "ok"), (self.name, answer))
        self.before = answer.json["generation"]

    @property
    def host(self):
        if self.failure.does[0] == "name":
            return self.failure.does[1]
        return re.sub("^https://", "", self.base_url)

    # --- sickness and health

    def fall_ill(self):
        how, *what = self.failure.does
        if how == "behave":
            self.rule = self.test.provider.behave(what[0], {"provider": self.instance, "endpoint": "token"}, **what[1])
        elif how == "front":
            {"refuse": self.front.refuse, "black_hole": self.front.black_hole}.get(what[0], lambda: self.front.set(what[0]))()
        elif how == "trap":
            self.front.relay(int(self.test.provider.trap(what[0], **dict(*what[1:])).rsplit(":", 1)[1]))
        elif how == "name":
            self.write_profile(what[0])   # takes force with the reload that follows

    def get_well(self):
        how = self.failure.does[0]
        if how == "behave":
            self.test.provider.clear(self.rule)
        elif how == "name":
            self.write_profile()
        else:
            self.front.relay()

    # --- what must be seen

    def is_as_told(self, status):
        return status["state"] == self.failure.state and status["error"] is not None

    def check_status(self, status):
        failure, test = self.failure, self.test
        error = status["error"]
        test.assertEqual((status["state"], error["class"]), (failure.state, failure.error_class), status)
        test.assertTrue(failure.says(error["message"], self.host), f"{error['message']!r} is not {failure.words!r}")
        text, command = failure.next_step
        test.assertEqual((status["next_step"]["text"], status["next_step"]["command"]), (text, command.format(name=self.name)))
        test.assertTrue(status["usable"], "its token is kept")
        lost = [note for note in status["notes"] if "lost on the way" in note]
        test.assertEqual(bool(lost), failure.ambiguous and self.rotates, status["notes"])

    def check_journal(self, records):
        mine = [r for r in records if r.get("ACCOUNT") == self.name and r["MESSAGE"] == "refresh failed" and "STATE" in r]
        told = [r for r in mine if r["STATE"] == self.failure.state and r["CLASS"] == self.failure.error_class]
        self.test.assertTrue(told, f"no record of it in {mine}")
        self.test.assertTrue(self.failure.says(told[-1]["REASON"], self.host), told[-1])
        self.test.assertEqual(told[-1]["MESSAGE_ID"], self.test.message_ids[self.failure.journal])
        self.test.assertLessEqual(len(mine), 3, "it is told when it changes, not each time that it is tried")

    def check_token(self, api):
        """What was there is handed out, and says how things stand."""
        answer = self.test.granted(api.token(self.name, wait=0))
        self.test.assertEqual(answer["state"], self.failure.state)
        self.test.assert_alive(answer["access_token"])

    def check_posts(self):
        """What was sent, by the provider's book."""
        posts = self.test.provider.requests(provider=self.instance, endpoint="token")
        self.test.assertEqual([p["in_flight_same_credential"] for p in posts if p["in_flight_same_credential"]], [])
        self.test.assertEqual({p["accept_encoding"] for p in posts}, {"identity"}, "it asks for no compression")
        if self.rotates:
            sent = [p["credential"] for p in posts]
            most = max(sent.count(c) for c in sent)
            allowed = 2 if self.failure.ambiguous else 100
            self.test.assertLessEqual(most, allowed, "a refresh token whose fate is unknown is sent once more, not again and again")

    def check_grant(self):
        alive = self.test.provider.tokens(family=self.family, alive=1)
        self.test.assertIn("refresh", {t["kind"] for t in alive}, "the grant is lost")


class SickProviders(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.fronts = Fronts()
        self.addCleanup(self.fronts.close)
        self.message_ids = message_ids()

    def new_daemon(self, **options):
        if not ROOT:
            return super().new_daemon(**options)
        daemon = Elsewhere(**options)
        self.addCleanup(daemon.close)
        daemon.configure(self.provider)
        return daemon

    def admit(self, table):
        """The patients of these rows, signed in and well, and an account that stays well."""
        self.patients = [Patient(self, failure, kind) for failure in table for kind in KINDS if ROOT or not failure.root]
        for patient in self.patients:
            patient.set_up()
        self.daemon.account("steady", provider="fflogs", grant="client_credentials")
        api = self.start()
        self.granted(api.token("steady"))
        pairs = self.provider.issue_many([{"provider": p.instance, "client": p.name} for p in self.patients])
        self.signed_in_at = time.time()
        for patient, pair in zip(self.patients, pairs):
            patient.sign_in(api, pair)
        return api

    def order(self, patients):
        """Orders a refresh of each at once, and waits for no answer."""
        callers = crowd.connect_all(self.daemon.socket, [crowd.post(f"/v1/accounts/{p.name}/refresh") for p in patients])
        crowd.send_all(callers)
        return callers

    def statuses(self, api):
        return {status["account"]: status for status in api("GET", "/v1/accounts").json["accounts"]}

    def wait_until_told(self, api):
        """Until each is as its row says. Some must be ordered more often than once."""
        ordered_at, orders, callers = time.time(), 1, self.order(self.patients)
        try:
            deadline = time.time() + ALL_SEEN
            while True:
                now = self.statuses(api)
                waiting = [p for p in self.patients if not p.is_as_told(now[p.name])]
                again = [p for p in waiting if p.failure.orders > orders]
                if not waiting:
                    return now
                if again and time.time() > ordered_at + ALLOWANCE:
                    ordered_at, orders = time.time(), orders + 1
                    callers += self.order(again)
                self.assertLess(time.time(), deadline, {p.name: (now[p.name]["state"], now[p.name]["error"]) for p in waiting})
                time.sleep(0.1)
        finally:
            for caller in callers:
                caller.socket.close()

    def test_each_way_of_being_sick_is_told_and_costs_nothing(self):
        api = self.admit(failures.ALL)
        watch = stopwatch.Stopwatch(self, "steady")
        watch.measure("idle")
        for patient in self.patients:
            patient.fall_ill()
        self.assertEqual(api.reload().status, 200)
        began = time.time()
        told = self.wait_until_told_while(api, watch)
        self.assertLess(time.time(), self.signed_in_at + LIFETIME - FLOOR, "too slow: nothing could be said of tokens that are kept")
        for patient in self.patients:
            with self.subTest(patient.name, when="sick"):
                patient.check_status(told[patient.name])
                patient.check_token(api)
                if ROOT:
                    patient.check_journal(self.daemon.journal.records)
        for patient in self.patients:
            patient.get_well()
        self.recover(api)
        print(f"\n{len(self.patients)} accounts sick in {len(failures.ALL)} ways for {time.time() - began:.0f} s; {watch.words()}", flush=True)
        watch.check()
        self.assertEqual(self.provider.summary()["reused"], 0)

    def wait_until_told_while(self, api, watch):
        """Measures as long as the slow ones take their time."""
        ends = time.time() + 5
        callers = self.order(self.patients)
        while time.time() < ends:
            watch.measure("sick")
        for caller in callers:
            caller.socket.close()
        return self.wait_until_told(api)

    def recover(self, api):
        """By themselves, with a reload where the client was refused, by a person's order where one must act."""
        self.assertEqual(api.reload().status, 200)

        def ill():
            now = self.statuses(api)
            return {p.name: (now[p.name]["state"], now[p.name]["error"]) for p in self.patients
                    if now[p.name]["state"] != "ok" or now[p.name]["generation"] <= p.before}
        deadline, ordered_at = time.time() + LIFETIME, 0
        while still := ill():
            if time.time() > ordered_at + ALLOWANCE:
                self.order([p for p in self.patients if p.name in still and p.failure.state == "needs-login"])
                ordered_at = time.time()
            self.assertLess(time.time(), deadline, f"still ill: {still}")
            time.sleep(0.2)
        for patient in self.patients:
            with self.subTest(patient.name, when="well again"):
                self.assert_alive(self.granted(api.token(patient.name))["access_token"])
                patient.check_posts()
                patient.check_grant()


def message_ids():
    """{name: id} as base/message_ids.h has them."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "base", "message_ids.h"), encoding="utf-8") as header:
        return dict(re.findall(r'Named k\w+\{"([a-z-]+)",\s*"([0-9a-f]{32})"\}', header.read()))


if __name__ == "__main__":
    unittest.main()
