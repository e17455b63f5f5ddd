"""How many workers there should be, and what a pool can be asked for at all."""

from __future__ import annotations

import pytest

from lonc.pool import PoolRules
from lonc.pool.sizing import Sizing


def sizing(**rules: float) -> Sizing:
    return Sizing(PoolRules("p", **rules))  # type: ignore[arg-type]  # one dictionary for ints and floats


@pytest.mark.parametrize(
    ("rules", "busy", "wanted"),
    [
        ({"processes": 4}, 0, 3),
        ({"processes": 4}, 3, 3),
        ({"processes": 9, "most": 5}, 0, 5),
        ({"idle": 2}, 0, 2),
        ({"idle": 2}, 7, 9),
        ({"idle": 2, "most": 8}, 7, 8),
        ({"idle": 2, "processes": 6}, 1, 5),
        ({"idle": 2, "processes": 6}, 4, 6),
    ],
)
def test_the_size_that_is_wanted(rules: dict[str, float], busy: int, wanted: int) -> None:
    assert sizing(**rules).wanted(busy) == wanted
    assert sizing(**rules).missing(0, busy) == wanted
    assert sizing(**rules).missing(wanted + 1, busy) == 0


def test_a_fixed_size_shrinks_at_once() -> None:
    size = sizing(processes=4)
    assert size.surplus(5, 2, 0.0) == 2
    assert size.next_look() is None


def test_idle_ones_leave_when_they_were_too_many_all_the_time() -> None:
    size = sizing(idle=2, surplus_s=60.0)
    assert size.surplus(12, 0, 100.0) == 0
    assert size.next_look() == 160.0
    assert size.surplus(12, 6, 130.0) == 0  # 4 too many at that moment
    assert size.surplus(12, 0, 159.9) == 0
    assert size.surplus(12, 0, 160.0) == 4
    assert size.next_look() is None
    assert size.surplus(8, 0, 161.0) == 0
    assert size.surplus(8, 0, 221.0) == 6


def test_one_moment_of_use_keeps_them() -> None:
    size = sizing(idle=2, surplus_s=60.0)
    size.surplus(12, 0, 100.0)
    assert size.surplus(12, 10, 150.0) == 0
    assert size.next_look() is None
    assert size.surplus(12, 0, 161.0) == 0
    assert size.surplus(12, 0, 221.0) == 10


@pytest.mark.parametrize(
    ("rules", "changes", "wanted"),
    [
        ({"processes": 3}, [1, 1], 4),
        ({"processes": 3}, [-1, -1, -1], 1),
        ({"processes": 3, "most": 3}, [5], 3),
        ({"idle": 2}, [1], 3),
        ({"idle": 2}, [-5], 1),
        ({"idle": 2, "most": 4}, [5], 4),
    ],
)
def test_the_size_can_be_changed(rules: dict[str, float], changes: list[int], wanted: int) -> None:
    size = sizing(**rules)
    for delta in changes:
        size.change(delta)
    assert size.wanted(0) == wanted


@pytest.mark.parametrize(
    ("name", "value"),
    [("processes", 0), ("connections", -1), ("at_once", 0), ("idle", -1), ("most", 0), ("babysit_s", 0.0)],
)
def test_rules_that_cannot_be(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        sizing(**{name: value})
