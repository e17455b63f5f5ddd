"""Owns what an operator does with single messages: hold, release, retry, drop, move. Nothing is lost or doubled.

Each step is one rename of a file that was looked at before and after it (moving.py); what is in the queue is taken
out under a claim (claim.py), so that no child is sending it. Operators come one after the other: they lock the
delayed directory itself. What a crash in between leaves:

    companion without its message, or the other way round    harmless: the reason or the reply is missing
    a sealed message under its new peer's name, not sealed for him yet    in held/; `move` it again
    D/.new-NAME~    left over, removed by a later writer

A message that is sealed is sealed anew for another peer: first it lies in held/ under its new name, then its
content is replaced, at last it goes to the queue. So at no moment are there two of it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress

from lonc.delayed.claim import claimed
from lonc.delayed.leftovers import give_to_owner_of
from lonc.delayed.moving import CHOICES, facts_of, take
from lonc.delayed.names import Owner, numbered
from lonc.delayed.results import DoneKind
from lonc.delayed.sealing import SEALED, Keys, SealBrokenError, SealError, sealed_size
from lonc.delayed.shelves import Found, Place, companion_of, found_of
from lonc.errors import LoncError
from lonc.system.clock import Clock
from lonc.system.files import Files, kind_of, open_with_facts, read_all, sync_directory, write_all
from lonc.wire.words import ENCRYPT

KEEP_DROPPED_S = 7 * 86400.0
REPLY_S = 5.0  # so long an operator waits for the reply to a message that is on its way
_OTHERS_S = 10.0
_PARTS = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]+)\.([^./]*)\.(.+)", re.DOTALL)


class OperatingError(LoncError):
    """It was not done, for the reason in the text; the message is where it was, unless the text says else."""


class Operator:
    """An operator at the delayed directory. peers: all ids of the table."""

    def __init__(
        self, directory: str, peers: Collection[str], keys: Keys, *, files: Files, clock: Clock,
        max_line_bytes: int = 16777216, reply_s: float = REPLY_S,
    ) -> None:  # fmt: skip
        self.notes: list[str] = []  # what the operator should know besides, for whoever shows it
        self._directory = directory
        self._peers = frozenset(peers)
        self._keys = keys
        self._files = files
        self._clock = clock
        self._max_line_bytes = max_line_bytes
        self._reply_s = reply_s

    # --- verbs ----------------------------------------------------------------------------------------

    def hold(self, one: Found) -> Found:
        """Put a message aside until release(). Raises OperatingError."""
        with self._alone():
            return self._to_shelf(one, Place.HELD)

    def release(self, one: Found) -> Found:
        """Put a message back into the queue of its peer, in its old place of the order. Raises OperatingError."""
        with self._alone():
            self._require_message(one)
            return self._to_queue(one, one.peer)

    def drop(self, one: Found) -> Found:
        """Take a message away for good; its copy is kept for KEEP_DROPPED_S. Older copies go now."""
        with self._alone():
            self._remove_old_copies()
            return self._to_shelf(one, Place.DROPPED)

    def move(self, one: Found, peer: str) -> Found:
        """Give a message to another peer: to his queue, or held if it was. Raises OperatingError."""
        if peer not in self._peers:
            raise OperatingError(f"{peer} is not in the table of hosts")
        with self._alone():
            if one.peer == peer:
                raise OperatingError(f"{one.label} is for {peer} already")
            line = self._require_message(one)
            sealed = line.startswith(SEALED)
            fresh = self._sealed_anew(line, one, peer) if sealed else b""
            held = self._to_shelf(one, Place.HELD, self._name_for(one, peer))
            if sealed:
                held = self._replace(held, fresh)
            return held if one.place is Place.HELD else self._to_queue(held, peer)

    def read(self, one: Found) -> bytes:
        """Return the one line of a message as it lies there, without its newline. Raises OperatingError."""
        if not one.regular:
            raise OperatingError(f"{one.label} is no file but {kind_of(one.mode)}")
        try:
            fd, facts = open_with_facts(self._files, self._path(one), os.O_RDONLY)
            try:
                data = read_all(self._files, fd, facts.st_size + 1)
            finally:
                self._files.close(fd)
        except OSError as error:
            raise OperatingError(f"{one.label} cannot be read: {error.strerror}") from error
        return data.removesuffix(b"\n")

    def unsealed(self, line: bytes, peer: str) -> tuple[bytes, str]:
        """Return the command that was sealed and the peer it was sealed for, who is mostly `peer`.

        Raises OperatingError: it opens for nobody, or the keys cannot be had.
        """
        why = ""
        for name in dict.fromkeys([peer, *sorted(self._peers)]):
            try:
                return self._keys.unseal(line, name), name
            except SealBrokenError as error:
                why = why or str(error)
            except SealError as error:
                raise OperatingError(f"it cannot be unsealed: {error}") from error
        raise OperatingError(f"it cannot be unsealed: {why}")

    # --- steps ----------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other operators away meanwhile, and turn errors of the system into sentences."""
        try:
            fd = self._files.open(os.path.join(self._directory, "."), os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise OperatingError(f"{self._directory}: {error.strerror}") from error
        try:
            self._lock(fd)
            yield
        except OSError as error:
            raise OperatingError(f"{error.filename or self._directory}: {error.strerror or error}") from error
        finally:
            self._files.close(fd)

    def _lock(self, fd: int) -> None:
        until = time.monotonic() + _OTHERS_S
        while True:
            try:
                self._files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise OperatingError("another operator is moving messages: try again") from None
                time.sleep(0.01)

    def _to_shelf(self, one: Found, place: Place, name: str = "") -> Found:
        """Move a message to a directory of those that are not sent, under a name that is free there."""
        if one.place is place and not name:
            raise OperatingError(f"{one.label} lies there already")
        if stat.S_ISDIR(one.mode):
            raise OperatingError(f"{one.label} is a directory, not a message")
        folder = self._make(place)
        companion, _ = companion_of(self._files, self._directory, one)
        target = next(
            choice for choice in (numbered(name or one.name, n) for n in range(1, CHOICES))
            if facts_of(self._files, os.path.join(folder, choice)) is None
        )  # fmt: skip
        moved = self._rename(one, place, target)
        if companion:
            self._move_companion(one, companion, moved)
        return moved

    def _to_queue(self, one: Found, peer: str) -> Found:
        """Move a message into the queue, under a name that is its peer's and free there."""
        if one.place is Place.DELAYED:
            raise OperatingError(f"{one.label} is in the queue already")
        companion, _ = companion_of(self._files, self._directory, one)
        for choice in self._queue_names(one, peer):
            if facts_of(self._files, os.path.join(self._directory, choice)) is None:
                moved = self._rename(one, Place.DELAYED, choice)
                if companion:
                    self._forget(os.path.join(self._directory, one.place.folder, companion))
                return moved
        raise OSError(errno.EEXIST, "no free name", self._directory)

    def _rename(self, one: Found, place: Place, name: str) -> Found:
        """Move one file; out of the queue only under a claim. Its directories are on the disk afterwards."""
        path = os.path.join(self._directory, place.folder, name)
        if one.place is Place.DELAYED and one.peer:
            owner = Owner(one.peer, self._peers)
            with claimed(self._files, self._directory, one.peer, owner) as claim:
                if claim.in_flight(one.name, one.identity, self._reply_s):
                    raise OperatingError(
                        f"{one.label} is in flight: {one.peer} has it and has not answered; try again later"
                    )
                if one.name in claim.possibly_double:
                    self.notes.append(f"{one.label} may have been sent already, before its child was killed")
                kind = take(self._files, self._path(one), path, one.identity, one.peer)
        else:
            kind = take(self._files, self._path(one), path, one.identity, one.peer)
        if kind is DoneKind.GONE:
            raise OperatingError(f"{one.label} is not there any more: it was sent, or somebody moved it")
        if kind is not DoneKind.MOVED:
            raise OperatingError(f"{one.label} has another content by now: look at it again")
        sync_directory(self._files, os.path.dirname(path))
        sync_directory(self._files, os.path.join(self._directory, one.place.folder))
        return found_of(place, name, self._files.lstat(path), Owner("", self._peers))

    def _move_companion(self, one: Found, companion: str, moved: Found) -> None:
        """Take the reply or the reason along; where it is not possible it is forgotten: the log has it."""
        source = os.path.join(self._directory, one.place.folder, companion)
        if moved.place is Place.DROPPED:
            name = moved.name + companion[len(one.name) :]
            try:
                self._files.rename(source, os.path.join(self._directory, moved.place.folder, name))
                return
            except OSError as error:
                self.notes.append(f"{companion[len(one.name) + 1 :]} of {one.label} is lost: {error.strerror}")
        self._forget(source)

    def _replace(self, one: Found, data: bytes) -> Found:
        """Put another content into a held file, at once and whole."""
        path = self._path(one)
        fresh = os.path.join(self._directory, f".new-{one.name}~")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        fd = self._files.open(fresh, flags, 0o600)
        try:
            try:
                give_to_owner_of(self._files, fd, self._directory)
                write_all(self._files, fd, data)
                self._files.fsync(fd)
            finally:
                self._files.close(fd)
            self._files.rename(fresh, path)
        except OSError:
            self._forget(fresh)
            raise
        sync_directory(self._files, os.path.dirname(path))
        return found_of(one.place, one.name, self._files.lstat(path), Owner("", self._peers))

    # --- names and contents ---------------------------------------------------------------------------

    def _require_message(self, one: Found) -> bytes:
        """Return the line of a file that can be sent; raise OperatingError for any other."""
        line = self.read(one)
        why = "it has more than one line" if b"\n" in line else "" if line else "it is empty"
        if len(line) > sealed_size(self._max_line_bytes + len(ENCRYPT)):
            why = f"it has {len(line)} bytes, more than the longest line of {self._max_line_bytes}"
        if why:
            raise OperatingError(f"{one.label} can be no message: {why}")
        return line

    def _queue_names(self, one: Found, peer: str) -> Iterator[str]:
        """Yield names for the queue of a peer, the message's own first if it is his."""
        if not peer:
            raise OperatingError(f"{one.label} is for a host that is not in the table: `move` it to one that is")
        owner = Owner(peer, self._peers)
        for name in (one.name, re.sub(r"-[0-9]{1,6}\Z", "", one.name)):
            if owner.mine(name):
                yield name
        first = self._name_for(one, peer)
        parts = _PARTS.fullmatch(first)
        assert parts is not None
        for n in range(CHOICES):
            yield f"{parts[1]}.{parts[2]}.{int(parts[3]) + n}.{parts[4]}.{peer}"

    def _name_for(self, one: Found, peer: str) -> str:
        """Return a standard name of the message for a peer, at its own place in the order."""
        parts = _PARTS.fullmatch(one.name)
        if parts is not None:
            return f"{parts[1]}.{parts[2]}.{parts[3]}.{parts[4]}.{peer}"
        return f"{int(one.written)}.0.0.moved.{peer}"

    def _sealed_anew(self, line: bytes, one: Found, peer: str) -> bytes:
        command, sealed_for = self.unsealed(line, one.peer or peer)
        if sealed_for == peer:
            return line + b"\n"
        try:
            return self._keys.seal(command, peer) + b"\n"
        except SealError as error:
            raise OperatingError(f"{one.label} cannot be sealed for {peer}: {error}") from error

    # --- places ---------------------------------------------------------------------------------------

    def _path(self, one: Found) -> str:
        return os.path.join(self._directory, one.place.folder, one.name)

    def _make(self, place: Place) -> str:
        """Return a directory that is there, made 0700 if it was not."""
        folder = os.path.join(self._directory, place.folder)
        try:
            self._files.mkdir(folder, 0o700)
        except FileExistsError:
            mode = self._files.lstat(folder).st_mode
            if not stat.S_ISDIR(mode):
                raise OSError(errno.ENOTDIR, f"not a directory but {kind_of(mode)}", folder) from None
        else:
            sync_directory(self._files, self._directory)
        return folder

    def _remove_old_copies(self) -> None:
        """Remove dropped messages whose week is over. It counts from the rename: that changes their ctime."""
        folder = os.path.join(self._directory, Place.DROPPED.folder)
        try:
            names = self._files.listdir(folder)
        except FileNotFoundError:
            return
        for name in names:
            path = os.path.join(folder, name)
            facts = facts_of(self._files, path)
            if facts is None or stat.S_ISDIR(facts.st_mode):
                continue
            if self._clock.wall() - max(facts.st_ctime, facts.st_mtime) > KEEP_DROPPED_S:
                self._forget(path)

    def _forget(self, path: str) -> None:
        with suppress(OSError):
            self._files.unlink(path)
