"""credsync(1) is there in full, and every page is well formed."""

import glob
import os
import re
import shutil
import subprocess

from harness import CliTest
from test_arguments import PATHS

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../docs/man")
PAGE = os.path.join(FOLDER, "credsync.1")
# What readers see, with mandoc and with what Debian's man uses.
RENDERERS = (["mandoc", "-Tascii"], ["groff", "-mandoc", "-Tascii", "-P-c"])
# A quotation that holds the next one, or ends together with it: of several macros on a line each runs to its end.
NESTED = r'"[\w./-]+, "[\w./-]+|""[\])]|"""'


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

    def test_quotations_end_where_they_should(self):
        renderers = [command for command in RENDERERS if shutil.which(command[0])]
        if not renderers:
            self.skipTest("neither mandoc nor groff here")
        pages = sorted(glob.glob(os.path.join(FOLDER, "*.[1-8]")))
        self.assertIn(PAGE, pages)
        for page in pages:
            with open(page, encoding="utf-8") as text:
                if text.read().startswith(".so "):  # another name of a page that is looked at
                    continue
            for command in renderers:
                with self.subTest(os.path.basename(page), renderer=command[0]):
                    done = subprocess.run([*command, page], capture_output=True, check=True)
                    shown = " ".join(re.sub(".\b", "", done.stdout.decode()).split())
                    self.assertIn("NAME", shown)
                    self.assertEqual(re.findall(NESTED, shown), [])

    def test_every_command_and_option_is_described(self):
        for path in PATHS:
            self.assertRegex(self.page, rf"\.Cm {' '.join(path)}\b")
            for option in re.findall(r"--[a-z][a-z-]+", self.credsync(*path, "--help").out):
                self.assertTrue(re.search(rf"(Fl |[|,] ){option[1:]}\b", self.page), f"{path} {option}")

    def test_every_exit_code_is_described(self):
        codes = re.search(r"\.Sh EXIT STATUS(.*?)\.Sh", self.page, re.S).group(1)
        self.assertEqual(re.findall(r"^\.It (\d)$", codes, re.M), [str(code) for code in range(8)])
