import os
import subprocess
import sys

from fake_daemon import ok, problem
from harness import CREDSYNC, TOKEN, CliTest, token_answer

PATH = ("GET", "/v1/accounts/flat-me/token")


class ExecTest(CliTest):
    def setUp(self):
        super().setUp()
        self.daemon.routes[PATH] = ok(token_answer())

    def run_python(self, program, *options):
        return self.credsync("exec", "flat-me", *options, "--", sys.executable, "-c", program)

    def test_the_token_is_in_a_file_in_memory(self):
        result = self.credsync("exec", "flat-me", "--", "sh", "-c", 'cat "$CREDSYNC_TOKEN_FILE"')
        self.assert_done(result)
        self.assertEqual(result.out, TOKEN)

    def test_children_of_the_command_can_read_it_too_and_more_than_once(self):
        result = self.credsync("exec", "flat-me", "--", "sh", "-c", 'cat "$CREDSYNC_TOKEN_FILE" "$CREDSYNC_TOKEN_FILE"; (cat "$CREDSYNC_TOKEN_FILE")')
        self.assertEqual(result.out, TOKEN * 3)

    def test_the_file_cannot_be_changed(self):
        program = (
            "import os, errno\n"
            "path = os.environ['CREDSYNC_TOKEN_FILE']\n"
            "number = int(path.rsplit('/', 1)[1])\n"
            "for change in (lambda: os.write(number, b'x'), lambda: os.ftruncate(number, 0), lambda: os.ftruncate(number, 9999)):\n"
            "  try:\n"
            "    change()\n"
            "    raise SystemExit('it changed')\n"
            "  except PermissionError:\n"
            "    pass\n"
            "assert path == f'/proc/self/fd/{number}', path\n"
            "assert number > 2\n"
            "assert os.stat(number).st_mode & 0o777 == 0o400\n")
        self.assert_done(self.run_python(program))

    def test_the_token_is_in_neither_environment_nor_arguments(self):
        result = self.run_python("import sys; sys.stdout.write(open('/proc/self/environ').read() + open('/proc/self/cmdline').read())")
        self.assert_done(result)
        self.assertNotIn(TOKEN, result.out)

    def test_env_puts_it_into_that_variable(self):
        result = self.credsync("exec", "flat-me", "--env", "GH_TOKEN", "--", "sh", "-c", 'echo "$GH_TOKEN:$CREDSYNC_TOKEN_FILE"')
        self.assertEqual(result.out, TOKEN + ":\n")

    def test_env_wants_the_name_of_a_variable(self):
        for name in ("", "1A", "A=B", "A-B"):
            self.assert_done(self.credsync("exec", "flat-me", "--env", name, "--", "true"), 2)

    def test_the_process_becomes_the_command(self):
        process = subprocess.Popen([CREDSYNC, "exec", "flat-me", "--", "sh", "-c", "echo $$"], stdout=subprocess.PIPE, env=self.environment())
        out, _ = process.communicate(timeout=60)
        self.assertEqual(int(out), process.pid)

    def test_the_exit_code_is_the_commands(self):
        self.assert_done(self.credsync("exec", "flat-me", "--", "sh", "-c", "exit 42"), 42)

    def test_the_commands_own_options_are_left_alone(self):
        result = self.credsync("exec", "flat-me", "--", "echo", "--socket", "x", "--help", "--", "token")
        self.assertEqual(result.out, "--socket x --help -- token\n")

    def test_only_the_token_is_inherited(self):
        result = self.credsync("exec", "flat-me", "--", "ls", "/proc/self/fd")
        self.assertEqual(len(result.out.split()), 5, result.out)  # 0, 1, 2, the token, and the directory itself

    def test_limits_of_the_command_are_as_they_were(self):
        script = f"ulimit -S -c 4096; exec '{CREDSYNC}' exec flat-me -- sh -c 'ulimit -S -c'"
        environment = self.environment(ASAN_OPTIONS="disable_coredump=0")  # its own limit would hide ours
        done = subprocess.run(["sh", "-c", script], capture_output=True, env=environment, check=False)
        if done.returncode != 0:
            self.skipTest("the limit for core files cannot be set here")
        self.assertEqual(done.stdout, b"4096\n")

    def test_a_command_that_is_missing_or_no_program(self):
        result = self.credsync("exec", "flat-me", "--", "no-such-command-here")
        self.assert_done(result, 127)
        self.assertIn("no-such-command-here: No such file", result.err)
        path = os.path.join(self.directory, "data")
        with open(path, "w", encoding="ascii"):
            pass
        self.assert_done(self.credsync("exec", "flat-me", "--", path), 126)

    def test_without_a_token_nothing_runs(self):
        self.daemon.routes[PATH] = problem("needs-login", 409, "flat-me needs a login.")
        marker = os.path.join(self.directory, "ran")
        self.assert_done(self.credsync("exec", "flat-me", "--", "touch", marker), 3)
        self.assertFalse(os.path.exists(marker))

    def test_without_a_command_it_is_a_usage_error(self):
        self.assert_done(self.credsync("exec", "flat-me"), 2)
        self.assert_done(self.credsync("exec", "flat-me", "--"), 2)
        self.assert_done(self.credsync("exec", "flat-me", "ls"), 2)
        self.assertEqual(self.daemon.requests, [])
