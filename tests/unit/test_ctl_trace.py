"""A relay that is traced does what the plain one does, tells each request once, and is plain again afterwards."""

from __future__ import annotations

import argparse
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lonc.child.trace import Trace
from lonc.cli.ctl.trace import duration_s
from lonc.relay import Relay
from lonc.relay.client import Client
from lonc.relay.traced import Traced, TracedRelay, Who, begin, end
from tests.unit.relay_stage import Stage

PLAIN = set(vars(Stage().relay))


def traced(stage: Stage) -> list[Traced]:
    """Have a stage's relay traced; return the list that its requests come to."""
    told: list[Traced] = []
    begin(stage.relay, told.append, lambda _client: Who(7, 33), stage.now)
    return told


def test_wait_and_round_trip_are_told_apart() -> None:
    stage = Stage(pipeline=1)
    told = traced(stage)
    stage.says("a", b"put:one\n")
    stage.says("b", b"put:three\n")
    assert stage.sent() == b"put:one\n"
    stage.now += 2.0
    assert stage.link(b"ok\n")
    assert stage.sent() == b"put:three\n"
    stage.now += 3.0
    assert stage.link(b"refused\n")
    assert (stage.hears("a"), stage.hears("b")) == (b"ok\n", b"refused\n")
    first, second = told
    assert (first.line, first.size, first.reply, first.who) == (b"put:one", 7, b"ok", Who(7, 33))
    assert (first.handed, first.answered - first.asked) == (first.asked, 2.0)
    assert (second.handed, second.answered) == (second.asked + 2.0, second.asked + 5.0)
    assert stage.relay.__dict__["notes"] == {}


def test_what_is_lost_is_told_once_and_a_late_reply_is_not() -> None:
    stage = Stage(pipeline=1, request=10.0)
    told = traced(stage)
    stage.says("a", b"one\n")
    stage.says("b", b"two\n")
    stage.sent()
    stage.later(21.0)
    assert [(one.line, one.reply, one.handed is None) for one in told] == [
        (b"one", b"con_lost", False), (b"two", b"con_lost", True),
    ]  # fmt: skip
    assert stage.link(b"late\n")
    assert len(told) == 2
    stage.lost()
    stage.later(3.0)
    stage.says("a", b"three\n")
    assert (told[2].line, told[2].handed, told[2].reply) == (b"three", None, b"con_lost")


def test_delayed_messages_and_what_was_asked_before_are_told_as_well() -> None:
    stage = Stage()
    stage.says("a", b"before\n")
    told = traced(stage)
    stage.sent()
    assert stage.link(b"ok\n")
    stage.relay.freeze()
    stage.relay.send_delayed(b"put:x", stage.now)
    stage.sent()
    assert stage.link(b"ok\n")
    assert [(one.line.strip(), one.delayed) for one in told] == [(b"before", False), (b"put:x", True)]


def test_who_hangs_up_while_waiting_is_told_of_nowhere() -> None:
    stage = Stage(ready=False)
    stage.says("early", b"before\n")
    told = traced(stage)
    stage.says("gone", b"two\n")
    stage.relay.client_gone(stage.clients["gone"])
    stage.ready()
    stage.relay.pump(stage.now)
    assert stage.sent() == b"before\n"
    assert stage.link(b"ok\n")
    assert [one.line for one in told] == [b"before"]
    assert stage.relay.__dict__["notes"] == {}


def test_what_was_asked_before_and_never_left_is_told_of_nowhere() -> None:
    stage = Stage(ready=False)
    stage.says("a", b"before\n")
    told = traced(stage)
    stage.later(3.0)
    assert stage.hears("a") == b"con_lost\n"
    assert told == []


def test_the_order_to_close_is_no_request_and_a_second_beginning_changes_nothing() -> None:
    stage = Stage()
    told = traced(stage)
    again: list[Traced] = []
    begin(stage.relay, again.append, lambda _client: Who(0, 0), stage.now)
    stage.says("a", b"one\n")
    stage.says("b", b"close_connection_exit\n")
    assert stage.close_asked()
    assert stage.sent() == b"one\n"
    assert stage.link(b"ok\n")
    assert [one.line for one in told] == [b"one"]
    assert again == []


def test_when_off_nothing_of_it_is_left() -> None:
    stage = Stage()
    told = traced(stage)
    begin(stage.relay, told.append, lambda _client: Who(0, 0), stage.now)  # again: no change
    assert isinstance(stage.relay, TracedRelay)
    end(stage.relay, stage.now)
    end(stage.relay, stage.now)
    assert type(stage.relay) is Relay
    assert set(vars(stage.relay)) == PLAIN
    stage.says("a", b"x\n")
    assert stage.sent() == b"x\n"
    assert stage.lane.in_flight[0][3] == b"x\n"  # by the short way
    assert told == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("says"), st.sampled_from("abc"), st.sampled_from([b"p\n", b"q\nr\n", b"encrypt:s\n"])),
        st.tuples(st.just("replies"), st.integers(1, 3), st.none()),
        st.tuples(st.just("lost"), st.none(), st.none()),
        st.tuples(st.just("ready"), st.none(), st.none()),
        st.tuples(st.just("later"), st.sampled_from([0.5, 3.0, 400.0]), st.none()),
    ),
    max_size=40,
)


def _play(steps: list[Any], *, trace: bool) -> tuple[list[bytes], list[Traced]]:
    stage = Stage(pipeline=2)
    told = traced(stage) if trace else []
    heard: list[bytes] = []
    for name in "abc":
        stage.clients[name] = Client(stage.limit)
    for word, what, data in steps:
        ready = bool(stage.relay.ready)
        if word == "says":
            stage.says(what, data)
        elif word == "replies" and ready:
            heard.append(stage.sent())
            count = min(what, len(stage.lane.in_flight))
            if count:
                assert stage.link(b"ok\n" * count)
        elif word == "lost" and ready:
            stage.lost()
        elif word == "ready" and not ready:
            stage.ready()
        elif word == "later":
            stage.later(what)
        heard += [stage.hears(name) for name in "abc"]
    return heard, told


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_clients_and_links_see_no_difference(steps: list[Any]) -> None:
    assert _play(steps, trace=True)[0] == _play(steps, trace=False)[0]


@settings(max_examples=200, deadline=None)
@given(word=st.from_regex(rb"[a-z]{1,12}", fullmatch=True), secret=st.from_regex(rb"[A-Z]{6,20}", fullmatch=True))
def test_nothing_of_a_request_or_a_reply_is_told_but_words_and_lengths(word: bytes, secret: bytes) -> None:
    child: Any = SimpleNamespace(context=SimpleNamespace(clock=SimpleNamespace(wall=lambda: 1.0)))
    trace = Trace(child)
    for prefix in (b"", b"encrypt:"):
        line = prefix + word + b":" + secret + b":x"
        trace._take(Traced(Who(1, 2), line[:64], len(line), 1.0, 2.0, 3.0, b"error: " + secret, False))
    text = "".join(trace._lines)
    assert secret.decode() not in text
    assert word.decode() in text


def test_times_of_the_command_line() -> None:
    assert [duration_s(text) for text in ("2s", "200ms", "1.5", "2m", "1h")] == [2.0, 0.2, 1.5, 120.0, 3600.0]
    for text in ("", "soon", "-1s", "2 s", "1d"):
        with pytest.raises(argparse.ArgumentTypeError):
            duration_s(text)
