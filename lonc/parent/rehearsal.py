"""A child's whole life, played in the parent before the first fork, so that each child owns less memory.

Python writes into what it runs: it counts references inside objects, replaces instructions of a function by
faster ones when it has run some times, and remembers which class has which attribute. In a forked child each
such write copies a page. What has been played before is warm already, and stays shared.

A rehearsal is a real Child with a real link and a client that asks once, on sockets of this process alone: a
port of the loopback that answers one link, and an unnamed UNIX socket. It has no files but such in memory, so
it leaves no line in a log and no file anywhere. Nothing depends on it: where it cannot be played, children
work all the same.
"""

from __future__ import annotations

import contextlib
import os
import socket
import traceback
from dataclasses import replace
from typing import Final

from lonc.child import Child, ChildContext
from lonc.child.timers import Timer
from lonc.config import Config, Host
from lonc.errors import ExitCode, StartError
from lonc.loop import Loop
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.scoreboard import Scoreboard
from lonc.wire.server import AskPong, Closed, Request, Send, ServerSession

TIMES: Final = 12  # Python 3.11 takes a function for a warm one after 8 calls, and then looks at it again
_LIMIT_S: Final = 1.0  # of one rehearsal; on a machine that has other things to do it may take long
_LOOPBACK: Final = "127.0.0.1"
_NAME: Final = "rehearsal"
_LINE: Final = b"rehearsal\n"
_PACKAGE: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def rehearse(config: Config, times: int = TIMES) -> bool:
    """Play the life of a child so many times; return whether each came to its end. Takes some 2 ms each.

    False: a socket cannot be had, or a child that is played here fails; then children will own more memory.
    The title of this process is another one afterwards.
    """
    try:
        _reach_ourselves()
        return all(_Rehearsal(config).play() for _ in range(times))
    except Exception:  # noqa: BLE001 - it is worth no start: what is wrong will be told by the first child
        return False


def try_out(config: Config) -> None:
    """Play the life of one child; raise StartError when what is written in this program keeps it from serving.

    A check before a restart calls it: a program that can be loaded may still have children that fail, all of
    them, at their first client. No error: it served, or sockets or time were wanting, which says nothing of it.
    """
    try:
        _reach_ourselves()
        _Rehearsal(config).play()
    except OSError:
        return
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{os.path.relpath(where.filename, _PACKAGE)}, line {where.lineno}"
        raise StartError(f"a child of this program cannot serve: {type(error).__name__} in {place}") from error


def _reach_ourselves() -> None:
    """Return if the loopback works. Raises OSError at once where there is none: a child would go on dialing."""
    with (
        socket.create_server((_LOOPBACK, 0)) as listener,
        socket.create_connection(listener.getsockname(), _LIMIT_S),
    ):
        return


class _Rehearsal:
    """One child, its peer and its client."""

    def __init__(self, config: Config) -> None:
        self._config = replace(config, on_demand=False, pong_delay_s=0.0)
        self._reply = b""

    def play(self) -> bool:
        """Serve one request from the first dial to the end of the child; return whether it was answered."""
        with contextlib.ExitStack() as stack:
            lond = stack.enter_context(socket.create_server((_LOOPBACK, 0)))
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            listener.bind("")  # the kernel gives it a name that is no file
            listener.listen()
            listener.setblocking(False)
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(listener.getsockname())
            client.sendall(_LINE)
            child = Child(self._context(stack, lond.getsockname()[1], listener))
            stack.callback(child.loop.close)
            peer = _Peer(child.loop, lond, self._config.host_id)
            stack.callback(peer.close)
            child.loop.watch(client, lambda _mask: self._take(child, client))
            child.timers.set(Timer.STOP, child.loop.now + _LIMIT_S)
            child.begin()
            child.serve()
        return self._reply == _LINE

    def _context(self, stack: contextlib.ExitStack, port: int, listener: socket.socket) -> ChildContext:
        """Return what a parent gives a child; what has to be closed in the end is for `stack` to close."""
        files = _MemoryFiles()
        board = Scoreboard.create(_NAME, [_NAME], files=files)
        stack.callback(board.close)
        lifeline = os.pipe2(os.O_CLOEXEC)
        for fd in lifeline:
            stack.callback(os.close, fd)
        return ChildContext(
            config=replace(self._config, port=port), host=Host(_NAME, _NAME, "library", _NAME, _LOOPBACK),
            listener=listener, lifeline_fd=lifeline[0], attempts=0, board=board, slot=0, clock=SystemClock(),
            files=files, peers=frozenset([_NAME]),
        )  # fmt: skip

    def _take(self, child: Child, client: socket.socket) -> None:
        """The client has its reply, or was sent away; that is the end."""
        child.loop.unwatch(client)
        with contextlib.suppress(OSError):
            self._reply = client.recv(100)
        child.finish(ExitCode.OK)


class _Peer:
    """lond's side, served by the child's own loop: its first link; requests come back as their replies."""

    def __init__(self, loop: Loop, listener: socket.socket, client_id: str) -> None:
        self._loop = loop
        self._listener = listener
        self._sock: socket.socket | None = None
        self._session = ServerSession(
            [_NAME.encode()], client_id.encode(), challenge=b"1", build_key=b"0123456789ABCDEF0123", version=b"1"
        )
        loop.watch(listener, self._accept)

    def _accept(self, _mask: int) -> None:
        self._loop.unwatch(self._listener)
        sock, _ = self._listener.accept()
        self._sock = sock
        self._loop.watch(sock, lambda _mask: self._read(sock))

    def _read(self, sock: socket.socket) -> None:
        data = sock.recv(4096)
        for event in self._session.receive(data):
            match event:
                case Send():
                    sock.sendall(event.data)
                case AskPong():
                    sock.sendall(self._session.answer_pong(_NAME.encode()))
                case Request():
                    sock.sendall(self._session.answer(event.line, event.encrypted))
                case Closed():
                    self.close()
        if not data:
            self.close()

    def close(self) -> None:
        """Close the link; no error when there is none."""
        if self._sock is not None:
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._sock = None


class _MemoryFiles(SystemFiles):
    """Files that nobody sees: each is a new one in memory, empty, and gone when it is closed."""

    def open(self, path: str, flags: int, mode: int = 0o600, dir_fd: int | None = None) -> int:
        """Return a new empty file, whatever its name."""
        return os.memfd_create(_NAME, os.MFD_CLOEXEC)

    def lstat(self, path: str) -> os.stat_result:
        """Raise FileNotFoundError: nothing is there."""
        raise FileNotFoundError(path)

    def rename(self, src: str, dst: str) -> None:
        """Do nothing."""

    def unlink(self, path: str) -> None:
        """Do nothing."""

    def mkdir(self, path: str, mode: int) -> None:
        """Do nothing."""

    def listdir(self, path: str) -> list[str]:
        """Return no names."""
        return []
