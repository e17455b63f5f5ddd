"""End a pause: the peer is dialed again.

Takes the line of `loncctl pause` out of logs/lonc.wanted.
"""

from __future__ import annotations

import argparse

from lonc.child.wishes import PAUSED, Wish
from lonc.cli.ctl.orders import tell
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.pause import EPILOG
from lonc.cli.ctl.wishing import make_wish


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer."""
    parser.add_argument("peer", metavar="PEER", help="its id in hosts.tab")
    parser.epilog = EPILOG


def run(options: argparse.Namespace, out: Output) -> int:
    """Resume a peer and wait until its child has read it."""
    wish = Wish(options.peer, PAUSED, None)
    words = ("not paused", "resumed")
    return tell(options, out, lambda config, person: make_wish(config, person, wish, False, lambda _: True, words))
