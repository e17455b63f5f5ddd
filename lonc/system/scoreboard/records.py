"""Owns what the scoreboard tells, as records; nothing in them is request text (P30).

Times: `..._since`, `started` and the like are wall seconds, for showing; the rest are monotonic seconds of
this machine, comparable between its processes; 0.0 means never or none. Counters only grow while a child
lives. Texts longer than their place are cut; unprintable characters become escapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Bucket i counts what took less than 2**i microseconds and not less than half of it; the last one all above
# 4 s. Fixed, so that readers of different releases can add them up.
LATENCY_BUCKETS = 24


def latency_bucket(seconds: float) -> int:
    """Return the number of the histogram's bucket for a duration; less than 1 us, or negative, is 0."""
    return min(int(max(seconds, 0.0) * 1e6).bit_length(), LATENCY_BUCKETS - 1)


def bucket_limit_s(bucket: int) -> float:
    """Return the upper limit of a bucket in seconds, exclusive; infinite for the last."""
    return (1 << bucket) / 1e6 if bucket < LATENCY_BUCKETS - 1 else float("inf")


@dataclass(slots=True)
class HeaderRecord:
    """The parent about itself."""

    pid: int = 0
    started: float = 0.0  # wall: when the daemon was started
    restarted: float = 0.0  # wall: the last restart in place, 0.0 never
    restarts: int = 0
    state: str = ""
    since: float = 0.0  # wall
    lost_lines: int = 0  # of the parent's log
    last_line: str = ""
    log_trouble: str = ""  # why its log cannot be written at this moment
    warning: str = ""  # its last message that was a WARNING or CRITICAL
    warned: float = 0.0  # wall: when that was


@dataclass(slots=True)
class ParentRecord:
    """The parent about one peer; the whole truth when no child lives. An empty peer: the slot is free."""

    peer: str = ""
    pid: int = 0  # 0: no child
    state: str = ""  # of supervision, a word
    since: float = 0.0  # wall
    why: str = ""
    attempts: int = 0
    next_start: float = 0.0
    longest_ready_s: float = 0.0  # the longest ready time already counted
    spawned_at: float = 0.0
    dials: str = ""  # address or name that its child dials, by the table that is served


@dataclass(slots=True)
class ChildRecord:
    """A child about its link, its clients and its delayed messages.

    beat: when the loop last said that it turns; kept apart from the rest of the record and never torn.
    """

    pid: int = 0
    state: str = ""  # of the link, a word
    step: str = ""  # loncnew's word for where the dialogue stands
    since: float = 0.0  # wall: of the state
    why: str = ""  # of the last loss
    address: str = ""  # last dialed
    version: str = ""  # what lond says it is
    beat: float = 0.0
    clients: int = 0
    links: int = 0  # READY ones
    in_flight: int = 0
    queued: int = 0
    delayed: int = 0  # messages waiting on the disk
    oldest_delayed: float = 0.0  # wall
    requests: int = 0
    replies: int = 0
    con_lost: int = 0
    rejected: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    links_opened: int = 0
    delayed_sent: int = 0
    ready_since: float = 0.0
    longest_ready_s: float = 0.0
    next_try: float = 0.0
    down_since: float = 0.0  # the outage; 0.0 while there is a ready link, or none is wanted
    waiting_since: float = 0.0  # of the request in flight that has waited longest
    latency_us: list[int] = field(default_factory=lambda: [0] * LATENCY_BUCKETS)
    lost_lines: int = 0
    last_line: str = ""
    log_trouble: str = ""  # these three as in HeaderRecord
    warning: str = ""
    warned: float = 0.0  # also when it was only held back as a repeated one
