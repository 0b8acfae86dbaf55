#!/usr/bin/python3 -B
"""Breaks each invariant on purpose and sees that the tests which table.py names notice: they pass without the fault, and fail
with it.

run.py FOLDER_OF_TESTS [--integration] [MUTATION…]     the build's tests/unit; with the daemon in integration tests, too
"""

import os
import pathlib
import subprocess
import sys

import table

HERE = pathlib.Path(__file__).resolve().parent
TIMEOUT = 120                # seconds: some faults make a test wait for what never comes, or for ever
INTEGRATION_TIMEOUT = 900
ROUNDS = "40"                # of kills, where a test has them: each hits several accounts


def unit_command(units, test):
    program, name = test.split(" ")
    found = [p for p in units.rglob(program) if p.is_file() and os.access(p, os.X_OK)]
    if len(found) != 1:
        sys.exit(f"{program}: {len(found)} programs of that name below {units}")
    return [str(found[0]), f"--gtest_filter={name}", "--gtest_brief=1"]


def run(units, test, mutation):
    """Whether it passed. A test that was not there has not."""
    environment = {**os.environ, "CREDSYNC_MUTATION": mutation}
    try:
        if table.kind(test) == "unit":
            done = subprocess.run(unit_command(units, test), env=environment, capture_output=True, text=True, errors="replace",
                                  timeout=TIMEOUT, check=False)
            return done.returncode == 0 and "[  PASSED  ] 1 test." in done.stdout
        environment.update(CREDSYNCD=os.environ["CREDSYNCD_SWITCHED"], CREDSYNC_ROUNDS=ROUNDS)
        done = subprocess.run([sys.executable, "-B", "-m", "unittest", test.replace(" ", ".")], env=environment,
                              cwd=HERE.parent / "integration", capture_output=True, text=True, errors="replace",
                              timeout=INTEGRATION_TIMEOUT, check=False)
        return done.returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main():
    units = pathlib.Path(sys.argv[1])
    kinds = {"unit", "integration"} if "--integration" in sys.argv else {"unit"}
    wanted = [a for a in sys.argv[2:] if not a.startswith("-")]
    rows = [row for row in table.ROWS if not wanted or row.mutation in wanted]
    tests = {test for row in rows for test in row.tests if table.kind(test) in kinds}
    # Most tests of the integration tier take long; that they pass is seen beside this.
    sick = {test for test in tests if table.kind(test) == "unit" and not run(units, test, "")}
    failures = [f"{test}: fails without any fault, or is not there" for test in sorted(sick)]
    tries = 0
    for row in rows:
        for test in row.tests:
            if test in tests - sick:
                tries += 1
                survived = run(units, test, row.mutation)
                print(f"{row.mutation:22} {'NOT NOTICED' if survived else 'noticed'} by {test}", flush=True)
                if survived:
                    failures.append(f"{row.mutation} is not noticed by {test}")
    print("\n".join(failures) or f"{tries} of {tries} noticed")
    sys.exit(1 if failures or not tries else 0)


if __name__ == "__main__":
    main()
