"""Pauses between dials: what an administrator sees after an outage of a given length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.child.redial import STEADY_S, Redial, redial_delay_s


def outage(length_s: float, *, limit_s: float = 15.0, chance: float = 0.0) -> list[tuple[float, float]]:
    """Return (when, pause) of every dial of an outage in which each dial fails at once."""
    dials = []
    at = pause = 0.0
    while at < length_s:
        pause = redial_delay_s(at, pause, limit_s, chance)
        dials.append((at, pause))
        at += pause
    return dials


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_a_young_outage_is_dialed_at_least_every_second(chance: float) -> None:
    assert all(pause <= 1.0 for at, pause in outage(10.0, chance=chance))


def test_an_old_outage_is_dialed_ever_more_seldom_up_to_the_limit() -> None:
    pauses = [pause for at, pause in outage(300.0) if at >= 10.0]
    assert pauses[:4] == [2.0, 4.0, 8.0, 15.0]
    assert set(pauses[4:]) == {15.0}


def test_a_small_limit_holds_from_the_start() -> None:
    assert max(pause for _, pause in outage(60.0, limit_s=0.5)) == 0.5


@given(st.floats(0, 1e6), st.floats(0, 100), st.floats(0.1, 3600), st.floats(0, 1))
def test_no_pause_is_above_the_limit_and_none_is_a_busy_loop(
    age: float, before: float, limit: float, chance: float
) -> None:
    delay = redial_delay_s(age, before, limit, chance)
    assert 0.05 < delay <= limit


def test_the_first_dial_of_an_outage_comes_at_once_and_the_next_ones_follow_the_rule() -> None:
    redial = Redial(15.0, now=0.0)
    redial.ready(1.0)
    assert redial.since is None
    assert redial.outage_s(50.0) == 0.0
    assert redial.lost(100.0, chance=0.0) == 100.0
    at = 100.0
    for pause in (0.1, 0.2, 0.4, 0.8, 1.0, 1.0):
        redial.dialed(at)
        assert redial.failed(at, chance=0.0) == pytest.approx(at + pause)
        at += pause
    assert redial.outage_s(at) == pytest.approx(at - 100.0)


def test_a_dial_that_hung_has_been_pause_enough() -> None:
    redial = Redial(15.0, now=0.0)
    redial.dialed(0.0)
    assert redial.failed(5.0, chance=0.0) == 5.0
    redial.dialed(5.0)
    assert redial.failed(5.05, chance=0.0) == pytest.approx(5.2)


def test_a_peer_that_ends_every_link_at_once_is_dialed_with_pauses() -> None:
    redial = Redial(15.0, now=0.0)
    now, pauses = 10.0, []
    for _ in range(8):
        redial.dialed(now)
        redial.ready(now)
        following = redial.lost(now, chance=0.0)
        pauses.append(round(following - now, 3))
        now = following
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    redial.dialed(now)
    redial.ready(now)
    assert redial.lost(now + STEADY_S, chance=0.0) == now + STEADY_S


def test_a_call_and_a_new_wish_begin_with_short_pauses() -> None:
    redial = Redial(15.0, now=0.0)
    for at in (20.0, 30.0, 50.0, 90.0, 150.0, 200.0, 250.0, 300.0):
        redial.dialed(at)
        redial.failed(at, chance=0.0)
    redial.hurry()
    redial.dialed(300.0)
    assert redial.failed(300.0, chance=0.0) == pytest.approx(300.1)
    redial.again(400.0)
    assert redial.outage_s(401.0) == 1.0
