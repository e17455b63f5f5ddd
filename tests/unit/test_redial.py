"""Pauses between dials: what an administrator sees after an outage of a given length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.child.redial import redial_delay_s


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
def test_no_pause_is_above_the_limit_and_none_is_a_busy_loop(age: float, before: float, limit: float, chance: float) -> None:
    delay = redial_delay_s(age, before, limit, chance)
    assert 0.05 < delay <= limit
