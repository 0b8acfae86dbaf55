"""Debian file trees to boot: made once by debootstrap from this machine's apt sources, and kept.

A root's name holds a digest of its recipe (release, packages, archives), so a change makes a new one. It is made under another
name and renamed when complete: a half one is never used. Whoever uses one holds its lock, shared; making and removing take it alone.

    CREDSYNC_ROOTS=DIR    where they are kept; default: /var/cache/credsync-test-roots

Run as a program it makes one that is none of those, with a network, for script/debian:

    debian_root.py SUITE DIRECTORY
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time

import apt_sources
import namespaces
from apt_sources import ARCHIVE_KEYRING

ROOTS = os.environ.get("CREDSYNC_ROOTS", "/var/cache/credsync-test-roots")
RECIPE = 1                      # grows when what is done below changes
KEEP_UNUSED = 7 * 86400         # seconds; other branches' roots are not made anew at each change of branch
BOOTSTRAP_DEADLINE = 1500.0     # seconds; a slow mirror
CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ROOT_CA_BUNDLE = "/etc/ssl/test-machine-ca.crt"
APT_SNIPPET = "etc/apt/apt.conf.d/90test-machine"

# In every root, beside what the recipe names. dbus-user-session and libpam-systemd: users' instances; sudo: as the README
# has it; apt itself is in debootstrap's minimal base.
BOOTABLE = ("systemd", "systemd-sysv", "dbus", "dbus-user-session", "libpam-systemd", "sudo", "procps", "python3-minimal",
            "python3", "curl", "ca-certificates")


class BootstrapError(RuntimeError):
    """A root could not be made."""


# For tests to install in a machine, which has no network: polkit is what a server may have or not.
KEPT_PACKAGES = ("polkitd",)
KEPT = "/var/cache/test-machine"


class Recipe:
    """What a root is made of. satisfy: dependencies as a package has them, `a (>= 1) | b, c`."""

    def __init__(self, suite, purpose, packages=(), satisfy=""):
        self.suite, self.purpose = suite, purpose
        self.packages = sorted({*BOOTABLE, *packages})
        self.satisfy = satisfy
        self.sources = apt_sources.sources_for(suite, apt_sources.machine_sources(), apt_sources.machine_codename())

    @property
    def name(self):
        """The directory's name."""
        text = json.dumps([RECIPE, platform.machine(), self.packages, KEPT_PACKAGES, self.satisfy,
                           [(s.uri, s.suite, s.signed_by) for s in self.sources]])
        return f"{self.suite}-{self.purpose}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@contextlib.contextmanager
def _locked(name, how):
    with open(os.path.join(ROOTS, name + ".lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, how)
        yield


def hold(path):
    """Keeps the root at `path` from being removed while the descriptor that is returned is open."""
    descriptor = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(path)
    return descriptor


def obtain(recipe, tell=print):
    """The path of a complete root of that recipe; made if there is none. Raises BootstrapError."""
    os.makedirs(ROOTS, exist_ok=True)
    path = os.path.join(ROOTS, recipe.name)
    if not os.path.isdir(path):
        with _locked(recipe.name, fcntl.LOCK_EX):   # two runs at once make it once
            if not os.path.isdir(path):
                began = time.monotonic()
                tell(f"Making a root of Debian {recipe.suite} in {path} (kept for the next run)")
                _make(recipe, path)
                tell(f"Made in {time.monotonic() - began:.0f} s")
    os.utime(path)
    _remove_unused(keep=recipe.name)
    return path


def _remove_unused(keep):
    """Roots that nobody used for long, and what a killed run left."""
    for name in os.listdir(ROOTS):
        path = os.path.join(ROOTS, name)
        base = name.split(".new")[0]
        if base == keep and base == name or not os.path.isdir(path) or name.startswith("ccache-"):
            continue
        if base == name and time.time() - os.stat(path).st_mtime < KEEP_UNUSED:
            continue
        with open(os.path.join(ROOTS, base + ".lock"), "w", encoding="ascii") as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)


def run(command, log, deadline, what, env=None):
    """Runs a command with its output in the open file `log`; raises BootstrapError with the end of it."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=deadline,
                              check=False, env={**os.environ, **(env or {})})
    except subprocess.TimeoutExpired as error:
        raise BootstrapError(f"{what}: not done within {deadline:.0f} s; see {log.name}") from error
    if done.returncode != 0:
        with open(log.name, encoding="utf-8", errors="replace") as text:
            tail = "".join(text.readlines()[-25:])
        raise BootstrapError(f"{what} ended with {done.returncode}:\n{tail}")


def in_root(root, *command):
    """The command line that runs `command` in `root`; its processes end with it, its mounts are nobody else's."""
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", f"--mount-proc={root}/proc", "chroot", root, *command]


def _write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)


def _keyring(source, root):
    """The keyring for a source, from the root's point of view; copied there if it is this machine's own."""
    if source.signed_by in ("", ARCHIVE_KEYRING):
        return ARCHIVE_KEYRING
    inside = "/etc/apt/keyrings/test-machine-" + hashlib.sha256(source.signed_by.encode()).hexdigest()[:8]
    if source.signed_by.startswith("/"):
        inside += os.path.splitext(source.signed_by)[1]
        os.makedirs(root + "/etc/apt/keyrings", exist_ok=True)
        shutil.copy(source.signed_by, root + inside)
    else:
        inside += ".asc"
        _write(root + inside, source.signed_by)
    return inside


def _debootstrap(recipe, root, log):
    first = recipe.sources[0]
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates"]
    if first.signed_by.startswith("/"):
        command.append(f"--keyring={first.signed_by}")
    proxy = {f"{scheme}_proxy": apt_sources.apt_setting(f"Acquire::{scheme}::Proxy") for scheme in ("http", "https")}
    run([*command, recipe.suite, root, first.uri], log, BOOTSTRAP_DEADLINE, "debootstrap",
        {name: value for name, value in proxy.items() if value and value != "DIRECT"})


def _point_apt(recipe, root):
    """This machine's archives and ways to reach them, for the root's apt."""
    lines = [f"deb [signed-by={_keyring(s, root)}] {s.uri} {s.suite} {' '.join(s.components)}\n" for s in recipe.sources]
    _write(root + "/etc/apt/sources.list", "".join(lines))
    settings = [*apt_sources.acquire_settings(), 'Acquire::Languages "none";', 'APT::Install-Recommends "false";']
    ca_bundle = apt_sources.apt_setting("Acquire::https::CaInfo") or CA_BUNDLE
    if os.path.isfile(ca_bundle):
        shutil.copy(ca_bundle, root + ROOT_CA_BUNDLE)
        settings.append(f'Acquire::https::CaInfo "{ROOT_CA_BUNDLE}";')
    _write(f"{root}/{APT_SNIPPET}", "\n".join(settings) + "\n")
    if os.path.isfile("/etc/apt/auth.conf"):
        shutil.copy("/etc/apt/auth.conf", root + "/etc/apt/auth.conf")
    if os.path.isdir("/etc/apt/auth.conf.d"):
        shutil.copytree("/etc/apt/auth.conf.d", root + "/etc/apt/auth.conf.d", dirs_exist_ok=True)


def _forget_network(root):
    """A machine without a network has no archive: apt then does not try to fetch what is merely recommended."""
    for path in ("etc/apt/sources.list", "etc/apt/auth.conf", APT_SNIPPET, "etc/resolv.conf", ROOT_CA_BUNDLE.lstrip("/")):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{root}/{path}")
    for path in ("etc/apt/auth.conf.d", "etc/apt/keyrings", "var/lib/apt/lists", "var/cache/apt/archives"):
        shutil.rmtree(f"{root}/{path}", ignore_errors=True)
        os.makedirs(f"{root}/{path}")
    os.makedirs(f"{root}/var/lib/apt/lists/partial")
    os.makedirs(f"{root}/var/cache/apt/archives/partial")


@contextlib.contextmanager
def _unsynced(path):
    """A directory to make a tree in, which is at `path` afterwards. dpkg syncs each file, and a half tree is thrown away anyway:
    an overlay that does not sync takes a third of the time. Where there is none, `path` itself."""
    shutil.rmtree(path, ignore_errors=True)   # of a killed run; its lock is ours
    places = [os.path.join(path + "-parts", name) for name in ("lower", "work", "mounted")]
    for place in (path, *places):
        os.makedirs(place, exist_ok=True)
    lower, work, mounted = places
    try:
        namespaces.mount_overlay([lower], path, work, mounted, volatile=True)
    except OSError:
        yield path
    else:
        try:
            yield mounted
        finally:
            namespaces.unmount(mounted)
    finally:
        shutil.rmtree(path + "-parts", ignore_errors=True)
    os.sync()


def _make(recipe, path):
    with open(path + ".log", "w", encoding="utf-8") as log, _unsynced(f"{path}.new") as root:
        _fill(recipe, root, log)
    os.rename(f"{path}.new", path)


def _fill(recipe, root, log):
    _debootstrap(recipe, root, log)
    _point_apt(recipe, root)
    _write(f"{root}/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)   # nothing starts in a tree that is not booted
    _write(f"{root}/etc/dpkg/dpkg.cfg.d/test-machine", "force-unsafe-io\n")  # lost in a power cut, it is made again
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    os.makedirs(f"{root}{KEPT}/partial")
    for arguments in (["update"], ["-y", "dist-upgrade"], ["-y", "install", *recipe.packages],
                      *([["-y", "satisfy", recipe.satisfy]] if recipe.satisfy else []),
                      ["-y", "install", "--download-only", "-o", f"Dir::Cache::archives={KEPT}", *KEPT_PACKAGES]):
        run(in_root(root, "apt-get", "-q", *arguments), log, BOOTSTRAP_DEADLINE, f"apt-get {arguments[0]}", quiet)
    os.unlink(f"{root}/usr/sbin/policy-rc.d")
    _forget_network(root)
    _write(f"{root}/etc/machine-id", "")   # each machine gets its own
    _write(f"{root}/etc/hostname", "machine\n")
    _write(f"{root}/etc/hosts", "127.0.0.1 localhost machine\n::1 localhost\n")


def make_with_network(suite, path):
    """A minimal tree whose apt reaches the archives that this machine's does."""
    recipe = Recipe(suite, "plain")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".log", "w", encoding="utf-8") as log, _unsynced(f"{path}.new") as root:
        _debootstrap(recipe, root, log)
        _point_apt(recipe, root)
    os.rename(f"{path}.new", path)


def main():
    suite, path = sys.argv[1], os.path.abspath(sys.argv[2])
    try:
        namespaces.own_mounts()
        make_with_network(suite, path)
    except (BootstrapError, apt_sources.SourcesError, OSError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
