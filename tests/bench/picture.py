"""Owns the picture of the results as one SVG text: panels of bars with their goals, and growth curves.

Bars of one panel share a scale, from 0 or, where figures lie far apart, logarithmic. A thin line goes from the
least to the greatest of all rounds; where that would leave the panel it ends in an arrow. No files.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import svg
from tests.bench.cases import BESIDE
from tests.bench.londcases import ALL_ONE, ALL_PIPED, ALONE, ALONE_ALL, ONE, PIPED, STUB_ONE, STUB_PIPED
from tests.bench.panels import Bar, Panel, curves, goal_words, panels
from tests.bench.plot import PLOT_HEIGHT, plot
from tests.bench.results import Results, verdicts
from tests.bench.sums import number

WIDTH = 1220
LEFT, BARS, BARS_END, GOALS = 24, 190, 690, 790
BAR, GAP, PANEL_GAP, GOAL_STEP = 17, 5, 34, 19
FOOT_STEP = 16
HEAD_ROOM = 1.15  # bars and goals end there at most, extremes may be cut
COLORS = {
    "direct": "#8c98a4", "socat": "#b09a72", "HAProxy": "#4f81b5", "HAProxy, 128 KiB": "#8fb4d9",
    "lonc": "#d1603d", "lonc, 10 links": "#a8324a", "lonc, window 1": "#eeb98f",
    "lonc, window 4096": "#e08a5b", "lonc, encrypt:": "#8a4f9e", "C ceiling": "#454545",
    STUB_ONE: "#454545", STUB_PIPED: "#454545", ALONE: "#5f7f5f", ALONE_ALL: "#94b094",
    ONE: "#d1603d", PIPED: "#d1603d", ALL_ONE: "#eeb98f", ALL_PIPED: "#eeb98f",
}  # fmt: skip
FALLBACK = "#a9a49a"
WAYS = (
    ("direct", "no relay: every client has a TCP connection of its own"),
    ("HAProxy", "carries every client on a TCP connection of its own"),
    ("lonc", "carries all clients on one connection"),
    ("lonc, 10 links", "carries them on ten, so that one slow request holds up few others"),
    ("C ceiling", "the smallest C program that carries all on one: what is possible at best"),
)


def color_of(kind: str) -> str:
    """Return the colour of a kind of bar or curve."""
    return COLORS.get(kind.removesuffix(BESIDE), FALLBACK)


def draw(results: Results) -> str:
    """Return the whole picture."""
    parts, y = _head(results)
    for panel in panels(results):
        made, y = _panel(panel, y)
        parts += made
        y += PANEL_GAP
    made, y = _growth(results, y)
    parts += made
    for said in results.machine:
        y += FOOT_STEP
        parts.append(svg.words(LEFT, y - FOOT_STEP, said.replace("*", ""), size=10.5, color=svg.SOFT))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y:.0f}" viewBox="0 0 {WIDTH} {y:.0f}" '
        'font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif">'
    )
    return "\n".join([head, svg.box(0, 0, WIDTH, y, "#fdfdfb"), *parts, "</svg>"]) + "\n"


def _head(results: Results) -> tuple[list[str], float]:
    """Return title and legend, and where they end."""
    found = verdicts(results)
    reached = sum(one.good is True for one in found)
    parts = [
        svg.words(LEFT, 38, "lonc beside other ways to ask the same server", size=21, bold=True),
        svg.words(GOALS - 16, 38, f"{reached} of {len(found)} goals reached", size=15, bold=True),
    ]
    y = 66.0
    for kind, what in WAYS:
        parts.append(svg.box(LEFT, y - 10, 13, 13, color_of(kind)))
        parts.append(svg.words(LEFT + 20, y, kind, bold=True))
        parts.append(svg.words(LEFT + 125, y, what, color=svg.SOFT))
        y += 19
    x, y2 = GOALS - 10.0, 66.0
    for good, what in ((True, "a goal that is reached"), (False, "one that is missed")):
        parts += [svg.tick(x, y2 - 4, good), svg.words(x + 16, y2, what, color=svg.SOFT)]
        parts += [svg.goal_line(x + 190, y2 - 13, y2 + 4, good)]
        parts.append(svg.words(x + 200, y2, "where lonc's bar must end", color=svg.SOFT))
        y2 += 22
    parts += [svg.line(x - 8, y2 - 4, x + 8, y2 - 4, svg.INK)]
    parts.append(svg.words(x + 16, y2, "from the least to the greatest of all rounds", color=svg.SOFT))
    return parts, y + 22


@dataclass(frozen=True, slots=True)
class _Scale:
    """Where a figure of a panel lies: from 0, or from a power of ten."""

    low: float
    high: float
    wide: bool

    def at(self, value: float) -> float:
        """Return the place of a figure, never outside the panel."""
        if self.wide:
            share = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        else:
            share = value / self.high
        return BARS + (BARS_END - BARS) * min(max(share, 0.0), 1.0)


def _scale(panel: Panel) -> _Scale:
    ends = [bar.value for bar in panel.bars] + [mark.at for bar in panel.bars for mark in bar.goals]
    top = max(*ends, 1e-9)
    if not panel.wide:
        extreme = max(bar.greatest for bar in panel.bars)
        return _Scale(0.0, min(top * HEAD_ROOM, max(extreme, top)), wide=False)
    low = 10.0 ** math.floor(math.log10(max(min(ends), 1e-9)))
    return _Scale(low, 10.0 ** math.ceil(math.log10(top * 1.01)), wide=True)


def _panel(panel: Panel, y: float) -> tuple[list[str], float]:
    """Return a panel whose title stands at y, and where it ends."""
    scale = _scale(panel)
    unit = panel.unit + (", logarithmic" if panel.wide else "")
    parts = [
        svg.line(LEFT, y - 20, WIDTH - LEFT, y - 20, svg.FAINT),
        svg.words(LEFT, y, panel.title, size=14, bold=True),
        svg.words(BARS_END + 70, y, unit, anchor="end", color=svg.SOFT),
    ]
    top = y + 12
    bottom = top + len(panel.bars) * (BAR + GAP) - GAP
    if panel.wide:
        parts += _decades(scale, top, bottom)
    for order, bar in enumerate(panel.bars):
        parts += _bar(bar, scale.at, top + order * (BAR + GAP))
    goals_y = top + 12
    for one in panel.verdicts:
        parts.append(svg.tick(GOALS - 10, goals_y - 4, one.good))
        parts.append(svg.words(GOALS + 6, goals_y, goal_words(one)))
        goals_y += GOAL_STEP
    return parts, max(bottom + (16 if panel.wide else 0), goals_y - GOAL_STEP) + 8


def _decades(scale: _Scale, top: float, bottom: float) -> list[str]:
    parts = []
    for power in range(round(math.log10(scale.low)), round(math.log10(scale.high)) + 1):
        x = scale.at(10.0**power)
        parts.append(svg.line(x, top - 3, x, bottom + 3, svg.FAINT))
        parts.append(svg.words(x, bottom + 15, f"{10**power:,}", size=10, anchor="middle", color=svg.SOFT))
    return parts


def _bar(bar: Bar, at: Callable[[float], float], y: float) -> list[str]:
    """Return one bar with its name before and its figure behind it."""
    middle = y + BAR / 2
    own = bar.kind.startswith(("lonc", "lond")) and "window 1" not in bar.kind
    parts = [
        svg.words(BARS - 8, middle + 4, bar.label, anchor="end", bold=own),
        svg.box(BARS, y, at(bar.value) - BARS, BAR, color_of(bar.kind), faded=BESIDE in bar.kind),
    ]
    first, last = at(bar.least), at(bar.greatest)
    if bar.greatest > bar.least:
        parts.append(svg.line(first, middle, min(last, at(bar.value)), middle, "#ffffff", 3))
        parts.append(svg.line(first, middle, last, middle, svg.INK))
        if last >= BARS_END and at(bar.value) < BARS_END:
            arrow = [(last - 4, middle - 4), (last, middle), (last - 4, middle + 4)]
            parts.append(svg.polyline(arrow, svg.INK, 1))
    parts += [svg.goal_line(at(mark.at), y - 2, y + BAR + 2, mark.good) for mark in bar.goals]
    behind = max(last, at(bar.value), *[at(mark.at) for mark in bar.goals], BARS)
    parts.append(svg.words(behind + 7, middle + 4, number(bar.value), bold=own))
    return parts


def _growth(results: Results, y: float) -> tuple[list[str], float]:
    """Return both plots side by side, and where they end."""
    rates = curves(results.growth, results.samples, "rate")
    memory = curves(results.growth, results.samples, "memory", 1024)
    if not rates and not memory:
        return [], y
    parts = [svg.line(LEFT, y - 20, WIDTH - LEFT, y - 20, svg.FAINT)]
    if rates:
        parts += plot(LEFT + 60, y, "requests/s by the number of clients", rates, color_of)
    if memory:
        parts += plot(WIDTH / 2 + 70, y, "memory (resident), MiB, by the number of clients", memory, color_of)
    return parts, y + PLOT_HEIGHT
