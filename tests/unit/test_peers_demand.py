"""The rules of supervision on demand: who rests, who is started, and from when a client's grace counts."""

from __future__ import annotations

import pytest

from lonc.errors import ExitCode
from lonc.peers import (
    Called,
    ChildExited,
    Knocked,
    Listen,
    Peers,
    Removed,
    Replaced,
    Rules,
    Spawn,
    Spawned,
    SpawnFailed,
    State,
    Unlisten,
    Watch,
)
from tests.unit.test_peers import in_state
from tests.unit.test_peers_rules import wait_for_spawn


def test_on_demand_a_client_starts_the_child_and_an_idle_one_is_not_replaced() -> None:
    peers = Peers(Rules(on_demand=True))
    assert peers.add("p", 0.0) == [Listen("p"), Watch("p")]
    assert peers.on_input("p", Knocked(), 5.0) == [Listen("p"), Spawn("p", 0)]
    peers.on_input("p", Spawned(7), 5.0)
    assert peers.on_input("p", ChildExited(ExitCode.IDLE), 99.0) == [Listen("p"), Watch("p")]
    assert peers.next_deadline() is None


def resting(*, grace_s: float = 2.0) -> Peers:
    """Return a table with the one peer `p`, at rest since time 0."""
    peers = Peers(Rules(on_demand=True, grace_s=grace_s, restart_min_s=1.0))
    peers.add("p", 0.0)
    return peers


@pytest.mark.parametrize("what", [Called(), Replaced()])
def test_on_demand_a_call_or_a_changed_address_starts_nobody(what: Called | Replaced) -> None:
    peers = resting()
    assert peers.on_input("p", what, 50.0) == [Listen("p"), Watch("p")]
    assert peers.next_deadline() is None


@pytest.mark.parametrize("code", [ExitCode.OK, ExitCode.IDLE, ExitCode.CRASHED, ExitCode.CLOSED, -9])
def test_on_demand_a_child_that_made_room_is_followed_by_nobody_until_a_client_comes(code: int) -> None:
    peers = in_state("STOPPING", on_demand=True)
    assert peers.on_input("p", ChildExited(code), 101.0) == [Listen("p"), Watch("p")]
    assert peers.peer("p").attempts == 0
    assert peers.on_input("p", Knocked(), 101.0) == [Listen("p"), Spawn("p", 0)]


def test_on_demand_a_child_of_the_former_self_is_followed_by_nobody_until_a_client_comes() -> None:
    peers = Peers(Rules(on_demand=True))
    peers.adopt("p", 7, 1.0, wanted=True)
    assert peers.on_input("p", ChildExited(0), 2.0) == [Listen("p"), Watch("p")]


def test_on_demand_a_peer_that_comes_back_while_its_child_leaves_rests_after_it() -> None:
    peers = in_state("UP", on_demand=True)
    peers.on_input("p", Removed(), 100.0)
    assert peers.add("p", 101.0) == [Listen("p")]
    assert peers.on_input("p", ChildExited(0), 102.0) == [Listen("p"), Watch("p")]


@pytest.mark.parametrize("code", [ExitCode.OK, ExitCode.CLOSED, ExitCode.CRASHED, -9])
def test_on_demand_any_other_end_is_followed_by_a_child_as_always(code: int) -> None:
    """Clients may wait in the backlog; one that finds none leaves as idle later."""
    peers = in_state("UP", on_demand=True)
    assert peers.on_input("p", ChildExited(code), 100.5) == []
    assert peers.next_deadline() == 101.0
    assert Spawn("p", int(code in (ExitCode.CRASHED, -9))) in peers.on_time(101.0)


def test_on_demand_the_grace_begins_when_the_client_comes() -> None:
    """However long the peer has rested, a fork that fails costs its client nothing within the grace."""
    peers = resting(grace_s=1.5)
    peers.on_input("p", Knocked(), 1000.0)
    peers.on_input("p", SpawnFailed(), 1000.0)
    assert peers.next_deadline() == 1001.0
    assert peers.on_time(1001.0) == [Listen("p"), Spawn("p", 0)]
    peers.on_input("p", SpawnFailed(), 1001.0)
    assert peers.on_time(1001.5) == [Unlisten("p")]  # the grace is over: nobody hangs
    assert peers.on_time(2002.0) == [Listen("p"), Spawn("p", 0)]
    peers.on_input("p", SpawnFailed(), 2002.0)
    assert peers.on_time(2002.0) == [Unlisten("p")]  # and it does not begin anew by itself


def test_on_demand_attempts_are_used_up_and_only_a_call_helps() -> None:
    peers = Peers(Rules(on_demand=True, max_attempts=1))
    peers.add("p", 0.0)
    peers.on_input("p", Knocked(), 0.0)
    peers.on_input("p", Spawned(7), 0.0)
    peers.on_input("p", ChildExited(ExitCode.GAVE_UP), 200.0)
    wait_for_spawn(peers, "p", 200.0)
    assert Unlisten("p") in peers.on_input("p", ChildExited(ExitCode.GAVE_UP), 400.0)
    assert peers.peer("p").state is State.GIVEN_UP
    assert Listen("p") in peers.on_input("p", Called(), 500.0)
