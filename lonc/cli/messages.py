"""Owns the tables of messages in the documents: made from the catalogue that `loncctl explain` answers from.

    python -m lonc.cli.messages            say which documents are out of date (status 1 when any is)
    python -m lonc.cli.messages --write    bring them up to date

A document holds `<!-- messages: SECTION -->`, a table that this module writes, and `<!-- end of messages -->`.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from lonc.catalogue import messages, sections

DOCUMENTS: Final = Path(__file__).resolve().parents[2] / "doc"
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
    parser = argparse.ArgumentParser(prog="python -m lonc.cli.messages", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew what is out of date")
    options = parser.parse_args(argv)
    stale = 0
    for path in sorted(DOCUMENTS.glob("*.md")):
        text = path.read_text("utf-8")
        if renewed(text) == text:
            continue
        stale += 1
        if options.write:
            path.write_text(renewed(text), "utf-8")
        print(f"{path.name}: {'renewed' if options.write else f'out of date; {REFRESH}'}")
    return 0 if options.write or not stale else 1


if __name__ == "__main__":
    sys.exit(main())
