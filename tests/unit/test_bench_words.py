"""What the measurements say: tables that hold every figure, and a picture that is whole SVG."""

from __future__ import annotations

import xml.etree.ElementTree as Xml

import pytest

from tests.bench.cases import Case, Goal, Row
from tests.bench.idle import Idea1KiB, Memory
from tests.bench.messages import Delayed, Listing
from tests.bench.picture import bars, curves, draw
from tests.bench.sums import Sample
from tests.bench.table import NOT_YET, Results, case_table, grid, growth_table, number, text, verdicts

KIB = Case(
    "kib", "16 clients & more", (), (Row("lonc", "lonc"), Row("lonc, encrypt:", "lonc"), Row("socat", "socat")),
    (Goal("lonc, encrypt:", "lonc", 0.25), Goal("lonc", "socat", 1.0)),
)  # fmt: skip
GROWTH = [Case(f"g{size}", f"{size} clients", (), (Row("lonc", "x"),), clients=size) for size in (1, 100)]
SAMPLES = {
    ("kib", "lonc"): [Sample(81234, 11, 12, 13, 14, 6.5), Sample(91234, 11, 12, 13, 14, 6.5)],
    ("kib", "lonc, encrypt:"): [Sample(20000, 51, 52, 53, 54, 30.5)],
    ("g1", "lonc"): [Sample(500, 1, 1, 1, 1, memory=10_000), Sample(700, 1, 1, 1, 1, memory=99_999)],
    ("g100", "lonc"): [Sample(60000, 1, 1, 1, 1, memory=20_000)],
}
DELAYED = Delayed(100, 90, 110, wire_far=50, wire_near=10, files=20, syncs=7, sync_count=16)
LISTING = Listing(all_ms=600, idle_us=100, idle_all_us=900)


def results() -> Results:
    memory = [Memory(100, True, 1024, 4096, 4097, 9000), Memory(100, False, 900, 2000, 2001, 8000)]
    found = Results(["a machine"], [KIB], GROWTH, SAMPLES, {"HAProxy": "not installed"})
    found.idea, found.delayed, found.listing, found.memory = Idea1KiB("engine", 17, 19), DELAYED, LISTING, memory
    return found


def test_a_grid_has_a_line_for_each_row() -> None:
    assert grid(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


def test_figures_keep_three_digits() -> None:
    shown = [number(one) for one in (None, 0.1234, 12.34, 123.4, 123456)]
    assert shown == ["-", "0.123", "12.3", "123", "123,456"]


def test_a_case_shows_median_extremes_and_processor_time() -> None:
    lines = case_table(KIB, SAMPLES).splitlines()
    assert "| lonc | 86,234 | 81,234 | 91,234 | 11 | 12 | 13 | 14 | 6.5 |" in lines
    assert not [line for line in lines if "socat" in line]


def test_growth_shows_rates_of_all_rounds_and_memory_of_the_first() -> None:
    table = growth_table(GROWTH, SAMPLES)
    assert "| 1 clients | 600 | 10,000 |" in table
    assert "| 100 clients | 60,000 | 20,000 |" in table


def test_every_goal_has_a_verdict() -> None:
    found = {(one.case, one.goal): (one.reached, one.good) for one in verdicts(results())}
    assert found[("16 clients & more", "lonc, encrypt: : lonc, rate")] == ("0.232", False)
    assert found[("16 clients & more", "lonc : socat, rate")] == ("not measured", None)
    near, far = [value for (case, _), value in found.items() if case == "1,000 delayed files"]
    assert (near, far) == (("3.33", False), ("1.43", True))
    assert found[("100,000 delayed files", "seconds to list them")] == ("0.6", True)
    memory = [value for (case, _), value in found.items() if case == "100 peers"]
    assert memory == [("1", True), ("4", False)]


def test_the_idle_scan_is_counted_for_all_children() -> None:
    assert abs(LISTING.idle_share - 100 * 1000 / 1e6 / 15) < 1e-9


def test_the_text_holds_everything_and_marks_what_was_missed() -> None:
    words = text(results())
    for part in ("a machine", "**NO**", "HAProxy: not installed", NOT_YET, "(engine)", "16 syncs", "without the"):
        assert part in words
    split = [line for line in words.splitlines() if line.startswith("| the rest")]
    assert split == ["| the rest: twice the bytes on the link, off the hot path | 5 |"]


def test_a_quick_run_has_no_empty_parts() -> None:
    words = text(Results(["a machine"], [KIB], [], SAMPLES))
    assert "Growth" not in words
    assert "delayed" not in words
    assert "\n\n\n" not in words


def test_bars_leave_out_what_was_not_measured() -> None:
    found = bars(KIB, SAMPLES)
    assert [bar.label for bar in found] == ["lonc", "lonc, encrypt:"]
    assert (found[0].value, found[0].least, found[0].greatest) == (86234, 81234, 91234)


def test_curves_hold_a_point_for_each_number_of_clients() -> None:
    rates, memory = curves(GROWTH, SAMPLES, "rate"), curves(GROWTH, SAMPLES, "memory")
    assert [curve.points for curve in rates] == [((1, 600), (100, 60000))]
    assert [curve.points for curve in memory] == [((1, 10_000), (100, 20_000))]


def test_the_picture_is_whole_and_shows_every_bar_with_its_figure() -> None:
    drawn = Xml.fromstring(draw([KIB], GROWTH, SAMPLES, "a <title>"))
    name = "{http://www.w3.org/2000/svg}"
    words = [one.text for one in drawn.iter(f"{name}text")]
    for part in ("a <title>", "16 clients & more: requests/s", "86,234", "20,000", "lonc, encrypt:"):
        assert part in words
    widths = [float(one.get("width", 0)) for one in drawn.iter(f"{name}rect")][1:]
    assert widths[0] / widths[1] == pytest.approx(86234 / 20000, rel=0.01)
    assert len(list(drawn.iter(f"{name}polyline"))) == 2
    height = float(drawn.get("height", 0))
    assert all(0 <= float(one.get("y", 0)) <= height for one in drawn.iter(f"{name}text"))


def test_a_picture_without_growth_or_with_one_point_is_drawn() -> None:
    Xml.fromstring(draw([KIB], [], SAMPLES, "t"))
    Xml.fromstring(draw([], GROWTH[:1], {("g1", "lonc"): [Sample(100, 1, 1, 1, 1)]}, "t"))
