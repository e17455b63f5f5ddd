"""Owns the reading of what is added to the log from now on, through rotation and removal."""

from __future__ import annotations

import os
import re

from lonc.system.files import SystemFiles, open_with_facts

_LINE = re.compile(r"\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} \((\d+)\) \[(.*?)\] \[.*?\]: (.*)")
_TAG = re.compile(r"</?font[^>]*>")


class LogTail:
    """The lines of a log that come after this was made. A log that cannot be read has none."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._files = SystemFiles()
        self._fd = -1  # of the file that had the name last; it may be rotated away before its last line is read
        self._which = (0, 0)
        self._at = 0
        self._rest = b""
        self._lines: list[tuple[int, str, str]] = []
        if self._follow():
            self._at = self._files.fstat(self._fd).st_size

    def said(self, who: str, *texts: str, pid: int = 0) -> str:
        """Return the first message since the beginning that holds one of the texts; "" while there is none.

        who: `PARENT` or a peer. pid: of the process that wrote it, 0: any. The message is without its tag.
        """
        self._read()
        for writer, name, message in self._lines:
            if name == who and pid in (0, writer) and any(text in message for text in texts):
                return message
        return ""

    def _follow(self) -> bool:
        """Open what has the name now, unless it is open; return whether that is another file."""
        try:
            fd, facts = open_with_facts(self._files, self._path, os.O_RDONLY)
        except OSError:
            return False
        which = (facts.st_dev, facts.st_ino)
        if which == self._which:
            self._files.close(fd)
            return False
        if self._fd >= 0:
            self._files.close(self._fd)
        self._fd, self._which, self._at, self._rest = fd, which, 0, b""
        return True

    def _read(self) -> None:
        self._take()
        if self._follow():
            self._take()

    def _take(self) -> None:
        """Take what has been added to the open file; one that was cut is read from its beginning."""
        if self._fd < 0:
            return
        try:
            if self._files.fstat(self._fd).st_size < self._at:
                self._at, self._rest = 0, b""
            while data := self._files.pread(self._fd, 1 << 16, self._at):
                self._at += len(data)
                self._rest += data
        except OSError:
            return
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            found = _LINE.fullmatch(line.decode("utf-8", "replace"))
            if found is not None:
                self._lines.append((int(found[1]), found[2], _TAG.sub("", found[3])))
