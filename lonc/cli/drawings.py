"""Owns the drawings in the documents: each is made from the table that the program runs by.

    python -m lonc.cli.drawings            say which documents are out of date (status 1 when any is)
    python -m lonc.cli.drawings --write    bring them up to date

A document holds `<!-- drawing: NAME -->`, then a block that this module writes, then `<!-- end of drawing -->`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Final

from lonc import peers
from lonc.cli.renewing import check_or_renew, stale_documents
from lonc.wire.drawing import state_diagram
from lonc.wire.server import SERVER_TRANSITIONS, ServerState
from lonc.wire.states import TRANSITIONS, LinkState

REFRESH: Final = "python -m lonc.cli.drawings --write"
DRAWINGS: Final[dict[str, Callable[[], str]]] = {
    "link": lambda: state_diagram(TRANSITIONS, LinkState.DOWN),
    "server": lambda: state_diagram(SERVER_TRANSITIONS, ServerState.INIT),
    "supervision": peers.drawing,
}
_PLACE = re.compile(r"<!-- drawing: (?P<name>\w+) -->\n.*?<!-- end of drawing -->\n", re.DOTALL)


def renewed(text: str) -> str:
    """Return a document's text with every drawing in it made anew. KeyError: a drawing of an unknown name."""

    def block(place: re.Match[str]) -> str:
        name = place["name"]
        return f"<!-- drawing: {name} -->\n```mermaid\n{DRAWINGS[name]()}```\n<!-- end of drawing -->\n"

    return _PLACE.sub(block, text)


def drawings_in(text: str) -> list[str]:
    """Return the names of the drawings in a document."""
    return [place["name"] for place in _PLACE.finditer(text)]


def main(argv: list[str] | None = None) -> int:
    """Check or renew all documents; return 0 when they are (now) up to date."""
    return check_or_renew(REFRESH, __doc__, stale_documents(renewed), argv)


if __name__ == "__main__":
    sys.exit(main())
