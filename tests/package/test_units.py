"""The units as they are installed: without mistakes, tight, and in step with the program they start."""

import json
import os
import re
import subprocess
import tempfile
import unittest

from staging import SOURCE, cache, place, read, there, unit

SYSTEM = cache("CREDSYNC_SYSTEM_UNIT_DIR")
USER = cache("CREDSYNC_USER_UNIT_DIR")
# The most that the system's unit may be exposed, in tenths: what callers' identity and providers leave open, and no more.
MOST_EXPOSED = 15


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


def constant(path, name):
    """A duration in seconds from a header or source."""
    return int(re.search(rf"\b{name} = (\d+)s;", read(os.path.join(SOURCE, path))).group(1))


class UnitsTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="credsync-units-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def copied(self, directory):
        """Copies that systemd-analyze can follow from here: programs are below DESTDIR."""
        copies = []
        for name in ("credsyncd.service", "credsyncd.socket"):
            text = read(os.path.join(there(directory), name))
            for folder in ("CMAKE_INSTALL_SBINDIR", "CMAKE_INSTALL_BINDIR"):
                text = text.replace(place(cache(folder)) + "/", there(cache(folder)) + "/")
            copies.append(os.path.join(self.folder, name))
            with open(copies[-1], "w", encoding="utf-8") as copy:
                copy.write(text)
        return copies

    def verify(self, *arguments):
        # Where there is no manager of that kind its folder is not either; what is in it does not matter here.
        environment = {**os.environ, "XDG_RUNTIME_DIR": self.folder}
        return subprocess.run(["systemd-analyze", "verify", "--man=no", *arguments], env=environment, capture_output=True,
                              timeout=60, check=False)

    def assert_clean(self, done, paths):
        """It says what is wrong and ends with 0; what it says of other people's units is not ours."""
        names = [os.path.basename(path) for path in paths] + paths
        ours = [line for line in done.stderr.decode().splitlines() if any(name in line for name in names)]
        self.assertEqual((done.returncode, ours), (0, []))

    def test_systemd_finds_no_mistake(self):
        for directory, scope in ((SYSTEM, "--system"), (USER, "--user")):
            with self.subTest(directory):
                copies = self.copied(directory)
                self.assert_clean(self.verify(scope, *copies), copies)

    def test_a_mistake_would_be_found(self):
        service, socket = self.copied(SYSTEM)
        with open(service, "a", encoding="utf-8") as copy:
            copy.write("[Service]\nProtectHomes=yes\n")
        with self.assertRaises(AssertionError):
            self.assert_clean(self.verify("--system", service, socket), [service, socket])

    def security(self, *arguments):
        service = self.copied(SYSTEM)[0]
        return subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", *arguments, service],
                              capture_output=True, timeout=60, check=False)

    def test_exposure(self):
        done = self.security(f"--threshold={MOST_EXPOSED}")
        self.assertEqual(done.returncode, 0, done.stdout.decode())
        self.assertNotEqual(self.security(f"--threshold={MOST_EXPOSED // 2}").returncode, 0)

    def test_what_is_left_open_has_its_reason_in_the_unit(self):
        text = read(os.path.join(there(SYSTEM), "credsyncd.service"))
        comments = "\n".join(line for line in text.splitlines() if line.startswith("#"))
        # PrivateDevices= and the credential let in the clock and the TPM; they are not ours to leave out.
        beside_the_point = {"DeviceAllow"}
        for row in json.loads(self.security("--json=short").stdout):
            if row["set"] or not row["exposure"] or float(row["exposure"]) == 0:
                continue
            # "RootDirectory=/RootImage=" is one thing; of "RestrictAddressFamilies=~AF_(INET|INET6)" the families are named.
            name = re.search(r"AF_\(?\w+", row["name"]) or re.search(r"\w+", row["name"])
            if name.group() not in beside_the_point:
                self.assertIn(name.group().replace("(", ""), comments, row)

    def test_stopping_outlasts_an_exchange(self):
        longest = constant("daemon/oauth/transport.h", "kExchangeDeadline")
        for directory in (SYSTEM, USER):
            service = unit(os.path.join(there(directory), "credsyncd.service"))["Service"]
            # As begin_stop() waits: the exchange, 5 s for the disk, 3 s for callers, and then what is still to be written.
            self.assertGreaterEqual(seconds(service["TimeoutStopSec"][0]), longest + 5 + 3 + 10)

    def test_the_exit_status_that_a_restart_cannot_mend(self):
        status = re.search(r"kExitConfig = (\d+)", read(os.path.join(SOURCE, "daemon/daemon.h"))).group(1)
        for directory in (SYSTEM, USER):
            service = unit(os.path.join(there(directory), "credsyncd.service"))["Service"]
            self.assertEqual(service["RestartPreventExitStatus"], [status])

    def test_restarts_alone_never_use_the_limit_up(self):
        for directory in (SYSTEM, USER):
            sections = unit(os.path.join(there(directory), "credsyncd.service"))
            interval = seconds(sections["Unit"]["StartLimitIntervalSec"][0])
            restarts = interval / seconds(sections["Service"]["RestartSec"][0])
            self.assertLess(restarts, int(sections["Unit"]["StartLimitBurst"][0]))

    def test_the_sockets_are_where_the_command_looks(self):
        names = read(os.path.join(SOURCE, "ipc/names.h"))
        system = re.search(r'kSystemSocket = "([^"]+)"', names).group(1)
        users = "%t/" + re.search(r'kUserSocketInRuntimeDir = "([^"]+)"', names).group(1)
        for directory, socket, mode, folder in ((SYSTEM, system, "0666", "0755"), (USER, users, "0600", "0700")):
            listening = unit(os.path.join(there(directory), "credsyncd.socket"))["Socket"]
            self.assertEqual(listening["ListenStream"], [socket])
            self.assertEqual(listening["FileDescriptorName"], ["http"])
            self.assertEqual((listening["SocketMode"], listening["DirectoryMode"]), ([mode], [folder]))
            reload = unit(os.path.join(there(directory), "credsyncd.service"))["Service"]["ExecReload"]
            self.assertIn(f"--socket {socket} reload", reload[0])

    def test_programs_and_pages_are_installed(self):
        for directory in (SYSTEM, USER):
            for name in ("credsyncd.service", "credsyncd.socket"):
                sections = unit(os.path.join(there(directory), name))
                for page, section in re.findall(r"man:(\S+)\((\d)\)", " ".join(sections["Unit"]["Documentation"])):
                    self.assertTrue(os.path.exists(there(f"{cache('CMAKE_INSTALL_DATAROOTDIR')}/man/man{section}/{page}.{section}")))
                for key in ("ExecStart", "ExecReload"):
                    for command in sections.get("Service", {}).get(key, []):
                        program = command.split()[0].lstrip("+")
                        staged = there("") .rstrip("/") + program.removeprefix(cache("CMAKE_INSTALL_PREFIX"))
                        self.assertTrue(os.access(staged, os.X_OK), program)


if __name__ == "__main__":
    unittest.main()
