"""A trace: one line of JSON for each request of a child while an operator wants to see them, masked (P30).

    at            when it was answered, seconds since 1970
    id            its number in this trace
    pid, uid      of the client; null for a delayed message
    command       the word before the first colon
    request_bytes, reply_bytes    reply_bytes is null when the reply was too long to keep
    wait_ms       from the client's write to the link: in the queue
    round_trip_ms from the link to the reply; null when no link ever had it
    reply         a fixed word of the protocol, or its length alone
    delayed       whether it is a message from the disk

The last line says that it has ended: {"ended": WHY}. The file is 0600 and stays, for the operator to remove.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING

from lonc.child.wishes import trace_path
from lonc.relay import Client, traced
from lonc.relay.traced import Traced, Who
from lonc.system.files import Files
from lonc.system.logs import shown_command, shown_reply
from lonc.system.logs.append import LineFile
from lonc.wire.lines import length

if TYPE_CHECKING:
    from lonc.child.child import Child

TRACE_MODE = 0o600
LIMIT_BYTES = 64 << 20  # of the file: an hour of a busy peer would fill a disk
HELD_LINES = 500  # then they are written without waiting for the scoreboard's turn
_UCRED = struct.Struct("3i")


class Trace:
    """The trace of one child. on: whether requests are traced now."""

    def __init__(self, child: Child) -> None:
        self.on = False
        self._child = child
        self._lines: list[str] = []
        self._count = 0
        self._bytes = 0
        self._file: LineFile | None = None

    def begin(self) -> None:
        """Trace from now on; no error when it does already."""
        child = self._child
        if self.on:
            return
        path = trace_path(child.config.logs_dir, child.host.id)
        self.on, self._count, self._bytes = True, 0, _size(child.context.files, path)
        self._file = LineFile(child.context.files, path, TRACE_MODE)
        traced.begin(child.relay, self._take, _who, child.loop.now)
        child.log.write(f"Trace on, in {path}")

    def end(self, why: str) -> None:
        """Trace no more; no error when it does not."""
        if self.on:
            self.on = False
            traced.end(self._child.relay, self._child.loop.now)
            self._lines.append(json.dumps({"ended": why}))
            self.flush()
            self._file = None
            self._child.log.write(f"Trace off: {why}")

    def flush(self) -> None:
        """Write what has been traced since the last time. What cannot be written is told once, and lost."""
        lines, self._lines = self._lines, []
        if not lines or self._file is None:
            return
        data = ("\n".join(lines) + "\n").encode()
        try:
            self._file.append(data)
        except OSError as error:
            self._child.warn(f"Trace file: {error.strerror or error}", about="trace")
            return
        self._bytes += len(data)
        if self._bytes > LIMIT_BYTES:
            self.end("the file is full")

    def _take(self, done: Traced) -> None:
        self._count += 1
        handed = done.handed
        shown = shown_command(done.line, done.size)
        self._lines.append(
            json.dumps(
                {
                    "at": round(self._child.context.clock.wall(), 3),
                    "id": self._count,
                    "pid": None if done.delayed else done.who.pid,
                    "uid": None if done.delayed else done.who.uid,
                    "command": shown.rpartition(" (")[0],
                    "request_bytes": done.size,
                    "wait_ms": _ms((done.answered if handed is None else handed) - done.asked),
                    "round_trip_ms": None if handed is None else _ms(done.answered - handed),
                    "reply": "" if done.reply is None else shown_reply(done.reply),
                    "reply_bytes": None if done.reply is None else length(done.reply),
                    "delayed": done.delayed,
                }
            )
        )
        if len(self._lines) >= HELD_LINES:
            self.flush()


def _size(files: Files, path: str) -> int:
    """Return the length of what a forerunner of this child has traced, 0 when there is nothing."""
    try:
        return files.lstat(path).st_size
    except OSError:
        return 0


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _who(client: Client) -> Who:
    """Return the process at the other end, as the kernel knew it when it connected."""
    sock = getattr(client, "sock", None)
    if sock is None:
        return Who(0, 0)
    try:
        pid, uid, _gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    except OSError:  # closed
        return Who(0, 0)
    return Who(pid, uid)
