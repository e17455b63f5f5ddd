"""The records of all peers, their attempts and their deadlines, moved by the one table.

PURE: `now` is monotonic seconds, always an argument. There are three sources of change: an input
(`add`, `adopt`, `on_input`), the time (`on_time`, due at `next_deadline()`), and nothing else. Each returns
what is to be done, in the order in which it must be done; whoever performs it reports back through `on_input`.

Time limits of one peer: `start_at` (BACKOFF), `grace_at` (BACKOFF, as long as its socket exists), `kill_at` (a
child that is leaving or stuck). They lie in one heap; an entry that no longer agrees with the record is void.

Counted restarts of all peers together are held to FORKS_PER_S in any second, first come, first served (P17);
first starts, ordered restarts and those that somebody asked for are not.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lonc.errors import ExitCode
from lonc.peers import table
from lonc.peers.table import TABLE, Fact, Order, Output, Sign, State, Step

FORKS_PER_S = 20  # counted restarts, all peers together (P17)
GROWTH_MAX = 16  # a crash loop waits restart_min_s times 1, 2, 4, 8, 16, 16...
FORK_PAUSE_S = 1.0  # after a fork that failed for want of resources (lonc.md 2)
DUMP_PAUSE_S = 1.0  # what a stuck child gets to write its stack before it is killed (P19)

NOT_COUNTED = frozenset({ExitCode.OK, ExitCode.CLOSED, ExitCode.IDLE})
_FIXED_SIGNS: dict[type[table.Input], Sign] = {
    table.Knocked: Sign.KNOCK,
    table.Spawned: Sign.SPAWNED,
    table.SpawnFailed: Sign.NO_FORK,
    table.SocketFailed: Sign.NO_SOCKET,
    table.Called: Sign.CALL,
    table.Replaced: Sign.REPLACE,
    table.Removed: Sign.REMOVE,
    table.Stuck: Sign.STUCK,
    table.Hurried: Sign.HURRY,
}


@dataclass(frozen=True, slots=True)
class Rules:
    """The limits (files.md 1). max_attempts 0: a peer is never given up.

    on_demand: a peer rests without a child until a client knocks, and again when its child ended as idle or was
    told to make room. A child that ended otherwise is replaced as always, and may leave as idle later.
    restart_min_s: between two starts of one peer, at the least. ended_min_s: the same after an orderly end (None:
    restart_min_s); 0.0 for workers that are replaced when they have served their share.
    """

    max_attempts: int = 5
    restart_min_s: float = 1.0
    grace_s: float = 2.0
    stable_after_s: float = 300.0
    stop_timeout_s: float = 10.0
    on_demand: bool = False
    ended_min_s: float | None = None


@dataclass(slots=True)
class Peer:
    """What is known of one peer. Written by Peers only; others read it. Times are monotonic seconds."""

    name: str
    since: float  # when it came into its state
    down_since: float  # when it was last left without a child
    state: State = State.WANTED
    pid: int = 0  # of the child that lives; 0 without one
    attempts: int = 0  # used; a start that nobody counts leaves it alone
    wanted: bool = True  # False: when the child is gone the peer is, too
    last_start: float = float("-inf")
    limited: bool = False  # the next start is a counted one and shares FORKS_PER_S
    held: bool = False  # waits for its turn among those
    start_at: float | None = None
    grace_at: float | None = None
    kill_at: float | None = None


@dataclass(slots=True)
class _Move:
    """A transition at work: its time and what it has found to do so far."""

    now: float
    found: list[Output] = field(default_factory=list)


class Peers:
    """The supervision of all peers; see the head of this file."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._peers: dict[str, Peer] = {}
        self._heap: list[tuple[float, str, str]] = []  # (when, peer, field of the record)
        self._held: deque[str] = deque()
        self._forks: deque[float] = deque(maxlen=FORKS_PER_S)  # the latest counted restarts
        self._steps = self._step_table()

    # ------------------------------------------------------------------------------------- looking

    def __contains__(self, name: str) -> bool:
        return name in self._peers

    def __len__(self) -> int:
        return len(self._peers)

    def names(self) -> list[str]:
        """Return the peers in the order in which they came."""
        return list(self._peers)

    def peer(self, name: str) -> Peer:
        """Return the record of a peer, for reading; KeyError when there is none."""
        return self._peers[name]

    def next_deadline(self) -> float | None:
        """Return when on_time() is due next; None: nothing waits for time."""
        while self._heap and not self._valid(*self._heap[0]):
            heapq.heappop(self._heap)
        timer = self._heap[0][0] if self._heap else None
        if not self._held:
            return timer
        free = self._free_at()
        return free if timer is None else min(timer, free)

    # -------------------------------------------------------------------------------------- inputs

    def add(self, name: str, now: float) -> list[Output]:
        """Take a peer in, or back in while its last child leaves; on_demand decides whether it starts at once."""
        if name not in self._peers:
            self._peers[name] = Peer(name, since=now, down_since=now)
        return self.on_input(name, table.Wanted(), now)

    def adopt(
        self, name: str, pid: int, now: float, *, wanted: bool, kill_at: float | None = None
    ) -> list[Output]:
        """Take over a child of this daemon's former self: it is told to leave (house.md 3, A restart).

        kill_at: when it has to be gone, if the former self had told it to leave already.
        """
        self._peers[name] = peer = Peer(name, since=now, down_since=now, state=State.UP, pid=pid)
        self._set(peer, "kill_at", kill_at)
        return self.on_input(name, table.Replaced() if wanted else table.Removed(), now)

    def on_input(self, name: str, what: table.Input, now: float) -> list[Output]:
        """Return what is to be done about `what`. KeyError: no such peer; ValueError: an illegal cell.

        Neither error changes anything.
        """
        peer = self._peers[name]
        move = _Move(now)
        sign, used = self._sign(peer, what)
        self._check(peer, sign)
        peer.attempts = used
        if isinstance(what, table.Spawned):
            peer.pid = what.pid
        elif isinstance(what, table.ChildExited):
            peer.pid = 0
            peer.down_since = now
        self._move(peer, sign, move)
        return move.found

    def on_time(self, now: float) -> list[Output]:
        """Return what is due by now; the starts that are one too many for this second stay due."""
        move = _Move(now)
        while self._heap and self._heap[0][0] <= now:
            when, name, timer = heapq.heappop(self._heap)
            if not self._valid(when, name, timer):
                continue
            peer = self._peers[name]
            setattr(peer, timer, None)
            if timer == "grace_at":
                self._move(peer, Sign.GRACE, move)
            elif timer == "start_at" and peer.limited:
                peer.held = True
                self._held.append(name)
            else:
                self._move(peer, Sign.DUE, move)
        while self._held and self._free_at() <= now:
            self._release(self._held.popleft(), move)
        return move.found

    # ------------------------------------------------------------------------------- from input to sign

    def _sign(self, peer: Peer, what: table.Input) -> tuple[Sign, int]:
        """Return the column of the table, and the attempts used before the transition."""
        if isinstance(what, table.ChildExited):
            used = 0 if what.ready_longest_s >= self.rules.stable_after_s else peer.attempts
            return self._sign_of_exit(peer, what.code, used), used
        if isinstance(what, table.Wanted):
            rests = self.rules.on_demand and peer.state is not State.STOPPING
            return (Sign.REST if rests else Sign.START), peer.attempts
        return _FIXED_SIGNS[type(what)], peer.attempts

    def _sign_of_exit(self, peer: Peer, code: int, used: int) -> Sign:
        """Return what the end of a child means: an ordered one is never counted, whatever its code."""
        if peer.state is State.STOPPING:
            if not peer.wanted:
                return Sign.FINISHED
            return Sign.REST if self.rules.on_demand else Sign.ENDED
        if code in NOT_COUNTED:
            return Sign.IDLED if code == ExitCode.IDLE and self.rules.on_demand else Sign.ENDED
        most = self.rules.max_attempts
        return Sign.DIED if most == 0 or used < most else Sign.SPENT

    # -------------------------------------------------------------------------------- the one writer

    def _check(self, peer: Peer, sign: Sign) -> None:
        if (peer.state, sign) not in TABLE:
            raise ValueError(f"{sign.name} cannot happen to a peer in {peer.state.name} ({peer.name})")

    def _move(self, peer: Peer, sign: Sign, move: _Move) -> None:
        """Carry out one cell of the table; the only place where a state is set."""
        follower, steps = TABLE[peer.state, sign]
        if follower is None:
            del self._peers[peer.name]
        elif follower is not peer.state:
            if peer.state in (State.GIVEN_UP, State.WANTED):
                peer.down_since = move.now  # called back, or asked for just now: its clients get the grace anew
            peer.state = follower
            peer.since = move.now
            peer.start_at = None
            peer.held = False
            if follower is not State.STOPPING:  # a stuck child told to leave is not given more time
                peer.kill_at = None
            # A fork that fails again and again does not start the grace anew: clients must not hang.
            waits = follower is State.BACKOFF
            self._set(peer, "grace_at", peer.down_since + self.rules.grace_s if waits else None)
        for step in steps:
            self._steps[step](peer, move)

    def _set(self, peer: Peer, timer: str, when: float | None) -> None:
        if when is not None and getattr(peer, timer) != when:
            heapq.heappush(self._heap, (when, peer.name, timer))
        setattr(peer, timer, when)

    def _valid(self, when: float, name: str, timer: str) -> bool:
        peer = self._peers.get(name)
        return peer is not None and getattr(peer, timer) == when

    def _free_at(self) -> float:
        """Return when one more counted restart is allowed; -inf: at once."""
        return self._forks[0] + 1.0 if len(self._forks) == FORKS_PER_S else float("-inf")

    def _release(self, name: str, move: _Move) -> None:
        peer = self._peers.get(name)
        if peer is not None and peer.held:  # else it was called, stopped or removed while it waited
            self._forks.append(move.now)
            self._move(peer, Sign.DUE, move)

    # ------------------------------------------------------------------------------------------ steps

    def _step_table(self) -> dict[Step, Callable[[Peer, _Move], None]]:
        def out(make: Callable[[Peer], Output]) -> Callable[[Peer, _Move], None]:
            return lambda peer, move: move.found.append(make(peer))

        def tell(order: Order) -> Callable[[Peer, _Move], None]:
            return out(lambda peer: table.Tell(peer.name, peer.pid, order))

        def say(fact: Fact) -> Callable[[Peer, _Move], None]:
            return out(lambda peer: table.Say(peer.name, fact, peer.attempts, self.rules.max_attempts))

        return {
            Step.LISTEN: out(lambda peer: table.Listen(peer.name)),
            Step.UNLISTEN: out(lambda peer: table.Unlisten(peer.name)),
            Step.WATCH: out(lambda peer: table.Watch(peer.name)),
            Step.FORGET: out(lambda peer: table.Forget(peer.name)),
            Step.KILL: tell(Order.DIE),
            Step.REPORT: tell(Order.REPORT),
            Step.SAY_SKIPPED: say(Fact.SKIPPED),
            Step.SAY_REVIVED: say(Fact.REVIVED),
            Step.SAY_OVERDUE: say(Fact.OVERDUE),
            Step.SAY_RETRY: self._say_retry,
            Step.SPAWN: self._spawn,
            Step.END: self._end,
            Step.DUMP: self._dump,
            Step.COUNT: self._count,
            Step.FRESH: self._fresh,
            Step.LATER: self._later,
            Step.SOON: self._soon,
            Step.NEXT: self._next,
            Step.NO_FORK_PAUSE: self._pause,
            Step.WANT: self._want,
            Step.UNWANT: self._unwant,
        }

    def _say_retry(self, peer: Peer, move: _Move) -> None:
        if peer.limited:  # a counted restart, told once however often its fork fails
            peer.limited = False
            move.found.append(table.Say(peer.name, Fact.RETRY, peer.attempts, self.rules.max_attempts))

    def _spawn(self, peer: Peer, move: _Move) -> None:
        peer.last_start = move.now
        move.found.append(table.Spawn(peer.name, peer.attempts))

    def _end(self, peer: Peer, move: _Move) -> None:
        move.found.append(table.Tell(peer.name, peer.pid, Order.END))
        end = move.now + self.rules.stop_timeout_s
        self._set(peer, "kill_at", end if peer.kill_at is None else min(end, peer.kill_at))

    def _dump(self, peer: Peer, move: _Move) -> None:
        if peer.kill_at is None:
            move.found.append(table.Tell(peer.name, peer.pid, Order.DUMP))
            self._set(peer, "kill_at", move.now + DUMP_PAUSE_S)

    def _count(self, peer: Peer, _move: _Move) -> None:
        peer.attempts += 1

    def _fresh(self, peer: Peer, _move: _Move) -> None:
        peer.attempts = 0

    def _later(self, peer: Peer, move: _Move) -> None:
        growth = min(GROWTH_MAX, 2 ** min(peer.attempts - 1, 16))
        peer.limited = True
        self._set(peer, "start_at", max(move.now, peer.last_start + growth * self.rules.restart_min_s))

    def _soon(self, peer: Peer, move: _Move) -> None:
        """The pause is over, but no call makes one peer start more often than every restart_min_s."""
        self._at_least(self.rules.restart_min_s, peer, move)

    def _next(self, peer: Peer, move: _Move) -> None:
        """It ended in order: what it was for may have been done sooner than that."""
        least = self.rules.ended_min_s
        self._at_least(self.rules.restart_min_s if least is None else least, peer, move)

    def _at_least(self, pause_s: float, peer: Peer, move: _Move) -> None:
        peer.limited = peer.held = False
        self._set(peer, "start_at", max(move.now, peer.last_start + pause_s))

    def _pause(self, peer: Peer, move: _Move) -> None:
        self._set(peer, "start_at", move.now + FORK_PAUSE_S)

    def _want(self, peer: Peer, _move: _Move) -> None:
        peer.wanted = True

    def _unwant(self, peer: Peer, _move: _Move) -> None:
        peer.wanted = False
