"""Owns a change of a GDBM file as a copy that takes its place, with its line in the journal: both or neither.

What may stand in a user's directory, in the order of a change:
    1  <ns>.db                                     nothing is under way
    2  <ns>.db, .<ns>.new.SIZE.SUM                 a copy, whole or not; SIZE the journal had, SUM of its next line
    3  the same, <ns>.hist with one line more      the copy is whole and synced
    4  <ns>.db (the copy)                          done
Killed in 2 or 3: the next writer deletes the copy and takes the line back out of the journal, if it still is
its last one. Nothing of this was acknowledged.
"""

from __future__ import annotations

import os
import zlib
from typing import Final

from lonc.lond.store.appending import FILE_MODE, append_line
from lonc.system.files import Files, open_regular, sync_directory, write_all

_CHUNK: Final = 1 << 20
_LINE_LIMIT: Final = 1 << 31  # bytes of a journal that are read to find a line to take back


class Change:
    """One change of one namespace; the directory is held by the caller. Every method may raise OSError."""

    def __init__(self, files: Files, folder: str, namespace: str, journal: bytes) -> None:
        self._files = files
        self._folder = folder
        self._journal = journal
        self._data_path = os.path.join(folder, namespace + ".db")
        self._journal_path = os.path.join(folder, namespace + ".hist")
        self._prefix = os.path.join(folder, _prefix(namespace))
        self.fresh = ""  # where the copy is
        self._copied = False
        self._grown_from: int | None = None

    def copy(self) -> None:
        """Make the copy, `fresh`, with the mode of the old file; empty when there is none."""
        files = self._files
        size = _size(files, self._journal_path) if self._journal else 0
        self.fresh = f"{self._prefix}{size}.{zlib.crc32(self._journal)}"
        try:
            old = open_regular(files, self._data_path, os.O_RDONLY)
        except FileNotFoundError:
            files.close(self._create(FILE_MODE))
            return
        try:
            new = self._create(files.fstat(old).st_mode & 0o777)
            try:
                while chunk := files.read(old, _CHUNK):
                    write_all(files, new, chunk)
            finally:
                files.close(new)
        finally:
            files.close(old)

    def _create(self, mode: int) -> int:
        fd = self._files.open(self.fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode | 0o600)
        self._copied = True
        return fd

    def put_in_place(self) -> None:
        """Sync the copy, add the line to the journal, and give the copy its name: durable on return."""
        files = self._files
        if self._copied:
            fd = open_regular(files, self.fresh, os.O_RDONLY)
            try:
                files.fsync(fd)
            finally:
                files.close(fd)
        if self._journal:
            self._grown_from = append_line(files, self._journal_path, self._journal)
        if self._copied:
            files.rename(self.fresh, self._data_path)
            self._copied = False
            self._grown_from = None  # from here on it has happened
            sync_directory(files, self._folder)

    def take_back(self) -> None:
        """Undo what an error cut short, as far as it lets us; the next writer does the rest (tidy)."""
        try:
            if self._grown_from is not None:
                _cut(self._files, self._journal_path, self._grown_from)
            if self._copied:
                self._files.unlink(self.fresh)
        except OSError:
            return  # the caller has the error that matters


def tidy(files: Files, folder: str, namespace: str) -> None:
    """Remove what a killed writer left of a change that was never acknowledged. The directory is held."""
    prefix = _prefix(namespace)
    for name in files.listdir(folder):
        if name.startswith(prefix):
            size, _, checksum = name.removeprefix(prefix).partition(".")
            if size.isdecimal() and checksum.isdecimal():
                _take_out(files, os.path.join(folder, namespace + ".hist"), int(size), int(checksum))
            files.unlink(os.path.join(folder, name))


def _take_out(files: Files, path: str, size: int, checksum: int) -> None:
    """Cut a journal back to size if exactly the line with this checksum stands behind it."""
    try:
        fd = open_regular(files, path, os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        left = files.fstat(fd).st_size - size
        if not 0 < left < _LINE_LIMIT:
            return
        behind = files.pread(fd, left, size)
        line = behind.removeprefix(b"\n").removesuffix(b"\n")  # the first ends a half line of before
        if len(behind) == left and b"\n" not in line and zlib.crc32(line) == checksum:
            files.ftruncate(fd, size)
            files.fsync(fd)
    finally:
        files.close(fd)


def _cut(files: Files, path: str, size: int) -> None:
    fd = open_regular(files, path, os.O_RDWR)
    try:
        files.ftruncate(fd, size)
        files.fsync(fd)
    finally:
        files.close(fd)


def _size(files: Files, path: str) -> int:
    try:
        return files.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _prefix(namespace: str) -> str:
    return f".{namespace}.new."  # a namespace has no dot, so this is no other's
