"""Owns the table of parts: which sources are changed, and which unit tests have to notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

TREE: Final = Path(__file__).resolve().parents[2]
BUILD: Final = TREE / "build" / "mutation"
REPORT: Final = TREE / "doc" / "mutation.md"
REASONS: Final = Path(__file__).with_name("reasons.toml")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: name, the patterns of its sources and of its unit tests, relative to the tree."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    @property
    def ground(self) -> Path:
        """Return the directory that holds the part's copy of the tree and its results."""
        return BUILD / self.name

    def source_files(self, tree: Path = TREE) -> list[str]:
        """Return the sources as paths relative to the tree, in order."""
        return _found(tree, self.sources)

    def test_files(self, tree: Path = TREE) -> list[str]:
        """Return the tests as paths relative to the tree, in order."""
        return _found(tree, self.tests)


def _found(tree: Path, patterns: tuple[str, ...]) -> list[str]:
    return sorted({str(path.relative_to(tree)) for pattern in patterns for path in tree.glob(pattern)})


def _unit(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/unit/test_{name}.py" for name in names)


PARTS: Final = {
    part.name: part
    for part in (
        Part("wire", ("lonc/wire/*.py",), _unit("lines*", "link*", "cipher", "idea", "words", "outbox", "server")),
        Part("relay", ("lonc/relay/*.py",), _unit("relay*")),
        Part("peers", ("lonc/peers/*.py",), _unit("peers*")),
        Part(
            "delayed",
            ("lonc/delayed/*.py",),
            (*_unit("delayed*", "flush*", "sealing", "ctl_queue"), "tests/fault/test_delayed_moments.py"),
        ),
    )
}
