"""Host names off the loop: answers, errors, a look-up that hangs, and what cannot be had."""

from __future__ import annotations

import _thread
import errno
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lonc.child.resolver import MOST_ADDRESSES, Address, Resolver, look_up, numeric
from lonc.loop import Loop
from lonc.system.clock import SystemClock

HERE: list[Address] = [(int(socket.AF_INET), "127.0.0.1")]
Answer = list[Address] | str


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop(SystemClock())
    yield made
    made.close()


def turn_until(loop: Loop, answers: list[Answer], count: int) -> None:
    """Turn until so many answers are there."""
    deadline = time.monotonic() + 5
    while len(answers) < count:
        assert time.monotonic() < deadline
        loop.turn(time.monotonic() + 0.1)


def test_an_answer_comes_through_the_loop(loop: Loop) -> None:
    answers: list[Answer] = []
    resolver = Resolver(loop, lambda _name: HERE)
    for count in (1, 2):
        assert resolver.ask("a.example", answers.append)
        turn_until(loop, answers, count)
    assert answers == [HERE, HERE]


@pytest.mark.parametrize(
    ("error", "text"),
    [(socket.gaierror(-2, "Name or service not known"), "not known"), (UnicodeError("idna"), "idna")],
)
def test_an_error_is_told_as_text(loop: Loop, error: Exception, text: str) -> None:
    def fail(_name: str) -> list[Address]:
        raise error

    answers: list[Answer] = []
    Resolver(loop, fail).ask("a.example", answers.append)
    turn_until(loop, answers, 1)
    assert isinstance(answers[0], str)
    assert text in answers[0]


def test_no_address_is_an_error(loop: Loop) -> None:
    answers: list[Answer] = []
    Resolver(loop, lambda _name: []).ask("a.example", answers.append)
    turn_until(loop, answers, 1)
    assert answers == ["no address"]


def test_who_asks_while_one_hangs_gets_its_answer_and_only_once(loop: Loop) -> None:
    go = threading.Event()
    asked: list[str] = []

    def hang(name: str) -> list[Address]:
        asked.append(name)
        go.wait(5)
        return HERE

    first: list[Answer] = []
    second: list[Answer] = []
    resolver = Resolver(loop, hang)
    assert resolver.ask("a.example", first.append)
    loop.turn(time.monotonic() + 0.05)  # the loop turns on meanwhile
    assert not resolver.ask("a.example", second.append)
    go.set()
    turn_until(loop, second, 1)
    assert (first, second, asked) == ([], [HERE], ["a.example"])
    assert resolver.ask("a.example", first.append)
    turn_until(loop, first, 1)


def test_without_a_thread_or_a_descriptor_nothing_hangs(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    def no_pair(*_arguments: object) -> tuple[socket.socket, socket.socket]:
        raise OSError(errno.EMFILE, "Too many open files")

    answers: list[Answer] = []
    resolver = Resolver(loop, lambda _name: HERE)
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socketpair", no_pair)
        with pytest.raises(OSError, match="Too many open files"):
            resolver.ask("a.example", answers.append)
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", no_thread)
        with pytest.raises(OSError, match="unavailable"):
            resolver.ask("a.example", answers.append)
    assert resolver.ask("a.example", answers.append)
    turn_until(loop, answers, 1)


def test_a_name_with_very_many_addresses_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [f"127.0.{n // 250}.{1 + n % 250}" for n in range(600)]
    many = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in hosts]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_given, **_named: many + many)
    found = look_up("many.example")
    assert len(found) == MOST_ADDRESSES
    assert len(set(found)) == MOST_ADDRESSES
    assert found[0] == (int(socket.AF_INET), "127.0.0.1")


def test_numeric() -> None:
    assert numeric("127.0.0.1") == (int(socket.AF_INET), "127.0.0.1")
    assert numeric("::1") == (int(socket.AF_INET6), "::1")
    assert numeric("localhost") is None
