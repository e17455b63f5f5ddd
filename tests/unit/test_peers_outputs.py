"""What each legal cell of the supervision table brings, drawn independently: outputs, attempts, next start."""

from __future__ import annotations

import pytest

from lonc.peers import (
    Called,
    ChildExited,
    Order,
    Output,
    Peers,
    Replaced,
    Rules,
    Say,
    Spawn,
    State,
    Stuck,
    Tell,
)
from tests.unit.test_peers import DEMAND, cells, give, in_state
from tests.unit.test_peers_rules import start

# State, sign, what is to be done in order, the attempts afterwards when there were 2 ("-": the peer is gone).
DRAWN = """
WANTED    START      listen spawn           2
WANTED    REST       listen watch           2
WANTED    KNOCK      listen spawn           2
WANTED    NO_SOCKET  unlisten               2
WANTED    CALL       listen watch           0
WANTED    REPLACE    listen watch           0
WANTED    REMOVE     unlisten forget        -
STARTING  SPAWNED                           2
STARTING  NO_FORK                           2
STARTING  NO_SOCKET  unlisten               2
STARTING  CALL                              0
STARTING  REPLACE                           0
STARTING  REMOVE     unlisten forget        -
UP        DIED                              3
UP        SPENT      unlisten skipped       5
UP        ENDED                             2
UP        IDLED      listen watch           2
UP        DUE        die                    2
UP        CALL       report                 0
UP        REPLACE    end                    0
UP        REMOVE     unlisten end           2
UP        STUCK      dump                   2
BACKOFF   NO_SOCKET  unlisten               2
BACKOFF   DUE        retry listen spawn     2
BACKOFF   GRACE      unlisten               2
BACKOFF   CALL                              0
BACKOFF   REPLACE                           0
BACKOFF   REMOVE     unlisten forget        -
GIVEN_UP  CALL       revived listen         0
GIVEN_UP  REPLACE    listen                 0
GIVEN_UP  REMOVE     forget                 -
STOPPING  START      listen                 0
STOPPING  REST       listen watch           2
STOPPING  NO_SOCKET                         2
STOPPING  ENDED      listen spawn           2
STOPPING  FINISHED   forget                 -
STOPPING  DUE        overdue die            2
STOPPING  CALL       report                 0
STOPPING  REPLACE                           0
STOPPING  REMOVE     unlisten               2
STOPPING  STUCK                             2
STOPPING  HURRY      die                    2
"""
ROWS = [line.split() for line in DRAWN.strip().splitlines()]


def word(output: Output) -> str:
    """Return what an output is, in one word; all of them name the one peer."""
    assert output.peer == "p"
    if isinstance(output, Tell):
        assert output.pid == 7
        return output.order.name.lower()
    return output.fact.name.lower() if isinstance(output, Say) else type(output).__name__.lower()


def test_every_legal_cell_is_drawn() -> None:
    drawn = [(state, sign) for state, sign, *_ in ROWS]
    assert sorted(drawn) == sorted((state, sign) for state, sign, to in cells() if to != "-")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_what_each_cell_brings(row: list[str]) -> None:
    state, sign, *words, attempts = row
    peers = in_state(state, on_demand=(state, sign) in DEMAND)
    peers.peer("p").attempts = 2
    if (state, sign) == ("WANTED", "START"):
        peers.rules = Rules()
    if (state, sign) == ("BACKOFF", "GRACE"):
        peers.peer("p").start_at = None
    is_start = (state, sign) == ("BACKOFF", "DUE")
    outputs = peers.on_time(101.0) if is_start else give(peers, state, sign)
    assert [word(output) for output in outputs] == words
    assert (str(peers.peer("p").attempts) if "p" in peers else "-") == attempts


@pytest.mark.parametrize("what", [Called(), Replaced()])
@pytest.mark.parametrize("state", ["BACKOFF", "GIVEN_UP"])
def test_whoever_is_called_or_replaced_starts_as_early_as_it_may(state: str, what: Called | Replaced) -> None:
    peers = in_state(state)
    peers._set(peers.peer("p"), "start_at", 150.0 if state == "BACKOFF" else None)
    peers.peer("p").last_start = 100.0
    peers.on_input("p", what, 100.0)
    assert peers.peer("p").start_at == peers.next_deadline() == 101.0
    assert Spawn("p", 0) in peers.on_time(101.0)


def held(*, grace_s: float) -> tuple[Peers, str]:
    """Return a table in which one restart too many waits for its turn, at time 10.0, and the peer's name."""
    peers = Peers(Rules(restart_min_s=0.001, grace_s=grace_s))
    for number in range(21):
        start(peers, f"p{number}", 0.0)
        peers.on_input(f"p{number}", ChildExited(-9), 9.0)
    peers.on_time(9.0)
    (name,) = [name for name in peers.names() if peers.peer(name).state is State.BACKOFF]
    return peers, name


@pytest.mark.parametrize("grace_s", [0.0, 100.0])
def test_the_next_deadline_is_the_turn_of_one_that_is_held(grace_s: float) -> None:
    peers, name = held(grace_s=grace_s)
    assert peers.next_deadline() == 10.0
    assert Spawn(name, 1) in peers.on_time(10.0)


def test_the_next_deadline_is_a_time_limit_that_comes_before_the_turn_of_one_that_is_held() -> None:
    peers, _name = held(grace_s=100.0)
    peers.adopt("old", 70, 8.0, wanted=False, kill_at=9.5)
    assert peers.next_deadline() == 9.5
    assert Tell("old", 70, Order.DIE) in peers.on_time(9.5)


def test_a_stuck_child_that_is_told_again_gets_one_dump() -> None:
    peers = in_state("UP")
    assert [word(output) for output in peers.on_input("p", Stuck(), 100.0)] == ["dump"]
    assert peers.on_input("p", Stuck(), 100.5) == []
    assert peers.next_deadline() == 101.0
