"""Owns how an operator takes messages out of the queue of a peer whose child may be sending them right now.

A child keeps the flush lock for its whole life, so an operator cannot wait for it. He says that he is there,
and both look at what the other has said, each after having said his own:

    operator   makes and locks D/.move-PEER~; then reads the note of the flush lock
    child      writes the note; then looks for D/.move-PEER~, and sends only if nobody holds it

So of both at least one sees the other. A child that sees the operator sends nothing until he is gone; an operator
who finds a message in the note leaves it alone, or waits for its reply. Without a child he takes the flush lock.

States on the disk: no D/.move-PEER~; one that is locked, an operator at work; one that is not, left by an operator
who was killed: the next child or operator removes it. Only the holder of its lock ever removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lonc.delayed.lock import FlushLock
from lonc.delayed.moving import facts_of
from lonc.delayed.names import Owner
from lonc.delayed.results import Identity
from lonc.system.files import Files, open_regular

POLL_S = 0.01
OTHERS_S = 10.0  # so long an operator waits for another one


def claim_path(directory: str, peer: str) -> str:
    """Return the file that an operator locks; its last character keeps it from ending in an id."""
    return os.path.join(directory, f".move-{peer}~")


def is_claimed(files: Files, path: str) -> bool:
    """Return whether an operator is at work at this moment. One system call when none is.

    What a dead one has left is removed. OSError: it cannot be known; then nothing should be sent.
    """
    if facts_of(files, path) is None:
        return False
    try:
        fd = open_regular(files, path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _in_place(files, fd, path):
            return True  # another one has come in between: look again later
        files.unlink(path)
    except BlockingIOError:
        return True
    finally:
        files.close(fd)
    return False


class Claim:
    """What an operator knows who has said that he is there; made by claimed().

    possibly_double: messages that a killed child was sending; they may have been sent.
    """

    def __init__(self, lock: FlushLock, possibly_double: tuple[str, ...]) -> None:
        self.possibly_double = possibly_double
        self._lock = lock

    def in_flight(self, name: str, identity: Identity, limit_s: float) -> bool:
        """Return whether a child still waits for the reply to this very file, after limit_s seconds at most."""
        until = time.monotonic() + limit_s
        while (name, identity) in self._noted():
            if time.monotonic() >= until:
                return True
        return False

    def _noted(self) -> list[tuple[str, Identity]]:
        """Return what a child says is on its way, read twice alike: a note may be read while it is written.

        It takes POLL_S at least while a child is there.
        """
        if self._lock.fd >= 0:
            return []  # nobody sends
        before = self._lock.noted()
        while True:
            time.sleep(POLL_S)
            noted = self._lock.noted()
            if noted == before:
                return noted
            before = noted


@contextmanager
def claimed(files: Files, directory: str, peer: str, owner: Owner) -> Iterator[Claim]:
    """Keep the child of a peer from sending delayed messages meanwhile. OSError: that is not possible.

    To be held for moments: clients of that peer wait for the messages (and go on after some seconds).
    """
    path = claim_path(directory, peer)
    fd = _take(files, path)
    lock = FlushLock(files, directory, peer, owner)
    try:
        answer = lock.take()
        if not answer.taken and answer.detail:
            raise OSError(errno.EACCES, answer.detail)
        yield Claim(lock, answer.possibly_double)
    finally:
        # What fails here changes nothing of what was done; a file that stays is not locked, and so means nothing.
        for give_back in (lock.close, lambda: files.unlink(path), lambda: files.close(fd)):
            with suppress(OSError):
                give_back()


def _take(files: Files, path: str) -> int:
    """Return the descriptor of the locked file, which lies at path."""
    until = time.monotonic() + OTHERS_S
    while True:
        fd = open_regular(files, path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _in_place(files, fd, path):
                return fd
        except BlockingIOError:
            pass  # another operator, or a child that has just looked
        except BaseException:
            files.close(fd)
            raise
        files.close(fd)
        if time.monotonic() >= until:
            raise OSError(errno.EBUSY, "another operator is moving messages of this peer", path)
        time.sleep(POLL_S)


def _in_place(files: Files, fd: int, path: str) -> bool:
    mine, there = files.fstat(fd), facts_of(files, path)
    return there is not None and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
