"""Start, reload, stop and restart as a service manager sees them: the passed socket, notifications, the watchdog; no request
is lost meanwhile. The test plays systemd; tests/system has the real one."""

import os
import select
import signal
import socket
import stat
import subprocess
import time
import unittest

import crowd
import sanitizer
from harness import CONFIG_ERROR, DaemonTest, USER, wait_for
from keepers import Crowd
from manager import ManagedDaemon

CALLERS = 44
COMMANDERS = 6
RESTARTS = 3
FLUME = {"provider": "flume", "grant": "password", "username": USER, "password": {"file": "flume.password"}}


class ManagedTest(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.account("flume", **FLUME)

    def new_daemon(self, **options):
        daemon = ManagedDaemon(**{"activated": False, **options})
        self.addCleanup(daemon.close)
        daemon.configure(self.provider)
        return daemon

    def managed(self, **options):
        """Another daemon than that of setUp, which is not started then."""
        self.daemon = self.new_daemon(**options)
        self.daemon.account("flume", **FLUME)
        return self.daemon

    def told(self):
        return self.daemon.notifications


class SocketActivation(ManagedTest):
    def setUp(self):
        super().setUp()
        self.managed(activated=True)

    def test_requests_that_came_before_the_start_are_answered(self):
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/accounts/flume/token")] * 50)
        crowd.send_all(callers)
        self.daemon.start()
        self.assertEqual({a.status for a in crowd.gather(callers)}, {200})

    def test_the_socket_is_not_touched(self):
        os.chmod(self.daemon.socket, 0o660)
        before = os.lstat(self.daemon.socket)
        self.start()
        self.daemon.stop()
        after = os.lstat(self.daemon.socket)
        self.assertEqual((after.st_ino, stat.S_IMODE(after.st_mode), after.st_uid), (before.st_ino, 0o660, before.st_uid))
        self.daemon.start()
        self.granted(self.new_api().token("flume"))

    def test_callers_are_known_though_they_came_before_the_start(self):
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/whoami")])
        crowd.send_all(callers)
        self.daemon.start()
        answer = crowd.gather(callers)[0].json
        self.assertEqual((answer["uid"], answer["pid"]), (os.getuid(), os.getpid()))

    def test_who_comes_during_a_restart_is_answered_by_the_next_process(self):
        self.start()
        self.assertEqual(self.daemon.stop(), 0)
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/accounts/flume/token")] * 50)
        crowd.send_all(callers)
        self.daemon.start()
        self.assertEqual({a.status for a in crowd.gather(callers)}, {200})

    def test_a_crowd_notices_no_restart(self):
        api = self.start()
        self.granted(api.token("flume"))
        with Crowd(self.daemon.socket, "flume", CALLERS, COMMANDERS) as callers:
            for _ in range(RESTARTS):
                before = callers.counts()
                self.daemon.restart()
                wait_for(lambda: all(n > b for n, b in zip(callers.counts(), before)), 60, "everybody to go on")
        self.assertEqual([k.lost for k in callers.keepers if k.lost], [])
        self.assertEqual([k.refused for k in callers.keepers if k.refused], [])
        self.assertEqual([c.failed for c in callers.commanders if c.failed], [])
        self.assertGreater(sum(k.renewed for k in callers.keepers), CALLERS * RESTARTS, "the restarts were real")

    def refused_start(self, words):
        self.daemon.spawn()
        self.assertEqual(self.daemon.ended(), CONFIG_ERROR)
        self.assertIn(words, self.daemon.log())
        wait_for(lambda: any(words in line for line in self.told().having("STATUS")), 5, "the manager to be told")

    def test_who_waits_for_a_daemon_that_cannot_start_is_told(self):
        """Else each of them would have systemd start it again as soon as it has ended."""
        callers = crowd.connect_all(self.daemon.socket, [crowd.get("/v1/accounts/flume/token")] * 50)
        crowd.send_all(callers)
        self.daemon.account("flume", nonsense=1, **FLUME)
        self.refused_start("nonsense")
        answers = crowd.gather(callers)
        self.assertEqual({a.status for a in answers}, {503})
        self.assertEqual({a.json["next_step"] for a in answers}, {"journalctl -u credsyncd"})
        self.assertEqual(select.select([self.daemon.listening], [], [], 0)[0], [], "nobody is left to start it again")

    def test_a_socket_of_another_name_is_refused(self):
        self.daemon.name = "credsyncd.socket"
        self.refused_start("FileDescriptorName=http")

    def test_a_socket_at_another_path_is_refused(self):
        os.rename(self.daemon.socket, self.daemon.socket + ".moved")
        self.daemon.socket += ".moved"
        self.daemon.configure(self.provider)
        self.refused_start("set both the same")


class Restart(ManagedTest):
    def test_a_crowd_gets_over_a_restart_without_a_socket_unit(self):
        api = self.start()
        self.granted(api.token("flume"))
        with Crowd(self.daemon.socket, "flume", CALLERS, COMMANDERS) as callers:
            for _ in range(RESTARTS):
                before = callers.counts()
                self.daemon.restart()
                wait_for(lambda: all(n > b for n, b in zip(callers.counts(), before)), 60, "everybody to go on")
        self.assertEqual([k.lost for k in callers.keepers if k.lost], [])
        self.assertEqual([k.refused for k in callers.keepers if k.refused], [])
        self.assertEqual([c.failed for c in callers.commanders if c.failed], [])

    def test_tokens_are_handed_out_while_a_slow_provider_holds_the_stop(self):
        self.daemon.account("slow", provider="fflogs", grant="client_credentials", scopes=["s"])
        rule = self.provider.behave("hang", {"provider": "fflogs"}, when="after", times=1)
        api = self.start()
        self.granted(api.token("flume"))
        self.provider.wait(hanging=rule)
        self.daemon.process.send_signal(signal.SIGTERM)
        wait_for(lambda: self.told().having("STOPPING"), 10, "the stop to begin")
        self.granted(api.token("flume"))
        self.granted(self.new_api().token("flume"))
        answer = self.new_api().token("slow", wait=30)
        self.assertTrue(self.refused(answer, "unavailable", 503)["stopping"])
        self.assertEqual(answer.headers["retry-after"], "1")
        self.refused(self.new_api().reload(), "unavailable", 503)
        self.provider.release(rule)
        self.assertEqual(self.daemon.ended(), 0)
        self.daemon.start()
        self.granted(self.new_api().token("slow", wait=0))
        self.assertEqual(len(self.posts(provider="fflogs")), 1, "the answer was kept")


class Notifications(ManagedTest):
    def test_ready_means_that_tokens_can_be_asked_for(self):
        self.daemon.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.connect(self.daemon.socket)
        self.assertEqual(self.told().having("READY"), ["1"])

    def test_the_status_counts_and_follows(self):
        self.daemon.account("signed-out", provider="flat", grant="refresh_token")
        self.daemon.account("other", provider="fflogs", grant="client_credentials", scopes=["s"])
        api = self.start()
        self.granted(api.token("flume"))
        self.granted(api.token("other"))
        wait_for(lambda: self.told().status == "3 accounts: 2 ok, 1 needs a login", 20, "the counts")
        self.provider.behave("status", {"provider": "fflogs", "endpoint": "token"}, status=503)
        api.refresh("other")
        wait_for(lambda: self.told().status == "3 accounts: 1 ok, 1 needs a login, 1 retrying", 20, "the trouble")

    def test_a_reload_is_told_with_its_time(self):
        api = self.start()
        self.told().clear()
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.assertEqual(api.reload().status, 200)
        wait_for(lambda: self.told().having("READY"), 10, "the end of the reload")
        fields = [f for _, f in self.told().messages]
        self.assertEqual([("RELOADING" in f, "READY" in f) for f in fields[:2]], [(True, False), (False, True)])
        self.assertTrue(before <= int(fields[0]["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000)

    def test_a_refused_reload_is_over_too(self):
        self.start()
        self.told().clear()
        self.daemon.write("credsyncd.toml", "wrong = true\n")
        self.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.told().having("READY"), 10, "the end of the reload")
        self.assertEqual(self.told().having("RELOADING"), ["1"])

    def test_the_stop_is_told_with_the_time_it_may_take(self):
        self.start()
        self.daemon.stop()
        self.assertEqual(self.told().having("STOPPING"), ["1"])
        self.assertGreaterEqual(int(self.told().having("EXTEND_TIMEOUT_USEC")[-1]), 38_000_000)

    def test_a_start_that_fails_says_why(self):
        self.daemon.write("credsyncd.toml", "wrong = true\n")
        self.daemon.spawn()
        self.assertEqual(self.daemon.ended(), CONFIG_ERROR)
        wait_for(lambda: "wrong" in (self.told().status or ""), 5, "the reason")
        self.assertEqual(self.told().having("READY"), [])

    def test_programs_that_give_secrets_know_nothing_of_the_manager(self):
        out = self.daemon.place("environment")
        script = self.daemon.write("secret.sh", f"#!/bin/sh\nenv > {out}\nls -l /proc/self/fd >> {out}\necho demo-secret\n", 0o755)
        daemon = self.managed(activated=True, watchdog=60)
        daemon.account("told", provider="fflogs", grant="client_credentials", scopes=["s"],
                       client_secret={"command": [script]})
        api = self.start()
        self.granted(api.token("told"))
        with open(out, encoding="utf-8") as found:
            text = found.read()
        self.assertIn("PATH=", text)
        for word in ("NOTIFY", "WATCHDOG", "LISTEN", "socket:"):
            self.assertNotIn(word, text)


class Watchdog(ManagedTest):
    def test_it_is_fed_and_a_stopped_daemon_does_not_feed_it(self):
        self.managed(watchdog=2.0)
        self.start()
        wait_for(lambda: len(self.told().times("WATCHDOG")) >= 4, 20, "it to be fed")
        self.daemon.process.send_signal(signal.SIGSTOP)
        self.addCleanup(lambda: self.daemon.process and self.daemon.process.send_signal(signal.SIGCONT))
        wait_for(lambda: self.stopped(), 5, "the stop")
        count = len(self.told().times("WATCHDOG"))
        time.sleep(2.5)   # longer than the period: this is what the manager would kill for
        self.assertLessEqual(len(self.told().times("WATCHDOG")), count + 1)
        self.daemon.process.send_signal(signal.SIGCONT)
        wait_for(lambda: len(self.told().times("WATCHDOG")) > count + 1, 10, "it to be fed again")

    def stopped(self):
        with open(f"/proc/{self.daemon.process.pid}/stat", encoding="ascii") as found:
            return found.read().rsplit(")", 1)[1].split()[0] == "T"

    @unittest.skipIf(sanitizer.BUILT_WITH, "NOT TESTED: a sanitizer must be loaded before the disk that hangs")
    def test_a_disk_that_hangs_does_not_starve_it_and_is_told(self):
        flag = self.daemon.place("hang")
        self.managed(watchdog=2.0, environment={"LD_PRELOAD": os.environ["STUCK_DISK"], "STUCK_DISK_WHILE": flag})
        api = self.start()
        self.granted(api.token("flume"))
        with open(flag, "w", encoding="ascii"):
            pass
        self.addCleanup(lambda: os.path.exists(flag) and os.unlink(flag))
        self.assertEqual(self.new_api().token("flume").status, 200)
        asked = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/accounts/flume/refresh")])
        crowd.send_all(asked)
        wait_for(lambda: "the disk hangs" in self.daemon.log(), 30, "the alarm")
        count = len(self.told().times("WATCHDOG"))
        wait_for(lambda: len(self.told().times("WATCHDOG")) >= count + 3, 10, "it to be fed all the same")
        wait_for(lambda: "the disk hangs" in (self.told().status or ""), 10, "the status")
        self.granted(api.token("flume"))
        self.assertIn("credsync_store_stuck 1\n", api("GET", "/metrics").body.decode())
        store = next(c for c in api("GET", "/v1/doctor").json["checks"] if c["name"] == "store")
        self.assertEqual(store["result"], "failed", store)
        os.unlink(flag)
        self.assertEqual(crowd.gather(asked)[0].status, 200)
        wait_for(lambda: "the disk moves again" in self.daemon.log(), 10, "the end of the alarm")
        self.assertIn("credsync_store_stuck 0\n", api("GET", "/metrics").body.decode())

    @unittest.skipIf(sanitizer.BUILT_WITH, "NOT TESTED: a sanitizer must be loaded before the disk that hangs")
    def test_a_disk_that_hangs_at_the_end_is_waited_for(self):
        flag = self.daemon.place("hang")
        self.managed(environment={"LD_PRELOAD": os.environ["STUCK_DISK"], "STUCK_DISK_WHILE": flag})
        self.daemon.account("app", provider="fflogs", grant="client_credentials", scopes=["s"])   # nothing is stored before it asks
        api = self.start()
        first = self.granted(api.token("app"))
        with open(flag, "w", encoding="ascii"):
            pass
        self.addCleanup(lambda: os.path.exists(flag) and os.unlink(flag))
        asked = crowd.connect_all(self.daemon.socket, [crowd.post("/v1/accounts/app/refresh")])
        crowd.send_all(asked)
        wait_for(lambda: len(self.posts(provider="fflogs")) == 2, 20, "the answer of the provider")
        self.daemon.process.send_signal(signal.SIGTERM)
        # 45 s until the doors are closed, for the answer is under way; then more time is asked for again and again.
        wait_for(lambda: len(self.told().having("EXTEND_TIMEOUT_USEC")) >= 4, 80, "more time to be asked for")
        self.assertIsNone(self.daemon.process.poll())
        os.unlink(flag)
        self.assertEqual(self.daemon.ended(), 0)
        crowd.gather(asked)
        self.daemon.start()
        after = self.granted(self.new_api().token("app", wait=0))
        self.assertEqual(after["generation"], first["generation"] + 1, "the answer was kept")

    def test_without_one_an_idle_daemon_does_not_wake_up(self):
        api = self.start()
        self.granted(api.token("flume"))
        api.close()
        wait_for(lambda: self.told().status == "1 account: 1 ok", 10, "the last line")
        time.sleep(3)      # the line's own pause and the first minute's housekeeping
        before = self.wake_ups()
        time.sleep(3)
        self.assertLessEqual(self.wake_ups() - before, 1)

    def wake_ups(self):
        with open(f"/proc/{self.daemon.process.pid}/task/{self.daemon.process.pid}/status", encoding="ascii") as found:
            return next(int(line.split()[1]) for line in found if line.startswith("voluntary_ctxt_switches"))


class Offline(ManagedTest):
    def test_without_a_network_it_starts_and_serves_what_is_good(self):
        api = self.start()
        first = self.granted(api.token("flume"))
        api.close()
        self.daemon.stop()
        self.daemon.account("never", provider="fflogs", grant="client_credentials", scopes=["s"])
        # Names do not resolve and addresses are not reached: a namespace of its own has not even a loopback.
        began = time.monotonic()
        self.start_without_network()
        self.assertLess(time.monotonic() - began, 20)
        api = self.new_api()
        again = self.granted(api.token("flume", wait=0))
        self.assertEqual(again["access_token"], first["access_token"])
        self.refused(api.token("never", wait=3), "unavailable", 503)
        wait_for(lambda: api.status("never")["state"] == "retrying", 40, "the failure to be known")
        self.assertEqual(self.granted(api.token("flume"))["access_token"], first["access_token"])

    def start_without_network(self):
        arguments = self.daemon.arguments
        self.daemon.arguments = lambda *more: ["/usr/bin/unshare", "--net", *arguments(*more)]
        self.addCleanup(setattr, self.daemon, "arguments", arguments)
        self.daemon.start()


if __name__ == "__main__":
    unittest.main()
