"""Runs bench_dbus_bench on the real daemon: a private bus, the practice provider, one account.

    CREDSYNCD=… CREDSYNC=… BENCH=build/release/tests/bench/bench_dbus_bench python3 tests/bench/dbus_bench.py [--seconds N]
"""

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


def main():
    provider = PracticeProvider(lifetime=3600).start()
    bus = PrivateBus(BENCH_POLICY).start()
    daemon = Daemon()
    daemon.bus = bus
    try:
        daemon.configure(provider)
        daemon.account("flume", provider="flume", grant="password", username=USER, password={"file": "flume.password"})
        # One caller that does nothing else is faster than a user may be.
        daemon.write("conf.d/10.toml", "[callers]\nmax_requests_per_second = 100000\n")
        daemon.start()
        wait_for(bus.owner, 30, "the daemon on the bus")
        subprocess.run([os.environ["BENCH"], "--pid", str(daemon.process.pid), "--account", "flume", *sys.argv[1:]],
                       env=bus.environment(), check=True)
    finally:
        daemon.close()
        bus.close()
        provider.stop()


if __name__ == "__main__":
    main()
