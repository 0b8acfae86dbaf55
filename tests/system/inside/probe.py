#!/usr/bin/python3
"""A secret's command, which therefore runs under all of the daemon's confinement. Tries what it should not be able to do.

    probe.py REPORT SECRET

Writes what happened to the file REPORT as JSON, {what: "" or the error's name}, and prints SECRET.
"""

import ctypes
import errno
import json
import os
import resource
import socket
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000
PTRACE_ATTACH = 16
PROT_READ, PROT_WRITE, PROT_EXEC, MAP_PRIVATE, MAP_ANONYMOUS = 1, 2, 4, 2, 0x20
PERSONALITY_32 = 8   # PER_LINUX32
AF_VSOCK, AF_ALG, AF_PACKET = 40, 38, 17


def call(function, *arguments):
    """A call of libc that gives -1 at an error."""
    ctypes.set_errno(0)
    if getattr(LIBC, function)(*arguments) in (-1, 0xFFFFFFFF, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), function)


def mapping():
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    call("mmap", None, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)


def write(path):
    def attempt():
        with open(path, "w", encoding="ascii"):
            pass
        os.unlink(path)
    return attempt


def set_user_id():
    path = os.path.join(os.path.dirname(sys.argv[1]), "probe.suid")
    with open(path, "w", encoding="ascii"):
        pass
    try:
        os.chmod(path, 0o4755)
    finally:
        os.unlink(path)


def read(path):
    def attempt():
        with open(path, "rb") as file:
            file.read(1)
    return attempt


ATTEMPTS = {
    **{f"write {path}": write(path) for path in (
        "/etc/credsyncd/probe", "/usr/probe", "/var/lib/probe", "/var/log/probe", "/run/probe", "/run/credsyncd-api/probe", "/probe",
        "/opt/probe", "/var/spool/probe", "/proc/sys/kernel/hostname", "/sys/probe", "/dev/probe", "/var/lib/credsyncd/probe", "/tmp/probe")},
    **{f"list {path}": (lambda path=path: os.listdir(path)) for path in ("/root", "/home/alice")},
    **{f"read {path}": read(path) for path in ("/etc/shadow", "/proc/kmsg", "/proc/kcore", "/dev/kmsg", "/proc/1/environ",
                                              f"/proc/{os.getppid()}/environ", f"/proc/{os.getppid()}/mem")},
    **{f"socket {name}": (lambda family=family, kind=kind: socket.socket(family, kind).close()) for name, family, kind in (
        ("AF_UNIX", socket.AF_UNIX, socket.SOCK_STREAM), ("AF_INET", socket.AF_INET, socket.SOCK_STREAM),
        ("AF_INET6", socket.AF_INET6, socket.SOCK_STREAM), ("AF_NETLINK", socket.AF_NETLINK, socket.SOCK_RAW),
        ("AF_PACKET", AF_PACKET, socket.SOCK_RAW), ("AF_VSOCK", AF_VSOCK, socket.SOCK_STREAM), ("AF_ALG", AF_ALG, socket.SOCK_SEQPACKET),
        ("raw", socket.AF_INET, socket.SOCK_RAW))},
    "attach to the daemon": lambda: call("ptrace", PTRACE_ATTACH, os.getppid(), 0, 0),
    "new user namespace": lambda: call("unshare", CLONE_NEWUSER),
    "new mount namespace": lambda: call("unshare", CLONE_NEWNS),
    "mount": lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
    "become root": lambda: os.setuid(0),
    "set the host name": lambda: call("sethostname", b"probe", 5),
    "set-user-id file": set_user_id,
    "writable and executable memory": mapping,
    "personality": lambda: call("personality", PERSONALITY_32),
    "real-time priority": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "raise the core limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)),
    "signal init": lambda: os.kill(1, 0),
}


def outcome(attempt):
    try:
        attempt()
        return ""
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except ValueError as error:   # Python's own word for EPERM of setrlimit
        return f"ValueError {error}"


if __name__ == "__main__":
    report = {name: outcome(attempt) for name, attempt in ATTEMPTS.items()}
    report["devices"] = sorted(os.listdir("/dev"))
    report["core limit"] = resource.getrlimit(resource.RLIMIT_CORE)
    report["groups"] = [os.getuid(), os.getgid(), *os.getgroups()]
    report["umask"] = os.umask(0o077)
    report["environment"] = sorted(os.environ)
    with open(sys.argv[1], "w", encoding="ascii") as out:
        json.dump(report, out)
    print(sys.argv[2])
