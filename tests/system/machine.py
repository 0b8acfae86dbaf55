"""A machine that boots: a copy of a Debian root under systemd-nspawn, with a loopback interface and no other network.

Needs namespaces.own_mounts() and own_network() in this process first. The machine shares this process's network, so that a practice
provider outside of it (in the same network) outlives its reboots; it has its own processes, mounts, control groups and host
name. Commands run in it by nsenter, each under a deadline. It ends with this process, however that ends; what a killed
run leaves on the disk the next run removes.
"""

import atexit
import contextlib
import fcntl
import itertools
import os
import shlex
import shutil
import signal
import subprocess
import time

import namespaces

WORK = os.environ.get("CREDSYNC_MACHINES", "/var/tmp/credsync-test-machines")
BOOT_DEADLINE = 120.0      # seconds; it takes one, on a machine with nothing else to do
POWER_OFF_DEADLINE = 90.0  # above the unit's TimeoutStopSec
COMMAND_DEADLINE = 60.0
CGROUP_DEADLINE = 5.0
KILL_AFTER = 10            # seconds after a command's deadline until it is killed
POLL = 0.05
CGROUPS = ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup")   # hierarchies that systemd in a machine uses
DECISIVE = ("running", "degraded")   # of `systemctl is-system-running`

_live = set()
_numbers = itertools.count(1)


class MachineError(RuntimeError):
    """It did not boot, or did not end."""


class Failed(AssertionError):
    """A command in the machine ended with another status than 0."""


def _end_all():
    for machine in list(_live):
        machine.kill()


def _interrupt(*_):
    raise KeyboardInterrupt   # the one that unittest lets through


atexit.register(_end_all)


def end_on_sigterm():
    """SIGTERM ends the tests as Ctrl-C does: machines are ended, their directories removed."""
    signal.signal(signal.SIGTERM, _interrupt)


def host_runs_systemd():
    return os.path.isdir("/run/systemd/system")


def remove_leftovers():
    """Directories of machines whose process has been killed."""
    if not os.path.isdir(WORK):
        return
    for name in os.listdir(WORK):
        path = os.path.join(WORK, name)
        if name.endswith(".lock"):
            continue
        with open(path + ".lock", "w", encoding="ascii") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
            os.unlink(path + ".lock")
            _remove_cgroups(name)


def _own_cgroups(name):
    """The control groups of one machine: without its own, two at once would be one to their systemds."""
    if host_runs_systemd():
        return []   # there systemd-nspawn has a scope made for each
    found = []
    for hierarchy in CGROUPS:
        if os.path.exists(f"{hierarchy}/cgroup.procs"):
            mine = next((line.split(":", 2)[2] for line in _read("/proc/self/cgroup").splitlines()
                         if line.split(":", 2)[1] == ("name=systemd" if hierarchy.endswith("/systemd") else "")), None)
            if mine is not None:
                found.append(os.path.normpath(f"{hierarchy}/{mine}/{name}"))
    return found


def _remove_cgroups(name):
    """They are busy until the kernel has done away with the processes that were in them."""
    deadline = time.monotonic() + CGROUP_DEADLINE
    for top in _own_cgroups(name):
        while os.path.isdir(top) and time.monotonic() < deadline:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)
            time.sleep(POLL)


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as text:
        return text.read()


class Machine:
    """One machine. layers: directories, the topmost first, that are not changed. upper: where its changes go; None: thrown away.

    shared: {path in it: directory of this machine}, which it sees and changes.
    """

    def __init__(self, name, layers, upper=None):
        self.name = f"{name}-{os.getpid()}-{next(_numbers)}"
        self.layers = layers
        self.directory = os.path.join(WORK, self.name)
        self.root = os.path.join(self.directory, "root")
        self.console = os.path.join(self.directory, "console")
        self.upper = upper
        self.shared = {}
        self.process = None
        self.leader = None    # process id of its init, as seen here
        self.lock = None
        self.cgroups = []
        self._make_directory()

    def _make_directory(self):
        os.makedirs(WORK, exist_ok=True)
        self.lock = os.open(self.directory + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(self.directory, ignore_errors=True)
        os.makedirs(self.root)
        _live.add(self)
        upper = self.upper or os.path.join(self.directory, "upper")
        work = upper + ".work"
        os.makedirs(upper, exist_ok=True)
        os.makedirs(work, exist_ok=True)
        try:
            namespaces.mount_overlay(self.layers, upper, work, self.root)
        except OSError:
            if self.upper:
                raise
            namespaces.mount_tmpfs(self.directory)   # this disk's file system cannot be the upper one: memory can
            for path in (self.root, upper, work):
                os.makedirs(path)
            namespaces.mount_overlay(self.layers, upper, work, self.root)

    # --- its life

    def boot(self):
        """Boots it; returns when systemd says it is up, whether or not units failed."""
        began = time.monotonic()
        self.start()
        state = ""
        while state not in DECISIVE:
            if time.monotonic() - began > BOOT_DEADLINE:
                raise MachineError(f"{self.name} did not boot within {BOOT_DEADLINE:.0f} s ({state}):\n{self.console_tail()}")
            if self.process.poll() is not None:
                raise MachineError(f"systemd-nspawn ended with {self.process.returncode}:\n{self.console_tail()}")
            time.sleep(POLL)
            state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return self

    def start(self):
        """Starts it; returns when commands can be run in it, however far the boot is."""
        self.cgroups = _own_cgroups(self.name)
        for folder in self.cgroups:
            os.makedirs(folder, exist_ok=True)
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", f"--machine={self.name}", "--register=no",
                   *([] if host_runs_systemd() else ["--keep-unit"]), f"--network-namespace-path=/proc/{os.getpid()}/ns/net",
                   "--system-call-filter=@memlock",   # a machine's service may lock its key, within its limit
                   *(f"--bind={outside}:{inside}" for inside, outside in self.shared.items()),
                   "--console=pipe", "--resolv-conf=off", "--timezone=off", "--link-journal=no", "--hostname=machine"]
        with open(self.console, "ab") as console:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, preexec_fn=self._enter)
        self.leader = self._await_leader()
        return self

    def _enter(self):
        namespaces.die_with_parent(signal.SIGKILL)
        for folder in self.cgroups:
            with open(f"{folder}/cgroup.procs", "w", encoding="ascii") as procs:
                procs.write("0")

    def _await_leader(self):
        """Of nspawn's children the one that is process 1 in there, when it has become systemd."""
        deadline = time.monotonic() + BOOT_DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            for child in _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split():
                with contextlib.suppress(OSError, IndexError):
                    inner = [line.split()[1:] for line in _read(f"/proc/{child}/status").splitlines() if line.startswith("NSpid:")][0]
                    if inner[-1] == "1" and len(inner) > 1 and _read(f"/proc/{child}/comm").strip() == "systemd":
                        return child
            time.sleep(POLL)
        raise MachineError(f"systemd-nspawn started no machine ({self.process.poll()}):\n{self.console_tail()}")

    def power_off(self):
        """As an admin does; raises MachineError if it does not end."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)   # nspawn tells init to power off
        try:
            status = self.process.wait(POWER_OFF_DEADLINE)
        except subprocess.TimeoutExpired as error:
            self.cut()
            raise MachineError(f"{self.name} did not power off within {POWER_OFF_DEADLINE:.0f} s:\n{self.console_tail()}") from error
        self.process = self.leader = None
        if status != 0:
            raise MachineError(f"{self.name} ended with {status}:\n{self.console_tail()}")

    def cut(self):
        """As a power cut does: every process in it ends at once."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self.leader or self.process.pid), signal.SIGKILL)
            self.process.kill()
            self.process.wait()
            self.process = self.leader = None

    def reboot(self):
        self.power_off()
        return self.boot()

    def close(self):
        """Powers it off and removes it."""
        try:
            self.power_off()
        finally:
            self.kill()

    def kill(self):
        """Ends it, in whatever state, and removes it."""
        _live.discard(self)
        self.cut()
        for path in (self.root, self.directory):
            if os.path.ismount(path):
                namespaces.unmount(path)   # an error ends this here: nothing is removed through a mount
        shutil.rmtree(self.directory, ignore_errors=True)
        if self.upper:
            shutil.rmtree(self.upper + ".work", ignore_errors=True)
        _remove_cgroups(self.name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory + ".lock")
        if self.lock is not None:
            os.close(self.lock)
            self.lock = None

    def console_tail(self):
        return _read(self.console)[-4000:] if os.path.exists(self.console) else ""

    # --- what runs in it

    def command(self, *command, user=None, env=None, deadline=COMMAND_DEADLINE):
        """The command line that runs `command` in it. user: by name, with its groups; env: nothing else is inherited."""
        environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                       "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
        become = ["setpriv", f"--reuid={user}", f"--regid={self.user(user)[1]}", "--init-groups", "--inh-caps=-all"] if user else []
        return ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-p", "-n", "-r", "-w", "--",
                "env", "-i", *(f"{k}={v}" for k, v in environment.items()), *become,
                "timeout", "-k", str(KILL_AFTER), str(deadline), *command]

    def run(self, *command, user=None, env=None, stdin="", deadline=COMMAND_DEADLINE, check=True):
        """Runs it to its end; a CompletedProcess with text. Raises Failed if it fails, unless check is false."""
        done = subprocess.run(self.command(*command, user=user, env=env, deadline=deadline), input=stdin, capture_output=True,
                              text=True, timeout=deadline + KILL_AFTER + COMMAND_DEADLINE, check=False, errors="replace")
        if check and done.returncode != 0:
            raise Failed(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done

    def shell(self, script, **options):
        """Runs a script of sh, which ends at the first error."""
        return self.run("sh", "-euc", script, **options)

    def run_in_unit(self, *command, env=None, **options):
        """Runs it as a unit of the machine: run()'s processes are in no control group of it, and logind 257 will not have them."""
        return self.run("systemd-run", "--quiet", "--pipe", "--wait", "--collect",
                        *(f"--setenv={name}={value}" for name, value in (env or {}).items()), *command, **options)

    def popen(self, *command, user=None, env=None, deadline=COMMAND_DEADLINE, **options):
        """Starts it; a Popen with text pipes. It ends with this process."""
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        return subprocess.Popen(self.command(*command, user=user, env=env, deadline=deadline), text=True,
                                preexec_fn=lambda: namespaces.die_with_parent(signal.SIGTERM), **{**pipes, **options})

    # --- its files, from outside

    def path(self, inside):
        """Of a file on its disk (not of /run, /proc, /dev, /sys, /tmp, which are its own mounts)."""
        return self.root + os.path.abspath(inside)

    def read(self, inside):
        return _read(self.path(inside))

    def write(self, inside, text, mode=0o644):
        path = self.path(inside)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path + ".new", "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), mode)
            out.write(text)
        os.rename(path + ".new", path)

    def copy_in(self, source, inside):
        """A file or a tree of this machine, owned by root and written by nobody else, as installed files are."""
        target = self.path(inside)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
        subprocess.run(["chown", "-R", "0:0", target], check=True)
        subprocess.run(["chmod", "-R", "go-w,a+rX", target], check=True)

    def user(self, name):
        """(uid, gid) of a user of it."""
        fields = next(line.split(":") for line in self.read("/etc/passwd").splitlines() if line.startswith(name + ":"))
        return int(fields[2]), int(fields[3])

    # --- its units

    def show(self, unit, *properties, manager=()):
        """Properties of a unit, as a dict of strings."""
        text = self.run("systemctl", *manager, "show", unit, *(f"--property={p}" for p in properties)).stdout
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def journal(self, *arguments):
        """Records of this boot, as journalctl prints them."""
        self.run("journalctl", "--sync", check=False)
        return self.run("journalctl", "-b", "--no-pager", *arguments).stdout
