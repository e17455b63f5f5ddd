"""The picture of the measurements: panels with their goals, scales, and whole SVG with everything inside it."""

from __future__ import annotations

import xml.etree.ElementTree as Xml
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.bench.cases import SLEEPER, Case, Goal, Row
from tests.bench.panels import Mark, case_panel, curves, goal_words, panels
from tests.bench.picture import BAR, BARS_END, WIDTH, draw
from tests.bench.plot import ends, spread_out, steps_between, tell
from tests.bench.results import Results, verdicts
from tests.bench.sums import Sample, Verdict, judge
from tests.unit.test_bench_words import GROWTH, KIB, SAMPLES, results

SVG = "{http://www.w3.org/2000/svg}"
ASLEEP = Case(
    "s", "beside `sleep`", (), (Row("lonc", "lonc"), Row("lonc + sleeper", "lonc", beside=SLEEPER)),
    (Goal("lonc + sleeper", "lonc", 2.0, "p99", above=False), Goal("lonc", "", 1500.0, "p99", above=False)),
    "p99", wide=True,
)  # fmt: skip
SLOW = {
    ("s", "lonc"): [Sample(1, 1, 400, 1, 1)],
    ("s", "lonc + sleeper"): [Sample(1, 1, 900, 1, 1), Sample(1, 1, 1000, 1, 1), Sample(1, 1, 5000, 1, 1)],
}


def drawn(found: Results) -> Xml.Element:
    return Xml.fromstring(draw(found))


def words_of(picture: Xml.Element) -> list[str]:
    return [one.text or "" for one in picture.iter(f"{SVG}text")]


def bars_of(picture: Xml.Element) -> list[Xml.Element]:
    return [one for one in picture.iter(f"{SVG}rect") if one.get("height") == f"{BAR:.1f}"]


def test_bars_leave_out_what_was_not_measured() -> None:
    panel = case_panel(KIB, SAMPLES, [])
    assert [bar.label for bar in panel.bars] == ["lonc", "lonc, encrypt:"]
    assert (panel.bars[0].value, panel.bars[0].least, panel.bars[0].greatest) == (86234, 81234, 91234)


def test_a_goal_is_marked_where_the_bar_would_have_to_end() -> None:
    plain, encrypted = case_panel(KIB, SAMPLES, []).bars
    assert plain.goals == ()  # its rival was not measured
    assert encrypted.goals == (Mark(86234 * 0.25, good=False),)
    plain, beside = case_panel(ASLEEP, SLOW, []).bars
    assert plain.goals == (Mark(1500, good=True),)
    assert beside.goals == (Mark(800, good=False),)


def test_a_goal_about_another_figure_than_the_panel_shows_is_not_marked() -> None:
    assert not case_panel(replace(ASLEEP, field="rate"), SLOW, []).bars[0].goals


def test_every_verdict_stands_beside_a_panel() -> None:
    found = results()
    shown = [one for panel in panels(found) for one in panel.verdicts]
    assert shown == verdicts(found)


def test_goals_are_told_in_few_words() -> None:
    said = judge(KIB, SAMPLES)
    assert goal_words(said[0]) == "0.232 x lonc (goal: at least 0.25)"
    latency = Verdict("c", "lonc : socat, median latency", "at most 1", "1.04", False)
    assert goal_words(latency) == "1.04 x socat, median latency (goal: at most 1)"
    plain = Verdict("c", "listed in s", "at most 1", "0.3", True)
    assert goal_words(plain) == "listed in s: 0.3 (goal: at most 1)"


def test_curves_hold_a_point_for_each_number_of_clients() -> None:
    rates, memory = curves(GROWTH, SAMPLES, "rate"), curves(GROWTH, SAMPLES, "memory", 1000)
    assert [curve.points for curve in rates] == [((1, 600), (100, 60000))]
    assert [curve.points for curve in memory] == [((1, 10), (100, 20))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [((3, 70), (2, 100)), ((5, 5), (5, 10)), ((1000, 2000), (1000, 2000)), ((0.3,), (0.2, 0.5))],
)
def test_an_axis_ends_at_round_figures(values: tuple[float, ...], expected: tuple[float, float]) -> None:
    assert ends(values) == pytest.approx(expected)


def test_an_axis_has_few_figures() -> None:
    assert steps_between(2, 100) == [2, 5, 10, 20, 50, 100]
    assert steps_between(1, 10_000) == [1, 10, 100, 1000, 10_000]
    assert [tell(value) for value in (0.5, 20, 500_000)] == ["0.5", "20", "500,000"]


def test_names_of_curves_do_not_cover_each_other() -> None:
    placed = spread_out([(50, "b", ""), (48, "a", ""), (100, "c", "")])
    assert [label for _, label, _ in placed] == ["a", "b", "c"]
    levels = [level for level, _, _ in placed]
    assert all(later - earlier >= 14 for earlier, later in pairwise(levels))


def test_the_picture_is_whole_and_shows_every_bar_with_its_figure() -> None:
    picture = drawn(results())
    words = words_of(picture)
    for part in ("16 clients & more", "requests/s", "86,234", "20,000", "lonc, encrypt:", "a machine"):
        assert part in words
    assert "5 of 9 goals reached" in words
    assert len(list(picture.iter(f"{SVG}polyline"))) >= 2
    height = float(picture.get("height", 0))
    assert all(0 <= float(one.get("y", 0)) <= height for one in picture.iter(f"{SVG}text"))


def test_bars_are_as_long_as_their_figures() -> None:
    picture = drawn(Results([], [KIB], [], SAMPLES, complete=False))
    bars = [float(one.get("width", 0)) for one in bars_of(picture)]
    assert bars[0] / bars[1] == pytest.approx(86234 / 20000, rel=0.01)


def test_extremes_and_wide_scales_stay_inside_their_panel() -> None:
    picture = drawn(Results([], [ASLEEP], [], SLOW, complete=False))
    assert {"100", "1,000"} <= set(words_of(picture))
    assert max(float(one.get("x2", 0)) for one in picture.iter(f"{SVG}line")) <= WIDTH
    assert max(float(one.get("x", 0)) + float(one.get("width", 0)) for one in bars_of(picture)) <= BARS_END
    far = {("s", "lonc"): [Sample(1, 1, 400, 1, 1), Sample(1, 1, 400, 1, 1), Sample(1, 1, 9e6, 1, 1)]}
    cut = drawn(Results([], [replace(ASLEEP, wide=False)], [], far, complete=False))
    assert any(f"{BARS_END:.1f}," in (one.get("points") or "") for one in cut.iter(f"{SVG}polyline"))  # an arrow


def test_a_picture_without_growth_or_with_one_point_is_drawn() -> None:
    drawn(Results([], [KIB], [], SAMPLES, complete=False))
    drawn(Results([], [], GROWTH[:1], {("g1", "lonc"): [Sample(100, 1, 1, 1, 1)]}))
