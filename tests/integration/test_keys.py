"""The master key changed, lost, recovered and given up, with the real daemon before and after: who is signed in stays so
wherever a key still opens the database, and where none does the admin is told what to do."""

import base64
import os
import pty
import re
import secrets
import select
import signal
import subprocess
import time
import unittest

from harness import CONFIG_ERROR, DaemonTest

KILLS = 25
PATIENCE = 30.0   # seconds; for one command on a busy machine


class Keys(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.account("mine", provider="flat", grant="refresh_token")
        api = self.start()
        self.refresh_token = self.provider.issue("flat")["refresh_token"]
        self.assertEqual(api.login("mine", "refresh_token", self.refresh_token).status, 200)
        self.token = self.granted(api.token("mine"))
        self.daemon.stop()
        self.key = self.daemon.place("state", "credsyncd.key")

    def read(self, path):
        with open(path, "rb") as f:
            return f.read()

    def write_key(self, path, content):
        with open(path, "wb") as f:
            os.fchmod(f.fileno(), 0o600)
            f.write(content)

    def state(self):
        """Every file below the state directory but the lock, which names a process, and an empty log."""
        found = {}
        for folder, _, names in os.walk(self.daemon.state):
            for name in names:
                content = self.read(os.path.join(folder, name))
                if name != "state.lock" and (content or not name.endswith("-wal")):
                    found[os.path.join(folder, name)] = content
        return found

    def expect_served(self):
        answer = self.granted(self.start().token("mine"))
        self.assertEqual((answer["access_token"], answer["generation"]), (self.token["access_token"], self.token["generation"]))
        self.daemon.stop()

    def done(self, *options, status=0):
        ran = self.daemon.run(*options)
        self.assertEqual(ran.returncode, status, ran.stderr)
        return ran

    def start_refused(self):
        """What a start says that ends with EX_CONFIG."""
        ran = self.daemon.run()
        self.assertEqual(ran.returncode, CONFIG_ERROR, ran.stderr)
        return ran.stderr

    def on_a_terminal(self, *options, typed=None, prompt=b""):
        """Runs credsyncd on a terminal of its own; (status, all that the terminal showed)."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(self.daemon.arguments(*options), stdin=theirs, stdout=theirs, stderr=theirs, cwd="/",
                                   start_new_session=True)
        os.close(theirs)
        shown, deadline = b"", time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if typed is not None and prompt in shown:
                os.write(ours, typed)
                typed = None
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                got = os.read(ours, 4096)
            except OSError:   # the last one has closed it
                break
            shown += got
            if not got:
                break
        os.close(ours)
        return process.wait(PATIENCE), shown.decode()

    def recovery_key(self):
        status, shown = self.on_a_terminal("--recovery-key")
        self.assertEqual(status, 0, shown)
        found = re.findall(r"\b(?:[0-9A-HJKMNP-TV-Z]{5}-){7}[0-9A-HJKMNP-TV-Z]{5}\b", shown)
        self.assertEqual(len(found), 1, shown)
        return found[0]

    def test_a_new_key_takes_over_and_the_old_one_is_refused(self):
        old = self.read(self.key)
        ran = self.done("--rekey")
        self.assertIn(self.key, ran.stdout)
        new = self.read(self.key)
        self.assertNotEqual(new, old)
        for path, content in self.state().items():
            self.assertNotIn(old.strip(), content, path)
            self.assertNotIn(base64.b64decode(old), content, path)
            self.assertNotIn(self.token["access_token"].encode(), content, path)
        self.assertNotIn(new.strip().decode(), ran.stdout + ran.stderr)
        self.expect_served()
        self.write_key(self.key, old)
        said = self.start_refused()
        self.assertIn("does not open this database", said)
        self.assertIn("credsyncd --start-over", said)
        self.write_key(self.key, new)
        self.expect_served()

    def test_while_the_daemon_runs_nothing_is_changed(self):
        self.start()
        key = self.read(self.key)
        for option in ("--rekey", "--recover", "--start-over"):
            ran = subprocess.run(self.daemon.arguments(option), input=b"00000-" * 8, capture_output=True, check=False, timeout=PATIENCE)
            self.assertEqual(ran.returncode, CONFIG_ERROR, ran.stderr)
            self.assertNotEqual(ran.stderr, b"")
        ran = self.daemon.run("--rekey")
        self.assertIn("stop it first", ran.stderr)
        self.assertEqual(self.read(self.key), key)
        self.assertEqual(self.new_api().token("mine").status, 200)
        self.daemon.stop()

    def test_killed_at_any_moment_the_key_in_its_place_opens(self):
        changed = 0
        for i in range(KILLS):
            before = self.read(self.key)
            process = subprocess.Popen(self.daemon.arguments("--rekey"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                process.wait(0.004 * i)   # the moment of the crash is what is drawn here
            except subprocess.TimeoutExpired:
                process.kill()
            process.wait(PATIENCE)
            changed += self.read(self.key) != before
            if i % 5 == 4:
                self.expect_served()
        self.assertEqual(self.done("--rekey").returncode, 0)
        self.expect_served()
        self.assertEqual([n for n in os.listdir(self.daemon.state) if n.endswith(".new")], [])

    def test_a_recovery_key_is_shown_once_and_opens_what_is_lost(self):
        key = self.recovery_key()
        for path, content in self.state().items():
            self.assertNotIn(key.encode(), content, path)
        os.rename(self.key, self.daemon.place("lost.key"))
        self.assertIn("credsyncd --recover", self.start_refused())
        status, shown = self.on_a_terminal("--recover", typed=key.lower().replace("-", " ").encode() + b"\n", prompt=b"Recovery key: ")
        self.assertEqual(status, 0, shown)
        self.assertNotIn(key[:5].lower(), shown, "typed without echo")
        self.expect_served()
        self.assertNotEqual(self.read(self.key), self.read(self.daemon.place("lost.key")))

    def test_a_recovery_key_goes_to_a_terminal_only(self):
        before = self.state()
        ran = self.daemon.run("--recovery-key")
        self.assertEqual(ran.returncode, CONFIG_ERROR)
        self.assertEqual(ran.stdout, "")
        self.assertIn("terminal", ran.stderr)
        self.assertEqual(self.state(), before)

    def test_a_wrong_recovery_key_is_told_and_changes_nothing(self):
        first = self.recovery_key()
        self.recovery_key()
        os.rename(self.key, self.daemon.place("lost.key"))
        before = self.state()
        mistyped = ("1" if first[14] != "1" else "2").join((first[:14], first[15:]))
        for typed, words in ((mistyped, "group 3"), (first[:-1], "these are 39"), (first, "not this database's"), ("", "cancelled")):
            ran = subprocess.run(self.daemon.arguments("--recover"), input=typed.encode() + (b"\n" if typed else b""), capture_output=True,
                                 check=False, timeout=PATIENCE)
            self.assertNotEqual(ran.returncode, 0)
            self.assertIn(words, ran.stderr.decode())
            self.assertNotIn(typed[:11] or "\0", ran.stderr.decode() + ran.stdout.decode())
            self.assertEqual(self.state(), before)

    def test_control_c_leaves_the_terminal_as_it_was(self):
        self.recovery_key()
        os.rename(self.key, self.daemon.place("lost.key"))
        before = self.state()
        status, shown = self.on_a_terminal("--recover", typed=b"ABCDE\x03", prompt=b"Recovery key: ")
        self.assertEqual(status, 1, shown)
        self.assertIn("nothing was changed", shown)
        self.assertEqual(self.state(), before)

    def test_a_lost_key_costs_the_tokens_and_nothing_else(self):
        config = self.read(self.daemon.place("accounts.d", "mine.toml"))
        os.unlink(self.key)
        self.assertIn("credsyncd --start-over", self.start_refused())
        self.assertNotIn("--recover", self.start_refused(), "there is no recovery key")
        ran = self.done("--start-over")
        kept = re.search(r"\S+/state\.lost-\w+", ran.stdout).group(0)
        self.assertEqual(sorted(os.listdir(kept)), ["answers.slots", "state.db"])
        self.assertEqual(self.read(self.daemon.place("accounts.d", "mine.toml")), config)
        api = self.start()
        self.refused(api.token("mine"), "needs-login", 409)
        status = api.status("mine")
        self.assertEqual(status["generation"], self.token["generation"])
        self.assertEqual(status["state"], "needs-login")
        self.assertEqual(api.login("mine", "refresh_token", self.provider.issue("flat")["refresh_token"]).status, 200)
        self.assertGreater(self.granted(api.token("mine"))["generation"], self.token["generation"])
        self.daemon.stop()
        self.done("--start-over", status=CONFIG_ERROR)   # nothing is lost now

    def test_a_credential_is_changed_by_its_admin(self):
        credentials = self.daemon.place("credentials")
        os.mkdir(credentials, 0o700)
        credential = os.path.join(credentials, "credsyncd.key")
        os.rename(self.key, credential)
        old = self.read(credential)
        new = base64.b64encode(secrets.token_bytes(32)) + b"\n"
        self.write_key(self.daemon.place("new.key"), new)
        self.done("--rekey", f"--key={credential}", f"--new-key={self.daemon.place('new.key')}")
        self.assertFalse(os.path.exists(self.key))
        os.environ["CREDENTIALS_DIRECTORY"] = credentials
        self.addCleanup(os.environ.pop, "CREDENTIALS_DIRECTORY")
        self.expect_served()   # still with the old one
        self.write_key(credential, new)
        os.chmod(credential, 0o440)   # as systemd 252 shows it
        self.expect_served()
        os.chmod(credential, 0o600)
        self.write_key(credential, old)
        self.assertIn("does not open this database", self.start_refused())

    def test_options_that_make_no_sense_are_refused(self):
        for options in (["--rekey", "--recover"], ["--key=x"], ["--recovery-key", "--new-key=x"], ["--rekey", "--key=-", "--new-key=-"]):
            self.assertEqual(self.daemon.run(*options).returncode, 2, options)
        self.daemon.stop(signal.SIGTERM)


if __name__ == "__main__":
    unittest.main()
