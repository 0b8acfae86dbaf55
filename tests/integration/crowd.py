"""Many callers at once in one thread: each has its own connection, all ask at the same moment."""

import selectors
import socket
import time

from harness import Answer


class Caller:
    """One connection with one request under way."""

    def __init__(self, path, request, blocking=False):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.socket.setblocking(blocking)
        self.request = request.encode()
        self.received = b""
        self.sent_at = self.answered_at = None

    def send(self):
        self.sent_at = time.time()
        self.socket.sendall(self.request)   # a request is smaller than any socket buffer

    def read(self):
        """Takes what is there; True when the answer is whole or the peer is gone."""
        try:
            got = self.socket.recv(65536)
        except BlockingIOError:
            return False
        self.received += got
        if not got or self._whole():
            self.answered_at = time.time()
            return True
        return False

    def _whole(self):
        head, found, body = self.received.partition(b"\r\n\r\n")
        return bool(found) and len(body) >= int(headers_of(head)[1].get("content-length", 0))

    def answer(self):
        """None if the connection ended without one."""
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return None
        status, headers = headers_of(head)
        return Answer(status, headers, body)


def headers_of(head):
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines[1:])
    return int(lines[0].split(" ")[1]), {k.strip().lower(): v.strip() for k, v in pairs}


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def post(path, body=""):
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def connect_all(path, requests):
    return [Caller(path, request) for request in requests]


def send_all(callers):
    for caller in callers:
        caller.send()


def gather(callers, timeout=60.0):
    """Waits for all answers; closes all connections."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for caller in callers:
            selector.register(caller.socket, selectors.EVENT_READ, caller)
        left = len(callers)
        while left and time.monotonic() < deadline:
            for key, _ in selector.select(deadline - time.monotonic()):
                if key.data.read():
                    selector.unregister(key.fileobj)
                    left -= 1
    for caller in callers:
        caller.socket.close()
    if left:
        raise AssertionError(f"{left} of {len(callers)} callers had no answer within {timeout} s")
    return [caller.answer() for caller in callers]


def ask_all(path, requests, timeout=60.0):
    """All at once; the answers in the order of the requests."""
    callers = connect_all(path, requests)
    send_all(callers)
    return gather(callers, timeout)
