"""What a sanitizer says of the programs under test: nothing, or the test fails.

CREDSYNC_SANITIZE names the sanitizers that they were built with, as CMake's variable does ("" for none). Reports go to
files, so that no program of any user has to show its standard error to be heard, and a killed one cannot lose them.
"""

import atexit
import glob
import os
import shutil
import tempfile

BUILT_WITH = os.environ.get("CREDSYNC_SANITIZE", "")
# Time-outs that a test waits for, and never what it judges: such a build takes two to ten times as long.
PATIENCE = 4 if BUILT_WITH else 1
# Latency says nothing in such a build, and memory is kept from being used again on purpose.
NO_LATENCY = f"NOT JUDGED: latency, under {BUILT_WITH}" if BUILT_WITH else ""
OWN_HEAP = f"NOT TESTED: {BUILT_WITH} has a heap of its own, which keeps what was freed" if BUILT_WITH else ""
# What is said of libraries that are not built with a sanitizer, each with its reason.
SUPPRESSIONS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sanitizers", "thread.supp")

_directory = None


def _options():
    where = os.path.join(_directory, "report")
    return {
        # Freed memory is held back from use again, to catch who still uses it: 16 MiB of it, so that bounds of memory can
        # be tested at all (256 are the default).
        "ASAN_OPTIONS": f"log_path={where}:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:"
                        "check_initialization_order=1:quarantine_size_mb=16",
        "LSAN_OPTIONS": f"log_path={where}:report_objects=1",
        "UBSAN_OPTIONS": f"log_path={where}:print_stacktrace=1",
        "TSAN_OPTIONS": f"log_path={where}:second_deadlock_stack=1:suppressions={SUPPRESSIONS}",
    }


def begin():
    """Programs started from now on write their reports where reports() finds them."""
    global _directory
    if BUILT_WITH and _directory is None:
        _directory = tempfile.mkdtemp(prefix="credsync-reports-")
        os.chmod(_directory, 0o1777)   # programs of all users
        atexit.register(shutil.rmtree, _directory, ignore_errors=True)
        os.environ.update(_options())


def reports():
    """What was written since the last call."""
    texts = []
    for path in sorted(glob.glob(os.path.join(_directory, "report*"))) if _directory else ():
        with open(path, encoding="utf-8", errors="replace") as report:
            texts.append(report.read())
        os.unlink(path)
    return [text for text in texts if text.strip()]


def check():
    found = reports()
    if found:
        raise AssertionError(f"{BUILT_WITH} has {len(found)} report(s):\n" + "\n".join(text[:6000] for text in found[:5]))
