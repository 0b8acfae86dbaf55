#!/usr/bin/python3 -B
"""The switches that tests break the daemon by are in the tests' program, all of them, and in no program that is shipped.

switches.py ROOT SWITCHED_PROGRAM SHIPPED_PROGRAM…
"""

import collections
import pathlib
import re
import sys

POINT = re.compile(r'CREDSYNC_FAIL_POINT\("([^"]*)"\)')
MACHINERY = ["CREDSYNC_FAIL_POINTS", "fail_point7reached"]   # the variable's name, and the mangled function


def points(sources):
    """{name: how often} of the fail points in these texts."""
    return collections.Counter(name for text in sources for name in POINT.findall(text))


def problems(found, switched, shipped):
    """found: of points(); switched: bytes of the tests' program; shipped: {name: bytes}."""
    if len(found) < 30:
        yield f"only {len(found)} fail points found: the check looks in the wrong place"
    for name, times in found.items():
        if times > 1:
            yield f"{name}: {times} places have this name"
        if not re.fullmatch(r"[a-z-]+\.[a-z-]+", name):
            yield f"{name}: not of the form room.moment"
        if name.encode() + b"\0" not in switched:
            yield f"{name}: not in the tests' program; its source is not listed as SWITCHED"
    for program, code in shipped.items():
        for name in [*found, *MACHINERY]:
            if name.encode() in code:
                yield f"{program} holds {name}"
    for name in MACHINERY:
        if name.encode() not in switched:
            yield f"the tests' program does not hold {name}: the check looks for the wrong thing"


def main():
    root, switched, *shipped = map(pathlib.Path, sys.argv[1:])
    sources = [p.read_text(encoding="utf-8") for top in ("base", "ipc", "daemon", "cli") for p in sorted((root / top).rglob("*.cc"))]
    found = points(sources)
    wrong = list(problems(found, switched.read_bytes(), {p.name: p.read_bytes() for p in shipped}))
    print("\n".join(wrong) or f"{len(found)} fail points, none of them in {', '.join(p.name for p in shipped)}")
    sys.exit(1 if wrong else 0)


# The check itself must be able to fail.
WHOLE = {f"room.moment-{chr(97 + i)}": 1 for i in range(26)} | {f"house.moment-{chr(97 + i)}": 1 for i in range(26)}
CODE = b"".join(name.encode() + b"\0" for name in [*WHOLE, *MACHINERY])
assert not list(problems(WHOLE, CODE, {"clean": b""}))
assert list(problems(WHOLE, CODE, {"dirty": b"room.moment-a"}))
assert list(problems(WHOLE, CODE, {"dirty": b"CREDSYNC_FAIL_POINTS"}))
assert list(problems(WHOLE, CODE[20:], {"clean": b""}))
assert points(['CREDSYNC_FAIL_POINT("a.b"); CREDSYNC_FAIL_POINT("a.b")']) == {"a.b": 2}

if __name__ == "__main__":
    main()
