#!/usr/bin/python3 -B
"""A browser that presses Allow: opens an address of the practice provider, answers its page, goes where it leads.

    BROWSER=allow credsync login ACCOUNT

For demonstrations on a machine without a browser. It has no scripts, as some browsers have none: the implicit grant, whose
answer only a script can read, ends with the address to paste. Never for a real provider.
"""

import argparse
import html
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request

TIMEOUT = 30          # seconds a page may take
MOST_PAGES = 10
FORM = re.compile(r'<form method=post action="([^"]+)"><input type=hidden name=request value="([^"]+)">')


class NoFollow(urllib.request.HTTPRedirectHandler):
    """Each redirect is looked at, to see a fragment."""

    def redirect_request(self, *_):
        return None


def visit(opener, url, form=None):
    """(status, page, where it leads or None)."""
    data = urllib.parse.urlencode(form).encode() if form else None
    try:
        answer = opener.open(urllib.request.Request(url, data), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        place = answer.headers.get("Location")
        return answer.status, answer.read().decode(errors="replace"), place and urllib.parse.urljoin(url, place)


def walk(opener, url):
    """(status, words) of the page at the end."""
    form = None
    for _ in range(MOST_PAGES):
        status, page, place = visit(opener, url, form)
        form = None
        if place and urllib.parse.urlsplit(place).fragment:
            return 200, f"this grant ends in a page with a script, which this browser has not; paste this at credsync login:\n{place}"
        if place:
            url = place
            continue
        found = FORM.search(page)
        if status != 200 or not found:
            words = re.sub(r"<(style|script)[^>]*>.*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL)
            return status, " ".join(html.unescape(words).split())
        url = urllib.parse.urljoin(url, html.unescape(found[1]))
        form = {"request": html.unescape(found[2]), "decision": "allow"}
    return 500, "it does not come to an end"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ca", required=True, help="the practice provider's CA file: no other is trusted")
    parser.add_argument("url")
    options = parser.parse_args()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=options.ca)), NoFollow())
    status, words = walk(opener, options.url)
    print(f"allow: {words}", file=sys.stderr)
    sys.exit(0 if status == 200 else 1)


if __name__ == "__main__":
    main()
