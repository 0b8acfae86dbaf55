"""Each misbehaviour does what it says on the wire, and the ledger tells the truth about it."""

import email.utils
import gzip
import http.client
import json
import socket
import ssl
import threading
import time
import unittest

from control import ControlError, PracticeProvider, basic

BASIC = basic("demo-client", "demo-secret")
provider = None
count = 0


def setUpModule():
    global provider
    provider = PracticeProvider(idle=20).start()


def tearDownModule():
    provider.stop()


class Case(unittest.TestCase):
    """Each test has its own instance, with rotation and reuse detection, and a pair of tokens in it."""

    def setUp(self):
        global count
        count += 1
        self.name = f"rfc/m{count}"
        provider.switch(self.name, rotation="always", reuse_detection=True)
        self.pair = provider.issue(self.name, scope="a")

    def tearDown(self):
        provider.reset("behaviour")

    def behave(self, do, **parameters):
        match = {"provider": self.name, "endpoint": "token", **parameters.pop("match", {})}
        return provider.behave(do, match, **parameters)

    def refresh(self, token=None, timeout=10.0):
        body = f"grant_type=refresh_token&refresh_token={token or self.pair['refresh_token']}"
        return provider.http("POST", f"/{self.name}/token", body,
                             {"Content-Type": "application/x-www-form-urlencoded", **BASIC}, timeout)

    def raw(self, timeout=10.0):
        """All bytes that come back to a refresh, and how the connection ended: tls (in good order), fin, or rst."""
        body = f"grant_type=refresh_token&refresh_token={self.pair['refresh_token']}"
        request = (f"POST /{self.name}/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: {BASIC['Authorization']}\r\n"
                   f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
                   f"Connection: close\r\n\r\n{body}")
        context = ssl.create_default_context(cafile=provider.ca_file)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        with socket.create_connection(("127.0.0.1", provider.port), timeout) as plain, \
                context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as tls:
            tls.sendall(request.encode())
            received = b""
            try:
                while piece := tls.recv(65536):
                    received += piece
            except OSError as error:
                # Python tells a reset inside TLS only by what it does not say.
                return received, "fin" if "UNEXPECTED_EOF" in str(error) else "rst"
        return received, "tls"

    def last(self):
        provider.wait(requests={"provider": self.name, "endpoint": "token"})
        return provider.requests(provider=self.name, endpoint="token")[-1]

    def acted(self):
        """Did the provider rotate although its answer was lost?"""
        return not provider.check(self.pair["refresh_token"])["alive"]


class HeldBack(Case):
    def test_delay_before_or_after_acting(self):
        for when in ("before", "after"):
            rule = self.behave("delay", seconds=0.3, when=when, times=1)
            started = time.monotonic()
            pair = self.refresh().json()
            self.assertGreaterEqual(time.monotonic() - started, 0.3)
            self.assertEqual(provider.rule(rule)["hits"], 1)
            self.pair = pair

    def test_hang_until_released(self):
        for when, acted in (("before", False), ("after", True)):
            self.setUp()
            rule = self.behave("hang", when=when)
            answers = []
            thread = threading.Thread(target=lambda: answers.append(self.refresh()))
            thread.start()
            provider.wait(hanging=rule)
            self.assertEqual(self.acted(), acted)
            self.assertEqual(provider.summary(provider=self.name)["under_way"], 1)
            provider.release(rule)
            thread.join(10)
            self.assertEqual(answers[0].status, 200)

    def test_peer_that_leaves_a_hanging_request_is_noticed(self):
        for when, acted in (("before", False), ("after", True)):
            self.setUp()
            rule = self.behave("hang", when=when)
            with self.assertRaises(TimeoutError):
                self.refresh(timeout=1.5)   # long enough to get there on a busy machine
            record = self.last()
            self.assertEqual((record["answer"], record["acted"], self.acted()), ("lost", acted, acted))
            self.assertEqual(provider.rule(rule)["hanging"], 0)

    def test_released_by_dropping(self):
        rule = self.behave("hang")
        errors = []

        def run():
            try:
                self.refresh()
            except OSError as error:
                errors.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        provider.wait(hanging=rule)
        provider.release(rule, drop=True)
        thread.join(10)
        self.assertEqual(len(errors), 1)

    def test_two_flights_of_one_refresh_token_are_seen(self):
        rule = self.behave("hang")
        threads = [threading.Thread(target=self.refresh) for _ in range(2)]
        for thread in threads:
            thread.start()
        provider.wait(hanging=rule, count=2)
        provider.release(rule)
        for thread in threads:
            thread.join(10)
        summary = provider.summary(provider=self.name)
        self.assertEqual((summary["same_credential_in_flight"], summary["peak_in_flight"]), (1, 2))


class Dropped(Case):
    def test_drop_before_acting_leaves_the_refresh_token_alone(self):
        for how in ("rst", "fin", "tls"):
            self.behave("drop_before", how=how, times=1)
            self.assertEqual(self.raw(), (b"", how))
            self.assertFalse(self.acted())
            record = self.last()
            self.assertEqual((record["acted"], record["answer"]), (False, "lost"))
        self.assertEqual(self.refresh().status, 200)

    def test_drop_after_acting_has_rotated_and_the_ledger_says_lost(self):
        self.behave("drop_after", times=1)
        self.assertEqual(self.raw(), (b"", "rst"))
        self.assertTrue(self.acted())
        lost = [t for t in provider.tokens(provider=self.name) if "answer_lost" in t["counts"]]
        self.assertEqual(sorted(t["kind"] for t in lost), ["access", "refresh"])
        self.assertEqual(provider.summary(provider=self.name)["lost_answers"], 1)
        self.assertEqual(self.refresh().status, 400)   # reuse: the family dies
        self.assertEqual(provider.summary(provider=self.name)["alive"], {})

    def test_drop_after_so_many_bytes(self):
        self.behave("drop_bytes", bytes=40)
        received, end = self.raw()
        self.assertEqual((len(received), end), (40, "rst"))
        self.assertTrue(self.acted())

    def test_reset_on_a_kept_connection_only(self):
        rule = self.behave("drop_before", match={"kept": True, "endpoint": "api"})
        token = self.pair["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        connection = provider.connect()
        self.assertEqual(connection.request("GET", f"/{self.name}/userinfo", None, headers).status, 200)
        with self.assertRaises(OSError):
            connection.request("GET", f"/{self.name}/userinfo", None, headers)
        self.assertEqual(provider.rule(rule)["hits"], 1)

    def test_kept_connection_closed_in_silence(self):
        self.behave("close_kept", match={"endpoint": "api"}, times=1)
        connection = provider.connect()
        headers = {"Authorization": f"Bearer {self.pair['access_token']}"}
        first = connection.request("GET", f"/{self.name}/userinfo", None, headers)
        self.assertEqual((first.status, first.headers["connection"]), (200, "keep-alive"))
        self.assertEqual(connection.http.sock.recv(1), b"")


class OtherAnswers(Case):
    def test_429_in_each_style(self):
        now = time.time()
        for style, header, low, high in (("retry-after-seconds", "retry-after", 7, 7),
                                         ("reset-epoch", "x-ratelimit-reset", now + 6, now + 20),
                                         ("reset-epoch-ms", "x-ratelimit-reset", (now + 6) * 1000, (now + 20) * 1000),
                                         ("reset-delta", "x-ratelimit-reset", 7, 7)):
            self.behave("too_many", style=style, seconds=7, times=1)
            answer = self.refresh()
            self.assertEqual(answer.status, 429)
            self.assertTrue(low <= float(answer.headers[header]) <= high, (style, answer.headers))
        self.behave("too_many", style="retry-after-date", seconds=7, times=1)
        answer = self.refresh()
        wait = email.utils.parsedate_to_datetime(answer.headers["retry-after"]) - \
            email.utils.parsedate_to_datetime(answer.headers["date"])
        self.assertIn(wait.total_seconds(), (6, 7, 8))
        self.behave("too_many", style="none", times=1)
        self.assertNotIn("retry-after", self.refresh().headers)
        self.assertFalse(self.acted())

    def test_any_status_html_and_redirect_without_acting(self):
        self.behave("status", status=503, body="busy", headers={"Retry-After": "3"}, content_type="text/plain", times=1)
        answer = self.refresh()
        self.assertEqual((answer.status, answer.body, answer.headers["retry-after"]), (503, b"busy", "3"))
        self.behave("status", status=400, json={"error": "invalid_scope"}, times=1)
        self.assertEqual(self.refresh().json(), {"error": "invalid_scope"})
        self.behave("html", times=1)
        self.assertIn("text/html", self.refresh().headers["content-type"])
        self.behave("redirect", location="https://elsewhere.example/x", times=1)
        moved = self.refresh()
        self.assertEqual((moved.status, moved.headers["location"]), (302, "https://elsewhere.example/x"))
        self.assertFalse(self.acted())
        self.assertEqual([r["acted"] for r in provider.requests(provider=self.name)], [False] * 4)

    def test_replaced_after_acting_or_burning_the_refresh_token(self):
        self.behave("status", status=500, act=True, times=1)
        self.assertEqual(self.refresh().status, 500)
        self.assertTrue(self.acted())
        self.assertEqual(self.last()["answer"], "lost")
        self.setUp()
        self.behave("status", status=503, act="consume", times=1)
        self.assertEqual(self.refresh().status, 503)
        self.assertEqual(provider.check(self.pair["refresh_token"])["why_dead"], "consumed by a refusal")

    def test_huge_and_endless_bodies(self):
        self.behave("huge", bytes=3_000_000, times=1)
        self.assertGreater(len(self.refresh().body), 3_000_000)
        self.behave("endless", times=1)
        context = ssl.create_default_context(cafile=provider.ca_file)
        connection = http.client.HTTPSConnection("localhost", provider.port, context=context, timeout=10)
        connection.request("POST", f"/{self.name}/token", "grant_type=x", BASIC)
        answer = connection.getresponse()
        self.assertEqual(len(answer.read(5_000_000)), 5_000_000)
        connection.sock and connection.sock.close()
        answer.close()
        connection.close()


class BentAnswers(Case):
    def bent(self, do, **parameters):
        """A fresh pair's answer to a refresh under one rule."""
        self.pair = provider.issue(self.name, scope="a")
        self.behave(do, times=1, **parameters)
        return self.refresh()

    def test_fields_of_the_token_answer(self):
        self.assertNotIn("access_token", self.bent("token_missing").json())
        self.assertEqual(self.last()["answer"], "lost")
        inside = self.bent("error_inside", error="bad_refresh_token")
        self.assertEqual((inside.status, inside.json()["error"]), (200, "bad_refresh_token"))
        for value in ("90", 0, -5, 10 ** 12, None):
            self.assertEqual(self.bent("expires_in", value=value).json()["expires_in"], value)
        self.assertNotIn("expires_in", self.bent("expires_in").json())
        self.assertNotIn("token_type", self.bent("token_type").json())
        self.assertIsNone(self.bent("scope", value=None).json()["scope"])
        self.assertEqual(self.bent("scope", value=["a", "b"]).json()["scope"], ["a", "b"])
        changed = self.bent("set", fields={"instance_url": "https://x.example"}).json()
        self.assertEqual(changed["instance_url"], "https://x.example")
        self.assertNotIn("refresh_token", self.bent("remove", fields=["refresh_token"]).json())

    def test_the_ledger_keeps_the_true_expiry(self):
        token = self.bent("expires_in", value=5).json()["access_token"]
        self.assertGreater(provider.check(token)["expires_in"], 3000)

    def test_bending_reaches_into_flumes_envelope(self):
        provider.behave("token_missing", {"provider": "flume"}, times=1)
        fields = {"grant_type": "password", "client_id": "demo-client", "client_secret": "demo-secret",
                  "username": "demo@example.com", "password": "demo-password"}
        body = provider.http("POST", "/flume/oauth/token", json.dumps(fields), {"Content-Type": "application/json"}).json()
        self.assertTrue(body["success"])
        self.assertNotIn("access_token", body["data"][0])

    def test_same_token_again(self):
        provider.switch(self.name, rotation="none")
        first = self.refresh().json()["access_token"]
        self.behave("same_token", times=1)
        self.assertEqual(self.refresh().json()["access_token"], first)
        token = next(t for t in provider.tokens(provider=self.name, values=True) if t["value"] == first)
        self.assertEqual(token["counts"]["reissued"], 1)
        self.assertNotEqual(self.refresh().json()["access_token"], first)

    def test_truncated_json_with_good_framing(self):
        with self.assertRaises(json.JSONDecodeError):
            self.bent("truncated").json()


class OnTheWire(Case):
    def test_wrong_content_length(self):
        self.behave("wrong_length", delta=10)
        with self.assertRaises(http.client.IncompleteRead):
            self.refresh()

    def test_drip_and_slow_headers(self):
        for do in ("drip", "slow_headers"):
            self.setUp()
            self.behave(do, interval=0.002)
            started = time.monotonic()
            self.assertEqual(self.refresh().status, 200)
            self.assertGreater(time.monotonic() - started, 0.2, do)

    def test_chunks_whose_size_is_none(self):
        self.behave("bad_chunks", times=1)
        with self.assertRaises(http.client.IncompleteRead):
            self.refresh()
        self.assertTrue(self.acted())
        self.assertEqual(self.last()["answer"], "lost")

    def test_gzip_bomb(self):
        self.behave("gzip_bomb", bytes=1_000_000)
        answer = self.refresh()
        self.assertEqual((answer.status, answer.headers["content-encoding"]), (200, "gzip"))
        self.assertLess(len(answer.body), 5_000)
        self.assertGreater(len(gzip.decompress(answer.body)), 1_000_000)
        self.assertEqual(self.last()["accept_encoding"], "identity", "http.client says so")
        self.assertFalse(self.acted())

    def test_garbage_status_line(self):
        self.behave("garbage_status")
        with self.assertRaises(http.client.BadStatusLine):
            self.refresh()

    def test_flood_of_100_continue(self):
        self.behave("continue_flood", count=50)
        received, _ = self.raw()
        self.assertEqual(received.count(b"HTTP/1.1 100 Continue\r\n\r\n"), 50)
        self.assertIn(b"HTTP/1.1 200 OK", received)

    def test_chunked_and_close(self):
        self.behave("chunked", times=1)
        answer = self.refresh()
        self.assertEqual((answer.headers["transfer-encoding"], answer.status), ("chunked", 200))
        self.pair = answer.json()
        self.behave("close", times=1)
        self.assertEqual(self.refresh().headers["connection"], "close")

    def test_clock_offset_moves_date_iat_and_exp(self):
        provider.switch(self.name, clock_offset=-7200, jwt_access=True)
        answer = self.refresh()
        date = email.utils.parsedate_to_datetime(answer.headers["date"]).timestamp()
        self.assertAlmostEqual(date, time.time() - 7200, delta=5)
        from practice import jose
        claims = jose.split(answer.json()["access_token"])[1]
        self.assertAlmostEqual(claims["iat"], time.time() - 7200, delta=5)
        self.assertEqual(claims["exp"] - claims["iat"], 3600)


class Rules(Case):
    def test_skip_times_and_probability_with_a_seed(self):
        self.behave("status", status=500, skip=1, times=1)
        self.assertEqual([self.refresh("x").status for _ in range(3)], [400, 500, 400])
        runs = []
        for _ in range(2):
            rule = self.behave("status", status=500, probability=0.5, seed=3)
            runs.append([self.refresh("x").status for _ in range(12)])
            provider.clear(rule)
        self.assertEqual(runs[0], runs[1])
        self.assertEqual(set(runs[0]), {400, 500})

    def test_match_by_client_and_grant(self):
        self.behave("status", status=500, match={"client": "other", "grant": "refresh_token"})
        self.assertEqual(self.refresh().status, 200)

    def test_misspelt_rules_are_refused(self):
        for rule in ({"do": "explode"}, {"do": "delay", "secs": 3}, {"do": "delay", "match": {"vendor": "x"}}):
            with self.assertRaises(ControlError):
                provider.control("POST", "behave", rule)
        with self.assertRaises(ControlError):
            provider.switch(self.name, rotaton="always")
        with self.assertRaises(ControlError):
            provider.switch(self.name, rotation="often")

    def test_own_limit_is_enforced_and_counted(self):
        provider.switch(self.name, rate_limit={"per_second": 0.01, "burst": 3})
        self.assertEqual([self.refresh("x").status for _ in range(5)], [400, 400, 400, 429, 429])
        self.assertEqual(provider.summary(provider=self.name)["over_limit"], 2)


class Traps(unittest.TestCase):
    def connect(self, kind, timeout=10.0, **more):
        url = provider.trap(kind, **more)
        context = ssl.create_default_context(cafile=provider.ca_file)
        raw = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), timeout)
        self.addCleanup(raw.close)
        return context.wrap_socket(raw, server_hostname="127.0.0.1")

    def test_certificates_that_must_be_refused(self):
        for kind, words in (("wrong_host", "mismatch"), ("expired", "expired"), ("not_yet_valid", "not yet valid"),
                            ("other_ca", "unable to get local issuer"), ("self_signed", "self-signed"), ("late", "mismatch")):
            with self.assertRaises(ssl.SSLCertVerificationError) as caught:
                self.connect(kind, **({"seconds": 0.1} if kind == "late" else {}))
            self.assertIn(words, str(caught.exception), kind)

    def test_handshakes_that_never_come(self):
        for kind, error in (("stall", TimeoutError), ("reset", OSError), ("garbage", ssl.SSLError), ("alert", ssl.SSLError),
                            ("tls11", ssl.SSLError)):
            with self.assertRaises(error):
                self.connect(kind, timeout=0.5 if kind == "stall" else 10.0)

    def test_plain_http(self):
        url = provider.trap("plain")
        connection = http.client.HTTPConnection("127.0.0.1", int(url.rsplit(":", 1)[1]))
        connection.request("GET", "/rfc/jwks")
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()


if __name__ == "__main__":
    unittest.main()
