"""The record of one peer: what is in it at first, and what each change leaves of its time limits."""

from __future__ import annotations

from lonc.peers import (
    ChildExited,
    Fact,
    Listen,
    Peers,
    Rules,
    Say,
    SocketFailed,
    Spawn,
    Spawned,
    SpawnFailed,
    State,
    Stuck,
    Unlisten,
)
from lonc.peers.supervision import Peer
from tests.unit.test_peers import in_state
from tests.unit.test_peers_rules import start


def test_the_limits_that_nobody_sets_are_those_of_the_settings() -> None:
    assert Rules() == Rules(
        max_attempts=5,
        restart_min_s=1.0,
        grace_s=2.0,
        stable_after_s=300.0,
        stop_timeout_s=10.0,
        on_demand=False,
        ended_min_s=None,
    )
    assert ChildExited(1) == ChildExited(1, ready_longest_s=0.0)


def test_the_record_of_a_new_peer() -> None:
    peers = Peers(Rules(on_demand=True))
    peers.add("p", 3.0)
    record = Peer("p", 3.0, 3.0, State.WANTED, 0, 0, True, float("-inf"), False, False, None, None, None)
    assert peers.peer("p") == record
    assert Peer("p", 3.0, 3.0) == record


def test_the_states_have_the_words_that_are_shown() -> None:
    assert [state.value for state in State] == [
        "on demand",
        "starting",
        "up",
        "backoff",
        "given up",
        "stopping",
    ]


def test_a_peer_knows_since_when_it_is_what_it_is_and_its_childs_pid() -> None:
    peers = Peers(Rules())
    start(peers, "p", 5.0, pid=7)
    assert (peers.peer("p").since, peers.peer("p").pid) == (5.0, 7)
    peers.on_input("p", ChildExited(1), 9.0)
    assert (peers.peer("p").since, peers.peer("p").pid, peers.peer("p").down_since) == (9.0, 0, 9.0)


def test_the_record_of_a_child_of_the_former_self() -> None:
    peers = Peers(Rules())
    peers.adopt("p", 7, 4.0, wanted=True)
    peer = peers.peer("p")
    assert (peer.since, peer.down_since, peer.pid, peer.attempts) == (4.0, 4.0, 7, 0)


def test_a_start_that_was_due_is_forgotten_with_the_socket() -> None:
    peers = in_state("BACKOFF")
    assert peers.next_deadline() == 101.0
    assert peers.on_input("p", SocketFailed(), 100.0) == [Unlisten("p")]
    assert peers.next_deadline() is None
    assert peers.peer("p").start_at is None
    assert peers.on_time(1000.0) == []


def test_a_peer_whose_socket_is_lost_while_it_is_held_is_not_started() -> None:
    peers = Peers(Rules(restart_min_s=0.001, grace_s=100.0))
    for number in range(21):
        start(peers, f"p{number}", 0.0)
        peers.on_input(f"p{number}", ChildExited(-9), 9.0)
    assert sum(isinstance(output, Spawn) for output in peers.on_time(9.0)) == 20
    (held,) = [name for name in peers.names() if peers.peer(name).state is State.BACKOFF]
    peers.on_input(held, SocketFailed(), 9.1)
    assert not peers.peer(held).held
    assert peers.on_time(20.0) == []


def test_the_time_limit_of_a_stuck_child_ends_with_it() -> None:
    peers = Peers(Rules(grace_s=50.0, restart_min_s=20.0))
    start(peers, "p", 0.0)
    peers.on_input("p", Stuck(), 1.0)
    assert peers.next_deadline() == 2.0
    peers.on_input("p", ChildExited(-9), 1.5)
    assert peers.next_deadline() == 20.0
    assert peers.on_time(19.0) == []


def test_a_counted_restart_is_told_once_however_often_its_fork_fails() -> None:
    peers = Peers(Rules(grace_s=100.0))
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(-9), 50.0)
    assert peers.on_time(50.0) == [Say("p", Fact.RETRY, 1, 5), Listen("p"), Spawn("p", 1)]
    peers.on_input("p", SpawnFailed(), 50.0)
    assert peers.on_time(51.0) == [Listen("p"), Spawn("p", 1)]
    peers.on_input("p", Spawned(9), 51.0)
    assert peers.peer("p").state is State.UP
