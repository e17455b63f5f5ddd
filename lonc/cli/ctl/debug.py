"""Log every step of a peer's links, or stop; it ends by itself after loncDebugFor (an hour).

A line of logs/lonc.wanted with the time of its end, so that it outlives a restart of the child, but not the hour.
"""

from __future__ import annotations

import argparse
import math
import time

from lonc.child.wishes import DEBUG, Wish
from lonc.cli.ctl.operator import Person
from lonc.cli.ctl.orders import Result, tell
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.pause import EPILOG
from lonc.cli.ctl.wishing import make_wish
from lonc.config import Config


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer and what is wanted."""
    parser.add_argument("peer", metavar="PEER", help="its id in hosts.tab")
    parser.add_argument("wanted", choices=("on", "off"), help="what is wanted; again `on` begins the hour anew")
    parser.epilog = EPILOG


def run(options: argparse.Namespace, out: Output) -> int:
    """Have debug lines of a peer, or none."""
    on = options.wanted == "on"

    def deed(config: Config, person: Person) -> Result:
        wish = Wish(options.peer, DEBUG, end_of(config) if on else None)
        words = (f"debugged for {config.debug_for_s:g} s", "debug on") if on else ("not debugged", "debug off")
        return make_wish(config, person, wish, on, lambda _: True, words)

    return tell(options, out, deed)


def end_of(config: Config) -> int:
    """Return when something that begins now has lasted for loncDebugFor (unix time)."""
    return math.floor(time.time() + config.debug_for_s)  # later, and its child would end it before that
