"""`credsync login` from its first word to its last, with a real browser at its side."""

import json
import os
import subprocess
import threading
import unittest

from case import USER, BrowserTest
from harness import binary

COMMAND_DEADLINE = 90.0

# What $BROWSER names: has the window of the test's Chromium go there, and says so.
OPENER = """#!/usr/bin/python3
import http.client, json, sys
with open({place!r}, "a") as out:
    print(sys.argv[1], file=out)
c = http.client.HTTPConnection("127.0.0.1", {port}, timeout=60)
c.request("POST", {path!r}, json.dumps({{"url": sys.argv[1]}}), {{"Content-Type": "application/json"}})
answer = json.loads(c.getresponse().read())["value"]
sys.exit(1 if isinstance(answer, dict) and "error" in answer else 0)
"""


class Command(BrowserTest):
    def setUp(self):
        super().setUp()
        self.opened = self.daemon.place("opened")
        self.opener = self.daemon.place("open-in-chromium")
        with open(self.opener, "w", encoding="utf-8") as out:
            out.write(OPENER.format(place=self.opened, port=self.browser.connection.port, path=f"/session/{self.browser.session}/url"))
        os.chmod(self.opener, 0o755)
        self.running = []
        self.addCleanup(self.end_commands)

    def end_commands(self):
        for command in self.running:
            if command.poll() is None:
                command.kill()
            command.communicate()

    def login(self, account, *options, **environment):
        """Starts the command; it goes on beside the test."""
        command = subprocess.Popen(
            [binary("CREDSYNC"), "--socket", self.daemon.socket, "login", account, *options], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "BROWSER": self.opener, "DISPLAY": ":0", "NO_COLOR": "1", **environment})
        self.running.append(command)
        watchdog = threading.Timer(COMMAND_DEADLINE, command.kill)   # then a read that waits for its words ends
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        return command

    def end_of(self, command):
        out, error = command.communicate(timeout=COMMAND_DEADLINE)
        return command.returncode, out, error

    def test_it_opens_the_browser_and_says_what_was_granted(self):
        self.flat()
        api = self.start()
        command = self.login("flat")
        self.browser.wait(lambda: self.browser.find("button[value=allow]"), "the provider's page")
        self.decide()
        status, out, error = self.end_of(command)
        self.assertEqual(status, 0, error)
        said = out + error
        for word in ("Flat", "account.public_profile", "scores"):
            self.assertIn(word, said)
        self.check_page("done", "(?i)signed in")
        token = self.assert_token_of(api, "flat", user=USER)
        for secret in self.secrets() - set(self.states):
            self.assertNotIn(secret, said)
        self.assertNotIn(token["value"], said)

    def test_json_for_programs(self):
        self.openid()
        self.start()
        command = self.login("openid", "--json")
        began = json.loads(command.stdout.readline())
        self.assertEqual((began["phase"], began["account"]), ("waiting", "openid"))
        self.walk(began)
        status, out, error = self.end_of(command)
        self.assertEqual(status, 0, error)
        ended = json.loads(out)
        self.assertEqual((ended["phase"], ended["id"], ended["url"]), ("done", began["id"], None))

    def test_denied_in_the_browser_is_an_error_of_the_command(self):
        self.flat()
        self.start()
        command = self.login("flat")
        self.browser.wait(lambda: self.browser.find("button[value=deny]"), "the provider's page")
        self.decide("deny")
        status, _, error = self.end_of(command)
        self.assertNotEqual(status, 0)
        self.assertIn("credsync login flat", error)

    def test_without_a_browser_the_address_is_printed_and_the_listener_still_hears(self):
        self.flat()
        api = self.start()
        command = self.login("flat", "--no-browser")
        url = None
        while url is None:
            line = command.stderr.readline()
            self.assertTrue(line, "it has ended")
            url = next((word for word in line.split() if word.startswith(self.provider.base_url)), None)
        self.at_the_consent_page(url)
        self.decide()
        status, out, error = self.end_of(command)
        self.assertEqual(status, 0, error)
        self.assertFalse(os.path.exists(self.opened), "no browser was opened")
        self.assert_token_of(api, "flat", user=USER)


if __name__ == "__main__":
    unittest.main()
