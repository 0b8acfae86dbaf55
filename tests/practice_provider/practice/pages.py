"""The pages a person sees: plain HTML, no JavaScript, every value escaped."""

from html import escape

from .wire import Response

_STYLE = ("body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem}"
          "button{font:inherit;padding:.4rem 1.4rem;margin-right:1rem}label{display:block;margin:1rem 0}")
# A page that asks for consent must not be framed, cached or leak its URL.
_HEADERS = [("Cache-Control", "no-store"), ("X-Frame-Options", "DENY"), ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")]


def page(title, content, status=200):
    html = ("<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
            f"<meta name=color-scheme content=\"light dark\"><title>{escape(title)}</title>"
            f"<style>{_STYLE}</style><h1>{escape(title)}</h1>{content}</html>")
    return Response(status, list(_HEADERS), html.encode())


def message(title, words, status=200):
    return page(title, f"<p>{escape(words)}</p>", status)


def consent(action, request_id, client, scope, users, title):
    """Allow or Deny, and as whom."""
    scopes = "".join(f"<li>{escape(s)}</li>" for s in scope.split()) or "<li>basic access</li>"
    options = "".join(f"<option>{escape(u)}</option>" for u in users)
    form = (f"<p><b>{escape(client.title or client.id)}</b> asks for access to:</p><ul>{scopes}</ul>"
            f"<form method=post action=\"{escape(action)}\"><input type=hidden name=request value=\"{escape(request_id)}\">"
            f"<label>Signed in as <select name=user>{options}</select></label>"
            "<button name=decision value=allow>Allow</button><button name=decision value=deny>Deny</button></form>")
    return page(title, form)


def device_code(action, code=""):
    """Where a person types the code that a device shows (RFC 8628 3.3)."""
    return page("Connect a device", f"<form method=get action=\"{escape(action)}\"><label>Code "
                f"<input name=user_code value=\"{escape(code)}\" autofocus autocomplete=off></label>"
                "<button>Continue</button></form>")
