"""`credsync doctor`: each thing that is broken is found, with what to do, and looking for it holds nobody up."""

import os
import pwd
import socket
import subprocess
import threading
import time
import unittest

from harness import DaemonTest, USER, wait_for

FLUME = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}
PATIENCE = 25 + 10    # seconds: the examination's own, and room for a busy machine


class Doctor(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)

    def checks(self, api):
        answer = api("GET", "/v1/doctor")
        self.assertEqual(answer.status, 200, answer)
        found = {}
        for check in answer.json["checks"]:
            found.setdefault(check["name"], []).append(check)
            if check["result"] != "ok":
                self.assertTrue(check["detail"], check)
        return found

    def only(self, checks, name):
        self.assertEqual(len(checks[name]), 1, checks[name])
        return checks[name][0]

    def fails(self, api, name, words, step=""):
        """The one check of that name that is not ok."""
        bad = [c for c in self.checks(api)[name] if c["result"] != "ok"]
        self.assertEqual(len(bad), 1, bad)
        self.assertIn(words, bad[0]["detail"])
        self.assertIn(step, bad[0]["next_step"] or "")
        return bad[0]

    def test_a_healthy_daemon(self):
        api = self.start()
        self.granted(api.token("flume"))
        checks = self.checks(api)
        for name in ("configuration", "folders", "secrets", "listen.http", "store", "log", "bus", "account flume"):
            self.assertEqual(self.only(checks, name)["result"], "ok", checks[name])
        self.assertEqual({c["result"] for c in checks["provider flume"]}, {"ok"}, checks["provider flume"])
        self.assertIn("certificate is good until", checks["provider flume"][0]["detail"])
        self.assertIn(self.only(checks, "clock")["result"], ("ok", "warning"))   # a test machine may not be synchronised
        self.assertEqual(sum(post["method"] != "HEAD" for post in self.posts(provider="flume")), 1, "nothing was spent")

    def test_the_command_shows_it_and_its_status_tells(self):
        api = self.start()
        self.granted(api.token("flume"))   # the first sign-in is over
        well = self.daemon.cli("doctor")
        self.assertEqual(well.returncode, 0, well.stdout)
        self.assertIn("provider flume", well.stdout)
        os.chmod(self.daemon.state, 0o755)
        ill = self.daemon.cli("doctor")
        self.assertEqual(ill.returncode, 1, ill.stdout)
        self.assertIn(f"Try: chmod 700 {self.daemon.state}", ill.stdout)

    def test_what_is_broken_on_the_machine_is_found(self):
        api = self.start()
        os.chmod(self.daemon.place("accounts.d"), 0o777)
        self.fails(api, "folders", "accounts.d can be written by everybody", "ls -ld")
        os.chmod(self.daemon.place("accounts.d"), 0o755)
        os.chmod(self.daemon.place("accounts.d", "flume.password"), 0o644)
        self.fails(api, "secrets", "account flume", "ls -l")
        os.chmod(self.daemon.place("accounts.d", "flume.password"), 0o600)
        self.daemon.write("conf.d/wrong.toml", "wrong = true\n")
        self.fails(api, "configuration", "wrong", "--check-config")
        os.unlink(self.daemon.place("conf.d", "wrong.toml"))
        os.chmod(self.daemon.socket, 0o600)
        self.fails(api, "listen.http", "mode 0600")

    def test_a_socket_that_leads_elsewhere_is_found(self):
        api = self.start()
        self.granted(api.token("flume"))   # a connection of before
        os.rename(self.daemon.socket, self.daemon.socket + ".old")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
            other.bind(self.daemon.socket)
            other.listen(8)
            os.chmod(self.daemon.socket, 0o666)
            self.fails(api, "listen.http", "does not lead to this daemon")

    def test_a_certificate_that_does_not_verify_is_found(self):
        own = self.daemon.place("other.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                        "/dev/null", "-subj", "/CN=other", "-out", own], check=True, capture_output=True, timeout=60)
        self.daemon.account("flume", ca_file=own, **FLUME)
        api = self.start()
        self.fails(api, "provider flume", "certificate", "openssl s_client -connect")

    def test_a_provider_that_is_away_is_found(self):
        with socket.socket() as taken:   # nobody listens on it
            taken.bind(("127.0.0.1", 0))
            url = f"https://127.0.0.1:{taken.getsockname()[1]}"
            self.daemon.profile("away", url)
            self.daemon.account("away", provider="away", grant="client_credentials")
            self.fails(self.start(), "provider away", "token endpoint", "curl -sSI " + url)

    def test_it_works_when_all_workers_hang(self):
        with open(self.daemon.place("credsyncd.toml"), "a", encoding="utf-8") as out:
            out.write("[refresh]\nworkers = 1\n")
        self.daemon.account("stuck", provider="fflogs", grant="client_credentials", scopes=["s"])
        rule = self.provider.behave("hang", {"provider": "fflogs", "endpoint": "token"}, when="after", times=1)
        api = self.start()
        self.provider.wait(hanging=rule)
        checks = self.checks(api)
        self.assertEqual(self.only(checks, "configuration")["result"], "ok", "files were looked at")
        self.assertEqual({c["result"] for c in checks["provider flume"]}, {"ok"}, checks["provider flume"])
        stuck = self.only(checks, "account stuck")
        self.assertEqual(stuck["result"], "warning", "nothing has failed yet")
        self.assertIn("being asked for", stuck["detail"])
        self.provider.release(rule)

    def test_one_that_hangs_holds_only_the_examination(self):
        with socket.socket() as hung:    # connections are taken by the kernel, and nothing ever comes
            hung.bind(("127.0.0.1", 0))
            hung.listen(64)
            self.daemon.profile("hung", f"https://127.0.0.1:{hung.getsockname()[1]}")
            self.daemon.account("hung", provider="hung", grant="client_credentials")
            api = self.start()
            self.granted(api.token("flume"))
            found = {}
            began = time.monotonic()
            askers = [threading.Thread(target=lambda i=i: found.update({i: self.checks(self.new_api())})) for i in range(3)]
            for asker in askers:
                asker.start()
            slowest = 0.0
            while any(asker.is_alive() for asker in askers):
                asked = time.monotonic()
                self.granted(api.token("flume"))
                slowest = max(slowest, time.monotonic() - asked)
                time.sleep(0.01)
            self.assertLess(time.monotonic() - began, PATIENCE)
            self.assertLess(slowest, 2, "others are served meanwhile")
            for checks in found.values():
                self.assertEqual({c["result"] for c in checks["provider hung"]}, {"failed"}, checks["provider hung"])

    def test_it_is_for_admins(self):
        self.daemon.configure(self.provider, rules=[{"user": pwd.getpwuid(os.getuid()).pw_name, "actions": ["get", "watch"]}])
        api = self.start()
        if os.getuid() != 0:
            self.refused(api("GET", "/v1/doctor"), "not-allowed", 403)
        else:
            self.assertEqual(api("GET", "/v1/doctor").status, 200, "root is an admin")

    def test_a_caller_that_leaves_costs_nothing(self):
        api = self.start()
        for _ in range(5):
            leaving = self.daemon.api()
            leaving.connection.request("GET", "/v1/doctor")
            leaving.close()
        wait_for(lambda: "credsync_waiting" in api("GET", "/metrics").body.decode(), 10, "it to go on")
        self.checks(api)


if __name__ == "__main__":
    unittest.main()
