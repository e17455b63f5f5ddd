"""What a new table of hosts changes: which children start, stop, or make room for another.

PURE: two tables in, the difference out. USR2 (tables.py) and whoever wants to know before it (`loncctl rehash
--dry-run`) ask the same function. Source: lonc.md 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lonc.config import Host


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids, in the order of the tables.

    new: get a child. gone: their child ends. changed: have another address. replaced: those, and the ones whose
    child makes room for another because an id that ends like theirs came or went. kept: all others.
    """

    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    replaced: tuple[str, ...]
    kept: tuple[str, ...]


def compare(before: Mapping[str, str], after: Mapping[str, str]) -> Changes:
    """Return what changes from one table to the next; both: what is dialed for each id."""
    new = tuple(name for name in after if name not in before)
    gone = tuple(name for name in before if name not in after)
    both = [name for name in after if name in before]
    changed = tuple(name for name in both if before[name] != after[name])
    replaced = {*changed, *kin((*new, *gone), before)}
    return Changes(
        new, gone, changed, tuple(name for name in both if name in replaced),
        tuple(name for name in both if name not in replaced),
    )  # fmt: skip


def dialed(host: Host) -> str:
    """Return what a child dials: the address, or the name that is resolved. Role and domain are nothing to it."""
    return host.address or host.name


def kin(moved: Iterable[str], served: Collection[str]) -> set[str]:
    """Return the served ids that one of the moved ones ends with after a dot: `b` for `a.b` and `c.a.b`."""
    found = set()
    for name in moved:
        rest = name
        while "." in rest:
            rest = rest.partition(".")[2]
            if rest in served:
                found.add(rest)
    return found
