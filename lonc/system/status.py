"""Owns the status file: who writes what when USR1 asks for it (spec files.md 5).

    LONC status <time> - parent <pid>         LOND in that of the server
    <empty line>
    <pid> TAB PARENT TAB <status> TAB <last log line>
    <pid> TAB <peer> TAB <status> TAB <last log line>
    Active connection statuses:
    Connection <i> State: <state>

The parent empties the file and writes the head and its own block; then each process appends its block.
Each of these is one write, so that blocks of many processes never mix. The file is for reading by people
and by the watchdog: nothing depends on it, so nothing here raises.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

from lonc.system.clock import Clock, ctime
from lonc.system.files import Files, open_with_facts
from lonc.system.shown import printable

STATUS_MODE = 0o644  # the web server shows it, as that of the originals
_FIELD_LIMIT = 2000
_LINE_LIMIT = 500


@dataclass(frozen=True, slots=True)
class ProcessLine:
    """One process as the status file shows it.

    who: the peer, or PARENT; status: `<time>: <what>` (Log.status_text); last_line: Log.last_line;
    trouble: Log.trouble, why the log cannot be written, empty when it can.
    """

    pid: int
    who: str
    status: str
    last_line: str
    trouble: str = ""


def start_report(
    path: str, line: ProcessLine, *, files: Files, clock: Clock, more: Sequence[str] = (), program: str = "LONC"
) -> str:
    """Empty the status file and write its head and the parent's block; return why it could not be, else "".

    more: further lines of the parent's block. A missing directory is no error (it gives "").
    """
    head = f"{program} status {ctime(clock.wall())} - parent {line.pid}\n\n"
    return _write(files, path, head + _block(line, more), os.O_CREAT, empty=True)


def append_block(
    path: str, line: ProcessLine, *, files: Files, connections: Sequence[str], more: Sequence[str] = ()
) -> str:
    """Append a child's block; return why it could not be, else "".

    connections: the state of each link in loncnew's words, counted from 1 in the file; more: lines behind.
    A missing directory is no error.
    """
    states = [f"Connection {i} State: {state}" for i, state in enumerate(connections, 1)]
    return _write(files, path, _block(line, ["Active connection statuses: ", *states, *more]), os.O_CREAT)


def _block(line: ProcessLine, more: Sequence[str]) -> str:
    fields = (line.who, line.status, line.last_line)
    shown = "\t".join([str(line.pid), *(printable(field, _FIELD_LIMIT) for field in fields)])
    trouble = [line.trouble] if line.trouble else []
    return "".join(f"{text}\n" for text in [shown, *(printable(text, _LINE_LIMIT) for text in [*trouble, *more])])


def _write(files: Files, path: str, text: str, flags: int, *, empty: bool = False) -> str:
    data = text.encode("utf-8", "backslashreplace")
    try:
        fd, facts = open_with_facts(files, path, flags | os.O_WRONLY | os.O_APPEND, STATUS_MODE)
        try:
            if facts.st_nlink > 1:  # whatever the other name is, its content is not ours to empty
                raise OSError(errno.EPERM, "it has a second name")
            if empty:  # not O_TRUNC: only now is it known to be a regular file
                files.ftruncate(fd, 0)
            written = files.write(fd, data)
        finally:
            files.close(fd)
    except FileNotFoundError:
        return ""  # no such directory: not every server has one
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return "" if written == len(data) else f"{path}: only {written} of {len(data)} bytes could be written"
