"""Owns the pieces of an SVG picture as text: words, lines, boxes, and the marks for a goal. No files."""

from __future__ import annotations

from html import escape

INK, SOFT, FAINT = "#222222", "#666666", "#e2e2de"
GOOD, BAD, UNKNOWN = "#2e8b57", "#c0392b", "#999999"
FADED = ' fill-opacity="0.6"'


def words(
    x: float, y: float, text: str, *, size: float = 12, anchor: str = "start", bold: bool = False, color: str = INK
) -> str:
    """Return a line of text whose base line begins (or ends, or is in the middle) there."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" text-anchor="{anchor}"{weight} fill="{color}">'
        f"{escape(text)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> str:
    """Return a straight line."""
    place = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {place} stroke="{color}" stroke-width="{width:g}"/>'


def box(x: float, y: float, width: float, height: float, color: str, *, faded: bool = False) -> str:
    """Return a filled box, at least one unit wide."""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(1.0, width):.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{color}"{FADED if faded else ""}/>'


def polyline(points: list[tuple[float, float]], color: str, width: float) -> str:
    """Return a line through all points."""
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="{width:g}"/>'


def dot(x: float, y: float, radius: float, color: str) -> str:
    """Return a filled circle."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" fill="{color}"/>'


def tick(x: float, y: float, good: bool | None) -> str:
    """Return a round mark with its middle there: a check, a cross, or a bar for what is not known."""
    ground = dot(x, y, 6.5, {True: GOOD, False: BAD, None: UNKNOWN}[good])
    if good is None:
        return ground + line(x - 3, y, x + 3, y, "#ffffff", 1.8)
    if good:
        return ground + polyline([(x - 3.2, y + 0.3), (x - 0.8, y + 2.8), (x + 3.4, y - 2.6)], "#ffffff", 1.8)
    return ground + line(x - 2.5, y - 2.5, x + 2.5, y + 2.5, "#ffffff", 1.8) + line(
        x - 2.5, y + 2.5, x + 2.5, y - 2.5, "#ffffff", 1.8
    )


def goal_line(x: float, top: float, bottom: float, good: bool) -> str:
    """Return the line that a bar must reach, or must not go beyond, on a light ground so that it stands out."""
    color = GOOD if good else BAD
    return line(x, top, x, bottom, "#ffffff", 5) + line(x, top, x, bottom, color, 2.5)
