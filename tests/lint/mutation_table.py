#!/usr/bin/python3 -B
"""tests/mutations/table.py names every invariant of docs/architecture.md, every fault of base/mutation.h once, and only tests
that exist; docs/reliability.md shows it as it is.  --write puts it into the page. That the tests notice is seen by running:
tests/mutations/run.py, simulation_switched --mutations."""

import pathlib
import re
import sys

ROOT = pathlib.Path(next((a for a in sys.argv[1:] if not a.startswith("-")), pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "tests" / "mutations"))

import table  # noqa: E402

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- mutations: begin (written by tests/lint/mutation_table.py --write) -->", "<!-- mutations: end -->"


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def invariants(architecture):
    part = architecture.split("## Invariants and where they are upheld", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| (?!invariant )([^|-][^|]*?) \|", part, re.MULTILINE)


def names(source):
    """{fault: whether the simulation tries it}"""
    named = dict(re.findall(r"\{Mutation::(k\w+), \"([a-z-]+)\"", source))
    elsewhere = set(re.findall(r"case Mutation::(k\w+):", source))
    return {name: constant not in elsewhere for constant, name in named.items()}


def existing():
    """All tests by the names that table.py gives them."""
    found = {table.SIMULATION}
    for listing in (ROOT / "tests" / "unit").rglob("CMakeLists.txt"):
        for program, sources in re.findall(r"credsync_test\((\w+)\s+SOURCES([^)]*?)USES", listing.read_text(encoding="utf-8")):
            for source in (s for s in sources.split() if s.endswith(".cc") and (listing.parent / s).exists()):
                tests = re.findall(r"^TEST(?:_F)?\((\w+), (\w+)\)", (listing.parent / source).read_text(encoding="utf-8"), re.MULTILINE)
                found |= {f"{program} {suite}.{name}" for suite, name in tests}
    for path in (ROOT / "tests" / "integration").glob("test_*.py"):
        suite = ""
        for kind, name in re.findall(r"^(class |    def )(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            suite = name if kind == "class " else suite
            if kind != "class " and name.startswith("test_"):
                found.add(f"{path.stem} {suite}.{name}")
    return found


def shown(test):
    return test if test == table.SIMULATION else "`" + test.replace(" ", ": ") + "`"


def lines():
    out = ["| invariant | fault | what it does | noticed by |", "|---|---|---|---|"]
    for name, rows in table.GROUPS:
        for i, row in enumerate(rows):
            out.append(f"| {name if i == 0 else ''} | `{row.mutation}` | {row.breaks} | {', '.join(map(shown, row.tests))} |")
    return out


def problems(groups, known, wanted, tests):
    """What is wrong with the table itself."""
    if [name for name, _ in groups[:-1]] != wanted:
        yield f"invariants: docs/architecture.md has {wanted}, the table {[name for name, _ in groups[:-1]]}"
    rows = [row for _, group in groups for row in group]
    seen = [row.mutation for row in rows]
    yield from (f"{name} is not in the table" for name in sorted(set(known) - set(seen)))
    yield from (f"{name}: no such fault, or there twice" for name in sorted(set(seen)) if name not in known or seen.count(name) != 1)
    yield from (f"{name}: nothing breaks it" for name, group in groups if not group)
    for row in rows:
        yield from (f"{row.mutation}: there is no test {test}" for test in row.tests if test not in tests)
        if not row.tests:
            yield f"{row.mutation}: nothing notices it"
        if (table.SIMULATION in row.tests) != known.get(row.mutation, False):
            yield f"{row.mutation}: the simulation {'tries it' if known.get(row.mutation) else 'does not try it'}"


def main():
    known, wanted, tests = names(read("tests/fakes/mutation.cc")), invariants(read("docs/architecture.md")), existing()
    page = PAGE.read_text(encoding="utf-8").splitlines()
    if "--write" in sys.argv:
        page[page.index(BEGIN) + 1:page.index(END)] = lines()
        PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")
    # The check itself must be able to fail.
    assert len(wanted) == 12 and len(known) > 30 and len(tests) > 900
    assert list(problems(table.GROUPS[1:], known, wanted, tests)) and list(problems(table.GROUPS, known, wanted[1:], tests))
    assert list(problems(table.GROUPS, {**known, "new-one": False}, wanted, tests))
    assert list(problems(table.GROUPS, known, wanted, tests - {table.ROWS[0].tests[1]}))
    found = list(problems(table.GROUPS, known, wanted, tests))
    if BEGIN not in page or page[page.index(BEGIN) + 1:page.index(END)] != lines():
        found.append("docs/reliability.md does not show the table as it is: run tests/lint/mutation_table.py --write")
    print("\n".join(found) or f"{len(table.ROWS)} faults, {len(wanted)} invariants, each noticed by a test that exists")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
