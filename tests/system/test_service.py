"""The installed service: its user and folders, start by its socket and by the bus, reload, restart under load, watchdog."""

import json
import os
import unittest

from harness import SERVICE, SOCKET, SOCKET_UNIT, STATE, MachineTest, wait_for

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "load.py")
COMMANDS, CLIENTS = 25, 25      # the 50 callers of a restart
RESTARTS = 4
TOGETHER = 20                   # callers at a socket whose service does not run
SHORT_WATCHDOG = 3              # seconds, in a drop-in: the shipped half minute would only take longer
RECOVERY = 60.0                 # seconds: watchdog, abort, the pause before a restart, on a busy machine


class Service(MachineTest):
    LIFETIME = 3600   # nothing is renewed but what a test orders

    @classmethod
    def set_up_machine(cls):
        cls.box.configure(cls.provider)
        cls.box.account("app", provider="fflogs", grant="client_credentials")
        cls.box.copy_in(LOAD, "/opt/test/load.py")
        cls.box.run("systemctl", "reload-or-restart", SERVICE)

    def setUp(self):
        self.provider.reset("behaviour")
        self.box.run("systemctl", "reset-failed", check=False)
        self.box.run("systemctl", "start", SOCKET_UNIT, SERVICE)
        self.assertTrue(self.box.token("app"))

    def stat(self, path):
        """"MODE USER GROUP" of a path in the machine."""
        return self.box.run("stat", "-c", "%a %U %G", path).stdout.strip()

    def test_users_groups_and_folders(self):
        passwd = self.box.run("getent", "passwd", "credsyncd").stdout.strip().split(":")
        self.assertLess(int(passwd[2]), 1000, "a system user")
        self.assertIn("nologin", passwd[6])
        self.assertTrue(self.box.run("getent", "group", "credsync-admin").stdout.strip().endswith(":"), "nobody is in it by default")
        self.assertEqual(self.stat(STATE), "700 credsyncd credsyncd")
        self.assertEqual(self.stat(f"{STATE}/credsyncd.key"), "600 credsyncd credsyncd")
        self.assertEqual(self.stat("/run/credsyncd-api"), "755 root root")
        self.assertEqual(self.stat(SOCKET), "666 root root")
        self.assertEqual(self.stat("/etc/credsyncd")[-9:], "root root")
        self.assertEqual(self.stat("/etc/credsyncd/accounts.d"), "750 root credsyncd")

    def test_it_is_up_after_a_boot(self):
        self.box.reboot()
        self.assertTrue(self.box.is_active(SERVICE))
        self.assertTrue(self.box.is_active(SOCKET_UNIT))
        self.assertIn("0 loaded units", self.box.run("systemctl", "--failed").stdout)
        self.assertTrue(self.box.token("app"))

    def test_status_says_what_it_does(self):
        shown = self.box.show(SERVICE, "StatusText", "Type", "NotifyAccess", "ActiveState")
        self.assertRegex(shown["StatusText"], r"^\d+ accounts?: .*\b1 ok\b")
        self.assertEqual((shown["ActiveState"], shown["Type"]), ("active", "notify"))

    def test_the_first_request_starts_it_and_is_answered(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.assertFalse(self.box.is_active())
        self.assertTrue(self.box.is_active(SOCKET_UNIT), "its socket outlives it")
        self.assert_alive(self.box.token("app"))
        self.assertTrue(self.box.is_active())

    def test_all_who_come_while_it_starts_are_answered(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        callers = [self.box.popen("credsync", "token", "app") for _ in range(TOGETHER)]
        answers = [(caller.communicate()[0].strip(), caller.returncode) for caller in callers]
        self.assertEqual({status for _, status in answers}, {0}, answers)
        self.assertEqual(len({token for token, _ in answers}), 1)
        self.assert_alive(answers[0][0])

    def test_the_bus_starts_it(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        answer = self.box.run("busctl", "--json=short", "call", "org.credsync.CredSync1", "/org/credsync/CredSync1",
                              "org.credsync.CredSync1", "GetAccessToken", "sa{sv}", "app", "0").stdout
        self.assert_alive(json.loads(answer)["data"][0])
        self.assertTrue(self.box.is_active())

    def test_reload_takes_a_good_configuration(self):
        before = self.box.main_pid()
        self.box.account("second", provider="fflogs", grant="client_credentials")
        self.addCleanup(self.box.run, "rm", "-f", "/etc/credsyncd/accounts.d/second.toml")
        self.box.run("systemctl", "reload", SERVICE)
        self.assert_alive(self.box.token("second"))
        self.assertEqual(self.box.main_pid(), before, "a reload is no restart")

    def test_reload_refuses_a_bad_configuration_and_says_why(self):
        before = self.box.token("app")
        self.box.account("app", provider="fflogs", grant="client_credentials", margni="10m")
        self.addCleanup(self.box.account, "app", provider="fflogs", grant="client_credentials")
        since = self.box.run("date", "+%s").stdout.strip()
        failed = self.box.run("systemctl", "reload", SERVICE, check=False)
        self.assertNotEqual(failed.returncode, 0, "systemctl must say that the reload failed")
        self.assertIn("journalctl", failed.stderr)
        told = self.box.journal("-u", SERVICE, f"--since=@{since}")
        self.assertRegex(told, r"app\.toml:\d+.*margni")
        self.assertRegex(told, r"did you mean .?margin")
        self.assertTrue(self.box.is_active(), "it goes on")
        self.assertEqual(self.box.token("app"), before, "by the old configuration")
        self.assertEqual(self.box.show(SERVICE, "NRestarts")["NRestarts"], "0")
        self.assertIn("refused", self.box.show(SERVICE, "StatusText")["StatusText"])

    def test_a_restart_under_load_fails_no_request(self):
        load = self.box.popen("/usr/bin/python3", "/opt/test/load.py", SOCKET, "app", str(COMMANDS), str(CLIENTS), deadline=300)
        self.assertEqual(load.stdout.readline(), "started\n")
        for _ in range(RESTARTS):
            before = self.box.main_pid()
            self.box.restart()
            self.assertNotEqual(self.box.main_pid(), before)
        told, errors = load.communicate()
        self.assertEqual(load.returncode, 0, errors)
        found = json.loads(told)
        print(f"\n{RESTARTS} restarts under {COMMANDS + CLIENTS} callers: {found['counts']}, slowest {found['slowest']:.2f} s")
        self.assertEqual(found["failures"], [], found["counts"])
        self.assertGreater(found["counts"]["command"], COMMANDS)
        self.assertGreater(found["counts"]["client"], CLIENTS)
        self.assertEqual(found["tokens"], 1, "one token, kept over all restarts")
        self.assertEqual(self.box.show(SERVICE, "Result")["Result"], "success")

    def test_the_watchdog_ends_a_daemon_that_stands_still(self):
        self.assertNotEqual(self.box.show(SERVICE, "WatchdogUSec")["WatchdogUSec"], "0", "as shipped")
        self.box.shell(f"mkdir -p /run/systemd/system/{SERVICE}.d; printf '[Service]\\nWatchdogSec={SHORT_WATCHDOG}s\\n' "
                       f"> /run/systemd/system/{SERVICE}.d/test.conf; systemctl daemon-reload; systemctl restart {SERVICE}")
        self.addCleanup(self.box.shell, f"rm -r /run/systemd/system/{SERVICE}.d; systemctl daemon-reload; systemctl restart {SERVICE}")
        token, before = self.box.token("app"), self.box.main_pid()
        self.box.run("kill", "-STOP", str(before))
        waiting = self.box.popen("credsync", "token", "app")   # comes while it stands still
        wait_for(lambda: self.box.main_pid() not in (0, before), RECOVERY, "systemd to have started another")
        answered, errors = waiting.communicate()
        self.assertEqual((answered.strip(), waiting.returncode), (token, 0), errors)
        self.assertIn("watchdog", self.box.journal("-u", SERVICE).lower())
        self.assertEqual(self.box.token("app"), token)
        self.assertEqual(self.box.show(SERVICE, "NRestarts")["NRestarts"], "1")


if __name__ == "__main__":
    unittest.main()
