"""The archives of a test's machine are this machine's own, whatever way they are written down. Boots nothing."""

import unittest

import apt_sources
from apt_sources import SourcesError, parse_deb822, parse_one_line, sources_for

ONE_LINE = """\
# deb http://old.test/debian bookworm main
deb http://mirror.test/debian bookworm main contrib   # ours
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 signed-by=/etc/apt/keyrings/tools.gpg] https://tools.test/apt bookworm main
deb http://mirror.test/debian bookworm-backports main
deb http://mirror.test/security bookworm-security main
"""
DEB822 = """\
Types: deb deb-src
# a comment
URIs: http://one.test/debian http://two.test/debian
Suites: stable stable-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBFZ
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: stable
Components: main
"""


def pairs(sources):
    return [(source.uri, source.suite) for source in sources]


class Sources(unittest.TestCase):
    def test_one_line_files(self):
        self.assertEqual(pairs(sources_for("trixie", parse_one_line(ONE_LINE), "bookworm")),
                         [("http://mirror.test/debian", "trixie"), ("http://mirror.test/security", "trixie-security")])

    def test_deb822_files_with_a_key_inside(self):
        found = parse_deb822(DEB822)
        self.assertEqual(pairs(found), [(f"http://{host}.test/debian", suite) for host in ("one", "two")
                                        for suite in ("stable", "stable-updates")])
        self.assertEqual(found[0].signed_by, "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQINBFZ\n-----END PGP PUBLIC KEY BLOCK-----\n")
        self.assertEqual(pairs(sources_for("trixie", found, "bookworm")),
                         [("http://one.test/debian", "trixie"), ("http://one.test/debian", "trixie-updates")])

    def test_an_archive_that_others_sign_is_no_debian(self):
        third = parse_one_line("deb [signed-by=/k.gpg] https://tools.test/apt bookworm main\ndeb http://mirror.test/debian bookworm main\n")
        self.assertEqual(pairs(sources_for("bookworm", third, "bookworm")), [("http://mirror.test/debian", "bookworm")])

    def test_a_private_mirror_with_a_key_of_its_own(self):
        private = parse_one_line("deb [signed-by=/k.gpg] https://mirror.test/debian bookworm main\n"
                                 "deb [signed-by=/k.gpg] https://mirror.test/debian bookworm-updates main\n")
        self.assertEqual([s.signed_by for s in sources_for("bookworm", private, "bookworm")], ["/k.gpg", "/k.gpg"])

    def test_no_archive_of_debian(self):
        for text in ("", "deb http://mirror.test/ubuntu jammy main\n", "deb http://mirror.test/debian bookworm-backports main\n"):
            with self.assertRaises(SourcesError):
                sources_for("bookworm", parse_one_line(text), "bookworm")

    def test_this_machine(self):
        if not apt_sources.machine_codename():
            self.skipTest("NOT TESTED: this is no Debian")
        found = sources_for("trixie", apt_sources.machine_sources(), apt_sources.machine_codename())
        self.assertEqual(found[0].suite, "trixie")
        for line in apt_sources.acquire_settings():
            self.assertRegex(line, r'^Acquire::\S+ ".*";$')


if __name__ == "__main__":
    unittest.main()
