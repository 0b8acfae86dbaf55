"""kill -9 at every named moment between two durable steps, and at random ones; then a start, and the ledger judges.

A round orders one thing (a refresh, a sign-in, a sign-out, a parking, a stop, a start), the daemon dies at a fail point in
it, and what lies on the disk says what may be lost: only an answer that had not reached its slot. After the next start every
account must hand out the newest token it can have, and renew it without sending a refresh token twice.

CREDSYNC_ROUNDS sets the rounds (200, or 2,000 with CREDSYNC_LONG=1); CREDSYNC_SEED repeats a run.
"""

import collections
import contextlib
import http.client
import os
import random
import sqlite3
import subprocess
import unittest

import on_disk
from faults import LONG, Points, RotatingTest, all_points, died
from harness import wait_for

ROUNDS = int(os.environ.get("CREDSYNC_ROUNDS", "2000" if LONG else "200"))
SEED = int(os.environ.get("CREDSYNC_SEED", "0")) or random.randrange(1, 2**31)
REFRESHED = ["a", "b", "c"]
ROUND_TIMEOUT = 10.0       # for an order to reach its point; the cut of the log comes 5 s after something was erased
SETTLED = 0.3              # without a death after an order: the point does not lie on its way
DOWNGRADE = """
    ALTER TABLE accounts DROP COLUMN promised_until; ALTER TABLE parked DROP COLUMN promised_until;
    ALTER TABLE accounts DROP COLUMN spent; ALTER TABLE parked DROP COLUMN rolled_back;
    ALTER TABLE intents DROP COLUMN renumbered; ALTER TABLE accounts DROP COLUMN kept_identity;
    DELETE FROM numbers WHERE name IN ('rotations', 'generations'); PRAGMA user_version = 1;"""

# Which order leads over which point. A point that none names is an error: see test_every_point_is_on_some_way.
ROTATION = ["exchange.sending", "exchange.answered", "intent.durable", "install.ordered", "install.stored", "install.published",
            "slots.put", "slots.written", "slots.sync", "slots.synced", "slots.released", "commit.before", "commit.after",
            "commit.counted"]
WAYS = {
    "refresh": ROTATION + ["revoke.sending", "revoke.answered", "revoke.erased"],
    "sign-in": ROTATION + ["sign-in.answered", "sign-in.identified"],
    "sign-out": ["sign-out.planned", "sign-out.stored", "commit.before", "commit.after", "commit.counted"],
    "park": ["park.ordered", "park.stored", "park.order-stored"],
    "restore": ["restore.stored"],
    "replace": ["park.retired"],
    "resend": ["exchange.resend-counted"],
    "put-off": ["revoke.put-off"],
    "stop": ["log.cut-before", "log.cut-after"],
    "start": ["slots.read", "recovery.before", "recovery.after"],
    "start without slots": ["slots.made", "slots.named"],
    "start with damaged slots": ["slots.set-aside"],
    "upgrade": ["migration.before", "migration.after"],
}
# What is tried elsewhere in this file.
FIRST_START = ["first-key.written", "first-key.named", "database.schema", "database.made", "database.named", "slots.made",
               "slots.named", "migration.before", "migration.after", "recovery.before", "recovery.after"]
REKEY = ["key.written", "key.prepared", "key.renamed", "key.in-place", "key.promoted"]
START_OVER = ["start-over.key", "start-over.written", "start-over.slots", "start-over.kept", "start-over.replaced"]
# A browser's sign-in: test_a_kill_before_a_browsers_sign_in_is_stored. And test_promises: what is promised would hold up this test.
ELSEWHERE = {"completion.placing", "promise.kept"}

GONE = (OSError, http.client.HTTPException)


class FailPointsTest(RotatingTest):
    def setUp(self):
        super().setUp()
        self.points = Points(self.daemon)
        self.random = random.Random(SEED)

    def start_over_the_rules(self):
        self.points.set()
        self.daemon.start()
        return self.daemon.api()


class Kills(FailPointsTest):
    def setUp(self):
        super().setUp()
        self.rotating(*REFRESHED)
        self.lost = 0            # answers that no daemon could have kept
        self.seen = collections.Counter()
        self.handed_out = {}     # token -> account
        self.foreign = {}        # account -> family of a sign-in that may have come to something or not

    # --- orders: each gives nothing, and may find the daemon gone

    def order_refresh(self, api, name):
        api.refresh(name)

    def order_sign_in(self, api, name):
        pair = self.provider.issue(self.INSTANCE)
        self.foreign[name] = pair["family"]
        answer = api.login(name, "refresh_token", pair["refresh_token"])
        if answer.status == 200:
            self.family[name] = self.foreign.pop(name)

    def order_sign_out(self, api, name):
        answer = api.logout(name)
        self.assertIn(answer.status, (200, 202), answer)

    def order_park(self, api, name):
        self.daemon.remove_account(name)
        api.reload()
        api.status(REFRESHED[0] if name != REFRESHED[0] else REFRESHED[1])

    def order_restore(self, api, name):
        self.order_park(api, name)
        self.rotating(name)
        api.reload()

    def order_replace(self, api, name):
        """Another identity, and a sign-in to it: what was parked is retired."""
        self.rotating(name, scopes=["other"])
        api.reload()
        self.order_sign_in(api, name)

    def lose_an_answer(self, name):
        """So that a refresh has an unknown outcome, and a person's order sends its token once more."""
        rule = self.provider.behave("drop_before", {"endpoint": "token"}, how="rst", times=1)
        with contextlib.closing(self.daemon.api()) as api:
            api.refresh(name)
        self.provider.clear(rule)
        self.daemon.restart()

    order_resend = order_refresh

    def order_put_off(self, api, name):
        self.provider.behave("status", {"endpoint": "revoke"}, status=503, json={}, times=1)
        api.refresh(name)

    # --- a round

    def give_the_order(self, way, name):
        """Gives it on a connection of its own; whether the daemon died of it."""
        if way == "stop":
            with contextlib.closing(self.daemon.api()) as api:
                api.refresh(name)      # its predecessor is revoked and erased, so that the log is to be cut
                wait_for(lambda: api.status(name)["retiring"]["pending"] == 0, 10, "the old token to be retired")
            self.daemon.process.terminate()
            return died(self.daemon, ROUND_TIMEOUT)
        with contextlib.suppress(*GONE), contextlib.closing(self.daemon.api()) as api:
            getattr(self, "order_" + way.replace("-", "_"))(api, name)
        return died(self.daemon, ROUND_TIMEOUT if self.must_die else SETTLED)

    def prepare_start(self, way):
        """For the ways that are starts: what the start finds."""
        self.points.set()
        self.daemon.stop()
        slots, database = (os.path.join(self.daemon.state, n) for n in ("answers.slots", "state.db"))
        if way == "start without slots":
            os.unlink(slots)
        if way == "start with damaged slots":
            with open(slots, "r+b") as f:
                f.write(b"damaged")
        if way == "upgrade":
            with contextlib.closing(sqlite3.connect(database)) as connection:
                connection.executescript(DOWNGRADE)

    def run_round(self, way, name, rule):
        """The daemon runs before and is dead after, or the point did not lie on the way."""
        is_start = way.startswith("start") or way == "upgrade"
        if is_start:
            self.prepare_start(way)
        else:
            self.daemon.restart()   # accounts may be refreshed once more
        if way == "resend":
            self.lose_an_answer(name)
        self.points.set(rule)
        if is_start:
            self.daemon.spawn()
            self.assertTrue(died(self.daemon, 30) or not self.must_die, self.daemon.log()[-2000:])
            return
        killed = self.give_the_order(way, name)
        if not killed:
            self.assertFalse(self.must_die, f"{rule} was not reached; seen: {sorted(set(self.points.seen()))}")
            if self.daemon.process is not None:
                self.points.set()
                self.daemon.kill()

    def verdict(self, name, before):
        """After a death: what the disk and the ledger say of the account's refresh that was under way."""
        under_way = on_disk.intents(self.daemon.state)
        rotated = self.newest(name) > before
        if name not in under_way:
            return "installed" if rotated else "untouched"
        if under_way[name]:
            return "in its slot"
        return "lost" if rotated else "not sent"

    def check_account(self, api, name, what, way):
        """After the restart. Leaves the account signed in and at the newest token."""
        self.seen[what] += 1
        if name in self.foreign:   # a sign-in that was cut off: all of it, or nothing
            self.settle_sign_in(api, name)
        status = api.status(name)
        if way == "sign-out" and status["state"] == "signed-out":
            self.assert_family_dies(self.family[name])
            return self.sign_in(api, name)
        if way == "replace" and status["state"] == "needs-login":
            return self.sign_in(api, name)   # the new identity has no grant yet
        answer = self.granted(api.token(name, wait=0))
        found = self.provider.check(answer["access_token"])
        self.assertTrue(found["alive"], found)
        self.assertEqual(found["family"], self.family[name])
        self.handed_out[answer["access_token"]] = name
        if what != "lost":
            self.assertFalse(found["superseded"], f"{what}, but an older token was handed out")
            token = self.assert_works_on(api, name)
            self.handed_out[token] = name
            return None
        status = api.refresh(name).json
        self.assertEqual(status["state"], "needs-login", status)
        self.lost += 1
        return self.sign_in(api, name)

    def settle_sign_in(self, api, name):
        """Which of the two grants the account has; the other one may be lost only if its answer was."""
        new = self.foreign.pop(name)
        answer = api.token(name, wait=0)
        if answer.status == 200 and self.provider.check(answer.json["access_token"])["family"] == new:
            self.family[name] = new

    def assert_family_dies(self, family):
        wait_for(lambda: not [t for t in self.provider.tokens(family=family) if t["alive"]], 20,
                 "all tokens of what was signed out to be revoked")

    def play(self, way, rule, must_die):
        self.must_die = must_die
        name = self.random.choice(REFRESHED)
        before = self.newest(name)
        had = self.provider.summary()["reused"]
        self.run_round(way, name, rule)
        wait_for(lambda: self.provider.summary()["under_way"] == 0, 10, "the provider to be done with what it got")
        what = self.verdict(name, before)
        if not os.path.exists(self.daemon.place("accounts.d", f"{name}.toml")):
            self.rotating(name)
        api = self.start_over_the_rules()
        try:
            self.check_account(api, name, what, way)
            self.rotating(name)          # its first identity again
            api.reload()
            if way == "replace":
                self.sign_in(api, name)
            for other in REFRESHED:
                if other != name:
                    self.assert_newest(api, other)
        finally:
            api.close()
        reused = self.provider.summary()["reused"] - had
        self.assertLessEqual(reused, 1 if what == "lost" else 0, f"{what}: a replaced refresh token was sent")

    # --- the rounds

    def test_every_point_is_on_some_way(self):
        named = {p for points in WAYS.values() for p in points} | set(FIRST_START) | set(REKEY) | set(START_OVER) | ELSEWHERE
        self.assertEqual(named, all_points())

    def test_kills_at_every_point_and_at_random_cost_nothing(self):
        api = self.start()
        for name in REFRESHED:
            self.sign_in(api, name)
        plan = [(way, f"{point} kill", True) for way, points in WAYS.items() for point in points]
        self.random.shuffle(plan)
        while len(plan) < ROUNDS:
            way = self.random.choice(["refresh", "refresh", "sign-in", "sign-out", "restore", "replace", "resend"])
            plan.append((way, f"* kill skip={self.random.randrange(40)}", False))
        result = self._outcome.result
        failed = len(result.failures) + len(result.errors)
        for number, (way, rule, must_die) in enumerate(plan):
            with self.subTest(round=number, way=way, rule=rule, seed=SEED):
                self.play(way, rule, must_die)
            if len(result.failures) + len(result.errors) > failed:
                return    # what follows would only speak of the same
        print(f"\n{len(plan)} kills, seed {SEED}: {dict(self.seen)}; {self.lost} answers lost that had not reached the disk")
        self.assert_superseded_are_retired()

    def assert_superseded_are_retired(self):
        def left():
            found = zip(self.handed_out, self.provider.check_all(self.handed_out))
            return [t for t, f in found if f["alive"] and f["superseded"]]
        wait_for(lambda: not left(), 30, "all superseded tokens that were handed out to be revoked")


class FirstStart(FailPointsTest):
    def test_a_first_start_that_is_killed_anywhere_is_begun_again(self):
        self.rotating("a")
        for point in FIRST_START:
            with self.subTest(point=point):
                subprocess.run(["rm", "-rf", self.daemon.state], check=True)
                self.points.set(f"{point} kill")
                self.daemon.spawn()
                self.assertTrue(died(self.daemon, 30), self.daemon.log()[-2000:])
                api = self.start_over_the_rules()
                self.sign_in(api, "a")
                self.assert_works_on(api, "a")
                api.close()
                self.daemon.stop()


class KeyChange(FailPointsTest):
    def run_killed(self, point, option):
        self.points.set(f"{point} kill")
        done = self.daemon.run(option)
        self.assertEqual(done.returncode, -9, (point, done))
        self.points.set()

    def test_a_change_of_key_that_is_killed_anywhere_leaves_a_key_that_opens(self):
        self.rotating("a")
        api = self.start()
        self.sign_in(api, "a")
        for point in REKEY:
            with self.subTest(point=point):
                self.daemon.stop()
                self.run_killed(point, "--rekey")
                api = self.start_over_the_rules()
                self.assert_works_on(api, "a")
                api.close()
                self.daemon.stop()
                self.assertEqual(self.daemon.run("--rekey").returncode, 0)
                api = self.start_over_the_rules()
                self.assert_works_on(api, "a")
                api.close()

    def test_starting_over_that_is_killed_anywhere_can_be_finished(self):
        self.rotating("a")
        for point in START_OVER:
            with self.subTest(point=point):
                subprocess.run(["rm", "-rf", self.daemon.state], check=True)
                api = self.start_over_the_rules()
                self.sign_in(api, "a")
                generation = self.granted(api.token("a"))["generation"]
                api.close()
                self.daemon.stop()
                key = os.path.join(self.daemon.state, "credsyncd.key")
                os.unlink(key)
                self.run_killed(point, "--start-over")
                kept = [os.path.join(top, f) for top, _, files in os.walk(self.daemon.state) for f in files if f == "state.db"]
                self.assertTrue(kept, "the old database is there, in its place or aside")
                if point != "start-over.replaced":
                    # Not within the same second: the old database is kept under a name with the time.
                    wait_for(lambda: self.daemon.run("--start-over").returncode == 0, 20, "starting over to be finished")
                api = self.start_over_the_rules()
                self.assertEqual(api.status("a")["state"], "needs-login")
                self.sign_in(api, "a")
                self.assertGreater(self.granted(api.token("a"))["generation"], generation, "no number means two tokens")
                api.close()
                self.daemon.stop()


class BrowsersSignIn(FailPointsTest):
    def test_a_kill_before_a_browsers_sign_in_is_stored_leaves_the_grant_of_before(self):
        self.daemon.account("a", provider="faults", grant="device_code")
        api = self.start()

        def sign_in():
            view = api.login("a", "device").json
            self.provider.decide_device(view["user_code"], provider=self.INSTANCE)
            return api("GET", f"/v1/logins/{view['id']}?wait=30").json
        self.assertEqual(sign_in()["phase"], "done")
        before = self.granted(api.token("a"))
        self.points.set("completion.placing kill")
        with contextlib.suppress(*GONE):
            sign_in()
        self.assertTrue(died(self.daemon, 30))
        api = self.start_over_the_rules()
        after = self.granted(api.token("a"))
        self.assertEqual(after["access_token"], before["access_token"])
        self.family["a"] = self.provider.check(after["access_token"])["family"]
        self.assert_works_on(api, "a")
        api.close()


if __name__ == "__main__":
    unittest.main()
