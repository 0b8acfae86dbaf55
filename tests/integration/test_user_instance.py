"""`credsyncd --user`: a user's own daemon in the directories of the XDG specification, found by the command by itself."""

import os
import shutil
import stat
import subprocess
import tempfile
import unittest

from harness import CONFIG_ERROR, DaemonTest, PROVIDERS, START_DEADLINE, USER, binary, wait_for
import profiles

OWNER = 3     # sys: a user that every Debian has


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming another user needs root")
class UserInstance(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.home = tempfile.mkdtemp(prefix="credsync-home-")
        self.addCleanup(shutil.rmtree, self.home)
        self.runtime = os.path.join(self.home, "runtime")
        os.mkdir(self.runtime, 0o700)
        self.config = os.path.join(self.home, ".config", "credsyncd")
        os.makedirs(os.path.join(self.config, "accounts.d"))
        os.mkdir(os.path.join(self.config, "providers.d"))
        self.write("credsyncd.toml", f'[listen]\ndbus = "off"\n[defaults]\nca_file = {profiles.toml(self.provider.ca_file)}\n')
        self.write("providers.d/practice.toml", profiles.overrides(self.provider.base_url))
        self.write("accounts.d/flume.password", "demo-password\n", 0o600)
        self.write("accounts.d/flume.secret", "demo-secret\n", 0o600)
        self.write("accounts.d/flume.toml", '[account.flume]\nprovider = "flume"\ngrant = "password"\n'
                   f'client_id = "demo-client"\nclient_secret = {{ file = "flume.secret" }}\nusername = "{USER}"\n'
                   'password = { file = "flume.password" }\n')
        for folder, _, files in os.walk(self.home):
            for name in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chown(name, OWNER, OWNER)
        os.chmod(os.path.dirname(self.provider.ca_file), 0o755)
        self.process = None

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.config, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(path, mode)

    def environment(self, **changes):
        of_sanitizers = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.home, "XDG_RUNTIME_DIR": self.runtime, **of_sanitizers, **changes}
        return {name: value for name, value in environment.items() if value is not None}

    def as_owner(self, *command, **changes):
        return subprocess.run(command, env=self.environment(**changes), user=OWNER, group=OWNER, extra_groups=[], cwd="/",
                              capture_output=True, text=True, timeout=60, check=False)

    def start_own(self):
        self.process = subprocess.Popen([binary("CREDSYNCD"), "--user", "--providers", PROVIDERS], env=self.environment(),
                                        user=OWNER, group=OWNER, extra_groups=[], cwd="/", stderr=subprocess.PIPE)
        self.addCleanup(self.process.stderr.close)
        self.addCleanup(lambda: (self.process.terminate(), self.process.wait(60)))
        self.socket = os.path.join(self.runtime, "credsyncd", "api.sock")
        wait_for(lambda: os.path.exists(self.socket) and stat.S_ISSOCK(os.stat(self.socket).st_mode), START_DEADLINE, "its socket")

    def test_its_owner_needs_no_rule_and_no_option(self):
        self.start_own()
        got = self.as_owner(binary("CREDSYNC"), "token", "flume")
        self.assertEqual(got.returncode, 0, got.stderr)
        self.assertTrue(self.provider.check(got.stdout.strip())["alive"])
        for command in (["status"], ["doctor"], ["reload"]):
            got = self.as_owner(binary("CREDSYNC"), *command)
            self.assertEqual(got.returncode, 0, got.stdout + got.stderr)
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o600)
        state = os.path.join(self.home, ".local", "state", "credsyncd")
        self.assertEqual((stat.S_IMODE(os.stat(state).st_mode), os.stat(state).st_uid), (0o700, OWNER))

    def test_another_user_has_no_way_in(self):
        self.start_own()
        os.chmod(self.home, 0o755)
        os.chmod(self.runtime, 0o755)
        stranger = subprocess.run([binary("CREDSYNC"), "--socket", self.socket, "token", "flume", "--wait", "0"],
                                  env={"PATH": "/usr/bin:/bin"}, user=1, group=1, extra_groups=[], cwd="/", capture_output=True,
                                  text=True, timeout=60, check=False)
        self.assertEqual(stranger.returncode, 6, stranger.stderr)

    def test_roots_command_does_not_take_it_for_its_own(self):
        self.start_own()
        got = subprocess.run([binary("CREDSYNC"), "doctor"], env=self.environment(), capture_output=True, text=True, timeout=60,
                             check=False, cwd="/")
        self.assertNotIn(self.socket, got.stdout)
        self.assertIn("/run/credsyncd-api/api.sock", got.stdout)

    def test_xdg_folders_are_where_they_are_said_to_be(self):
        other = os.path.join(self.home, "elsewhere")
        os.mkdir(other)
        os.rename(os.path.join(self.home, ".config"), os.path.join(other, "config"))
        os.chown(other, OWNER, OWNER)
        shown = self.as_owner(binary("CREDSYNCD"), "--user", "--providers", PROVIDERS, "--check-config",
                              XDG_CONFIG_HOME=os.path.join(other, "config"))
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn(f"{other}/config/credsyncd: 1 accounts", shown.stdout)

    def refused(self, words, **changes):
        got = self.as_owner(binary("CREDSYNCD"), "--user", "--providers", PROVIDERS, **changes)
        self.assertEqual(got.returncode, CONFIG_ERROR, got.stderr)
        self.assertIn(words, got.stderr)
        self.assertEqual(got.stderr.count("\n"), 1, got.stderr)

    def test_without_a_runtime_folder_it_says_what_to_do(self):
        self.assertFalse(os.path.exists(f"/run/user/{OWNER}"))
        self.refused("loginctl enable-linger", XDG_RUNTIME_DIR=None)
        self.refused("no folder of yours", XDG_RUNTIME_DIR="/run")

    def test_without_a_home_it_says_what_to_do(self):
        self.refused("HOME is not set", HOME=None)

    def test_the_folder_of_logind_is_found_without_the_variable(self):
        folder = f"/run/user/{OWNER}"
        made = [path for path in ("/run/user", folder) if not os.path.exists(path)]
        for path in made:
            os.mkdir(path, 0o755)
        self.addCleanup(lambda: [os.rmdir(path) for path in reversed(made)])
        os.chown(folder, OWNER, OWNER)
        self.runtime = folder
        self.addCleanup(shutil.rmtree, os.path.join(folder, "credsyncd"), True)
        self.start_own()
        got = self.as_owner(binary("CREDSYNC"), "token", "flume", XDG_RUNTIME_DIR=None)
        self.assertEqual(got.returncode, 0, got.stderr)


if __name__ == "__main__":
    unittest.main()
