"""The daemon in a mount namespace of its own, with names, addresses and a journal that the test makes up. Needs root."""

import os
import socket
import struct
import subprocess
import threading

from harness import Daemon

# The arguments: resolv.conf, hosts, the journal's folder, then the program.
ENTER = ('mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && mount -t tmpfs tmpfs /run && '
         'mkdir -p /run/systemd/journal && mount --bind "$3" /run/systemd/journal && shift 3 && exec "$@"')
# How long the system's resolver waits, in all 60 s: longer than an exchange may take. More than 30 s at a time it takes for 30.
PATIENCE, TRIES = 30, 2


class Elsewhere(Daemon):
    """Names: localhost is ::1 and 127.0.0.1; nowhere.invalid does not exist, of ill.invalid the name server cannot tell,
    for silent.invalid it never answers. Records go to `journal`."""

    def __init__(self, **options):
        super().__init__(**options)
        self.names = Names()
        self.journal = Journal(self.place("journal"))
        self.write("resolv.conf", f"nameserver {self.names.address}\noptions timeout:{PATIENCE} attempts:{TRIES}\n")
        self.write("hosts", "::1 localhost\n127.0.0.1 localhost\n")

    def spawn(self):
        with open(self.log_path, "ab") as log:
            told = os.fstat(log.fileno())
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "enter", self.place("resolv.conf"),
                 self.place("hosts"), self.place("journal"), *self.arguments("--log-level", self.log_level)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env={**os.environ, "JOURNAL_STREAM": f"{told.st_dev}:{told.st_ino}"})
        return self

    def close(self):
        super().close()
        self.names.close()
        self.journal.close()


class Journal:
    """Where sd_journal_send() ends: FOLDER/socket. records: dicts of fields, in order."""

    def __init__(self, folder):
        os.mkdir(folder, 0o755)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(os.path.join(folder, "socket"))
        self.records = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while data := self.socket.recv(1 << 20):
            self.records.append(fields_of(data))

    def of(self, **wanted):
        return [r for r in self.records if all(r.get(k) == v for k, v in wanted.items())]

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()


def fields_of(data):
    """The journal's native protocol: NAME=value and a new line, or NAME, a new line, 64 bits of length, the value."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = struct.unpack_from("<Q", rest)[0]
            value, rest = rest[8:8 + size], rest[8 + size + 1:]
        fields[name.decode()] = value.decode(errors="replace")
        data = rest
    return fields


class Names:
    """A name server on an address of loopback that nobody else uses."""

    PORT = 53   # resolv.conf(5) knows no other
    CODES = {"nowhere": 3, "ill": 2}   # RFC 1035, 4.1.1: name error, server failure

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        pid = os.getpid()
        for third in range(256):
            self.address = f"127.{77 + pid % 100}.{(pid // 100 + third) % 256}.53"
            try:
                self.socket.bind((self.address, self.PORT))
                break
            except OSError:
                continue
        else:
            raise RuntimeError("no address is free for a name server")
        self.asked = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            if len(query) < 13:
                return   # close() said so
            name = query[13:13 + query[12]].decode(errors="replace").lower()
            self.asked.append(name)
            code = self.CODES.get(name)
            if code is not None:
                end = query.index(b"\0", 12) + 5
                self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 0, 0, 0) + query[12:end], peer)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"end", (self.address, self.PORT))
        self.thread.join(10)
        self.socket.close()
