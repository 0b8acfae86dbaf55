"""Upgrade, removal and purge: what is kept, and what goes.

The newer version is the same build under a higher version number with a changed configuration file: dpkg and the maintainer scripts
see an upgrade like any other.
"""

import json
import os
import tempfile
import unittest

import package
from harness import CONFIG, SERVICE, SOCKET, SOCKET_UNIT, STATE, MachineTest, facts

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "load.py")
NEWER = "99.0"
CONFFILE = f"{CONFIG}/credsyncd.toml"
ADMINS_WORDS = "# changed by the admin\n"
INSTALL = ["apt-get", "install", "-y", "-o", "Dpkg::Options::=--force-confold"]


class Upgrade(MachineTest):
    LIFETIME = 3600
    INSTALLED = False

    def setUp(self):
        """A machine of its own for each test, with accounts in use."""
        type(self).box = self.new_box()
        self.box.boot()
        self.install(facts()["debs"])
        self.provider.reset()
        self.box.configure(self.provider)
        self.box.profile(self.provider, "rotating", tables={"refresh": {"rotation": "always"}})
        self.provider.switch("rfc/rotating", rotation="always", reuse_detection=True)
        self.box.account("app", provider="fflogs", grant="client_credentials")
        self.signed_in(self.box, "person", "rotating")
        self.tokens = {name: self.box.token(name) for name in ("app", "person")}

    @classmethod
    def setUpClass(cls):
        facts()
        cls.provider = cls.start_provider()

    def install(self, debs):
        paths = []
        for path in debs.values():
            paths.append("/root/" + os.path.basename(path))
            self.box.copy_in(path, paths[-1])
        return self.box.run(*INSTALL, *paths, deadline=300)

    def newer(self):
        """Packages of the next version, whose configuration file says more than the admin's."""
        directory = tempfile.mkdtemp(prefix="credsync-newer-")
        self.addCleanup(package.remove, directory)

        def change(name, tree):
            path = tree + CONFFILE
            if name == "credsyncd":
                with open(path, "a", encoding="utf-8") as out:
                    out.write("# a comment of the next version\n")
        return package.with_version(facts()["debs"], NEWER, directory, change)

    def assert_served_as_before(self):
        for name, token in self.tokens.items():
            self.assertEqual(self.box.token(name), token)
            self.assert_alive(token)

    def posts(self):
        return len(self.provider.requests(endpoint="token"))

    def test_an_upgrade_keeps_state_and_configuration(self):
        self.box.write(CONFFILE, self.box.read(CONFFILE) + ADMINS_WORDS)
        posts, key = self.posts(), self.box.read(f"{STATE}/credsyncd.key")
        before = self.box.main_pid()
        self.install(self.newer())
        self.assertEqual(self.box.run("dpkg-query", "-W", "-f", "${Version}", "credsyncd").stdout, NEWER)
        self.assertNotEqual(self.box.main_pid(), before, "the new version runs")
        self.assertTrue(self.box.is_active())
        self.assertTrue(self.box.read(CONFFILE).endswith(ADMINS_WORDS), "what the admin wrote stays")
        self.assertEqual(self.box.read(f"{STATE}/credsyncd.key"), key)
        self.assert_served_as_before()
        self.assertEqual(self.posts(), posts, "nothing had to be fetched again")
        status, answer = self.box.http("POST", "/v1/accounts/person/refresh")
        self.assertEqual((status, answer["state"]), (200, "ok"), "the grant works on")

    def test_an_upgrade_takes_a_new_configuration_file_where_the_admin_changed_none(self):
        self.install(self.newer())
        self.assertIn("next version", self.box.read(CONFFILE))
        self.assert_served_as_before()

    def test_callers_notice_nothing_of_an_upgrade(self):
        self.box.copy_in(LOAD, "/opt/test/load.py")
        newer = self.newer()
        load = self.box.popen("/usr/bin/python3", "/opt/test/load.py", SOCKET, "app", "0", "8", deadline=300)
        self.assertEqual(load.stdout.readline(), "started\n")
        self.install(newer)
        told, errors = load.communicate()
        self.assertEqual(load.returncode, 0, errors)
        found = json.loads(told)
        self.assertEqual(found["failures"], [], found["counts"])
        self.assertGreater(found["counts"]["client"], 8)

    def test_remove_keeps_state_and_purge_removes_it(self):
        self.box.run("apt-get", "remove", "-y", "credsyncd", "credsync", deadline=120)
        self.assertFalse(self.box.is_active(SERVICE))
        self.assertFalse(self.box.is_active(SOCKET_UNIT))
        self.assertTrue(os.path.isdir(self.box.path(STATE)))
        self.assertTrue(os.path.exists(self.box.path(f"{CONFIG}/accounts.d/app.toml")))
        self.install(facts()["debs"])
        self.assert_served_as_before()
        self.box.run("apt-get", "purge", "-y", "credsyncd", "credsync", deadline=120)
        self.assertFalse(os.path.exists(self.box.path(STATE)), "tokens and their key are gone")
        self.assertFalse(os.path.exists(self.box.path(CONFFILE)))
        self.assertTrue(os.path.exists(self.box.path(f"{CONFIG}/accounts.d/app.toml")), "what the admin wrote is not the package's")
        left = self.box.run("systemctl", "list-unit-files", "--no-legend", "credsync*", check=False).stdout
        self.assertEqual(left.strip(), "")
        self.assertIn("0 loaded units", self.box.run("systemctl", "--failed").stdout)
        self.install(facts()["debs"])
        self.assertTrue(self.box.is_active(SERVICE) or self.box.is_active(SOCKET_UNIT), "installed again it starts anew")


if __name__ == "__main__":
    unittest.main()
