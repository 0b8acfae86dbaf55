"""The pages besides the one of success: denied, failed, an answer that is nobody's, the catcher of implicit grants."""

import unittest

from case import BrowserTest
from signing_in import with_query


class Pages(BrowserTest):
    def test_denied(self):
        self.flat()
        api = self.start()
        view = self.begin(api, "flat")
        self.walk(view, "deny")
        self.failed(api, view, "access_denied")
        self.check_page("denied", "Access to Flat was declined")

    def test_denied_by_implicit_grant(self):
        self.flat(grant="implicit")
        api = self.start()
        view = self.begin(api, "flat")
        self.walk(view, "deny")
        self.failed(api, view, "access_denied")
        self.browser.wait(lambda: "was declined" in self.browser.text("h1"), "the page to know")
        self.assert_keeps_no_secret()

    def test_the_provider_fails_on_its_page(self):
        self.flat()
        self.provider.switch("flat", authorize_error="server_error")
        api = self.start()
        view = self.begin(api, "flat")
        self.browser.open(view["url"])
        self.browser.wait(self.at_home, "our page")
        self.failed(api, view)
        self.check_page("failed", "sign-in to Flat failed")

    def test_the_exchange_fails(self):
        self.flat()
        self.provider.behave("status", {"endpoint": "token"}, status=400, json={"error": "invalid_grant"})
        api = self.start()
        view = self.begin(api, "flat")
        self.walk(view)
        self.failed(api, view)
        self.assertRegex(self.browser.text("h1"), "sign-in to Flat failed")
        self.assertIn("The provider says: invalid_grant.", self.browser.text("main"))
        self.assert_strict()
        self.assert_keeps_no_secret()

    def test_an_exchange_that_takes_long_is_waited_for(self):
        self.flat()
        self.provider.behave("delay", {"endpoint": "token"}, seconds=3)
        api = self.start()
        view = self.begin(api, "flat")
        self.walk(view)
        self.assertIn("signed in", self.browser.text("h1"))
        self.over(api, view)
        self.assert_keeps_no_secret()

    def test_an_answer_that_is_nobodys(self):
        self.flat()
        api = self.start()
        view = self.begin(api, "flat")
        self.browser.open(with_query(self.redirect, code="of-somebody", state="of-somebody"))
        self.assertRegex(self.browser.text("h1"), "does not fit")
        self.assert_strict()
        self.assert_accessible()
        self.picture("not-ours")
        self.goes_on(api, view)

    def test_implicit_without_scripts_says_what_to_do(self):
        self.flat(grant="implicit")
        api = self.start()
        view = self.begin(api, "flat")
        self.browser.scripts(False)
        self.walk(view)
        self.assertIn("JavaScript", self.browser.text("noscript"))
        self.assertIn("paste it", self.browser.text("body"))
        self.assert_accessible()
        self.picture("implicit-without-scripts")
        self.goes_on(api, view)
        # The address that the page tells people to copy.
        answer = api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": self.browser.url})
        self.assertEqual(answer.status, 200, answer)
        self.over(api, view)

    def test_back_and_reload_do_nothing_twice(self):
        self.flat()
        api = self.start()
        view = self.begin(api, "flat")
        self.walk(view)
        self.over(api, view)
        posts = len(self.posts())
        self.browser.back()
        self.browser.wait(lambda: self.browser.url, "wherever back leads")
        self.assertEqual(len(self.posts()), posts)
        self.assertEqual(self.ask(api, view).json["phase"], "done")


if __name__ == "__main__":
    unittest.main()
