"""The Debian packages of the tree under test: built once a run, and variants of them for upgrades."""

import glob
import os
import re
import shutil
import subprocess

import debian_root

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
BUILD_DEADLINE = 3000.0    # seconds; nothing compiled before, with the unit tests, on two busy cores
TREE = "/root/credsyncd"       # in a root that builds them: one place, so that ccache knows each other's objects
CCACHE = "/var/cache/ccache"   # in a root; one directory for each release, on this machine's disk


class PackageError(RuntimeError):
    """The packages could not be built."""


def debs(directory):
    """The packages in a directory, by name: {"credsyncd": path}."""
    found = {}
    for path in sorted(glob.glob(os.path.join(directory, "*.deb"))):
        name = os.path.basename(path).split("_")[0]
        if not name.endswith("-dbgsym"):
            found[name] = path
    return found


def build():
    """Builds them by script/package, for the release that this machine runs; debs() of them.

    CREDSYNC_LONG: exactly as Debian builds them; else with the objects of the release preset, which ccache has from the build
    before: the tests of each day are of what dpkg does with them, not of compiler options.
    """
    command = [os.path.join(REPOSITORY, "script", "package"), *([] if os.environ.get("CREDSYNC_LONG") else ["--quick"])]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=BUILD_DEADLINE, check=False)
    if done.returncode != 0:
        raise PackageError(f"script/package ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-6000:]}")
    return debs(os.path.join(REPOSITORY, "build", "packages"))


def copy_tree(target):
    """The tree under test, without what was built in it."""
    os.makedirs(target, exist_ok=True)
    pack = subprocess.Popen(["tar", "-C", REPOSITORY, "--exclude=./build", "--exclude=./.git", "--exclude=__pycache__",
                             "--exclude=node_modules", "--owner=0", "--group=0", "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-C", target, "-x", "--no-same-owner"], stdin=pack.stdout, check=True, timeout=120)
    pack.stdout.close()
    if pack.wait(30) != 0:
        raise PackageError("the tree could not be copied")


def ccache_directory(suite):
    """Where objects for another release are kept from run to run."""
    path = os.path.join(debian_root.ROOTS, f"ccache-{suite}")
    os.makedirs(path, exist_ok=True)
    return path


def field(path, name):
    """A field of a package's control file; "" if it has none."""
    return subprocess.run(["dpkg-deb", "-f", path, name], capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def dependencies(packages):
    """What packages need of others, as apt-get satisfy takes it."""
    wanted = []
    for path in packages.values():
        for text in (field(path, "Pre-Depends"), field(path, "Depends")):
            wanted += [" ".join(one.split()) for one in text.split(",") if one.strip()]
    return ", ".join(sorted({one for one in wanted if one.split()[0] not in packages}))


def build_dependencies():
    """Build-Depends of debian/control, tests included, as apt-get satisfy takes it."""
    with open(os.path.join(REPOSITORY, "debian", "control"), encoding="utf-8") as control:
        text = re.search(r"^Build-Depends:(.*(?:\n[ \t].*)*)", control.read(), re.M)[1]
    return " ".join(re.sub(r"\s<!?[a-z. ]+>", "", text).split()).strip(", ")


def build_tools():
    """The Debian packages that script/package wants to be there, and what building needs besides."""
    script = f". {REPOSITORY}/script/lib.sh; echo ${{build_packages[@]}} ${{package_packages[@]}}"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=30).stdout
    return (*told.split(), "build-essential", "adduser")


def with_version(packages, version, directory, change=None):
    """The same packages under another version. change(name, tree): edits an unpacked one first."""
    os.makedirs(directory, exist_ok=True)
    for name, path in packages.items():
        tree = os.path.join(directory, name + ".tree")
        shutil.rmtree(tree, ignore_errors=True)
        subprocess.run(["dpkg-deb", "--raw-extract", path, tree], check=True, timeout=60)
        control = os.path.join(tree, "DEBIAN", "control")
        with open(control, encoding="utf-8") as text:
            changed = text.read().replace(field(path, "Version"), version)
        with open(control, "w", encoding="utf-8") as out:
            out.write(changed)
        if change:
            change(name, tree)
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", "-Zgzip", "-z1", tree,
                        os.path.join(directory, f"{name}_{version}_{field(path, 'Architecture')}.deb")],
                       check=True, stdout=subprocess.DEVNULL, timeout=120)
        shutil.rmtree(tree)
    return debs(directory)


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
