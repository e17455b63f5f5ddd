"""Owns how a message gets into the delayed directory so that, once that is told, no crash loses it.

    .new-NAME~   being written; after a crash a leftover, removed by a later writer when it is an hour old
    NAME         whole, on the disk; its place in the directory is on the disk when put() returns

NAME is TIME.COUNTER.PID.WORD.PEER (spec files.md 8): COUNTER is the microsecond within the second, six digits, so
that the messages of several processes lie in the order in which they were written, also for the originals, which
sort names as text. WORD is the command's first word alone: the original's 16 characters may hold a password.
The temporary name reserves the final one (made with O_EXCL, and renamed only where nothing has that name), so
two writers never have one name, whatever their pids and clocks say.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress

from lonc.config import valid_id
from lonc.delayed.leftovers import give_to_owner_of, remove_leftovers
from lonc.delayed.moving import facts_of
from lonc.delayed.sealing import Keys, SealError
from lonc.errors import LoncError
from lonc.system.clock import Clock
from lonc.system.files import Files, sync_directory, write_all
from lonc.wire.words import ENCRYPT

WORD_CHARACTERS = 16
_NO_WORD = re.compile(rb"[^A-Za-z0-9_]")
_LEFTOVER = r"\.new-.+~"
_CHOICES = 1000  # names tried for one message: taken ones are a rarity


class NotKeptError(LoncError):
    """The message could not be kept; the text says why, without anything of the message."""


class MessageStore:
    """The delayed directory as a writer sees it; one for each thread or process, or one for all of them."""

    def __init__(
        self, directory: str, keys: Keys, *, files: Files, clock: Clock, max_line_bytes: int = 16777216
    ) -> None:
        """max_line_bytes: what is longer lonc would never send, so it is not kept (`encrypt:` is not counted)."""
        self._directory = directory
        self._keys = keys
        self._files = files
        self._clock = clock
        self._max_line_bytes = max_line_bytes
        self._place_is_safe = False  # the directory's own name is on the disk
        self._tidied = False
        self._last = 0

    def put(self, command: bytes, peer: str) -> str:
        """Keep a command for a peer and return the file's name; from then on no crash and no power cut loses it.

        What begins `encrypt:` is sealed first. Raises NotKeptError: it lies nowhere (unless the disk refused to
        take it back as well: then it may still be sent); ValueError when the command is no single line or the
        peer no possible id. A crash in between leaves a leftover, or the whole message.
        """
        if b"\n" in command or not valid_id(peer):
            raise ValueError("a message is one line without its newline, for an id that can be a host's")
        if len(command) - (len(ENCRYPT) if command.startswith(ENCRYPT) else 0) > self._max_line_bytes:
            raise NotKeptError(f"longer than the longest line of {self._max_line_bytes} bytes")
        try:
            line = self._keys.seal(command, peer) if command.startswith(ENCRYPT) else command
        except SealError as error:
            raise NotKeptError(f"it cannot be sealed: {error}") from error
        try:
            name = self._placed(line + b"\n", f"{os.getpid()}.{_word(command)}.{peer}")
        except OSError as error:
            raise NotKeptError(f"{self._directory}: {error.strerror or error}") from error
        if not self._tidied:
            self._tidied = True
            remove_leftovers(self._files, self._clock, self._directory, _LEFTOVER)
        return name

    def _placed(self, data: bytes, ending: str) -> str:
        """Write into the directory, also where somebody has removed it since it was made."""
        try:
            self._make_place()
            return self._write(data, ending)
        except FileNotFoundError:
            self._place_is_safe = False
            self._make_place()
            return self._write(data, ending)

    def _make_place(self) -> None:
        """Make the directory, 0700, where there is none, and be sure of its own name: once in a process's life."""
        if self._place_is_safe:
            return
        above = os.path.dirname(self._directory)
        try:
            self._files.mkdir(self._directory, 0o700)
        except FileExistsError:
            pass
        else:
            fd = self._files.open(os.path.join(self._directory, "."), os.O_RDONLY | os.O_DIRECTORY)
            try:
                give_to_owner_of(self._files, fd, above)
            finally:
                self._files.close(fd)
        # Also when it was there: whoever made it may have died before this.
        sync_directory(self._files, above)
        self._place_is_safe = True

    def _write(self, data: bytes, ending: str) -> str:
        for _ in range(_CHOICES):
            name = f"{self._stamp()}.{ending}"
            fresh = os.path.join(self._directory, f".new-{name}~")
            try:
                fd = self._files.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                continue
            try:
                if self._finish(fd, fresh, os.path.join(self._directory, name), data):
                    return name
            except OSError:
                self._forget(fresh)
                raise
            self._files.unlink(fresh)
        raise OSError(errno.EEXIST, "no free name")

    def _finish(self, fd: int, fresh: str, path: str, data: bytes) -> bool:
        """Write the file and give it its name; False: another message has that name. OSError: it has it not."""
        try:
            give_to_owner_of(self._files, fd, self._directory)
            write_all(self._files, fd, data)
            self._files.fsync(fd)
        finally:
            self._files.close(fd)
        if facts_of(self._files, path) is not None:
            return False
        self._files.rename(fresh, path)
        try:
            sync_directory(self._files, self._directory)
        except OSError:
            # It may not outlive a power cut, so it is not said to be kept, and must not be sent either.
            self._forget(path)
            raise
        return True

    def _stamp(self) -> str:
        """Return `<unix time>.<microsecond>`, later for each message of this process whatever the clock does.

        Two threads may get the same: then the names decide.
        """
        self._last = max(self._last + 1, int(self._clock.wall() * 1e6))
        return f"{self._last // 1_000_000}.{self._last % 1_000_000:06d}"

    def _forget(self, path: str) -> None:
        """Remove what cannot be kept, if that is possible; the caller already has the error that matters."""
        with suppress(OSError):
            self._files.unlink(path)


def _word(command: bytes) -> str:
    """Return what of a command its file's name shows: `put`, and `encrypt` for all that is sealed."""
    return _NO_WORD.sub(b"", command.partition(b":")[0])[:WORD_CHARACTERS].decode()
