"""The ledger is true, complete, silent about secrets, and survives a restart of the provider."""

import json
import os
import signal
import stat
import threading
import time
import unittest

from control import ControlError, PracticeProvider, basic

BASIC = basic("demo-client", "demo-secret")


def refresh(provider, name, token):
    return provider.form(f"/{name}/token", {"grant_type": "refresh_token", "refresh_token": token}, BASIC)


class Truth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = PracticeProvider().start()

    @classmethod
    def tearDownClass(cls):
        cls.provider.stop()

    def test_a_life_of_a_token_from_issue_to_death(self):
        provider = self.provider
        provider.switch("rfc/life", rotation="always", old_access="dies")
        pair = provider.issue("rfc/life", scope="a")
        provider.get("/rfc/life/userinfo", pair["access_token"])
        new = refresh(provider, "rfc/life", pair["refresh_token"]).json()
        provider.get("/rfc/life/userinfo", pair["access_token"])
        by_id = {t["id"]: t for t in provider.tokens(provider="rfc/life")}
        old = by_id[pair["access_id"]]
        self.assertEqual([e["what"] for e in old["events"]], ["issued", "used", "superseded", "used_dead"])
        old_refresh = by_id[pair["refresh_id"]]
        self.assertEqual([e["what"] for e in old_refresh["events"]], ["issued", "refreshed", "superseded"])
        successor = provider.check(new["access_token"])
        self.assertEqual(old["superseded_by"], successor["id"])
        self.assertEqual((successor["generation"], successor["superseded"], old["generation"]), (2, False, 1))
        self.assertEqual(by_id[successor["id"]]["parent"], pair["refresh_id"])
        self.assertEqual(provider.summary(provider="rfc/life")["dead_uses"], 1)

    def test_what_is_past_can_be_forgotten(self):
        provider = self.provider
        provider.switch("rfc/long", rotation="always", old_access="dies")
        pair = provider.issue("rfc/long")
        new = refresh(provider, "rfc/long", pair["refresh_token"]).json()
        provider.wait(requests={"provider": "rfc/long"})   # it is answered before it is noted as done
        before = time.time()
        newer = refresh(provider, "rfc/long", new["refresh_token"]).json()
        provider.reset("past", before=before)
        left = provider.tokens(provider="rfc/long")
        self.assertNotIn(pair["access_id"], [t["id"] for t in left])
        self.assertEqual([provider.check(t["access_token"])["known"] for t in (pair, new, newer)], [False, True, True])
        self.assertEqual(provider.check(newer["access_token"])["generation"], 3)
        self.assertEqual(len(provider.requests(provider="rfc/long")), 1, "what ended later is still there")
        self.assertEqual(refresh(provider, "rfc/long", newer["refresh_token"]).status, 200)

    def test_expired_use_is_noted(self):
        provider = self.provider
        provider.switch("rfc/expired", lifetime=0)
        token = provider.issue("rfc/expired")["access_token"]
        self.assertEqual(provider.get("/rfc/expired/userinfo", token).status, 401)
        self.assertEqual(provider.check(token)["counts"]["used_expired"], 1)
        self.assertEqual(provider.check(token)["why_dead"], "expired")

    def test_records_name_parameters_and_never_their_values(self):
        provider = self.provider
        pair = provider.issue("rfc/quiet")
        refresh(provider, "rfc/quiet", pair["refresh_token"])
        record = provider.requests(provider="rfc/quiet")[0]
        self.assertEqual(record["parameters"], ["grant_type", "refresh_token"])
        self.assertEqual((record["grant"], record["client"], record["auth"], record["encoding"], record["outcome"],
                          record["credential"], record["status"], record["answer"]),
                         ("refresh_token", "demo-client", "basic", "form", "ok", pair["refresh_id"], 200, "sent"))
        shown = json.dumps(provider.control("GET", "ledger", {"provider": "rfc/quiet"}))
        for secret in (pair["refresh_token"], pair["access_token"], "demo-secret"):
            self.assertNotIn(secret, shown)
        self.assertIn(pair["access_token"], json.dumps(provider.tokens(provider="rfc/quiet", values=True)))

    def test_summary_counts_superseded_and_still_alive(self):
        provider = self.provider
        pair = provider.issue("flat", user="demo@example.com")
        for _ in range(3):
            provider.form("/flat/oauth/access_token", {"grant_type": "refresh_token", "client_id": "demo-client",
                                                       "refresh_token": pair["refresh_token"], "client_secret": "demo-secret"})
        summary = provider.summary(provider="flat", family=pair["family"])
        self.assertEqual((summary["superseded"], summary["superseded_alive"], summary["posts"]), (3, 3, 3))
        provider.revoke(pair["access_token"])
        summary = provider.summary(provider="flat", family=pair["family"])
        self.assertEqual((summary["superseded_alive"], summary["superseded_revoked"]), (2, 1))
        self.assertEqual(summary["generations"], {pair["family"]: 4})

    def test_newer_login_of_the_same_user_is_seen(self):
        provider = self.provider
        old, new = (provider.issue("rfc/login")["access_token"] for _ in range(2))
        self.assertTrue(provider.check(old)["newer_login"])
        self.assertFalse(provider.check(new)["newer_login"])
        provider.switch("rfc/login", old_login="dies")
        provider.issue("rfc/login")
        self.assertEqual(provider.check(new)["why_dead"], "new sign-in")

    def test_control_kills_a_whole_grant(self):
        pair = self.provider.issue("rfc/taken")
        self.provider.revoke(pair["access_token"], family=True)
        self.assertFalse(self.provider.check(pair["refresh_token"])["alive"])

    def test_wait_wakes_when_it_happens_and_gives_up_in_time(self):
        provider = self.provider
        threading.Timer(0.2, lambda: provider.get("/rfc/waited/jwks")).start()
        self.assertEqual(provider.wait(requests={"provider": "rfc/waited"}, timeout=10), 1)
        with self.assertRaises(AssertionError):
            provider.wait(count=2, requests={"provider": "rfc/waited"}, timeout=0.1)

    def test_unknown_tokens_and_names(self):
        self.assertEqual(self.provider.check("x"), {"known": False, "alive": False})
        for provider in ("flat/x", "rfc/A", "nobody"):
            with self.assertRaises(ControlError):
                self.provider.issue(provider)

    def test_a_thousand_clients_at_once(self):
        self.provider.register("rfc/many", [{"id": f"c{i}", "secret": "s"} for i in range(1000)],
                               [{"name": f"u{i}"} for i in range(1000)])
        pairs = self.provider.issue_many({"provider": "rfc/many", "client": f"c{i}", "user": f"u{i}"} for i in range(1000))
        self.assertEqual(len({p["access_token"] for p in pairs}), 1000)
        self.assertEqual(self.provider.summary(provider="rfc/many", client="c999")["tokens"], {"access": 1, "refresh": 1})


class Process(unittest.TestCase):
    def setUp(self):
        self.provider = PracticeProvider(ledger=True, lifetime=42,
                                         config=[{"provider": "flat", "clients": [{"id": "c", "secret": "s"}]}]).start()
        self.addCleanup(self.provider.stop)

    def files(self, name):
        return os.path.join(self.provider.directory, name)

    def ca(self):
        with open(self.provider.ca_file, "rb") as f:
            return f.read()

    def test_everything_survives_a_restart(self):
        provider = self.provider
        provider.register("rfc/kept", [{"id": "new", "secret": "s"}], [{"name": "new@example.com"}], {"rotation": "always"})
        provider.switch("rfc/kept", client="new", lifetime=77)
        pair = provider.issue("rfc/kept", client="new", user="new@example.com")
        new = provider.form("/rfc/kept/token", {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]},
                            basic("new", "s")).json()
        everything = lambda: [{**provider.summary(), "peak_in_flight": None}, provider.tokens(values=True), provider.requests()]
        before = everything()
        port, ca = provider.port, self.ca()
        provider.restart()
        self.assertEqual((provider.port, self.ca()), (port, ca))
        self.assertEqual(everything(), before)
        answer = provider.form("/rfc/kept/token", {"grant_type": "refresh_token", "refresh_token": new["refresh_token"]},
                               basic("new", "s")).json()
        self.assertEqual(answer["expires_in"], 77)
        self.assertIn("refresh_token", answer)
        self.assertEqual(provider.check(answer["access_token"])["generation"], 3)

    def test_a_kill_loses_neither_what_was_done_nor_the_file(self):
        provider = self.provider
        provider.switch("rfc/killed", rotation="always")
        pair = provider.issue("rfc/killed")
        rule = provider.behave("hang", {"provider": "rfc/killed"}, when="after")
        failures = []

        def send():
            try:
                refresh(provider, "rfc/killed", pair["refresh_token"])
            except OSError as error:
                failures.append(error)
        thread = threading.Thread(target=send)
        thread.start()
        provider.wait(hanging=rule)
        provider.restart(signal.SIGKILL)
        thread.join(10)
        self.assertEqual(len(failures), 1)
        self.assertEqual(provider.check(pair["refresh_token"])["why_dead"], "superseded")
        with open(self.files("ledger.jsonl"), "a", encoding="utf-8") as f:
            f.write('{"op": "token", "id": "half a li')
        provider.restart(signal.SIGKILL)
        self.assertTrue(provider.check(pair["access_token"])["known"])
        self.assertTrue(provider.issue("rfc/killed")["access_token"])
        provider.restart()
        self.assertEqual(provider.summary(provider="rfc/killed")["tokens"], {"access": 3, "refresh": 3})

    def test_it_ends_cleanly_and_its_secrets_are_private(self):
        for name in ("ca.key", "server.key", "jwt.key", "control.token", "ledger.jsonl"):
            self.assertEqual(stat.S_IMODE(os.stat(self.files(name)).st_mode), 0o600, name)
        process = self.provider.process
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 0)
        self.assertFalse(os.path.exists(self.files("ready")))

    def test_it_ends_when_the_test_that_started_it_is_gone(self):
        process = self.provider.process
        process.stdin.close()
        self.assertEqual(process.wait(10), 0)

    def test_config_and_global_lifetime_are_used_and_reset_forgets(self):
        provider = self.provider
        self.assertEqual(provider.issue("flat", client="c")["expires_in"], 42)
        self.assertEqual(provider.issue("fflogs")["expires_in"], 42)
        provider.set_lifetime("flat", 5)
        self.assertEqual(provider.issue("flat")["expires_in"], 5)
        provider.reset()
        self.assertEqual(provider.summary()["tokens"], {})
        self.assertEqual(provider.issue("flat")["expires_in"], 42)
        provider.restart()
        self.assertEqual(provider.summary()["tokens"], {"access": 1, "refresh": 1})


if __name__ == "__main__":
    unittest.main()
