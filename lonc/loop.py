"""The selectors loop of a parent and of a child: who waits for which descriptor, signal and deadline.

It knows no protocol. One turn is: wait once for descriptors, signals and the deadline, take the time
once, call back. Signals do nothing in their handlers; the interpreter writes their numbers into a
socket pair (set_wakeup_fd), so that a death, a signal and a readable socket come by one road.

A loop belongs to one process: it is made after the fork and never shared (an epoll descriptor that two
processes share would tell each of the other's sockets).
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Protocol

from lonc.system.clock import Clock

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


Watched = int | _HasFileno
Callback = Callable[[int], None]


def _no_work_here(signum: int, frame: FrameType | None) -> None:
    """The handler of every caught signal: the wake-up byte has said all there is to say."""


class Loop:
    """Waits for descriptors, signals and one deadline; `now` is the monotonic time of this turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._live: dict[int, Callback] = {}
        self._wake_r: socket.socket | None = None
        self._wake_w: socket.socket | None = None
        self._on_signal: Callable[[int], None] | None = None
        self._caught: list[int] = []
        self.now = clock.monotonic()

    def watch(self, fileobj: Watched, callback: Callback, events: int = READ) -> None:
        """Call `callback(mask)` whenever fileobj is ready for `events`; watching again replaces both."""
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        # Asked first: the selector's own error would name both addresses of the socket, at two calls each time.
        if fd in self._live:
            self._selector.modify(fileobj, events, callback)
        else:
            self._selector.register(fileobj, events, callback)
        self._live[fd] = callback

    def unwatch(self, fileobj: Watched) -> None:
        """Forget fileobj, before it is closed; no error when it was not watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._live.pop(self._selector.unregister(fileobj).fd, None)

    def catch(self, signums: Iterable[int], on_signal: Callable[[int], None]) -> None:
        """Have `on_signal(signum)` called inside turn() for each of signums; handlers are in place on return.

        Several signals of one kind that come before the next turn may be told once, as the kernel does.
        """
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._on_signal = on_signal
        # A full pair means that the turn is overdue anyway: the warning would tell nothing new.
        signal.set_wakeup_fd(self._wake_w.fileno(), warn_on_full_buffer=False)
        for signum in signums:
            signal.signal(signum, _no_work_here)
            signal.siginterrupt(signum, False)
            self._caught.append(signum)
        self.watch(self._wake_r, self._read_signals)

    def _read_signals(self, _mask: int) -> None:
        assert self._wake_r is not None
        assert self._on_signal is not None
        try:
            numbers = self._wake_r.recv(4096)
        except BlockingIOError:
            return
        for signum in dict.fromkeys(numbers):
            if signum in self._caught:
                self._on_signal(signum)

    def turn(self, deadline: float | None = None) -> float:
        """Wait until a descriptor, a signal or `deadline` (monotonic seconds) is due; return the time then.

        deadline None waits without end; one that has passed only looks. Callbacks have run on return.
        """
        timeout = None
        if deadline is not None:
            timeout = deadline - self._clock.monotonic()
            if timeout < 0.0:
                timeout = 0.0
        live = self._live
        ready = self._selector.select(timeout)
        self.now = self._clock.monotonic()
        for key, mask in ready:
            # A callback earlier in this turn may have closed what this event was for, and even have
            # opened another file with the same number.
            callback = live.get(key.fd)
            if callback is key.data and callback is not None:
                callback(mask)
        return self.now

    def close(self) -> None:
        """Give back descriptors and the wake-up road; caught signals stay caught (by a handler without work)."""
        if self._wake_w is not None:
            signal.set_wakeup_fd(-1)
            self._wake_w.close()
            assert self._wake_r is not None
            self._wake_r.close()
        self._live.clear()
        self._selector.close()
