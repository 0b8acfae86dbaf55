"""The RFC provider: client authentications, rotation, revocation, introspection, device grant, metadata."""

import json
import ssl
import time
import unittest
import urllib.parse

from control import PracticeProvider, basic, pkce
from practice import jose

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
provider = None
count = 0


def setUpModule():
    global provider
    provider = PracticeProvider().start()


def tearDownModule():
    provider.stop()


def hs256(secret, claims):
    import hashlib
    import hmac
    signed = ".".join(jose.b64url(json.dumps(v).encode()) for v in ({"alg": "HS256"}, claims))
    return f"{signed}.{jose.b64url(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())}"


class Case(unittest.TestCase):
    """Each test has its own instance."""

    def setUp(self):
        global count
        count += 1
        self.name = f"rfc/t{count}"
        self.path = f"/{self.name}"

    def token(self, fields, headers=None):
        return provider.form(f"{self.path}/token", fields, basic("demo-client", "demo-secret") if headers is None else headers)

    def refresh(self, token):
        return self.token({"grant_type": "refresh_token", "refresh_token": token})

    def revoke(self, token):
        return provider.form(f"{self.path}/revoke", {"token": token}, basic("demo-client", "demo-secret"))

    def alive(self, *tokens):
        return [t["alive"] for t in provider.check_all(tokens)]

    def refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.json().get("error")), (status, code), answer.text)


class ClientAuthentication(Case):
    FIELDS = {"grant_type": "client_credentials"}

    def claims(self, client="demo-client", **changed):
        now = int(time.time())
        return {"iss": client, "sub": client, "aud": provider.url(f"{self.path}/token"), "exp": now + 60, "iat": now,
                "jti": jose.b64url(str(time.perf_counter_ns()).encode()), **changed}

    def assertion(self, jwt):
        return self.token({**self.FIELDS, "client_assertion_type": ASSERTION_TYPE, "client_assertion": jwt}, {})

    def test_basic_is_form_decoded_unless_raw(self):
        provider.register(self.name, [{"id": "a:b c", "secret": "s%+ ü"}])
        good = basic("a:b c", "s%+ ü")
        self.assertEqual(self.token(self.FIELDS, good).status, 200)
        provider.switch(self.name, basic_encoding="raw")
        self.refused(self.token(self.FIELDS, good), 401, "invalid_client")

    def test_post_works_and_two_ways_at_once_do_not(self):
        body = {**self.FIELDS, "client_id": "demo-client", "client_secret": "demo-secret"}
        self.assertEqual(self.token(body, {}).status, 200)
        self.refused(self.token(body), 400, "invalid_request")
        self.assertEqual(provider.requests(provider=self.name)[-1]["auth"], "basic+post")

    def test_switch_narrows_the_accepted_methods(self):
        provider.switch(self.name, auth_methods=["post"])
        self.refused(self.token(self.FIELDS), 401, "invalid_client")
        self.assertEqual(provider.requests(provider=self.name)[-1]["deviations"], ["client authentication basic"])

    def test_client_secret_jwt(self):
        claims = self.claims()
        self.assertEqual(self.assertion(hs256("demo-secret", claims)).status, 200)
        self.refused(self.assertion(hs256("demo-secret", claims)), 401, "invalid_client")   # the same jti
        for wrong in ({"aud": "https://other.example"}, {"exp": int(time.time()) - 1}, {"sub": "x"}, {"jti": None},
                      {"exp": int(time.time()) + 86400}):
            self.refused(self.assertion(hs256("demo-secret", self.claims(**wrong))), 401, "invalid_client")
        self.refused(self.assertion(hs256("other", self.claims())), 401, "invalid_client")
        self.assertEqual(provider.requests(provider=self.name, outcome="ok")[0]["auth"], "client_secret_jwt")

    def test_private_key_jwt(self):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        key = rsa.generate_private_key(65537, 2048)
        pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        provider.register(self.name, [{"id": "keyed", "public_key": pem.decode()}])
        self.assertEqual(self.assertion(jose.sign(key, "RS256", self.claims("keyed"), "k")).status, 200)
        other = rsa.generate_private_key(65537, 2048)
        self.refused(self.assertion(jose.sign(other, "RS256", self.claims("keyed"), "k")), 401, "invalid_client")
        self.refused(self.assertion("not.a.jwt"), 401, "invalid_client")
        self.assertEqual(provider.requests(provider=self.name, outcome="ok")[0]["auth"], "private_key_jwt")

    def test_certificate_of_our_ca_on_the_mtls_port(self):
        provider.register(self.name, [{"id": "certified", "tls_subject": "host-1"}])
        body = urllib.parse.urlencode({**self.FIELDS, "client_id": "certified"})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        port = provider.trap("mtls")
        good = provider.connect(base_url=port, certificate=provider.certificate("host-1"))
        self.assertEqual(good.request("POST", f"{self.path}/token", body, headers).status, 200)
        for certificate in (provider.certificate("host-2"), None):
            bad = provider.connect(base_url=port, certificate=certificate)
            self.refused(bad.request("POST", f"{self.path}/token", body, headers), 401, "invalid_client")

    def test_public_client_gets_no_client_credentials(self):
        self.refused(self.token({**self.FIELDS, "client_id": "demo-public"}, {}), 401, "invalid_client")


class Rotation(Case):
    def test_no_rotation_keeps_the_refresh_token(self):
        pair = provider.issue(self.name)
        for _ in range(2):
            self.assertNotIn("refresh_token", self.refresh(pair["refresh_token"]).json())

    def test_rotation_without_detection_refuses_the_old_and_spares_the_family(self):
        provider.switch(self.name, rotation="always")
        pair = provider.issue(self.name)
        new = self.refresh(pair["refresh_token"]).json()
        self.refused(self.refresh(pair["refresh_token"]), 400, "invalid_grant")
        self.assertEqual(self.alive(pair["refresh_token"], new["refresh_token"]), [False, True])
        self.assertEqual(provider.summary(provider=self.name)["reused"], 1)

    def test_reuse_detection_kills_the_family(self):
        provider.switch(self.name, rotation="always", reuse_detection=True)
        pair = provider.issue(self.name)
        new = self.refresh(pair["refresh_token"]).json()
        self.refresh(pair["refresh_token"])
        self.assertEqual(self.alive(new["refresh_token"], new["access_token"], pair["access_token"]), [False] * 3)
        self.assertEqual(provider.check(new["access_token"])["why_dead"], "reuse detection")

    def test_within_the_overlap_the_old_one_works(self):
        provider.switch(self.name, rotation="always", reuse_detection=True, overlap=30)
        pair = provider.issue(self.name)
        first = self.refresh(pair["refresh_token"]).json()
        second = self.refresh(pair["refresh_token"]).json()
        self.assertNotEqual(first["refresh_token"], second["refresh_token"])
        self.assertEqual(self.alive(first["refresh_token"], second["refresh_token"]), [True, True])
        provider.switch(self.name, overlap_answer="same")
        again = self.refresh(pair["refresh_token"]).json()
        self.assertEqual(again["refresh_token"], first["refresh_token"])
        self.assertEqual(again["access_token"], second["access_token"])

    def test_past_the_overlap_reuse_is_found(self):
        provider.switch(self.name, rotation="always", reuse_detection=True, overlap=0.2)
        pair = provider.issue(self.name)
        new = self.refresh(pair["refresh_token"]).json()
        deadline = time.monotonic() + 5
        while provider.check(pair["refresh_token"])["alive"] and time.monotonic() < deadline:
            time.sleep(0.05)
        self.refused(self.refresh(pair["refresh_token"]), 400, "invalid_grant")
        self.assertEqual(self.alive(new["refresh_token"]), [False])

    def test_sometimes_rotates_every_second_time(self):
        provider.switch(self.name, rotation="sometimes")
        token = provider.issue(self.name)["refresh_token"]
        self.assertEqual(["refresh_token" in self.refresh(token).json() for _ in range(2)], [False, True])

    def test_old_access_token_lives_dies_or_lasts_a_while(self):
        for policy, alive in (("lives", True), ("dies", False), (60, True)):
            provider.switch(self.name, old_access=policy)
            pair = provider.issue(self.name)
            self.refresh(pair["refresh_token"])
            self.assertEqual(self.alive(pair["access_token"]), [alive], policy)

    def test_a_client_has_its_own_switches(self):
        provider.register(self.name, [{"id": "other", "secret": "s", "switches": {"rotation": "always", "lifetime": 7}}])
        pair = provider.issue(self.name, client="other")
        self.assertEqual(pair["expires_in"], 7)
        answer = self.token({"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}, basic("other", "s"))
        self.assertIn("refresh_token", answer.json())
        self.assertNotIn("refresh_token", self.refresh(provider.issue(self.name)["refresh_token"]).json())

    def test_refresh_token_dies_of_age_and_of_disuse(self):
        provider.switch(self.name, refresh_lifetime=100, refresh_idle=50, refresh_expires_field="refresh_token_expires_in")
        pair = provider.issue(self.name)
        self.assertLessEqual(provider.check(pair["refresh_token"])["expires_in"], 50)
        provider.switch(self.name, refresh_idle=0)
        self.refresh(provider.issue(self.name)["refresh_token"])
        self.assertEqual(provider.summary(provider=self.name)["events"]["used_expired"], 1)

    def test_shapes_of_a_dead_refresh_token(self):
        for shape, status, error in (("invalid_grant_403", 403, "invalid_grant"), ("github", 200, "bad_refresh_token"),
                                     ("passport", 401, "invalid_request")):
            provider.switch(self.name, dead_refresh=shape)
            self.refused(self.refresh("unknown"), status, error)
        provider.switch(self.name, dead_refresh="empty_401")
        empty = self.refresh("unknown")
        self.assertEqual((empty.status, empty.body), (401, b""))


class RevokeAndIntrospect(Case):
    def introspect(self, token):
        return provider.form(f"{self.path}/introspect", {"token": token}, basic("demo-client", "demo-secret")).json()

    def test_revoking_a_refresh_token_kills_the_grant(self):
        pair = provider.issue(self.name)
        self.assertEqual(self.revoke(pair["refresh_token"]).status, 200)
        self.assertEqual(self.alive(pair["access_token"]), [False])

    def test_revoking_an_access_token_spares_the_refresh_token_unless_told(self):
        pair = provider.issue(self.name)
        self.revoke(pair["access_token"])
        self.assertEqual(self.alive(pair["access_token"], pair["refresh_token"]), [False, True])
        provider.switch(self.name, cascade_access="grant")
        pair = provider.issue(self.name)
        self.revoke(pair["access_token"])
        self.assertEqual(self.alive(pair["refresh_token"]), [False])

    def test_revoking_a_rotated_refresh_token_is_harmless_unless_told(self):
        provider.switch(self.name, rotation="always")
        pair = provider.issue(self.name)
        new = self.refresh(pair["refresh_token"]).json()
        self.revoke(pair["refresh_token"])
        self.assertEqual(self.alive(new["refresh_token"]), [True])
        provider.switch(self.name, superseded_revocation_kills=True)
        newest = self.refresh(new["refresh_token"]).json()
        self.revoke(new["refresh_token"])
        self.assertEqual(self.alive(newest["refresh_token"], newest["access_token"]), [False, False])

    def test_unsupported_kind_and_another_clients_token(self):
        provider.switch(self.name, revocable=["refresh"])
        provider.register(self.name, [{"id": "other", "secret": "s"}])
        self.refused(self.revoke(provider.issue(self.name)["access_token"]), 400, "unsupported_token_type")
        self.refused(self.revoke(provider.issue(self.name, client="other")["refresh_token"]), 400, "invalid_grant")

    def test_introspection_tells_the_living_from_the_dead(self):
        pair = provider.issue(self.name, scope="a b")
        told = self.introspect(pair["access_token"])
        self.assertEqual((told["active"], told["scope"], told["username"]), (True, "a b", "demo@example.com"))
        self.revoke(pair["access_token"])
        self.assertEqual(self.introspect(pair["access_token"]), {"active": False})
        self.assertEqual(self.introspect("unknown"), {"active": False})


class Authorize(Case):
    def test_code_with_pkce_state_and_iss(self):
        verifier, challenge = pkce()
        query = urllib.parse.urlencode({"client_id": "demo-public", "redirect_uri": "http://[::1]:5/callback", "state": "s",
                                        "response_type": "code", "code_challenge": challenge, "scope": "a b",
                                        "code_challenge_method": "S256"})
        location = provider.consent(f"{self.path}/authorize?{query}")
        back = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(location).query))
        self.assertEqual((back["state"], back["iss"]), ("s", provider.url(self.path)))
        answer = self.token({"grant_type": "authorization_code", "code": back["code"], "client_id": "demo-public",
                             "redirect_uri": "http://[::1]:5/callback", "code_verifier": verifier}, {})
        self.assertEqual(answer.json()["scope"], "a b")

    def test_auto_consent_answers_without_a_page(self):
        provider.switch(self.name, auto_consent=True)
        query = urllib.parse.urlencode({"client_id": "demo-client", "redirect_uri": "http://127.0.0.1/callback",
                                        "response_type": "code"})
        answer = provider.http("GET", f"{self.path}/authorize?{query}")
        self.assertEqual(answer.status, 302)
        self.assertIn("code=", answer.headers["location"])

    def test_page_escapes_what_it_shows(self):
        provider.register(self.name, [{"id": "x", "secret": "y", "title": "<script>alert(1)</script>",
                                       "redirect_uris": ["https://app.example/cb"]}])
        query = urllib.parse.urlencode({"client_id": "x", "redirect_uri": "https://app.example/cb", "response_type": "code"})
        page = provider.http("GET", f"{self.path}/authorize?{query}")
        self.assertNotIn("<script>", page.text)
        self.assertIn("&lt;script&gt;", page.text)

    def test_metadata_is_found_both_ways(self):
        tails = (f"/.well-known/oauth-authorization-server{self.path}", f"{self.path}/.well-known/openid-configuration")
        documents = [provider.get(t).json() for t in tails]
        self.assertEqual(documents[0], documents[1])
        self.assertEqual(documents[0]["issuer"], provider.url(self.path))
        provider.switch(self.name, issuer="https://evil.example", metadata={"revocation_endpoint": None})
        changed = provider.get(tails[0]).json()
        self.assertEqual(changed["issuer"], "https://evil.example")
        self.assertNotIn("revocation_endpoint", changed)


class Device(Case):
    def start(self):
        provider.switch(self.name, device_interval=0)
        return provider.form(f"{self.path}/device_authorization", {"client_id": "demo-public", "scope": "a"}).json()

    def poll(self, device):
        return self.token({"grant_type": "urn:ietf:params:oauth:grant-type:device_code", "client_id": "demo-public",
                           "device_code": device["device_code"]}, {})

    def test_pending_until_allowed_on_the_page(self):
        device = self.start()
        self.refused(self.poll(device), 400, "authorization_pending")
        path = device["verification_uri_complete"].removeprefix(provider.base_url)
        self.assertIn("Done", provider.consent(path))
        self.assertEqual(self.poll(device).status, 200)
        self.refused(self.poll(device), 400, "invalid_grant")

    def test_denied_and_too_fast(self):
        device = self.start()
        provider.decide_device(device["user_code"], "deny", self.name)
        self.refused(self.poll(device), 400, "access_denied")
        provider.switch(self.name, device_interval=30)
        slow = provider.form(f"{self.path}/device_authorization", {"client_id": "demo-public"}).json()
        self.refused(self.poll(slow), 400, "authorization_pending")
        self.refused(self.poll(slow), 400, "slow_down")


class Transport(unittest.TestCase):
    def test_tls_1_2_at_least_and_three_names(self):
        for host in ("localhost", "127.0.0.1"):
            provider.connect(base_url=f"https://{host}:{provider.port}").request("GET", "/rfc/jwks")
        old = ssl.create_default_context(cafile=provider.ca_file)
        with self.assertWarns(DeprecationWarning):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        import socket
        with socket.create_connection(("127.0.0.1", provider.port)) as raw, self.assertRaises(ssl.SSLError):
            old.wrap_socket(raw, server_hostname="localhost")

    def test_control_needs_its_token(self):
        self.assertEqual(provider.http("GET", "/_control/summary").status, 403)
        self.assertEqual(provider.http("GET", "/_control/summary", headers={"X-Practice-Control": "no"}).status, 403)

    def raw(self, request):
        import socket
        context = ssl.create_default_context(cafile=provider.ca_file)
        with socket.create_connection(("127.0.0.1", provider.port), 10) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(request)
            received = b""
            while piece := tls.recv(65536):
                received += piece
            return received

    def test_chunked_bodies_and_100_continue_are_understood(self):
        head = (b"POST /rfc/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n")
        received = self.raw(head + b"b\r\ngrant_type=\r\n8;x=y\r\npassword\r\n0\r\n\r\n")
        self.assertTrue(received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 "), received)
        self.assertEqual(provider.requests(provider="rfc")[-1]["grant"], "password")

    def test_malformed_requests_get_400_and_the_end(self):
        for request in (b"GET rfc/jwks HTTP/1.1\r\n\r\n", b"GET /rfc/jwks HTTP/2.0\r\n\r\n", b"\x16\x03\x01 \r\n\r\n",
                        b"POST /rfc/token HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                        b"POST /rfc/token HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                        b"GET /rfc/jwks HTTP/1.1\r\nNo colon\r\n\r\n",
                        b"GET /rfc/jwks HTTP/1.1\r\nA: " + b"x" * 70000 + b"\r\n\r\n"):
            self.assertTrue(self.raw(request).startswith(b"HTTP/1.1 400 "), request[:60])

    def test_unknown_paths_are_404(self):
        for path in ("/", "/flat", "/flat/nothing", "/rfc/UPPER/token", "/other/token"):
            self.assertEqual(provider.get(path).status, 404, path)


if __name__ == "__main__":
    unittest.main()
