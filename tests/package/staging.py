"""What `cmake --install` puts below DESTDIR, once for all tests of a program."""

import atexit
import os
import shutil
import subprocess
import tempfile

SOURCE = os.environ["CREDSYNC_SOURCE"]
BUILD = os.environ["CREDSYNC_BUILD"]
_staged = None


def staged():
    global _staged
    if _staged is None:
        _staged = tempfile.mkdtemp(prefix="credsync-staged-")
        atexit.register(shutil.rmtree, _staged)
        subprocess.run(["cmake", "--install", BUILD], env={**os.environ, "DESTDIR": _staged}, check=True,
                       stdout=subprocess.DEVNULL)
    return _staged


def cache(name):
    """A variable of the build's CMake cache."""
    with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return line.split("=", 1)[1].rstrip("\n")
    raise KeyError(name)


def place(path):
    """A path relative to the prefix, as installed; without DESTDIR."""
    return os.path.normpath(os.path.join(cache("CMAKE_INSTALL_PREFIX"), path))


def there(path):
    """The same, below DESTDIR."""
    return staged() + place(path)


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def unit(path):
    """{section: {key: [values]}} of a unit; an empty value takes back those before it."""
    sections, section = {}, None
    for line in read(path).splitlines():
        line = line.strip()
        if not line or line[0] in "#;":
            continue
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
            continue
        key, value = line.split("=", 1)
        section.setdefault(key, []).append(value)
    return sections
