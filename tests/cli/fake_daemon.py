"""A daemon on a Unix socket that answers what a test tells it to, and remembers what it was asked."""

import json
import os
import socket
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit


@dataclass
class Request:
    method: str
    path: str
    query: dict
    headers: dict
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict = field(default_factory=dict)


def ok(value, status=200):
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


def problem(name, status, detail, next_step=None, headers=None, **more):
    value = {"type": "urn:credsync:error:" + name, "title": name, "status": status, "detail": detail,
             "next_step": next_step, **more}
    return Answer(status, json.dumps(value).encode(),
                  {"Content-Type": "application/problem+json", **(headers or {})})


class EventFeed:
    """The daemon's side of an event stream: push() sends, close() hangs up."""

    def __init__(self, connection):
        self.connection = connection
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head)

    def push(self, name, data):
        self.raw(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())

    def raw(self, text):
        self.connection.sendall(b"%x\r\n%s\r\n" % (len(text), text))

    def close(self):
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.connection.close()


class FakeDaemon:
    """routes: (method, path) -> Answer, bytes to send as they are, or a callable of the Request that gives one."""

    def __init__(self, path):
        self.path = path
        self.routes = {}
        self.requests = []
        self.feeds = []
        self.changed = threading.Condition()
        self.listener = None
        self.start()

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen(64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def stop(self):
        if self.listener is None:
            return
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.listener = None
        os.unlink(self.path)
        with self.changed:
            feeds, self.feeds = self.feeds, []
        for feed in feeds:
            feed.close()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            request = self._read(connection)
            if request is None:
                connection.close()
                return
            with self.changed:
                self.requests.append(request)
                self.changed.notify_all()
            if request.path == "/v1/events" and ("GET", "/v1/events") not in self.routes:
                feed = EventFeed(connection)
                with self.changed:
                    self.feeds.append(feed)
                    self.changed.notify_all()
                return
            answer = self.routes.get((request.method, request.path))
            if callable(answer):
                answer = answer(request)
            if answer is None:
                answer = problem("no-such-account", 404, "There is no such account.")
            connection.sendall(answer if isinstance(answer, bytes) else self._bytes(answer))
            connection.close()
        except OSError:
            connection.close()

    @staticmethod
    def _bytes(answer):
        headers = {"Content-Length": str(len(answer.body)), "Server": "credsyncd/test", **answer.headers}
        head = f"HTTP/1.1 {answer.status} X\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return head.encode() + b"\r\n" + answer.body

    @staticmethod
    def _read(connection):
        text = b""
        while b"\r\n\r\n" not in text:
            piece = connection.recv(65536)
            if not piece:
                return None
            text += piece
        head, body = text.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
        while len(body) < int(headers.get("content-length", "0")):
            piece = connection.recv(65536)
            if not piece:
                return None
            body += piece
        url = urlsplit(target)
        query = {k: v[0] for k, v in parse_qs(url.query, keep_blank_values=True).items()}
        return Request(method, url.path, query, headers, body)

    def wait_for(self, condition, timeout=60):
        """The first true value of condition(); fails the test after `timeout` seconds."""
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise AssertionError("what the test waits for did not happen")
            return condition()

    def feed(self, number=0):
        self.wait_for(lambda: len(self.feeds) > number)
        return self.feeds[number]
