"""What the journal has: fields, message ids that the catalogue explains, levels that mean something, and no secret at any level."""

import base64
import json
import re
import secrets
import unittest
import urllib.parse

from harness import CLIENT, REPOSITORY, SERVICE, MachineTest, wait_for

SHORT = 6           # seconds a token lives, so that it is renewed while the test looks
RENEWALS = 3
DEADLINE = 60.0
WARNING = 4         # syslog's number; smaller is worse
DEBUG_DROP_IN = f"/etc/systemd/system/{SERVICE}.d/debug.conf"


def forms(secret):
    """How a secret could be written: as it is, for a URL, in hex, in base64 at each alignment."""
    raw = secret.encode()
    yield raw
    yield urllib.parse.quote(secret, safe="").encode()
    yield raw.hex().encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        yield encoded[4 if shift else 0:len(encoded) - 4]


class Journal(MachineTest):
    LIFETIME = SHORT

    @classmethod
    def set_up_machine(cls):
        cls.secret = "canary+client/secret=" + secrets.token_urlsafe(12)
        cls.provider.register("fflogs", clients=[{"id": "canary", "secret": cls.secret}])
        cls.provider.register("rfc/canary", clients=[{"id": "canary", "secret": cls.secret}])
        cls.provider.switch("rfc/canary", rotation="always")
        start = cls.box.show(SERVICE, "ExecStart")["ExecStart"]
        program = re.search(r"argv\[\]=([^;]*?) ;", start)[1]
        cls.box.write(DEBUG_DROP_IN, f"[Service]\nExecStart=\nExecStart={program} --log-level debug\n")
        cls.box.configure(cls.provider)
        cls.box.secret("client.secret", cls.secret)
        cls.box.profile(cls.provider, "canary", tables={"refresh": {"rotation": "always"}})
        mine = {"client_id": "canary"}
        cls.box.account("app", provider="fflogs", grant="client_credentials", **mine)
        cls.box.account("person", provider="canary", grant="refresh_token", revoke_grace="0s", **mine)
        cls.box.account("wrong", provider="fflogs", grant="client_credentials", client_secret={"file": "wrong.secret"})
        cls.wrong = "canary-wrong-" + secrets.token_urlsafe(12)
        cls.box.secret("wrong.secret", cls.wrong)
        cls.box.run("systemctl", "daemon-reload")
        cls.box.restart()
        cls.imported = cls.provider.issue("rfc/canary", client="canary")["refresh_token"]
        cls.box.credsync("login", "person", "--refresh-token-stdin", stdin=cls.imported + "\n")
        cls.live_through_something()

    @classmethod
    def live_through_something(cls):
        """Renewals, refusals, a reload that is refused, an answer that says our secrets back, a restart."""
        def renewed():
            cls.box.token("app")
            cls.box.token("person")
            return all(cls.box.status(name)["generation"] > RENEWALS for name in ("app", "person"))
        wait_for(renewed, DEADLINE, "renewals")
        # What the provider says back are the secrets of the very request, of which the newest refresh token is one.
        newest = max(cls.provider.tokens(values=True, provider="rfc/canary", kind="refresh"), key=lambda token: token["issued_at"])
        for name, provider, more in (("app", "fflogs", ""), ("person", "rfc/canary", f" and {newest['value']}")):
            echo = f"you sent {cls.secret}{more}"
            cls.provider.behave("status", {"endpoint": "token", "provider": provider}, status=400,
                                json={"error": "invalid_request", "error_description": echo, "error_uri": echo})
            cls.box.http("POST", f"/v1/accounts/{name}/refresh")
        cls.provider.clear()
        cls.box.credsync("token", "wrong", check=False)
        cls.box.account("typo", provider="fflogs", grant="client_credentials", margni="1m")
        cls.box.run("systemctl", "reload", SERVICE, check=False)
        cls.box.run("rm", "/etc/credsyncd/accounts.d/typo.toml")
        cls.box.restart()
        cls.box.token("person")

    def records(self):
        """The daemon's own records of this boot."""
        lines = self.box.journal("-o", "json", f"_SYSTEMD_UNIT={SERVICE}", "SYSLOG_IDENTIFIER=credsyncd").splitlines()
        return [json.loads(line) for line in lines]

    def ids(self):
        """{name: id} as the program has them."""
        with open(f"{REPOSITORY}/base/message_ids.h", encoding="utf-8") as header:
            return dict(re.findall(r'\{"([a-z-]+)", "([0-9a-f]{32})"\}', header.read()))

    def test_what_happened_is_there_with_its_fields(self):
        ids = self.ids()
        found = {}
        for record in self.records():
            found.setdefault(record.get("MESSAGE_ID"), record)
        for name in ("starting", "ready", "stopping", "refreshed", "reload-refused", "suspended", "audit"):
            self.assertIn(ids[name], found, name)
        self.assertEqual(found[ids["refreshed"]]["ACCOUNT"] in ("app", "person", "wrong"), True, found[ids["refreshed"]])
        self.assertEqual(found[ids["suspended"]]["ACCOUNT"], "wrong")
        self.assertIn("VERSION", found[ids["ready"]])

    def test_levels_mean_something(self):
        ids = self.ids()
        levels = {}
        for record in self.records():
            levels.setdefault(record.get("MESSAGE_ID"), set()).add(int(record["PRIORITY"]))
        self.assertLessEqual(max(levels[ids["suspended"]]), WARNING, "an admin must act")
        self.assertLessEqual(max(levels[ids["reload-refused"]]), WARNING)
        for name in ("ready", "refreshed", "audit", "stopping"):
            self.assertGreater(min(levels[ids[name]]), WARNING, f"{name} asks nobody to act")

    def test_the_catalogue_explains_each(self):
        listed = self.box.run("journalctl", "--list-catalog", "--no-pager").stdout
        for name, identifier in self.ids().items():
            self.assertIn(identifier, listed, name)
        explained = self.box.journal("-x", "-u", SERVICE)
        self.assertIn("Subject: ", explained)
        suspended = self.box.journal("-x", f"MESSAGE_ID={self.ids()['suspended']}")
        self.assertIn("wrong", suspended.split("Subject:", 1)[1], "the text names the account, from the record's fields")
        self.assertNotRegex(explained, r"@[A-Z_]+@", "each field that a text names is in its records")

    def test_no_secret_at_any_level(self):
        canaries = {"client secret": self.secret, "wrong secret": self.wrong, "imported token": self.imported}
        for number, token in enumerate(self.provider.tokens(values=True)):
            canaries[f"token {number} ({token['kind']})"] = token["value"]
        self.assertGreater(len(canaries), 2 * RENEWALS)
        text = self.box.run("journalctl", "-b", "--no-pager", "-o", "export", deadline=120).stdout.encode()
        self.assertIn(b"credsyncd", text)
        found = [name for name, secret in canaries.items() if any(form in text for form in forms(secret))]
        self.assertEqual(found, [])

    def test_the_scan_finds_what_is_there(self):
        """A check of the check: a secret that somebody did log."""
        self.box.run("logger", "-t", "leak", f"oh: {base64.b64encode(self.wrong.encode()).decode()} {CLIENT}")
        self.addCleanup(setattr, type(self), "wrong", "canary-other-" + secrets.token_urlsafe(12))
        self.box.run("journalctl", "--sync")
        text = self.box.run("journalctl", "-b", "--no-pager", "-o", "export", "SYSLOG_IDENTIFIER=leak").stdout.encode()
        self.assertTrue(any(form in text for form in forms(self.wrong)))


if __name__ == "__main__":
    unittest.main()
