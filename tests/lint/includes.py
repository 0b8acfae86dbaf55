#!/usr/bin/python3 -B
"""Holds the includes to the directions of docs/architecture.md: who may name whom, and which folder owns which library."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2])

# A file below the first may include headers below the others; the longest first entry that fits a file counts.
ALLOWED = {
    "base": ["base"],
    "ipc": ["ipc", "base"],
    "cli": ["cli", "ipc/names.h", "base"],
    "daemon/provider": ["daemon/provider", "base"],
    "daemon/account": ["daemon/account", "daemon/config/config.h", "base"],
    "daemon/config": ["daemon/config", "daemon/provider", "base"],
    "daemon/oauth": ["daemon/oauth", "daemon/provider", "daemon/config", "daemon/account", "base"],
    "daemon/store": ["daemon/store", "daemon/account/tokens.h", "daemon/account/standing.h", "base"],
    "daemon/retire": ["daemon/retire", "daemon/account", "daemon/config", "daemon/oauth", "daemon/provider",
                      "daemon/store/records.h", "daemon/store/token_store.h", "base"],
    "daemon/refresh": ["daemon/refresh", "daemon/retire", "daemon/account", "daemon/config", "daemon/oauth",
                       "daemon/provider", "daemon/store/records.h", "daemon/store/token_store.h", "base"],
    # The listener that a browser comes back to reads requests with the parser of the front door.
    "daemon/login": ["daemon/login", "daemon/refresh", "daemon/retire", "daemon/account", "daemon/config",
                     "daemon/oauth", "daemon/provider", "daemon/store/records.h", "daemon/store/token_store.h",
                     "ipc/names.h", "ipc/service.h", "ipc/http/request_reader.h", "ipc/http/wiped_buffer.h", "base"],
    "daemon/handout": ["daemon/handout", "daemon/login", "daemon/refresh", "daemon/retire", "daemon/account",
                       "daemon/config", "daemon/provider", "daemon/store/token_store.h", "ipc/service.h", "ipc/process.h", "base"],
    "daemon/lifecycle": ["daemon/lifecycle", "daemon/account", "daemon/store/records.h", "daemon/store/token_store.h", "base"],
    "daemon": ["daemon", "ipc", "base"],
}

# Libraries that one folder owns.
OWNED = {
    r"Poco/Net/": "daemon/oauth",
    r"Poco/JSON/": "daemon/oauth",
    r"Poco/Util/": "daemon",
    r"sqlite3\.h": "daemon/store",
    r"sodium": ("daemon/store", "daemon/config"),
    r"sdbus-c\+\+/": "ipc/dbus",
    r"boost/beast": "ipc/http",
    r"toml\+\+/": "daemon/config",
    r"spdlog/": "base",
    r"nlohmann/": "cli",
    r"qrencode\.h": "cli",
    r"CLI/": "cli",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def folder_rule(path):
    fits = [folder for folder in ALLOWED if path.startswith(folder + "/")]
    return max(fits, key=len) if fits else None


def problems_of(path, text):
    rule = folder_rule(path)
    for kind, target in INCLUDE.findall(text):
        if kind == '"' and not any(target == a or target.startswith(a + "/") for a in ALLOWED[rule]):
            yield f"{path}: {rule} may not include {target}"
        for pattern, owner in OWNED.items():
            owners = owner if isinstance(owner, tuple) else (owner,)
            if kind == "<" and re.match(pattern, target) and not any(path.startswith(o + "/") for o in owners):
                yield f"{path}: <{target}> belongs to {' and '.join(owners)}"


def main():
    files = [p for top in ("base", "ipc", "cli", "daemon") for p in sorted((ROOT / top).rglob("*"))
             if p.suffix in (".cc", ".h")]
    if len(files) < 50:
        sys.exit(f"only {len(files)} files found below {ROOT}: the check looks in the wrong place")
    found = [problem for p in files for problem in problems_of(str(p.relative_to(ROOT)), p.read_text(encoding="utf-8"))]
    print("\n".join(found) or f"{len(files)} files keep the directions")
    sys.exit(1 if found else 0)


# The check itself must be able to fail.
assert list(problems_of("base/x.cc", '#include "daemon/daemon.h"\n'))
assert list(problems_of("daemon/refresh/x.cc", "#include <sqlite3.h>\n"))
assert list(problems_of("cli/x.cc", "#include <Poco/Net/Socket.h>\n"))
assert not list(problems_of("daemon/oauth/x.cc", '#include <Poco/Net/Socket.h>\n#include "base/text.h"\n'))

if __name__ == "__main__":
    main()
