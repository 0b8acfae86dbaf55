"""`cmake --install` puts everything where its readers look."""

import glob
import os
import re
import stat
import subprocess
import unittest
import xml.etree.ElementTree

from staging import SOURCE, cache, place, read, staged, there, unit

DATA = cache("CMAKE_INSTALL_DATAROOTDIR")


def names(pattern):
    return sorted(os.path.basename(path) for path in glob.glob(pattern))


class InstallTest(unittest.TestCase):
    maxDiff = None

    def assert_all(self, installed, source, pattern):
        """Every file of the source's folder is there, and is the same."""
        wanted = names(os.path.join(SOURCE, source, pattern))
        self.assertTrue(wanted)
        for name in wanted:
            self.assertEqual(read(os.path.join(installed, name)), read(os.path.join(SOURCE, source, name)))

    def test_programs(self):
        for path in (cache("CMAKE_INSTALL_SBINDIR") + "/credsyncd", cache("CMAKE_INSTALL_BINDIR") + "/credsync",
                     cache("CMAKE_INSTALL_LIBEXECDIR") + "/credsync/credsync-qr"):
            self.assertTrue(os.access(there(path), os.X_OK), path)

    def test_the_daemon_finds_its_profiles(self):
        self.assert_all(there(DATA + "/credsyncd/providers"), "config/providers", "*.toml")
        with open(there(cache("CMAKE_INSTALL_SBINDIR") + "/credsyncd"), "rb") as daemon:
            self.assertIn(place(DATA + "/credsyncd/providers").encode() + b"\0", daemon.read())

    def test_the_configuration_is_where_the_daemon_looks(self):
        folder = staged() + "/etc/credsyncd"
        self.assert_all(folder, "config", "credsyncd.toml")
        self.assert_all(folder + "/accounts.d", "config/accounts.d", "*.example")
        for name in ("conf.d", "providers.d"):
            self.assertTrue(os.path.isdir(f"{folder}/{name}"))
        self.assertEqual(names(folder + "/accounts.d/*.toml"), [])  # an example must not become an account

    def test_every_manual_page(self):
        pages = names(os.path.join(SOURCE, "docs/man/*.[1-9]"))
        self.assertTrue(pages)
        for page in pages:
            self.assertEqual(read(there(f"{DATA}/man/man{page[-1]}/{page}")), read(os.path.join(SOURCE, "docs/man", page)))

    def test_what_systemd_reads(self):
        for directory in (cache("CREDSYNC_SYSTEM_UNIT_DIR"), cache("CREDSYNC_USER_UNIT_DIR")):
            for name in ("credsyncd.service", "credsyncd.socket"):
                self.assertNotIn("@", read(os.path.join(there(directory), name)).replace("@system-service", "")
                                 .replace("@privileged", "").replace("@resources", ""))
        self.assert_all(there("lib/systemd/catalog"), "systemd", "*.catalog")
        self.assert_all(there(DATA + "/credsyncd/drop-ins"), "systemd/drop-ins", "*.conf")
        self.assertIn("u credsyncd ", read(there("lib/sysusers.d/credsyncd.conf")))
        self.assertIn("/run/credsyncd-api", read(there("lib/tmpfiles.d/credsyncd.conf")))

    def test_drop_ins_have_settings_that_systemd_knows(self):
        for name in names(os.path.join(there(DATA + "/credsyncd/drop-ins"), "*.conf")):
            self.assertEqual(list(unit(os.path.join(there(DATA + "/credsyncd/drop-ins"), name))), ["Service"])

    def test_what_the_buses_and_polkit_read(self):
        for path in ("dbus-1/system.d/org.credsync.CredSync1.conf", "dbus-1/interfaces/org.credsync.CredSync1.xml",
                     "polkit-1/actions/org.credsync.manage.policy"):
            xml.etree.ElementTree.parse(there(f"{DATA}/{path}"))
        for bus in ("system-services", "services"):
            activation = unit(there(f"{DATA}/dbus-1/{bus}/org.credsync.CredSync1.service"))["D-BUS Service"]
            self.assertEqual(activation["SystemdService"], ["credsyncd.service"])
        rules = read(there(DATA + "/polkit-1/rules.d/credsyncd.rules"))
        action = re.search(r'<action id="([^"]+)"', read(there(DATA + "/polkit-1/actions/org.credsync.manage.policy"))).group(1)
        self.assertIn(f'"{action}"', rules)

    def test_completions_are_what_the_command_prints(self):
        command = there(cache("CMAKE_INSTALL_BINDIR") + "/credsync")
        for shell, path in (("bash", DATA + "/bash-completion/completions/credsync"), ("zsh", cache("CREDSYNC_ZSH_DIR") + "/_credsync"),
                            ("fish", DATA + "/fish/vendor_completions.d/credsync.fish")):
            printed = subprocess.run([command, "completion", shell], capture_output=True, check=True, timeout=60).stdout
            self.assertEqual(read(there(path)), printed.decode())

    def test_nobody_else_can_write_what_is_installed(self):
        found = 0
        for folder, folders, files in os.walk(staged()):
            for name in folders + files:
                found += 1
                path = os.path.join(folder, name)
                self.assertEqual(os.lstat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH), 0, path)
        self.assertGreater(found, 50)


if __name__ == "__main__":
    unittest.main()
