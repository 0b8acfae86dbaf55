#!/usr/bin/python3 -B
"""Start and memory with many accounts, as ratios within one run.

    start_bench.py [--accounts 10000]        (CREDSYNCD and CREDSYNC name the binaries)

Fetches a token for each account once, restarts the daemon, and measures: start to ready, resident memory against the same
daemon with one account, and how often it wakes up in ten idle seconds.
"""

import argparse
import json
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "integration"), str(HERE.parent / "practice_provider")]

from control import PracticeProvider  # noqa: E402
from harness import Daemon, wait_for  # noqa: E402

IDLE_SECONDS = 10
ACCOUNTS_PER_FILE = 4000


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def switches(pid):
    """Voluntary context switches of all threads: each is a wake-up that ended."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="ascii") as status:
            total += next(int(line.split()[1]) for line in status if line.startswith("voluntary"))
    return total


def write_accounts(daemon, count):
    """Few files: what is measured is the daemon, not the folder. A file may have 1 MiB."""
    for first in range(0, count, ACCOUNTS_PER_FILE):
        daemon.write(f"accounts.d/bench-{first}.toml", accounts_file(range(first, min(first + ACCOUNTS_PER_FILE, count))))


def accounts_file(numbers):
    lines = []
    for number in numbers:
        lines += [f"[account.bench-{number}]", 'provider = "bench"', 'grant = "client_credentials"',
                  'client_id = "demo-client"', 'client_secret = { file = "client.secret" }']
    return "\n".join(lines) + "\n"


def measure(provider, count):
    daemon = Daemon(log_level="warning")
    try:
        daemon.configure(provider)
        daemon.profile("bench", provider.base_url, "rfc/bench")
        write_accounts(daemon, count)
        began = time.monotonic()
        daemon.start()
        api = daemon.api()
        all_usable = lambda: all(a["usable"] for a in api("GET", "/v1/accounts").json["accounts"])  # noqa: E731
        wait_for(all_usable, 600, f"{count} tokens")
        fetched = time.monotonic() - began
        api.close()
        daemon.stop()
        began = time.monotonic()
        daemon.start()
        ready = time.monotonic() - began
        pid = daemon.process.pid
        api = daemon.api()
        api.token("bench-0")
        api.close()
        memory = resident_kib(pid)
        before = switches(pid)
        time.sleep(IDLE_SECONDS)   # the measurement itself: nothing is waited for
        return {"accounts": count, "first tokens s": round(fetched, 2), "start to ready s": round(ready, 3),
                "resident KiB": memory, f"wake-ups in {IDLE_SECONDS} idle s": switches(pid) - before}
    finally:
        daemon.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=10000)
    count = parser.parse_args().accounts
    with PracticeProvider(lifetime=86400) as provider:
        one, many = measure(provider, 1), measure(provider, count)
    for row in (one, many):
        print(json.dumps(row))
    print(f"memory an account: {(many['resident KiB'] - one['resident KiB']) / (count - 1):.2f} KiB; "
          f"start: {many['start to ready s'] / one['start to ready s']:.1f} x that with one account")


if __name__ == "__main__":
    main()
