"""The loop with real descriptors and signals: who is called, who is not, and when a turn ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

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


def test_who_was_unwatched_earlier_in_the_turn_is_not_called(loop: Loop) -> None:
    """Also when a new descriptor has got the same number meanwhile: the event was not for it."""
    pairs = [socket.socketpair() for _ in range(2)]
    called: list[int] = []
    newcomers: list[socket.socket] = []

    def replace_the_other(number: int) -> None:
        called.append(number)
        other = pairs[1 - number][0]
        fd = other.fileno()
        loop.unwatch(other)
        other.close()
        for end in socket.socketpair():
            newcomers.append(end)
            if end.fileno() == fd:
                loop.watch(end, lambda _mask: called.append(99))

    for number, (end, far) in enumerate(pairs):
        loop.watch(end, lambda _mask, number=number: replace_the_other(number))  # type: ignore[misc]  # bound early
        far.send(b"x")
    loop.turn(soon(loop))
    assert len(called) == 1
    for sock in [*newcomers, *(end for both in pairs for end in both)]:
        loop.unwatch(sock) if sock.fileno() >= 0 else None
        sock.close()


def test_a_turn_ends_at_its_deadline_and_tells_the_time(loop: Loop) -> None:
    deadline = loop.now + 0.02
    now = loop.turn(deadline)
    assert now >= deadline
    assert now == loop.now


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
