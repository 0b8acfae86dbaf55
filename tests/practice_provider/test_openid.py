"""What sign-ins need of the RFC provider: ID tokens right and wrong, pushed requests, callbacks that are bent, device pages."""

import re
import time
import unittest
import urllib.parse

from control import PracticeProvider, basic, pkce
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from practice import jose, openid

REDIRECT = "http://127.0.0.1:4711/callback"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
provider = None
count = 0


def setUpModule():
    global provider
    provider = PracticeProvider().start()


def tearDownModule():
    provider.stop()


def public_pem(jwk):
    """The public key of a JWK, as jose.verify wants it."""
    number = lambda name: int.from_bytes(jose.from_b64url(jwk[name]), "big")
    if jwk["kty"] == "EC":
        key = ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1()).public_key()
    else:
        key = rsa.RSAPublicNumbers(number("e"), number("n")).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Case(unittest.TestCase):
    """Each test has its own instance."""

    def setUp(self):
        global count
        count += 1
        self.name = f"rfc/o{count}"
        self.path = f"/{self.name}"
        self.verifier, self.challenge = pkce()

    def query(self, **changed):
        fields = {"client_id": "demo-public", "response_type": "code", "redirect_uri": REDIRECT, "state": "the-state",
                  "scope": "openid a", "nonce": "the-nonce", "code_challenge": self.challenge,
                  "code_challenge_method": "S256", **changed}
        return {k: v for k, v in fields.items() if v is not None}

    def authorize(self, decision="allow", user=None, **changed):
        """The callback's parameters."""
        location = provider.consent(f"{self.path}/authorize?{urllib.parse.urlencode(self.query(**changed))}", decision, user)
        self.assertTrue(location.startswith(REDIRECT), location)
        return dict(urllib.parse.parse_qsl(re.split("[?#]", location, maxsplit=1)[1]))

    def token(self, **fields):
        return provider.form(f"{self.path}/token", {"client_id": "demo-public", **fields})

    def redeem(self, code, **fields):
        return self.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT, code_verifier=self.verifier, **fields)

    def sign_in(self, **changed):
        answer = self.redeem(self.authorize(**changed)["code"])
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json()

    def keys(self):
        return {k["kid"]: k for k in provider.get(f"{self.path}/jwks").json()["keys"]}

    def verified(self, token):
        """Its header and claims, if one of the published keys signed it."""
        header = jose.split(token)[0]
        key = self.keys().get(header["kid"])
        if key is None:
            raise jose.BadToken("a key that is not listed")
        return header, jose.verify(token, public_pem=public_pem(key))[1]


class IdTokens(Case):
    def test_it_is_signed_and_says_who_for_whom_and_for_which_request(self):
        answer = self.sign_in()
        _, claims = self.verified(answer["id_token"])
        self.assertEqual((claims["iss"], claims["aud"], claims["sub"], claims["nonce"], claims["email"]),
                         (provider.url(self.path), "demo-public", "1001", "the-nonce", "demo@example.com"))
        self.assertEqual(claims["at_hash"], openid.at_hash(answer["access_token"]))
        self.assertLess(abs(claims["iat"] - time.time()), 5)
        self.assertEqual(claims["exp"], claims["iat"] + 300)
        self.assertEqual(provider.check(answer["id_token"])["kind"], "id")
        self.assertEqual(provider.tokens(provider=self.name, kind="code")[0]["facts"]["verifier"], self.verifier)

    def test_only_where_openid_was_asked_for(self):
        self.assertNotIn("id_token", self.sign_in(scope="a"))

    def test_a_refresh_brings_one_without_nonce_unless_switched_off(self):
        answer = self.sign_in()
        new = self.token(grant_type="refresh_token", refresh_token=answer["refresh_token"]).json()
        self.assertNotIn("nonce", self.verified(new["id_token"])[1])
        provider.switch(self.name, id_token_at_refresh=False)
        self.assertNotIn("id_token", self.token(grant_type="refresh_token", refresh_token=answer["refresh_token"]).json())

    def test_algorithms_and_a_change_of_keys(self):
        for algorithm in ("RS256", "PS256", "ES256"):
            provider.switch(self.name, id_token_alg=algorithm)
            self.assertEqual(self.verified(self.sign_in()["id_token"])[0]["alg"], algorithm)
        before = self.keys()
        provider.switch(self.name, key_serial=1)
        self.assertEqual(len(set(before) & set(self.keys())), 1, "the RSA key stays")
        self.assertNotIn(self.verified(self.sign_in()["id_token"])[0]["kid"], before)

    def test_another_person_is_another_subject(self):
        provider.register(self.name, users=[{"name": "other@example.com", "id": "2002"}])
        self.assertEqual(self.verified(self.sign_in(user="other@example.com")["id_token"])[1]["sub"], "2002")

    def test_claims_can_be_laid_over(self):
        provider.switch(self.name, id_token_claims={"sub": "9", "aud": ["demo-public", "b"], "email": None})
        claims = self.verified(self.sign_in()["id_token"])[1]
        self.assertEqual((claims["sub"], claims["aud"], "email" in claims), ("9", ["demo-public", "b"], False))


class Flaws(Case):
    def flawed(self, flaw):
        provider.switch(self.name, id_token_flaw=flaw)
        return self.sign_in()["id_token"]

    def test_wrong_signatures(self):
        for flaw in ("signature", "unlisted_key", "garbage"):
            with self.subTest(flaw), self.assertRaises(jose.BadToken):
                self.verified(self.flawed(flaw))

    def test_no_signature_and_a_confused_one(self):
        header, _, _, signature = jose.split(self.flawed("alg_none"))
        self.assertEqual((header["alg"], signature), ("none", b""))
        token = self.flawed("hs256")
        header = jose.split(token)[0]
        self.assertEqual(header["alg"], "HS256")
        self.assertEqual(jose.verify(token, secret=public_pem(self.keys()[header["kid"]]))[0], "HS256")

    def test_wrong_claims_under_a_right_signature(self):
        now = time.time()
        holds = {
            "expired": lambda c: c["exp"] < now - 600, "not_yet_valid": lambda c: c["iat"] > now + 600,
            "audience": lambda c: c["aud"] == openid.SOMEBODY_ELSE, "azp": lambda c: c["azp"] == openid.SOMEBODY_ELSE,
            "issuer": lambda c: c["iss"] == openid.ELSEWHERE, "nonce": lambda c: c["nonce"] != "the-nonce",
            "nonce_missing": lambda c: "nonce" not in c, "at_hash": lambda c: c["at_hash"] == openid.at_hash("another"),
            "sub_missing": lambda c: "sub" not in c,
        }
        for flaw, wrong in holds.items():
            with self.subTest(flaw):
                self.assertTrue(wrong(self.verified(self.flawed(flaw))[1]))


class Callbacks(Case):
    def test_state_and_iss_come_back(self):
        answer = self.authorize()
        self.assertEqual((answer["state"], answer["iss"]), ("the-state", provider.url(self.path)))

    def test_state_can_be_kept_and_fields_bent(self):
        provider.switch(self.name, state_echo=False, callback_fields={"iss": "https://evil.example", "extra": "1"})
        answer = self.authorize()
        self.assertEqual((answer.get("state"), answer["iss"], answer["extra"]), (None, "https://evil.example", "1"))
        provider.switch(self.name, callback_fields={"iss": None})
        self.assertNotIn("iss", self.authorize())

    def test_an_ordered_error_comes_back_with_state(self):
        provider.switch(self.name, authorize_error="server_error")
        answer = self.authorize()
        self.assertEqual((answer["error"], answer["state"]), ("server_error", "the-state"))
        self.assertNotIn("code", answer)

    def test_less_can_be_granted_than_was_asked(self):
        provider.switch(self.name, granted_scope="openid")
        self.assertEqual(self.sign_in()["scope"], "openid")

    def test_pkce_is_checked_unless_it_is_ignored(self):
        wrong = {"code_verifier": "x" * 43}
        code = self.authorize()["code"]
        self.assertEqual(self.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT, **wrong).status, 400)
        provider.switch(self.name, pkce_ignored=True)
        code = self.authorize()["code"]
        self.assertEqual(self.token(grant_type="authorization_code", code=code, redirect_uri=REDIRECT, **wrong).status, 200)

    def test_the_user_info_can_be_bent(self):
        answer = self.sign_in()
        provider.switch(self.name, userinfo_fields={"sub": "9", "name": None})
        info = provider.get(f"{self.path}/userinfo", bearer=answer["access_token"]).json()
        self.assertEqual((info["sub"], "name" in info), ("9", False))


class Pushed(Case):
    def push(self, headers=None, **changed):
        query = self.query(client_id="demo-client", **changed)
        return provider.form(f"{self.path}/par", query, basic("demo-client", "demo-secret") if headers is None else headers)

    def open(self, uri, client="demo-client"):
        return provider.get(f"{self.path}/authorize?{urllib.parse.urlencode({'client_id': client, 'request_uri': uri})}")

    def test_a_pushed_request_is_used_once_by_its_client(self):
        answer = self.push()
        self.assertEqual((answer.status, answer.json()["expires_in"]), (201, 90))
        uri = answer.json()["request_uri"]
        page = self.open(uri)
        self.assertIn("Demo application", page.text)
        self.assertEqual(self.open(uri).status, 400)
        self.assertEqual(self.open(self.push().json()["request_uri"], "demo-public").status, 400)
        self.assertEqual(provider.requests(endpoint="par", provider=self.name)[0]["auth"], "basic")

    def test_it_gives_a_code_that_is_bound_to_it(self):
        provider.switch(self.name, auto_consent=True)
        location = self.open(self.push().json()["request_uri"]).headers["location"]
        code = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))["code"]
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": self.verifier}
        answer = provider.form(f"{self.path}/token", fields, basic("demo-client", "demo-secret"))
        self.assertEqual(self.verified(answer.json()["id_token"])[1]["nonce"], "the-nonce")

    def test_it_can_be_required_and_ends(self):
        provider.switch(self.name, require_par=True, par_lifetime=-1)
        query = urllib.parse.urlencode(self.query())
        self.assertEqual(provider.get(f"{self.path}/authorize?{query}").status, 400)
        self.assertEqual(self.open(self.push().json()["request_uri"]).status, 400)
        metadata = provider.get(f"{self.path}/.well-known/openid-configuration").json()
        self.assertTrue(metadata["require_pushed_authorization_requests"])
        self.assertEqual(metadata["pushed_authorization_request_endpoint"], provider.url(f"{self.path}/par"))

    def test_what_is_wrong_is_told_to_the_client_and_not_to_a_browser(self):
        self.assertEqual(self.push(headers={}).json()["error"], "invalid_client")
        self.assertEqual(self.push(redirect_uri="https://evil.example/").json()["error"], "invalid_request")
        self.assertEqual(self.push(request_uri="urn:x").json()["error"], "invalid_request")


class DevicePages(Case):
    def start(self):
        return provider.form(f"{self.path}/device_authorization", {"client_id": "demo-public", "scope": "openid"}).json()

    def poll(self, device):
        return self.token(grant_type=DEVICE, device_code=device["device_code"])

    def test_a_person_types_the_code_in_any_way(self):
        provider.switch(self.name, device_interval=0)
        device = self.start()
        self.assertIn("name=user_code", provider.get(f"{self.path}/device").text)
        typed = device["user_code"].lower().replace("-", " ")
        path = f"{self.path}/device?{urllib.parse.urlencode({'user_code': typed})}"
        self.assertIn("Done", provider.consent(path))
        self.assertIn("id_token", self.poll(device).json())

    def test_a_refusal_and_a_code_that_is_over(self):
        device = self.start()
        path = device["verification_uri_complete"].removeprefix(provider.base_url)
        self.assertIn("refused", provider.consent(path, "deny"))
        again = provider.form(f"{self.path}/device", {"request": device["user_code"], "decision": "allow"})
        self.assertEqual((again.status, "over" in again.text), (400, True))
        self.assertEqual(self.poll(device).json()["error"], "access_denied")

    def test_the_complete_address_can_be_left_out(self):
        provider.switch(self.name, device_complete_uri=False)
        self.assertNotIn("verification_uri_complete", self.start())

    def test_the_ledger_knows_device_codes(self):
        device = self.start()
        self.assertEqual(provider.check(device["device_code"])["kind"], "device")
        self.poll(device)
        record = provider.requests(provider=self.name, endpoint="token")[-1]
        self.assertEqual((record["outcome"], record["credential"]),
                         ("authorization_pending", provider.check(device["device_code"])["id"]))


if __name__ == "__main__":
    unittest.main()
