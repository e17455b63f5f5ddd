"""Owns the picture of the results: bars for each case and two growth curves, as plain SVG text.

Bars of one case share a scale; each carries its figure, and a thin line from least to greatest. Curves are
logarithmic both ways. Nothing but text is made here: no processes, no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.cases import Case
from tests.bench.sums import Samples, spread
from tests.bench.table import number

WIDTH = 1000
BAR, GAP, LABEL, CASE_GAP = 16, 5, 150, 40
COLORS = {
    "direct": "#9aa5b1", "socat": "#b8a58a", "HAProxy": "#5b8db8", "HAProxy, 128 KiB": "#84add1",
    "lonc, window 4096": "#b84a2a", "lonc, window 1": "#e8b36a",
    "lonc": "#d1603d", "lonc, encrypt:": "#8a4f9e", "C ceiling": "#4a4a4a",
}  # fmt: skip
UNITS = {
    "rate": "requests/s",
    "p50": "median latency, us (less is better)",
    "p99": "p99 latency, us (less is better)",
}
FALLBACK = "#777777"
PLOT_W, PLOT_H = 400, 230


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, in the unit of its case."""

    label: str
    value: float
    least: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one line; both numbers above 0."""

    label: str
    points: tuple[tuple[float, float], ...]


def bars(case: Case, samples: Samples) -> list[Bar]:
    """Return the bars of a case; rows that were not measured are left out."""
    found = []
    for row in case.rows:
        one = spread(samples.get((case.key, row.label), ()), case.field)
        if one is not None:
            found.append(Bar(row.label, one.median, one.least, one.greatest))
    return found


def curves(growth: Sequence[Case], samples: Samples, field: str) -> list[Curve]:
    """Return a curve for each row over the numbers of clients; without points there is none."""
    found = []
    for label in dict.fromkeys(row.label for case in growth for row in case.rows):
        points = []
        for case in growth:
            ours = samples.get((case.key, label), ())
            one = spread(ours[:1] if field == "memory" else ours, field)
            if one is not None and one.median > 0:
                points.append((float(case.clients), one.median))
        if points:
            found.append(Curve(label, tuple(points)))
    return found


def draw(cases: Sequence[Case], growth: Sequence[Case], samples: Samples, title: str) -> str:
    """Return the whole picture."""
    parts: list[str] = [_text(20, 30, title, size=18, weight="bold")]
    y = 60.0
    for case in cases:
        found = bars(case, samples)
        if found:
            part, y = _bar_group(case, found, y)
            parts += part
            y += CASE_GAP
    rates, memory = curves(growth, samples, "rate"), curves(growth, samples, "memory")
    if rates:
        parts += _plot(60, y, "requests/s by number of clients", rates)
    if memory:
        parts += _plot(60 + WIDTH / 2, y, "resident memory, KiB, by number of clients", memory)
    height = y + (PLOT_H + 80 if rates or memory else 0)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}" font-family="Helvetica, Arial, sans-serif">'
    )
    ground = f'<rect width="{WIDTH}" height="{height:.0f}" fill="#fdfdfb"/>'
    return "\n".join([head, ground, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#222222">{escape(words)}</text>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, color: str, width: float = 1) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"/>'
    )


def _bar_group(case: Case, found: Sequence[Bar], y: float) -> tuple[list[str], float]:
    """Return the bars of a case from `y` on, and where they end."""
    parts = [_text(20, y, f"{case.title}: {UNITS[case.field]}", size=13, weight="bold")]
    room = WIDTH - LABEL - 120
    scale = room / max(bar.greatest for bar in found) if max(bar.greatest for bar in found) > 0 else 0.0
    y += 10
    for bar in found:
        middle = y + BAR / 2
        parts.append(_text(LABEL - 8, middle + 4, bar.label, anchor="end"))
        parts.append(
            f'<rect x="{LABEL}" y="{y:.1f}" width="{max(1.0, bar.value * scale):.1f}" height="{BAR}" '
            f'fill="{COLORS.get(bar.label, FALLBACK)}"/>'
        )
        parts.append(_line(LABEL + bar.least * scale, middle, LABEL + bar.greatest * scale, middle, "#111111"))
        parts.append(_text(LABEL + bar.greatest * scale + 6, middle + 4, number(bar.value)))
        y += BAR + GAP
    return parts, y


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a plot lies, and the powers of ten at its ends."""

    x: float
    y: float
    low: tuple[int, int]
    high: tuple[int, int]

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return where a point of the figures lies in the picture."""
        right = (math.log10(point[0]) - self.low[0]) / (self.high[0] - self.low[0])
        up = (math.log10(point[1]) - self.low[1]) / (self.high[1] - self.low[1])
        return self.x + right * PLOT_W, self.y + 20 + (1 - up) * PLOT_H


def _plot(x: float, y: float, title: str, found: Sequence[Curve]) -> list[str]:
    """Return one plot with decades as its grid, and a legend."""
    across = _decades([point[0] for curve in found for point in curve.points])
    along = _decades([point[1] for curve in found for point in curve.points])
    axes = _Axes(x, y, (across[0], along[0]), (across[1], along[1]))
    parts = [_text(x, y, title, size=13, weight="bold"), *_axis_lines(axes)]
    for order, curve in enumerate(found):
        color = COLORS.get(curve.label, FALLBACK)
        spots = [axes.place(point) for point in curve.points]
        way = " ".join(f"{right:.1f},{down:.1f}" for right, down in spots)
        parts.append(f'<polyline points="{way}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{right:.1f}" cy="{down:.1f}" r="3.5" fill="{color}"/>' for right, down in spots]
        left = x + order * 110
        parts.append(_line(left, y + 56 + PLOT_H, left + 18, y + 56 + PLOT_H, color, 3))
        parts.append(_text(left + 23, y + 60 + PLOT_H, curve.label))
    return parts


def _axis_lines(axes: _Axes) -> list[str]:
    """Return a line and a label for each power of ten."""
    parts = []
    for decade in range(axes.low[0], axes.high[0] + 1):
        right, bottom = axes.place((10.0**decade, 10.0 ** axes.low[1]))
        parts.append(_line(right, bottom - PLOT_H, right, bottom, "#dddddd"))
        parts.append(_text(right, bottom + 16, f"{10**decade:,}", size=10, anchor="middle"))
    for decade in range(axes.low[1], axes.high[1] + 1):
        left, down = axes.place((10.0 ** axes.low[0], 10.0**decade))
        parts.append(_line(left, down, left + PLOT_W, down, "#dddddd"))
        parts.append(_text(left - 4, down + 4, f"{10**decade:,}", size=10, anchor="end"))
    return parts


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """Return the powers of ten that enclose all values, at least one apart."""
    low = math.floor(math.log10(min(values)))
    return low, max(low + 1, math.ceil(math.log10(max(values))))
