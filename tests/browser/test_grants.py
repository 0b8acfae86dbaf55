"""Each interactive grant of each mission provider, and of a provider by the RFCs, through a real browser."""

import unittest

from case import USER, BrowserTest
from signing_in import FLAT_SCOPES, PUBLIC

CODE = "authorization_code"


class Grants(BrowserTest):
    def check_signed_in(self, api, account, **expected):
        """The page says done and keeps nothing; the token is the ledger's."""
        self.check_page("done", "(?i)signed in")
        return self.assert_token_of(api, account, user=USER, **expected)

    def test_flat_by_code(self):
        self.flat()
        api = self.start()
        done = self.through_the_browser(api, "flat")
        self.assertEqual(done["granted"], FLAT_SCOPES)
        token = self.check_signed_in(api, "flat", grant=CODE, client="demo-client")
        self.assertEqual(self.provider.get("/flat/v2/me", bearer=token["value"]).status, 200)
        self.assertTrue(api.status("flat")["refreshable"])

    def test_flat_implicit(self):
        self.flat(grant="implicit")
        api = self.start()
        self.through_the_browser(api, "flat")
        self.browser.wait(lambda: "signed in" in self.browser.text("h1").lower(), "the page to say so")
        self.check_signed_in(api, "flat", grant="implicit")
        self.assertEqual(self.posts(), [])

    def test_fflogs_by_code(self):
        self.fflogs()
        api = self.start()
        self.through_the_browser(api, "fflogs")
        self.check_signed_in(api, "fflogs", grant=CODE)
        self.assertEqual(self.posts()[-1]["auth"], "basic")

    def test_fflogs_by_code_as_a_public_client_with_pkce(self):
        self.fflogs(public=True)
        api = self.start()
        self.through_the_browser(api, "fflogs")
        self.check_signed_in(api, "fflogs", client=PUBLIC)
        self.assertIn("code_verifier", self.posts()[-1]["parameters"])
        self.assertEqual(self.posts()[-1]["auth"], "none")

    def test_example_by_code(self):
        self.example()
        api = self.start()
        self.through_the_browser(api, "example")
        self.check_signed_in(api, "example", grant=CODE)
        self.assertEqual(self.posts()[-1]["parameters"], ["client_id", "client_secret", "code"])

    def test_openid(self):
        self.openid()
        api = self.start()
        self.assertIn(USER, self.through_the_browser(api, "openid")["identity"])
        self.check_signed_in(api, "openid", grant=CODE)

    def test_all_but_implicit_do_without_scripts(self):
        self.flat()
        self.fflogs("public", public=True)
        self.example()
        self.openid()
        api = self.start()
        for account in ("flat", "public", "example", "openid"):
            with self.subTest(account):
                self.browser.fresh()
                self.browser.scripts(False)
                self.browser.look()
                self.through_the_browser(api, account)
                self.check_signed_in(api, account)


class Device(BrowserTest):
    def setUp(self):
        super().setUp()
        self.register("rfc/tv")
        self.provider.switch("rfc/tv", device_interval=1)
        self.daemon.profile("tv", self.provider.base_url)
        self.daemon.account("tv", provider="tv", grant="device_code")

    def test_the_code_is_typed(self):
        api = self.start()
        view = self.begin(api, "tv")
        self.browser.open(view["verification_uri"])
        self.browser.type("input[name=user_code]", view["user_code"])
        self.browser.click("button")
        self.browser.click("button[value=allow]")
        self.browser.wait(lambda: "Done" in self.browser.text("body"), "the provider's word")
        self.over(api, view)
        self.assert_token_of(api, "tv", user=USER, grant="device_code")

    def test_the_complete_address_asks_for_consent_at_once(self):
        api = self.start()
        view = self.begin(api, "tv")
        self.browser.open(view["verification_uri_complete"])
        self.browser.click("button[value=allow]")
        self.over(api, view)
        self.assert_token_of(api, "tv", user=USER, grant="device_code")

    def test_denied(self):
        api = self.start()
        view = self.begin(api, "tv")
        self.browser.open(view["verification_uri_complete"])
        self.browser.click("button[value=deny]")
        self.failed(api, view, "access_denied")


if __name__ == "__main__":
    unittest.main()
