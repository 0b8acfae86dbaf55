"""What all providers share: who a client is, how tokens are issued, refreshed and revoked, and how an API takes them.

A subclass says what its document says: paths, encodings, answers, errors. Everything here is synchronous: between the
first look at a token and the last change no other request runs.
"""

from . import switches
from .authorize import Authorizing
from .call import EMPTY, OAuthError
from .client_auth import ClientAuthentication
from .issuing import Issuing
from .lifecycle import Lifecycle
from .wire import Response


class Provider(ClientAuthentication, Authorizing, Issuing, Lifecycle):
    """One instance of a provider. `document` holds the switches that its document fixes."""
    kind = ""
    document = {}
    token_prefix = "pp"
    endpoints = {}      # path below the prefix -> (endpoint name, methods, handler name)
    jwt_assertions = False

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.clients, self.users, self.switches = {}, {}, {}
        self.pending = {}       # authorization requests that wait for a person's decision
        self.used_jti = {}
        self.install_defaults()

    def install_defaults(self):
        self.add_client(switches.Client(**switches.DEMO_CLIENT))
        self.add_user(switches.User(**switches.DEMO_USER))

    def add_client(self, client):
        self.clients[client.id] = client

    def add_user(self, user):
        user.id = user.id or str(1001 + len(self.users))
        user.email = user.email or user.name
        user.full_name = user.full_name or user.name
        self.users[user.name] = user

    def switch(self, name, client=None):
        for layer in (client.switches if client else {}, self.switches):
            if name in layer:
                return layer[name]
        if name == "lifetime" and self.world.lifetime is not None:
            return self.world.lifetime
        return self.document.get(name, switches.DEFAULTS[name])

    def now(self):
        return self.world.clock()

    def told_now(self):
        """The time this provider believes in and tells others."""
        return self.now() + self.switch("clock_offset")

    def url(self, path=""):
        return f"{self.world.base_url}/{self.name}{path}"

    # --- answers

    def error(self, call, error):
        """RFC 6749 5.2."""
        if error.payload == EMPTY:
            return self.no_store(Response(error.status, list(error.headers)))
        payload = error.payload or {"error": error.code, **({"error_description": error.words} if error.words else {})}
        return self.no_store(Response(error.status, list(error.headers), payload=payload, token=payload))

    @staticmethod
    def no_store(response):
        response.headers += [("Cache-Control", "no-store"), ("Pragma", "no-cache")]
        return response

    def handle(self, handler, call):
        try:
            return getattr(self, handler)(call)
        except OAuthError as error:
            call.record.outcome = error.code
            return self.error(call, error)

    # --- what the request may look like

    def check_body(self, call):
        """Encodings and repeated parameters. Not strict: only what cannot be read at all is refused."""
        if call.request.method != "POST":
            raise OAuthError(405, "invalid_request", "POST only", [("Allow", "POST")])
        encoding = call.params.encoding
        if call.params.problem:
            raise OAuthError(400, "invalid_request", call.params.problem)
        if call.params.duplicates:
            raise OAuthError(400, "invalid_request", f"repeated parameter: {call.params.duplicates[0]}")
        if encoding not in self.switch("encodings") and encoding != "none":
            self.deviate(call, f"encoding {encoding}")

    def deviate(self, call, words):
        """Something the document does not describe: always recorded, refused when strict."""
        call.deviation(words)
        if self.switch("strict"):
            raise OAuthError(400, "invalid_request", words)

    def answer(self, payload, token=None):
        """200 with JSON that nobody may cache; `token` is the object inside that holds the OAuth fields."""
        return self.no_store(Response(200, payload=payload, token=payload if token is None else token))

    def grant_type(self, call, handlers):
        """The method for the request's grant_type, or the refusal RFC 6749 5.2 asks for."""
        grant = call.required("grant_type")
        client_grants = self.switch("grants")
        if grant not in handlers or (client_grants is not None and grant not in client_grants):
            raise OAuthError(400, "unsupported_grant_type", "grant_type")
        return handlers[grant]

    def may_use(self, client, grant):
        allowed = client.switches.get("grants")
        if allowed is not None and grant not in allowed:
            raise OAuthError(400, "unauthorized_client", f"this client may not use {grant}")

    def asked_scope(self, call, client):
        """The scope of the request or the default; one that is not offered is invalid_scope."""
        scope = call.params.get("scope") or self.switch("default_scope", client)
        allowed = self.switch("scopes", client)
        if allowed is not None and set(scope.split()) - set(allowed):
            raise OAuthError(400, "invalid_scope", "a scope that is not offered")
        return scope
