"""Nothing of a sign-in is left where it must not be: codes, states, nonces, verifiers, device codes and ID tokens are secrets too."""

import secrets
import unittest

from harness import EventStream
from signing_in import SignInTest, query_of, visit, with_query
from test_canary import files_below, scan


class Secrets(SignInTest):
    def setUp(self):
        super().setUp()
        self.daemon.close()
        self.daemon = self.new_daemon(log_level="debug")
        self.client_secret = "canary+client/secret=" + secrets.token_urlsafe(12)
        self.daemon.secret("client.secret", self.client_secret)
        self.said = {}       # by what was asked
        self.canaries = {"the client's secret": self.client_secret}
        self.register("flat", secret=self.client_secret)
        self.interactive("flat", "flat", scopes=["scores"])
        self.interactive("implicit", "flat", grant="implicit", scopes=["scores"])
        instance = self.openid()
        self.register(instance, secret=self.client_secret)
        self.provider.switch(instance, require_par=True)
        self.register("rfc/tv", secret=self.client_secret)
        self.provider.switch("rfc/tv", device_interval=1)
        self.daemon.profile("tv", self.provider.base_url)
        self.daemon.account("tv", provider="tv", grant="device_code")

    def note(self, name, answer):
        self.said[f"{name} ({len(self.said)})"] = repr(getattr(answer, "headers", "")).encode() + (
            answer.body if hasattr(answer, "body") else answer.text.encode())
        return answer

    def began(self, api, account):
        """A session; what is secret in its address (pushed: only in the ledger of the provider) is looked for from now on."""
        view = self.begin(api, account)
        for name in ("state", "nonce"):
            if view["url"] and name in query_of(view["url"]):
                self.canaries[f"{name} of {view['id']}"] = query_of(view["url"])[name]
        return view

    def answered(self, api, view, decision="allow"):
        place = self.consent(view, decision)
        state = query_of(place).get("state")
        if state:
            self.canaries[f"state of {view['id']}"] = state
        return place

    def walk_all_roads(self, api):
        view = self.began(api, "flat")
        stray = with_query(self.answered(api, view), state="of-another-request", code="canary-" + self.client_secret)
        self.note("stray", visit(stray))
        pasted = {"redirect_url": "https://x.example/?code=" + self.client_secret}
        self.note("paste", api("POST", f"/v1/logins/{view['id']}/answer", pasted))
        self.note("page", visit(self.answered(api, view)))
        self.over(api, view)
        view = self.began(api, "openid")
        self.note("page", visit(self.answered(api, view)))
        self.over(api, view)
        view = self.began(api, "openid")
        self.provider.switch("rfc/openid", id_token_flaw="signature")
        self.note("page", visit(self.answered(api, view)))
        self.failed(api, view)
        view = self.began(api, "flat")
        self.note("page", visit(self.answered(api, view, "deny")))
        self.failed(api, view)
        view = self.began(api, "implicit")
        answer = api("POST", f"/v1/logins/{view['id']}/answer", {"redirect_url": self.answered(api, view)})
        self.assertEqual(answer.status, 200)
        self.over(api, view)
        view = self.began(api, "tv")
        self.provider.decide_device(view["user_code"], provider="rfc/tv")
        self.over(api, view)
        echo = {"error": "invalid_grant", "error_description": f"you sent {self.client_secret}"}
        self.provider.behave("status", {"endpoint": "token", "provider": "flat"}, times=1, status=400, json=echo)
        view = self.began(api, "flat")
        visit(self.answered(api, view))
        self.note("a hostile provider", self.ask(api, view))
        self.failed(api, view)
        self.began(api, "flat")   # one that waits while we look

    def look(self, api):
        for path in ("/v1/accounts", "/v1/accounts/flat", "/v1/accounts/openid", "/v1/audit", "/v1/doctor", "/metrics", "/v1/whoami"):
            answer = self.note(path, api("GET", path))
            self.assertEqual(answer.status, 200, path)

    def places(self):
        return {"the log": self.daemon.log().encode(), **self.said, **files_below(self.daemon.state)}

    def test_no_secret_of_a_sign_in_is_left_behind(self):
        api = self.start()
        stream = EventStream(self.daemon.socket)
        self.addCleanup(stream.close)
        self.walk_all_roads(api)
        self.look(api)
        found = {kind: 0 for kind in ("code", "access", "refresh", "id", "device")}
        for token in self.provider.tokens(values=True):
            found[token["kind"]] += 1
            self.canaries[f"{token['kind']} {token['id']} of {token['provider']}"] = token["value"]
            for name in ("verifier", "nonce"):
                if token["facts"].get(name):
                    self.canaries[f"{name} of {token['id']}"] = token["facts"][name]
        self.assertTrue(all(found.values()), found)
        self.assertTrue([name for name in self.canaries if name.startswith("verifier")])
        self.assertTrue([name for name in self.canaries if name.startswith("nonce")])
        places = self.places()
        self.daemon.stop()
        stream.close()
        places["events"] = stream.data
        places.update({f"{path}, after the end": data for path, data in self.places().items()})
        self.assertEqual(scan(places, self.canaries), [])


if __name__ == "__main__":
    unittest.main()
