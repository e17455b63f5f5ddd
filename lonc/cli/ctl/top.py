"""Show a live table: state, requests a second, waiting, latency, con_lost and delayed messages of every peer.

Two looks at the scoreboard make the rates of the time between them. On a terminal the table is renewed in place
until q is pressed; elsewhere plain lines follow each other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from lonc.cli.ctl.output import Column, Output
from lonc.cli.ctl.rates import (
    GROUPS,
    Row,
    as_json,
    counts_of,
    rows,
    shown_age,
    shown_latency,
    shown_rate,
    sum_of,
)
from lonc.cli.ctl.snapshot import Life, Snapshot, take
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.config import Config

INTERVAL_S = 2.0
ONCE_S = 0.3  # between the two looks of --once
LEAST_S = 0.1

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

_EPILOG = """\
columns: requests a second; in flight (sent, reply awaited); queued; half and 99 of 100 replies came within;
requests a second answered with con_lost; delayed messages on the disk, age of the oldest. `-`: not known, or none.
keys: q quits, < and > (or arrows) choose the column to sort by, i inverts, j, k, space and b (or arrows, page up
and page down) move.
exit codes: 0 done, 2 usage or configuration, 3 lonc is not running.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.epilog = _EPILOG
    parser.add_argument("--once", action="store_true", help="show one table in plain lines, then end")
    parser.add_argument("--sort", choices=list(COLUMNS), default="state", help="sort by this column (state)")
    parser.add_argument("--invert", action="store_true", help="the smallest first")
    parser.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_interval,
        help=f"between two looks ({INTERVAL_S:g}; --once: {ONCE_S:g})",
    )
    parser.add_argument("--count", metavar="N", type=int, default=0, help="end after N tables (0: never)")


def _interval(word: str) -> float:
    value = float(word)
    if not LEAST_S <= value <= 3600:
        raise argparse.ArgumentTypeError(f"must be from {LEAST_S:g} to 3600 seconds")
    return value


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


def run(options: argparse.Namespace, out: Output) -> int:
    """Show it; return the exit code."""
    once = options.once or out.as_json
    interval = options.interval or (ONCE_S if once else INTERVAL_S)
    looks = Looks(config_of(options))
    if not once and out.terminal and sys.stdin.isatty():
        from lonc.cli.ctl.topscreen import Screen  # rich, which plain lines do not need

        Screen(looks, options.sort, invert=options.invert).show(interval, options.count)
    else:
        for _ in _times(1 if once else options.count):
            time.sleep(interval)
            _plain(looks, options, out)
    return Exit.DONE if looks.snapshot.daemon.life is Life.RUNNING else Exit.NOT_RUNNING


def _times(count: int) -> Iterator[int]:
    """Yield so many numbers; 0: without an end."""
    number = 0
    while not count or number < count:
        yield number
        number += 1


def _plain(looks: Looks, options: argparse.Namespace, out: Output) -> None:
    """Show one table in plain lines, or as JSON."""
    shown, elapsed = looks.next()
    shown = ordered(shown, options.sort, invert=options.invert)
    snapshot = looks.snapshot
    out.say(f"{time.strftime('%H:%M:%S', time.localtime(snapshot.at_wall))} {head_line(snapshot, shown)}")
    out.table(
        [Column(name, right) for name, _show, _key, right in COLUMNS.values()],
        [[show(row) for _name, show, _key, _right in COLUMNS.values()] for row in shown],
    )
    out.json(
        {
            "server": snapshot.config.host_id,
            "at": snapshot.at_wall,
            "life": snapshot.daemon.life.value,
            "interval_s": round(elapsed, 3),
            "peers": [as_json(row) for row in shown],
        }
    )
    out.stream.flush()
