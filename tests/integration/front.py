"""A TCP front before a provider: its port stays, while what is behind it can be cut off, swallowed, refused or swapped for
another port (with another certificate). One thread serves all fronts of a test. Standard library only."""

import asyncio
import selectors
import socket
import struct
import threading

PIECE = 65536
BACKLOG_FILLERS = 64   # more than any kernel rounds listen(0) up to


class Fronts:
    """Opens fronts, and closes all of them."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.fronts = []

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def open(self, target):
        """A front that passes everything on to 127.0.0.1:target."""
        front = Front(self, target)
        self.run(front.listen())
        self.fronts.append(front)
        return front

    def close(self):
        for front in self.fronts:
            self.run(front.end())
        self.run(asyncio.sleep(0))   # connections are closed in the loop's next turn
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


class Front:
    """`port` on 127.0.0.1. set(mode): relay, silent, reset, freeze, freeze_reset; refuse() and black_hole() until relay()."""

    RESET_AFTER = 1.0   # seconds from the freeze to the reset

    def __init__(self, fronts, target):
        self.fronts, self.home = fronts, target
        self.target, self.mode = target, "relay"
        self.port, self.server, self.fillers = 0, None, []
        self.tasks, self.writers = set(), set()

    # --- what a test orders

    def relay(self, target=None):
        """Passes everything on, to the provider or to `target`; what was cut off is there again."""
        self.mode, self.target = "relay", target or self.home
        self._unfill()
        self.fronts.run(self._drop_connections())   # a kept one would go on with what was behind it
        self.fronts.run(self.listen())

    def set(self, mode):
        self.mode = mode
        self.fronts.run(self._drop_connections())

    def refuse(self):
        """Nobody listens: connections are refused."""
        self.fronts.run(self.end())

    def black_hole(self):
        """A listener whose queue is full: the kernel drops who else knocks, so that a connect has no answer at all."""
        self.fronts.run(self.end())
        self.fillers = black_hole(socket.AF_INET, "127.0.0.1", self.port)

    # --- the loop's side

    async def listen(self):
        if self.server is not None:
            return
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, reuse_address=True)
        self.port = self.server.sockets[0].getsockname()[1]

    async def end(self):
        if self.server is not None:
            self.server.close()
            self.server = None
        await self._drop_connections()
        self._unfill()

    async def _drop_connections(self):
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in list(self.writers):
            writer.transport.abort()

    def _unfill(self):
        for filler in self.fillers:
            filler.close()
        self.fillers = []

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self.tasks.add(task)
        self.writers.add(writer)
        upstream = None
        try:
            if self.mode == "silent":
                await asyncio.Event().wait()
            if self.mode == "reset":
                await reader.read(PIECE)
                raise ConnectionResetError
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers.add(upstream)
            if self.mode.startswith("freeze"):
                await self._freeze(reader, writer, upstream_reader, upstream)
            await asyncio.gather(self._pump(reader, upstream), self._pump(upstream_reader, writer))
        except asyncio.CancelledError:
            pass
        except OSError:
            self._reset(writer)   # what became of the one side becomes of the other
        finally:
            self.tasks.discard(task)
            for end in (writer, upstream):
                if end is not None:
                    self.writers.discard(end)
                    end.transport.abort()

    async def _freeze(self, reader, writer, upstream_reader, upstream):
        """Passes on the client's hello and the server's flight, then nothing: the request is taken and goes nowhere."""
        upstream.write(await reader.read(PIECE))
        writer.write(await upstream_reader.read(PIECE))
        if self.mode == "freeze_reset":
            await reader.read(PIECE)
            await asyncio.sleep(self.RESET_AFTER)
            raise ConnectionResetError
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    @staticmethod
    def _reset(writer):
        raw = writer.get_extra_info("socket")
        if raw.fileno() >= 0:   # it may have gone by itself
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    @staticmethod
    async def _pump(reader, writer):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def black_hole(family, host, port):
    """Sockets that keep a listener's queue full for as long as they are open."""
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.bind((host, port))
    listener.listen(0)
    held, selector = [listener], selectors.DefaultSelector()
    for _ in range(BACKLOG_FILLERS):
        filler = socket.socket(family)
        filler.setblocking(False)
        filler.connect_ex((host, port))
        held.append(filler)
        selector.register(filler, selectors.EVENT_WRITE)
        if not selector.select(0.2):   # this one gets no answer: the queue is full
            selector.close()
            return held
        selector.unregister(filler)
    raise AssertionError("the queue of a listener could not be filled")
