"""Owns the tables of messages in the documents: made from the catalogue that `loncctl explain` answers from.

    python -m lonc.cli.messages            say which documents are out of date (status 1 when any is)
    python -m lonc.cli.messages --write    bring them up to date

A document holds `<!-- messages: SECTION -->`, a table that this module writes, and `<!-- end of messages -->`.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from lonc.catalogue import messages, sections
from lonc.cli.renewing import check_or_renew, stale_documents

REFRESH: Final = "python -m lonc.cli.messages --write"
_PLACE = re.compile(r"<!-- messages: (?P<name>\w+) -->\n.*?<!-- end of messages -->\n", re.DOTALL)


def table(section: str) -> str:
    """Return the table of a section; an unknown one has no rows."""
    rows = ["| id | message | means | do |", "|---|---|---|---|"]
    for one in messages().values():
        if one.section == section:
            cells = (one.id.removeprefix("LONC-"), one.text, one.means, one.do)
            rows.append("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|")
    return "\n".join(rows) + "\n"


def renewed(text: str) -> str:
    """Return a document's text with every table of messages in it made anew. KeyError: an unknown section."""
    known = {section.name for section in sections()}

    def block(place: re.Match[str]) -> str:
        name = place["name"]
        if name not in known:
            raise KeyError(name)
        return f"<!-- messages: {name} -->\n{table(name)}<!-- end of messages -->\n"

    return _PLACE.sub(block, text)


def main(argv: list[str] | None = None) -> int:
    """Check or renew all documents; return 0 when they are (now) up to date."""
    return check_or_renew(REFRESH, __doc__, stale_documents(renewed), argv)


if __name__ == "__main__":
    sys.exit(main())
