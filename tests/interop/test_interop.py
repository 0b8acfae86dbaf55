"""The daemon against oidc-provider, a certified OpenID provider. The judge is that server: its introspection and its ledger."""

import json
import os
import pwd
import signal
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(REPOSITORY, "tests", "integration")]

import assertion  # noqa: E402
import npm_ci  # noqa: E402
from harness import EVERY_ACTION, Daemon, wait_for  # noqa: E402
from oidc_provider import OidcProvider  # noqa: E402
from profiles import toml  # noqa: E402

GRACE = 1.0             # s; the accounts' revoke_grace
ASKING_EVERY = 0.2      # s; how often the callers of a rotating account come
NOT_AT_THE_SERVER = 1.0 # s; a refresh further off than this is not under way when we kill
EXIT_NEEDS_LOGIN, EXIT_SUSPENDED = 3, 7

# What differs from what the server's metadata says. The cascades are its source's word (README.md).
PROFILES = """
[provider.op]
title = "oidc-provider"
grants = ["client_credentials", "refresh_token"]
issuer = {issuer}
refresh.rotation = "always"
refresh.overlap = "0s"
revoke.access_cascade = "none"
revoke.refresh_cascade = "grant"
"""
VARIANTS = {
    "op-post": {"auth": ["post"]},
    "op-secret-jwt": {"auth": ["client_secret_jwt"]},
    "op-key": {"auth": ["private_key_jwt"]},
    "op-ps256": {"auth": ["private_key_jwt"], "signing_algorithm": "PS256"},
    "op-tls": {"auth": ["tls"]},
    "op-public": {"auth": ["none"]},
}

# account: (profile, client, the key that proves who it is)
BY_THEMSELVES = {
    "basic": ("op", "cc-basic", None),
    "awkward": ("op", "reports: 50% + 1/2", None),
    "post": ("op-post", "cc-post", None),
    "secret-jwt": ("op-secret-jwt", "cc-secret-jwt", None),
    "rs256": ("op-key", "cc-rs256", "rsa"),
    "ps256": ("op-ps256", "cc-ps256", "rsa"),
    "es256": ("op-key", "cc-es256", "ec"),
    "tls-ca": ("op-tls", "cc-tls-ca", "tlsByCa"),
    "tls-self": ("op-tls", "cc-tls-self", "tlsSelfSigned"),
}
ROTATING = {
    "rotating-public": ("op-public", "rt-public", None),
    "rotating-basic": ("op", "rt-basic", None),
    "rotating-rs256": ("op-key", "rt-rs256", "rsa"),
}
ERRORS = ("grant.error", "revocation.error", "server_error")


def setUpModule():
    global provider
    for name in list(os.environ):   # the daemon honours them; this server is on loopback
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            del os.environ[name]
    installed = os.environ.get("CREDSYNC_INTEROP_DIR", os.path.join(REPOSITORY, "build", "interop"))
    npm_ci.install(installed)
    provider = OidcProvider(installed)
    unittest.addModuleCleanup(provider.close)


class InteropTest(unittest.TestCase):
    """A fresh daemon with accounts at the one server."""

    maxDiff = None

    def setUp(self):
        self.began = time.time()
        self.daemon = Daemon()
        self.addCleanup(self.daemon.close)
        self.daemon.write("credsyncd.toml", "\n".join([
            "[listen]", f"http = {toml(self.daemon.socket)}", 'dbus = "off"',
            "[defaults]", f"ca_file = {toml(provider.ca_file)}", f'revoke_grace = "{GRACE:.0f}s"',
            "[[defaults.allow]]", f"user = {toml(pwd.getpwuid(os.getuid()).pw_name)}", f"actions = {toml(EVERY_ACTION)}", ""]))
        text = PROFILES.format(issuer=toml(provider.issuer))
        for name, client in VARIANTS.items():
            text += f'[provider.{name}]\nextends = "op"\n' + "".join(f"client.{k} = {toml(v)}\n" for k, v in client.items())
        self.daemon.write("providers.d/op.toml", text)

    def account(self, name, row, grant, **more):
        profile, client_id, key = row
        client = provider.clients[client_id]
        keys = {"provider": profile, "grant": grant, "client_id": client_id, "client_secret": None, **more}
        if client.secret:
            self.daemon.secret(f"{name}.secret", client.secret)
            keys["client_secret"] = {"file": f"{name}.secret"}
        if key:
            keys["client_key"] = {"file": provider.keys[key]["key"]}
            if profile == "op-tls":
                keys["client_certificate"] = provider.keys[key]["pem"]
            else:
                keys["client_key_id"] = client.metadata["jwks"]["keys"][0]["kid"]
        self.daemon.account(name, **keys)
        return client

    def records(self, event=None, **fields):
        """The server's records since this test began."""
        return [r for r in provider.ledger(event, **fields) if r["at"] >= self.began]

    def cli(self, *arguments, stdin="", status=0):
        done = self.daemon.cli(*arguments, stdin=stdin)
        self.assertEqual(done.returncode, status, f"credsync {' '.join(arguments)}: {done.stdout}{done.stderr}\n{self.daemon.log()[-3000:]}")
        return done.stdout

    def token(self, account):
        return json.loads(self.cli("token", account, "--format", "json"))

    def status(self, account):
        return json.loads(self.cli("status", account, "--json"))

    def sign_in(self, account, row, user):
        """Signs in as `user` and gives the account the refresh token, as a person does. The refresh token."""
        _, client_id, key = row
        client = provider.clients[client_id]
        proof = assertion.rs256(client_id, provider.issuer, provider.keys[key]["key"]) if key else None
        refresh_token = provider.sign_in(client, user, proof)["refresh_token"]
        self.cli("login", account, "--refresh-token-stdin", stdin=refresh_token + "\n")
        return refresh_token

    def wait_destroyed(self, *tokens):
        """Until the server has destroyed them because it was asked to, each before its own end."""
        def destroyed():
            gone = {r["token"]: r for r in provider.ledger() if r["event"].endswith(" destroyed")}
            return all(t in gone for t in tokens) and [gone[t] for t in tokens]
        for record in wait_for(destroyed, 15.0, f"{len(tokens)} tokens to be revoked; {self.daemon.log()[-2000:]}"):
            self.assertLess(record["at"], record["expires_at"], "it had expired by itself")

    def assert_dead(self, token):
        self.assertEqual(provider.introspect(token), {"active": False})

    def assert_alive(self, token, client):
        found = provider.introspect(token)
        self.assertTrue(found["active"], found)
        self.assertEqual(found["client_id"], client.id)

    def assert_nothing_went_wrong(self):
        self.assertEqual([r for r in self.records() if r["event"] in ERRORS], [])

    def assert_log_holds_no_token(self):
        log = self.daemon.log()
        for record in self.records():
            if "token" in record:
                self.assertNotIn(record["token"], log)


class TheServer(unittest.TestCase):
    """What the profile says of it (README.md), without the daemon: a newer version may think otherwise."""

    def setUp(self):
        self.client = provider.clients["rt-basic"]
        self.tokens = provider.sign_in(self.client, "nobody in particular")

    def ask(self, endpoint, **form):
        return provider.call(endpoint, form, self.client)

    def refresh(self, refresh_token):
        return self.ask("token_endpoint", grant_type="refresh_token", refresh_token=refresh_token)

    def alive(self, *tokens):
        return [provider.introspect(token)["active"] for token in tokens]

    def test_a_refresh_consumes_the_refresh_token_and_spares_the_access_token(self):
        status, new = self.refresh(self.tokens["refresh_token"])
        self.assertEqual(status, 200)
        self.assertEqual(self.alive(self.tokens["refresh_token"], new["refresh_token"]), [False, True])
        self.assertEqual(self.alive(self.tokens["access_token"], new["access_token"]), [True, True])

    def test_a_consumed_refresh_token_sent_again_ends_the_grant(self):
        _, new = self.refresh(self.tokens["refresh_token"])
        status, answer = self.refresh(self.tokens["refresh_token"])
        self.assertEqual((status, answer["error"]), (400, "invalid_grant"))
        self.assertEqual(self.alive(new["access_token"], new["refresh_token"]), [False, False])

    def test_revoking_an_access_token_ends_nothing_else(self):
        status, _ = self.ask("revocation_endpoint", token=self.tokens["access_token"])
        self.assertEqual(status, 200)
        self.assertEqual(self.alive(self.tokens["access_token"], self.tokens["refresh_token"]), [False, True])

    def test_revoking_a_consumed_refresh_token_ends_the_grant(self):
        _, new = self.refresh(self.tokens["refresh_token"])
        status, _ = self.ask("revocation_endpoint", token=self.tokens["refresh_token"])
        self.assertEqual(status, 200)
        self.assertEqual(self.alive(new["access_token"], new["refresh_token"]), [False, False])


class ClientCredentials(InteropTest):
    def setUp(self):
        super().setUp()
        self.clients = {name: self.account(name, row, "client_credentials") for name, row in BY_THEMSELVES.items()}

    def test_the_server_offers_no_client_authentication_that_is_not_tried(self):
        tried = {provider.clients[row[1]].auth for row in [*BY_THEMSELVES.values(), *ROTATING.values()]}
        self.assertEqual(tried, set(provider.metadata["token_endpoint_auth_methods_supported"]))

    def test_each_client_authentication_gets_renews_and_revokes(self):
        self.daemon.start()
        first = {}
        for name, client in self.clients.items():
            with self.subTest("first token", account=name):
                first[name] = self.token(name)
                self.assert_alive(first[name]["access_token"], client)
        for name in first:
            with self.subTest("renewal", account=name):
                self.cli("refresh", name)
        second = {name: self.token(name) for name in first}
        self.wait_destroyed(*(old["access_token"] for old in first.values()))
        for name, old in first.items():
            with self.subTest("retirement", account=name):
                self.check_renewed(self.clients[name], old, second[name])
        self.assert_nothing_went_wrong()
        self.assert_log_holds_no_token()

    def check_renewed(self, client, old, new):
        self.assertEqual(new["generation"], old["generation"] + 1)
        self.assert_dead(old["access_token"])
        self.assert_alive(new["access_token"], client)
        for route, times in (("token", 2), ("revocation", 1)):
            asked = [(r["status"], r["client_auth"]) for r in self.records("request", route=route, client=client.id)]
            self.assertEqual(asked, [(200, client.auth)] * times, route)

    def test_a_wrong_secret_suspends_that_account_only(self):
        self.daemon.secret("wrong.secret", "not the secret of this client")
        self.daemon.account("wrong", provider="op", grant="client_credentials", client_id="cc-basic",
                            client_secret={"file": "wrong.secret"})
        self.daemon.start()
        self.cli("token", "wrong", status=EXIT_SUSPENDED)
        self.assertEqual(self.status("wrong")["state"], "suspended")
        self.assertEqual(provider.introspect(self.token("basic")["access_token"])["client_id"], "cc-basic")
        self.assertEqual({r["error"] for r in self.records("grant.error")}, {"invalid_client"})


class Discovery(InteropTest):
    def test_an_issuer_is_all_that_a_profile_must_name(self):
        """The server has OpenID's metadata only, not RFC 8414's."""
        client = self.account("basic", BY_THEMSELVES["basic"], "client_credentials")
        self.daemon.start()
        self.assert_alive(self.token("basic")["access_token"], client)
        asked = [(r["path"], r["status"]) for r in self.records("request") if r["path"].startswith("/.well-known/")]
        self.assertEqual(asked, [("/.well-known/oauth-authorization-server", 404), ("/.well-known/openid-configuration", 200)])


class Callers(threading.Thread):
    """Programs that ask again and again for the tokens of some accounts. What they got is in `got`."""

    def __init__(self, daemon, accounts):
        super().__init__(daemon=True)
        self.host, self.accounts = daemon, accounts
        self.got = {name: [] for name in accounts}   # (asked at, generation, access token)
        self.wrong = []                              # answers that were not a token
        self.open = threading.Event()                # there is a daemon to be asked
        self.over = threading.Event()
        self.asking = threading.Lock()

    def run(self):
        while not self.over.wait(ASKING_EVERY):
            with self.asking:
                if self.open.is_set():
                    self.ask()

    def ask(self):
        api = self.host.api()
        try:
            for name in self.accounts:
                asked_at = time.time()
                answer = api.token(name)
                if answer.status == 200 and answer.json["state"] == "ok":
                    self.got[name].append((asked_at, answer.json["generation"], answer.json["access_token"]))
                else:
                    self.wrong.append((name, answer))
        finally:
            api.close()

    def pause(self):
        """While the daemon is down, nobody asks."""
        with self.asking:
            self.open.clear()

    def stop(self):
        self.over.set()
        self.join()

    def generation(self, name):
        return self.got[name][-1][1] if self.got[name] else 0


class Rotation(InteropTest):
    def setUp(self):
        super().setUp()
        self.clients = {name: self.account(name, row, "refresh_token") for name, row in ROTATING.items()}

    def test_a_grant_survives_rotation_a_restart_and_a_crash(self):
        self.daemon.start()
        imported = {name: self.sign_in(name, row, f"user of {name}") for name, row in ROTATING.items()}
        callers = Callers(self.daemon, list(ROTATING))
        callers.start()
        self.addCleanup(callers.stop)
        callers.open.set()
        self.wait_for_renewals(callers)

        callers.pause()
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        callers.open.set()
        self.wait_for_renewals(callers)

        self.kill_with_a_token_to_revoke(callers)
        self.daemon.start()
        callers.open.set()
        self.wait_for_renewals(callers)

        for name in ROTATING:
            self.check_current(name)
        callers.stop()
        self.assertEqual(callers.wrong, [])
        for name in ROTATING:
            with self.subTest(account=name):
                self.check_history(name, imported[name], callers.got[name])
        self.assert_nothing_went_wrong()
        self.assertEqual(self.records("grant revoked"), [], "reuse detection, or a revocation that reached too far")
        self.assert_log_holds_no_token()

    def wait_for_renewals(self, callers):
        """Until callers have seen every account's generation grow."""
        before = {name: callers.generation(name) for name in ROTATING}
        wait_for(lambda: all(callers.generation(n) > before[n] + (before[n] == 0) for n in ROTATING), 25.0,
                 f"all accounts to be renewed since {before}: {callers.wrong[:3]} {self.daemon.log()[-3000:]}")

    def kill_with_a_token_to_revoke(self, callers):
        """kill -9 while a superseded token waits for its grace period; not while an answer may be on its way: what a crash
        loses then is lost at any server that detects reuse, and other tests look at it."""
        def killed():
            with callers.asking:
                found = [self.status(name) for name in ROTATING]
                if not any(s["retiring"]["pending"] for s in found) or not all(map(self.is_quiet, found)):
                    return False
                callers.open.clear()
                self.assertEqual(self.daemon.kill(), -signal.SIGKILL)
                return True
        wait_for(killed, 25.0, "a moment with a token to revoke and no refresh near")

    @staticmethod
    def is_quiet(status):
        near = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + NOT_AT_THE_SERVER))
        return not status["refreshing"] and status["next_refresh"] > near

    def check_current(self, name):
        """While the daemon runs: what it hands out and what it keeps to renew it are alive."""
        def alive():
            token = self.token(name)
            kept = self.records("refresh_token saved", client=self.clients[name].id)[-1]["token"]
            found = [provider.introspect(token["access_token"]), provider.introspect(kept)]
            if self.status(name)["generation"] != token["generation"]:
                return None   # renewed meanwhile: that one may be dead by now
            return found
        for found in wait_for(alive, 10.0, "a moment between two renewals"):
            self.assertEqual((found["active"], found.get("client_id")), (True, self.clients[name].id))

    def check_history(self, name, imported, got):
        client = self.clients[name].id
        saved = [r["token"] for r in self.records("refresh_token saved", client=client)]
        consumed = [r["token"] for r in self.records("refresh_token consumed", client=client)]
        self.assertEqual(saved[0], imported)
        self.assertEqual(consumed, saved[:-1], "each refresh token was used once, in order, but the last")
        self.assertGreaterEqual(len(consumed), 4)
        for token in consumed:
            self.assert_dead(token)
        access = [r["token"] for r in self.records("access_token saved", client=client)][1:]   # the first was the person's
        self.wait_destroyed(*access[:-1])
        for token in access[:-1]:
            self.assert_dead(token)
        self.check_handed_out(got, access)

    def check_handed_out(self, got, access):
        """Never an old one after a newer one, never a dead one."""
        order = {token: i for i, token in enumerate(access)}
        ranks = [order[token] for _, _, token in got]
        self.assertEqual(ranks, sorted(ranks))
        generations = [generation for _, generation, _ in got]
        self.assertEqual([g - generations[0] for g in generations], [r - ranks[0] for r in ranks])
        ends = {r["token"]: r["expires_at"] for r in self.records("access_token saved")}
        ends.update({r["token"]: r["at"] for r in self.records("access_token destroyed")})
        for asked_at, _, token in got:
            self.assertLess(asked_at, ends[token])


class Grant(InteropTest):
    def test_a_refresh_token_used_by_somebody_else_asks_for_a_new_sign_in(self):
        """The control of the other tests: reuse detection is on, and the daemon understands what it does."""
        row = ROTATING["rotating-basic"]
        client = self.account("stolen", row, "refresh_token")
        self.daemon.start()
        stolen = self.sign_in("stolen", row, "victim")
        self.token("stolen")
        answer = provider.call("token_endpoint", {"grant_type": "refresh_token", "refresh_token": stolen}, client)
        self.assertEqual((answer[0], answer[1]["error"]), (400, "invalid_grant"))
        self.assertEqual(len(self.records("grant revoked", client=client.id)), 1)

        wait_for(lambda: self.token_ends_in("stolen") == "needs-login", 20.0, "the dead grant to be noticed")
        self.assertIn("credsync login stolen", self.cli("status", "stolen"))
        self.sign_in("stolen", row, "victim")
        self.assertEqual(self.status("stolen")["state"], "ok")
        self.assert_alive(self.token("stolen")["access_token"], client)

    def token_ends_in(self, account):
        done = self.daemon.cli("token", account)
        self.assertIn(done.returncode, (0, EXIT_NEEDS_LOGIN), done.stderr)
        return self.status(account)["state"]

    def test_revoking_what_was_superseded_spares_the_grant_and_signing_out_ends_it(self):
        row = ("op-post", "rt-signs-out", None)
        client = self.account("leaver", row, "refresh_token")
        self.daemon.start()
        self.sign_in("leaver", row, "leaver")
        old = self.token("leaver")["access_token"]
        self.cli("refresh", "leaver")
        new = self.token("leaver")["access_token"]
        self.assertNotEqual(old, new)
        self.wait_destroyed(old)
        self.assert_dead(old)
        self.assert_alive(new, client)
        kept = self.records("refresh_token saved", client=client.id)[-1]["token"]
        self.assert_alive(kept, client)
        self.assertEqual(self.records("grant revoked"), [])

        self.cli("logout", "leaver")
        wait_for(lambda: self.records("grant revoked", client=client.id), 10.0, "the grant to be revoked")
        self.assert_dead(kept)
        self.assert_dead(new)
        self.assertEqual(self.status("leaver")["state"], "signed-out")
        self.cli("token", "leaver", status=EXIT_NEEDS_LOGIN)
        self.assert_nothing_went_wrong()


if __name__ == "__main__":
    unittest.main()
