"""Searches the memory of a process for secrets. Only root may, for the daemon is not dumpable."""

import re
import time

HALF = 12   # bytes; freed memory loses its first bytes to the allocator, and half a token is a token too many


def writable_regions(pid):
    """[(first address, end, what it is)] of all that the process may write, and so all that it can have put a secret into."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="ascii", errors="replace") as maps:
        for line in maps:
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)", line)
            first, end, mode, name = int(match[1], 16), int(match[2], 16), match[3], match[4]
            if mode.startswith("rw") and name not in ("[vvar]", "[vdso]"):
                found.append((first, end, name or "anonymous"))
    return found


def pieces(secret):
    """What tells that a copy, or a good part of one, is there: pieces before its middle and at its end. How it begins is no
    secret: all tokens of a kind begin alike."""
    raw = secret.encode() if isinstance(secret, str) else secret
    if len(raw) < 2 * HALF:
        return [raw]
    return [raw[len(raw) // 2 - HALF:][:HALF], raw[-HALF:]]


def copies(pid, secrets):
    """{name: [(region, address, what lies around it)]} of all copies. secrets: {name: text}."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for first, end, region in writable_regions(pid):
            try:
                memory.seek(first)
                data = memory.read(end - first)
            except OSError:   # given back meanwhile, or a guard
                continue
            for name, secret in secrets.items():
                for piece in pieces(secret):
                    at = data.find(piece)
                    while at >= 0:
                        around = bytes(c if 32 <= c < 127 else 46 for c in data[max(0, at - 80):at + 80])
                        found.setdefault(name, []).append((region, hex(first + at), around.decode()))
                        at = data.find(piece, at + 1)
    return found


def copies_that_stay(pid, secrets, patience=15.0):
    """The same once nothing is found, or after `patience` seconds: a worker may be in the middle of wiping."""
    deadline = time.monotonic() + patience
    while (found := copies(pid, secrets)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found
