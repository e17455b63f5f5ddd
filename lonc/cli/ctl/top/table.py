"""Owns what top shows: the columns and their order, the line above them, and the looks that make the rates."""

from __future__ import annotations

from collections.abc import Callable

from lonc.cli.ctl.rates import (
    GROUPS,
    Row,
    counts_of,
    rows,
    shown_age,
    shown_latency,
    shown_rate,
    sum_of,
)
from lonc.cli.ctl.snapshot import Life, Snapshot, take
from lonc.config import Config

# Heading, what it shows of a row, what it is sorted by (the largest first), whether it holds numbers.
COLUMNS: dict[str, tuple[str, Callable[[Row], str], Callable[[Row], float], bool]] = {
    "peer": ("PEER", lambda row: row.peer, lambda row: 0.0, False),
    "state": ("STATE", lambda row: row.state, lambda row: -float(GROUPS.index(row.group)), False),
    "rate": ("REQ/S", lambda row: shown_rate(row.requests_per_s), lambda row: _known(row.requests_per_s), True),
    "flight": ("FLY", lambda row: str(row.in_flight), lambda row: float(row.in_flight), True),
    "queued": ("QUEUE", lambda row: str(row.queued), lambda row: float(row.queued), True),
    "p50": ("P50", lambda row: shown_latency(row.p50_s), lambda row: _known(row.p50_s), True),
    "p99": ("P99", lambda row: shown_latency(row.p99_s), lambda row: _known(row.p99_s), True),
    "lost": ("LOST/S", lambda row: shown_rate(row.con_lost_per_s), lambda row: _known(row.con_lost_per_s), True),
    "delayed": ("DELAYED", lambda row: str(row.delayed), lambda row: float(row.delayed), True),
    "oldest": ("OLDEST", lambda row: shown_age(row.oldest_s), lambda row: _known(row.oldest_s), True),
}


def _known(value: float | None) -> float:
    return -1.0 if value is None else value


def ordered(shown: list[Row], sort: str, *, invert: bool) -> list[Row]:
    """Return rows by a column of COLUMNS, the largest first (peers: by name); equal ones by name."""
    key = COLUMNS[sort][2]
    found = sorted(shown, key=lambda row: row.peer, reverse=invert and sort == "peer")
    return sorted(found, key=key, reverse=not invert)


def head_line(snapshot: Snapshot, shown: list[Row]) -> str:
    """Return everything in one line of at most 80 characters for names of the usual length."""
    up = sum(row.group == "up" for row in shown)
    rate, lost = sum_of(row.requests_per_s for row in shown), sum_of(row.con_lost_per_s for row in shown)
    delayed = sum(row.delayed for row in shown)
    oldest = max((row.oldest_s for row in shown if row.oldest_s is not None), default=None)
    waits = f"{delayed} delayed, oldest {shown_age(oldest)}" if delayed else "none delayed"
    life = "" if snapshot.daemon.life is Life.RUNNING else f" ({snapshot.daemon.life.value})"
    return (
        f"{snapshot.config.host_id}{life}: {up} of {len(shown)} up, {shown_rate(rate)} req/s, "
        f"{shown_rate(lost)} lost/s, {waits}"
    )


class Looks:
    """Takes snapshots and makes rows of each two that follow each other."""

    def __init__(self, config: Config) -> None:
        """Take the first one."""
        self._config = config
        self.snapshot = take(config)

    def next(self) -> tuple[list[Row], float]:
        """Take another one; return the rows between the two, and the seconds."""
        before = self.snapshot
        self.snapshot = take(self._config)
        elapsed = self.snapshot.at_monotonic - before.at_monotonic
        return rows(self.snapshot, counts_of(before), elapsed), elapsed
