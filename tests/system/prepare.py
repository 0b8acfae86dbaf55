#!/usr/bin/python3 -B
"""What all tests of one Debian release share: the packages, a root, and a layer over it in which they are installed.

    prepare.py SUITE DIRECTORY
    prepare.py SUITE --root         only the root that packages are built in, which test_readme.py stands on

Writes DIRECTORY/ready last. Ends with 0 when that is there or this machine cannot boot others (in one line that begins
`SKIPPED:`), with 1 if something failed that should work.
"""

import json
import os
import shutil
import subprocess
import sys

import apt_sources
import debian_root
import machine
import namespaces
import package

NEEDED = {"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "nsenter": "util-linux", "setpriv": "util-linux"}


class Unable(Exception):
    """This machine cannot boot others, in words."""


def check_able():
    """Raises Unable. Mounts and network are this process's own afterwards."""
    if os.geteuid() != 0:
        raise Unable("booting machines needs root")
    for program, name in NEEDED.items():
        if not shutil.which(program):
            raise Unable(f"{program} is missing (package {name})")
    try:
        namespaces.own_mounts()
    except OSError as error:
        raise Unable(f"no mounts of one's own here: {error}") from error


def try_boot(root):
    """Raises Unable if a machine without anything of ours does not boot here. The network is this process's own afterwards."""
    try:
        namespaces.own_network()
        plain = machine.Machine("plain", [root])
    except OSError as error:
        raise Unable(f"no network or overlay of one's own here: {error}") from error
    try:
        plain.boot().close()
    except machine.MachineError as error:
        raise Unable(f"a plain Debian does not boot here: {error}") from error
    finally:
        plain.kill()


def install(root, debs, target):
    """Boots a machine, installs the packages as an admin does, and keeps what changed in `target`."""
    making = target + ".new"
    shutil.rmtree(making, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    with_packages = machine.Machine("install", [root], upper=making)
    try:
        with_packages.boot()
        names = []
        for path in debs.values():
            names.append("/root/" + os.path.basename(path))
            with_packages.copy_in(path, names[-1])
        with_packages.run("apt-get", "install", "-y", *names, deadline=300)
        with_packages.run("rm", *names)
        with_packages.power_off()
        with_packages.write("/etc/machine-id", "")   # each machine that stands on it gets its own
        shutil.rmtree(with_packages.path("/var/log/journal"), ignore_errors=True)
    finally:
        with_packages.kill()
    os.rename(making, target)


def build_root(suite):
    """A root with all that building the packages needs."""
    return debian_root.obtain(debian_root.Recipe(suite, "build", package.build_tools(), package.build_dependencies()), tell)


def build_elsewhere(suite, directory):
    """Builds the packages in a root of that release; debs() of them. Their unit tests run in test_readme.py."""
    root = build_root(suite)
    held = debian_root.hold(root)
    mounted, upper, work = (os.path.join(directory, name) for name in ("build", "build.upper", "build.work"))
    for path in (mounted, upper, work):
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
    namespaces.mount_overlay([root], upper, work, mounted, volatile=True)
    try:
        package.copy_tree(mounted + package.TREE)
        os.makedirs(f"{mounted}{package.CCACHE}")
        namespaces.bind(package.ccache_directory(suite), f"{mounted}{package.CCACHE}")
        with open(os.path.join(directory, "build.log"), "w", encoding="utf-8") as log:
            debian_root.run(debian_root.in_root(mounted, "env", f"CCACHE_DIR={package.CCACHE}", f"{package.TREE}/script/package"), log,
                            package.BUILD_DEADLINE, f"building the packages on Debian {suite}")
        shutil.copytree(f"{mounted}{package.TREE}/build/packages", os.path.join(directory, "packages"), dirs_exist_ok=True)
        namespaces.unmount(f"{mounted}{package.CCACHE}")
    finally:
        os.close(held)
    namespaces.unmount(mounted)
    return package.debs(os.path.join(directory, "packages"))


def prepare(suite, directory):
    machine.remove_leftovers()
    check_able()
    debs = package.build() if suite == apt_sources.machine_codename() else build_elsewhere(suite, directory)
    root = debian_root.obtain(debian_root.Recipe(suite, "run", satisfy=package.dependencies(debs)), tell)
    held = debian_root.hold(root)
    try_boot(root)
    install(root, debs, os.path.join(directory, "installed"))
    with open(os.path.join(directory, "ready.new"), "w", encoding="utf-8") as out:
        json.dump({"suite": suite, "root": root, "debs": debs}, out)
    os.rename(os.path.join(directory, "ready.new"), os.path.join(directory, "ready"))
    os.close(held)


def tell(text):
    print(text, flush=True)


def make_build_root(suite):
    try:
        check_able()
        build_root(suite)
    except Unable as reason:
        tell(f"SKIPPED: no root of Debian {suite}: {reason}")
    except (debian_root.BootstrapError, apt_sources.SourcesError, subprocess.SubprocessError) as error:
        tell(f"FAILED: {error}")
        return 1
    return 0


def main():
    machine.end_on_sigterm()
    suite = sys.argv[1]
    if sys.argv[2] == "--root":
        return make_build_root(suite)
    directory = os.path.abspath(sys.argv[2])
    os.makedirs(directory, exist_ok=True)
    for name in ("ready", "skipped"):
        if os.path.exists(os.path.join(directory, name)):
            os.unlink(os.path.join(directory, name))
    try:
        prepare(suite, directory)
    except Unable as reason:
        tell(f"SKIPPED: no test on booted machines of Debian {suite}: {reason}")
        with open(os.path.join(directory, "skipped"), "w", encoding="utf-8") as out:
            out.write(str(reason))
    except (package.PackageError, debian_root.BootstrapError, machine.MachineError, machine.Failed, apt_sources.SourcesError,
            subprocess.SubprocessError) as error:
        tell(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
