"""What can go wrong between the daemon and a provider, and what the admin then sees: the table of docs/operations.md, row by
row. test_sick_providers inflicts each row on the real daemon and compares; tests/lint/operations.py compares with the page.

`words` may hold {host} (the endpoint's host and port) and {name} (the account).
"""

import re
from dataclasses import dataclass, field

DEADLINE_MS = 30000   # of one exchange with a provider


@dataclass(frozen=True)
class Failure:
    """How it comes (`does`: see Sickness in test_sick_providers), and what must be seen of it."""
    key: str
    what: str
    does: tuple
    state: str
    error_class: str
    words: str
    orders: int = 1            # so many refreshes in a row meet it
    root: bool = False         # needs a name server or a hosts file of its own
    profile: dict = field(default_factory=dict)   # tables laid over the account's profile

    @property
    def journal(self):
        """The name of the record (credsyncd(8), MESSAGES)."""
        return {"retrying": "retrying", "needs-login": "needs-login", "suspended": "suspended"}[self.state]

    @property
    def next_step(self):
        """Text and command of the account's next step."""
        return {"retrying": ("nothing needs to be done; it is tried again by itself", "credsync refresh {name}"),
                "needs-login": ("sign in", "credsync login {name} --refresh-token-stdin"),
                "suspended": ("mend the configuration or the client at the provider, then reload", "credsync reload")}[self.state]

    @property
    def ambiguous(self):
        """The request left, so that a refresh token that rotates may have been replaced."""
        return self.error_class in ("ambiguous", "no-token")

    def says(self, words, host):
        """Is that what the table says?"""
        pattern = re.escape(self.words).replace(re.escape("{host}"), re.escape(host))
        return re.fullmatch(pattern, words) is not None


def behave(do, **parameters):
    return ("behave", do, parameters)


def status(code, **parameters):
    return behave("status", status=code, **parameters)


def error(code, name, **more):
    return status(code, json={"error": name, **more})


def late(doing):
    return f"gave up after {DEADLINE_MS} ms while {doing}"


ANSWER_OF = "waiting for the answer of {host}"
CUT = "HTTP 200, but the answer is cut or cannot be read"
PAGE = "with a web page instead of an answer: a captive portal or firewall may stand between"
BOTH = "with an empty body: the grant is dead, or client_id or client_secret is wrong"
PASSPORT = {"errors": {"match": [{"status": 401, "code": "invalid_request", "request": "refresh", "class": "needs-login"}]}}
BOMB = 64 * 1024 * 1024   # bytes, of some 64 KiB
LONG = 100_000            # of interim answers, each 25 bytes

RETRY = "retrying"

# --- it cannot have been sent: nothing is at stake
NOT_SENT = [
    Failure("no-such-name", "The name does not exist", ("name", "nowhere.invalid"), RETRY, "not-sent",
            "{host}: name look-up: Name or service not known", root=True),
    Failure("name-server-ill", "The name server cannot tell", ("name", "ill.invalid"), RETRY, "not-sent",
            "{host}: name look-up: Temporary failure in name resolution", root=True),
    Failure("name-server-silent", "The name server never answers", ("name", "silent.invalid"), RETRY, "not-sent",
            late("looking up {host}"), root=True),
    Failure("refused", "Connections are refused", ("front", "refuse"), RETRY, "not-sent", "connect to {host}: Connection refused"),
    Failure("black-hole", "Connections are swallowed", ("front", "black_hole"), RETRY, "not-sent", late("connecting to {host}")),
    Failure("handshake-stall", "The handshake stalls", ("trap", "stall"), RETRY, "not-sent", late("shaking hands with {host}")),
    Failure("handshake-deaf", "The server takes nothing and says nothing", ("front", "silent"), RETRY, "not-sent",
            late("shaking hands with {host}")),
    Failure("handshake-reset", "The handshake is reset", ("front", "reset"), RETRY, "not-sent",
            "{host}: TLS handshake failed: Connection reset by peer"),
    Failure("handshake-garbage", "Something else than TLS answers", ("trap", "garbage"), RETRY, "not-sent",
            "{host}: TLS handshake failed: wrong version number"),
    Failure("handshake-alert", "The server refuses with a TLS alert", ("trap", "alert"), RETRY, "not-sent",
            "{host}: TLS handshake failed: sslv3 alert handshake failure"),
    Failure("old-tls", "The server speaks nothing newer than TLS 1.1, and hangs up", ("trap", "tls11"), RETRY, "not-sent",
            "{host}: TLS handshake failed: unexpected eof while reading"),
    Failure("old-tls-alert", "… or says so", ("trap", "alert", {"code": 70}), RETRY, "not-sent",
            "{host}: TLS handshake failed: tlsv1 alert protocol version"),
]

# --- the certificate does not verify: never passed over; suspended when it has gone on for a day
UNTRUSTED = [
    Failure("expired", "The certificate has expired", ("trap", "expired"), RETRY, "untrusted", "{host}: certificate expired"),
    Failure("not-yet-valid", "The certificate is not valid yet", ("trap", "not_yet_valid"), RETRY, "untrusted",
            "{host}: certificate is not valid yet (is this machine's clock right?)"),
    Failure("wrong-host", "The certificate is another host's", ("trap", "wrong_host"), RETRY, "untrusted",
            "{host}: certificate was issued for another host"),
    Failure("self-signed", "The certificate is self-signed", ("trap", "self_signed"), RETRY, "untrusted",
            "{host}: self-signed certificate"),
    Failure("unknown-ca", "The certificate's authority is unknown", ("trap", "other_ca"), RETRY, "untrusted",
            "{host}: certificate was issued by an unknown authority"),
]

# --- it was sent, and no answer that can be used came back
AMBIGUOUS = [
    Failure("hung", "No answer, for ever", behave("hang"), RETRY, "ambiguous", late(ANSWER_OF)),
    Failure("slow-headers", "The header comes a byte a second", behave("slow_headers", interval=1), RETRY, "ambiguous", late(ANSWER_OF)),
    Failure("slow-body", "The body comes a byte a second", behave("drip", interval=1), RETRY, "ambiguous", late(ANSWER_OF)),
    Failure("half-open", "The peer vanishes after the handshake", ("front", "freeze"), RETRY, "ambiguous", late(ANSWER_OF)),
    Failure("half-open-reset", "… and its connection is reset later", ("front", "freeze_reset"), RETRY, "ambiguous",
            "{host}: Connection reset by peer"),
    Failure("endless", "A body without end", behave("endless"), RETRY, "ambiguous", "the answer's body is too large"),
    Failure("huge", "A body of megabytes", behave("huge"), RETRY, "ambiguous", "the answer's body is too large"),
    Failure("interim-flood", "Interim answers without end", behave("continue_flood", count=LONG), RETRY, "ambiguous",
            "the answer's header is too large"),
    Failure("longer-length", "Content-Length says more than comes", behave("wrong_length", delta=10), RETRY, "ambiguous",
            "the answer breaks off"),
    Failure("shorter-length", "Content-Length says less than comes", behave("wrong_length", delta=-10), RETRY, "ambiguous", CUT),
    Failure("bad-chunks", "Chunked framing is garbage", behave("bad_chunks"), RETRY, "ambiguous", "the answer is not HTTP: chunk size"),
    Failure("gzip-bomb", "A compressed body, not asked for", behave("gzip_bomb", bytes=BOMB), RETRY, "ambiguous",
            "the answer is not HTTP: an encoding that was not asked for"),
    Failure("garbage-status", "The answer is not HTTP", behave("garbage_status"), RETRY, "ambiguous", "the answer is not HTTP: status line"),
    Failure("reset-before", "The connection is reset instead of an answer", behave("drop_before", how="rst"), RETRY, "ambiguous",
            "{host}: Connection reset by peer"),
    Failure("closed-before", "The connection is closed instead of an answer", behave("drop_before", how="tls"), RETRY, "ambiguous",
            "the connection was closed without an answer"),
    Failure("reset-inside", "The connection is reset inside the answer", behave("drop_bytes", bytes=60, how="rst"), RETRY, "ambiguous",
            "{host}: Connection reset by peer"),
    Failure("closed-inside", "The connection is closed inside the answer", behave("drop_bytes", bytes=60, how="tls"), RETRY, "ambiguous",
            "the answer breaks off"),
    Failure("cut-off", "TLS is cut off without a goodbye", behave("drop_bytes", bytes=60, how="fin"), RETRY, "ambiguous",
            "{host}: unexpected eof while reading"),
    Failure("cut-json", "JSON that breaks off", behave("truncated", bytes=40), RETRY, "ambiguous", CUT),
    Failure("not-json", "200 with text that is not JSON", status(200, body="all is well", content_type="text/plain"), RETRY, "ambiguous", CUT),
    Failure("no-token", "200 without an access token", behave("token_missing"), RETRY, "no-token", "HTTP 200 without an access token"),
]

# --- the provider is ill or busy
ILL = [
    *(Failure(f"status-{code}", f"{code}", status(code), RETRY, "transient", f"HTTP {code}") for code in (408, 425, 500, 502, 503, 504)),
    Failure("status-429", "429", behave("too_many", seconds=1), RETRY, "transient", "too_many_requests: Rate limit exceeded"),
    Failure("page-200", "200 with a web page", behave("html"), RETRY, "transient", f"HTTP 200 {PAGE}"),
    Failure("page-403", "403 with a web page", behave("html", status=403), RETRY, "transient", f"HTTP 403 {PAGE}"),
    Failure("text-404", "404 with plain text", status(404, body="not here", content_type="text/plain"), RETRY, "transient",
            "HTTP 404 with an answer that is not JSON"),
    *(Failure(code.replace("_", "-"), f"`{code}`", error(400, code), RETRY, "transient", code)
      for code in ("temporarily_unavailable", "server_error", "slow_down")),
]

# --- the grant is dead, or a person must agree anew
DEAD = [
    *(Failure(f"invalid-grant-{code}", f"`invalid_grant` with {code}", error(code, "invalid_grant"), "needs-login", "needs-login",
              "invalid_grant") for code in (400, 401, 403)),
    Failure("bad-refresh-token", "`bad_refresh_token` with 200", error(200, "bad_refresh_token"), "needs-login", "needs-login",
            "bad_refresh_token"),
    Failure("slack-style", "`ok: false`, `invalid_refresh_token` with 200", status(200, json={"ok": False, "error": "invalid_refresh_token"}),
            "needs-login", "needs-login", "invalid_refresh_token"),
    Failure("hubspot-style", "`BAD_REFRESH_TOKEN` with 400", status(400, json={"status": "BAD_REFRESH_TOKEN", "error": "BAD_REFRESH_TOKEN"}),
            "needs-login", "needs-login", "BAD_REFRESH_TOKEN"),
    Failure("passport-style", "401 `invalid_request` where the profile says so", error(401, "invalid_request"), "needs-login",
            "needs-login", "invalid_request", profile=PASSPORT),
    *(Failure(code.replace("_", "-"), f"`{code}`", error(400, code), "needs-login", "needs-login",
              f"the provider asks for an interactive sign-in: {code}")
      for code in ("interaction_required", "login_required", "consent_required", "invalid_rapt")),
    Failure("error-in-200", "200 with an error inside", error(200, "invalid_grant"), "needs-login", "needs-login", "invalid_grant"),
    Failure("invalid-code", "`invalid_code`", error(400, "invalid_code"), "needs-login", "start-over", "invalid_code"),
]
UNCLEAR = [
    *(Failure(f"empty-{code}", f"{code} with an empty body, twice", status(code), RETRY, "unclear", f"HTTP {code} {BOTH}")
      for code in (400, 401, 403)),
    Failure("empty-thrice", "400, 401 or 403 with an empty body, the third time", status(400), "needs-login", "unclear",
            f"HTTP 400 {BOTH}", orders=3),
]

# --- client or configuration are wrong
REFUSED = [
    *(Failure(code.replace("_", "-"), f"`{code}`", error(401, code), "suspended", "client", code)
      for code in ("invalid_client", "incorrect_client_credentials", "unauthorized_client")),
    *(Failure(code.replace("_", "-"), f"`{code}`", error(400, code), "suspended", "refused", code)
      for code in ("invalid_scope", "unsupported_grant_type", "redirect_uri_mismatch", "invalid_request")),
    Failure("redirect", "A redirect", behave("redirect", location="https://elsewhere.example/token"), "suspended", "refused",
            "HTTP 302: the endpoint redirects to https://elsewhere.example; credentials are never sent elsewhere"),
    Failure("status-410", "Another 4xx", status(410, json={"detail": "gone"}), "suspended", "refused", "HTTP 410 without a reason"),
    Failure("not-ok", "200 with `success: false`", status(200, json={"success": False}), "suspended", "refused",
            "HTTP 200, and the body says that the request failed"),
    Failure("own-status", "200 with a `status` that is not 0", status(200, json={"status": 503, "body": {}}), "suspended", "refused", "503"),
]

GROUPS = [
    ("The request cannot have left", NOT_SENT),
    ("The certificate does not verify", UNTRUSTED),
    ("It left, and no answer that can be used came back", AMBIGUOUS),
    ("The provider is ill or busy", ILL),
    ("The grant is dead, or a person must agree anew", DEAD),
    ("The provider gives no reason", UNCLEAR),
    ("The client or the configuration is wrong", REFUSED),
]
ALL = [failure for _, group in GROUPS for failure in group]
