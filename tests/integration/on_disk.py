"""What is on the daemon's disk, read from a copy once it has ended, so that nothing is disturbed.

Only the frame is read (rows, and whether a whole answer lies in a rotation's slot); the contents are sealed.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import struct
import tempfile

FILE_HEADER = struct.Struct("=8sII")       # magic, slots, bytes a slot
SLOT_HEADER = struct.Struct("=8sII16s")    # magic, id, size, checksum
FIRST_SLOT = 4096
INDEX_MASK = 0xFF
STORED = ("state.db", "state.db-wal", "answers.slots")


def answered(path, slot):
    """Does a whole answer for this slot id lie in the file?"""
    with open(path, "rb") as slots:
        _, count, size = FILE_HEADER.unpack(slots.read(FILE_HEADER.size))
        if slot & INDEX_MASK >= count:
            return False
        slots.seek(FIRST_SLOT + (slot & INDEX_MASK) * size)
        magic, identifier, length, checksum = SLOT_HEADER.unpack(slots.read(SLOT_HEADER.size))
        if magic != b"CSANSWR1" or identifier != slot or length > size:
            return False
        covered = struct.pack("=II", identifier, length) + slots.read(length)
        return hashlib.blake2b(covered, digest_size=16).digest() == checksum


@contextlib.contextmanager
def database(state):
    """A copy of the database, with the slots beside it: (connection, path of the slots)."""
    with tempfile.TemporaryDirectory(prefix="credsync-copy-") as copy:
        for name in STORED:
            if os.path.exists(os.path.join(state, name)):
                shutil.copy(os.path.join(state, name), copy)
        connection = sqlite3.connect(os.path.join(copy, "state.db"))
        try:
            yield connection, os.path.join(copy, "answers.slots")
        finally:
            connection.close()


def rows(state, query):
    with database(state) as (connection, _):
        return connection.execute(query).fetchall()


def intents(state):
    """{account: True if its answer is on the disk} of the rotations that were under way."""
    with database(state) as (connection, slots):
        found = connection.execute("SELECT account, slot FROM intents").fetchall()
        return {account: answered(slots, slot) for account, slot in found}
