"""The words and the one table of supervision: states, inputs, outputs, signs, transitions.

PURE. What happened goes in as an input; together with what is known of the peer it becomes one Sign ("died,
attempts left"). TABLE maps (State, Sign) to the next state and the steps to take. It is the only place where a
transition is written; a cell that is not in it is a mistake of the caller.

    WANTED    nobody serves; the socket is listened on and watched: a client that knocks, or a delayed message,
              starts a child (on demand)
    STARTING  a child has been asked for and its fork not yet reported
    UP        a child lives
    BACKOFF   nobody serves; the next start is a matter of time
    GIVEN_UP  nobody serves, the attempts are used up or the socket cannot be had; only a call brings it back
    STOPPING  a child lives and was told to leave; whether another one follows is a fact of its own

Sources: lonc.md 2 (attempts, loss of the socket), house.md 3 (restart), promises.md P17-P22.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class State(Enum):
    """Where one peer stands; see the head of this file."""

    WANTED = "on demand"
    STARTING = "starting"
    UP = "up"
    BACKOFF = "backoff"
    GIVEN_UP = "given up"
    STOPPING = "stopping"


# ------------------------------------------------------------------------------------------------ inputs


@dataclass(frozen=True, slots=True)
class Wanted:
    """The peer stands in the table of hosts: a new one, or one that came back while its last child leaves."""


@dataclass(frozen=True, slots=True)
class Knocked:
    """A client waits on the socket of a peer without a child, or a delayed message waits for one."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The child that was asked for has been forked."""

    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """No child could be forked for want of resources; counts no attempt."""


@dataclass(frozen=True, slots=True)
class SocketFailed:
    """The peer's listening socket cannot be had (something foreign lies at its path)."""


@dataclass(frozen=True, slots=True)
class ChildExited:
    """The child is gone. code: its exit code, or minus the signal that killed it.

    ready_longest_s: the longest time one of its links was ready; decides whether the attempts start anew.
    """

    code: int
    ready_longest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody asks for everything to be looked at (USR1): attempts to 0, pauses over, children report."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """The child must make room for a new one (changed address, restart of the daemon)."""


@dataclass(frozen=True, slots=True)
class Removed:
    """The peer is served no more (vanished from the table, or the daemon ends)."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """The child lives, but its loop has not turned for too long."""


@dataclass(frozen=True, slots=True)
class Hurried:
    """A child that is leaving shall not be waited for (second TERM)."""


Asked = Wanted | Called | Replaced | Removed | Hurried
Input = Asked | Knocked | Spawned | SpawnFailed | SocketFailed | ChildExited | Stuck

# ----------------------------------------------------------------------------------------------- outputs


class Order(Enum):
    """What a child is told, by a signal that the parent chooses."""

    END = "end"  # finish what is in flight, say farewell, leave
    DIE = "die"  # at once
    REPORT = "report"  # write the status, redial now
    DUMP = "dump"  # write the stack of a loop that does not turn


class Fact(Enum):
    """What is worth a line in the log; the parent knows the words."""

    RETRY = "retry"  # a child died, a new one is tried (attempts n of m)
    SKIPPED = "skipped"  # the attempts are used up
    REVIVED = "revived"  # a peer that was given up is tried again
    OVERDUE = "overdue"  # a child did not leave in time and is killed


@dataclass(frozen=True, slots=True)
class Listen:
    """Make the peer's listening socket unless there is one; failure comes back as SocketFailed."""

    peer: str


@dataclass(frozen=True, slots=True)
class Unlisten:
    """Close the peer's listening socket and remove its file, so that a connect fails at once."""

    peer: str


@dataclass(frozen=True, slots=True)
class Watch:
    """Tell a client that comes to the socket, once (Knocked)."""

    peer: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Fork a child; comes back as Spawned or SpawnFailed. attempts: used so far."""

    peer: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Signal the child `pid` of the peer. By then it may be gone: no error."""

    peer: str
    pid: int
    order: Order


@dataclass(frozen=True, slots=True)
class Forget:
    """The peer is gone, with its child; its socket may be closed and its slot reused."""

    peer: str


@dataclass(frozen=True, slots=True)
class Say:
    """A fact for the log. attempts of most (0: no limit)."""

    peer: str
    fact: Fact
    attempts: int
    most: int


Output = Listen | Unlisten | Watch | Spawn | Tell | Forget | Say

# ------------------------------------------------------------------------------------------- the one table


class Sign(Enum):
    """An input together with what is known of its peer: the columns of the table."""

    START = auto()  # wanted, with a child at once
    REST = auto()  # wanted, without a child until a client comes
    KNOCK = auto()
    SPAWNED = auto()
    NO_FORK = auto()
    NO_SOCKET = auto()
    DIED = auto()  # counted, attempts left
    SPENT = auto()  # counted, no attempt left
    ENDED = auto()  # not counted, another one follows
    IDLED = auto()  # not counted, nobody follows until a client comes
    FINISHED = auto()  # the last child of a peer that is not wanted
    DUE = auto()  # the time of start_at or kill_at has come
    GRACE = auto()  # nobody has served for longer than the grace
    CALL = auto()
    REPLACE = auto()
    REMOVE = auto()
    STUCK = auto()
    HURRY = auto()


class Step(Enum):
    """One thing to do in a transition: the first part becomes outputs, the second changes the record."""

    LISTEN = auto()
    UNLISTEN = auto()
    WATCH = auto()
    SPAWN = auto()
    END = auto()
    KILL = auto()
    REPORT = auto()
    DUMP = auto()
    FORGET = auto()
    SAY_RETRY = auto()
    SAY_SKIPPED = auto()
    SAY_REVIVED = auto()
    SAY_OVERDUE = auto()
    COUNT = auto()  # one more attempt
    FRESH = auto()  # attempts to 0
    LATER = auto()  # next start: throttled, and held to FORKS_PER_S with those of all others
    SOON = auto()  # next start: as early as restart_min_s allows
    NEXT = auto()  # next start: as early as ended_min_s allows
    NO_FORK_PAUSE = auto()
    WANT = auto()
    UNWANT = auto()


S, G = State, Sign
_BEGIN = (Step.LISTEN, Step.SPAWN)
_REST = (Step.LISTEN, Step.WATCH)

# None as the next state: the peer leaves the table.
TABLE: dict[tuple[State, Sign], tuple[State | None, tuple[Step, ...]]] = {
    (S.WANTED, G.START): (S.STARTING, _BEGIN),
    (S.WANTED, G.REST): (S.WANTED, _REST),
    (S.WANTED, G.KNOCK): (S.STARTING, _BEGIN),
    (S.WANTED, G.NO_SOCKET): (S.GIVEN_UP, (Step.UNLISTEN,)),
    (S.WANTED, G.CALL): (S.WANTED, (Step.FRESH, *_REST)),
    (S.WANTED, G.REPLACE): (S.WANTED, (Step.FRESH, *_REST)),
    (S.WANTED, G.REMOVE): (None, (Step.UNLISTEN, Step.FORGET)),
    (S.STARTING, G.SPAWNED): (S.UP, ()),
    (S.STARTING, G.NO_FORK): (S.BACKOFF, (Step.NO_FORK_PAUSE,)),
    (S.STARTING, G.NO_SOCKET): (S.GIVEN_UP, (Step.UNLISTEN,)),
    (S.STARTING, G.CALL): (S.STARTING, (Step.FRESH,)),
    (S.STARTING, G.REPLACE): (S.STARTING, (Step.FRESH,)),
    (S.STARTING, G.REMOVE): (None, (Step.UNLISTEN, Step.FORGET)),
    (S.UP, G.DIED): (S.BACKOFF, (Step.COUNT, Step.LATER)),
    (S.UP, G.SPENT): (S.GIVEN_UP, (Step.UNLISTEN, Step.SAY_SKIPPED)),
    (S.UP, G.ENDED): (S.BACKOFF, (Step.NEXT,)),
    (S.UP, G.IDLED): (S.WANTED, _REST),
    (S.UP, G.DUE): (S.UP, (Step.KILL,)),  # the end of a stuck child, after its dump
    (S.UP, G.CALL): (S.UP, (Step.FRESH, Step.REPORT)),
    (S.UP, G.REPLACE): (S.STOPPING, (Step.FRESH, Step.END)),
    (S.UP, G.REMOVE): (S.STOPPING, (Step.UNWANT, Step.UNLISTEN, Step.END)),
    (S.UP, G.STUCK): (S.UP, (Step.DUMP,)),
    (S.BACKOFF, G.NO_SOCKET): (S.GIVEN_UP, (Step.UNLISTEN,)),
    (S.BACKOFF, G.DUE): (S.STARTING, (Step.SAY_RETRY, *_BEGIN)),
    (S.BACKOFF, G.GRACE): (S.BACKOFF, (Step.UNLISTEN,)),
    (S.BACKOFF, G.CALL): (S.BACKOFF, (Step.FRESH, Step.SOON)),
    (S.BACKOFF, G.REPLACE): (S.BACKOFF, (Step.FRESH, Step.SOON)),
    (S.BACKOFF, G.REMOVE): (None, (Step.UNLISTEN, Step.FORGET)),
    (S.GIVEN_UP, G.CALL): (S.BACKOFF, (Step.FRESH, Step.SOON, Step.SAY_REVIVED, Step.LISTEN)),
    (S.GIVEN_UP, G.REPLACE): (S.BACKOFF, (Step.FRESH, Step.SOON, Step.LISTEN)),
    (S.GIVEN_UP, G.REMOVE): (None, (Step.FORGET,)),
    (S.STOPPING, G.START): (S.STOPPING, (Step.FRESH, Step.WANT, Step.LISTEN)),
    (S.STOPPING, G.REST): (S.WANTED, _REST),
    (S.STOPPING, G.NO_SOCKET): (S.STOPPING, ()),  # tried again when the child is gone
    (S.STOPPING, G.ENDED): (S.STARTING, _BEGIN),
    (S.STOPPING, G.FINISHED): (None, (Step.FORGET,)),
    (S.STOPPING, G.DUE): (S.STOPPING, (Step.SAY_OVERDUE, Step.KILL)),
    (S.STOPPING, G.CALL): (S.STOPPING, (Step.FRESH, Step.REPORT)),
    (S.STOPPING, G.REPLACE): (S.STOPPING, (Step.FRESH,)),
    (S.STOPPING, G.REMOVE): (S.STOPPING, (Step.UNWANT, Step.UNLISTEN)),
    (S.STOPPING, G.STUCK): (S.STOPPING, ()),  # its time to leave is limited anyway
    (S.STOPPING, G.HURRY): (S.STOPPING, (Step.KILL,)),
}


def drawing() -> str:
    """Return TABLE as the text of a Mermaid state diagram; signs that share an arrow stand on it together."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, sign), (follower, _steps) in TABLE.items():
        arrow = (state.name, follower.name if follower else "[*]")
        arrows.setdefault(arrow, []).append(sign.name)
    lines = ["stateDiagram-v2", "    [*] --> WANTED"]
    lines += [f"    {start} --> {end}: {' / '.join(signs)}" for (start, end), signs in arrows.items()]
    return "\n".join(lines) + "\n"
