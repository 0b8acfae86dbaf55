"""Runs the real daemon for as long as one likes, with random faults, and holds every hand-out against the provider's book.

1,000 accounts of 30-second tokens, 200 callers of whom some read slowly or not at all, reloads, a provider that misbehaves.
A minute's line: memory, descriptors, threads, the database, what was done, promises broken. Exit 1 at a broken promise or at
growth. script/soak builds and starts it.

What is a broken promise: a token that was handed out and ended, or was no longer the provider's, before the time up to which
it had been promised; an error where the last token handed out of that account was still good; a grant that is lost.

What is growth: after the warm-up, the median of the last third of a figure's samples lies above that of the first third by
more than its allowance. Medians, because faults make spikes; thirds, because what leaks at all leaks in both. The allowances
are what a daemon at rest moves by: pages that the allocator keeps (memory), kept connections (descriptors), workers that
start when they are first needed (threads), SQLite's write-ahead log between two checkpoints (the database).
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import statistics
import sys
import time

import harness
from harness import Daemon, PracticeProvider

KINDS = {"client": 400, "plain": 250, "rotating": 250, "strict": 100}   # accounts of each
LIFETIME = 30
OVERLAP = 60            # seconds, of the rotating ones, declared
SAMPLE = 5.0            # seconds between two looks at the process
SHORTEST_JUDGED = 6     # samples in a third: with fewer nothing is said of growth
SLACK = 0.25            # seconds: a busy machine may hold the answer back between the provider's look at the clock and ours
KEEP_BOOK = 120         # seconds that the provider remembers what has ended
GRACE = 10              # seconds before a superseded token is revoked: longer than any promise here, for one that is longer than all
                        # before it is stored some milliseconds after its caller has it (docs/reliability.md)
PACE = 0.6              # seconds between two requests of a caller, on average
SLOW, DEAF = 10, 5      # callers who read slowly; who open event streams and read nothing
WAITS = [0, 2, 10, 10]
MIN_VALIDS = [0, 0, 0, 3, 8]
MIB = 1024 * 1024


class Figure:
    """A measured quantity: its samples after the warm-up, and how far it may move."""

    def __init__(self, name, share, absolute):
        self.name, self.share, self.absolute = name, share, absolute
        self.samples = []

    def thirds(self):
        """Medians of the first and the last third; nothing where there is too little to tell."""
        third = len(self.samples) // 3
        if third < SHORTEST_JUDGED:
            return None
        return statistics.median(self.samples[:third]), statistics.median(self.samples[-third:])

    def growth(self):
        """What it grew by, in words; "" if it did not."""
        found = self.thirds()
        if found is None:
            return ""
        first, last = found
        allowed = max(self.share * first, self.absolute)
        return f"{self.name} grew from {first:.0f} to {last:.0f}, allowed {allowed:.0f}" if last - first > allowed else ""


def figures():
    return {f.name: f for f in (Figure("rss", 0.02, MIB), Figure("heap", 0.02, MIB), Figure("fds", 0.0, 16),
                                Figure("threads", 0.0, 4), Figure("database", 0.1, MIB))}


class Book:
    """What callers were told, and what the provider says of it."""

    def __init__(self):
        self.told = {}                 # token -> [account, latest moment it must be good at, when asked]
        self.last = {}                 # account -> (token, its end as told, when it was handed out)
        self.broken = []
        self.refusals = collections.Counter()
        self.hand_outs = 0

    def handed_out(self, account, asked, min_valid, answer):
        self.hand_outs += 1
        remaining = answer["expires_in"]
        promised = asked + min(min_valid, remaining)
        entry = self.told.setdefault(answer["access_token"], [account, promised, asked])
        if promised > entry[1]:
            entry[1:] = [promised, asked]
        self.last[account] = (answer["access_token"], asked + remaining, time.time())

    def refused(self, account, asked, status, problem):
        """An error is a broken promise where a token that was handed out before it was asked for one would still do."""
        self.refusals[f"{status} {problem}"] += 1
        token, ends, told_at = self.last.get(account, ("", 0.0, 0.0))
        if told_at < asked and ends > time.time() + 1:
            self.told_wrong(f"{account}: {status} {problem}, though its token is good for {ends - time.time():.1f} s more ({token[:6]}…)")

    def told_wrong(self, words):
        self.broken.append(words)
        print(f"BROKEN: {words}", flush=True)

    def judge(self, provider):
        """Looks up what was handed out since the last time, while the provider still remembers it."""
        told, self.told = self.told, {}
        for token in [t for t, (_, promised, _) in told.items() if promised > time.time()]:
            self.told[token] = told[token]   # its time is still to come
        tokens = list(told)
        for begin in range(0, len(tokens), 2000):
            part = tokens[begin:begin + 2000]
            for token, found in zip(part, provider.check_all(part)):
                account, promised, asked = told[token]
                if not found["known"]:
                    self.told_wrong(f"{account}: a token that the provider never gave")
                    continue
                dead_at = found["dead_at"] or float("inf")
                ends = time.time() + found["expires_in"] if found["expires_in"] is not None else float("inf")
                if min(dead_at, ends) < promised - SLACK:
                    self.told_wrong(f"{account}: handed out at {asked:.2f}, promised until {promised:.2f}, ended at "
                                    f"{min(dead_at, ends):.2f} ({found['why_dead']})")


class Soak:
    """One run."""

    def __init__(self, options):
        self.options, self.random = options, random.Random(options.seed)
        self.provider = PracticeProvider()
        self.daemon = None
        self.book, self.figures = Book(), figures()
        self.names = {kind: [f"{kind}-{i}" for i in range(max(1, count * options.accounts // 1000))] for kind, count in KINDS.items()}
        self.everybody = [name for names in self.names.values() for name in names]
        self.over = asyncio.Event()
        self.done = collections.Counter()
        self.down = False       # the daemon was killed and is not ready yet
        self.kills = 0
        self.dying = False      # it is being killed, and connections may still be taken
        self.began = self.warm_at = 0.0
        self.families = {}

    # --- before

    def prepare(self):
        self.provider.start()
        self.daemon = Daemon(log_level="warning")
        self.daemon.configure(self.provider)
        rules = {"client": {}, "plain": {"rotation": "none"}, "rotating": {"rotation": "always", "overlap": f"{OVERLAP}s"},
                 "strict": {"rotation": "none", "access_overlap": "0s"}}
        for kind, names in self.names.items():
            self.provider.switch(f"rfc/{kind}", lifetime=LIFETIME, rotation="always" if kind == "rotating" else "none",
                                 overlap=OVERLAP if kind == "rotating" else 0, reuse_detection=kind == "rotating",
                                 old_access="dies" if kind == "strict" else "lives")
            self.daemon.profile(kind, self.provider.base_url, tables={"refresh": rules[kind]} if rules[kind] else None)
            grant = "client_credentials" if kind == "client" else "refresh_token"
            self.daemon.write(f"accounts.d/{kind}.toml", "".join(self.account_text(name, kind, grant, i) for i, name in enumerate(names)))
        self.daemon.start()
        self.sign_in()

    @staticmethod
    def account_text(name, kind, grant, number):
        return (f'[account.{name}]\nprovider = "{kind}"\ngrant = "{grant}"\nclient_id = "demo-client"\n'
                f'client_secret = {{ file = "client.secret" }}\nscopes = ["s{number}"]\nrevoke_grace = "{GRACE}s"\n')

    def sign_in(self):
        api = self.daemon.api()
        for kind, names in self.names.items():
            if kind == "client":
                continue
            pairs = self.provider.issue_many([{"provider": f"rfc/{kind}", "scope": f"s{i}"} for i in range(len(names))])
            for name, pair in zip(names, pairs):
                answer = api.login(name, "refresh_token", pair["refresh_token"])
                if answer.status != 200:
                    raise AssertionError(f"sign-in of {name}: {answer}")
                self.families[name] = pair["family"]
        api.close()

    # --- callers

    async def request(self, reader, writer, path, slow=False):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        if slow:
            await asyncio.sleep(self.random.uniform(0.5, 4))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, length = int(head.split(" ", 2)[1]), 0
        for line in head.split("\r\n")[1:]:
            if line.lower().startswith("content-length:"):
                length = int(line.split(":")[1])
        return status, json.loads(await reader.readexactly(length))

    async def call(self, slow):
        """A caller on one kept connection, for as long as that lasts."""
        rng = random.Random(self.random.random())
        while not self.over.is_set():
            kills, dying = self.kills, self.dying   # before: who connects to a daemon that is being killed is cut off, too
            try:
                reader, writer = await asyncio.open_unix_connection(self.daemon.socket)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            try:
                while not self.over.is_set():
                    await self.ask(rng, reader, writer, slow)
                    await asyncio.sleep(rng.uniform(0, 2 * PACE))
            except (OSError, asyncio.IncompleteReadError):
                if kills == self.kills and not dying and not self.over.is_set():
                    self.book.told_wrong("a connection ended by itself")
            finally:
                writer.close()

    async def ask(self, rng, reader, writer, slow):
        account, min_valid, wait = rng.choice(self.everybody), rng.choice(MIN_VALIDS), rng.choice(WAITS)
        asked = time.time()
        status, answer = await self.request(reader, writer, f"/v1/accounts/{account}/token?min_valid={min_valid}&wait={wait}", slow)
        if status == 200:
            self.book.handed_out(account, asked, min_valid, answer)
        else:
            self.book.refused(account, asked, status, answer["type"].rsplit(":", 1)[-1])

    async def listen(self):
        """Subscribes to events and never reads them."""
        while not self.over.is_set():
            try:
                _, writer = await asyncio.open_unix_connection(self.daemon.socket, limit=1)
                writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
                writer.transport.pause_reading()
                await asyncio.sleep(self.random.uniform(5, 20))
                writer.close()
            except OSError:
                await asyncio.sleep(0.5)

    # --- faults

    def next_fault(self):
        """(what, match, parameters, seconds). Answers are lost only where the provider gives them once more, or where there is
        nothing to lose."""
        rng = self.random
        any_kind, forgiving = list(KINDS), ["client", "plain", "rotating"]
        do, kinds, more = rng.choice([
            ("status", any_kind, {"status": rng.choice([500, 502, 503, 504])}), ("html", any_kind, {}),
            ("too_many", any_kind, {"seconds": rng.choice([1, 2, 3])}), ("delay", any_kind, {"seconds": rng.uniform(0.2, 3)}),
            ("drop_before", any_kind, {"how": rng.choice(["rst", "fin", "tls"])}), ("drop_after", forgiving, {}),
            ("drop_bytes", forgiving, {"bytes": rng.randrange(1, 400)}), ("truncated", forgiving, {}), ("chunked", any_kind, {}),
            ("token_missing", forgiving, {}), ("hang", any_kind, {}), ("close", any_kind, {}), ("close_kept", any_kind, {}),
            ("garbage_status", forgiving, {}), ("wrong_length", forgiving, {"delta": rng.choice([-5, 7])}),
        ])
        match = {"provider": [f"rfc/{kind}" for kind in rng.sample(kinds, rng.randrange(1, len(kinds) + 1))]}
        return do, match, {**more, "probability": rng.choice([0.02, 0.1, 0.4]), "seed": rng.randrange(1 << 30)}, rng.uniform(1, 6)

    async def misbehave(self):
        loop = asyncio.get_running_loop()
        while not self.over.is_set():
            do, match, parameters, seconds = self.next_fault()
            rule = await loop.run_in_executor(None, lambda: self.provider.behave(do, match, **parameters))
            await asyncio.sleep(seconds)
            await loop.run_in_executor(None, self.provider.clear, rule)
            self.done[f"fault {do}"] += 1
            await asyncio.sleep(self.random.uniform(0.5, 4))

    async def reload(self):
        """Accounts come, go and change."""
        while not self.over.is_set():
            await asyncio.sleep(self.random.uniform(8, 20))
            name = f"guest-{self.random.randrange(5)}"
            path = self.daemon.place("accounts.d", f"{name}.toml")
            if os.path.exists(path):
                os.unlink(path)
            else:
                self.daemon.account(name, provider="client", grant="client_credentials", scopes=[name])
            if self.down:
                continue   # it reads them when it starts
            self.daemon.process.send_signal(signal.SIGHUP)
            self.done["reload"] += 1

    async def kill(self):
        loop = asyncio.get_running_loop()
        while self.options.kill_every and not self.over.is_set():
            await asyncio.sleep(self.options.kill_every * self.random.uniform(0.5, 1.5))
            if self.over.is_set():
                return
            self.down, self.dying, self.kills = True, True, self.kills + 1
            await loop.run_in_executor(None, self.daemon.kill)
            self.dying = False
            await loop.run_in_executor(None, self.daemon.start)
            self.done["kill"] += 1
            self.down = False

    # --- figures

    def look(self):
        """The process as it is."""
        pid = self.daemon.process.pid
        seen = {"fds": len(os.listdir(f"/proc/{pid}/fd")), "threads": len(os.listdir(f"/proc/{pid}/task"))}
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            fields = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in f if line.endswith(" kB\n")}
        seen["rss"], seen["heap"] = fields["Rss"], fields["Anonymous"]
        seen["database"] = sum(entry.stat().st_size for entry in os.scandir(self.daemon.state) if entry.is_file())
        return seen

    async def watch(self):
        loop = asyncio.get_running_loop()
        next_line = self.began + 60
        while not self.over.is_set():
            await asyncio.sleep(SAMPLE)
            try:
                seen = self.look()
            except (OSError, AttributeError):
                continue   # it has just been killed
            if time.time() > self.warm_at:
                for name, value in seen.items():
                    self.figures[name].samples.append(value)
            if self.daemon.process.poll() is not None and not self.down:
                self.book.told_wrong(f"the daemon ended with {self.daemon.process.returncode}")
                self.over.set()
            if time.time() >= next_line:
                await loop.run_in_executor(None, self.book.judge, self.provider)
                await loop.run_in_executor(None, lambda: self.provider.reset("past", before=time.time() - KEEP_BOOK))
                self.say(seen)
                next_line += 60

    def say(self, seen):
        figures_now = self.metrics()
        posts = figures_now["refreshes_started_total"], figures_now["refreshes_failed_total"]
        ill = figures_now['accounts{state="needs-login"}'] + figures_now['accounts{state="suspended"}']
        print(f"{(time.time() - self.began) / 60:5.1f} min  rss {seen['rss'] / MIB:.1f} MiB  heap {seen['heap'] / MIB:.1f} MiB  fds {seen['fds']}  "
              f"threads {seen['threads']}  database {seen['database'] / MIB:.1f} MiB  hand-outs {self.book.hand_outs}  refreshes {posts[0]} "
              f"({posts[1]} failed)  ill {ill}  refused {sum(self.book.refusals.values())}  broken {len(self.book.broken)}", flush=True)

    def metrics(self):
        """The daemon's own figures; zeros while it does not answer."""
        found = collections.Counter()
        try:
            api = self.daemon.api(timeout=10)
            text = api("GET", "/metrics").body.decode()
            api.close()
        except (OSError, harness.http.client.HTTPException):
            return found
        for line in text.splitlines():
            if line.startswith("credsync_"):
                name, value = line.removeprefix("credsync_").rsplit(" ", 1)
                found[name] = int(value)
        return found

    # --- the run

    async def run(self):
        self.began = time.time()
        self.warm_at = self.began + self.options.warm_up
        tasks = [asyncio.create_task(self.call(i < SLOW)) for i in range(self.options.callers)]
        tasks += [asyncio.create_task(self.listen()) for _ in range(DEAF)]
        tasks += [asyncio.create_task(work()) for work in (self.misbehave, self.reload, self.kill, self.watch)]
        for task in tasks:
            task.add_done_callback(self.ended)
        try:
            await asyncio.wait_for(self.over.wait(), self.options.minutes * 60)
        except TimeoutError:
            pass
        self.over.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def ended(self, task):
        """A part of the soak that fails must not go unnoticed."""
        if not task.cancelled() and task.exception() is not None and not self.over.is_set():
            self.book.told_wrong(f"the soak itself: {task.exception()!r}")
            self.over.set()

    def finish(self):
        """When all faults are over every account must be well, without anybody's help."""
        self.provider.clear()
        self.provider.release()
        if self.daemon.process is None or self.daemon.process.poll() is not None:
            return
        self.book.judge(self.provider)
        api = self.daemon.api()
        deadline = time.time() + 90
        waiting = list(self.everybody)
        while waiting and time.time() < deadline:
            waiting = [name for name in waiting if not self.is_well(api, name)]
            time.sleep(0.5)
        for name in waiting:
            status = api.status(name)
            self.book.told_wrong(f"{name} is {status['state']} in the end: {status['error']}")
        for name, family in self.families.items():
            if not any(t["kind"] == "refresh" for t in self.provider.tokens(family=family, alive=1)):
                self.book.told_wrong(f"{name}: its grant is lost")
        api.close()

    @staticmethod
    def is_well(api, name):
        answer = api.token(name, wait=5)
        return answer.status == 200 and answer.json["state"] == "ok"

    def verdict(self):
        grown = [] if self.options.kill_every else [words for f in self.figures.values() if (words := f.growth())]
        judged = all(f.thirds() for f in self.figures.values()) and not self.options.kill_every
        print(f"\n{self.options.minutes:g} minutes, seed {self.options.seed}, {len(self.everybody)} accounts, {self.options.callers} callers: "
              f"{self.book.hand_outs} hand-outs; " + ", ".join(f"{n} {what}" for what, n in sorted(self.done.items())))
        print("refused while no good token was there: " + (", ".join(f"{n} x {what}" for what, n in self.book.refusals.most_common()) or "none"))
        for figure in self.figures.values():
            if figure.thirds():
                print("{}: {:.0f} in the first third after the warm-up, {:.0f} in the last".format(figure.name, *figure.thirds()))
        for words in grown:
            print(f"GROWTH: {words}")
        print("growth: " + ("none" if not grown else f"{len(grown)} figures") if judged else "growth: not judged, the run was too short or restarted")
        print(f"broken promises: {len(self.book.broken)}", flush=True)
        return 1 if grown or self.book.broken else 0


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="repeats the choice of faults, not their moments")
    parser.add_argument("--warm-up", type=float, default=300.0, help="seconds before growth is watched")
    parser.add_argument("--kill-every", type=float, default=0.0, help="seconds between two kill -9, on average; growth is then not judged")
    return parser.parse_args(arguments)


def main(arguments=None):
    soak = Soak(parse(arguments))
    try:
        soak.prepare()
        print(f"ready with {len(soak.everybody)} accounts, seed {soak.options.seed}", flush=True)
        asyncio.run(soak.run())
        soak.finish()
        return soak.verdict()
    finally:
        if soak.daemon is not None:
            soak.daemon.close()
        soak.provider.stop()


if __name__ == "__main__":
    sys.exit(main())
