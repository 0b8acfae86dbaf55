#!/usr/bin/python3 -B
"""The tables of failures in docs/operations.md are those of tests/integration/failures.py, row by row. What that file says is
compared with the real daemon by tests/integration/test_sick_providers.py, so that a word that changes in one of the three
fails a test.  --write puts the tables into the page."""

import pathlib
import sys

ROOT = pathlib.Path(next((a for a in sys.argv[1:] if not a.startswith("-")), pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(ROOT / "tests" / "integration"))

import failures  # noqa: E402

PAGE = ROOT / "docs" / "operations.md"
BEGIN, END = "<!-- failures: begin (written by tests/lint/operations.py --write) -->", "<!-- failures: end -->"
HEAD = ["| what happens | state | class | words | record | next step |", "|---|---|---|---|---|---|"]


def row(failure):
    words = failure.words.replace("{host}", "HOST").replace("|", "\\|")
    text, command = failure.next_step
    return (f"| {failure.what} | {failure.state} | {failure.error_class} | {words} | {failure.journal} | {text}: "
            f"`{command.format(name='ACCOUNT')}` |")


def tables():
    lines = []
    for title, group in failures.GROUPS:
        lines += [f"### {title}", "", *HEAD, *(row(failure) for failure in group), ""]
    return lines


def problems(page):
    """Where the page differs, a line each."""
    if BEGIN not in page or END not in page:
        yield f"{PAGE.name}: the marks of the tables are missing"
        return
    found = page[page.index(BEGIN) + 1:page.index(END)]
    wanted = tables()
    for i in range(max(len(found), len(wanted))):
        mine = found[i] if i < len(found) else "(nothing)"
        theirs = wanted[i] if i < len(wanted) else "(nothing)"
        if mine != theirs:
            yield f"{PAGE.name}: has   {mine}\n   failures.py says {theirs}"


def main():
    page = PAGE.read_text(encoding="utf-8").splitlines()
    if "--write" in sys.argv:
        page[page.index(BEGIN) + 1:page.index(END)] = tables()
        PAGE.write_text("\n".join(page) + "\n", encoding="utf-8")
    # The check itself must be able to fail.
    sample = [BEGIN, *tables(), END]
    assert not list(problems(sample))
    for i, line in enumerate(sample):
        changed = list(sample)
        changed[i] = line.replace("retrying", "ok").replace("sign in", "wait") if line.startswith("|") else line
        assert changed == sample or list(problems(changed)), line
    assert list(problems(sample[:-3] + [END])) and list(problems([]))
    found = list(problems(page))
    print("\n".join(found) or f"{len(failures.ALL)} failures are told as they are")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
