#!/usr/bin/python3 -B
"""The ids of log records: base/message_ids.h, the table of credsyncd(8) and the journal's catalogue name the same ones, each
record is written somewhere, and the catalogue explains each with fields that the record has."""

import pathlib
import re
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2])


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def of_header(text):
    """{name: (constant, id)}"""
    return {name: (constant, number) for constant, name, number in
            re.findall(r'inline constexpr Named (k\w+)\{"([a-z-]+)",\s*"([0-9a-f]{32})"\};', text)}


def of_manual(text):
    return dict(re.findall(r"^\.It ([a-z-]+) Ta ([0-9a-f]{32})$", text, re.MULTILINE))


def of_catalogue(text):
    """{id: entry}; an entry has its header lines, an empty line, and words."""
    parts = re.split(r"^-- ([0-9a-f]{32})$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def problems(header, manual, catalogue, sources):
    named = of_header(header)
    if len(named) < 10:
        yield "base/message_ids.h: too few ids were found; the check looks in the wrong place"
    ids = [number for _, number in named.values()]
    if len(set(ids)) != len(ids):
        yield "base/message_ids.h: an id is used twice"
    if of_manual(manual) != {name: number for name, (_, number) in named.items()}:
        yield "docs/man/credsyncd.8: the table of messages is not that of base/message_ids.h"
    explained = of_catalogue(catalogue)
    if set(explained) != set(ids):
        yield "systemd/credsyncd.catalog: its ids are not those of base/message_ids.h"
    for name, (constant, number) in named.items():
        entry = explained.get(number, "")
        if not re.match(r"\nSubject: .+\nDefined-By: credsyncd\n(?:.+: .+\n)*\n\S", entry):
            yield f"systemd/credsyncd.catalog: the entry of {name} has no subject or no words"
        if not re.search(rf"\b{constant}\b", sources):
            yield f"base/message_ids.h: nobody writes {name}"
        for field in re.findall(r"@([A-Z_]+)@", entry):
            if f'"{field}"' not in sources:
                yield f"systemd/credsyncd.catalog: {name} shows {field}, which no record has"


def without_id(name, text):
    """What an admin must act on can be looked for, and is explained."""
    if re.search(r"\blog::error\(|Level::kError,\s*\{\}", text):
        yield f"{name}: a record of the level error has no message id"


def main():
    sources = "".join(p.read_text(encoding="utf-8") for top in ("base", "daemon", "ipc") for p in sorted((ROOT / top).rglob("*"))
                      if p.suffix in (".cc", ".h") and p.name != "message_ids.h")
    texts = [read("base/message_ids.h"), read("docs/man/credsyncd.8"), read("systemd/credsyncd.catalog")]
    # The check itself must be able to fail.
    for i, text in enumerate(texts):
        broken = list(texts)
        broken[i] = text.replace(next(iter(of_header(texts[0]).values()))[1], "1" * 32)
        assert list(problems(*broken, sources)), i
    assert list(problems(*texts, sources.replace("kAudit", "")))
    assert list(without_id("x", 'log::error("x");')) and not list(without_id("x", 'log::warning("x");'))
    found = list(problems(*texts, sources))
    for path in (p for top in ("base", "daemon", "ipc") for p in sorted((ROOT / top).rglob("*.cc"))):
        found += without_id(path.relative_to(ROOT), path.read_text(encoding="utf-8"))
    print("\n".join(found) or f"{len(of_header(texts[0]))} message ids agree")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
