"""A test that signs in through a real browser: what a person does at the provider's page, and what must hold of ours."""

import os
import re
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))

from harness import USER  # noqa: E402
from signing_in import SignInTest, query_of  # noqa: E402
from webdriver import DESKTOP, PHONE, Chromium  # noqa: E402

READABLE = 4.5      # contrast of text against its background; WCAG 2.1, 1.4.3
SCREENSHOTS = os.environ.get("CREDSYNC_SCREENSHOTS")   # a folder: pictures of our pages are left there
SECRETS_OF_A_CALLBACK = ("code", "state", "access_token", "iss")
HEADERS = {
    "cache-control": "no-store", "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
}


def luminance(colour):
    """Of an rgb(…) as getComputedStyle gives it; WCAG 2.1, relative luminance."""
    parts = [int(float(n)) / 255 for n in re.findall(r"[\d.]+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


class BrowserTest(SignInTest):
    """One Chromium for the class, a fresh window for each test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = Chromium([cls.provider.ca_file])
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.browser.fresh()
        self.browser.look()

    # --- the person

    def at_the_consent_page(self, url):
        self.browser.open(url)
        self.browser.one("button[value=allow]")
        self.assertTrue(self.browser.url.startswith(self.provider.base_url), self.browser.url)

    def decide(self, decision="allow", user=None):
        """Presses a button; returns when the browser is at a page of ours."""
        if user:
            self.browser.run("document.querySelector('select[name=user]').value = arguments[0]", user)
        self.browser.click(f"button[value={decision}]")
        self.browser.wait(lambda: self.at_home() and self.browser.find("h1"), "our page")

    def at_home(self):
        return self.browser.url.startswith(f"http://127.0.0.1:{self.port}/")

    def walk(self, view, decision="allow", user=None):
        self.at_the_consent_page(view["url"])
        self.decide(decision, user)

    def through_the_browser(self, api, account, phase="done", decision="allow", user=None, **more):
        """A whole sign-in; the session as it ended."""
        view = self.begin(api, account, **more)
        self.walk(view, decision, user)
        return self.over(api, view, phase)

    # --- our page

    def secrets(self):
        """Every value that may not stay in the browser: of the ledger, and the states that were sent."""
        found = {t["value"] for t in self.provider.tokens(values=True) if t["kind"] != "device"}
        return found | {s for s in self.states if s}

    @property
    def states(self):
        return [query_of(url).get("state") for url in self.browser.history() if url.startswith(self.provider.base_url)]

    def assert_keeps_no_secret(self):
        """Neither the address, nor the window's past, nor the page holds anything of the answer."""
        elsewhere = (self.provider.base_url, "chrome:", "about:", "data:")
        ours = [url for url in [self.browser.url, *self.browser.history()] if not url.startswith(elsewhere)]
        self.assertTrue(ours)
        for url in ours:
            self.assertEqual(set(query_of(url)) & set(SECRETS_OF_A_CALLBACK), set(), url)
        page = self.browser.source + self.browser.run("return JSON.stringify([document.title, document.cookie, history.state, "
                                                      "Object.entries(sessionStorage), Object.entries(localStorage), window.name])")
        for secret in self.secrets():
            self.assertFalse([url for url in ours if secret in urllib.parse.unquote(url)])
            self.assertNotIn(secret, page)

    def our_answers(self):
        """What the listener sent to this browser."""
        return [a for a in self.browser.answers() if a[0].startswith(f"http://127.0.0.1:{self.port}/")]

    def assert_strict(self):
        """Headers of all our pages; nothing came from elsewhere, and the console has nothing to complain of."""
        everything = self.browser.answers()
        ours = [a for a in everything if a[0].startswith(f"http://127.0.0.1:{self.port}/")]
        elsewhere = [a[0] for a in everything if a not in ours and not a[0].startswith((self.provider.base_url + "/", "data:"))]
        self.assertEqual(elsewhere, [])
        self.assertTrue(ours)
        for url, status, headers in ours:
            for name, value in HEADERS.items():
                self.assertIn(value, headers.get(name, ""), (url.split("?")[0], name))
            if status in (204, 303):   # nothing to show
                continue
            policy = headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("frame-ancestors 'none'", policy)
            self.assertNotIn("unsafe-inline", policy)
            self.assertNotIn("unsafe-eval", policy)
        complaints = [m for m in self.browser.messages() if f":{self.port}/" in m and "Failed to load resource" not in m]
        self.assertEqual(complaints, [])

    def assert_accessible(self):
        """Language, one heading, readable in light and dark, fits a phone."""
        browser = self.browser
        self.assertEqual(browser.run("return document.documentElement.lang"), "en")
        self.assertEqual(len(browser.find("h1")), 1)
        self.assertEqual(len(browser.find("main")), 1)
        backgrounds = {}
        for scheme in ("light", "dark"):
            browser.look(PHONE, scheme)
            backgrounds[scheme] = browser.run("return getComputedStyle(document.body).backgroundColor")
            for text, colour, background in browser.run(COLOURS):
                self.assertGreaterEqual(contrast(colour, background), READABLE, f"{text!r} in {scheme}: {colour} on {background}")
            self.assertLessEqual(browser.run("return document.documentElement.scrollWidth"), PHONE[0])
        self.assertGreater(luminance(backgrounds["light"]), 0.5)
        self.assertLess(luminance(backgrounds["dark"]), 0.2)
        browser.look()

    def picture(self, name):
        """Leaves pictures of the page where CREDSYNC_SCREENSHOTS says."""
        if not SCREENSHOTS:
            return
        for width, size in (("desktop", DESKTOP), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                self.browser.look(size, scheme)
                with open(os.path.join(SCREENSHOTS, f"{name}-{width}-{scheme}.png"), "wb") as out:
                    out.write(self.browser.screenshot())
        self.browser.look()

    def check_page(self, name, heading):
        """All of it. `heading`: a regular expression."""
        self.assertRegex(self.browser.text("h1"), heading)
        self.assertEqual(self.browser.title, self.browser.text("h1"))
        self.assert_strict()
        self.assert_keeps_no_secret()
        self.assert_accessible()
        self.picture(name)


# [words, colour, background that they stand on] of everything that has words of its own and is seen.
COLOURS = """
return [...document.querySelectorAll('body *')].filter(e => e.offsetParent !== null
    && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => {
  let b = e;
  while (b && getComputedStyle(b).backgroundColor === 'rgba(0, 0, 0, 0)') b = b.parentElement;
  return [e.textContent.trim().slice(0, 40), getComputedStyle(e).color, b ? getComputedStyle(b).backgroundColor : 'rgb(255, 255, 255)'];
});
"""
__all__ = ["BrowserTest", "USER", "query_of"]
