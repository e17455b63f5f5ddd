"""Owns a record of what is done to files, call by call, in the words of a test: paths, flags and modes by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from lonc.system.files import SystemFiles

FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_EXCL", "O_TRUNC", "O_DIRECTORY", "O_NONBLOCK")
RANDOM = re.compile(r"(?<=\.lonc\.keys\.)[0-9a-f]+")


class Recorder(SystemFiles):
    """The machine's calls, each written down as `CALL PATH ...` before it is made; paths are relative to `base`.

    A descriptor is shown as the path it was opened with. Looks at a directory itself (`DIR/.`) are left out: root
    alone makes them. `before(line, action)` has something done just before the next call that is written so.
    """

    def __init__(self, base: Path) -> None:
        self.lines: list[str] = []
        self._base = str(base)
        self._names: dict[int, str] = {}
        self._actions: list[tuple[str, Callable[[], None]]] = []

    def before(self, line: str, action: Callable[[], None]) -> None:
        """Have action done before the next call written as this line; an OSError it raises is the call's."""
        self._actions.append((line, action))

    def taken(self) -> list[str]:
        """Return what was written down since the last time."""
        lines, self.lines = self.lines, []
        return lines

    def _at(self, path: str) -> str:
        return RANDOM.sub("*", os.path.relpath(path, self._base)) if os.path.isabs(path) else f"?{path}"

    def _note(self, *words: str) -> None:
        line = " ".join(words)
        self.lines.append(line)
        for planned in self._actions:
            if planned[0] == line:
                self._actions.remove(planned)
                planned[1]()
                break

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """Open, written with its flags, and with its mode if it can create."""
        names = "|".join(name[2:] for name in FLAGS if flags & getattr(os, name) == getattr(os, name))
        shown = [f"{mode:o}"] if flags & os.O_CREAT else []
        self._note("open", self._at(path), names or "RDONLY", *shown)
        fd = super().open(path, flags, mode, dir_fd)
        self._names[fd] = self._at(path)
        return fd

    def read(self, fd: int, n: int) -> bytes:
        """Read."""
        self._note("read", self._names[fd], str(n))
        return super().read(fd, n)

    def pread(self, fd: int, n: int, offset: int) -> bytes:
        """Read at a place."""
        self._note("pread", self._names[fd], f"{n}@{offset}")
        return super().pread(fd, n, offset)

    def write(self, fd: int, data: bytes) -> int:
        """Write."""
        self._note("write", self._names[fd])
        return super().write(fd, data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        """Write at a place."""
        self._note("pwrite", self._names[fd], f"@{offset}")
        return super().pwrite(fd, data, offset)

    def fsync(self, fd: int) -> None:
        """Sync."""
        self._note("fsync", self._names[fd])
        super().fsync(fd)

    def close(self, fd: int) -> None:
        """Close; the real call is made whatever a planned action says."""
        try:
            self._note("close", self._names.pop(fd))
        finally:
            super().close(fd)

    def fstat(self, fd: int) -> os.stat_result:
        """Stat a descriptor."""
        self._note("fstat", self._names[fd])
        return super().fstat(fd)

    def lstat(self, path: str) -> os.stat_result:
        """Stat a name."""
        if not path.endswith("/."):
            self._note("lstat", self._at(path))
        return super().lstat(path)

    def rename(self, src: str, dst: str) -> None:
        """Rename."""
        self._note("rename", self._at(src), self._at(dst))
        super().rename(src, dst)

    def link(self, src: str, dst: str) -> None:
        """Link."""
        self._note("link", self._at(src), self._at(dst))
        super().link(src, dst)

    def unlink(self, path: str) -> None:
        """Unlink."""
        self._note("unlink", self._at(path))
        super().unlink(path)

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""
        self._note("mkdir", self._at(path), f"{mode:o}")
        super().mkdir(path, mode)

    def listdir(self, path: str) -> list[str]:
        """List a directory."""
        self._note("listdir", self._at(path))
        return super().listdir(path)

    def flock(self, fd: int, operation: int) -> None:
        """Lock."""
        self._note("flock", self._names[fd], str(operation))
        super().flock(fd, operation)

    @property
    def descriptors(self) -> list[str]:
        """Return the paths of the descriptors that are open now."""
        return sorted(self._names.values())
