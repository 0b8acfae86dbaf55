"""Mounts and a network of this process's own, by the system calls that Python 3.11 does not have.

Both end with the process, however it ends: nothing is left mounted, and nothing that runs in it reaches a network.
"""

import ctypes
import fcntl
import os
import socket
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 1 << 18
SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1


def _check(status):
    if status != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def own_mounts():
    """From here on mounts of this process are nobody else's. For the main thread, before others start."""
    _check(LIBC.unshare(CLONE_NEWNS))
    _check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))


def own_network():
    """From here on this process and its children have a loopback interface and nothing else."""
    _check(LIBC.unshare(CLONE_NEWNET))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP | IFF_RUNNING) + bytes(14))


def mount_overlay(lower, upper, work, target, volatile=False):
    """lower: directories, the topmost first. volatile: nothing is synced, for what is worthless when half done."""
    options = f"lowerdir={':'.join(lower)},upperdir={upper},workdir={work}" + (",volatile" if volatile else "")
    _check(LIBC.mount(b"overlay", target.encode(), b"overlay", 0, options.encode()))


def mount_tmpfs(target):
    _check(LIBC.mount(b"tmpfs", target.encode(), b"tmpfs", 0, b"mode=0755"))


def bind(source, target):
    _check(LIBC.mount(source.encode(), target.encode(), None, MS_BIND, None))


def unmount(target):
    """Also what is mounted below it, and at once for this process, though somebody may be in it still."""
    _check(LIBC.umount2(target.encode(), MNT_DETACH))


def die_with_parent(signal_number):
    """For preexec_fn: the kernel ends this process when its parent has ended."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
