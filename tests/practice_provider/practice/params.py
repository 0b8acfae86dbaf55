"""What a request says: its parameters in whichever encoding they came, and how the client showed who it is."""

import base64
import binascii
import email.parser
import email.policy
import json
import urllib.parse
from dataclasses import dataclass, field

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class Params:
    """Parameters by name, the encoding of the body, and what was wrong with it."""
    values: dict = field(default_factory=dict)
    encoding: str = "none"          # form, json, multipart, query, none, other
    duplicates: list = field(default_factory=list)
    problem: str | None = None

    def get(self, name, default=None):
        value = self.values.get(name, default)
        return value if value != "" else default

    def names(self):
        return sorted(self.values)


def _collect(pairs):
    values, duplicates = {}, []
    for name, value in pairs:
        if name in values:
            duplicates.append(name)
        values[name] = value
    return values, duplicates


def _multipart(request):
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + request.body)
    if not message.is_multipart():
        raise ValueError("not multipart")
    pairs = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if name is None:
            raise ValueError("a part without a name")
        pairs.append((name, part.get_payload(decode=True).decode()))
    return pairs


def _json(body):
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return [(k, v if isinstance(v, str) else json.dumps(v)) for k, v in value.items()]


def parse(request):
    """The parameters of the body, or of the query where there is no body. A broken body is a `problem`, not an error."""
    kind = request.header("content-type").split(";")[0].strip().lower()
    encodings = {"application/x-www-form-urlencoded": "form", "application/json": "json",
                 "multipart/form-data": "multipart"}
    encoding = encodings.get(kind, "other")
    if not request.body:
        values, duplicates = _collect(request.query)
        return Params(values, "query" if values else "none", duplicates)
    try:
        if encoding == "form":
            pairs = urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
        elif encoding == "json":
            pairs = _json(request.body)
        elif encoding == "multipart":
            pairs = _multipart(request)
        else:
            return Params(encoding="other", problem=f"Content-Type {kind or 'missing'}")
    except (ValueError, UnicodeDecodeError) as error:
        return Params(encoding=encoding, problem=f"malformed {encoding} body: {error}")
    values, duplicates = _collect(pairs)
    return Params(values, encoding, duplicates)


@dataclass
class Credential:
    """How a client presented itself: method basic, post, none, jwt or tls, and what it claims to be."""
    method: str
    client_id: str
    secret: str | None = None
    assertion: str | None = None


def _basic(request):
    scheme, _, value = request.header("authorization").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return Credential("basic", "", "")
    user, _, password = decoded.partition(":")
    return Credential("basic", user, password)


def _claimed_issuer(assertion):
    from . import jose
    try:
        return str(jose.split(assertion)[1].get("iss", ""))
    except jose.BadToken:
        return ""


def credentials(request, params):
    """Every way of client authentication found in the request: more than one is the client's mistake (RFC 6749 2.3)."""
    found = []
    basic = _basic(request)
    if basic:
        found.append(basic)
    if params.get("client_assertion"):
        assertion = params.get("client_assertion")
        found.append(Credential("jwt", params.get("client_id") or _claimed_issuer(assertion), assertion=assertion))
    if params.get("client_secret") is not None:
        found.append(Credential("post", params.get("client_id", ""), params.get("client_secret")))
    if not found and params.get("client_id"):
        method = "tls" if request.certificate else "none"
        found.append(Credential(method, params.get("client_id")))
    return found


def form_decoded(credential):
    """RFC 6749 2.3.1: both halves were form-encoded before Basic."""
    return Credential(credential.method, urllib.parse.unquote_plus(credential.client_id),
                      urllib.parse.unquote_plus(credential.secret or ""))
