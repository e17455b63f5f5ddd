"""Owns the deletion of answered messages: never of another file, and on the disk soon enough."""

from __future__ import annotations

import os
from collections.abc import Iterable

from lonc.delayed.lock import FlushLock
from lonc.delayed.moving import take
from lonc.delayed.results import DoneKind, Message
from lonc.system.files import Files, sync_directory

SYNC_EVERY = 64  # deletions; after a power cut these may be sent again (P3)


class Remover:
    """Deletes by way of the lock's `.sent` name, so that what replaced a message in that moment is not lost."""

    def __init__(self, files: Files, directory: str, lock: FlushLock, peer: str) -> None:
        self._files = files
        self._directory = directory
        self._prefix = os.path.join(directory, "")
        self._lock = lock
        self._peer = peer
        self._unsynced = 0
        self._cut_short: list[Message] = []  # one of these may lie at `.sent`

    def remove(self, message: Message) -> DoneKind:
        """Delete the message's file: DELETED, REPLACED (nothing deleted) or GONE. OSError: try again later."""
        if self._cut_short:
            self.repair()
        try:
            path = self._prefix + message.name
            kind = take(self._files, path, self._lock.sent_path, message.identity, self._peer)
            if kind is DoneKind.MOVED:
                self._files.unlink(self._lock.sent_path)
                kind = DoneKind.DELETED
        except OSError:
            self._cut_short.append(message)
            raise
        self.count()
        return kind

    def count(self) -> None:
        """Note that a name went away; every 64 of them the directory is synced. A failed sync is tried again."""
        self._unsynced += 1
        if self._unsynced >= SYNC_EVERY:
            self.sync()

    def sync(self) -> str:
        """Return when all that was removed is off the disk, with why not ("" when it is)."""
        if self._unsynced == 0:
            return ""
        try:
            sync_directory(self._files, self._directory)
        except OSError as error:
            return str(error)
        self._unsynced = 0
        return ""

    def repair(self) -> None:
        """Finish a deletion that an error cut short. OSError: still not possible."""
        if self._cut_short:
            self._lock.repair([(message.name, message.identity) for message in self._cut_short])
            self._cut_short.clear()

    def note(self, on_their_way: Iterable[Message]) -> None:
        """Write the lock's note; a deletion cut short is named as well, so that a successor can finish it."""
        self._lock.note([*self._cut_short, *on_their_way])
