"""A hostile user does everything at once that one can do to a socket, on another CPU; others' cached requests are measured
beside it, in one run, against the same without. Needs root."""

import os
import shutil
import subprocess
import unittest

import sanitizer
from harness import DaemonTest, binary, wait_for

HONEST, HOSTILE = 4001, 4002
IDLE_MS, ATTACKED_MS, ROUNDS = 700, 1400, 3
AIM, GATE = 1.5, 3.0
EVENTS = 20
ALLOWANCE = 2_000           # microseconds: ten times what was measured, and nothing that a person would notice
SHARED_ALLOWANCE = 100_000   # where the three cannot go before what else runs on the machine
# KiB: of all that one user can make the daemon hold. A sanitizer puts room around each piece and holds back what was freed.
MOST_GROWTH = 64 * 1024 * (2 if sanitizer.BUILT_WITH else 1)


@unittest.skipUnless(os.geteuid() == 0, "NOT TESTED: becoming other users needs root")
class Flood(DaemonTest):
    LIFETIME = 3600

    def setUp(self):
        super().setUp()
        self.daemon.configure(self.provider, rules=[{"user": 0, "actions": ["login"]}], callers=64)
        self.program = shutil.copy(binary("FLOOD"), self.daemon.place("flood"))
        for name, user in (("mine", HONEST), ("theirs", HOSTILE)):
            self.daemon.account(name, provider="flat", grant="static", allow=[{"user": user, "actions": ["get"]}])
        self.api = self.start()
        for name in ("mine", "theirs"):
            self.assertEqual(self.api.login(name, "token", f"token-of-{name}").status, 200)
        self.refused_before = 0
        self.goes_first = not sanitizer.BUILT_WITH
        self.cpus = sorted(os.sched_getaffinity(0))
        # What else runs on this machine must not be measured: all three go before it. The honest user shares the daemon's
        # processor and goes before it, as somebody does who has slept.
        for task in os.listdir(f"/proc/{self.daemon.process.pid}/task"):
            os.sched_setaffinity(int(task), {self.cpus[0]})
            try:
                if self.goes_first:
                    os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))
            except PermissionError:
                self.goes_first = False   # then the figures are those of a shared machine

    def command(self, uid, cpu, priority, *arguments):
        return [*(["chrt", "--rr", str(priority)] if self.goes_first else []), "taskset", "-c", str(cpu), "setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", self.program,
                *arguments]

    def measure(self, milliseconds):
        """p50, p99, longest in microseconds, and how many."""
        done = subprocess.run(self.command(HONEST, self.cpus[0], 2, "measure", self.daemon.socket, "mine", str(milliseconds)),
                              capture_output=True, text=True, timeout=120, check=False, cwd="/")
        self.assertEqual(done.returncode, 0, done.stderr)
        return [int(n) for n in done.stdout.split()]

    def memory(self, field="VmRSS"):
        with open(f"/proc/{self.daemon.process.pid}/status", encoding="utf-8") as status:
            return next(int(line.split()[1]) for line in status if line.startswith(field))

    def test_a_flood_of_one_user_is_hardly_noticed_by_another(self):
        self.measure(200)
        before = self.memory()
        idle, attacked = [], []
        for _ in range(ROUNDS):
            idle.append(self.measure(IDLE_MS))
            attacker = subprocess.Popen(self.command(HOSTILE, self.cpus[-1], 1, "attack", self.daemon.socket), cwd="/")
            try:
                wait_for(self.is_under_attack, 20, "the attack")
                attacked.append(self.measure(ATTACKED_MS))
                for i in range(EVENTS):   # for streams that nobody reads
                    self.assertEqual(self.api.login("theirs", "token", f"token-{i}").status, 200)
                self.assertIsNone(attacker.poll(), "the attacker gave up")
            finally:
                attacker.kill()
                attacker.wait()
        p50 = [sorted(r[0] for r in rs)[ROUNDS // 2] for rs in (idle, attacked)]
        p99 = [sorted(r[1] for r in rs)[ROUNDS // 2] for rs in (idle, attacked)]
        growth = self.memory("VmHWM") - before
        print(f"cached request, others' p50 {p50[0]} -> {p50[1]} us, p99 {p99[0]} -> {p99[1]} us: {p99[1] / p99[0]:.1f} x (aim "
              f"{AIM}, gate {GATE}); slowest {max(r[2] for r in attacked)} us; memory +{growth} KiB", flush=True)
        if sanitizer.BUILT_WITH:
            print(sanitizer.NO_LATENCY, flush=True)
        else:
            self.assertLessEqual(p99[1], GATE * p99[0] + (ALLOWANCE if self.goes_first else SHARED_ALLOWANCE))
        self.assertLess(growth, MOST_GROWTH)
        self.assertIsNone(self.daemon.process.poll(), "the daemon died")
        self.assertEqual(self.new_api()("GET", "/v1/health").status, 200)
        busy = [r for r in self.api("GET", "/v1/audit").json["records"] if r["uid"] == HOSTILE and r["decision"] == "denied"]
        self.assertTrue(busy, "what was refused is on record")
        self.assertEqual([r for r in self.api("GET", "/v1/audit").json["records"] if r["uid"] == HONEST and r["decision"] == "denied"], [])

    def is_under_attack(self):
        """The hostile user has been refused something since the attack began."""
        metrics = self.api("GET", "/metrics").body.decode()
        refused = next(int(line.split()[1]) for line in metrics.splitlines() if line.startswith("credsync_refused_busy_total"))
        grown = refused > self.refused_before
        self.refused_before = refused
        return grown


if __name__ == "__main__":
    unittest.main()
