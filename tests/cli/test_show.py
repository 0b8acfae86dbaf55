import json
import signal
import subprocess

from fake_daemon import ok, problem
from harness import CREDSYNC, CliTest, at


class WhoAmITest(CliTest):
    VALUE = {"uid": 1000, "user": "alice", "gid": 1000, "groups": [{"gid": 1000, "name": "alice"}, {"gid": 27, "name": None}],
             "pid": 4242, "accounts": [
                 {"account": "flat-me", "actions": ["get", "watch"], "rules": [
                     {"rule": "account.flat-me.allow[0]", "matches": True, "why": "user is alice"},
                     {"rule": "account.flat-me.allow[1]", "matches": False, "why": "group adm is not among yours"}]}]}

    def test_shows_who_and_what_and_why(self):
        self.daemon.routes[("GET", "/v1/whoami")] = ok(self.VALUE)
        out = self.credsync("whoami").out
        for text in ("alice (uid 1000)", "alice (1000), 27", "4242", "flat-me  get, watch",
                     "matches  account.flat-me.allow[0]: user is alice",
                     "no match account.flat-me.allow[1]: group adm is not among yours"):
            self.assertIn(text, out)

    def test_of_a_process(self):
        self.daemon.routes[("GET", "/v1/whoami")] = ok(self.VALUE)
        self.assert_done(self.credsync("whoami", "--pid", "1"))
        self.assertEqual(self.daemon.requests[0].query, {"pid": "1"})

    def test_nobody_with_no_rights(self):
        self.daemon.routes[("GET", "/v1/whoami")] = ok({"uid": 65534, "user": None, "gid": 65534, "groups": [], "pid": 0, "accounts": []})
        result = self.credsync("whoami")
        self.assert_done(result)
        self.assertIn("(uid 65534)", result.out)
        self.assertIn("No rule lets you do anything", result.out)

    def test_ones_own_daemon_without_accounts(self):
        own, env = self.own_daemon()
        own.routes[("GET", "/v1/whoami")] = ok({**self.VALUE, "accounts": []})
        out = self.credsync("whoami", env=env).out
        self.assertNotIn("No rule", out)
        self.assertIn("credsync account add NAME", out)

    def test_json(self):
        self.daemon.routes[("GET", "/v1/whoami")] = ok(self.VALUE)
        self.assertEqual(json.loads(self.credsync("whoami", "--json").out), self.VALUE)


    def test_unit_and_executable_or_why_they_are_not_known(self):
        self.daemon.routes[("GET", "/v1/whoami")] = ok({**self.VALUE, "unit": "score-sync.service", "unit_why": None, "exe": None,
                                                        "exe_why": "the process belongs to another mount namespace"})
        out = self.credsync("whoami").out
        self.assertRegex(out, r"unit +score-sync\.service\n")
        self.assertRegex(out, r"executable +none: the process belongs to another mount namespace\n")

    def test_a_process_of_somebody_else(self):
        self.daemon.routes[("GET", "/v1/whoami")] = problem("not-allowed", 403, "Only admins may ask for others' processes.")
        self.assert_done(self.credsync("whoami", "--pid", "1"), 4)


class ProvidersTest(CliTest):
    def test_list(self):
        self.daemon.routes[("GET", "/v1/providers")] = ok({"providers": [
            {"id": "flat", "title": "Flat", "docs": "https://flat.io/developers", "grants": ["authorization_code", "static"], "file": "flat.toml"}]})
        lines = self.credsync("providers").out.splitlines()
        self.assertEqual(lines[0].split(), ["ID", "TITLE", "GRANTS", "FILE"])
        self.assertEqual(lines[1].split(), ["flat", "Flat", "authorization_code,", "static", "flat.toml"])

    def test_one_with_where_each_fact_comes_from(self):
        value = {"id": "flat", "title": "Flat", "docs": "https://flat.io/developers", "facts": [
            {"key": "endpoints.token", "value": "https://api.flat.io/oauth/access_token", "file": "flat.toml", "line": 7, "source": "the API's document"},
            {"key": "authorize.pkce", "value": False, "file": "providers.d/flat.toml", "line": 2, "source": None},
            {"key": "grants", "value": ["static"], "file": "flat.toml", "line": 3, "source": None}]}
        self.daemon.routes[("GET", "/v1/providers/flat")] = ok(value)
        out = self.credsync("providers", "flat").out
        self.assertRegex(out, r"endpoints.token +https://api.flat.io/oauth/access_token +flat.toml:7\n +source: the API's document\n")
        self.assertRegex(out, r"authorize.pkce +false +providers.d/flat.toml:2\n")
        self.assertIn('["static"]', out)
        self.assertEqual(json.loads(self.credsync("providers", "flat", "--json").out), value)

    def test_unknown_provider(self):
        self.daemon.routes[("GET", "/v1/providers/flap")] = problem("bad-request", 400, "There is no provider flap.", "credsync providers")
        self.assert_done(self.credsync("providers", "flap"), 1)
        self.assert_done(self.credsync("providers", "../accounts"), 2)


class LogTest(CliTest):
    ROUTE = ("GET", "/v1/audit")

    def setUp(self):
        super().setUp()
        self.record = {"at": "2026-01-31T12:00:00Z", "action": "get", "decision": "allowed", "account": "flat-me", "generation": 7,
                       "uid": 987654, "pid": 4242, "unit": "score-sync.service", "exe": None, "rule": "account.flat-me.allow[0]",
                       "count": 1, "detail": "min_valid 60"}
        denied = {**self.record, "account": "flume", "decision": "denied", "generation": None, "rule": None, "detail": None}
        self.daemon.routes[self.ROUTE] = ok({"records": [self.record, denied]})

    def test_shows_records(self):
        lines = self.credsync("log").out.splitlines()
        self.assertEqual(lines[0].split(), ["WHEN", "ACCOUNT", "ACTION", "DECISION", "GEN", "WHO", "UNIT", "PID", "RULE", "DETAIL"])
        self.assertEqual(lines[1].split(), ["2026-01-31", "12:00:00", "flat-me", "get", "allowed", "7", "987654", "score-sync.service", "4242",
                                            "account.flat-me.allow[0]", "min_valid", "60"])
        self.assertIn("denied", lines[2])

    def test_users_have_names_and_the_daemon_acts_by_itself(self):
        records = [{**self.record, "uid": 0, "count": 12, "exe": "/usr/bin/curl"}, {**self.record, "action": "refresh", "uid": None, "pid": None, "unit": None}]
        self.daemon.routes[self.ROUTE] = ok({"records": records})
        first, second, third = self.credsync("log").out.splitlines()
        for word in ("TIMES", "EXECUTABLE"):
            self.assertIn(word, first)
        for word in (" root ", " 12 ", "/usr/bin/curl"):
            self.assertIn(word, second)
        self.assertRegex(third, r"refresh +allowed +7 +credsyncd +- +-")

    def follow(self, *arguments):
        """`log --follow`, and what it prints as it comes."""
        process = subprocess.Popen([CREDSYNC, "log", "--follow", *arguments], env=self.environment(), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_follows_without_saying_anything_twice(self):
        alike = {**self.record, "at": "2026-01-31T12:00:01Z"}
        later = {**self.record, "at": "2026-01-31T12:00:02Z", "decision": "denied", "generation": 8}
        records = [self.record]
        self.daemon.routes[self.ROUTE] = lambda request: ok({"records": [r for r in records if r["at"] >= request.query["since"]]})
        process = self.follow("--since", "2026-01-31T12:00:00Z")
        expected = "  flat-me  get allowed  by 987654, score-sync.service, process 4242: min_valid 60\n"
        self.assertEqual(process.stdout.readline(), "2026-01-31 12:00:00" + expected)
        records += [alike, dict(alike)]
        self.assertEqual(process.stdout.readline(), "2026-01-31 12:00:01" + expected)
        self.assertEqual(process.stdout.readline(), "2026-01-31 12:00:01" + expected)
        records.append(later)
        self.assertIn("12:00:02  flat-me  get denied", process.stdout.readline())
        self.assertEqual(self.daemon.requests[-1].query["since"][:17], "2026-01-31T12:00:")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), -signal.SIGINT)

    def test_follows_from_now_on_as_json_and_through_a_restart(self):
        self.daemon.routes[self.ROUTE] = ok({"records": []})
        process = self.follow("--json", "flat-me")
        self.daemon.wait_for(lambda: self.daemon.requests)
        self.assertAlmostEqual(self.seconds(self.daemon.requests[0].query["since"]), self.seconds(at(0)), delta=60)
        self.daemon.stop()
        self.assertIn("trying again", process.stderr.readline())
        other = {**self.record, "account": "flume"}
        self.daemon.routes[self.ROUTE] = ok({"records": [other, self.record]})
        self.daemon.start()
        self.assertEqual(json.loads(process.stdout.readline()), self.record)

    def test_following_ends_when_it_is_not_allowed(self):
        self.daemon.routes[self.ROUTE] = problem("not-allowed", 403, "Only admins.")
        self.assert_done(self.credsync("log", "--follow"), 4)

    def test_of_one_account(self):
        out = self.credsync("log", "flume").out
        self.assertIn("flume", out)
        self.assertNotIn("flat-me", out)

    def test_since(self):
        for given in ("12h", "3600", "2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00"):
            self.assert_done(self.credsync("log", "--since", given))
        sinces = [request.query["since"] for request in self.daemon.requests]
        for since in sinces:
            self.assertRegex(since, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(sinces[2:], ["2026-01-31T12:00:00Z"] * 2)
        self.assertAlmostEqual(self.seconds(sinces[0]), self.seconds(at(-12 * 3600)), delta=60)
        self.assert_done(self.credsync("log", "--since", "yesterday"), 2)

    def test_the_last_day_unless_told(self):
        self.credsync("log")
        self.assertAlmostEqual(self.seconds(self.daemon.requests[0].query["since"]), self.seconds(at(-86400)), delta=60)

    @staticmethod
    def seconds(text):
        from datetime import datetime
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()

    def test_nothing_to_show(self):
        self.daemon.routes[self.ROUTE] = ok({"records": []})
        result = self.credsync("log")
        self.assert_done(result)
        self.assertEqual(result.out, "")

    def test_json(self):
        self.assertEqual(len(json.loads(self.credsync("log", "--json").out)["records"]), 2)
