"""What a pool needs to be told: what a worker does (Service, Session) and how many of them there are (PoolRules).

A service is made once, before the first fork; its methods run in the workers. A session is one client of a worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from lonc.pool.channel import Channel
    from lonc.pool.worker import Worker


class Session(Protocol):
    """One client, from its accept to its end; made by Service.connected.

    deadline: monotonic seconds; due() is called when that time has come, in every turn of the loop until it
    lies in the future again or is None. It may be changed at any time.
    """

    deadline: float | None

    def received(self, data: bytes) -> None:
        """Take what the client sent: at least one byte, cut anywhere. Answers go to the channel."""

    def due(self, now: float) -> None:
        """Do what the deadline is for; now: monotonic seconds."""

    def ended(self) -> None:
        """The other side is gone, or the channel was closed by us; called once. What is sent now is lost."""


@runtime_checkable
class Parting(Protocol):
    """A Session that knows how to leave without losing a request that is under way to it."""

    def leave(self) -> None:
        """The worker is to end: close the channel as soon as nothing is in hand; it is closed in the end anyway.

        For a session without this the pool takes what the kernel has of its requests and closes then.
        """


class Service(Protocol):
    """What a worker does. An error that leaves one of these methods ends the worker (`ABNORMAL EXIT`)."""

    def begin(self, worker: Worker) -> None:
        """Get ready, once, after the fork: open databases here, and close what is the parent's (worker.forked)."""

    def connected(self, channel: Channel) -> Session | None:
        """Return the session of a new client; None: not wanted, closed once what was sent to it is written."""

    def reload(self) -> None:
        """Read again what the pool was told has changed (Pool.reload_workers)."""

    def report(self) -> list[str]:
        """Return lines for this worker's block of the status file."""

    def end(self) -> None:
        """Give back what begin() took; the worker leaves, its sessions have ended (not when it leaves at once)."""


@dataclass(frozen=True, slots=True)
class PoolRules:
    """How many workers there are and how long things may take. Times are seconds. Source: lonc.md 6.

    program: its name in titles and in the log (`lond`).
    processes: counts the parent, as the original does: N - 1 workers. 1: no fork, the process itself accepts, and
    `connections` does not count.
    connections: how many clients a worker takes in its life before another one replaces it; 0: no limit.
    at_once: how many of them it serves side by side.
    idle: 0: N - 1 workers, always. n: as many as are busy and n idle ones besides, at least N - 1, up to `most`.
    surplus_s: for how long there must have been too many idle ones before one leaves.
    babysit_s: between two looks at the process table. rogue_cpu_s: CPU used without a sign of life.
    stop_timeout_s: what workers get to finish their requests in hand when the pool stops.
    status_path: where a worker writes its block when the pool is called; "": nowhere.
    verbose: tell every birth and every death in the log.
    """

    program: str
    processes: int = 1
    connections: int = 1
    at_once: int = 1
    idle: int = 0
    most: int = 256
    surplus_s: float = 60.0
    babysit_s: float = 30.0
    rogue_cpu_s: float = 600.0
    stop_timeout_s: float = 10.0
    status_path: str = ""
    verbose: bool = False

    def __post_init__(self) -> None:
        """Check the numbers; ValueError names the one that cannot be."""
        least = {"processes": 1, "connections": 0, "at_once": 1, "idle": 0, "most": 1}
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                raise ValueError(f"{name} must be at least {lowest}")
        for name in ("surplus_s", "babysit_s", "rogue_cpu_s", "stop_timeout_s"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive")
