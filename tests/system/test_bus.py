"""The system bus with users of the machine: the shipped policy, who sees what, the group of administrators, polkit or none."""

import json
import unittest

from harness import SERVICE, MachineTest, facts

NAME, PATH = "org.credsync.CredSync1", "/org/credsync/CredSync1"
NO_SUCH_ACCOUNT, ACCESS_DENIED = "does not exist", "denied"


class BusTest(MachineTest):
    """A machine with users, and an account for one and for one group."""

    LIFETIME = 3600

    @classmethod
    def set_up_machine(cls):
        for user in ("alice", "bob", "carol", "dave"):
            cls.box.run("useradd", "--create-home", user)
        cls.box.run("usermod", "-a", "-G", "credsync-admin", "carol")
        cls.box.configure(cls.provider)
        cls.box.account("alices", provider="fflogs", grant="client_credentials", allow=[{"user": "alice", "actions": ["get"]}])
        cls.box.account("daves", provider="fflogs", grant="client_credentials", allow=[{"group": "dave", "actions": ["get"]}])
        cls.box.run("systemctl", "reload-or-restart", SERVICE)

    def call(self, user, method, *arguments):
        """Calls a method over the system bus; the process."""
        return self.box.run("busctl", "--system", "--json=short", "call", NAME, PATH, NAME, method, *arguments, user=user, check=False)

    def answer(self, user, method, *arguments):
        done = self.call(user, method, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["data"] if done.stdout else []

    def token(self, user, account):
        return self.call(user, "GetAccessToken", "sa{sv}", account, "0")


class Bus(BusTest):
    def test_the_allowed_user_gets_a_token(self):
        token = self.answer("alice", "GetAccessToken", "sa{sv}", "alices", "0")[0]
        self.assert_alive(token)
        self.assertEqual(token, self.box.token("alices", user="alice"), "the same as on the socket")

    def test_rules_by_group(self):
        self.assert_alive(self.answer("dave", "GetAccessToken", "sa{sv}", "daves", "0")[0])

    def test_another_user_sees_nothing(self):
        self.assertEqual(self.answer("bob", "ListAccounts"), [[]])
        other, missing = self.token("bob", "alices"), self.token("bob", "nosuch0")
        self.assertNotEqual(other.returncode, 0)
        self.assertEqual(other.stderr.replace("alices", "X"), missing.stderr.replace("nosuch0", "X"))
        self.assertNotIn("alices", self.box.run("busctl", "--system", "introspect", NAME, PATH, user="bob").stdout)
        self.assertEqual(self.box.credsync("status", user="bob", check=False).stdout.count("alices"), 0)
        self.assertEqual(self.box.credsync("token", "alices", user="bob", check=False).returncode, 4)

    def test_each_sees_its_own(self):
        names = lambda user: {account["account"]["data"] for account in self.answer(user, "ListAccounts")[0]}
        self.assertEqual(names("alice"), {"alices"})
        self.assertEqual(names("dave"), {"daves"})
        self.assertEqual(names("carol"), {"alices", "daves"}, "administrators see all")

    def test_administrators_manage_and_get_no_token(self):
        self.answer("carol", "Reload")
        self.box.credsync("reload", user="carol")
        self.assertEqual(self.box.credsync("token", "alices", user="carol", check=False).returncode, 4)
        refused = self.token("carol", "alices")
        self.assertNotEqual(refused.returncode, 0)

    def test_others_do_not_manage(self):
        for user in ("alice", "bob"):
            self.assertNotEqual(self.call(user, "Reload").returncode, 0, user)
            self.assertEqual(self.box.credsync("reload", user=user, check=False).returncode, 4, user)
            self.assertNotEqual(self.call(user, "SignOut", "s", "alices").returncode, 0, user)
        self.assert_alive(self.box.token("alices", user="alice"))

    def test_nobody_else_can_be_the_service(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.addCleanup(self.box.run, "systemctl", "start", SERVICE)
        request = ["busctl", "--system", "call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                   "RequestName", "su", NAME, "4"]
        refused = self.box.run(*request, user="alice", check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, "(?i)denied|not allowed")

    def test_a_user_starts_it_by_asking(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.assert_alive(self.answer("alice", "GetAccessToken", "sa{sv}", "alices", "0")[0])
        self.assertTrue(self.box.is_active())


class WithPolkit(BusTest):
    @classmethod
    def set_up_machine(cls):
        super().set_up_machine()
        cls.box.shell("dpkg --install /var/cache/test-machine/*.deb", deadline=300)
        cls.box.run("systemctl", "restart", SERVICE, deadline=120)

    def test_the_group_manages_and_others_do_not(self):
        self.assertTrue(self.box.run("sh", "-c", "command -v pkcheck").stdout)
        self.answer("carol", "Reload")
        for user in ("alice", "bob"):
            self.assertNotEqual(self.call(user, "Reload").returncode, 0, user)
        self.assert_alive(self.answer("alice", "GetAccessToken", "sa{sv}", "alices", "0")[0])

    def test_a_new_member_of_the_group_before_the_next_login(self):
        """polkit 122 (Debian 12) looks groups up; 126 (Debian 13) takes the process's, as the daemon does without polkit."""
        self.assertNotEqual(self.call("dave", "Reload").returncode, 0)
        waiting = self.box.popen("sh", "-c", f"read line; exec busctl --system call {NAME} {PATH} {NAME} Reload", user="dave")
        self.box.run("usermod", "-a", "-G", "credsync-admin", "dave")
        self.addCleanup(self.box.run, "gpasswd", "-d", "dave", "credsync-admin")
        _, errors = waiting.communicate("now\n")
        self.assertEqual(waiting.returncode == 0, facts()["suite"] == "bookworm", errors)


if __name__ == "__main__":
    unittest.main()
