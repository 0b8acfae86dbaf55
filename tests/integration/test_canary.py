"""Every secret of a full run is looked for wherever it must not be.

The run touches each way a secret comes in (files, stdin, the provider's answers), each way a token is renewed and
retired, and answers of a hostile provider that say the secrets back. All of it with the log at debug.
"""

import base64
import os
import secrets
import signal
import unittest
import urllib.parse

from harness import DaemonTest, EventStream, wait_for

LIFETIME = 6
SHORTEST_SECRET = 12   # bytes; anything shorter could be found by chance


def forms(secret):
    """How a secret could be written: as it is, encoded for a URL, in hex, in base64."""
    raw = secret.encode()
    yield raw
    yield urllib.parse.quote(secret, safe="").encode()
    yield raw.hex().encode()
    # Base64 inside a longer text: what does not depend on its neighbours, at each of the three alignments.
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        yield encoded[4 if shift else 0:len(encoded) - 4]


def scan(places, canaries):
    """[(place, name of the secret)] of all that is found. places: {name: bytes}; canaries: {name: text}."""
    needles = {form: name for name, secret in canaries.items() for form in forms(secret)}
    return sorted({(place, name) for place, data in places.items() for form, name in needles.items() if form in data})


def files_below(directory):
    found = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                found[os.path.join(folder, name)] = f.read()
    return found


class Canary(DaemonTest):
    LIFETIME = LIFETIME

    def setUp(self):
        super().setUp()
        self.answers = {}     # what was said to callers, by request
        self.client_secret = "canary+client/secret=" + secrets.token_urlsafe(12)
        self.password = "canary&password%" + secrets.token_urlsafe(12)
        user = {"name": "canary@example.com", "password": self.password, "id": "4711"}
        client = {"id": "canary-client", "secret": self.client_secret}
        for provider in ("flat", "flume", "fflogs", "rfc/canary"):
            self.provider.register(provider, clients=[client], users=[user])
        self.provider.switch("rfc/canary", rotation="always", reuse_detection=True)
        self.daemon.close()
        self.daemon = self.new_daemon(log_level="debug")
        self.daemon.secret("client.secret", self.client_secret)
        self.daemon.secret("flume.password", self.password)
        self.daemon.profile("canary", self.provider.base_url, tables={"refresh": {"rotation": "always"}})
        mine = {"client_id": "canary-client"}
        self.daemon.account("flume", provider="flume", grant="password", username=user["name"], password={"file": "flume.password"},
                            keep_password=True, **mine)
        self.daemon.account("fflogs", provider="fflogs", grant="client_credentials", **mine)
        self.daemon.account("flat", provider="flat", grant="refresh_token", revoke_superseded="always", revoke_grace="0s", **mine)
        self.daemon.account("rotating", provider="canary", grant="refresh_token", revoke_grace="0s", **mine)
        self.daemon.account("hostile", provider="flat", grant="refresh_token", **mine)
        self.daemon.account("pat", provider="flat", grant="static")

    def say(self, name, answer):
        """Keeps what a caller was told, with its headers."""
        self.answers[f"{name} ({len(self.answers)})"] = answer.body + repr(answer.headers).encode()
        return answer

    def command(self, *arguments, stdin=""):
        done = self.daemon.cli(*arguments, stdin=stdin)
        self.answers[f"credsync {' '.join(arguments)} ({len(self.answers)})"] = (done.stdout + done.stderr).encode()
        return done

    def sign_in(self):
        for account, provider in (("flat", "flat"), ("rotating", "rfc/canary"), ("hostile", "flat")):
            pair = self.provider.issue(provider, client="canary-client", user="canary@example.com")
            self.hostile_token = pair["refresh_token"]   # the last one is that account's
            done = self.command("login", account, "--refresh-token-stdin", stdin=pair["refresh_token"] + "\n")
            self.assertEqual(done.returncode, 0, done.stderr)
        self.command("login", "pat", "--token-stdin", stdin=self.provider.pat("flat") + "\n")

    def use_and_renew(self, api):
        """Until each has had three tokens."""
        def renewed():
            for account in ("flume", "fflogs", "flat", "rotating"):
                self.granted(api.token(account))
            return all(api.status(a)["generation"] >= 3 for a in ("flume", "fflogs", "flat", "rotating"))
        wait_for(renewed, 40, "three generations")

    def provoke(self, api):
        """Refusals and errors, also those in which the provider says our secrets back."""
        echo = f"you sent {self.client_secret} and {self.hostile_token}"
        self.provider.behave("status", {"endpoint": "token", "provider": "flat"}, status=400,
                             json={"error": "invalid_request", "error_description": echo, "error_uri": echo})
        self.say("refresh of a hostile provider", api.refresh("hostile"))
        self.say("status of a hostile provider", api("GET", "/v1/accounts/hostile"))
        self.provider.clear()
        self.provider.behave("html", {"endpoint": "token", "provider": "fflogs"}, times=1)
        self.say("refresh behind a portal", api.refresh("fflogs"))
        self.say("login that is refused", api.login("rotating", "refresh_token", "canary-wrong-" + secrets.token_urlsafe(9)))
        self.say("login that is not possible", api.login("fflogs", "token", "canary-" + self.password))
        self.say("reject", api.reject("flat", access_token="canary-" + self.client_secret))
        for path in ("/v1/accounts/nosuch/token", "/v1/nothing", "/v1/accounts/flat/token?min_valid=x"):
            self.say(path, api("GET", path))

    def look(self, api):
        """Everything that tells something and may not tell this."""
        for path in ("/v1/accounts", "/v1/accounts/flat", "/v1/whoami", "/v1/audit", "/v1/health", "/v1/providers",
                     "/v1/providers/flume", "/v1/doctor", "/metrics"):
            self.assertEqual(self.say(path, api("GET", path)).status, 200, path)
        self.say("/v1/reload", api.reload())
        for arguments in (["status"], ["status", "--json"], ["status", "flume"], ["whoami"], ["providers"], ["providers", "flume"],
                          ["doctor"], ["refresh", "rotating"], ["reject", "flume"], ["log"], ["token", "nosuch"],
                          ["logout", "flat"], ["reload"]):
            self.command(*arguments)

    def canaries(self):
        found = {"the client's secret": self.client_secret, "the password": self.password}
        for token in self.provider.tokens(values=True):
            found[f"{token['kind']} token {token['id']} of {token['provider']}"] = token["value"]
        self.assertTrue(all(len(secret) >= SHORTEST_SECRET for secret in found.values()))
        return found

    def about_the_process(self):
        pid = self.daemon.process.pid
        found = {}
        for name in ("cmdline", "environ"):
            with open(f"/proc/{pid}/{name}", "rb") as f:
                found[f"/proc/PID/{name}"] = f.read()
        with open(f"/proc/{pid}/limits", encoding="ascii") as f:
            core = next(line for line in f if line.startswith("Max core file size"))
        self.assertEqual(core.split()[4:6], ["0", "0"], "no core dump")
        return found

    def places(self):
        found = {"the log": self.daemon.log().encode(), **self.answers, **self.about_the_process()}
        found.update(files_below(self.daemon.state))
        for option in ("--dump-config", "--check-config"):
            done = self.daemon.run(option)
            found[option] = (done.stdout + done.stderr).encode()
        return found

    def test_no_secret_is_anywhere_it_should_not_be(self):
        api = self.start()
        stream = EventStream(self.daemon.socket)
        self.addCleanup(stream.close)
        self.sign_in()
        self.use_and_renew(api)
        self.provoke(api)
        self.look(api)
        while_running = files_below(self.daemon.state)
        canaries = self.canaries()
        self.assertGreater(len(canaries), 20)
        self.assertEqual(scan({f"{path}, while it ran": data for path, data in while_running.items()}, canaries), [])
        places = self.places()
        self.daemon.stop(signal.SIGTERM)
        stream.close()
        self.assertIn(b"event: token", stream.data)
        places["events"] = stream.data
        places["the log to its end"] = self.daemon.log().encode()
        places.update({f"{path}, after the end": data for path, data in files_below(self.daemon.state).items()})
        self.assertEqual(scan(places, canaries), [])
        self.assertIn(b"[redacted]", self.answers_about("hostile"), "the echo was shown, without the secrets in it")

    def answers_about(self, word):
        return b"".join(data for name, data in self.answers.items() if word in name)

    def test_a_token_answer_holds_its_access_token_and_no_other_secret(self):
        api = self.start()
        self.sign_in()
        for account in ("flume", "flat", "rotating", "fflogs"):
            answer, printed = self.both_ways(api, account)
            others = {name: value for name, value in self.canaries().items() if value != answer["access_token"]}
            self.assertEqual(printed.stdout.strip(), answer["access_token"])
            places = {"token": repr(answer).encode(), "credsync token": (printed.stdout + printed.stderr).encode()}
            self.assertEqual(scan(places, others), [])

    def both_ways(self, api, account):
        """The token as the API and as the command gives it, with no renewal in between."""
        for _ in range(20):
            answer, printed = self.granted(api.token(account)), self.daemon.cli("token", account)
            if self.granted(api.token(account))["generation"] == answer["generation"]:
                return answer, printed
        self.fail("renewed all the time")

    def test_the_scan_finds_what_is_planted(self):
        secret = "planted-" + secrets.token_urlsafe(16)
        self.start()
        clean = self.places()
        self.assertEqual(scan(clean, {"planted": secret}), [])
        path = os.path.join(self.daemon.state, "planted")
        for form in (secret, secret.encode().hex(), base64.b64encode(f"x:{secret}:yz".encode()).decode(),
                     urllib.parse.quote(secret + "&", safe="")):
            with open(path, "w", encoding="ascii") as f:
                f.write("some text " + form + " more text")
            self.assertEqual(scan(self.places(), {"planted": secret}), [(path, "planted")], form)
        os.unlink(path)
        with open(self.daemon.log_path, "a", encoding="ascii") as log:
            log.write(secret)
        self.assertEqual(scan(self.places(), {"planted": secret}), [("the log", "planted")])


if __name__ == "__main__":
    unittest.main()
