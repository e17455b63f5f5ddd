"""Owns the counting of messages on the disk: how many of each peer wait, were refused, are corrupt or are held.

Only names are read, by one listing of each directory; the age of a message is in its name. Of a name without one
(written by hand) the file's date counts. Reading every file of a long queue would disturb the disk for a number.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection
from dataclasses import dataclass

from lonc.delayed.names import PASSED_OVER, Owner, standard_order

COMPANIONS = {"rejected": ".reply", "corrupt": ".reason", "held": ""}
_NUMBERED = re.compile(r"-\d{1,6}\Z")  # behind a name that was taken (files.md 8)


@dataclass(frozen=True, slots=True)
class Pile:
    """Messages of one kind. oldest_wall: when the oldest was written, seconds since 1970; 0.0 without one."""

    count: int = 0
    oldest_wall: float = 0.0


@dataclass(frozen=True, slots=True)
class Piles:
    """The messages of one peer: those that will be sent, and those that were put aside."""

    delayed: Pile = Pile()
    rejected: Pile = Pile()
    corrupt: Pile = Pile()
    held: Pile = Pile()


@dataclass(frozen=True, slots=True)
class Listed:
    """What one listing has brought. why: why the directory cannot be read, else empty."""

    of: dict[str, Piles]
    strays: Piles
    why: str


NOTHING = Piles()


def listed(directory: str, peers: Collection[str]) -> Listed:
    """Return the messages below a delayed directory by peer; a missing directory holds none."""
    owner = Owner("", peers)
    counts: dict[str, dict[str, tuple[int, float]]] = {}
    why = ""
    for kind in ("delayed", *COMPANIONS):
        place = directory if kind == "delayed" else os.path.join(directory, kind)
        try:
            names = os.listdir(place)
        except FileNotFoundError:
            continue
        except OSError as error:
            why = why or f"{place} cannot be listed: {error.strerror}"
            continue
        _count(place, kind, names, owner, counts)
    piles = {peer: Piles(**{kind: Pile(*pair) for kind, pair in found.items()}) for peer, found in counts.items()}
    return Listed(piles, piles.pop("", NOTHING), why)


def peer_of(owner: Owner, name: str) -> str:
    """Return whose message a name is, also behind a number that was added to it; '' for nobody's."""
    return owner.peer_of(name) or owner.peer_of(_NUMBERED.sub("", name)) or ""


def _count(
    place: str, kind: str, names: list[str], owner: Owner, counts: dict[str, dict[str, tuple[int, float]]]
) -> None:
    suffix = COMPANIONS.get(kind, "")
    present = set(names) if suffix else set()
    for name in names:
        if name.startswith(".") or (kind == "delayed" and name in PASSED_OVER):
            continue
        if suffix and name.endswith(suffix) and name.removesuffix(suffix) in present:
            continue
        written = _written(place, name)
        kinds = counts.setdefault(peer_of(owner, name), {})
        count, oldest = kinds.get(kind, (0, 0.0))
        kinds[kind] = (count + 1, min(oldest, written) if oldest else written)


def _written(place: str, name: str) -> float:
    order = standard_order(name)
    if order is not None:
        return float(order[0])
    with contextlib.suppress(OSError, ValueError):
        return os.lstat(os.path.join(place, name)).st_mtime
    return 0.0
