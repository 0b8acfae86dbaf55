"""Sign-in sessions of the fake daemon: begun by POST, waited for, answered, cancelled, as the real one does it."""

import threading

from fake_daemon import ok, problem

ID = "0123456789abcdef0123456789abcdef"
URL = ("https://flat.io/auth/oauth?response_type=code&client_id=client-77&state=Zm9vYmFyYmF6cXV4&scope=scores"
       "&redirect_uri=http%3A%2F%2F127.0.0.1%3A40123%2Fcallback")
WAIT = 60  # seconds that a test may last; nothing waits that long unless it fails


def login_view(**changes):
    value = {
        "id": ID, "account": "flat-me", "provider": "flat", "provider_title": "Flat", "client_id": "client-77",
        "grant": "authorization_code", "method": "browser", "phase": "waiting",
        "scopes": ["account.public_profile", "scores"], "url": URL, "url_expires_in": None,
        "redirect_uri": "http://127.0.0.1:40123/callback",
        "listening": True, "user_code": None, "verification_uri": None, "verification_uri_complete": None,
        "expires_at": "2030-01-01T00:00:00Z", "expires_in": 600, "generation": 0, "granted": [], "missing": [],
        "identity": None, "error": None,
    }
    value.update(changes)
    return value


def device_view(**changes):
    value = login_view(method="device", grant="device_code", url=None, redirect_uri=None, listening=False,
                       user_code="WDJB-MJHT", verification_uri="https://example.org/device",
                       verification_uri_complete="https://example.org/device?user_code=WDJB-MJHT")
    value.update(changes)
    return value


def failed(error_class, detail, name="bad-request", next_step="credsync login flat-me"):
    return {"phase": "failed", "error": {"type": "urn:credsync:error:" + name, "class": error_class, "detail": detail,
                                         "next_step": next_step}}


DONE = {"phase": "done", "generation": 8, "granted": ["account.public_profile"], "missing": ["scores"],
        "identity": "someone@example.org"}


class FakeLogin:
    """One session. move() changes it, which answers whoever waits; over() makes it gone."""

    def __init__(self, daemon, view, account="flat-me"):
        self.view = dict(view)
        self.changed = threading.Condition()
        self.gone = None          # a problem, or b"" for a connection that breaks
        self.refusals = []        # of answers, in this order, before one is taken
        self.on_answer = {"phase": "finishing"}
        self.answers = []
        self.cancelled = threading.Event()
        self.begun = []
        daemon.routes[("POST", f"/v1/accounts/{account}/login")] = self.begin
        daemon.routes[("GET", f"/v1/logins/{ID}")] = self.wait
        daemon.routes[("POST", f"/v1/logins/{ID}/answer")] = self.answer
        daemon.routes[("DELETE", f"/v1/logins/{ID}")] = self.cancel

    def begin(self, request):
        self.begun.append(request.json())
        return ok(self.view, 201)

    def move(self, **changes):
        with self.changed:
            self.view.update(changes)
            self.changed.notify_all()

    def over(self, gone):
        with self.changed:
            self.gone = gone
            self.changed.notify_all()

    def wait(self, request):
        assert 0 <= int(request.query["wait"]) <= 60, request.query
        ended = ("done", "failed", "cancelled")
        with self.changed:
            self.changed.wait_for(lambda: self.gone is not None or self.view["phase"] in ended, WAIT)
            return ok(self.view) if self.gone is None else self.gone

    def answer(self, request):
        self.answers.append(request.json())
        if self.refusals:
            return problem("bad-request", 400, self.refusals.pop(0))
        self.move(**self.on_answer)
        return ok(self.view)

    def cancel(self, _):
        self.move(phase="cancelled")
        self.cancelled.set()
        return ok(self.view)
