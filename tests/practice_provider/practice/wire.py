"""HTTP/1.1 on one connection, written by hand because it must be able to misbehave on the wire.

Reading is strict and bounded. Sending follows a Wire plan: by default one well-formed answer in one write.
"""

import asyncio
import json
import socket
import struct
import urllib.parse
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus

MAX_HEAD = 64 * 1024          # a request head; real clients stay under 8 KiB
MAX_BODY = 4 * 1024 * 1024    # a request body; token requests are under 64 KiB
READ_DEADLINE = 30.0          # seconds from the first byte of a request to its last
ENDLESS_PIECE = b" " * 65536  # what an endless body is made of: white space, legal before and after JSON
YIELD_EVERY = 64              # interim answers: so often the peer may be seen to leave


class BadRequest(Exception):
    """The peer does not speak HTTP/1.1 as we read it."""


@dataclass
class Request:
    method: str
    target: str
    headers: dict           # lower-case names; repeated fields joined by ", "
    body: bytes
    serial: int             # of the connection
    nth: int                # which request on this connection, from 1
    certificate: dict | None = None

    def __post_init__(self):
        path, _, query = self.target.partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = urllib.parse.parse_qsl(query, keep_blank_values=True)

    def header(self, name, default=""):
        return self.headers.get(name, default)


@dataclass
class Response:
    """An answer. `payload` (made JSON when sent) holds `token`, the object with the OAuth fields, somewhere inside."""
    status: int = 200
    headers: list = field(default_factory=list)
    body: bytes = b""
    payload: dict | None = None
    token: dict | None = None
    content_type: str | None = None

    def rendered(self):
        return json.dumps(self.payload).encode() if self.payload is not None else self.body

    def type(self):
        if self.content_type:
            return self.content_type
        return "application/json" if self.payload is not None else "text/html; charset=utf-8"


@dataclass
class Wire:
    """How an answer is sent. Everything at rest means: correctly."""
    drop: str | None = None            # "rst", "fin" or "tls" (close_notify, then FIN): send nothing and go
    drop_after_bytes: int | None = None
    how: str = "rst"                   # how drop_after_bytes goes
    length_delta: int = 0              # added to Content-Length
    drip_interval: float | None = None  # seconds between the bytes of the body
    drip_bytes: int = 1
    slow_head_interval: float | None = None
    garbage: bytes | None = None       # instead of the status line
    continues: int = 0                 # so many "100 Continue" first
    endless: bool = False
    chunked: bool = False
    size_line: str | None = None       # instead of the chunk's size
    close: bool = False                # answer "Connection: close"
    close_after: float | None = None   # seconds after the answer, close without a word
    date_offset: float = 0.0


class Lost(Exception):
    """The connection ended before the whole answer was sent."""


class Protocol(asyncio.StreamReaderProtocol):
    """Tells, besides what streams do, when the connection is gone: a hung request must notice."""

    def __init__(self, serve, loop):
        self.gone = asyncio.Event()
        reader = asyncio.StreamReader(limit=MAX_HEAD, loop=loop)
        super().__init__(reader, lambda reader, writer: serve(reader, writer, self.gone), loop=loop)

    def connection_lost(self, exc):
        self.gone.set()
        super().connection_lost(exc)


class Connection:
    """One accepted connection: reads requests, sends answers."""

    def __init__(self, reader, writer, gone, serial, idle):
        self.reader, self.writer, self.serial, self.idle = reader, writer, serial, idle
        self.gone = gone    # set when the peer went away
        self.nth = 0

    async def read(self):
        """The next request, or None when the peer is done or silent for too long."""
        try:
            async with asyncio.timeout(self.idle):
                first = await self.reader.read(1)
        except (TimeoutError, ConnectionError):
            return None
        if not first:
            return None
        try:
            async with asyncio.timeout(READ_DEADLINE):
                return await self._read_rest(first)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ConnectionError) as error:
            raise BadRequest(str(error)) from error

    async def _read_rest(self, first):
        head = first + await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")[:-2]
        parts = lines[0].split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1.") or not parts[1].startswith("/"):
            raise BadRequest("request line")
        headers = self._headers(lines[1:])
        self.nth += 1
        body = await self._body(headers)
        return Request(parts[0], parts[1], headers, body, self.serial, self.nth,
                       self.writer.get_extra_info("peercert") or None)

    @staticmethod
    def _headers(lines):
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequest("header line")
            name, value = name.lower(), value.strip()
            if name in headers and name in ("content-length", "host", "authorization", "content-type"):
                raise BadRequest(f"{name} twice")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    async def _body(self, headers):
        if headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
                raise BadRequest("framing")
            return await self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            raise BadRequest("Content-Length")
        return await self.reader.readexactly(int(length))

    async def _chunks(self):
        body = b""
        while True:
            size_line = await self.reader.readuntil(b"\r\n")
            try:
                size = int(size_line.split(b";")[0], 16)
            except ValueError as error:
                raise BadRequest("chunk size") from error
            if size < 0 or len(body) + size > MAX_BODY:
                raise BadRequest("body too large")
            if size == 0:
                while await self.reader.readuntil(b"\r\n") != b"\r\n":
                    pass
                return body
            body += await self.reader.readexactly(size)
            if await self.reader.readexactly(2) != b"\r\n":
                raise BadRequest("chunk end")

    async def send(self, request, response, wire, now):
        """Sends the answer as the plan says. True: the connection may be kept. Raises Lost."""
        if wire.drop:
            await self.leave(wire.drop)
            raise Lost("dropped")
        body = b"" if request.method == "HEAD" else response.rendered()
        keep = self._may_keep(request) and not (wire.close or wire.endless or wire.length_delta or wire.garbage
                                                  or wire.size_line)
        head = self._head(request, response, wire, now, len(body), keep)
        try:
            await self._transmit(head, body, wire)
        except (ConnectionError, asyncio.CancelledError) as error:
            raise Lost(type(error).__name__) from error
        if self.gone.is_set():
            raise Lost("the peer was gone")
        if wire.close_after is not None:
            await asyncio.sleep(wire.close_after)
            return False
        return keep

    @staticmethod
    def _may_keep(request):
        if request is None:
            return False
        return "close" not in request.header("connection").lower()

    def _head(self, request, response, wire, now, length, keep):
        phrase = HTTPStatus(response.status).phrase if response.status in HTTPStatus._value2member_map_ else "Unknown"
        first = wire.garbage or f"HTTP/1.1 {response.status} {phrase}".encode()
        lines = [f"Date: {formatdate(now + wire.date_offset, usegmt=True)}", "Server: practice-provider",
                 f"Content-Type: {response.type()}"]
        if wire.chunked:
            lines.append("Transfer-Encoding: chunked")
        elif not wire.endless:
            lines.append(f"Content-Length: {length + wire.length_delta}")
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines.append(f"Connection: {'keep-alive' if keep else 'close'}")
        return first + b"\r\n" + "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"

    async def _transmit(self, head, body, wire):
        for i in range(wire.continues):
            await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if i % YIELD_EVERY == 0:
                await asyncio.sleep(0)   # see below
        if wire.size_line is not None:
            body = wire.size_line.encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
        elif wire.chunked:
            body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        if wire.drop_after_bytes is not None:
            await self._write((head + body)[:wire.drop_after_bytes])
            await self.leave(wire.how)
            raise Lost(f"dropped after {wire.drop_after_bytes} bytes")
        if wire.slow_head_interval is None and wire.drip_interval is None and not wire.endless:
            await self._write(head + body)
            return
        await self._pieces(head, wire.slow_head_interval, 1)
        await self._pieces(body, wire.drip_interval, wire.drip_bytes)
        while wire.endless and not self.reader.at_eof():
            await self._write(ENDLESS_PIECE)
            await asyncio.sleep(0)   # drain() need not yield, and a peer that left is only learnt of by others' turns
        if wire.endless:
            raise ConnectionResetError("the peer left")

    async def _pieces(self, data, interval, size):
        if interval is None:
            await self._write(data)
            return
        for i in range(0, len(data), size):
            await self._write(data[i:i + size])
            try:
                await asyncio.wait_for(self.gone.wait(), interval)
            except TimeoutError:
                continue
            raise ConnectionResetError("the peer left")

    async def _write(self, data):
        if self.gone.is_set():
            raise ConnectionResetError("the peer left")
        self.writer.write(data)
        await self.writer.drain()

    async def leave(self, how):
        """Ends the connection: "rst" resets it, "fin" ends TCP without a TLS close, "tls" closes in good order."""
        transport = self.writer.transport
        if how == "tls":
            self.writer.close()
            return
        raw = self.writer.get_extra_info("socket")
        if how == "rst":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            await asyncio.sleep(0)  # lets what was written reach the kernel before the half is shut
            duplicate = socket.fromfd(raw.fileno(), raw.family, raw.type)
            try:
                duplicate.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            finally:
                duplicate.close()
        transport.abort()
