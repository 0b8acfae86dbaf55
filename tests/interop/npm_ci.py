#!/usr/bin/python3 -B
"""Installs what package-lock.json says into a build directory, unless it is there already.

    npm_ci.py DIRECTORY
"""

import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
COPIED = ("package.json", "package-lock.json", ".npmrc")
LOCK = "package-lock.json"
STAMP = "installed-lock.json"   # beside node_modules: the lock file that was installed, written last
OLDEST_NODE = 18
TIMEOUT = 270                   # seconds


class CannotInstall(Exception):
    """In words for whoever runs the tests."""


def read(*path):
    try:
        with open(os.path.join(*path), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def check_node():
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise CannotInstall(f"{program} is missing: the interop tests run oidc-provider, an npm package. script/test installs it; "
                                "by hand: apt-get install nodejs npm")
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    version = re.match(r"v(\d+)\.", told)
    if not version or int(version[1]) < OLDEST_NODE:
        raise CannotInstall(f"node is {told.strip() or 'broken'}, oidc-provider needs {OLDEST_NODE} or newer")


def install(directory):
    """Returns when `directory` has the node_modules of the lock file."""
    check_node()
    if read(directory, STAMP) == read(HERE, LOCK):
        return
    os.makedirs(directory, exist_ok=True)
    for name in COPIED:
        shutil.copy2(os.path.join(HERE, name), directory)
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--prefer-offline"], cwd=directory, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
    if done.returncode != 0:
        raise CannotInstall(f"npm ci in {directory} ended with {done.returncode}:\n{done.stdout}")
    shutil.copyfile(os.path.join(HERE, LOCK), os.path.join(directory, STAMP))


if __name__ == "__main__":
    try:
        install(sys.argv[1])
    except CannotInstall as failed:
        sys.exit(str(failed))
