"""The demo's configuration is complete, private where it must be, and its tokens are good."""

import os
import stat
import subprocess
import tempfile
import tomllib
import unittest
import urllib.parse

from control import HERE, PracticeProvider


INTERACTIVE = {"flat-code": "authorization_code", "flat-implicit": "implicit", "fflogs-user": "authorization_code",
               "example-code": "authorization_code", "device": "device_code"}


class Demo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = PracticeProvider(lifetime=90).start()
        cls.temporary = tempfile.TemporaryDirectory()
        cls.directory = cls.temporary.name
        subprocess.run([os.path.join(HERE, "demo.py"), "--dir", cls.directory, "--provider", cls.provider.directory,
                        "--user", "root"], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.provider.stop()
        cls.temporary.cleanup()

    def read(self, *parts):
        with open(os.path.join(self.directory, *parts), "rb") as f:
            return f.read()

    def toml(self, *parts):
        return tomllib.loads(self.read(*parts).decode())

    def test_daemon_settings(self):
        settings = self.toml("credsyncd.toml")
        self.assertEqual(settings["listen"], {"http": f"{self.directory}/run/api.sock", "dbus": "off"})
        self.assertEqual(settings["defaults"]["allow"],
                         [{"user": "root", "actions": ["get", "watch", "refresh", "login", "admin"]}])
        self.assertEqual(settings["defaults"]["ca_file"], self.provider.ca_file)

    def test_accounts_and_overrides(self):
        names = ("flat-pat", "flat", "flume", "fflogs", "example", *INTERACTIVE)
        grants = {name: self.toml("accounts.d", f"{name}.toml")["account"][name]["grant"] for name in names}
        self.assertEqual(grants, {"flat-pat": "static", "flat": "refresh_token", "flume": "password",
                                  "fflogs": "client_credentials", "example": "static", **INTERACTIVE})
        flat = self.toml("accounts.d", "flat.toml")["account"]["flat"]
        self.assertEqual((flat["revoke_superseded"], flat["revoke_grace"]), ("always", "5s"))
        providers = self.toml("providers.d", "practice.toml")["provider"]
        self.assertEqual(providers["flat"]["endpoints"]["token"]["url"],
                         self.provider.url("/flat/oauth/access_token"))
        self.assertEqual({key for p in providers.values() for key in p}, {"endpoints"})

    def test_each_interactive_account_has_its_own_port(self):
        keys = [self.toml("accounts.d", f"{name}.toml")["account"][name] for name in INTERACTIVE]
        ports = [k["redirect_port"] for k in keys if k["grant"] != "device_code"]
        self.assertEqual(len(set(ports)), 4)
        self.assertIn("device", self.toml("providers.d", "device.toml")["provider"]["device"]["endpoints"])

    def test_the_browser_that_presses_allow(self):
        device = self.provider.form("/rfc/demo/device_authorization", {"client_id": "demo-public"}).json()
        done = self.allow(device["verification_uri_complete"])
        self.assertEqual((done.returncode, "Done" in done.stderr), (0, True), done.stderr)
        self.assertEqual(self.allow(device["verification_uri_complete"]).returncode, 0, "the page that asks for a code")
        query = urllib.parse.urlencode({"client_id": "demo-client", "redirect_uri": "http://127.0.0.1:8472/callback", "scope": "scores",
                                        "response_type": "token"})
        done = self.allow(self.provider.url(f"/flat/auth/oauth?{query}"))
        self.assertIn("http://127.0.0.1:8472/callback#", done.stderr)
        self.assertEqual(self.allow(self.provider.url("/flat/auth/oauth")).returncode, 1)

    def allow(self, url):
        return subprocess.run([os.path.join(self.directory, "allow"), url], capture_output=True, text=True, timeout=60, check=False)

    def test_secrets_are_private(self):
        for path in ("accounts.d/client.secret", "accounts.d/flume.password", "imports/flat.token", "imports/list"):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.directory, path)).st_mode), 0o600, path)

    def test_imports_are_living_tokens(self):
        lines = [line.split(" ") for line in self.read("imports", "list").decode().splitlines()]
        self.assertEqual([(name, option) for name, option, _ in lines],
                         [("flat-pat", "--token-stdin"), ("flat", "--refresh-token-stdin"), ("example", "--token-stdin")])
        checks = [self.provider.check(self.read(path).decode().strip()) for _, _, path in lines]
        self.assertEqual([(c["kind"], c["alive"]) for c in checks], [("pat", True), ("refresh", True), ("access", True)])
        self.assertGreater(checks[2]["expires_in"], 3500)


if __name__ == "__main__":
    unittest.main()
