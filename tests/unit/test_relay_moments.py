"""The relay at its moments: from when a limit runs, what is due exactly at it, and when it wants to be woken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lonc.relay.deadlines import NEVER
from tests.unit.relay_stage import Stage

LATE = 7.0  # seconds after the link became READY


def waits_in_the_queue(stage: Stage, text: bytes) -> None:
    stage.says("slow", b"slow\n")
    stage.says("a", text)
    stage.sent()
    stage.now += LATE
    stage.link(b"S\n")


def encrypted(stage: Stage, text: bytes) -> None:
    stage.now += LATE
    stage.says("a", b"encrypt:" + text)


def waits_for_its_link(stage: Stage, text: bytes) -> None:
    stage.another()
    stage.says("a", b"first\n" + text)
    stage.sent()
    stage.now += LATE
    stage.link(b"F\n")


def encrypted_with_two_links(stage: Stage, text: bytes) -> None:
    stage.another()
    encrypted(stage, text)


def at_once(stage: Stage, text: bytes) -> None:
    stage.now += LATE
    stage.says("a", text)


def after_a_frozen_time(stage: Stage, text: bytes) -> None:
    stage.relay.freeze()
    stage.says("a", text)
    stage.now += LATE
    stage.relay.thaw(stage.now)


def encrypted_after_a_frozen_time(stage: Stage, text: bytes) -> None:
    after_a_frozen_time(stage, b"encrypt:" + text)


def for_a_new_link(stage: Stage, text: bytes) -> None:
    stage.lost()
    stage.says("a", text)
    stage.now += LATE
    stage.ready()


@pytest.mark.parametrize(
    "way",
    [
        waits_in_the_queue, encrypted, waits_for_its_link, encrypted_with_two_links, at_once, after_a_frozen_time,
        encrypted_after_a_frozen_time, for_a_new_link,
    ],
)  # fmt: skip
def test_the_limit_runs_from_the_moment_at_which_the_link_has_it_whatever_its_way(
    way: Callable[[Stage, bytes], None],
) -> None:
    stage = Stage(pipeline=1, request=10.0, grace=100.0)
    way(stage, b"late\n")
    assert stage.lane.head_since == stage.now
    assert stage.relay.wake_at <= stage.now + 10
    assert stage.later(9.99) == []
    assert stage.relay.wake_at == stage.lane.head_since + 10
    assert [late.removeprefix(b"encrypt:") for late in stage.later(0.01 + 1e-9)] == [b"late"]


def test_a_request_is_over_its_limit_exactly_at_it() -> None:
    stage = Stage(request=10.0)
    stage.says("a", b"x\n")
    assert stage.later(10.0) == [b"x"]


def test_every_way_to_a_link_sets_the_alarm_and_none_puts_it_off() -> None:
    for text in (b"x\n", b"x\ny\n", b"encrypt:x\n"):
        stage = Stage(request=10.0)
        assert stage.later(0) == []
        stage.relay.wake_at = NEVER
        stage.says("a", text)
        assert stage.relay.wake_at == stage.now + 10, text
        stage = Stage(request=10.0)
        stage.relay.wake_at = soon = stage.now + 1
        stage.says("a", text)
        assert stage.relay.wake_at == soon, text


def test_what_is_handed_over_from_the_queue_sets_the_alarm() -> None:
    stage = Stage(request=10.0)
    stage.relay.freeze()
    stage.says("a", b"x\n")
    stage.relay.wake_at = NEVER
    stage.relay.thaw(stage.now)
    assert stage.relay.wake_at == stage.now + 10


def test_what_waits_for_a_link_is_given_up_after_twice_the_limit() -> None:
    stage = Stage(ready=False, request=0.5, grace=9.0)
    stage.says("a", b"x\n")
    assert stage.relay.wake_at == stage.now + 1.0
    stage.now += 0.25
    stage.says("b", b"y\n")
    assert stage.relay.wake_at == stage.now + 0.75
    stage.relay.wake_at = 0.0
    stage.later(0.0)
    assert stage.relay.wake_at == stage.now + 0.75
    stage.later(0.75)
    assert (stage.hears("a"), stage.hears("b")) == (b"con_lost\n", b"")
    assert stage.relay.wake_at == stage.now + 0.25


def test_the_alarm_is_for_those_who_are_still_waited_for() -> None:
    stage = Stage(request=1.0, delayed=60.0)
    stage.relay.send_delayed(b"old", stage.now)
    assert list(stage.lane.in_flight) == [(stage.relay.delayed_client, stage.now, 0, b"old")]
    stage.later(0.0)
    assert stage.relay.wake_at == stage.now + 60
    stage.says("a", b"x\n")
    stage.later(0.0)
    assert stage.relay.wake_at == stage.now + 2
    stage.relay.client_gone(stage.clients["a"])
    stage.later(0.0)
    assert stage.relay.wake_at == stage.now + 60


def test_the_limit_of_a_delayed_message_runs_from_the_reply_before_it() -> None:
    stage = Stage(request=300.0, delayed=5.0)
    stage.says("a", b"x\n")
    stage.relay.send_delayed(b"old", stage.now)
    stage.later(6.0)
    assert stage.relay.wake_at == stage.lane.head_since + 300
    stage.link(b"X\n")
    assert stage.relay.wake_at == stage.now + 5
    assert stage.later(4.99) == []
    assert stage.later(0.02) == [b"old"]


def test_the_reply_before_a_request_of_a_client_sets_no_alarm() -> None:
    stage = Stage(request=300.0, delayed=5.0)
    stage.says("a", b"x\ny\n")
    stage.later(1.0)
    at = stage.relay.wake_at
    stage.link(b"X\n")
    assert stage.relay.wake_at == at


def test_the_grace_ends_exactly_at_its_end_and_begins_with_each_loss() -> None:
    stage = Stage(ready=False, grace=2.0)
    stage.says("a", b"x\n")
    stage.later(1.99)
    assert stage.hears("a") == b""
    assert stage.relay.wake_at == 1002.0
    stage.now = 1002.0
    stage.later(0.0)
    assert stage.hears("a") == b"con_lost\n"
    assert stage.relay.wake_at == NEVER
    stage.ready()
    assert (stage.relay.asleep, stage.lane.head_since) == (False, stage.now)
    stage.now += 100
    stage.lost()
    assert stage.relay.wake_at == stage.now + 2
    stage.says("a", b"y\n")
    stage.later(1.5)
    assert stage.hears("a") == b""
    stage.later(0.5)
    assert stage.hears("a") == b"con_lost\n"


def test_a_new_link_ends_the_sleep() -> None:
    stage = Stage()
    stage.lost()
    stage.relay.sleep()
    stage.ready()
    assert stage.relay.asleep is False
