"""A disk that is full, broken, read-only or slow: what came from a provider is not lost, callers are served, and when the disk
works again so does everything else.

On a tmpfs over the state directory (as root), and with SQLite's own disk and the file of reserved answers made to fail.
"""

import contextlib
import errno
import os
import threading
import time
import unittest

from faults import LONG, Points, RotatingTest, TinyDisk
from harness import wait_for

PAGE = 4096
SLOTS = 16 * 2**20 + PAGE              # the preallocated file
ROOM = SLOTS + 2 * 2**20               # of the tmpfs, with a little database
STEPS = range(0, 64 if LONG else 16)   # pages left free: each write in turn is the first that does not fit
SLOW = 5.0                             # seconds of one fsync
MEASURED, WINDOWS = 300, 10            # cached requests in a window of a measurement
RATIO, NONE_OVER = 1.5, 0.1            # design section 12: p99 against idle, and seconds of the slowest
HEALED = 30.0                          # seconds until the store tries again, at most, with room for a busy machine
ALARM = "the disk hangs"                # after 10 s
DATABASE = ("sqlite.write", "sqlite.sync", "sqlite.truncate")
SLOT_FILE = ("slots.put", "slots.sync")


class DiskTest(RotatingTest):
    def setUp(self):
        super().setUp()
        self.rotating("rotating", "other")
        self.steady("steady")

    def begin(self):
        api = self.start()
        self.sign_in(api, "rotating")
        self.sign_in(api, "other")
        self.granted(api.token("steady"))
        return api

    def refresh_posts(self, since):
        return self.posts(provider=self.INSTANCE, grant="refresh_token", since=since)

    def order(self, name="rotating"):
        """A refresh in a thread, for it may be held up until the disk works."""
        answers = []

        def run():
            with contextlib.closing(self.daemon.api()) as own:
                answers.append(own.refresh(name))
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return thread, answers

    def healthy(self, api):
        checks = {c["name"]: c for c in api("GET", "/v1/doctor").json["checks"]}
        return checks["store"]["result"] == "ok"


class Broken(DiskTest):
    """Writes and syncs that fail while an order is carried out."""

    def setUp(self):
        super().setUp()
        self.points = Points(self.daemon)

    def fail(self, names, code, skip=0, times=0):
        self.points.set(*(f"{name} error {code} skip={skip}" + (f" times={times}" if times else "") for name in names))

    def check_after(self, name="rotating"):
        """The disk works again: nothing is lost, now and after a crash."""
        self.points.set()
        api = self.daemon.api()
        wait_for(lambda: not api.status(name)["refreshing"], HEALED, "the order to be carried out")
        self.assert_newest(api, name)
        api.close()
        self.daemon.kill()
        api = self.start()
        self.assert_newest(api, name)
        self.assert_works_on(api, name)
        self.assertEqual(self.provider.summary()["reused"], 0)
        return api

    def play(self, names, code, skip, times=0):
        """One order while these writes fail, from the one after `skip` on."""
        api = self.start() if self.daemon.process is None else self.daemon.api()
        since = time.time()
        self.fail(names, code, skip, times)
        thread, _ = self.order()
        thread.join(3)
        self.granted(api.token("rotating", wait=0))   # what is there is handed out meanwhile
        self.granted(api.token("steady", wait=0))
        sent = len(self.refresh_posts(since))
        self.assertLessEqual(sent, 1)
        api.close()
        self.check_after()
        thread.join()
        self.daemon.stop()

    def test_a_database_that_fails_at_each_write_in_turn(self):
        self.begin()
        for code in (errno.EIO, errno.ENOSPC):
            for names in (("sqlite.write",), ("sqlite.sync",), DATABASE):
                for skip in range(8 if LONG else 3):
                    with self.subTest(code=code, names=names, skip=skip):
                        self.play(names, code, skip)
            if not LONG:
                break

    def test_slots_that_fail(self):
        self.begin()
        for names in (("slots.put",), ("slots.sync",)):
            with self.subTest(names=names):
                self.play(names, errno.EIO, 0)

    def test_an_answer_that_nothing_takes_is_kept_in_memory_until_the_disk_works(self):
        """The intent is durable, the token is sent, and then every write fails."""
        api = self.begin()
        for code in (errno.EIO, errno.EROFS):
            with self.subTest(code=code):
                rule = self.provider.behave("hang", {"endpoint": "token", "provider": self.INSTANCE}, when="after", times=1)
                thread, answers = self.order()
                self.provider.wait(hanging=rule)
                before = self.newest("rotating")
                self.fail((*DATABASE, *SLOT_FILE), code)
                self.provider.release(rule)
                wait_for(lambda: "the store cannot commit" in self.daemon.log(), 20, "the daemon to say that it cannot store it")
                self.granted(api.token("rotating", wait=0))
                self.assertEqual(answers, [], "it is not acknowledged while it could be lost")
                self.points.set()
                thread.join(HEALED)
                self.assertEqual(answers[0].json["state"], "ok", answers[0])
                self.assertGreaterEqual(self.newest("rotating"), before)
                api.close()
                api = self.check_after()
                self.daemon.restart()
                api = self.daemon.api()

    def test_with_a_broken_disk_a_rotating_token_is_not_sent(self):
        api = self.begin()
        since = time.time()
        self.fail((*DATABASE, *SLOT_FILE), errno.EROFS)
        status = api.refresh("rotating").json
        self.assertEqual(status["state"], "retrying", status)
        self.assertTrue(status["usable"])
        self.assertEqual(self.refresh_posts(since), [])
        self.granted(api.token("rotating", wait=0))
        api.close()
        self.check_after()

    def test_a_sign_in_that_meets_a_broken_database_is_stored(self):
        api = self.begin()
        rule = self.provider.behave("hang", {"endpoint": "token", "provider": self.INSTANCE}, when="after", times=1)
        pair = self.provider.issue(self.INSTANCE)

        def sign_in():
            with contextlib.closing(self.daemon.api()) as own:
                own.login("rotating", "refresh_token", pair["refresh_token"])
        thread = threading.Thread(target=sign_in)
        thread.start()
        self.provider.wait(hanging=rule)
        self.fail(DATABASE, errno.EIO)
        self.provider.release(rule)
        thread.join(20)
        self.family["rotating"] = pair["family"]
        self.assert_newest(api, "rotating")
        self.daemon.kill()                 # it is in its slot only
        self.points.set()
        self.assert_works_on(self.start(), "rotating")

    def test_reads_that_fail_at_a_start_overwrite_nothing(self):
        self.begin()
        self.daemon.stop()
        for point, skip in [("sqlite.read", skip) for skip in range(0, 40, 4)] + [("slots.read", 0)]:
            self.points.set(f"{point} error {errno.EIO} skip={skip} times=1")
            self.daemon.spawn()
            if wait_for(lambda: self.daemon.process.poll() is not None or self.daemon._ready(), 30, "an end or a start"):
                pass
            status = self.daemon.process.poll()
            if status is None:
                self.daemon.stop()
                continue
            self.daemon.process = None
            self.assertEqual(status, 1, "it may pass: systemd starts it again")
        self.points.set()
        self.assert_works_on(self.start(), "rotating")


class Slow(DiskTest):
    def setUp(self):
        super().setUp()
        self.points = Points(self.daemon)

    def measure(self, api):
        times = []
        for _ in range(MEASURED):
            began = time.perf_counter()
            self.granted(api.token("steady", wait=0))
            times.append(time.perf_counter() - began)
        return sorted(times)

    def test_callers_are_served_as_ever_while_each_sync_takes_seconds(self):
        api = self.begin()
        self.points.set(f"sqlite.sync sleep {int(SLOW * 1000)}", f"slots.sync sleep {int(SLOW * 1000)}")
        idle, slow = [], []
        for _ in range(WINDOWS // 2):
            idle += self.measure(api)
        thread, answers = self.order()
        for _ in range(WINDOWS):
            measured = self.measure(api)
            if answers:
                break
            slow += measured
            time.sleep(SLOW / WINDOWS)
        self.assertGreaterEqual(len(slow), 3 * MEASURED, "the refresh waited for the disk")
        thread.join()
        for _ in range(WINDOWS // 2):
            idle += self.measure(api)
        p99 = [sorted(times)[int(0.99 * (len(times) - 1))] for times in (idle, slow)]
        print(f"\ncached requests, p99 idle {p99[0] * 1e3:.2f} ms, with syncs of {SLOW} s {p99[1] * 1e3:.2f} ms, slowest {max(slow) * 1e3:.1f} ms of {len(slow)}")
        self.assertLessEqual(p99[1], max(RATIO * p99[0], 0.005))   # below 5 ms a busy machine's own turns decide
        self.assertLessEqual(max(slow), max(NONE_OVER, RATIO * max(idle)))
        self.points.set()
        self.assert_newest(api, "rotating")

    def test_a_stuck_disk_raises_an_alarm_and_does_not_end_the_daemon(self):
        api = self.begin()
        self.points.set("sqlite.sync hold")
        thread, _ = self.order()
        wait_for(lambda: ALARM in self.daemon.log(), 40, "the alarm")
        checks = {c["name"]: c for c in api("GET", "/v1/doctor").json["checks"]}
        self.assertEqual(checks["store"]["result"], "failed", checks["store"])
        self.assertIn("dmesg", checks["store"]["next_step"])
        self.granted(api.token("rotating", wait=0))
        self.points.set()
        thread.join(30)
        wait_for(lambda: "the disk moves again" in self.daemon.log(), 30, "the end of the alarm")
        self.assertTrue(self.healthy(api))
        self.assertEqual(self.daemon.log().count(ALARM), 1, "said once")
        self.assert_newest(api, "rotating")


@unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
class Full(DiskTest):
    def setUp(self):
        super().setUp()
        os.mkdir(self.daemon.state, 0o700)
        self.disk = TinyDisk(self.daemon.state, ROOM)
        self.addCleanup(self.disk.close)
        if not self.disk.mounted:
            self.skipTest(f"no tmpfs can be mounted here: {self.disk.why}")

    def test_a_disk_that_is_full_at_each_write_in_turn_loses_no_grant(self):
        self.begin()
        sent_at = []
        for pages in STEPS:
            with self.subTest(pages=pages):
                self.daemon.restart()
                api = self.daemon.api()
                since = time.time()
                self.disk.fill(leave=pages * PAGE)
                status = api.refresh("rotating").json
                sent = len(self.refresh_posts(since))
                if sent:
                    sent_at.append(pages)
                    self.assertEqual(status["state"], "ok", "what was answered is stored, whatever the disk")
                else:
                    self.assertEqual(status["state"], "retrying", status)
                self.assert_newest(api, "rotating")
                api.close()
                self.daemon.kill()
                api = self.start()                     # on the full disk
                self.assert_newest(api, "rotating")
                self.disk.make_room()
                wait_for(lambda: self.healthy(api), HEALED, "the store to commit again")
                self.assert_works_on(api, "rotating")
        self.assertEqual(self.provider.summary()["reused"], 0)
        self.assertTrue(sent_at, "with some room it is sent")
        self.assertNotIn(0, sent_at, "with none it is not")

    def test_a_first_start_on_a_disk_of_any_size_can_be_tried_again(self):
        sizes = [PAGE * n for n in (1, 2, 4, 8, 12, 16, 20, 24, 28)] + [2**20, SLOTS // 2, SLOTS, SLOTS + 4 * PAGE]
        failed = 0
        for size in sizes:
            self.disk.close()
            self.disk = TinyDisk(self.daemon.state, size)
            self.addCleanup(self.disk.close)
            self.daemon.spawn()
            wait_for(lambda: self.daemon.process.poll() is not None or self.daemon._ready(), 30, "an end or a start")
            if self.daemon.process.poll() is not None:
                self.assertEqual(self.daemon.ended(), 1, f"{size}: it may pass\n{self.daemon.log()[-500:]}")
                failed += 1
            else:
                self.daemon.kill()
            self.disk.resize(ROOM)
            api = self.start()
            self.sign_in(api, "rotating")
            self.assert_works_on(api, "rotating")
            api.close()
            self.daemon.stop()
        self.assertGreater(failed, len(sizes) // 2)

    def test_a_start_on_a_read_only_disk_says_so_and_changes_nothing(self):
        self.begin()
        self.daemon.stop()
        before = {name: os.stat(os.path.join(self.daemon.state, name)).st_mtime_ns for name in os.listdir(self.daemon.state)}
        self.disk.remount("ro")
        self.daemon.spawn()
        self.assertNotEqual(self.daemon.ended(), 0)
        self.assertIn("ead-only", self.daemon.log().rstrip().rsplit("\n", 1)[-1])
        after = {name: os.stat(os.path.join(self.daemon.state, name)).st_mtime_ns for name in os.listdir(self.daemon.state)}
        self.assertEqual(after, before)
        self.disk.remount("rw")
        self.assert_works_on(self.start(), "rotating")


if __name__ == "__main__":
    unittest.main()
