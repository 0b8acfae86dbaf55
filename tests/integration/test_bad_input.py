"""Bad input: wrong configurations, keys, databases and requests. One clear message, the right status, nothing overwritten."""

import contextlib
import hashlib
import os
import socket
import sqlite3
import unittest

from harness import CONFIG_ERROR, DaemonTest, USER

ACCOUNT = '[account.bad]\nprovider = "flume"\ngrant = "password"\nclient_id = "c"\nusername = "u"\npassword = { file = "flume.password" }\n'
GOOD = ACCOUNT + 'client_secret = { file = "client.secret" }\n'

# (what, file, text, line and column, key, words of the message)
WRONG = [
    ("an unknown key", "accounts.d/bad.toml", GOOD + 'secret = "x"\n', "8:1", "account.bad.secret", "unknown key"),
    ("a key that is nearly right", "accounts.d/bad.toml", GOOD + 'user_name = "x"\n', "8:1", "account.bad.user_name", "did you mean `username`?"),
    ("an unknown provider", "accounts.d/bad.toml", GOOD.replace("flume\"", "flumee\"", 1), "2:1", "account.bad.provider", "did you mean `flume`?"),
    ("a missing secret file", "accounts.d/bad.toml", ACCOUNT + 'client_secret = { file = "nosuch.secret" }\n', "7:1",
     "account.bad.client_secret", "nosuch.secret"),
    ("a secret in the file", "accounts.d/bad.toml", ACCOUNT + 'client_secret = "canary-inline-secret"\n', "7:1",
     "account.bad.client_secret", "file"),
    ("an account defined twice", "accounts.d/second.toml", GOOD.replace("account.bad", "account.good"), "1:10", "account.good", "good.toml:1:10"),
    ("a bad URL", "providers.d/bad.toml", '[provider.bad]\ngrants = ["client_credentials"]\n[provider.bad.endpoints]\ntoken = "https://"\n'
     '[provider.bad.client]\nauth = ["basic"]\n', "4:1", "provider.bad.endpoints.token", "host"),
    ("a name that cannot be one", "accounts.d/bad.toml", GOOD.replace("account.bad", 'account."Bad Name"'), "1:10", 'account."Bad Name"', "a-z"),
    ("text that is not TOML", "accounts.d/bad.toml", "[account.bad\n", "1:", "", ""),
    ("a duration without a unit", "accounts.d/bad.toml", GOOD + 'revoke_grace = "60"\n', "8:1", "account.bad.revoke_grace", "90s"),
]

MALFORMED = [
    ("no HTTP at all", b"\x16\x03\x01\x02\x00garbage\r\n\r\n"),
    ("no version", b"GET /v1/health\r\n\r\n"),
    ("no host", b"GET /v1/health HTTP/1.1\r\n\r\n"),
    ("two hosts", b"GET /v1/health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("a folded header", b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
    ("a space before the colon", b"GET /v1/health HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("two lengths", b"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
    ("a length and chunks", b"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a negative length", b"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    ("a body that is not JSON", b"POST /v1/accounts/good/reject HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{x}"),
    ("no member that counts", b"POST /v1/accounts/good/reject HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
    ("a broken escape in the path", b"GET /v1/accounts/%zz HTTP/1.1\r\nHost: a\r\n\r\n"),
]
TOO_LARGE = [
    ("a long target", b"GET /v1/accounts/" + b"a" * 70000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("long headers", b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70000 + b"\r\n\r\n"),
    ("many headers", b"GET /v1/health HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(9000)) + b"\r\n"),
    ("a long body", b"POST /v1/accounts/good/reject HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n"),
]


def fingerprint(directory):
    """{name: hash} of what is stored. SQLite's shared-memory index, an empty write-ahead log and the lock are no data."""
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                data = f.read()
            if not name.endswith(("-shm", ".lock")) and (data or not name.endswith("-wal")):
                found[name] = hashlib.sha256(data).hexdigest()
    return found


class BadInput(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.account("good", provider="flume", grant="password", username=USER, password={"file": "flume.password"})

    def run_once(self):
        """A daemon that holds a token and has ended well; what it left on the disk."""
        api = self.start()
        self.first = self.granted(api.token("good"))
        self.assertEqual(self.daemon.stop(), 0)
        return fingerprint(self.daemon.state)

    def assert_does_not_start(self, *words, lines=1):
        done = self.daemon.run()
        self.assertEqual(done.returncode, CONFIG_ERROR, done.stderr)
        said = [line for line in done.stderr.splitlines() if line.startswith("credsyncd: ")]
        self.assertEqual(len(said), lines, done.stderr)
        for word in words:
            self.assertIn(word, said[0])
        return said

    # --- configuration

    @contextlib.contextmanager
    def written(self, name, text):
        path = self.daemon.write(name, text)
        try:
            yield path
        finally:
            os.unlink(path)

    def test_each_wrong_configuration_has_one_message_at_its_place(self):
        before = self.run_once()
        for what, name, text, place, key, words in WRONG:
            with self.subTest(what), self.written(name, text) as path:
                expected = f"{path}:{place}"
                checked = self.daemon.run("--check-config")
                problems = checked.stderr.splitlines()
                self.assertEqual((checked.returncode, len(problems)), (CONFIG_ERROR, 1), checked.stderr)
                self.assertTrue(problems[0].startswith(expected), problems[0])
                self.assertIn(key, problems[0])
                self.assertIn(words, problems[0])
                self.assertNotIn("canary", problems[0], "a value may be a secret")
                self.assert_does_not_start(expected)
                self.assertEqual(fingerprint(self.daemon.state), before)
        self.assertEqual(self.daemon.run("--check-config").returncode, 0)

    def test_all_problems_are_listed_not_only_the_first(self):
        self.daemon.write("accounts.d/bad.toml", GOOD + 'one = 1\ntwo = 2\n')
        self.daemon.write("conf.d/bad.toml", "[refresh]\nworkers = 0\n")
        checked = self.daemon.run("--check-config")
        self.assertEqual((checked.returncode, len(checked.stderr.splitlines())), (CONFIG_ERROR, 3), checked.stderr)

    def test_a_secret_that_others_can_read_is_refused(self):
        path = self.daemon.place("accounts.d", "client.secret")
        os.chmod(path, 0o644)
        for arguments in (["--check-config"], []):
            done = self.daemon.run(*arguments)
            self.assertEqual(done.returncode, CONFIG_ERROR)
            self.assertIn(path, done.stderr)
            self.assertNotIn("demo-secret", done.stderr)

    def test_a_configuration_that_others_can_write_is_refused(self):
        path = self.daemon.place("accounts.d", "good.toml")
        os.chmod(path, 0o666)
        self.assert_does_not_start(path)

    def test_http_needs_an_order_and_loopback(self):
        def profile(url):
            self.daemon.write("providers.d/plain.toml", '[provider.plain]\ngrants = ["client_credentials"]\n[provider.plain.endpoints]\n'
                              f'token = "{url}"\n[provider.plain.client]\nauth = ["basic"]\n')
        profile("http://127.0.0.1:9/token")
        self.daemon.account("plain", provider="plain", grant="client_credentials")
        self.assert_does_not_start("allow_http_loopback")
        self.daemon.account("plain", provider="plain", grant="client_credentials", allow_http_loopback=True)
        self.assertEqual(self.daemon.run("--check-config").returncode, 0)
        profile("http://provider.example/token")
        self.assertEqual(self.daemon.run("--check-config").returncode, CONFIG_ERROR)

    def test_an_unknown_option_is_a_usage_error(self):
        done = self.daemon.run("--nonsense")
        self.assertNotIn(done.returncode, (0, CONFIG_ERROR))
        self.assertIn("--help", done.stderr)

    # --- what is stored

    def key_path(self):
        return os.path.join(self.daemon.state, "credsyncd.key")

    def assert_refused_and_untouched(self, *words):
        before = fingerprint(self.daemon.state)
        self.assert_does_not_start(*words)
        self.assertEqual(fingerprint(self.daemon.state), before)

    def assert_works_again(self):
        api = self.start()
        answer = self.granted(api.token("good"))
        self.assertEqual((answer["access_token"], answer["generation"]), (self.first["access_token"], self.first["generation"]))
        self.assertEqual(len(self.posts()), 1, "nothing was lost")

    def test_a_wrong_key_is_refused_and_the_right_one_still_opens(self):
        self.run_once()
        with open(self.key_path(), encoding="ascii") as f:
            right = f.read()
        for wrong in ("A" * 43 + "=\n", "not a key\n", ""):
            with open(self.key_path(), "w", encoding="ascii") as f:
                f.write(wrong)
            self.assert_refused_and_untouched("key")
        with open(self.key_path(), "w", encoding="ascii") as f:
            f.write(right)
        self.assert_works_again()

    def test_a_missing_key_is_not_made_anew_beside_a_database(self):
        self.run_once()
        os.rename(self.key_path(), self.daemon.place("kept.key"))
        self.assert_refused_and_untouched("key")
        self.assertFalse(os.path.exists(self.key_path()))
        os.rename(self.daemon.place("kept.key"), self.key_path())
        self.assert_works_again()

    def test_a_damaged_database_is_refused_and_left_as_it_is(self):
        self.run_once()
        path = os.path.join(self.daemon.state, "state.db")
        with open(path, "rb") as f:
            whole = f.read()
        for damaged in (b"", b"not a database at all, but long enough to be looked at" * 100, b"\0" * 4096 + whole[4096:],
                        whole[:len(whole) // 2]):
            with self.subTest(size=len(damaged)):
                with open(path, "wb") as f:
                    f.write(damaged)
                self.assert_refused_and_untouched("state.db")
        with open(path, "wb") as f:
            f.write(whole)
        self.assert_works_again()

    def test_a_newer_schema_is_refused(self):
        self.run_once()
        path = os.path.join(self.daemon.state, "state.db")

        def set_version(change):
            database = sqlite3.connect(path)
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute(f"PRAGMA user_version = {version + change}")
            database.close()
        set_version(+1000)
        self.assert_refused_and_untouched("newer")
        set_version(-1000)
        self.assert_works_again()

    def test_a_second_daemon_on_one_state_directory_is_refused(self):
        api = self.start()
        token = self.granted(api.token("good"))["access_token"]
        second = self.daemon.run()
        self.assertEqual(second.returncode, CONFIG_ERROR)
        self.assertIn(f"another credsyncd (pid {self.daemon.process.pid})", second.stderr)
        self.assertEqual(self.granted(api.token("good"))["access_token"], token, "the first is not disturbed")
        self.assertEqual(self.granted(self.new_api().token("good"))["access_token"], token, "nor is its socket")

    def test_a_state_directory_that_is_open_to_others_is_refused(self):
        self.run_once()
        os.chmod(self.daemon.state, 0o755)
        self.assert_refused_and_untouched("700")
        os.chmod(self.daemon.state, 0o700)
        self.assert_works_again()

    # --- requests

    def exchange(self, request):
        """The status line, headers and body of the answer; the connection must then be closed or usable."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.daemon.socket)
            got = b""
            try:
                s.sendall(request)
                s.shutdown(socket.SHUT_WR)
                while more := s.recv(65536):
                    got += more
            except ConnectionError:
                pass
            return got.decode("latin-1")

    def assert_problem(self, answer, status, name):
        head, _, body = answer.partition("\r\n\r\n")
        self.assertTrue(head.startswith(f"HTTP/1.1 {status} "), answer[:500])
        self.assertIn("content-type: application/problem+json", head.lower())
        self.assertIn("cache-control: no-store", head.lower())
        self.assertIn(f'"urn:credsync:error:{name}"', body)

    def test_each_malformed_request_gets_its_problem(self):
        api = self.start()
        for what, request in MALFORMED:
            with self.subTest(what):
                self.assert_problem(self.exchange(request), 400, "bad-request")
        for what, request in TOO_LARGE:
            with self.subTest(what):
                self.assert_problem(self.exchange(request), 413, "too-large")
        for method, path in (("PUT", "/v1/accounts"), ("GET", "/v1/reload"), ("POST", "/v1/accounts/good/token")):
            answer = self.refused(api(method, path), "method-not-allowed", 405)
            self.assertIn("this path knows", answer["detail"])
        nowhere = api("GET", "/v2/accounts")
        self.assertEqual((nowhere.status, nowhere.headers["content-type"]), (404, "application/problem+json"))
        self.assertEqual(self.granted(api.token("good"))["state"], "ok", "and all others are served")


if __name__ == "__main__":
    unittest.main()
