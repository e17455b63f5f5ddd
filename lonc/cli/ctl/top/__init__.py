"""Show a live table: state, requests a second, waiting, latency, con_lost and delayed messages of every peer.

Two looks at the scoreboard make the rates of the time between them. On a terminal the table is renewed in place
until q is pressed; elsewhere plain lines follow each other.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator

from lonc.cli.ctl.output import Column, Output
from lonc.cli.ctl.rates import as_json
from lonc.cli.ctl.snapshot import Life
from lonc.cli.ctl.top.table import COLUMNS, Looks, head_line, ordered
from lonc.cli.ctl.verbs import Exit, config_of

INTERVAL_S = 2.0
ONCE_S = 0.3  # between the two looks of --once
LEAST_S = 0.1

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


def run(options: argparse.Namespace, out: Output) -> int:
    """Show it; return the exit code."""
    once = options.once or out.as_json
    interval = options.interval or (ONCE_S if once else INTERVAL_S)
    looks = Looks(config_of(options))
    if not once and out.terminal and sys.stdin.isatty():
        from lonc.cli.ctl.top.screen import Screen  # rich, which plain lines do not need

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
