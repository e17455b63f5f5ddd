"""Draws what the page shows as pictures: small curves of the last hour, and the network around this server.

Every picture is SVG inside the page, coloured by its style sheet, so light and dark need no second one. A state
has a shape of its own besides its colour. All texts are escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from lonc.cli.ctl.rates import GROUPS, Row

SPARK_WIDTH, SPARK_HEIGHT = 240, 48
GAP_STEPS = 2.6  # samples further apart than so many steps are not joined
SIDE = 720  # of the picture of the network
CENTRE = SIDE / 2
LEVEL_PEERS = 14  # up to so many, names stand level; those of more point outwards
LEVEL_RADIUS = 226.0
OUTWARD_RADII = (195.0, 262.0)  # the longer the names, the nearer
LEVEL_HEIGHT = 540  # level names need room at the sides only
LEVEL_WIDTH = 10.5  # of a letter
OUTWARD_LETTERS = 11
NAMED_PEERS = 36  # up to so many, each has its name beside it
_LIMIT = CENTRE - 14
_SHAPES = {
    "up": '<circle r="5.5"/>',
    "resting": '<circle r="4.6"/>',
    "trying": '<path d="M0-6.5 6 5H-6Z"/>',
    "paused": '<path d="M-5-5.5h3.6v11H-5zM1.4-5.5H5v11H1.4z"/>',
    "down": '<path d="M0-7 7 0 0 7-7 0Z"/>',
    "given-up": '<path d="M-6-6 6 6M6-6-6 6"/>',
    "unknown": '<path d="M-5-5H5V5H-5Z"/>',
}


def shapes() -> str:
    """Return the shapes of all states, once for the page; they are used by name."""
    made = (f'<g id="s-{group}">{_SHAPES[group]}</g>' for group in GROUPS)
    return f'<svg class="none" width="0" height="0" aria-hidden="true"><defs>{"".join(made)}</defs></svg>'


def mark(group: str) -> str:
    """Return the small sign of a state; the word stands beside it, so it says nothing to a screen reader."""
    return f'<svg class="mark g-{group}" viewBox="-8 -8 16 16" aria-hidden="true"><use href="#s-{group}"/></svg>'


# --- curves ----------------------------------------------------------------------------------------------


class Curve(NamedTuple):
    """What one line of a small picture shows; None: nothing was known then."""

    name: str  # of its style: rate, p50, p99
    values: Sequence[float | None]


def spark(
    times: Sequence[float], curves: Sequence[Curve], *, now: float, span_s: float, step_s: float, label: str,
    large: bool = False,
) -> str:  # fmt: skip
    """Return curves over the same times (seconds, the last span_s before now) with one common scale from 0.

    large: drawn four times as fine, and what lies below is shaded.
    """
    wide, high = (4 * SPARK_WIDTH, 4 * SPARK_HEIGHT) if large else (SPARK_WIDTH, SPARK_HEIGHT)
    most = max((value for curve in curves for value in curve.values if value is not None), default=0.0) or 1.0
    across = wide / span_s
    lines = []
    for curve in curves:
        points = [
            (round(across * (span_s - now + at)), 2 + round((high - 4) * (1 - value / most)), at)
            for at, value in zip(times, curve.values, strict=False)
            if value is not None and 0 <= now - at <= span_s
        ]
        drawn = _path(points, GAP_STEPS * step_s)
        if drawn and large:
            lines.append(f'<path class="c-area" d="{_area(points, GAP_STEPS * step_s, high)}"/>')
        if drawn:
            lines.append(f'<path class="c-{curve.name}" d="{drawn}"/>')
    if not lines:
        return '<span class="dim">no history yet</span>'
    box = f'viewBox="0 0 {wide} {high}" preserveAspectRatio="none"'
    return f'<svg class="spark" {box} role="img" aria-label="{escape(label)}">{"".join(lines)}</svg>'


def _path(points: Iterable[tuple[int, int, float]], gap_s: float) -> str:
    """Return path data through the points; a gap in time is a gap in the line, a single point a dot."""
    pieces: list[str] = []
    x0 = y0 = 0
    before = -math.inf
    for x, y, at in points:
        if at - before > gap_s:
            pieces.append(f"M{x} {y}h0")
        elif (x, y) != (x0, y0):
            pieces.append(f"l{x - x0} {y - y0}")
        x0, y0, before = x, y, at
    return "".join(pieces)


def _area(points: Sequence[tuple[int, int, float]], gap_s: float, high: int) -> str:
    """Return path data of what lies below the points, a piece for each run without a gap."""
    runs: list[list[tuple[int, int, float]]] = []
    for point in points:
        if not runs or point[2] - runs[-1][-1][2] > gap_s:
            runs.append([])
        runs[-1].append(point)
    return "".join(f"{_path(run, gap_s)}V{high}H{run[0][0]}z" for run in runs)


# --- the network -----------------------------------------------------------------------------------------


class Spot(NamedTuple):
    """Where a peer stands: from the centre to the right and down, and its angle."""

    x: float
    y: float
    angle: float


def places(count: int, letters: int = 11) -> tuple[list[Spot], float]:
    """Return where so many peers stand around the centre, ring by ring, and how large their signs are (1: full).

    letters: of the longest name.
    A few stand on one ring with room for names. More fill rings from the inside; the rings are as far from each
    other as the signs on them, so nothing overlaps, and the signs shrink until everybody has a place.
    """
    if count <= NAMED_PEERS:
        outward = max(OUTWARD_RADII[0], min(OUTWARD_RADII[1], CENTRE - 22 - 12.5 * letters))
        radius = LEVEL_RADIUS if count <= LEVEL_PEERS else outward
        return [_spot(radius, i / max(count, 1)) for i in range(count)], 1.7
    pitch = 30.0
    while sum(size for _radius, size in _rings(pitch)) < count:
        pitch *= 0.98
    spots: list[Spot] = []
    for radius, size in _fair(_rings(pitch), count):
        spots += [_spot(radius, i / size) for i in range(size)]
    return spots, min(1.2, pitch / 17)


def _rings(pitch: float) -> list[tuple[float, int]]:
    """Return radius and room of every ring that fits, for signs this far apart."""
    found: list[tuple[float, int]] = []
    radius = 84.0
    while radius <= _LIMIT and len(found) < 60:
        found.append((radius, int(2 * math.pi * radius / pitch)))
        radius += pitch
    return found


def _fair(rings: list[tuple[float, int]], count: int) -> list[tuple[float, int]]:
    """Return the rings with as many places as there are peers, each ring filled to the same part."""
    room = sum(size for _radius, size in rings)
    filled: list[tuple[float, int]] = []
    left, taken = count, 0
    for radius, size in rings:
        taken += size
        here = min(size, left, round(count * taken / room) - (count - left))
        filled.append((radius, here))
        left -= here
    return filled


def _spot(radius: float, turn: float) -> Spot:
    angle = 2 * math.pi * turn - math.pi / 2
    return Spot(radius * math.cos(angle), radius * math.sin(angle), angle)


def network(own: str, rows: Sequence[Row], summary: str) -> str:
    """Return the picture: this server in the middle, every peer around it in the order of the table.

    summary: what the picture shows, in words, for those who do not see it. Each sign leads to its row.
    """
    spots, scale = places(len(rows), max((len(row.peer) for row in rows), default=0))
    named = len(rows) <= NAMED_PEERS
    lines, signs = [], []
    for i in range(len(rows)):
        row, spot = rows[i], spots[i]
        if named:
            lines.append(_line(spot, row.group))
        words = escape(f"{row.peer}: {row.state}")
        use = f'<use href="#s-{row.group}" transform="translate({spot.x:.0f} {spot.y:.0f}) scale({scale:.2f})"/>'
        name = _name(spot, row.peer, level=len(rows) <= LEVEL_PEERS) if named else ""
        signs.append(f'<a class="g-{row.group}" href="#p{i}" tabindex="-1"><title>{words}</title>{use}{name}</a>')
    width = max(64.0, 10.0 * min(len(own), 16) + 22)
    size = 20 if len(own) <= 10 else 15
    middle = (
        f'<g class="own"><rect x="{-width / 2:.0f}" y="-24" width="{width:.0f}" height="48" rx="12"/>'
        f'<text y="6" font-size="{size}" text-anchor="middle">{escape(cut(own, 16))}</text></g>'
    )
    high = LEVEL_HEIGHT if len(rows) <= LEVEL_PEERS else SIDE
    box = f"{-CENTRE:.0f} {-high / 2:.0f} {SIDE} {high}"
    return (
        f'<svg class="net{" named" if named else ""}" viewBox="{box}" role="img" aria-label="{escape(summary)}">'
        f"{''.join(lines)}{middle}{''.join(signs)}</svg>"
    )


def _line(spot: Spot, group: str) -> str:
    """Return the line from this server to a peer; it ends short of the sign."""
    share = 1 - 15 / max(math.hypot(spot.x, spot.y), 15)
    return f'<path class="link g-{group}" d="M0 0L{spot.x * share:.0f} {spot.y * share:.0f}"/>'


def _name(spot: Spot, peer: str, *, level: bool) -> str:
    """Return a peer's name outside of its sign, cut where the picture ends; not level: along the line."""
    across = math.cos(spot.angle)
    if not level:
        turn = math.degrees(spot.angle) + (180 if across < -1e-9 else 0)
        x, anchor = (-17, "end") if across < -1e-9 else (17, "start")
        way = f"translate({spot.x:.0f} {spot.y:.0f}) rotate({turn:.1f})"
        at = f'x="{x}" y="6" text-anchor="{anchor}" transform="{way}"'
        return f"<text {at}>{escape(cut(peer, OUTWARD_LETTERS))}</text>"
    if abs(across) < 0.3:
        y = spot.y + (34 if spot.y > 0 else -19)
        return f'<text x="{spot.x:.0f}" y="{y:.0f}" text-anchor="middle">{escape(cut(peer, 20))}</text>'
    x_at = spot.x + math.copysign(17, across)
    room = max(8, int((CENTRE - abs(x_at) - 4) / LEVEL_WIDTH))
    anchor = "start" if across > 0 else "end"
    return f'<text x="{x_at:.0f}" y="{spot.y + 5:.0f}" text-anchor="{anchor}">{escape(cut(peer, room))}</text>'


def cut(text: str, letters: int) -> str:
    """Return text, or its beginning with an ellipsis, at most so many letters."""
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"
