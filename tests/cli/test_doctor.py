import os

from fake_daemon import ok, problem
from harness import CliTest


class DoctorTest(CliTest):
    def setUp(self):
        super().setUp()
        os.chmod(self.directory, 0o755)
        self.checks = [{"name": "store", "result": "ok", "detail": "writable", "next_step": None}]
        version = self.credsync("--version").out.split()[1]
        self.daemon.routes[("GET", "/v1/health")] = ok({"status": "ok", "version": version})
        self.daemon.routes[("GET", "/v1/doctor")] = lambda request: ok({"checks": self.checks})

    def test_all_well(self):
        result = self.credsync("doctor")
        self.assert_done(result)
        shown = [line.split()[:2] for line in result.out.splitlines() if not line.startswith(" ")]
        self.assertEqual([name for _, name in shown], ["socket", "directory", "connection", "answer", "version", "store"])
        # A loaded machine may answer slowly, and that is told.
        self.assertEqual({result for result, name in shown if name != "answer"}, {"ok"})

    def test_a_failed_check_of_the_daemon(self):
        self.checks.append({"name": "disk", "result": "failed", "detail": "no room", "next_step": "make room"})
        result = self.credsync("doctor")
        self.assert_done(result, 1)
        self.assertIn("FAILED  disk\n    no room\n    Try: make room\n", result.out)

    def test_a_warning_fails_nothing(self):
        self.checks.append({"name": "clock", "result": "warning", "detail": "not synchronised", "next_step": None})
        self.assert_done(self.credsync("doctor"))

    def test_a_daemon_of_another_version(self):
        self.daemon.routes[("GET", "/v1/health")] = ok({"status": "ok", "version": "99.0"})
        result = self.credsync("doctor")
        self.assert_done(result)
        self.assertIn("daemon 99.0: they differ", result.out)

    def test_who_may_not_ask_the_daemon_still_learns_the_rest(self):
        self.daemon.routes[("GET", "/v1/doctor")] = problem("not-allowed", 403, "You may not do this.")
        result = self.credsync("doctor")
        self.assert_done(result)
        self.assertIn("for admins", result.out)

    def test_no_daemon(self):
        self.daemon.stop()
        result = self.credsync("doctor")
        self.assert_done(result, 1)
        self.assertIn("does not exist", result.out)
        self.assertIn("Try: systemctl start credsyncd", result.out)

    def test_a_socket_that_is_closed_to_the_caller_is_not_to_be_started(self):
        # Root goes everywhere.
        as_other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        closed = os.path.join(self.directory, "closed")
        os.mkdir(closed, 0)
        result = self.credsync("doctor", "--socket", os.path.join(closed, "api.sock"), cwd="/", **as_other)
        os.chmod(closed, 0o700)
        self.assert_done(result, 1)
        self.assertIn("Permission denied", result.out)
        self.assertIn("Try: namei -l " + os.path.join(closed, "api.sock"), result.out)
        self.assertNotIn("systemctl", result.out)
        os.chmod(self.socket, 0o600)
        result = self.credsync("doctor", cwd="/", **as_other)
        if as_other:
            self.assert_done(result, 1)
            self.assertIn("no permission to connect", result.out)
            self.assertNotIn("systemctl", result.out)

    def test_a_file_that_is_no_socket(self):
        path = os.path.join(self.directory, "file")
        with open(path, "w", encoding="ascii"):
            pass
        result = self.credsync("doctor", "--socket", path)
        self.assert_done(result, 1)
        self.assertIn("is no socket", result.out)

    def test_a_directory_that_others_can_write(self):
        os.chmod(self.directory, 0o777)
        result = self.credsync("doctor")
        self.assert_done(result)
        self.assertIn("could replace the socket", result.out)

    def test_a_daemon_that_talks_nonsense(self):
        self.daemon.routes[("GET", "/v1/health")] = b"nonsense\r\n\r\n"
        result = self.credsync("doctor")
        self.assert_done(result, 1)
        self.assertIn("does not speak HTTP", result.out)
