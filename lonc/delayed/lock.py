"""Owns the flush lock of one peer and the note in it: which messages are on their way right now.

The note is overwritten with one call before a message is sent and needs no sync: what a killed process wrote
is in the kernel. Lines NAME TAB DEVICE:INODE:SIZE:MTIME_NS; the first empty line ends it, and what follows is
left from longer ones. A note cut short or damaged names fewer messages; nothing that must be right depends on it:
a message is deleted only when it lies at the place of those being deleted, and is named here as well.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress

from lonc.delayed.moving import facts_of, put_back
from lonc.delayed.names import Owner
from lonc.delayed.results import Identity, LockAnswer, Message, identity_of
from lonc.system.files import Files, open_regular

NOTE_LIMIT = 1 << 20
NUMBER_DIGITS = 20  # of 64 bits


class FlushLock:
    """delayed/.lock-PEER: held from take() to the end of the process, also across its crash never longer.

    A child that forks must close `fd` there (-1: not held): the lock lives as long as any copy of it.
    """

    def __init__(self, files: Files, directory: str, peer: str, owner: Owner) -> None:
        self.fd = -1
        self._owner = owner
        self._files = files
        self._directory = directory
        self._peer = peer
        self._path = os.path.join(directory, f".lock-{peer}")
        # The last character keeps it from ending in an id: the originals look at names with a dot in front too.
        self.sent_path = os.path.join(directory, f".sent-{peer}~")

    def take(self) -> LockAnswer:
        """Take the lock without waiting and repair what a predecessor left; taken also when held already.

        A missing directory is made, 0700. Not taken: held by another process (no detail), or not to be had
        (detail says why); then nothing is sent, and the messages stay.
        """
        if self.fd >= 0:
            return LockAnswer(True)
        try:
            fd = self._open()
        except OSError as error:
            return LockAnswer(False, detail=str(error))
        try:
            self._files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._in_place(fd):
                raise OSError(errno.ESTALE, "the lock file was replaced", self._path)
            noted = self._read(fd)
            self.repair(noted)
            double = tuple(name for name, identity in noted if self._lies(name, identity))
        except OSError as error:
            self._files.close(fd)
            return LockAnswer(False, detail="" if error.errno == errno.EWOULDBLOCK else str(error))
        self.fd = fd
        return LockAnswer(True, double)

    def note(self, messages: Iterable[Message]) -> None:
        """Write down which messages are on their way. A full disk keeps none from being sent (P25)."""
        if self.fd >= 0:
            lines = "".join([_noted(message) for message in messages])
            with suppress(OSError):  # then a crash now makes a double that is not told
                self._files.pwrite(self.fd, os.fsencode(lines + "\n")[:NOTE_LIMIT], 0)

    def noted(self) -> list[tuple[str, Identity]]:
        """Return what the note says at this moment, whoever holds the lock; nothing when there is no note."""
        try:
            fd = open_regular(self._files, self._path, os.O_RDONLY)
        except FileNotFoundError:
            return []
        try:
            return self._read(fd)
        finally:
            self._files.close(fd)

    def close(self) -> None:
        """Give the lock back; no error when it is not held."""
        if self.fd >= 0:
            self._files.close(self.fd)
            self.fd = -1

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT
        try:
            return open_regular(self._files, self._path, flags, 0o600)
        except FileNotFoundError:
            self._files.mkdir(self._directory, 0o700)
            return open_regular(self._files, self._path, flags, 0o600)

    def _in_place(self, fd: int) -> bool:
        """Return whether the locked file is the one at the path: another could be locked by another process."""
        mine, there = self._files.fstat(fd), facts_of(self._files, self._path)
        return there is not None and (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)

    def _read(self, fd: int) -> list[tuple[str, Identity]]:
        noted = []
        text = os.fsdecode(self._files.pread(fd, NOTE_LIMIT, 0))
        for line in f"\n{text}".partition("\n\n")[0].split("\n"):
            name, _, facts = line.partition("\t")
            numbers = facts.split(":")
            facts_are_numbers = len(numbers) == 4 and all(_is_number(n) for n in numbers)
            # A block that a power cut has left is full of NULs, which no system call takes in a name.
            if facts_are_numbers and not {"/", "\0"}.intersection(name) and self._owner.mine(name):
                noted.append((name, Identity(*map(int, numbers))))
        return noted

    def repair(self, noted: list[tuple[str, Identity]]) -> None:
        """Finish or undo a deletion that was cut short; noted: what it can have been. Only under the lock."""
        facts = facts_of(self._files, self.sent_path)
        if facts is None:
            return
        if any(identity == identity_of(facts) for _, identity in noted):
            self._files.unlink(self.sent_path)  # it was answered: only then is a file brought here
            return
        wanted = next((name for name, _ in noted), f"{int(facts.st_mtime)}.0.0.restored.{self._peer}")
        put_back(self._files, self.sent_path, os.path.join(self._directory, wanted), self._peer)

    def _lies(self, name: str, identity: Identity) -> bool:
        facts = facts_of(self._files, os.path.join(self._directory, name))
        return facts is not None and identity_of(facts) == identity


def _is_number(text: str) -> bool:
    """Return whether it is a number of an identity; int() of thousands of digits is an error."""
    return text.isascii() and text.isdigit() and len(text) <= NUMBER_DIGITS


def _noted(message: Message) -> str:
    device, inode, size, mtime_ns = message.identity
    return f"{message.name}\t{device}:{inode}:{size}:{mtime_ns}\n"
