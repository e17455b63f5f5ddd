"""Owns the picture of the queue: how many messages of which age and size, as bars of text."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from lonc.cli.ctl.output import Output
from lonc.cli.ctl.queue_scene import QueueScene, unknown_peer
from lonc.cli.ctl.verbs import Exit
from lonc.delayed.shelves import Found, Place

BAR = 40  # characters of the longest
PEERS = 20  # shown one by one; the rest is in the sum
# Each with its upper limit, exclusive.
AGES: Sequence[tuple[str, float]] = (
    ("1 min", 60), ("10 min", 600), ("1 h", 3600), ("6 h", 21600), ("1 day", 86400), ("7 days", 604800),
    ("older", float("inf")),
)  # fmt: skip
SIZES: Sequence[tuple[str, float]] = (
    ("100 B", 101), ("1 KiB", 1025), ("10 KiB", 10241), ("100 KiB", 102401), ("1 MiB", 1048577),
    ("more", float("inf")),
)  # fmt: skip


def shape(scene: QueueScene, options: argparse.Namespace, out: Output) -> int:
    """Show ages and sizes of all messages, then of each peer that has some."""
    peer = options.peer or (options.ids[0] if options.ids else None)
    if peer is not None and peer not in scene.peers:
        return unknown_peer(scene, peer, out, "shape")
    wanted = scene.wanted(options, peer)
    wall = scene.now.at_wall
    names = sorted({one.peer for one in wanted}, key=lambda name: -sum(one.peer == name for one in wanted))
    shapes = [_shape_of(name, [one for one in wanted if one.peer == name], wall) for name in names]
    every = _shape_of("all", wanted, wall)
    text = f"{len(wanted)} messages" if wanted else "no messages"
    out.json({"verb": "queue", "action": "shape", "done": True, "text": text, "messages": [], "shapes": shapes})
    for one in [every, *shapes[:PEERS]] if len(shapes) > 1 else [every] if wanted else []:
        _draw(one, out)
    if len(shapes) > PEERS:
        out.say(f"and {len(shapes) - PEERS} more peers")
    out.say(text)
    return Exit.DONE


def _shape_of(peer: str, found: Sequence[Found], wall: float) -> dict[str, object]:
    return {
        "peer": peer,
        "where": {place.value: sum(one.place is place for one in found) for place in Place},
        "ages": _counts(AGES, (wall - one.written for one in found)),
        "sizes": _counts(SIZES, (float(one.size) for one in found)),
    }


def _counts(limits: Sequence[tuple[str, float]], values: Iterable[float]) -> dict[str, int]:
    """Return how many values lie below each limit and not below the one before it."""
    counts = {name: 0 for name, _ in limits}
    for value in values:
        counts[next(name for name, limit in limits if value < limit)] += 1
    return counts


def _draw(one: dict[str, object], out: Output) -> None:
    where = one["where"]
    assert isinstance(where, dict)
    out.say(
        f"{one['peer'] or '(no host of the table)'}: " + ", ".join(f"{n} {name}" for name, n in where.items() if n)
    )
    for title, kind in (("age up to", "ages"), ("size up to", "sizes")):
        counts = one[kind]
        assert isinstance(counts, dict)
        most = max([*counts.values(), 1])
        for name, count in counts.items():
            bar = "#" * (-(-count * BAR // most))
            out.say(f"  {title} {name:>8} {count:>7} {bar}".rstrip())
    out.say()
