#!/usr/bin/python3 -B
"""The practice provider: an OAuth authorization server on loopback HTTPS, to demonstrate and test with. See README.md."""

import argparse
import asyncio
import errno
import json
import os
import resource
import secrets
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from practice import certs  # noqa: E402
from practice.app import KEPT_IDLE_SECONDS, App  # noqa: E402
from practice.wire import Protocol  # noqa: E402
from practice.world import World  # noqa: E402

BACKLOG = 4096    # a thousand callers may connect at once
TLS_CLOSE_SECONDS = 2.0   # for a peer's close_notify: one that left will not send it
PORT_TRIES = 20   # to find a port that is free on both loopback addresses


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", required=True, help="where keys, certificates, the control token and `ready` are kept")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--port-file", help="also write the port here")
    parser.add_argument("--lifetime", type=float, help="seconds access tokens live; default: as each document says")
    parser.add_argument("--ledger", help="keep the ledger in this file over restarts")
    parser.add_argument("--config", help="JSON or a file of it: a list of bodies for POST /_control/client and /behave")
    parser.add_argument("--idle", type=float, default=KEPT_IDLE_SECONDS, help="seconds a kept connection may be silent")
    parser.add_argument("--until-stdin-ends", action="store_true", help="stop when stdin is closed: when a test dies")
    return parser.parse_args()


def control_token(directory):
    path = os.path.join(directory, "control.token")
    if os.path.exists(path):
        with open(path, encoding="ascii") as f:
            return f.read().strip()
    token = secrets.token_urlsafe(32)
    certs.write_private(path, token.encode())
    return token


def configure(app, text):
    """[{"provider": …, "clients": …, "users": …, "switches": …}, {"do": …}, …]"""
    if not text:
        return
    if not text.lstrip().startswith(("[", "{")):
        with open(text, encoding="utf-8") as f:
            text = f.read()
    items = json.loads(text)
    for item in items if isinstance(items, list) else [items]:
        if "do" in item:
            app.control.behave(item)
        else:
            app.control.client(item)


async def listen(app, context, port):
    """Sockets on 127.0.0.1 and, where there is one, on ::1, with one port. They do not accept yet."""
    loop = asyncio.get_running_loop()
    factory = lambda: Protocol(app.serve, loop)
    how = {"ssl": context, "backlog": BACKLOG, "start_serving": False,
           "ssl_shutdown_timeout": TLS_CLOSE_SECONDS}
    for _ in range(PORT_TRIES):
        four = await loop.create_server(factory, "127.0.0.1", port, **how)
        chosen = four.sockets[0].getsockname()[1]
        try:
            six = await loop.create_server(factory, "::1", chosen, **how)
            return [four, six], chosen
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return [four], chosen   # no IPv6 on this machine
            if port:
                raise
            four.close()
    raise OSError("no port is free on both loopback addresses")


def write_file(path, text):
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as f:
        f.write(text)
    os.replace(temporary, path)


def announce(options, world, port):
    ready = {"port": port, "base_url": world.base_url, "ca_file": world.authority.file,
             "control_url": f"{world.base_url}/_control", "control_token_file": f"{world.directory}/control.token",
             "pid": os.getpid()}
    if options.port_file:
        write_file(options.port_file, f"{port}\n")
    write_file(os.path.join(world.directory, "ready"), json.dumps(ready) + "\n")
    print(f"practice provider: {world.base_url} (CA {world.authority.file})", flush=True)


async def run(options):
    directory = os.path.abspath(options.dir)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    ready_file = os.path.join(directory, "ready")
    if os.path.exists(ready_file):
        os.unlink(ready_file)
    world = World(directory, options.ledger, options.lifetime)
    world.authority = certs.Authority(directory)
    world.server_files = world.authority.server_files()
    app = App(world, control_token(directory), options.idle)
    configure(app, options.config)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if options.until_stdin_ends:
        loop.add_reader(sys.stdin.fileno(), lambda: os.read(sys.stdin.fileno(), 4096) or stopping.set())
    servers, port = await listen(app, certs.server_context(*world.server_files), options.port)
    world.listening(port)
    for server in servers:
        await server.start_serving()
    announce(options, world, port)
    await stopping.wait()
    for server in servers:
        server.close()
    app.control.traps.close()
    await app.stop()
    world.journal.close()
    os.unlink(ready_file)


def main():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
    asyncio.run(run(arguments()))


if __name__ == "__main__":
    main()
