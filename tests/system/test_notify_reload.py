"""The drop-in notify-reload.conf, for systemd 253 and newer: reload by signal, which the manager waits for."""

import unittest

from harness import SERVICE, MachineTest, wait_for

DROP_IN = "/usr/share/credsyncd/drop-ins/notify-reload.conf"
DEADLINE = 30.0     # seconds, for a status line


class NotifyReload(MachineTest):
    LIFETIME = 3600   # nothing is renewed

    @classmethod
    def set_up_machine(cls):
        cls.box.configure(cls.provider)
        cls.box.account("app", provider="fflogs", grant="client_credentials")
        # As the drop-in itself says.
        cls.box.run("install", "-D", "-m", "644", "-t", f"/etc/systemd/system/{SERVICE}.d", DROP_IN)
        cls.box.run("systemctl", "daemon-reload")
        cls.box.restart()
        cls.box.token("app")

    def shown(self):
        return self.box.show(SERVICE, "Type", "ActiveState", "SubState", "Result", "NRestarts", "StatusText", "ExecReload")

    def assert_well(self, pid):
        shown = self.shown()
        self.assertEqual({name: shown[name] for name in ("ActiveState", "SubState", "Result", "NRestarts")},
                         {"ActiveState": "active", "SubState": "running", "Result": "success", "NRestarts": "0"})
        self.assertEqual(self.box.main_pid(), pid, "a reload is no restart")

    def test_it_is_in_force(self):
        shown = self.shown()
        self.assertEqual(shown["Type"], "notify-reload")
        self.assertEqual(shown.get("ExecReload", ""), "", "the unit's own must not run besides")

    def test_a_good_configuration_is_in_force_when_systemctl_returns(self):
        pid = self.box.main_pid()
        self.box.account("second", provider="fflogs", grant="client_credentials")
        self.addCleanup(self.box.run, "systemctl", "reload", SERVICE)
        self.addCleanup(self.box.run, "rm", "-f", "/etc/credsyncd/accounts.d/second.toml")
        self.box.run("systemctl", "reload", SERVICE)
        self.assertEqual(self.box.http("GET", "/v1/accounts/second")[0], 200, "at once")
        self.assert_alive(self.box.token("second"))
        self.assert_well(pid)
        self.assertNotIn("refused", self.shown()["StatusText"])

    def test_a_bad_configuration_leaves_the_service_as_it_was_and_the_status_says_so(self):
        pid, before = self.box.main_pid(), self.box.token("app")
        self.box.account("app", provider="fflogs", grant="client_credentials", margni="10m")
        since = self.box.run("date", "+%s").stdout.strip()
        self.box.run("systemctl", "reload", SERVICE, check=False)   # systemd has no way to be told of a refusal
        self.assert_well(pid)
        self.assertIn("refused", self.shown()["StatusText"])
        self.assertIn("credsyncd --check-config", self.box.run("systemctl", "status", "--no-pager", SERVICE).stdout)
        self.assertRegex(self.box.journal("-u", SERVICE, f"--since=@{since}"), r"app\.toml:\d+.*margni")
        self.assertEqual(self.box.token("app"), before, "by the old configuration")
        self.box.account("app", provider="fflogs", grant="client_credentials")
        self.box.run("systemctl", "reload", SERVICE)
        wait_for(lambda: "refused" not in self.shown()["StatusText"], DEADLINE, "a status line without it")
        self.assert_well(pid)


if __name__ == "__main__":
    unittest.main()
