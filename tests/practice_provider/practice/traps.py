"""Listeners that are wrong before HTTP begins: certificates and handshakes that a client must refuse or time out on."""

import asyncio

from . import certs
from .wire import Protocol

MAX_TRAPS = 200
# A TLS record: alert (21), TLS 1.2, two bytes: fatal (2), and the code (RFC 8446, 6).
ALERT = b"\x15\x03\x03\x00\x02\x02"
HANDSHAKE_FAILURE = 40


class Traps:
    """Opens ports that behave as `kind` says; each serves the same paths once TLS stands."""

    def __init__(self, world, app):
        self.world, self.app = world, app
        self.open_servers = []
        self.kinds = {
            "wrong_host": lambda _: self._own("wrong-host", ["other.example"]),
            "expired": lambda _: self._own("expired", start=-30, end=-2),
            "not_yet_valid": lambda _: self._own("not-yet-valid", start=2, end=30),
            "other_ca": lambda _: self._other_ca(),
            "self_signed": lambda _: self._self_signed(),
            "tls11": lambda _: self._tls11(),
            "mtls": lambda _: self._mtls(),
        }

    async def open(self, body):
        """{"kind", "seconds"?}: the port and base URL of the trap."""
        kind = body["kind"]
        if len(self.open_servers) >= MAX_TRAPS:
            raise ValueError("too many traps are open")
        if kind in self.kinds:
            server = await self._listen(self.app.serve, self.kinds[kind](body))
        elif kind == "plain":
            server = await self._listen(self.app.serve, None)
        elif kind in ("stall", "late", "reset", "garbage", "alert"):
            seconds, code = float(body.get("seconds", 1.0)), int(body.get("code", HANDSHAKE_FAILURE))
            server = await self._listen(lambda r, w, gone: self._before_tls(r, w, gone, kind, seconds, code), None)
        else:
            raise ValueError(f"kind: {kind!r}; there are: {', '.join(sorted(self.kinds))}, plain, stall, late, reset, garbage, "
                             "alert")
        self.open_servers.append(server)
        port = server.sockets[0].getsockname()[1]
        scheme = "http" if kind == "plain" else "https"
        if kind == "mtls":
            self.world.all_bases |= {f"https://{h}:{port}" for h in ("localhost", "127.0.0.1", "[::1]")}
        return {"kind": kind, "port": port, "base_url": f"{scheme}://127.0.0.1:{port}"}

    async def _listen(self, serve, context):
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: Protocol(serve, loop), "127.0.0.1", 0, ssl=context, backlog=1024)

    async def _before_tls(self, reader, writer, gone, kind, seconds, code):
        """stall: silence for ever; late: then the certificate of another host; reset; garbage or a fatal alert instead of a
        handshake."""
        task = asyncio.current_task()
        self.app.tasks.add(task)
        try:
            if kind == "reset":
                writer.transport.abort()
                return
            if kind == "garbage":
                writer.write(b"220 mail.example ESMTP\r\n" * 4)
            if kind == "alert":
                await reader.read(1)   # the client has spoken: an answer before its hello would be no alert to it
                writer.write(ALERT + bytes([code]))
            if kind == "late":
                writer.transport.pause_reading()   # the client's hello is for TLS, not for the stream
                await asyncio.sleep(seconds)
                await writer.start_tls(self._own("wrong-host", ["other.example"]))
                return await self.app.serve(reader, writer, gone)
            await gone.wait()
        except (ConnectionError, asyncio.CancelledError, OSError):
            pass
        finally:
            self.app.tasks.discard(task)
            writer.close()

    def _own(self, stem, hosts=("localhost",), start=-1, end=30):
        addresses = [] if stem == "wrong-host" else ["127.0.0.1", "::1"]
        return certs.server_context(*self.world.authority.issue(stem, hosts[0], hosts, addresses, start, end))

    def _other_ca(self):
        other = certs.Authority(self.world.directory, "other-ca")
        return certs.server_context(*other.issue("other-server", "localhost", ["localhost"], ["127.0.0.1", "::1"]))

    def _self_signed(self):
        return certs.server_context(*self.world.authority.self_signed("self-signed", "localhost", ["localhost"], ["127.0.0.1", "::1"]))

    def _tls11(self):
        """Nothing newer than TLS 1.1, which OpenSSL still speaks at security level 0."""
        import ssl
        import warnings
        context = self._own("tls11")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        return context

    def _mtls(self):
        """Asks for a client certificate of our CA, and takes connections without one too."""
        import ssl
        context = certs.server_context(*self.world.server_files)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.world.authority.file)
        return context

    def close(self):
        for server in self.open_servers:
            server.close()
