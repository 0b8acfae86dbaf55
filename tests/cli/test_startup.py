"""`credsync token` must be cheap to start: a script pays it for every token."""

from harness import CREDSYNC, CliTest


class StartupTest(CliTest):
    def test_links_neither_poco_nor_sdbus(self):
        with open(CREDSYNC, "rb") as program:
            text = program.read()
        for library in (b"libPoco", b"libsdbus", b"libsystemd", b"libsqlite", b"libsodium"):
            self.assertNotIn(library, text)
