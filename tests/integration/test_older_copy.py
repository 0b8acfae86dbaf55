"""The database is put back to an older copy: the daemon notices, and does not send refresh tokens that may have been
replaced since to a provider that ends the grant for it. And two daemons on one state.

"Yesterday's copy" is made of a stopped daemon; then grants rotate, and parts of the state are put back.
"""

import contextlib
import glob
import os
import shutil
import time
import unittest

from faults import RotatingTest
from harness import CONFIG_ERROR, wait_for

SHORT, LONG = 5, 3600   # seconds a token lives
QUIET = 2.0       # seconds in which a daemon that should not send anything is watched; it would do so at once
ROLLED_BACK = "older copy"


class OlderCopyTest(RotatingTest):
    LIFETIME = None

    def setUp(self):
        super().setUp()
        self.daemon.options = ["--cache", self.daemon.place("cache")]
        self.rotating("rotating", "parked")
        self.steady("steady")

    def short_sign_in(self, api, name):
        """Its first token ends soon: then nothing but a refresh could serve the account."""
        self.provider.switch(self.INSTANCE, lifetime=SHORT)
        self.sign_in(api, name)
        self.provider.switch(self.INSTANCE, lifetime=LONG)
        self.first_ends = time.monotonic() + SHORT

    def outlive_the_first_token(self):
        time.sleep(max(0, self.first_ends - time.monotonic()))

    def copy(self):
        """Of the stopped daemon's state, as a backup would have it."""
        self.daemon.stop()
        shutil.copytree(self.daemon.state, self.daemon.place("copy"))

    def put_back(self, *names):
        """These files of the copy, or all of them; what the copy did not have goes."""
        self.daemon.stop()
        for path in [os.path.join(self.daemon.state, n) for n in names] or glob.glob(os.path.join(self.daemon.state, "*")):
            name = os.path.basename(path)
            if os.path.exists(path):
                os.unlink(path)
            if os.path.exists(self.daemon.place("copy", name)):
                shutil.copy2(self.daemon.place("copy", name), path)

    def sign_in_copy_and_rotate(self, times=1):
        """An account is signed in, a copy is made, and the grant rotates; gives the newest answer."""
        api = self.start()
        self.short_sign_in(api, "rotating")
        self.granted(api.token("steady"))
        api.close()
        self.copy()
        for _ in range(times):
            api = self.start()
            self.assert_works_on(api, "rotating")
            newest = self.granted(api.token("rotating"))
            api.close()
            self.daemon.stop()
        self.daemon.start()
        return newest

    def assert_frozen(self, api, name):
        # What was parked is back when the disk has its number.
        wait_for(lambda: api.status(name)["error"], 10, "the reason")
        status = api.status(name)
        self.assertEqual(status["state"], "needs-login", status)
        self.assertIn(ROLLED_BACK, status["error"]["message"])
        self.assertEqual(status["next_step"]["command"], f"credsync login {name} --refresh-token-stdin")
        self.assertIn(f"credsync refresh {name}", status["next_step"]["text"])
        self.assertFalse(status["refreshable"])

    def assert_nothing_is_sent(self, since):
        """Nor when programs ask for a new token in their ways."""
        with contextlib.closing(self.daemon.api()) as api:
            for name in ("rotating", "parked"):
                api.token(name, wait=0, min_valid=LONG)
                api.reject(name, generation=api.status(name).get("generation", 0) or 1)
        time.sleep(QUIET)
        self.assertEqual(self.posts(since=since, provider=self.INSTANCE), [])
        self.assertEqual(self.provider.summary()["reused"], 0)


class OlderCopy(OlderCopyTest):
    def assert_noticed_and_mended(self, newest):
        """After a start on an older copy whose access token has ended."""
        self.outlive_the_first_token()
        since = time.time()
        api = self.start()
        self.assert_frozen(api, "rotating")
        self.assertIn(ROLLED_BACK, self.daemon.log())
        self.assertEqual(self.refused(api.token("rotating", wait=2), "needs-login", 409)["detail"].count(ROLLED_BACK), 1)
        self.granted(api.token("steady"))
        self.assertEqual(api.refresh("steady").json["state"], "ok", "what does not rotate goes on")
        self.assert_nothing_is_sent(since)
        self.daemon.restart()
        api = self.new_api()
        self.assert_frozen(api, "rotating")
        self.assert_nothing_is_sent(since)
        self.sign_in(api, "rotating")
        after = self.granted(api.token("rotating"))
        self.assertGreater(after["generation"], newest["generation"], "a number that was given out is not given again")
        self.daemon.restart()
        self.assert_works_on(self.new_api(), "rotating")

    def test_yesterdays_database_is_noticed_by_the_count_beside_it(self):
        newest = self.sign_in_copy_and_rotate(2)
        self.put_back("state.db", "state.db-wal")
        shutil.rmtree(self.daemon.place("cache"))
        self.assert_noticed_and_mended(newest)

    def test_yesterdays_directory_is_noticed_by_the_count_elsewhere(self):
        newest = self.sign_in_copy_and_rotate()
        self.put_back()
        self.assert_noticed_and_mended(newest)

    def test_a_lost_write_ahead_log_is_noticed(self):
        api = self.start()
        self.short_sign_in(api, "rotating")
        self.granted(api.token("steady"))
        api.close()
        self.daemon.restart()          # the log is in the database now
        api = self.daemon.api()
        self.assert_works_on(api, "rotating")
        newest = api.status("rotating")
        api.close()
        self.daemon.kill()
        os.unlink(os.path.join(self.daemon.state, "state.db-wal"))
        self.assert_noticed_and_mended(newest)

    def test_a_backup_that_its_admin_announces_needs_no_count(self):
        newest = self.sign_in_copy_and_rotate()
        self.put_back()
        shutil.rmtree(self.daemon.place("cache"))
        mark = os.path.join(self.daemon.state, "state.restored")
        with open(mark, "w", encoding="utf-8"):
            pass
        self.assert_noticed_and_mended(newest)
        self.assertFalse(os.path.exists(mark))

    def test_a_person_may_say_that_the_copy_is_right(self):
        api = self.start()
        self.sign_in(api, "rotating")
        self.sign_in(api, "parked")
        api.close()
        self.copy()
        api = self.start()
        self.assert_works_on(api, "parked")   # only this one is renewed after the copy
        self.put_back()
        api = self.start()
        self.assert_frozen(api, "rotating")
        self.assert_frozen(api, "parked")
        served = self.granted(api.token("rotating"))
        self.assertEqual(served["state"], "needs-login", "a token that is good is handed out, and says so")
        self.assert_alive(served["access_token"])
        done = self.daemon.cli("refresh", "rotating")
        self.assertEqual(done.returncode, 0, done)
        self.assert_newest(api, "rotating")
        self.assertEqual(api.status("rotating")["state"], "ok")
        self.assertEqual(self.provider.summary()["reused"], 0)
        self.daemon.restart()
        api = self.new_api()
        self.assertEqual(api.status("rotating")["state"], "ok")
        self.assert_frozen(api, "parked")

    def test_a_parked_grant_comes_back_frozen(self):
        api = self.start()
        self.sign_in(api, "parked")
        self.daemon.remove_account("parked")
        api.reload()
        api.close()
        self.copy()
        self.rotating("parked")
        api = self.start()
        self.assert_works_on(api, "parked")
        self.daemon.remove_account("parked")
        api.reload()
        self.put_back()
        since = time.time()
        api = self.start()
        for _ in range(2):             # and it stays so when it is parked once more
            self.rotating("parked")
            api.reload()
            self.assert_frozen(api, "parked")
            self.daemon.remove_account("parked")
            api.reload()
        self.assert_nothing_is_sent(since)

    def test_no_false_alarm_after_kills_copies_and_starts(self):
        api = self.start()
        self.sign_in(api, "rotating")
        for i in range(4):
            self.daemon.kill() if i % 2 else self.daemon.stop()
            if i == 2:                 # moved as a whole, newest state
                os.rename(self.daemon.state, self.daemon.state + ".moved")
                shutil.copytree(self.daemon.state + ".moved", self.daemon.state)
            if i == 3:                 # counts may go
                shutil.rmtree(self.daemon.place("cache"))
                os.unlink(os.path.join(self.daemon.state, "state.count"))
            self.assert_works_on(self.start(), "rotating")
        self.assertNotIn(ROLLED_BACK, self.daemon.log())

    def test_counts_that_are_damaged_or_cannot_be_kept_are_done_without(self):
        api = self.start()
        self.sign_in(api, "rotating")
        self.daemon.stop()
        count = os.path.join(self.daemon.state, "state.count")
        with open(count, "r+b") as f:
            f.seek(30)
            f.write(b"9")
        os.chmod(self.daemon.place("cache"), 0o777)
        self.assert_works_on(self.start(), "rotating")
        self.assertIn("damaged", self.daemon.log())
        self.assertIn("not ours alone", self.daemon.log())
        self.assertNotIn(ROLLED_BACK, self.daemon.log())


class TwoDaemons(RotatingTest):
    def test_the_second_refuses_and_the_first_is_not_disturbed(self):
        self.rotating("rotating")
        api = self.start()
        self.sign_in(api, "rotating")
        self.daemon.restart()          # nothing is on its way to the disk now
        api = self.new_api()
        before = {name: os.stat(os.path.join(self.daemon.state, name)).st_mtime_ns for name in os.listdir(self.daemon.state)}
        second = self.new_daemon()
        second.state = self.daemon.state
        for _ in range(3):
            second.spawn()
            self.assertEqual(second.ended(), CONFIG_ERROR, second.log())
            self.assertIn(f"another credsyncd (pid {self.daemon.process.pid}) uses {self.daemon.state}", second.log())
            self.assertFalse(os.path.exists(second.socket))
        after = {name: os.stat(os.path.join(self.daemon.state, name)).st_mtime_ns for name in os.listdir(self.daemon.state)}
        self.assertEqual(after, before)
        for option in ("--rekey", "--start-over"):
            done = second.run(option)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("stop it first", done.stderr)
        self.assert_works_on(api, "rotating")
        self.daemon.kill()             # the lock goes with its owner
        second.configure(self.provider)
        shutil.copytree(self.daemon.place("accounts.d"), second.place("accounts.d"), dirs_exist_ok=True)
        shutil.copytree(self.daemon.place("providers.d"), second.place("providers.d"), dirs_exist_ok=True)
        second.start()
        other = second.api()
        self.addCleanup(other.close)
        self.assert_works_on(other, "rotating")

    def test_many_started_at_once_leave_one(self):
        self.rotating("rotating")
        daemons = [self.daemon] + [self.new_daemon() for _ in range(3)]
        for daemon in daemons:
            daemon.state = self.daemon.state
            daemon.spawn()
        wait_for(lambda: sum(d.process.poll() is None for d in daemons) == 1, 60, "all but one to refuse")
        self.assertEqual(sorted(d.process.poll() or 0 for d in daemons), [0] + [CONFIG_ERROR] * 3)


if __name__ == "__main__":
    unittest.main()
