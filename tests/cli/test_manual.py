"""credsync(1) is there in full, and well formed."""

import os
import re
import shutil
import subprocess

from harness import CliTest
from test_arguments import PATHS

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man/credsync.1")


class ManualTest(CliTest):
    def setUp(self):
        super().setUp()
        with open(PAGE, encoding="utf-8") as page:
            self.page = page.read()

    def test_mandoc_finds_nothing(self):
        if shutil.which("mandoc") is None:
            self.skipTest("no mandoc here")
        done = subprocess.run(["mandoc", "-Tlint", "-W", "warning", PAGE], capture_output=True, check=False)
        self.assertEqual((done.returncode, done.stdout.decode()), (0, ""))

    def test_every_command_and_option_is_described(self):
        for path in PATHS:
            self.assertRegex(self.page, rf"\.Cm {' '.join(path)}\b")
            for option in re.findall(r"--[a-z][a-z-]+", self.credsync(*path, "--help").out):
                self.assertTrue(re.search(rf"(Fl |[|,] ){option[1:]}\b", self.page), f"{path} {option}")

    def test_every_exit_code_is_described(self):
        codes = re.search(r"\.Sh EXIT STATUS(.*?)\.Sh", self.page, re.S).group(1)
        self.assertEqual(re.findall(r"^\.It (\d)$", codes, re.M), [str(code) for code in range(8)])
