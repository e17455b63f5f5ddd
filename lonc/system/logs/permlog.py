"""Owns the permanent log: one record for each message that was delayed (D), then sent (S), or failed (F).

    <unix time>:<S|D|F>:<peer>:<command>:<local time text>

Readers trust only the second field (spec files.md 4) and the watchdog counts the F records for ever, so
nothing but records is ever written here: losses are told in the log.
"""

from __future__ import annotations

from lonc.system.clock import Clock, ctime
from lonc.system.files import Files
from lonc.system.logs.append import LineFile, reason_of
from lonc.system.logs.line import Severity
from lonc.system.logs.log import Log, let_go, tell
from lonc.system.shown import printable

PERM_MODE = 0o640  # it holds whole commands; P29


class PermLog:
    """The permanent log as one process writes it; never raises, never waits."""

    def __init__(
        self, path: str, *, files: Files, clock: Clock, log: Log | None = None, stderr_fd: int = 2
    ) -> None:
        """log: where losses are told; without one they go to stderr. A loss is told once, and its end."""
        self._file = LineFile(files, path, PERM_MODE)
        self._files = files
        self._clock = clock
        self._log = log
        self._stderr_fd = stderr_fd
        self._missing = 0
        self.lost = 0  # records lost by this process in all

    def hold(self) -> None:
        """Keep the file open from the next record on, as Log.hold does."""
        self._file.hold()

    def release(self) -> None:
        """Open the file for each record again, as Log.release does."""
        let_go(self._file)

    def sent(self, peer: str, command: str) -> None:
        """Record that a delayed message was sent and answered. command: from perm_command."""
        self._record("S", peer, command)

    def delayed(self, peer: str, command: str) -> None:
        """Record that a message was kept to be sent later. command: from perm_command."""
        self._record("D", peer, command)

    def failed(self, peer: str, command: str) -> None:
        """Record that a delayed message was refused by the peer, or that a message could not even be kept.

        command: from perm_command.
        """
        self._record("F", peer, command)

    def _record(self, kind: str, peer: str, command: str) -> None:
        wall = self._clock.wall()
        record = f"{int(wall)}:{kind}:{printable(peer, 64)}:{command}:{ctime(wall)}"
        # A newline would make two records of one; perm_command has escaped it, this holds for all callers.
        line = record.replace("\n", "%0A") + "\n"
        try:
            self._file.append(line.encode("utf-8", "backslashreplace"))
        except OSError as error:
            self.lost += 1
            self._missing += 1
            if self._missing == 1:
                self._tell(f"Permanent log cannot be written: {reason_of(error)}")
            return
        if self._missing:
            missing, self._missing = self._missing, 0
            self._tell(f"Permanent log works again: {missing} records were lost")

    def _tell(self, text: str) -> None:
        if self._log is not None:
            self._log.write(text, Severity.WARNING)
        else:
            tell(self._files, self._stderr_fd, text)
