"""Everything the providers share, and how a path finds its provider: clock, ledger, keys, registrations, instances."""

import re
import socket
import time
from dataclasses import asdict

from cryptography.hazmat.primitives.asymmetric import ec

from . import certs, jose, switches
from .behaviour import Behaviours
from .example import Example
from .fflogs import FFLogs
from .flat import Flat
from .flume import Flume
from .ledger import Journal, Ledger
from .limits import Limits
from .rfc import Rfc

SINGLE = {"flat": Flat, "flume": Flume, "fflogs": FFLogs, "example": Example}
MAX_INSTANCES = 10_000
_INSTANCE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_DISCOVERY = "/.well-known/oauth-authorization-server/"


def _own_host():
    """localhost, or its address on a machine so bare that nothing resolves the name; the certificate holds for both."""
    try:
        socket.getaddrinfo("localhost", None)
        return "localhost"
    except socket.gaierror:
        return "127.0.0.1"


class NotFound(LookupError):
    """No such provider or path."""


class World:
    """One running practice provider."""

    def __init__(self, directory, ledger_file=None, lifetime=None):
        self.directory = directory
        self.lifetime = lifetime         # of access tokens where neither provider nor client says otherwise
        self.clock = time.time
        self.signing_key = certs.load_signing_key(f"{directory}/jwt.key")
        self.curve_keys = {}             # by their serial: keys of ES256, made when asked for
        self.journal = Journal(ledger_file)
        self.ledger = Ledger(self.clock, self.journal)
        self.behaviours = Behaviours()
        self.limits = Limits(self.clock)
        self.base_url, self.all_bases = "", set()
        self.providers = {}
        for name in SINGLE:
            self.provider(name)
        self.ledger.load(self._replay)
        self.journal.open()

    def listening(self, port):
        self.base_url = f"https://{_own_host()}:{port}"
        self.all_bases |= {f"https://{host}:{port}" for host in ("localhost", "127.0.0.1", "[::1]")}

    # --- instances

    def provider(self, name):
        """The instance of that name, made on first use: flat, flume, fflogs, example, rfc, rfc/NAME."""
        if name in self.providers:
            return self.providers[name]
        kind, _, instance = name.partition("/")
        known = (kind in SINGLE and not instance) or (kind == "rfc" and (not instance or _INSTANCE.match(instance)))
        if not known or len(self.providers) >= MAX_INSTANCES:
            raise NotFound(name)
        self.providers[name] = SINGLE.get(kind, Rfc)(self, name)
        return self.providers[name]

    def route(self, path):
        """The provider, its row of `endpoints` and the path below its prefix."""
        if path.startswith(_DISCOVERY):
            return self.provider(path[len(_DISCOVERY):]), ("metadata", "metadata")
        kind, _, rest = path.lstrip("/").partition("/")
        if kind not in SINGLE and kind != "rfc":
            raise NotFound(path)
        name, tail = kind, f"/{rest}"
        if kind == "rfc" and tail not in Rfc.endpoints:
            instance, _, rest = rest.partition("/")
            name, tail = f"rfc/{instance}", f"/{rest}"
        provider = self.provider(name)
        row = provider.endpoints.get(tail) or provider.endpoints.get(re.sub(r"/[^/]+\Z", "/{id}", tail))
        if row is None:
            raise NotFound(path)
        return provider, row

    # --- keys

    def sign(self, claims):
        return jose.sign(self.signing_key, "RS256", claims, jose.key_id(self.signing_key))

    def curve_key(self, serial):
        if serial not in self.curve_keys:
            self.curve_keys[serial] = ec.generate_private_key(ec.SECP256R1())
        return self.curve_keys[serial]

    def jwks(self, serial=0):
        return {"keys": [jose.public_jwk(key) for key in (self.signing_key, self.curve_key(serial))]}

    # --- registrations, which the journal remembers

    def register(self, provider_name, clients=(), users=(), changed=None, client_id=None):
        """Adds clients and users and sets switches (of the instance, or of client_id)."""
        provider = self.provider(provider_name)
        made = [switches.Client(**c) for c in clients]
        for client in made:
            switches.checked(client.switches)
        people = [switches.User(**u) for u in users]
        target = provider.clients[client_id].switches if client_id else provider.switches
        switches.checked(changed or {})
        for client in made:
            provider.add_client(client)
            self.journal.write("client", provider=provider_name, client=asdict(client))
        for user in people:
            provider.add_user(user)
            self.journal.write("user", provider=provider_name, user=asdict(user))
        if changed:
            switches.apply(target, changed)
            self.journal.write("switches", provider=provider_name, client=client_id, switches=changed)

    def _replay(self, operation, line):
        provider = self.provider(line["provider"])
        if operation == "client":
            provider.add_client(switches.Client(**line["client"]))
        elif operation == "user":
            provider.add_user(switches.User(**line["user"]))
        elif operation == "switches":
            client = provider.clients.get(line["client"]) if line["client"] else None
            switches.apply(client.switches if client else provider.switches, line["switches"])
        elif operation == "forget_switches":
            self._forget_switches(provider)
        else:
            raise ValueError(f"unknown line in the ledger file: {operation}")

    @staticmethod
    def _forget_switches(provider):
        provider.switches.clear()
        for client in provider.clients.values():
            client.switches.clear()

    def forget_switches(self):
        for provider in self.providers.values():
            self._forget_switches(provider)
            self.journal.write("forget_switches", provider=provider.name)
