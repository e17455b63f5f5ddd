"""The errors lonc raises on purpose, and the exit codes its processes end with.

Each class says what its catcher must do and keeps the facts as attributes; an error that is not a
LoncError is a defect and ends the process that met it with `ABNORMAL EXIT` (spec lonc.md 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a process of lonc ended; the words between child and parent (a child leaves by os._exit)."""

    OK = 0  # ended as ordered
    FAILED = 1  # could not start: already running, wrong user, lock or pid file unusable
    CONFIG = 2  # configuration or hosts.tab unusable
    GAVE_UP = 10  # child: its own dialing failed for the whole pause; counts as an attempt
    CLOSED = 11  # child: a client said close_connection_exit; not counted
    IDLE = 12  # child on demand: nothing to do for loncIdleTimeout; not counted
    ORPHANED = 13  # child: the parent is gone (lifeline)
    CRASHED = 70  # ended by an error of its own, told as ABNORMAL EXIT


class LoncError(Exception):
    """Base of every error that lonc raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file of the configuration, told so that it can be mended at once.

    path and line (0: the file as a whole) say where; text says what stands there and what is allowed.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        """Return `path:line: text`, without the line when it is 0."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {self.text}"


class ConfigError(LoncError):
    """The configuration cannot be used; nothing was changed. All problems are reported together."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class StartError(LoncError):
    """The daemon cannot start (user, lock, pid file, sockets); the starter tells why and exits FAILED."""


class AlreadyRunning(StartError):
    """Another daemon holds the place; `holder` is its pid, 0 when unknown."""

    def __init__(self, holder: int, how: str, program: str = "lonc") -> None:
        super().__init__(f"{program} is already running: {how}")
        self.holder = holder


class CipherError(LoncError):
    """An `enc:` frame or a build key cannot be used; the text says why and never quotes the frame."""


class LinkProtocolError(LoncError):
    """The peer did what its state does not allow; the link must be closed."""


class ScoreboardError(LoncError):
    """A scoreboard cannot be read or made; a writer falls back to anonymous memory, a reader tells it."""
