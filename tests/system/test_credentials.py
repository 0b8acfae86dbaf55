"""The master key as an encrypted credential of systemd: made by the one command of the README, used, missing, damaged."""

import unittest

from harness import CONFIG_ERROR, SERVICE, STATE, MachineTest, wait_for

CREDENTIAL = "/etc/credstore.encrypted/credsyncd.key"
EXIT_CREDENTIALS = 243   # of systemd, in the daemon's place
RECOVERY = 60.0          # seconds


class Credentials(MachineTest):
    LIFETIME = 3600

    def setUp(self):
        """A machine whose daemon has made no key of its own yet."""
        self.provider.reset()
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.box.shell(f"rm -rf {STATE}/* {CREDENTIAL}; systemctl reset-failed")
        self.box.configure(self.provider)
        self.box.account("app", provider="fflogs", grant="client_credentials")

    def make_credential(self):
        self.box.shell(f"mkdir -p -m 700 /etc/credstore.encrypted; head -c32 /dev/urandom | base64 | "
                       f"systemd-creds encrypt --name=credsyncd.key - {CREDENTIAL}")

    def start(self):
        self.box.run("systemctl", "start", SERVICE)

    def refused(self):
        """It does not start; its exit status."""
        self.assertNotEqual(self.box.run("systemctl", "start", SERVICE, check=False).returncode, 0)
        return int(self.box.show(SERVICE, "ExecMainStatus")["ExecMainStatus"])

    def test_the_key_is_the_credential_and_nothing_lies_beside_the_database(self):
        self.make_credential()
        self.start()
        token = self.box.token("app")
        self.assertNotIn("credsyncd.key", self.box.run("ls", "-A", STATE).stdout.split())
        self.box.restart()
        self.assertEqual(self.box.token("app"), token)
        self.box.reboot()
        self.assertEqual(self.box.token("app"), token, "opened again after a reboot")
        self.assertEqual(len(self.provider.requests(endpoint="token")), 1)

    def test_without_its_credential_it_does_not_start_and_overwrites_nothing(self):
        self.make_credential()
        self.start()
        token = self.box.token("app")
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        before = self.box.shell(f"cd {STATE}; find . -type f -name '*.db' -exec sha256sum {{}} +").stdout
        self.box.run("mv", CREDENTIAL, CREDENTIAL + ".away")
        self.assertEqual(self.refused(), CONFIG_ERROR)
        self.assertEqual(self.box.show(SERVICE, "ActiveState")["ActiveState"], "failed", "a person must mend it: no more attempts")
        self.assertIn("key", self.box.journal("-u", SERVICE, "-n", "20"))
        self.assertEqual(self.box.shell(f"cd {STATE}; find . -type f -name '*.db' -exec sha256sum {{}} +").stdout, before)
        self.assertNotIn("credsyncd.key", self.box.run("ls", "-A", STATE).stdout.split(), "no new key for an old database")
        self.box.run("mv", CREDENTIAL + ".away", CREDENTIAL)
        self.box.run("systemctl", "reset-failed", SERVICE)
        self.start()
        self.assertEqual(self.box.token("app"), token)

    def test_a_credential_that_does_not_open_is_tried_until_it_does(self):
        """As one of another machine, or a damaged one: systemd cannot open it, and the daemon is not even run."""
        self.make_credential()
        self.start()
        token = self.box.token("app")
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.box.shell(f"cp {CREDENTIAL} {CREDENTIAL}.good; printf %s AAAA | base64 > {CREDENTIAL}")
        self.assertEqual(self.refused(), EXIT_CREDENTIALS)
        self.box.run("mv", f"{CREDENTIAL}.good", CREDENTIAL)
        wait_for(self.box.is_active, RECOVERY, "the next attempt")
        self.assertEqual(self.box.token("app"), token)

    def test_a_key_made_before_is_kept_until_there_is_a_credential(self):
        self.start()
        token = self.box.token("app")
        self.assertIn("credsyncd.key", self.box.run("ls", "-A", STATE).stdout.split())
        self.box.restart()
        self.assertEqual(self.box.token("app"), token)


if __name__ == "__main__":
    unittest.main()
