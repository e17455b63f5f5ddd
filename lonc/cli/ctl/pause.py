"""Have no link to a peer until it is resumed: every request is answered con_lost, delayed messages stay.

A line of logs/lonc.wanted, so it outlives the child and the daemon. `loncctl resume PEER` ends it.
"""

from __future__ import annotations

import argparse

from lonc.child.wishes import PAUSED, Wish
from lonc.cli.ctl.orders import Slot, tell
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.wishing import make_wish

EPILOG = (
    "exit codes: 0 done (also when it was so before, or the peer has no child now), 1 its child has not followed,"
    " 2 usage or configuration, 3 lonc is not running (the wish is kept)."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer."""
    parser.add_argument("peer", metavar="PEER", help="its id in hosts.tab")
    parser.epilog = EPILOG


def run(options: argparse.Namespace, out: Output) -> int:
    """Pause a peer and wait until its link is gone."""
    wish = Wish(options.peer, PAUSED, None)
    words = ("paused", "paused")
    return tell(options, out, lambda config, person: make_wish(config, person, wish, True, without_link, words))


def without_link(slot: Slot) -> bool:
    """Return whether a peer has no link and is not going to be dialed."""
    return slot.child.state == "down" and not slot.child.links and not slot.child.next_try
