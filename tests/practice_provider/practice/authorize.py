"""The authorization endpoint: RFC 6749 4.1 and 4.2, PKCE (RFC 7636), loopback redirects (RFC 8252), iss (RFC 9207)."""

import base64
import hashlib
import re
import secrets
import urllib.parse

from . import pages
from .call import OAuthError
from .wire import Response

PENDING_SECONDS = 600       # a consent page left open longer than this is over
MAX_PENDING = 10_000
_VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}\Z")
_CHALLENGE = re.compile(r"[A-Za-z0-9\-_]{43}\Z")
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\])(?::\d{1,5})?(/[^#]*)?\Z")


def s256(verifier):
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redirect_matches(asked, registered, any_port):
    """Exactly equal, or a loopback address that differs in nothing but the port (RFC 8252 7.3)."""
    if asked == registered:
        return True
    a, r = _LOOPBACK.match(asked), _LOOPBACK.match(registered)
    return bool(any_port and a and r and a.groups() == r.groups())


class Authorizing:
    """Part of a Provider."""
    response_types = ("code",)
    challenge_methods = ("S256",)
    consent_title = "Allow access?"
    authorize_scope_required = False

    def authorize(self, call):
        """GET shows the consent page; its form POSTs the decision back here."""
        if call.request.method == "POST":
            return self._decided(call)
        query = dict(call.request.query)
        client = self.clients.get(query.get("client_id", ""))
        call.record.client = client.id if client else None
        query, problem = self.pushed(client, query)
        problem = problem or self._refuse_to_redirect(client, query)
        if problem:
            call.record.outcome = "invalid_request"
            return pages.message("This request cannot be served", problem, 400)
        pending = {"client": client.id, "redirect_uri": query["redirect_uri"], "state": query.get("state"),
                   "type": query.get("response_type"), "at": self.now(), "scope": query.get("scope", ""),
                   "challenge": query.get("code_challenge"), "offline": query.get("access_type") == "offline",
                   "nonce": query.get("nonce"),
                   "method": query.get("code_challenge_method", "plain")}
        try:
            self.check_authorize(call, client, query, pending)
        except OAuthError as error:
            call.record.outcome = error.code
            return self._back(pending, {"error": error.code, "error_description": error.words})
        if self.switch("auto_consent", client):
            return self._allow(call, pending, self.switch("consent_user", client))
        return self._ask(call, client, pending)

    def pushed(self, client, query):
        """The request itself: of the query, or pushed before (RFC 9126) where a provider has that; and what is wrong with it."""
        return query, None

    def _refuse_to_redirect(self, client, query):
        """Without a known client and its own redirect URI nothing may be sent anywhere (RFC 6749 4.1.2.1)."""
        if client is None:
            return "The client is unknown."
        asked = query.get("redirect_uri")
        if asked is None:
            return "redirect_uri is missing."
        if not any(redirect_matches(asked, r, client.loopback_any_port) for r in client.redirect_uris):
            return "redirect_uri is not one that this client registered."
        return None

    def check_authorize(self, call, client, query, pending):
        """What may be told to the client by redirecting."""
        if pending["type"] not in self.response_types:
            raise OAuthError(400, "unsupported_response_type", "response_type")
        if self.authorize_scope_required and not pending["scope"]:
            raise OAuthError(400, "invalid_scope", "scope is required")
        allowed = self.switch("scopes", client)
        if allowed is not None and set(pending["scope"].split()) - set(allowed):
            raise OAuthError(400, "invalid_scope", "a scope that is not offered")
        pending["scope"] = pending["scope"] or self.switch("default_scope", client)
        if self.switch("granted_scope", client) is not None:
            pending["granted"] = self.switch("granted_scope", client)
        self._check_challenge(client, pending)
        if self.switch("authorize_error", client):
            raise OAuthError(400, self.switch("authorize_error", client), "ordered by the test")

    def _check_challenge(self, client, pending):
        if pending["challenge"] is None:
            if pending["type"] == "code" and self.must_use_pkce(client):
                raise OAuthError(400, "invalid_request", "code_challenge is required")
            return
        if pending["method"] not in self.challenge_methods:
            raise OAuthError(400, "invalid_request", "code_challenge_method")
        if pending["method"] == "S256" and not _CHALLENGE.match(pending["challenge"]):
            raise OAuthError(400, "invalid_request", "code_challenge")

    def must_use_pkce(self, client):
        return client.public or self.switch("require_pkce", client)

    def _ask(self, call, client, pending):
        for key in [k for k, p in self.pending.items() if p["at"] < self.now() - PENDING_SECONDS]:
            del self.pending[key]
        if len(self.pending) >= MAX_PENDING:
            return pages.message("Too many sign-ins are open", "Try again in ten minutes.", 503)
        request_id = secrets.token_urlsafe(16)
        self.pending[request_id] = pending
        call.record.outcome = "asked"
        return pages.consent(call.request.path, request_id, client, pending["scope"], list(self.users),
                             self.consent_title)

    def _decided(self, call):
        pending = self.pending.pop(call.params.get("request", ""), None)
        if pending is None or pending["at"] < self.now() - PENDING_SECONDS:
            call.record.outcome = "over"
            return pages.message("This sign-in is over", "It was answered before, or it took too long.", 400)
        call.record.client = pending["client"]
        if call.params.get("decision") != "allow":
            call.record.outcome = "access_denied"
            return self.denied(pending)
        return self._allow(call, pending, call.params.get("user", self.switch("consent_user")))

    def denied(self, pending):
        return self._back(pending, {"error": "access_denied", "error_description": "The user denied the request."})

    def _allow(self, call, pending, user_name):
        user = self.users.get(user_name)
        if user is None:
            call.record.outcome = "server_error"
            return self._back(pending, {"error": "server_error", "error_description": "no such user"})
        client = self.clients[pending["client"]]
        call.record.outcome = "ok"
        scope = pending.get("granted", pending["scope"])
        if pending["type"] == "token":
            access, _ = self.sign_in(call, client, user, "implicit", scope, with_refresh=False)
            return self._back(pending, self.implicit_fields(client, access))
        code = self.world.ledger.add(
            kind="code", provider=self.name, client=client.id, user=user.name, value=self.new_value("code"),
            expires_at=self.now() + self.switch("code_lifetime", client), generation=0, grant="authorization_code",
            scope=scope, request=call.record.id,
            facts={k: pending[k] for k in ("redirect_uri", "challenge", "method", "offline", "nonce")})
        return self._back(pending, {"code": code.value})

    def implicit_fields(self, client, access):
        return {"access_token": access.value, "token_type": "Bearer", "scope": access.scope,
                "expires_in": int(self.switch("lifetime", client))}

    def _back(self, pending, fields):
        """Redirects to the client: in the fragment for the implicit grant, else in the query."""
        client = self.clients[pending["client"]]
        if pending["state"] is not None and self.switch("state_echo", client):
            fields["state"] = pending["state"]
        if self.switch("iss_parameter"):
            fields["iss"] = self.switch("issuer") or self.url()
        for name, value in self.switch("callback_fields", client).items():
            fields[name] = value
            if value is None:
                del fields[name]
        separator = "#" if pending["type"] == "token" else ("&" if "?" in pending["redirect_uri"] else "?")
        location = pending["redirect_uri"] + separator + urllib.parse.urlencode(fields)
        return self.no_store(Response(302, [("Location", location)], b""))

    # --- the other half, at the token endpoint

    def code_grant(self, call, client, replay_redirect=True):
        """Redeems a code (RFC 6749 4.1.3). A code sent twice kills what it gave (4.1.2)."""
        ledger = self.world.ledger
        code = ledger.find(call.required("code"), self.name)
        if code is None or code.kind != "code":
            raise self.bad_code("the code is unknown")
        call.record.credential = code.id
        if code.client != client.id:
            raise self.bad_code("the code was issued to another client")
        if code.dead_at is not None:
            ledger.event(code, "reused", request=call.record.id)
            for child in [t for t in ledger.tokens.values() if t.parent == code.id]:
                ledger.kill_family(child.family, "code reuse")
            raise self.bad_code("the code was used before")
        if not code.alive(self.now()):
            ledger.event(code, "used_expired", request=call.record.id)
            raise self.bad_code("the code has expired")
        if replay_redirect and call.params.get("redirect_uri") != code.facts["redirect_uri"]:
            raise self.bad_code("redirect_uri is not the one of the authorization request")
        if not self.switch("pkce_ignored", client):
            self._check_verifier(call, code)
        call.nonce = code.facts.get("nonce")
        if call.params.get("code_verifier"):
            ledger.update(code, facts={**code.facts, "verifier": call.params.get("code_verifier")})
        ledger.kill(code, f"client {client.id}", what="used", request=call.record.id)
        return code, self.users[code.user]

    def bad_code(self, words):
        return OAuthError(400, "invalid_grant", words)

    def _check_verifier(self, call, code):
        """RFC 7636 4.6, and no downgrade: a verifier without a challenge is refused too (RFC 9700 2.1.1)."""
        verifier, challenge = call.params.get("code_verifier"), code.facts["challenge"]
        if challenge is None and verifier is None:
            return
        if challenge is None:
            call.deviation("code_verifier without a challenge")
            raise self.bad_code("code_verifier, but the authorization request had no code_challenge")
        if verifier is None:
            raise self.bad_code("code_verifier is missing")
        if not _VERIFIER.match(verifier):
            raise OAuthError(400, "invalid_request", "code_verifier must be 43 to 128 unreserved characters")
        if (s256(verifier) if code.facts["method"] == "S256" else verifier) != challenge:
            raise self.bad_code("code_verifier does not fit")
