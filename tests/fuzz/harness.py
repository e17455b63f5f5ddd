"""Owns what a harness is: a function that takes any bytes and raises only when a rule of the program is broken."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
MEMORY = Path("/dev/shm")


class Broken(AssertionError):
    """A rule is broken; the text says which."""


@dataclass(frozen=True, slots=True)
class Harness:
    """One row: what is tried, how often in comparison with others, with which words, up to which length.

    weight: share of a campaign over all harnesses. seeds: inputs besides those of the kept corpus.
    """

    name: str
    function: Callable[[bytes], None]
    weight: int
    words: tuple[bytes, ...] = ()
    seeds: tuple[bytes, ...] = (b"",)
    max_bytes: int = 4096

    def known(self) -> list[bytes]:
        """Return the inputs that are known: the kept corpus in the order of its names, then the seeds."""
        return [*(path.read_bytes() for path in self.kept()), *self.seeds]

    def kept(self) -> list[Path]:
        """Return the files of the kept corpus."""
        return sorted(path for path in (CORPUS / self.name).glob("*") if path.is_file())


def rule(holds: object, text: str) -> None:
    """Raise Broken with the text unless it holds."""
    if not holds:
        raise Broken(text)


def scratch(name: str) -> Path:
    """Return a new directory, in memory where that can be had, which is removed when the process ends.

    Below LONC_FUZZ_PLACE where that is set, by who starts processes that end without removing anything.
    """
    base = os.environ.get("LONC_FUZZ_PLACE") or (MEMORY if os.access(MEMORY, os.W_OK) else None)
    place = Path(tempfile.mkdtemp(prefix=f"lonc-fuzz-{name}-", dir=base))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def empty(place: Path) -> None:
    """Remove all that lies in a directory."""
    for entry in os.scandir(place):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
