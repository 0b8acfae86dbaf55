"""This machine's own apt sources, translated to another Debian release. Standard library only.

The project names no mirror: where this machine gets its Debian from, a test's machine gets it too.
"""

import glob
import os
import re
import shlex
import subprocess
from dataclasses import dataclass, field

ARCHIVE_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"   # of Debian itself, on every Debian machine
RELEASE_NAMES = ("stable", "oldstable", "testing")                   # names of this machine's release besides its codename
KINDS = ("", "-updates", "-security")                                # what a machine follows; no backports, no proposed updates


class SourcesError(RuntimeError):
    """This machine's sources do not say where Debian is."""


@dataclass
class Source:
    """One archive: a URI, one suite, its components; signed_by: a keyring's path, a key as text, or "" for apt's own."""

    uri: str
    suite: str
    components: list
    signed_by: str = ""
    options: dict = field(default_factory=dict)


def parse_one_line(text):
    """The `deb` lines of a sources.list(5) file."""
    found = []
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        match = re.fullmatch(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)", line)
        if not match:
            continue
        options = dict(option.split("=", 1) for option in shlex.split(match[1] or "") if "=" in option)
        found.append(Source(match[2], match[3], match[4].split(), options.get("signed-by", ""), options))
    return found


def stanzas(text):
    """The fields of each stanza of a deb822 file; a continued value keeps its lines."""
    current, last = {}, None
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if current:
                yield current
            current, last = {}, None
        elif line[0] in " \t":
            if last:
                current[last] += "\n" + line[1:]
        else:
            name, _, value = line.partition(":")
            last = name.strip().lower()
            current[last] = value.strip()


def parse_deb822(text):
    """The `deb` archives of a .sources file."""
    found = []
    for stanza in stanzas(text):
        if stanza.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in stanza.get("types", "").split():
            continue
        signed_by = stanza.get("signed-by", "")
        if "BEGIN PGP" in signed_by:   # the key itself; a line with a dot stands for an empty one
            signed_by = "\n".join("" if line.strip() == "." else line for line in signed_by.strip().splitlines()) + "\n"
        for uri in stanza.get("uris", "").split():
            for suite in stanza.get("suites", "").split():
                found.append(Source(uri, suite, stanza.get("components", "").split(), signed_by, stanza))
    return found


def apt_setting(name):
    """A setting of apt's configuration, "" if it has none; `Dir::…/f` and `/d` give paths."""
    answer = subprocess.run(["apt-config", "shell", "value", name], capture_output=True, text=True, check=True, timeout=30)
    words = shlex.split(answer.stdout)
    return words[0].partition("=")[2] if words else ""


def machine_sources():
    """All archives of this machine, in apt's order."""
    found = []
    parts = apt_setting("Dir::Etc::sourceparts/d") or "/etc/apt/sources.list.d"
    for path in [apt_setting("Dir::Etc::sourcelist/f") or "/etc/apt/sources.list",
                 *sorted(glob.glob(os.path.join(parts, "*.list")) + glob.glob(os.path.join(parts, "*.sources")))]:
        if not os.path.isfile(path):
            continue
        with open(path, encoding="utf-8", errors="replace") as text:
            found += (parse_deb822 if path.endswith(".sources") else parse_one_line)(text.read())
    return found


def machine_codename():
    """This machine's Debian release by name; "" on something else."""
    with open("/etc/os-release", encoding="utf-8") as text:
        facts = dict(line.rstrip().split("=", 1) for line in text if "=" in line)
    return facts.get("VERSION_CODENAME", "").strip('"') if facts.get("ID", "").strip('"') == "debian" else ""


def kind_of(suite, codename):
    """"", "-updates" or "-security" for what this machine's release follows; None for anything else."""
    for name in (codename, *RELEASE_NAMES):
        if name and suite.startswith(name) and suite[len(name):] in KINDS:
            return suite[len(name):]
        if name and suite == f"{name}/updates":   # as the security archive was called before Debian 11
            return "-security"
    return None


def is_debians(source):
    """Signed by Debian's own keys, or by whatever apt trusts anyway."""
    return source.signed_by in ("", ARCHIVE_KEYRING)


def sources_for(target, sources, codename):
    """`sources` of a machine that runs `codename`, as they are for release `target`: the plain suite first."""
    found, have = [], set()
    for source in sorted(sources, key=lambda source: not is_debians(source)):
        kind = kind_of(source.suite, codename)
        if kind is None or "main" not in source.components or not source.uri.startswith(("http:", "https:", "file:", "copy:")):
            continue
        if kind in have or (found and source.signed_by != found[0].signed_by and not is_debians(source)):
            continue
        have.add(kind)
        found.append(Source(source.uri, target + kind, ["main"], source.signed_by, source.options))
    found.sort(key=lambda source: KINDS.index(source.suite[len(target):]))
    if not found or found[0].suite != target:
        raise SourcesError("the apt sources of this machine name no archive of Debian itself (a suite of its release with main)")
    return found


def acquire_settings():
    """apt's settings for fetching, as lines of an apt.conf: proxies, retries, what is checked."""
    wanted = ("Acquire::http", "Acquire::https", "Acquire::ftp", "Acquire::Check-", "Acquire::Max-", "Acquire::Retries",
              "Acquire::Force", "Acquire::Proxy")
    dump = subprocess.run(["apt-config", "dump", "--format", "%F %v%n"], capture_output=True, text=True, check=True, timeout=30)
    lines = []
    for line in dump.stdout.splitlines():
        name, _, value = line.partition(" ")
        # A program that finds a proxy, and certificates, are files of this machine: the former is asked here, the latter copied.
        if name.startswith(wanted) and value and not re.search(r"(?i)auto-?detect|::(Ca|Ssl)(Info|Path|Cert|Key)$", name):
            lines.append(f'{name} "{value}";')
    return lines
