#!/usr/bin/python3 -B
"""Holds base/mutation.h, its names and its uses together, and sees that no program that is shipped has any of it.

mutations.py ROOT SWITCHED_PROGRAM SHIPPED_PROGRAM…
"""

import pathlib
import re
import sys

MACHINERY = ["CREDSYNC_MUTATION\0", "with_mutations"]  # the variable's name, and part of the mangled function


def is_switched(path):
    """Whether the nearest CMakeLists.txt above it lists it as SWITCHED."""
    folder = next(p for p in path.parents if (p / "CMakeLists.txt").exists())
    listed = re.findall(r"SWITCHED([^)]*?)(?:USES|\))", (folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    return str(path.relative_to(folder)) in "".join(listed).split()


def problems(root, switched, shipped):
    def read(path):
        return (root / path).read_text(encoding="utf-8")

    declared = set(re.findall(r"^  (k\w+),", read("base/mutation.h"), re.MULTILINE)) - {"kNone"}
    if len(declared) < 20:
        yield f"only {len(declared)} mutations found in base/mutation.h: the check reads it wrongly"
    named = dict(re.findall(r"\{Mutation::(k\w+), \"([a-z-]+)\"", read("tests/fakes/mutation.cc")))
    used = set()
    for top in ("base", "ipc", "daemon", "cli"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".cc", ".h") or path.name == "mutation.h":
                continue
            found = re.findall(r"mutated\(\s*Mutation::(k\w+)", path.read_text(encoding="utf-8"))
            used.update(found)
            if found and path.suffix == ".h":
                yield f"{path}: a header must not ask mutated(): it would differ from one program to the next"
            if found and not is_switched(path):
                yield f"{path} asks mutated() and is not listed as SWITCHED"
    yield from (f"Mutation::{m} has no name in tests/fakes/mutation.cc" for m in sorted(declared - set(named)))
    yield from (f"Mutation::{m} is used nowhere" for m in sorted(declared - used))
    for name in [*named.values(), *MACHINERY]:
        if name.encode() not in switched:
            yield f"the tests' program does not hold {name}: the check looks for the wrong thing"
    for program, code in shipped.items():
        for name in MACHINERY:
            if name.encode() in code:
                yield f"{program} holds {name}"


def main():
    root, switched, *shipped = map(pathlib.Path, sys.argv[1:])
    found = list(problems(root, switched.read_bytes(), {p.name: p.read_bytes() for p in shipped}))
    print("\n".join(found) or "mutations, names, uses and files agree; nothing of it is shipped")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
