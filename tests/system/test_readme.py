"""The README's section on installation, line by line as written, on a machine that has never seen credsyncd.

That machine builds the packages and runs their unit tests, too, so that this is the smoke run of a release: build, unit tests, boot,
installation, the socket's first request, a token, a reload. Warnings are errors.

    CREDSYNC_SUITE=trixie    which release; default: this machine's
    CREDSYNC_LONG=1          the packages exactly as Debian builds them; afterwards once more with all unit tests. Else the line that
                             builds them builds and runs unit tests, too, of what meets the release's libraries and of the core, and
                             nothing is optimised: a third of the time where ccache has nothing
"""

import os
import re
import time
import unittest

import apt_sources
import harness
import machine
import package
import prepare
from harness import SERVICE, SOCKET_UNIT, STATE, MachineTest, wait_for

SUITE = os.environ.get("CREDSYNC_SUITE") or apt_sources.machine_codename()
LONG = bool(os.environ.get("CREDSYNC_LONG"))
BUILD = "script/package"           # the README's line
CHECK = BUILD + " --check"         # the same with unit tests
# The core, and what meets libraries that differ from release to release: toml++, Poco, sdbus-c++, libsystemd.
UNITS = ("base_test", "provider_test", "config_test", "oauth_test", "refresh_test", "transport_test", "ipc_dbus_test")
QUICK = {} if LONG else {"DEB_BUILD_OPTIONS": "noopt", "DEB_CXXFLAGS_STRIP": "-g", "CREDSYNC_UNITS": ";".join(UNITS)}
BUILD_DEADLINE = 4800.0 if LONG else 2700.0   # seconds; nothing in ccache, on two busy cores
START = 60.0                       # seconds
MEMBER = "alice"                   # a user as the README's has it: her own instance, and in group users


def blocks(text):
    """(heading, commands) of each sh block in the section `## Install`; a command is a line, with those it continues on."""
    section = re.search(r"^## Install\n(.*?)(?=^## )", text, re.M | re.S)[1]
    heading, found = "Install", []
    for match in re.finditer(r"^### ([^\n]+)$|^```sh\n(.*?)^```", section, re.M | re.S):
        if match[1]:
            heading = match[1]
        else:
            found.append((heading, [line for line in match[2].replace("\\\n", " ").splitlines() if line.strip()]))
    return found


class Readme(MachineTest):
    LIFETIME = 3600
    _root = None

    @classmethod
    def layers(cls):
        if Readme._root is None:
            try:
                prepare.check_able()
                Readme._root = prepare.build_root(SUITE)
                harness.go_offline(Readme._root)
                machine.Machine("plain", [Readme._root]).boot().close()
            except (prepare.Unable, OSError, machine.MachineError) as reason:
                raise unittest.SkipTest(f"SKIPPED: not on a booted machine: {reason}") from reason
        return [Readme._root]

    @classmethod
    def set_up_machine(cls):
        package.copy_tree(cls.box.path(package.TREE))
        with open(os.path.join(package.REPOSITORY, "README.md"), encoding="utf-8") as text:
            cls.blocks = blocks(text.read())
        cls.box.run("useradd", "--create-home", "--groups", "users", MEMBER)

    @classmethod
    def new_box(cls):
        """With the objects of the runs before; of this machine's disk it sees nothing else."""
        box = super().new_box()
        box.shared[package.CCACHE] = package.ccache_directory(SUITE)
        return box

    def as_root(self, line):
        """Types a line in the tree, as root."""
        env = {"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "CCACHE_DIR": package.CCACHE,
               "CREDSYNC_WERROR": "ON", **QUICK}
        return self.box.run_in_unit(f"--working-directory={package.TREE}", "bash", "-eo", "pipefail", "-c", line, env=env, deadline=BUILD_DEADLINE)

    def as_member(self, line):
        """Types a line after a login of hers."""
        runtime = f"/run/user/{self.box.user(MEMBER)[0]}"
        env = {"HOME": f"/home/{MEMBER}", "XDG_RUNTIME_DIR": runtime, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus"}
        return self.box.run("bash", "-eo", "pipefail", "-c", line, user=MEMBER, env=env)

    def test_as_written(self):
        """In the README's order, but that root lets her manager run before she types."""
        admin = [commands for heading, commands in self.blocks if heading == "Install"]
        others = [commands for heading, commands in self.blocks if heading != "Install"]
        self.assertGreaterEqual(len(admin), 3, self.blocks)
        self.assertEqual(admin[0][0], BUILD)
        for commands in admin:
            for line in commands:
                began = time.monotonic()
                told = self.as_root(line if LONG or line != BUILD else CHECK)
                print(f"# {line}\n{(told.stdout + told.stderr)[-400:]}({time.monotonic() - began:.0f} s)", flush=True)
        self.check_the_installation()
        self.check_a_token()
        self.check_the_socket()
        for commands in sorted(others, key=lambda commands: "enable-linger" not in " ".join(commands)):
            as_whom = self.as_root if "enable-linger" in " ".join(commands) else self.as_member
            for line in commands:
                print(f"$ {line}\n{as_whom(line).stdout[-400:]}", flush=True)
            wait_for(lambda: os.path.exists(f"/proc/{self.box.leader}/root/run/user/{self.box.user(MEMBER)[0]}/bus"), START, "her manager")
        self.assertIn("api.sock", self.as_member("ls $XDG_RUNTIME_DIR/credsyncd").stdout)

    def check_the_installation(self):
        self.assertTrue(self.box.is_active(SERVICE))
        self.assertTrue(self.box.is_active(SOCKET_UNIT))
        self.assertNotIn("credsyncd.key", self.box.run("ls", "-A", STATE).stdout.split(), "the key is the credential")
        self.assertIn("root", self.box.run("getent", "group", "credsync-admin").stdout)

    def check_a_token(self):
        """The README's account, once its provider is the practice one, gives its token to whom the README says."""
        self.provider.register("fflogs", clients=[{"id": "your client's id", "secret": "the client's secret"}])
        self.box.configure(self.provider)
        self.box.run("systemctl", "reload", SERVICE)
        self.assert_alive(self.box.token("fflogs", "--wait", "30s", user=MEMBER))
        self.assertEqual(self.box.credsync("token", "fflogs", user="nobody", check=False).returncode, 4)

    def check_the_socket(self):
        self.box.run("systemctl", "stop", SERVICE, deadline=120)
        self.assert_alive(self.box.token("fflogs", user=MEMBER))
        self.assertTrue(self.box.is_active(SERVICE), "the first request starts it")
        self.box.account("wrong", provider="fflogs", grant="client_credentials", margni="1m")
        self.assertNotEqual(self.box.run("systemctl", "reload", SERVICE, check=False).returncode, 0)
        self.box.run("rm", "/etc/credsyncd/accounts.d/wrong.toml")
        self.box.run("systemctl", "reload", SERVICE)

    @unittest.skipUnless(LONG, "the line that builds the packages has run them")
    def test_unit_tests(self):
        self.as_root(CHECK)


if __name__ == "__main__":
    unittest.main()
