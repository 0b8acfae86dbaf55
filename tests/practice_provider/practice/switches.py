"""The switches of a provider and the clients and users it knows.

A switch is looked up at the client, then at the provider instance, then in what the provider's document says, then here.
"""

from dataclasses import dataclass, field

ROTATIONS = ("none", "always", "sometimes")
RATE_STYLES = ("retry-after-seconds", "retry-after-date", "reset-epoch", "reset-epoch-ms", "reset-delta", "none")

# What a dead refresh token reads, by the name a test gives. Sources: the providers' public documents and client libraries.
DEAD_REFRESH = {
    "invalid_grant": (400, {"error": "invalid_grant", "error_description": "The refresh token is invalid."}),
    "invalid_grant_401": (401, {"error": "invalid_grant", "error_description": "The refresh token is invalid."}),
    "invalid_grant_403": (403, {"error": "invalid_grant", "error_description": "Unknown or invalid refresh token."}),
    "passport": (401, {"error": "invalid_request", "error_description": "The refresh token is invalid.",
                       "hint": "Token has been revoked", "message": "The refresh token is invalid."}),
    "github": (200, {"error": "bad_refresh_token",
                     "error_description": "The refresh token passed is incorrect or expired."}),
    "slack": (200, {"ok": False, "error": "invalid_refresh_token"}),
    "hubspot": (400, {"status": "BAD_REFRESH_TOKEN", "message": "missing or invalid refresh token"}),
    "empty_400": (400, None),
    "empty_401": (401, None),
    "empty_403": (403, None),
}

DEFAULTS = {
    "lifetime": 3600,               # seconds an access token lives
    "rotation": "none",             # of refresh tokens: none, always, sometimes (every rotate_every-th refresh)
    "rotate_every": 2,
    "overlap": 0,                   # seconds a rotated refresh token still works
    "overlap_answer": "new",        # a refresh within the overlap: "new" tokens, or the "same" as last time
    "old_access": "lives",          # when refreshed: "lives", "dies", or so many seconds
    "reuse_detection": False,       # a rotated refresh token past its overlap kills the whole family
    "cascade_access": "none",       # revoking an access token also kills: "none" or the whole "grant"
    "cascade_refresh": "none",      # revoking a refresh token also kills: "none" or the whole "grant"
    "superseded_revocation_kills": False,  # revoking a rotated refresh token kills the whole grant
    "revocable": ["access", "refresh", "pat"],  # other kinds: unsupported_token_type
    "refresh_in_answer": "rotated",  # "rotated": only a new one; "always": the unchanged one too; "never" after the first
    "refresh_lifetime": None,       # seconds from the sign-in, None: no end
    "refresh_idle": None,           # seconds without use, None: no end
    "refresh_expires_field": None,  # name under which the answer tells the refresh token's remaining seconds
    "client_credentials_refresh": False,
    "old_login": "lives",           # a new sign-in of the same user and client: older ones "lives" or "dies"
    "dead_refresh": "invalid_grant",  # a name of DEAD_REFRESH or {"status": …, "body": {…}}
    "strict": True,                 # refuse what the document does not describe; off: only note a deviation
    "encodings": ["form"],          # accepted for bodies: form, json, multipart, query
    "auth_methods": ["basic", "post", "none", "private_key_jwt", "client_secret_jwt", "tls"],
    "basic_encoding": "form",       # "form": RFC 6749 2.3.1; "raw": not decoded
    "grants": None,                 # None: all that the provider has
    "scopes": None,                 # None: any scope
    "default_scope": "",
    "auto_consent": False,          # the authorization page answers at once as consent_user allowed it
    "consent_user": "demo@example.com",
    "require_pkce": False,
    "pkce_ignored": False,          # a code is redeemed whatever the verifier
    "iss_parameter": False,         # RFC 9207
    "state_echo": True,             # the callback carries the state of the request
    "authorize_error": None,        # an error code that every authorization request ends in
    "callback_fields": {},          # laid over the callback's parameters; null removes a member
    "granted_scope": None,          # what is granted, whatever was asked
    "require_par": False,           # RFC 9126: other authorization requests are refused
    "par_lifetime": 90,
    "id_token_alg": "RS256",        # RS256, PS256, ES256
    "id_token_lifetime": 300,
    "id_token_at_refresh": True,
    "id_token_claims": {},          # laid over an ID token's claims; null removes a member
    "id_token_flaw": None,          # a name of ID_TOKEN_FLAWS
    "key_serial": 0,                # which ES256 key signs; the JWK set has that one only
    "userinfo_fields": {},          # laid over the answer of the user info endpoint; null removes a member
    "code_lifetime": 600,
    "jwt_access": False,
    "token_bytes": 32,              # randomness in an opaque token; large values make large tokens
    "clock_offset": 0,              # seconds added to Date, iat, exp, issued_at and reset headers
    "rate_limit": None,             # {"per_second": N, "burst": N, "per": "provider"|"client", "endpoints": […]}
    "rate_style": "retry-after-seconds",
    "device_interval": 5,
    "device_lifetime": 600,
    "device_complete_uri": True,    # the answer has verification_uri_complete
    "issuer": None,                 # a wrong issuer, for metadata and callbacks
    "metadata": {},                 # laid over the RFC 8414 document; null removes a member
    "answer_fields": {},            # laid over each token answer; null removes a member
}

ID_TOKEN_ALGORITHMS = ("RS256", "PS256", "ES256")
# What can be wrong with an ID token, besides claims that are set by id_token_claims.
ID_TOKEN_FLAWS = (
    "signature",        # of other claims
    "unlisted_key",     # signed by a key that the JWK set does not have
    "alg_none",         # RFC 7519 6: no signature, and the header says so
    "hs256",            # the public key taken for a shared secret
    "expired", "not_yet_valid",
    "audience",         # for another client
    "azp",              # for several, and made for another
    "issuer", "nonce", "nonce_missing", "at_hash", "sub_missing",
    "garbage",          # not a JWT at all
)


class BadSwitch(ValueError):
    """A switch that does not exist or a value it cannot have."""


def _one_of(*allowed):
    return lambda v: v in allowed


def _number(v):
    return isinstance(v, (int, float)) and not isinstance(v, bool)


_CHECKS = {
    "rotation": _one_of(*ROTATIONS), "overlap_answer": _one_of("new", "same"),
    "cascade_access": _one_of("none", "grant"), "cascade_refresh": _one_of("none", "grant"),
    "refresh_in_answer": _one_of("rotated", "always", "never"), "old_login": _one_of("lives", "dies"),
    "rate_style": _one_of(*RATE_STYLES), "basic_encoding": _one_of("form", "raw"),
    "old_access": lambda v: v in ("lives", "dies") or _number(v),
    "dead_refresh": lambda v: v in DEAD_REFRESH or (isinstance(v, dict) and "status" in v),
    "id_token_alg": _one_of(*ID_TOKEN_ALGORITHMS), "id_token_flaw": _one_of(None, *ID_TOKEN_FLAWS),
    "callback_fields": lambda v: isinstance(v, dict), "id_token_claims": lambda v: isinstance(v, dict),
    "rotate_every": lambda v: isinstance(v, int) and v >= 1,
    "rate_limit": lambda v: v is None or (isinstance(v, dict) and _number(v.get("per_second"))),
}
_CHECKS.update({name: _number for name in ("lifetime", "overlap", "code_lifetime", "token_bytes", "clock_offset",
                                           "device_interval", "device_lifetime", "par_lifetime", "id_token_lifetime",
                                           "key_serial")})


def checked(switches):
    """The same switches, or BadSwitch. A null value means: back to the default."""
    for name, value in switches.items():
        if name not in DEFAULTS:
            raise BadSwitch(f"no switch {name!r}; there are: {', '.join(sorted(DEFAULTS))}")
        if value is not None and name in _CHECKS and not _CHECKS[name](value):
            raise BadSwitch(f"{name}: {value!r} is not allowed")
    return switches


def apply(target, switches):
    for name, value in checked(switches).items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = value


@dataclass
class Client:
    """A registered OAuth client. Without a secret and a key it is public."""
    id: str
    secret: str | None = None
    title: str = ""
    redirect_uris: list = field(default_factory=list)
    loopback_any_port: bool = False     # RFC 8252 7.3, for 127.0.0.1 and [::1]
    public_key: str | None = None       # PEM, for private_key_jwt
    tls_subject: str | None = None      # common name of its certificate, for tls
    switches: dict = field(default_factory=dict)

    @property
    def public(self):
        return not (self.secret or self.public_key or self.tls_subject)


@dataclass
class User:
    name: str                # what one signs in with
    password: str = "demo-password"
    id: str = ""
    full_name: str = ""
    email: str = ""


DEMO_USER = {"name": "demo@example.com", "password": "demo-password", "id": "1001",
             "full_name": "Demo Example", "email": "demo@example.com"}
DEMO_REDIRECTS = ["http://127.0.0.1/callback", "http://[::1]/callback", "http://127.0.0.1/", "http://[::1]/"]
DEMO_CLIENT = {"id": "demo-client", "secret": "demo-secret", "title": "Demo application",
               "redirect_uris": DEMO_REDIRECTS, "loopback_any_port": True}
DEMO_PUBLIC = {"id": "demo-public", "title": "Demo public application",
               "redirect_uris": DEMO_REDIRECTS, "loopback_any_port": True}
