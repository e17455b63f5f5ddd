"""What makes parts of documents from tables of the program has in common: look, say what is stale, or write."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[2]
DOCUMENTS: Final = TREE / "doc"


def stale_documents(renewed: Callable[[str], str]) -> dict[Path, str]:
    """Return the documents that are not as `renewed(text)` would have them, each with its new text."""
    texts = {path: path.read_text("utf-8") for path in sorted(DOCUMENTS.glob("*.md"))}
    return {path: renewed(text) for path, text in texts.items() if renewed(text) != text}


def check_or_renew(refresh: str, about: str | None, stale: dict[Path, str], argv: list[str] | None) -> int:
    """Say which files are out of date, or with `--write` renew them; return 0 when they are (now) up to date.

    refresh: the command that renews them; about: the docstring of the module that it runs.
    """
    parser = argparse.ArgumentParser(prog=refresh.removesuffix(" --write"), description=about)
    parser.add_argument("--write", action="store_true", help="renew what is out of date")
    write = parser.parse_args(argv).write
    for path, text in stale.items():
        if write:
            path.write_text(text, "utf-8")
        print(f"{path.parent.name}/{path.name}: {'renewed' if write else f'out of date; {refresh}'}")
    return 0 if write or not stale else 1
