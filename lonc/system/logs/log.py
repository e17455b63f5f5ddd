"""Owns the log of one process: who writes, in which status, and what is lost when the disk says no.

Nothing here raises and nothing waits: a log that cannot be written never stops traffic (P25). Lost lines
are counted; the failure is told once on stderr and stands in the status file; the first line that works
again is preceded by one that says how many are missing.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

from lonc.config import Config
from lonc.system.clock import Clock, ctime
from lonc.system.files import Files
from lonc.system.logs.append import LineFile, reason_of
from lonc.system.logs.line import Severity, log_line, safe, tagged

if TYPE_CHECKING:
    from lonc.system.logs.extras import Extras

LOG_MODE = 0o640  # P29
_STATUS_LIMIT = 200
_WHO_LIMIT = 64
_WARNINGS = (Severity.WARNING, Severity.CRITICAL)
_TELL_EVERY_S = 600.0  # a disk that is full every other minute is not told every other minute


class Log:
    """The log as one process writes it; a forked child makes its own (or asks for_process for one)."""

    def __init__(
        self, path: str, *, files: Files, clock: Clock, who: str, stderr_fd: int = 2, extras: Extras | None = None
    ) -> None:
        """who: the peer, PARENT, or SHELL before the session is made. stderr_fd: -1 to tell nobody."""
        self._extras = extras
        self._file = LineFile(files, path, LOG_MODE)
        self._files = files
        self._clock = clock
        self._stderr_fd = stderr_fd
        self._told_at: float | None = None
        self._missing = 0  # lost since the last line that worked
        self._json_trouble = ""
        self.lost = 0  # lines lost by this process in all
        self.trouble = ""  # why nothing can be written at this moment, for the status file
        self.last_line = ""  # `<time>: <message>` of the last write, on the disk or not
        self.warning = ""  # the last message that was a WARNING or CRITICAL, and when (wall)
        self.warned = 0.0
        self.who = who
        self.status = "Starting"

    @property
    def program(self) -> str:
        """Return whose log it is, by its name: `lond` for `.../lond.log`."""
        return os.path.basename(self._file.path).partition(".")[0]

    @property
    def who(self) -> str:
        """Who writes, as it stands in the first brackets."""
        return self._who

    @who.setter
    def who(self, who: str) -> None:
        self._who = safe(who, _WHO_LIMIT)

    @property
    def status(self) -> str:
        """What the process is doing, as it was set."""
        return self._status

    @status.setter
    def status(self, what: str) -> None:
        self._status = what
        self.status_text = f"{ctime(self._clock.wall())}: {safe(what, _STATUS_LIMIT)}"

    def for_process(self, who: str) -> Log:
        """Return a log of the same file for another process, with nothing lost yet."""
        return Log(
            self._file.path, files=self._files, clock=self._clock, who=who, stderr_fd=self._stderr_fd,
            extras=self._extras,
        )  # fmt: skip

    def hold(self) -> None:
        """Keep the file open from the next line on: many come in a row. Rotation works as ever."""
        self._file.hold()

    def release(self) -> None:
        """Open the file for each line again, so that the room of a removed one is free. Never raises."""
        let_go(self._file)

    def write(self, text: str, severity: Severity = Severity.NONE) -> None:
        """Log one message: escaped, cut, with the tag of its severity. Never raises, never waits.

        text may hold what came from outside, raw or cleaned; requests must have been masked (P30).
        """
        time = ctime(self._clock.wall())
        if self._extras is not None:
            self._write_json(text, severity)
            text = self._extras.marked(text)
        shown = safe(text)
        # Told in the status file and by loncctl, where nobody counts words: so plain, without the tag.
        self.last_line = f"{time}: {severity.word}: {shown}" if severity.word else f"{time}: {shown}"
        if severity in _WARNINGS:
            self.warn_again(shown)
        line = self._line(time, shown, severity)
        if self._missing:
            line = self._line(time, self._recovery(), Severity.WARNING) + line
        try:
            self._file.append(line)
        except OSError as error:
            self._lose(reason_of(error))
            return
        self._missing = 0
        self.trouble = ""

    def _write_json(self, text: str, severity: Severity) -> None:
        assert self._extras is not None
        trouble = self._extras.write(self._who, severity, text)
        if trouble and not self._json_trouble:
            tell(self._files, self._stderr_fd, f"log cannot be written: {trouble}", self.program)
        self._json_trouble = trouble

    def warn_again(self, text: str) -> None:
        """Note that a warning was due at this moment, though it may not have been written for being repeated."""
        self.warning, self.warned = text, self._clock.wall()

    def _line(self, time: str, shown: str, severity: Severity) -> bytes:
        # The pid is asked at each line: a process that has just been forked must not write its parent's.
        return log_line(time, os.getpid(), self._who, self.status_text, tagged(shown, severity))

    def _recovery(self) -> str:
        return safe(f"{self._missing} log messages were lost: {self.trouble}")

    def _lose(self, reason: str) -> None:
        self.lost += 1
        self._missing += 1
        self.trouble = f"log cannot be written: {reason}"
        now = self._clock.monotonic()
        if self._missing == 1 and (self._told_at is None or now - self._told_at >= _TELL_EVERY_S):
            self._told_at = now
            tell(self._files, self._stderr_fd, self.trouble, self.program)


def daemon_log(config: Config, *, files: Files, clock: Clock, who: str) -> Log:
    """Return lonc's log for a process, with what loncLogIds and loncJsonLog add to it."""
    extras = None
    if config.log_ids or config.json_log:
        # Only now: whoever has both off pays nothing for the catalogue.
        from lonc.system.logs.extras import Extras

        json_path = config.json_log_path if config.json_log else ""
        extras = Extras(files, clock, ids=config.log_ids, json_path=json_path)
    return Log(config.log_path, files=files, clock=clock, who=who, extras=extras)


def let_go(file: LineFile) -> None:
    """Release a file whose lines count as written, since the kernel has taken them: closing tells nothing new."""
    try:
        file.release()
    except OSError:
        return


def tell(files: Files, fd: int, text: str, program: str = "lonc") -> None:
    """Write one line `program: text` to stderr if that is possible at once; it may be closed or stuck."""
    try:
        waiting = select.poll()
        waiting.register(fd, select.POLLOUT)
        # Not ready: a pipe that nobody empties. A daemon must not hang in it for the sake of a message.
        if waiting.poll(0) == [(fd, select.POLLOUT)]:
            files.write(fd, f"{program}: {safe(text)}\n".encode("utf-8", "backslashreplace"))
    except (OSError, ValueError, OverflowError):  # closed, or -1
        return
