"""Stored state that is gone, cut off, bit-flipped or another's: a clear error, status 78 and nothing overwritten; or a start
after which whatever is handed out is the newest token, and no refresh token is sent that was replaced.

The dense tries (each byte) are in tests/unit/store; here the whole daemon is asked, and the provider's ledger judges.
"""

import contextlib
import http.client
import os
import random
import re
import shutil
import sqlite3
import time
import unittest

import on_disk
from faults import LONG, Points, RotatingTest, died
from harness import CONFIG_ERROR, wait_for

SEED = int(os.environ.get("CREDSYNC_SEED", "0")) or random.randrange(1, 2**31)
FLIPS = 400 if LONG else 24        # places in each file
CUTS = 60 if LONG else 8
PAGE = 4096
SLOTS = 64
NAMES = ["a", "b", "c"]
OURS_TO_WRITE = {"state.lock"}     # says only which process was there last

class DamageTest(RotatingTest):
    def setUp(self):
        super().setUp()
        self.rotating(*NAMES)
        self.steady("steady")
        api = self.start()
        for name in NAMES:
            self.sign_in(api, name)
            self.assert_works_on(api, name)   # each has replaced a token, and has one in the queue or its traces
        self.granted(api.token("steady"))
        api.close()
        self.random = random.Random(SEED)

    def path(self, name):
        return os.path.join(self.daemon.state, name)

    def contents(self):
        found = {}
        for name in sorted(os.listdir(self.daemon.state)):
            if name not in OURS_TO_WRITE and os.path.isfile(self.path(name)):
                with open(self.path(name), "rb") as f:
                    found[name] = f.read()
        return found

    def keep(self):
        """Of the ended daemon, to put back after each try."""
        shutil.rmtree(self.daemon.place("whole"), ignore_errors=True)
        shutil.copytree(self.daemon.state, self.daemon.place("whole"))

    def put_back(self):
        if self.daemon.process is not None:
            self.daemon.kill()
        shutil.rmtree(self.daemon.state)
        shutil.copytree(self.daemon.place("whole"), self.daemon.state)

    def starts(self):
        """Tries to; False: it ended with 78, said which file, and changed nothing."""
        before = self.contents()
        said = len(self.daemon.log())
        self.daemon.spawn()
        wait_for(lambda: self.daemon.process.poll() is not None or self.daemon._ready(), 60, "an end or a start")
        if self.daemon.process.poll() is None:
            return True
        self.assertEqual(self.daemon.ended(), CONFIG_ERROR, self.daemon.log()[said:])
        words = self.daemon.log()[said:]
        self.assertIn(self.daemon.state, words)
        self.assertRegex(words, re.compile("damaged|missing|cut|empty|not a|no master key|does not open|no schema|newer|no data key|nothing was changed"), words)
        after = self.contents()
        if not before.get("state.db-wal") and not after.get("state.db-wal", b""):
            before.pop("state.db-wal", None)     # SQLite makes an empty one to look
            after.pop("state.db-wal", None)
        self.assertEqual(sorted(after), sorted(before), words)
        for name, content in before.items():
            self.assertTrue(after[name] == content, f"{name} was written to: {words}")
        return False

    def judge(self):
        """A daemon that started on damage: it hands out the newest or says why not, and repeats nothing."""
        since = time.time()
        self.provider.behave("status", {"endpoint": "token"}, status=503, json={})
        with contextlib.closing(self.daemon.api()) as api:
            for name in NAMES:
                answer = api.token(name, wait=0)
                if answer.status == 200:
                    found = self.provider.check(answer.json["access_token"])
                    self.assertEqual(found["family"], self.family[name])
                    if found["superseded"] or not found["alive"]:
                        self.assertEqual(answer.json["state"], "needs-login", "an older one is handed out only by who says so")
                else:
                    self.assertEqual(answer.problem, "needs-login", answer)
                api.reject(name, generation=max(1, api.status(name).get("generation") or 1))   # sends what it has
        known = {t["id"]: t for t in self.provider.tokens(kind="refresh")}
        for request in self.posts(since=since, provider=self.INSTANCE):
            self.assertIsNone(known[request["credential"]]["superseded_at"], "a replaced refresh token was sent")

    def play(self, what):
        """A try with the state as it is now, which is then put back. The provider's side must not move on."""
        with self.subTest(what=what, seed=SEED):
            if not self.starts():
                self.outcomes["refused"] += 1
            else:
                self.outcomes["started"] += 1
                self.judge()
        self.put_back()      # ends the daemon, so that no retry of its meets a provider that answers
        self.provider.clear()

    def flip(self, name, at):
        with open(self.path(name), "r+b") as f:
            f.seek(at)
            byte = f.read(1)[0]
            f.seek(at)
            f.write(bytes([byte ^ (1 << self.random.randrange(8))]))

    def finish(self):
        """The whole state again: nothing of all that harmed a grant."""
        print(f"\nseed {SEED}: {self.outcomes}")
        api = self.start()
        for name in NAMES:
            self.assert_works_on(api, name)
        self.assertEqual(self.provider.summary()["reused"], 0)

class Flipped(DamageTest):
    def test_bits_of_the_database(self):
        self.daemon.stop()                       # the log is in it
        self.keep()
        self.outcomes = {"refused": 0, "started": 0}
        size = os.path.getsize(self.path("state.db"))
        places = sorted({page + self.random.choice([0, 1, 3, 5, 8]) for page in range(0, size, PAGE)} |
                        {self.random.randrange(size) for _ in range(FLIPS)} | {16, 24, 60, 68, 100})
        for at in places:
            self.flip("state.db", at)
            self.play(f"state.db at {at}")
        self.assertGreater(self.outcomes["refused"], 0)
        self.assertGreater(self.outcomes["started"], 0)
        self.finish()

    def test_bits_of_the_write_ahead_log(self):
        self.daemon.kill()
        self.keep()
        self.outcomes = {"refused": 0, "started": 0}
        size = os.path.getsize(self.path("state.db-wal"))
        self.assertGreater(size, PAGE)
        for at in [0, 8, 24] + [self.random.randrange(size) for _ in range(FLIPS)]:
            self.flip("state.db-wal", at)
            self.play(f"state.db-wal at {at}")
        self.finish()

    def test_bits_of_an_answer_in_its_slot(self):
        """Killed with an answer that is in its slot only: damage there costs that answer, which is said, and no more."""
        self.daemon.stop()
        points = Points(self.daemon)
        points.set("slots.synced kill")
        self.daemon.start()
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(self.daemon.api()) as api:
            api.refresh("a")
        self.assertTrue(died(self.daemon, 30))
        points.set()
        self.assertEqual(on_disk.intents(self.daemon.state), {"a": True})
        self.keep()
        for at in (0, 8, 12, PAGE, PAGE + 8, PAGE + 12, PAGE + 20, PAGE + 40, PAGE + 200):
            slot_at = at + self.slot_of_a() if at >= PAGE else at
            self.flip("answers.slots", slot_at)
            said = len(self.daemon.log())
            with self.subTest(at=at):
                self.assertTrue(self.starts())
                with contextlib.closing(self.daemon.api()) as api:
                    for name in ("b", "c"):
                        self.assert_newest(api, name)
                    self.assertEqual(api.token("a", wait=0).status, 200, "its access token is good")
                    self.assertRegex(self.daemon.log()[said:], "does not open|was missing or damaged|its answer is not known")
                self.assertEqual(self.provider.summary()["reused"], 0)
            self.put_back()
        self.daemon.start()
        with contextlib.closing(self.daemon.api()) as api:
            self.assert_newest(api, "a")         # from its slot

    def slot_of_a(self):
        (slot,), = on_disk.rows(self.daemon.state, "SELECT slot FROM intents")
        return (slot & on_disk.INDEX_MASK) * (os.path.getsize(self.path("answers.slots")) - PAGE) // SLOTS


class Cut(DamageTest):
    def test_a_database_of_any_length(self):
        self.daemon.stop()
        self.keep()
        self.outcomes = {"refused": 0, "started": 0}
        size = os.path.getsize(self.path("state.db"))
        for length in [0, 1, 50, 100, PAGE, size - PAGE, size - 1] + [self.random.randrange(size) for _ in range(CUTS)]:
            os.truncate(self.path("state.db"), length)
            self.play(f"state.db of {length} bytes")
        self.assertEqual(self.outcomes["started"], 0)
        self.finish()

    def test_a_write_ahead_log_of_any_length(self):
        self.daemon.kill()
        self.keep()
        self.outcomes = {"refused": 0, "started": 0}
        size = os.path.getsize(self.path("state.db-wal"))
        for length in [0, 31, 32, size - 1] + [self.random.randrange(size) for _ in range(CUTS)]:
            os.truncate(self.path("state.db-wal"), length)
            self.play(f"state.db-wal of {length} bytes")
        self.finish()

    def test_slots_of_any_length(self):
        self.daemon.stop()
        self.keep()
        self.outcomes = {"refused": 0, "started": 0}
        for length in (0, 8, PAGE, 2 * PAGE):
            os.truncate(self.path("answers.slots"), length)
            self.play(f"answers.slots of {length} bytes")
        self.assertEqual(self.outcomes["refused"], 0, "the file can be made anew")
        self.finish()

class Gone(DamageTest):
    def setUp(self):
        super().setUp()
        self.daemon.stop()
        self.keep()

    def test_a_database_that_is_missing_is_not_made_anew(self):
        os.unlink(self.path("state.db"))
        self.assertFalse(self.starts())
        self.assertIn("is missing", self.daemon.log())
        self.put_back()
        self.outcomes = {}
        self.finish()

    def test_slots_that_are_missing_are_made_anew(self):
        os.unlink(self.path("answers.slots"))
        self.assertTrue(self.starts())
        self.outcomes = {}
        self.daemon.stop()
        self.finish()

    def test_a_key_that_is_missing_cut_or_another_is_said(self):
        key = self.path("credsyncd.key")
        with open(key, "rb") as f:
            whole = f.read()
        changed = bytearray(whole)
        changed[5] = ord("A") if changed[5] != ord("A") else ord("B")
        for content in (None, b"", whole[:20], b"garbage\n", bytes(changed)):
            with self.subTest(content=content):
                os.unlink(key)
                if content is not None:
                    with open(os.open(key, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as f:
                        f.write(content)
                self.assertFalse(self.starts())
                self.assertIn("key", self.daemon.log().rstrip().rsplit("\n", 1)[-1])
            self.put_back()
        self.outcomes = {}
        self.finish()

    def test_another_programs_database_is_left_alone(self):

        os.unlink(self.path("state.db"))
        with contextlib.closing(sqlite3.connect(self.path("state.db"))) as other:
            other.execute("CREATE TABLE songs (name TEXT)")
            other.commit()
        self.assertFalse(self.starts())
        self.assertIn("not a credsyncd database", self.daemon.log())
        self.put_back()
        self.outcomes = {}
        self.finish()

if __name__ == "__main__":
    unittest.main()
