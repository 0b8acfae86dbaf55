"""What the daemon can do, seen from inside: a secret's command runs under all of its confinement, and tries."""

import json
import os
import unittest

from harness import SECRET, SERVICE, STATE, MachineTest, wait_for

PROBE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside", "probe.py")
REPORT = f"{STATE}/probe.json"
# The state, the count that no backup puts back, and directories of the service's own.
WRITABLE = {"/var/lib/credsyncd", "/var/cache/credsyncd", "/tmp", "/var/tmp"}
RECOVERY = 60.0   # seconds
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "hugepages", "log", "fd", "stdin",
           "stdout", "stderr", "core", "console", "initctl", "char"}
ALLOWED = {"socket AF_UNIX", "socket AF_INET", "socket AF_INET6", "socket AF_NETLINK", "write /var/lib/credsyncd/probe", "write /tmp/probe"}


class Confinement(MachineTest):
    LIFETIME = 3600

    @classmethod
    def set_up_machine(cls):
        cls.box.run("useradd", "--create-home", "alice")
        cls.box.configure(cls.provider)
        cls.box.copy_in(PROBE, "/opt/test/probe.py")
        cls.box.account("app", provider="fflogs", grant="client_credentials",
                        client_secret={"command": ["/usr/bin/python3", "/opt/test/probe.py", REPORT, SECRET]})
        cls.box.run("systemctl", "restart", SERVICE, deadline=120)
        cls.token = cls.box.token("app")
        cls.report = json.loads(cls.box.read(REPORT))

    def setUp(self):
        self.box.run("systemctl", "start", SERVICE)
        self.pid = self.box.main_pid()

    def status(self):
        """Fields of the daemon's /proc/PID/status."""
        text = self.box.run("cat", f"/proc/{self.pid}/status").stdout
        return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}

    def test_the_probe_ran_for_a_token(self):
        self.assert_alive(self.token)

    def test_what_it_may_not_do_fails(self):
        tried = {name: result for name, result in self.report.items() if isinstance(result, str)}
        possible = {name for name, result in tried.items() if not result}
        self.assertEqual(possible, ALLOWED, {name: result for name, result in tried.items() if result})

    def test_address_families_are_refused_as_such(self):
        for family in ("AF_PACKET", "AF_VSOCK", "AF_ALG"):
            self.assertEqual(self.report[f"socket {family}"], "EAFNOSUPPORT")

    def test_no_privileges(self):
        status = self.status()
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        uid, gid = self.box.user("credsyncd")
        self.assertEqual(status["Uid"].split(), [str(uid)] * 4)
        self.assertEqual(status["Gid"].split(), [str(gid)] * 4)
        self.assertEqual(set(status["Groups"].split()) - {str(gid)}, set())
        self.assertEqual(int(status["Umask"], 8), 0o077)

    def test_the_file_system_is_read_only_but_for_its_state(self):
        writable = set()
        for line in self.box.run("cat", f"/proc/{self.pid}/mountinfo").stdout.splitlines():
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            if "rw" in fields[5].split(",") and kind not in ("proc", "devpts", "mqueue", "hugetlbfs", "fusectl", "cgroup", "cgroup2"):
                writable.add(fields[4])
        # systemd-nspawn mounts twice below /run, and systemd 252 in there then leaves /run as it is; its modes protect it.
        self.assertEqual({path for path in writable if not path.startswith(("/dev/", "/run"))}, WRITABLE)

    def test_devices_and_limits(self):
        self.assertLessEqual(set(self.report["devices"]), DEVICES)
        self.assertEqual(self.report["core limit"], [0, 0])
        self.assertIn("Max core file size        0                    0", self.box.run("cat", f"/proc/{self.pid}/limits").stdout)
        self.assertEqual(self.box.show(SERVICE, "MemorySwapMax")["MemorySwapMax"], "0")

    def test_others_of_its_own_user_cannot_look_into_it(self):
        """Not dumpable: its memory, environment and descriptors are root's."""
        for name in ("mem", "environ", "maps", "fd", "auxv"):
            self.assertEqual(self.box.run("stat", "-c", "%U", f"/proc/{self.pid}/{name}").stdout.strip(), "root", name)
            done = self.box.run("ls" if name == "fd" else "cat", f"/proc/{self.pid}/{name}", user="credsyncd", check=False)
            self.assertNotEqual(done.returncode, 0, name)

    def test_a_killed_daemon_leaves_no_core(self):
        self.box.shell("echo 1 > /proc/self/coredump_filter || true")
        self.box.run("kill", "-ABRT", str(self.pid))
        wait_for(lambda: self.box.main_pid() not in (0, self.pid), RECOVERY, "systemd to have started another")
        told = self.box.journal("-u", SERVICE)
        self.assertIn("code=killed", told)
        self.assertNotIn("code=dumped", told)
        found = self.box.run("find", STATE, "/tmp", "/var/tmp", "/var/crash", "/var/lib/systemd/coredump", "-type", "f", "-name", "*core*",
                             check=False)
        self.assertEqual(found.stdout, "")

    def test_no_secret_in_its_surroundings(self):
        for name in ("environ", "cmdline"):
            text = self.box.run("cat", f"/proc/{self.box.main_pid()}/{name}").stdout
            self.assertNotIn(SECRET, text)
            self.assertNotIn(self.token, text)


if __name__ == "__main__":
    unittest.main()
