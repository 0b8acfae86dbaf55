"""A user's own credsyncd: enabled by that user, found by the command, on the user's bus, kept by linger."""

import json
import unittest

from harness import SECRET, MachineTest, profiles, wait_for

NAME, PATH = "org.credsync.CredSync1", "/org/credsync/CredSync1"
START = 60.0   # seconds


class UserInstance(MachineTest):
    LIFETIME = 3600

    @classmethod
    def set_up_machine(cls):
        for user in ("alice", "bob"):
            cls.box.run("useradd", "--create-home", user)
        cls.write_configuration()
        cls.box.run_in_unit("loginctl", "enable-linger", "alice")
        wait_for(lambda: cls.manager_runs(), START, "alice's manager")
        cls.as_alice("systemctl", "--user", "enable", "--now", "credsyncd.socket", "credsyncd.service")

    @classmethod
    def write_configuration(cls):
        """As alice would, in ~/.config/credsyncd."""
        uid, gid = cls.box.user("alice")
        config = "/home/alice/.config/credsyncd"
        cls.box.copy_in(cls.provider.ca_file, f"{config}/practice-ca.pem")
        cls.box.write(f"{config}/conf.d/test.toml", f'[defaults]\nca_file = "{config}/practice-ca.pem"\n')
        cls.box.write(f"{config}/providers.d/practice.toml", profiles.overrides(cls.provider.base_url))
        cls.box.write(f"{config}/accounts.d/client.secret", SECRET + "\n", 0o600)
        cls.box.account("mine", provider="fflogs", grant="client_credentials", directory=config)
        cls.box.run("chown", "-R", f"{uid}:{gid}", "/home/alice")

    @classmethod
    def manager_runs(cls):
        uid = cls.box.user("alice")[0]
        return cls.box.run("systemctl", "is-active", f"user@{uid}.service", check=False).stdout.strip() == "active"

    @classmethod
    def as_alice(cls, *command, **options):
        """What a login of hers has in its environment."""
        runtime = f"/run/user/{cls.box.user('alice')[0]}"
        env = {"XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus", "HOME": "/home/alice"}
        return cls.box.run(*command, user="alice", env=env, **options)

    def test_the_command_finds_it(self):
        token = self.as_alice("credsync", "token", "mine").stdout.strip()
        self.assert_alive(token)
        listed = json.loads(self.as_alice("credsync", "status", "--json").stdout)
        self.assertIn("mine", json.dumps(listed))
        found = self.as_alice("credsync", "doctor", check=False)
        self.assertEqual(found.returncode, 0, found.stdout)

    def test_the_system_service_knows_nothing_of_it(self):
        self.assertEqual(self.box.credsync("token", "mine", check=False).returncode, 4)

    def test_files_are_hers_alone(self):
        uid = self.box.user("alice")[0]
        for path, expected in (("/home/alice/.local/state/credsyncd", "700 alice"), (f"/run/user/{uid}/credsyncd", "700 alice"),
                               (f"/run/user/{uid}/credsyncd/api.sock", "600 alice")):
            self.assertEqual(self.box.run("stat", "-c", "%a %U", path).stdout.strip(), expected, path)
        other = self.box.run("credsync", "--socket", f"/run/user/{uid}/credsyncd/api.sock", "token", "mine", user="bob", check=False)
        self.assertEqual(other.returncode, 6)

    def test_on_her_bus(self):
        answer = self.as_alice("busctl", "--user", "--json=short", "call", NAME, PATH, NAME, "GetAccessToken", "sa{sv}", "mine", "0")
        self.assert_alive(json.loads(answer.stdout)["data"][0])

    def test_the_socket_and_the_bus_start_it(self):
        self.as_alice("systemctl", "--user", "stop", "credsyncd.service", deadline=120)
        self.assert_alive(self.as_alice("credsync", "token", "mine").stdout.strip())
        self.as_alice("systemctl", "--user", "stop", "credsyncd.service", deadline=120)
        self.as_alice("busctl", "--user", "call", NAME, PATH, NAME, "ListAccounts")
        self.assertEqual(self.as_alice("systemctl", "--user", "is-active", "credsyncd.service").stdout.strip(), "active")

    def test_reload(self):
        self.as_alice("systemctl", "--user", "reload", "credsyncd.service")
        broken = "/home/alice/.config/credsyncd/accounts.d/broken.toml"
        self.as_alice("sh", "-c", f"echo nonsense > {broken}")
        self.addCleanup(self.as_alice, "rm", "-f", broken)
        self.assertNotEqual(self.as_alice("systemctl", "--user", "reload", "credsyncd.service", check=False).returncode, 0)
        self.assert_alive(self.as_alice("credsync", "token", "mine").stdout.strip())

    def test_it_is_confined_as_far_as_a_user_can(self):
        pid = self.as_alice("systemctl", "--user", "show", "--value", "-p", "MainPID", "credsyncd.service").stdout.strip()
        text = self.box.run("cat", f"/proc/{pid}/status").stdout
        self.assertIn("NoNewPrivs:\t1\n", text)
        self.assertIn("Seccomp:\t2\n", text)
        self.assertIn("Max core file size        0                    0", self.box.run("cat", f"/proc/{pid}/limits").stdout)

    def test_it_is_there_after_a_reboot_without_a_login(self):
        token = self.as_alice("credsync", "token", "mine").stdout.strip()
        self.box.reboot()
        wait_for(self.manager_runs, START, "alice's manager, which linger starts")
        wait_for(lambda: self.as_alice("systemctl", "--user", "is-active", "credsyncd.service", check=False).stdout.strip() == "active",
                 START, "her daemon, which nobody asked")
        self.assertEqual(self.as_alice("credsync", "token", "mine").stdout.strip(), token)


if __name__ == "__main__":
    unittest.main()
