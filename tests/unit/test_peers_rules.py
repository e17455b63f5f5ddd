"""The rules of supervision: attempts, throttle, grace, stopping, stuck children."""

from __future__ import annotations

import itertools

import pytest

from lonc.errors import ExitCode
from lonc.peers import (
    Called,
    ChildExited,
    Fact,
    Forget,
    Hurried,
    Listen,
    Order,
    Output,
    Peers,
    Removed,
    Replaced,
    Rules,
    Say,
    Spawn,
    Spawned,
    SpawnFailed,
    State,
    Stuck,
    Tell,
    Unlisten,
    Wanted,
)
from tests.unit.test_peers import in_state

# ---------------------------------------------------------------------------------------- attempts


def start(peers: Peers, name: str, now: float, pid: int = 7) -> list[Output]:
    outputs = peers.add(name, now)
    peers.on_input(name, Spawned(pid), now)
    return outputs


def wait_for_spawn(peers: Peers, name: str, now: float) -> float:
    """Run the time until `name` is to be forked; return when."""
    for _ in range(100):
        deadline = peers.next_deadline()
        assert deadline is not None
        now = max(now, deadline)
        if any(isinstance(output, Spawn) for output in peers.on_time(now)):
            peers.on_input(name, Spawned(8), now)
            return now
    raise AssertionError("no child")


def test_the_first_start_listens_then_forks() -> None:
    assert start(Peers(Rules()), "p", 0.0) == [Listen("p"), Spawn("p", 0)]


@pytest.mark.parametrize(
    "code", [ExitCode.GAVE_UP, ExitCode.CRASHED, ExitCode.ORPHANED, ExitCode.FAILED, ExitCode.CONFIG, -9, -15]
)
def test_five_counted_attempts_are_six_children(code: int) -> None:
    peers = Peers(Rules(max_attempts=5))
    start(peers, "p", 0.0)
    now, children, said = 0.0, 1, []
    while peers.peer("p").state is State.UP:
        outputs = peers.on_input("p", ChildExited(code), now)
        if peers.peer("p").state is State.BACKOFF:
            assert outputs == []
            now = wait_for_spawn(peers, "p", now)
            children += 1
            said.append(peers.peer("p").attempts)
    assert children == 6
    assert said == [1, 2, 3, 4, 5]
    assert peers.peer("p").state is State.GIVEN_UP
    assert outputs == [Unlisten("p"), Say("p", Fact.SKIPPED, 5, 5)]
    assert peers.next_deadline() is None


def test_a_restart_says_which_attempt_it_is() -> None:
    peers = Peers(Rules())
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(ExitCode.GAVE_UP), 200.0)
    assert peers.on_time(200.0) == [Say("p", Fact.RETRY, 1, 5), Listen("p"), Spawn("p", 1)]


@pytest.mark.parametrize("code", [ExitCode.OK, ExitCode.CLOSED, ExitCode.IDLE])
def test_some_ends_count_nothing_and_are_replaced(code: int) -> None:
    peers = Peers(Rules(max_attempts=1))
    start(peers, "p", 0.0)
    for now in range(1, 50):
        peers.on_input("p", ChildExited(code), float(now))
        assert peers.on_time(float(now)) == [Listen("p"), Spawn("p", 0)]
        peers.on_input("p", Spawned(8), float(now))
    assert peers.peer("p").attempts == 0


@pytest.mark.parametrize(("least", "after"), [(None, 1.0), (0.0, 0.25), (0.5, 0.5)])
def test_an_orderly_end_may_have_a_pause_of_its_own(least: float | None, after: float) -> None:
    peers = Peers(Rules(restart_min_s=1.0, ended_min_s=least))
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(ExitCode.OK), 0.25)
    assert wait_for_spawn(peers, "p", 0.25) == after
    peers.on_input("p", ChildExited(-9), after + 0.25)
    assert wait_for_spawn(peers, "p", after + 0.25) == after + 1.0


def test_a_call_does_not_know_the_pause_after_an_orderly_end() -> None:
    peers = Peers(Rules(restart_min_s=1.0, ended_min_s=0.0))
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(ExitCode.OK), 0.25)
    peers.on_input("p", Called(), 0.25)
    assert peers.on_time(0.5) == []


def test_zero_attempts_never_give_up() -> None:
    peers = Peers(Rules(max_attempts=0, restart_min_s=0.01))
    start(peers, "p", 0.0)
    now = 0.0
    for _ in range(200):
        peers.on_input("p", ChildExited(-9), now)
        now = wait_for_spawn(peers, "p", now)
    assert peers.peer("p").attempts == 200
    assert now <= 200 * 0.16


@pytest.mark.parametrize(("ready_s", "attempts"), [(299.9, 5), (300.0, 1)])
def test_a_stable_link_starts_the_count_anew(ready_s: float, attempts: int) -> None:
    peers = Peers(Rules(stable_after_s=300.0))
    start(peers, "p", 0.0)
    peers.peer("p").attempts = 4
    peers.on_input("p", ChildExited(-9, ready_s), 400.0)
    assert peers.peer("p").attempts == attempts


@pytest.mark.parametrize("what", [Called(), Replaced()])
@pytest.mark.parametrize("state", ["WANTED", "STARTING", "UP", "BACKOFF", "GIVEN_UP", "STOPPING"])
def test_a_call_or_a_replacement_sets_the_count_to_nothing(state: str, what: Called | Replaced) -> None:
    peers = in_state(state)
    peers.peer("p").attempts = 3
    peers.on_input("p", what, 100.0)
    assert peers.peer("p").attempts == 0


def test_a_call_brings_back_a_peer_that_was_given_up() -> None:
    peers = Peers(Rules(max_attempts=1))
    start(peers, "p", 0.0)
    peers.peer("p").attempts = 1
    peers.on_input("p", ChildExited(ExitCode.GAVE_UP), 50.0)
    assert peers.on_input("p", Called(), 60.0) == [Say("p", Fact.REVIVED, 0, 1), Listen("p")]
    assert peers.on_time(60.0) == [Listen("p"), Spawn("p", 0)]


def test_calls_never_start_a_peer_more_often_than_allowed() -> None:
    peers = Peers(Rules(restart_min_s=1.0))
    start(peers, "p", 0.0)
    starts = [0.0]
    for tenth in range(1, 100):
        now = tenth / 10
        if peers.peer("p").state is State.UP:
            peers.on_input("p", ChildExited(-9), now)
        peers.on_input("p", Called(), now)
        if any(isinstance(output, Spawn) for output in peers.on_time(now)):
            peers.on_input("p", Spawned(9), now)
            starts.append(now)
    assert len(starts) == 10
    assert min(b - a for a, b in itertools.pairwise(starts)) >= 0.99


# -------------------------------------------------------------------------------- throttle and grace


def test_a_crash_loop_is_throttled_with_growth() -> None:
    peers = Peers(Rules(max_attempts=0, restart_min_s=1.0))
    start(peers, "p", 0.0)
    now, pauses = 0.0, []
    for _ in range(7):
        before = now
        peers.on_input("p", ChildExited(ExitCode.CRASHED), now)
        now = wait_for_spawn(peers, "p", now)
        pauses.append(now - before)
    assert pauses == [1, 2, 4, 8, 16, 16, 16]


def test_the_first_death_is_replaced_within_a_second() -> None:
    peers = Peers(Rules())
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(-9), 0.3)
    assert wait_for_spawn(peers, "p", 0.3) == 1.0
    peers = Peers(Rules())
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(-9), 30.0)
    assert wait_for_spawn(peers, "p", 30.0) == 30.0


def test_a_thousand_failing_peers_fork_at_most_twenty_times_a_second_and_in_turn() -> None:
    peers = Peers(Rules(max_attempts=0, restart_min_s=0.001))
    for number in range(1000):
        start(peers, f"p{number}", 0.0)
    for name in peers.names():
        peers.on_input(name, ChildExited(-9), 10.0)
    now, forks = 10.0, []
    while now < 70.0:
        for output in peers.on_time(now):
            if isinstance(output, Spawn):
                forks.append((now, output.peer))
                peers.on_input(output.peer, Spawned(5), now)
                peers.on_input(output.peer, ChildExited(-9), now)
        deadline = peers.next_deadline()
        assert deadline is not None
        assert deadline > now
        now = deadline
    times = [when for when, _ in forks]
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[20:], strict=False))
    assert len(times) >= 20 * 59
    assert {name for _, name in forks} == set(peers.names())


def test_first_starts_and_ordered_restarts_are_not_held_back() -> None:
    peers = Peers(Rules())
    for number in range(200):
        assert Spawn(f"p{number}", 0) in start(peers, f"p{number}", 0.0)
    for name in peers.names():
        peers.on_input(name, Replaced(), 0.1)
        assert peers.on_input(name, ChildExited(0), 0.2) == [Listen(name), Spawn(name, 0)]


def test_a_peer_called_while_it_is_held_starts_at_once_and_only_once() -> None:
    peers = Peers(Rules(restart_min_s=0.001))
    for number in range(30):
        start(peers, f"p{number}", 0.0)
        peers.on_input(f"p{number}", ChildExited(-9), 9.0)
    assert sum(isinstance(output, Spawn) for output in peers.on_time(9.0)) == 20
    waiting = [name for name in peers.names() if peers.peer(name).state is State.BACKOFF]
    peers.on_input(waiting[0], Called(), 9.1)
    peers.on_input(waiting[1], Removed(), 9.1)
    assert Spawn(waiting[0], 0) in peers.on_time(9.1)
    later = [output.peer for output in peers.on_time(10.5) if isinstance(output, Spawn)]
    assert sorted(later) == sorted(waiting[2:])
    assert peers.next_deadline() is None


def test_a_fork_that_fails_is_tried_again_and_costs_no_attempt() -> None:
    peers = Peers(Rules(grace_s=2.0))
    peers.add("p", 0.0)
    assert peers.on_input("p", SpawnFailed(), 0.0) == []
    assert peers.next_deadline() == 1.0
    assert peers.on_time(1.0) == [Listen("p"), Spawn("p", 0)]
    peers.on_input("p", SpawnFailed(), 1.0)
    assert peers.on_time(2.0)[-2:] == [Listen("p"), Spawn("p", 0)]
    peers.on_input("p", SpawnFailed(), 2.0)
    assert peers.on_time(2.0) == [Unlisten("p")]  # the grace is over: clients must not hang
    for second in range(3, 50):
        assert peers.on_time(float(second)) == [Listen("p"), Spawn("p", 0)]
        peers.on_input("p", SpawnFailed(), float(second))
        assert peers.on_time(float(second)) == [Unlisten("p")]
    assert peers.peer("p").attempts == 0


def test_a_pause_longer_than_the_grace_takes_the_socket_away() -> None:
    peers = Peers(Rules(grace_s=2.0, restart_min_s=5.0))
    start(peers, "p", 0.0)
    peers.on_input("p", ChildExited(-9), 1.0)
    assert peers.next_deadline() == 3.0
    assert peers.on_time(3.0) == [Unlisten("p")]
    assert peers.on_time(5.0) == [Say("p", Fact.RETRY, 1, 5), Listen("p"), Spawn("p", 1)]


def test_a_call_gives_the_grace_again() -> None:
    peers = Peers(Rules(max_attempts=1, grace_s=0.5))
    start(peers, "p", 0.0)
    peers.peer("p").attempts = 1
    peers.on_input("p", ChildExited(-9), 0.1)
    assert Listen("p") in peers.on_input("p", Called(), 0.2)
    assert peers.on_time(0.6) == []
    assert peers.on_time(0.7) == [Unlisten("p")]


# ------------------------------------------------------------------------------- stopping and stuck


def test_a_removed_peer_loses_its_socket_then_its_child_and_is_forgotten() -> None:
    peers = in_state("UP")
    assert peers.on_input("p", Removed(), 100.0) == [Unlisten("p"), Tell("p", 7, Order.END)]
    assert peers.on_time(109.9) == []
    assert peers.on_time(110.0) == [Say("p", Fact.OVERDUE, 0, 5), Tell("p", 7, Order.DIE)]
    assert peers.on_input("p", ChildExited(-9), 110.1) == [Forget("p")]
    assert len(peers) == 0


def test_a_peer_that_comes_back_while_its_child_leaves_is_started_after_it() -> None:
    peers = in_state("UP")
    peers.on_input("p", Removed(), 100.0)
    assert peers.add("p", 101.0) == [Listen("p")]
    assert peers.on_input("p", ChildExited(0), 102.0) == [Listen("p"), Spawn("p", 0)]


def test_a_stuck_child_writes_its_stack_is_killed_and_counted() -> None:
    peers = in_state("UP")
    assert peers.on_input("p", Stuck(), 100.0) == [Tell("p", 7, Order.DUMP)]
    assert peers.on_input("p", Stuck(), 100.5) == []
    assert peers.on_time(101.0) == [Tell("p", 7, Order.DIE)]
    peers.on_input("p", ChildExited(-9), 101.1)
    assert peers.peer("p").attempts == 1
    assert peers.peer("p").state is State.BACKOFF


def test_a_stuck_child_told_to_leave_gets_no_more_time() -> None:
    peers = in_state("UP")
    peers.on_input("p", Stuck(), 100.0)
    peers.on_input("p", Removed(), 100.5)
    assert Tell("p", 7, Order.DIE) in peers.on_time(101.0)


def test_a_hurried_end_kills_at_once() -> None:
    peers = in_state("STOPPING")
    assert peers.on_input("p", Hurried(), 100.0) == [Tell("p", 7, Order.DIE)]


@pytest.mark.parametrize(("wanted", "order"), [(True, []), (False, [Unlisten("p")])])
def test_a_child_of_the_former_self_is_told_to_leave(wanted: bool, order: list[Output]) -> None:
    peers = Peers(Rules())
    assert peers.adopt("p", 7, 1.0, wanted=wanted) == [*order, Tell("p", 7, Order.END)]
    after = peers.on_input("p", ChildExited(ExitCode.CRASHED), 2.0)
    assert after == ([Listen("p"), Spawn("p", 0)] if wanted else [Forget("p")])


def test_an_adopted_child_that_was_leaving_gets_no_more_time() -> None:
    peers = Peers(Rules(stop_timeout_s=10.0))
    peers.adopt("p", 7, 100.0, wanted=True, kill_at=103.0)
    assert peers.next_deadline() == 103.0
    assert Tell("p", 7, Order.DIE) in peers.on_time(103.0)


def test_a_call_has_every_child_report() -> None:
    assert in_state("UP").on_input("p", Called(), 100.0) == [Tell("p", 7, Order.REPORT)]


def test_wanted_twice_is_an_error_of_the_caller() -> None:
    peers = in_state("UP")
    with pytest.raises(ValueError, match="START"):
        peers.on_input("p", Wanted(), 100.0)
