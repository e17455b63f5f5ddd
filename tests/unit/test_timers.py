"""The deadlines of a child."""

from __future__ import annotations

from lonc.child.timers import NEVER, Timer, Timers


def test_next_is_the_earliest_and_never_when_there_is_none() -> None:
    timers = Timers()
    assert timers.next == NEVER
    timers.set(Timer.UPKEEP, 20.0)
    timers.set(Timer.DIAL, 10.0)
    assert timers.next == 10.0
    timers.clear(Timer.DIAL, Timer.STOP)
    assert timers.next == 20.0
    assert timers.at(Timer.DIAL) == NEVER


def test_due_ones_come_once_in_order() -> None:
    timers = Timers()
    timers.set(Timer.UPKEEP, 2.0)
    timers.set(Timer.DIAL, 1.0)
    timers.set(Timer.STOP, 3.0)
    assert list(timers.due(2.0)) == [Timer.DIAL, Timer.UPKEEP]
    assert list(timers.due(2.0)) == []
    assert timers.next == 3.0


def test_sooner_never_puts_off() -> None:
    timers = Timers()
    timers.sooner(Timer.FLUSH, 5.0)
    timers.sooner(Timer.FLUSH, 9.0)
    assert timers.at(Timer.FLUSH) == 5.0
    timers.sooner(Timer.FLUSH, 1.0)
    assert timers.at(Timer.FLUSH) == 1.0
