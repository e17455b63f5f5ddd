"""The loop with real descriptors and signals: who is called, who is not, and when a turn ends."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
import time
from collections.abc import Iterator

import pytest

import lonc.loop
import lonc.system.clock
from lonc.loop import READ, WRITE, Loop
from lonc.system.clock import SystemClock

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(SystemClock())
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def soon(loop: Loop) -> float:
    """Return a deadline that has passed: a turn that only looks."""
    return loop.now - 1


def test_only_what_is_ready_is_called(loop: Loop, pair: Pair) -> None:
    called: list[int] = []
    loop.watch(pair[0], called.append)
    loop.turn(soon(loop))
    assert called == []
    pair[1].send(b"x")
    loop.turn(soon(loop))
    assert called == [READ]


def test_watching_again_replaces_events_and_callback(loop: Loop, pair: Pair) -> None:
    first: list[int] = []
    second: list[int] = []
    loop.watch(pair[0], first.append)
    loop.watch(pair[0], second.append, READ | WRITE)
    pair[1].send(b"x")
    loop.turn(soon(loop))
    assert (first, second) == ([], [READ | WRITE])


def test_descriptors_may_be_numbers(loop: Loop, pair: Pair) -> None:
    called: list[int] = []
    loop.watch(pair[0].fileno(), called.append, WRITE)
    loop.turn(soon(loop))
    assert called == [WRITE]
    loop.unwatch(pair[0].fileno())
    loop.turn(soon(loop))
    assert called == [WRITE]


def test_unwatching_twice_or_what_was_never_watched_is_no_error(loop: Loop, pair: Pair) -> None:
    loop.unwatch(pair[0])
    loop.watch(pair[0], lambda _mask: None)
    loop.unwatch(pair[0])
    loop.unwatch(pair[0])


@pytest.mark.parametrize("closing", [False, True])
def test_who_was_unwatched_earlier_in_the_turn_is_not_called(loop: Loop, closing: bool) -> None:
    """Also when a new descriptor has got the same number meanwhile: the event was not for it."""
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []
    newcomers: list[socket.socket] = []

    def replace_the_other(number: int) -> None:
        called.append(number)
        other = pairs[1 - number][0]
        fd = other.fileno()
        loop.unwatch(other, closing=closing)
        other.close()
        for end in socket.socketpair():
            newcomers.append(end)
            if end.fileno() == fd:
                loop.watch(end, lambda _mask: called.append(99), READ | WRITE)

    for number, (end, far) in enumerate(pairs):
        loop.watch(end, lambda _mask, number=number: replace_the_other(number))  # type: ignore[misc]  # bound early
        far.send(b"x")
    loop.turn(soon(loop))
    assert len(called) == 1
    loop.unwatch(pairs[called[0]][0])
    loop.turn(soon(loop))
    assert called[1:] == [99]  # the newcomer's own event, a turn later
    for sock in [*newcomers, *(end for both in pairs for end in both)]:
        loop.unwatch(sock) if sock.fileno() >= 0 else None
        sock.close()


def test_one_that_closes_itself_is_called_no_more(loop: Loop, pair: Pair) -> None:
    called: list[int] = []

    def leave(mask: int) -> None:
        called.append(mask)
        loop.unwatch(pair[0], closing=True)
        pair[0].close()

    loop.watch(pair[0], leave)
    pair[1].send(b"x")
    for _ in range(2):
        loop.turn(soon(loop))
    assert called == [READ]


def test_a_number_that_was_closed_may_be_watched_again(loop: Loop) -> None:
    called: list[int] = []
    for turn in range(3):
        end, far = socket.socketpair()
        loop.watch(end, lambda mask, turn=turn: called.append(turn), WRITE)  # type: ignore[misc]  # bound early
        loop.turn(soon(loop))
        loop.unwatch(end, closing=True)
        end.close()
        far.close()
    assert called == [0, 1, 2]


def test_what_is_watched_otherwise_within_a_turn_is_told_in_the_next(loop: Loop) -> None:
    """So nobody is called with what was wanted before, and nothing is lost."""
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[str] = []

    def change_the_other(number: int) -> None:
        called.append("old")
        pairs[number][0].recv(1)
        loop.watch(pairs[1 - number][0], lambda mask: called.append(f"new {mask}"), WRITE)

    for number, (end, far) in enumerate(pairs):
        loop.watch(end, lambda _mask, number=number: change_the_other(number))  # type: ignore[misc]  # bound early
        far.send(b"x")
    loop.turn(soon(loop))
    assert called == ["old"]
    loop.turn(soon(loop))
    assert called == ["old", f"new {WRITE}"]
    for end, far in pairs:
        loop.unwatch(end)
        end.close()
        far.close()


@pytest.mark.parametrize("events", [READ, WRITE, READ | WRITE])
def test_a_hang_up_counts_as_whatever_is_watched_for(loop: Loop, pair: Pair, events: int) -> None:
    called: list[int] = []
    pair[0].send(b"x")
    pair[1].close()  # with a byte unread: an error besides
    loop.watch(pair[0], called.append, events)
    loop.turn(soon(loop))
    assert called == [events]


def test_a_refused_connect_is_told_as_writable(loop: Loop) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.connect_ex(nobody.getsockname())
            called: list[int] = []
            loop.watch(sock, called.append, WRITE)
            loop.turn(loop.now + 5)
            assert called == [WRITE]
            loop.unwatch(sock)


def test_more_than_one_turn_can_tell_come_in_the_next_ones(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lonc.loop, "EVENTS_PER_TURN", 2)
    pairs = [socket.socketpair() for _ in range(5)]
    called: list[int] = []
    for number, (end, far) in enumerate(pairs):
        loop.watch(end, lambda _mask, number=number: called.append(number))  # type: ignore[misc]  # bound early
        far.send(b"x")  # which nobody reads: all of them stay ready
    for _ in range(5):
        loop.turn(soon(loop))
    assert sorted(called) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]  # each got its turn, whatever else was ready
    for end, far in pairs:
        loop.unwatch(end)
        end.close()
        far.close()


def test_a_turn_ends_at_its_deadline_and_tells_the_time(loop: Loop) -> None:
    deadline = loop.now + 0.02
    now = loop.turn(deadline)
    assert now >= deadline
    assert now == loop.now


def test_a_turn_never_ends_before_its_deadline(loop: Loop) -> None:
    """Else whoever waits for it would spin: a fraction of a millisecond is waited for as well."""
    for step in range(1, 21):
        deadline = time.monotonic() + step * 0.000_173
        assert loop.turn(deadline) >= deadline


@pytest.mark.parametrize("deadline", [float("inf"), 1e18, None])
def test_a_deadline_may_be_never(loop: Loop, pair: Pair, deadline: float | None) -> None:
    called: list[int] = []
    loop.watch(pair[0], called.append)
    pair[1].send(b"x")
    loop.turn(deadline)
    assert called == [READ]


def test_a_far_deadline_is_waited_for_in_turns(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lonc.loop, "LONGEST_WAIT_S", 0.01)
    began = time.monotonic()
    assert began + 0.01 <= loop.turn(began + 1e9) < began + 1e6


def test_a_signal_that_is_not_caught_here_does_not_end_a_turn(loop: Loop) -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda signum, _frame: heard.append(signum))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        deadline = time.monotonic() + 0.05
        assert loop.turn(deadline) >= deadline
        assert heard == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


def test_signals_come_through_the_turn_each_kind_once(loop: Loop) -> None:
    heard: list[int] = []
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGUSR1, signal.SIGUSR2)}
    try:
        loop.catch(before, heard.append)
        for signum in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(os.getpid(), signum)
        assert heard == []  # nothing is done in a handler
        loop.turn(loop.now + 5)
        assert sorted(heard) == [signal.SIGUSR1, signal.SIGUSR2]
    finally:
        loop.close()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def test_a_signal_ends_a_turn_without_deadline(loop: Loop) -> None:
    heard: list[int] = []
    before = signal.getsignal(signal.SIGALRM)
    try:
        loop.catch([signal.SIGALRM], heard.append)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        loop.turn()
        assert heard == [signal.SIGALRM]
    finally:
        loop.close()
        signal.signal(signal.SIGALRM, before)


class Wanting:
    """An epoll whose next registrations fail for want of something, so many of them."""

    def __init__(self, epoll: select.epoll, failures: int, code: int = errno.ENOMEM) -> None:
        self._epoll = epoll
        self._failures = failures
        self._code = code

    def register(self, fd: int, events: int) -> None:
        if self._failures > 0:
            self._failures -= 1
            raise OSError(self._code, os.strerror(self._code))
        self._epoll.register(fd, events)

    def __getattr__(self, name: str) -> object:
        return getattr(self._epoll, name)


@pytest.mark.parametrize("failures", [1, 3])
def test_memory_that_is_wanting_for_a_moment_is_waited_for(loop: Loop, pair: Pair, failures: int) -> None:
    setattr(loop, "_epoll", Wanting(loop._epoll, failures))  # noqa: B010 - it stands in for the kernel's
    seen: list[int] = []
    loop.watch(pair[0], seen.append)
    pair[1].send(b"x")
    loop.turn(soon(loop))
    assert seen == [READ]


@pytest.mark.parametrize(("failures", "code"), [(1000, errno.ENOMEM), (1, errno.EPERM)])
def test_what_does_not_pass_is_told(
    loop: Loop, pair: Pair, failures: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lonc.system.clock, "_PAUSE_S", 0.0)
    setattr(loop, "_epoll", Wanting(loop._epoll, failures, code))  # noqa: B010 - it stands in for the kernel's
    with pytest.raises(OSError, match=os.strerror(code)):
        loop.watch(pair[0], print)
