"""Owns one exchange through a socket of lonc: connect, one line out, one line in, all within a time limit."""

from __future__ import annotations

import errno
import socket
import time

from lonc.config import Config
from lonc.config.model import valid_id

CON_LOST = b"con_lost"
CONNECT_LIMIT_S = 10.0
_CHUNK = 1 << 16
# A full backlog is told at once and not waited for by the kernel (lonc.md 9.1): it is tried again that often.
_BACKLOG_PAUSE_S = 0.02


class Unanswered(OSError):
    """No whole reply came; the request may or may not have been carried out. The reply is `con_lost`.

    sent: whether a byte of the request may have gone out; False means that it was certainly not carried out.
    """

    def __init__(self, why: str, *, sent: bool) -> None:
        super().__init__(why)
        self.sent = sent


def subreply(config: Config, command: bytes, peer: str, *, limit_s: float = CONNECT_LIMIT_S) -> bytes:
    """Return the reply line to one command, without its newline; b"con_lost" on any trouble.

    Trouble is: an id that can be none, no socket or nobody behind it, a closed connection, an empty reply, a
    reply without its newline, and limit_s (seconds for all of it, connecting and waiting for the reply; more
    than 0) being over. Whether the peer carried the command out is then not known. Our own id goes through its
    socket like any other. Raises ValueError when the command holds a newline: it would be two requests.
    Source: spec lonnet_loncron.md.
    """
    if not valid_id(peer):
        return CON_LOST
    until = time.monotonic() + limit_s
    try:
        line = request_line(command)
        with connected_to(config.socket_path(peer), until) as there:
            return exchange(there, line, until, until)[0] or CON_LOST
    except OSError:
        return CON_LOST


def request_line(command: bytes) -> bytes:
    """Return the command with its newline; raises ValueError when it has one in it."""
    if b"\n" in command:
        raise ValueError("a command is one line: data in it must be escaped")
    return command + b"\n"


def connected_to(path: str, until: float) -> socket.socket:
    """Return a socket connected to a UNIX path by `until` (monotonic seconds); raises Unanswered."""
    there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        while True:
            code = there.connect_ex(path)
            if code == 0:
                return there
            left = until - time.monotonic()
            if code not in (errno.EAGAIN, errno.EINTR) or left <= 0.0:
                raise Unanswered(f"{path}: {errno.errorcode.get(code, code)}", sent=False)
            time.sleep(min(_BACKLOG_PAUSE_S, left))
    except BaseException:
        there.close()
        raise


def exchange(there: socket.socket, line: bytes, write_until: float, until: float) -> tuple[bytes, bool]:
    """Return (reply without newline, whether the connection may carry another request).

    line: with its newline; the times are monotonic seconds, for writing it and for the whole reply.
    Raises Unanswered; its `sent` is False only where the first write found the other end closed.
    """
    _write(there, line, write_until)
    pieces: list[bytes] = []
    while True:
        piece = _read(there, until)
        if not piece:
            raise Unanswered("closed before a whole reply", sent=True)
        head, newline, rest = piece.partition(b"\n")
        pieces.append(head)
        if newline:
            return b"".join(pieces), not rest  # more than one line: out of step, so never used again


def _write(there: socket.socket, line: bytes, until: float) -> None:
    written = 0
    view = memoryview(line)
    while written < len(view):
        _limit(there, until, sent=written > 0)
        try:
            written += there.send(view[written:], socket.MSG_NOSIGNAL)
        except OSError as error:
            # On a UNIX socket EPIPE means that not one byte of this call was taken.
            sent = written > 0 or not isinstance(error, BrokenPipeError)
            raise Unanswered(f"writing: {error}", sent=sent) from error


def _read(there: socket.socket, until: float) -> bytes:
    _limit(there, until, sent=True)
    try:
        return there.recv(_CHUNK)
    except OSError as error:
        raise Unanswered(f"reading: {error}", sent=True) from error


def _limit(there: socket.socket, until: float, *, sent: bool) -> None:
    left = until - time.monotonic()
    if left <= 0.0:
        raise Unanswered("the time limit is over", sent=sent)
    there.settimeout(left)
