"""Owns one plot of the picture: curves over numbers of clients, both axes logarithmic, names at their ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench import svg
from tests.bench.panels import Curve

INNER_WIDTH, INNER_HEIGHT = 370, 230
TOP = 22  # of the inner part below the title's line
PLOT_HEIGHT = INNER_HEIGHT + TOP + 58
STEPS = (1, 2, 5)  # of each power of ten: where an axis may end
NAME_STEP = 14


@dataclass(frozen=True, slots=True)
class _Axes:
    """Where a plot lies, and the figures at its ends."""

    x: float
    y: float
    low: tuple[float, float]
    high: tuple[float, float]

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return where a point of the figures lies in the picture."""
        right = math.log(point[0] / self.low[0]) / math.log(self.high[0] / self.low[0])
        up = math.log(point[1] / self.low[1]) / math.log(self.high[1] / self.low[1])
        return self.x + right * INNER_WIDTH, self.y + (1 - up) * INNER_HEIGHT


def ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the steps that enclose all values, at least one apart. values: above 0, at least one."""
    low, high = _step(min(values), -1), _step(max(values), 1)
    return (low, high) if low < high else (low, _step(high * 1.01, 1))


def _step(value: float, direction: int) -> float:
    """Return the nearest step that is not above (direction -1) or not below the value."""
    power = math.floor(math.log10(value))
    all_steps = [step * 10.0**exponent for exponent in (power - 1, power, power + 1) for step in STEPS]
    if direction < 0:
        return max(step for step in all_steps if step <= value * (1 + 1e-9))
    return min(step for step in all_steps if step >= value * (1 - 1e-9))


def steps_between(low: float, high: float) -> list[float]:
    """Return all steps from low to high; only powers of ten when they would be more than 8."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = [step * 10.0**power for power in exponents for step in STEPS]
    inside = [value for value in steps if low * 0.999 <= value <= high * 1.001]
    tens = [value for value in inside if math.isclose(math.log10(value), round(math.log10(value)), abs_tol=1e-9)]
    return inside if len(inside) <= 8 else tens


def tell(value: float) -> str:
    """Return a step as a figure: `0.5`, `20`, `500,000`."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot(x: float, y: float, title: str, found: Sequence[Curve], color_of: Callable[[str], str]) -> list[str]:
    """Return one plot whose title stands at y."""
    across = ends([point[0] for curve in found for point in curve.points])
    along = ends([point[1] for curve in found for point in curve.points])
    axes = _Axes(x, y + TOP, (across[0], along[0]), (across[1], along[1]))
    parts = [svg.words(x - 60, y, title, size=14, bold=True), *_grid(axes)]
    names = []
    for curve in found:
        color = color_of(curve.label)
        spots = [axes.place(point) for point in curve.points]
        parts.append(svg.polyline(spots, color, 2.5))
        parts += [svg.dot(right, down, 3.5, color) for right, down in spots]
        names.append((spots[-1][1], curve.label, color))
    for level, label, color in spread_out(names):
        parts.append(svg.words(x + INNER_WIDTH + 10, level + 4, label, bold=True, color=color))
    return parts


def spread_out(names: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """Return the names from top to bottom, moved down where they would cover each other."""
    placed: list[tuple[float, str, str]] = []
    for level, label, color in sorted(names):
        lowest = placed[-1][0] + NAME_STEP if placed else level
        placed.append((max(level, lowest), label, color))
    return placed


def _grid(axes: _Axes) -> list[str]:
    """Return a line and a figure for each step of both axes, and what the lower one counts."""
    parts = []
    bottom = axes.y + INNER_HEIGHT
    for value in steps_between(axes.low[0], axes.high[0]):
        right, _ = axes.place((value, axes.low[1]))
        parts.append(svg.line(right, axes.y, right, bottom, svg.FAINT))
        parts.append(svg.words(right, bottom + 16, f"{value:,.0f}", size=11, anchor="middle", color=svg.SOFT))
    for value in steps_between(axes.low[1], axes.high[1]):
        _, down = axes.place((axes.low[0], value))
        parts.append(svg.line(axes.x, down, axes.x + INNER_WIDTH, down, svg.FAINT))
        parts.append(svg.words(axes.x - 6, down + 4, tell(value), size=11, anchor="end", color=svg.SOFT))
    middle = axes.x + INNER_WIDTH / 2
    parts.append(svg.words(middle, bottom + 34, "clients", size=11, anchor="middle", color=svg.SOFT))
    return parts
