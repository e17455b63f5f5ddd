"""Owns how a file leaves its name in the delayed directory: checked before and after, one system call a step."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

from lonc.delayed.names import companion, numbered
from lonc.delayed.results import DoneKind, Identity, is_that
from lonc.system.files import Files, kind_of, write_all

CHOICES = 10_000  # names tried for one file; each costs a system call


def facts_of(files: Files, path: str) -> os.stat_result | None:
    """Return the facts about what lies at path, a link itself; None: nothing does. OSError: not to be known."""
    try:
        return files.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def take(files: Files, src: str, dst: str, identity: Identity, peer: str) -> DoneKind:
    """Rename src to dst if it is the file with this identity: MOVED, else REPLACED (it stays), or GONE.

    A file that takes the name between the look and the rename goes back to it. OSError: nothing was moved.
    dst must be free or may be lost.
    """
    facts = facts_of(files, src)
    if facts is None:
        return DoneKind.GONE
    if not _is(facts, identity):
        return DoneKind.REPLACED
    try:
        files.rename(src, dst)
    except FileNotFoundError:
        return DoneKind.GONE
    if _is(files.lstat(dst), identity):
        return DoneKind.MOVED
    put_back(files, dst, src, peer)
    return DoneKind.REPLACED


def put_back(files: Files, path: str, wanted: str, peer: str) -> str:
    """Give a message that lies at path a name under which it is sent, `wanted` if it is free; return that name."""
    facts = files.lstat(path)
    folder = os.path.dirname(wanted)
    for n in range(CHOICES):
        # a standard name of its own time, so that it keeps about its place
        target = wanted if n == 0 else os.path.join(folder, f"{int(facts.st_mtime)}.{n}.0.restored.{peer}")
        if facts_of(files, target) is None:
            files.rename(path, target)
            return os.path.basename(target)
    raise OSError(errno.EEXIST, "no free name to put it back", path)


def _is(facts: os.stat_result, identity: Identity) -> bool:
    """Return whether it is that file; of anything but files only the inode counts, nothing is ever read there."""
    if stat.S_ISREG(facts.st_mode):
        return is_that(facts, identity)
    return (facts.st_dev, facts.st_ino) == identity[:2]


@dataclass(frozen=True, slots=True)
class Shelved:
    """What became of a file that was to be set aside: where (`corrupt/NAME`), and whether with its companion."""

    kind: DoneKind
    where: str = ""
    with_companion: bool = False


class Shelf:
    """One directory of files set aside, each with a companion that says why: rejected/ or corrupt/."""

    def __init__(self, files: Files, directory: str, name: str, suffix: str, peer: str) -> None:
        self._files = files
        self._directory = directory
        self._name = name
        self._suffix = suffix
        self._peer = peer

    def put(self, name: str, identity: Identity, text: bytes) -> Shelved:
        """Move directory/name here with `text` beside it. OSError: the file stays where it was.

        The companion comes first: a crash after it leaves a message that is sent again, never one that is lost.
        It also reserves the name against other peers' children. A companion that cannot be written (a full
        disk) or named (files.md 8) does not keep the file in the queue: moving it needs no space.
        """
        self._make()
        taken, beside = self._reserve(name, text)
        path = os.path.join(self._directory, self._name, taken)
        try:
            kind = take(self._files, os.path.join(self._directory, name), path, identity, self._peer)
        except OSError:
            self._forget(beside)
            raise
        if kind is not DoneKind.MOVED:
            self._forget(beside)
            return Shelved(kind)
        return Shelved(kind, f"{self._name}/{taken}", beside is not None)

    def _make(self) -> None:
        """Make the directory, 0700, if there is none; one that is there is kept as it is."""
        path = os.path.join(self._directory, self._name)
        try:
            self._files.mkdir(path, 0o700)
        except FileExistsError:
            mode = self._files.lstat(path).st_mode
            if not stat.S_ISDIR(mode):
                raise NotADirectoryError(errno.ENOTDIR, f"not a directory but {kind_of(mode)}", path) from None

    def _reserve(self, name: str, text: bytes) -> tuple[str, str | None]:
        """Return a free name here and the path of its companion, written; None when it could not be."""
        for n in range(1, CHOICES):
            taken = numbered(name, n)
            path = os.path.join(self._directory, self._name, taken)
            if facts_of(self._files, path) is not None:
                continue
            beside = companion(taken, self._suffix)
            if beside is None:
                return taken, None
            with suppress(FileExistsError):
                return taken, self._write(os.path.join(self._directory, self._name, beside), text)
        raise OSError(errno.EEXIST, "no free name", os.path.join(self._directory, self._name, name))

    def _write(self, path: str, text: bytes) -> str | None:
        """Write a new file; return its path, None when it could not be written. Raises FileExistsError."""
        try:
            fd = self._files.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise
        except OSError:
            return None
        try:
            try:
                write_all(self._files, fd, text)
            finally:
                self._files.close(fd)
        except OSError:
            self._forget(path)
            return None
        return path

    def _forget(self, path: str | None) -> None:
        """Remove a companion that is not needed; one that stays is a legal state (alone in its directory)."""
        if path is not None:
            with suppress(OSError):
                self._files.unlink(path)
