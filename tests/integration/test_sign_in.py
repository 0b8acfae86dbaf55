"""Signing in with a browser and with a device code, against the practice provider. The browser has no scripts and presses
Allow; the last page it sees is ours. Then those who come in its place: a wrong state, another user, a second answer, a
daemon that stops."""

import os
import ssl
import subprocess
import sys
import unittest
import urllib.parse
import urllib.request

from harness import DaemonTest, wait_for   # first: it makes the practice provider's modules known
import allow

STRANGER = 4711

# Run as another user: comes to the door with an answer of its own.
CALLBACK = """
import encodings.idna, http.client, os, sys   # what another user could not load
os.setgroups([]); os.setuid(int(sys.argv[1]))
door = http.client.HTTPConnection("127.0.0.1", int(sys.argv[2]), timeout=10)
door.request("GET", sys.argv[3])
print(door.getresponse().status)
"""


class SignInWorld(DaemonTest):
    """A daemon with accounts that a person signs in to, and that person."""

    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        tables = {"authorize": {"pkce": "S256"}}
        self.daemon.profile("rfc", self.provider.base_url, instance="rfc", tables=tables)
        self.daemon.account("code", provider="rfc", grant="authorization_code", scopes=["read", "write"])
        self.daemon.account("tv", provider="rfc", grant="device_code", scopes=["read"])
        self.api = self.start()

    def begin(self, account="code", **more):
        answer = self.api("POST", f"/v1/accounts/{account}/login", {"method": "auto", **more})
        self.assertEqual(answer.status, 201, answer)
        view = answer.json
        self.assertEqual(answer.headers["location"], f"/v1/logins/{view['id']}")
        return view

    def wait(self, view, seconds=30):
        answer = self.api("GET", f"/v1/logins/{view['id']}?wait={seconds}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def opener(self):
        context = ssl.create_default_context(cafile=self.provider.ca_file)
        return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context),
                                           allow.NoFollow())

    def browse(self, view):
        """Presses Allow; (status, words) of the page at the end."""
        return allow.walk(self.opener(), view["url"])

    def callback_of(self, view):
        """Where the browser would be sent, without going there."""
        opener, url, form = self.opener(), view["url"], None
        for _ in range(5):
            _, page, place = allow.visit(opener, url, form)
            if place and place.startswith(view["redirect_uri"]):
                return place
            found = allow.FORM.search(page)
            url, form = (place, None) if place else (urllib.parse.urljoin(url, found[1]),
                                                     {"request": found[2], "decision": "allow"})
        raise AssertionError("the provider does not come back")

    def come(self, address, uid=None):
        """The status that our listener gives to whoever comes with this address."""
        parts = urllib.parse.urlsplit(address)
        target = parts.path + ("?" + parts.query if parts.query else "")
        done = subprocess.run([sys.executable, "-c", CALLBACK, str(os.getuid() if uid is None else uid), str(parts.port), target],
                              capture_output=True, text=True, timeout=30, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return int(done.stdout)

    # --- the roads


class SignIn(SignInWorld):
    def test_a_browser_comes_back_and_a_token_is_handed_out(self):
        view = self.begin()
        self.assertEqual((view["phase"], view["method"], view["listening"]), ("waiting", "browser", True))
        status, words = self.browse(view)
        self.assertEqual(status, 200, words)
        self.assertIn("You are signed in to Practice rfc", words)
        done = self.wait(view)
        self.assertEqual(done["phase"], "done", done)
        self.assertEqual(sorted(done["granted"]), ["read", "write"])
        self.assertIsNone(done["url"])
        token = self.granted(self.api.token("code"))
        self.assertEqual(token["generation"], done["generation"])
        self.assert_alive(token["access_token"])
        self.assertNotIn("code=", self.daemon.log())
        self.assertNotIn(token["access_token"], self.daemon.log())

    def test_a_pasted_address_is_as_good_and_another_changes_nothing(self):
        view = self.begin()
        address = self.callback_of(view)
        path = f"/v1/logins/{view['id']}/answer"
        wrong = address.replace("state=", "state=x")
        self.refused(self.api("POST", path, {"redirect_url": wrong}), "bad-request", 400)
        self.refused(self.api("POST", path, {"redirect_url": "https://evil.example/"}), "bad-request", 400)
        self.assertEqual(self.wait(view, 0)["phase"], "waiting")
        self.assertEqual(self.api("POST", path, {"redirect_url": address}).status, 200)
        self.assertEqual(self.wait(view)["phase"], "done")

    def test_a_device_code_is_entered(self):
        self.provider.switch("rfc", device_interval=1)
        view = self.begin("tv")
        self.assertEqual(view["method"], "device")
        self.assertIn(view["user_code"], view["verification_uri_complete"])
        self.provider.decide_device(view["user_code"])
        done = self.wait(view, 60)
        self.assertEqual(done["phase"], "done", done)
        self.assert_alive(self.granted(self.api.token("tv"))["access_token"])

    def test_a_second_grant_takes_the_first_ones_place_only_when_it_is_there(self):
        self.browse(self.begin())
        first = self.granted(self.api.token("code"))
        view = self.begin()
        self.assertEqual(self.granted(self.api.token("code"))["access_token"], first["access_token"])
        self.browse(view)
        self.assertEqual(self.wait(view)["phase"], "done")
        second = self.granted(self.api.token("code"))
        self.assertGreater(second["generation"], first["generation"])
        self.assert_alive(second["access_token"])

    # --- what goes wrong

    def test_consent_denied_ends_it_and_the_old_grant_stays(self):
        self.browse(self.begin())
        before = self.granted(self.api.token("code"))
        self.provider.switch("rfc", authorize_error="access_denied")
        view = self.begin()
        status, words = self.browse(view)
        self.assertIn("was declined", words)
        failed = self.wait(view)
        self.assertEqual((failed["phase"], failed["error"]["class"]), ("failed", "access_denied"), failed)
        self.assertEqual(failed["error"]["next_step"], "credsync login code")
        self.assertEqual(self.granted(self.api.token("code"))["access_token"], before["access_token"])

    def test_whoever_comes_first_with_something_else_changes_nothing(self):
        view = self.begin()
        self.assertEqual(self.come(view["redirect_uri"] + "?code=evil&state=guess"), 400)
        self.assertEqual(self.come(view["redirect_uri"] + "?error=access_denied"), 400)
        self.assertEqual(self.wait(view, 0)["phase"], "waiting")
        address = self.callback_of(view)
        self.assertEqual(self.come(address), 303)
        self.assertEqual(self.come(address), 410, "a replayed code")
        self.assertEqual(self.wait(view)["phase"], "done")

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
    def test_another_users_process_is_not_heard_even_with_the_right_answer(self):
        view = self.begin()
        address = self.callback_of(view)
        self.assertEqual(self.come(address, STRANGER), 403)
        self.assertEqual(self.wait(view, 0)["phase"], "waiting")
        self.assertEqual(self.come(address), 303)
        self.assertEqual(self.wait(view)["phase"], "done")

    @unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
    def test_root_may_name_whose_browser_comes_back(self):
        view = self.begin(browser_uid=STRANGER)
        address = self.callback_of(view)
        self.assertEqual(self.come(address), 403)
        self.assertEqual(self.come(address, STRANGER), 303)
        self.assertEqual(self.wait(view)["phase"], "done")

    def test_a_cancelled_one_closes_its_door(self):
        view = self.begin()
        answer = self.api("DELETE", f"/v1/logins/{view['id']}")
        self.assertEqual((answer.status, answer.json["phase"]), (200, "cancelled"))
        with self.assertRaises(AssertionError):
            self.come(view["redirect_uri"])

    def test_a_daemon_that_stops_ends_it_and_says_so(self):
        view = self.begin()
        waiting = self.new_api()
        waiting.connection.request("GET", f"/v1/logins/{view['id']}?wait=60")
        wait_for(lambda: self.api("GET", f"/v1/logins/{view['id']}?wait=0").status == 200)
        self.assertEqual(self.daemon.stop(), 0)
        answer = waiting.connection.getresponse()
        self.assertEqual(answer.status, 410)
        self.assertIn(b"stopping", answer.read())
        self.daemon.start()
        self.refused(self.new_api()("GET", f"/v1/logins/{view['id']}"), "no-such-account", 404)


if __name__ == "__main__":
    unittest.main()
