"""The other half of these tests is right: Chromium trusts what it is told to and nothing else, and the provider's pages work in it."""

import http.server
import os
import sys
import threading
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "practice_provider"))

from control import PracticeProvider  # noqa: E402
from webdriver import Chromium, WebDriverError  # noqa: E402

PAGE = b"<!doctype html><title>here</title><h1>here</h1><noscript><p id=without>no scripts</p></noscript><script>document.body.id = 'ran'</script>"


class Landing(http.server.BaseHTTPRequestHandler):
    """Where the browser is sent back to."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        pass


class Harness(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.provider = PracticeProvider().start()
        cls.addClassCleanup(cls.provider.stop)
        cls.landing = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Landing)
        cls.addClassCleanup(cls.landing.server_close)
        cls.addClassCleanup(cls.landing.shutdown)
        threading.Thread(target=cls.landing.serve_forever, daemon=True).start()
        cls.home = f"http://127.0.0.1:{cls.landing.server_address[1]}/callback"
        cls.browser = Chromium([cls.provider.ca_file])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.browser.fresh()

    def open_consent(self, path, **query):
        fields = {"client_id": "demo-client", "response_type": "code", "redirect_uri": self.home, "state": "s", "scope": "scores", **query}
        self.browser.open(self.provider.url(f"{path}?{urllib.parse.urlencode(fields)}"))

    def landed(self):
        self.browser.wait(lambda: self.browser.url.startswith(self.home), "the redirect")
        parts = urllib.parse.urlsplit(self.browser.url)
        return dict(urllib.parse.parse_qsl(parts.query or parts.fragment))

    def assert_refused(self, browser, url, why):
        """Chromium shows its own page instead, and asks for nothing: the request never reaches the provider."""
        before = len(self.provider.requests(endpoint="device_page"))
        try:
            browser.open(url + "/rfc/device")
        except WebDriverError as error:
            self.assertIn(why, str(error))
        self.assertEqual(browser.find("input[name=user_code]"), [])
        self.assertIn(why, browser.source)
        self.assertEqual(len(self.provider.requests(endpoint="device_page")), before)

    def test_a_ca_that_it_was_not_told_of_is_not_trusted(self):
        with Chromium() as stranger:
            self.assert_refused(stranger, self.provider.base_url, "ERR_CERT_AUTHORITY_INVALID")

    def test_a_certificate_for_another_host_is_not_trusted_either(self):
        self.assert_refused(self.browser, self.provider.trap("wrong_host"), "ERR_CERT_COMMON_NAME_INVALID")

    def test_consent_is_given_and_denied_by_a_click(self):
        for path in ("/flat/auth/oauth", "/fflogs/oauth/authorize", "/example/api/authorize.php", "/rfc/authorize"):
            for decision, wanted in (("allow", "code"), ("deny", "error")):
                with self.subTest(path, decision=decision):
                    self.open_consent(path)
                    self.assertIn("Demo application", self.browser.text("body"))
                    self.browser.click(f"button[value={decision}]")
                    self.assertIn(wanted, self.landed())

    def test_the_implicit_grant_lands_with_a_fragment(self):
        self.open_consent("/flat/auth/oauth", response_type="token")
        self.browser.click("button[value=allow]")
        self.assertIn("access_token", self.landed())
        self.assertIn("#", self.browser.url)

    def test_a_redirect_uri_that_is_not_registered_stays_at_the_provider(self):
        self.open_consent("/flat/auth/oauth", redirect_uri="https://elsewhere.example/")
        self.assertIn("redirect_uri", self.browser.text("p"))
        self.assertEqual(self.browser.find("button"), [])

    def test_a_device_code_is_typed_and_allowed(self):
        device = self.provider.form("/rfc/device_authorization", {"client_id": "demo-public"}).json()
        self.browser.open(device["verification_uri"])
        self.browser.type("input[name=user_code]", device["user_code"].lower())
        self.browser.click("button")
        self.browser.click("button[value=allow]")
        self.browser.wait(lambda: "Done" in self.browser.text("p"), "the provider's word")

    def test_scripts_can_be_forbidden_and_the_past_is_known(self):
        self.browser.open(self.home)
        self.assertTrue(self.browser.find("#ran"))
        self.browser.scripts(False)
        self.browser.open(self.home + "?second")
        self.assertEqual((self.browser.find("#ran"), self.browser.text("#without")), ([], "no scripts"))
        self.assertEqual(self.browser.history()[-2:], [self.home, self.home + "?second"])
        self.browser.fresh()
        self.assertEqual([url for url in self.browser.history() if self.home in url], [])

    def test_what_came_over_the_network_and_the_console_are_seen(self):
        self.browser.open(self.home)
        answers = [(url, status, headers["content-type"]) for url, status, headers in self.browser.answers() if url == self.home]
        self.assertEqual(answers, [(self.home, 200, "text/html")])
        self.browser.run("console.error('seen')")
        self.assertTrue([m for m in self.browser.messages() if "seen" in m])


if __name__ == "__main__":
    unittest.main()
