"""A request on its way through a provider, and how a provider refuses one."""

from dataclasses import dataclass, field

from .params import Params
from .wire import Request

EMPTY = b""     # as an error's payload: answer with an empty body


class OAuthError(Exception):
    """A refusal: status, error code, words. The provider's `error` renders it."""

    def __init__(self, status, code, words="", headers=(), payload=None):
        super().__init__(f"{code}: {words}")
        self.status, self.code, self.words, self.headers = status, code, words, list(headers)
        self.payload = payload


@dataclass
class Call:
    """One request on its way through a provider, its record, and what misbehaviour asks of the acting part."""
    request: Request
    params: Params
    record: object
    same_token: bool = False
    issued: list = field(default_factory=list)
    nonce: str | None = None      # of the authorization request whose code is redeemed

    def deviation(self, words):
        self.record.deviations.append(words)

    def required(self, name):
        value = self.params.get(name)
        if value is None:
            raise OAuthError(400, "invalid_request", f"missing parameter: {name}")
        return value
