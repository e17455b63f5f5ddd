"""The loop of a parent and of a child: who waits for which descriptor, signal and deadline.

It knows no protocol. One turn is: wait once for descriptors, signals and the deadline, take the time
once, call back. Signals do nothing in their handlers; the interpreter writes their numbers into a
socket pair (set_wakeup_fd), so that a death, a signal and a readable socket come by one road.

A loop belongs to one process: it is made after the fork and never shared (an epoll descriptor that two
processes share would tell each of the other's sockets).

It waits with select.epoll itself. The module selectors would do the same with records of its own beside
this table: for each descriptor, and once more for each event; that cost one request in twenty, a connection
for each request one in twelve, and brings nothing on Linux, the only system that lonc runs on.
"""

from __future__ import annotations

import errno
import select
import signal
import socket
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Final, Protocol

from lonc.system.clock import Clock, patiently

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT
_BOTH: Final = READ | WRITE  # what the kernel says besides are greater numbers: an error, a hang-up

EVENTS_PER_TURN: Final = 256  # the kernel begins its next list with those that had no room in this one
LONGEST_WAIT_S: Final = 24 * 3600.0  # epoll counts milliseconds in an int, and "never" is no number of them

class _HasFileno(Protocol):
    def fileno(self) -> int: ...


Watched = int | _HasFileno
Callback = Callable[[int], object]  # whatever it returns is dropped


def _no_work_here(signum: int, frame: FrameType | None) -> None:
    """The handler of every caught signal: the wake-up byte has said all there is to say."""


class Loop:
    """Waits for descriptors, signals and one deadline; `now` is the monotonic time of this turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._epoll = patiently(select.epoll)  # close-on-exec
        self._callbacks: dict[int, Callback] = {}
        self._events: dict[int, int] = {}  # what each of them is called for
        self._changed: set[int] = set()  # watched otherwise since the last wait, or no more
        self._wake_r: socket.socket | None = None
        self._wake_w: socket.socket | None = None
        self._on_signal: Callable[[int], None] | None = None
        self._caught: list[int] = []
        self.now = clock.monotonic()

    def watch(self, fileobj: Watched, callback: Callback, events: int = READ) -> None:
        """Call `callback(mask)` whenever fileobj is ready for `events`; watching again replaces both.

        mask: those of `events` that are ready; an error or a hang-up counts as all of them. The first call
        comes in the next turn.
        """
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
            self._changed.add(fd)
        else:
            try:
                self._epoll.register(fd, events)
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    raise
                patiently(lambda: self._epoll.register(fd, events))
        self._callbacks[fd] = callback
        self._events[fd] = events

    def unwatch(self, fileobj: Watched, *, closing: bool = False) -> None:
        """Forget fileobj, before it is closed; no error when it was not watched.

        closing: it is closed before the next turn, and no other process has a copy; then closing is all that
        epoll needs, and a system call is saved.
        """
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if self._callbacks.pop(fd, None) is None:
            return
        del self._events[fd]
        self._changed.add(fd)
        if not closing:
            self._epoll.unregister(fd)

    def catch(self, signums: Iterable[int], on_signal: Callable[[int], None]) -> None:
        """Have `on_signal(signum)` called inside turn() for each of signums; handlers are in place on return.

        Several signals of one kind that come before the next turn may be told once, as the kernel does.
        """
        self._wake_r, self._wake_w = patiently(socket.socketpair)
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

        deadline None waits without end; one that has passed only looks; one that is further away than
        LONGEST_WAIT_S is waited for in several turns. Callbacks have run on return; none may call turn.
        """
        timeout = None
        if deadline is not None:
            timeout = min(max(deadline - self._clock.monotonic(), 0.0), LONGEST_WAIT_S)
        callbacks, changed = self._callbacks, self._changed
        changed.clear()
        # Rounds up to whole milliseconds: a turn never ends before its deadline, so nobody spins towards it.
        ready = self._epoll.poll(timeout, EVENTS_PER_TURN)
        self.now = self._clock.monotonic()
        for fd, mask in ready:
            # A callback earlier in this turn may have closed what this event was for, and even have
            # opened another file with the same number. What is ready still is told again by the next wait.
            if fd not in changed:
                callbacks[fd](mask if mask <= _BOTH else self._events[fd])
        return self.now

    def close(self) -> None:
        """Give back descriptors and the wake-up road; caught signals stay caught (by a handler without work)."""
        if self._wake_w is not None:
            signal.set_wakeup_fd(-1)
            self._wake_w.close()
            assert self._wake_r is not None
            self._wake_r.close()
        self._callbacks.clear()
        self._events.clear()
        self._epoll.close()
