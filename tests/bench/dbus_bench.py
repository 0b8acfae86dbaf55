"""Runs bench_dbus_bench on a private bus: on the front door alone, or on the real daemon if CREDSYNCD names one.

    BENCH=build/release/tests/bench [CREDSYNCD=… CREDSYNC=…] /usr/bin/python3 tests/bench/dbus_bench.py [--seconds N] [--rounds N]
"""

import contextlib
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

from bus import PrivateBus  # noqa: E402
from harness import Daemon, PracticeProvider, USER, wait_for  # noqa: E402

# The bare server's name; everything else is as on a system bus.
BENCH_POLICY = """<policy user="root"><allow own="org.credsync.Bench.Bare"/></policy>
  <policy context="default"><allow send_destination="org.credsync.Bench.Bare"/></policy>"""


def real_daemon(bus, stack):
    provider = stack.enter_context(PracticeProvider(lifetime=3600))
    daemon = Daemon()
    stack.callback(daemon.close)
    daemon.bus = bus
    daemon.configure(provider)
    daemon.account("bench", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
    # One caller that does nothing else is faster than a user may be.
    daemon.write("conf.d/10.toml", "[callers]\nmax_requests_per_second = 100000\n")
    return daemon.start().process


def front_door(programs, bus, stack):
    server = subprocess.Popen([programs / "bench_dbus_server"], env=bus.environment())
    stack.callback(server.wait)
    stack.callback(server.terminate)
    return server


def main():
    programs = pathlib.Path(os.environ["BENCH"])
    with contextlib.ExitStack() as stack:
        bus = PrivateBus(BENCH_POLICY)
        stack.callback(bus.close)
        bus.start()
        server = real_daemon(bus, stack) if "CREDSYNCD" in os.environ else front_door(programs, bus, stack)
        wait_for(bus.owner, 30, "the server on the bus")
        subprocess.run([programs / "bench_dbus_bench", "--pid", str(server.pid), "--account", "bench", *sys.argv[1:]],
                       env=bus.environment(), check=True)


if __name__ == "__main__":
    main()
