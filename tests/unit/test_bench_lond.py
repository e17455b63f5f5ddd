"""lond's throughput: which rows there are, what they are compared with, how they are told and shown."""

from __future__ import annotations

import xml.etree.ElementTree as Xml

import pytest

from tests.bench.londcases import (
    ALL_PIPED,
    ALONE,
    ALONE_ALL,
    ENGINE,
    ENGINES,
    IN_FLIGHT,
    ONE,
    PIPED,
    PUT_BYTES,
    REQUESTS,
    SQLITE,
    STUB_ONE,
    against,
    engine_of,
    links_of,
    lond_cases,
    work_of,
)
from tests.bench.londtable import lond_section, lond_table
from tests.bench.panels import lond_panel, panels
from tests.bench.picture import FALLBACK, color_of, draw
from tests.bench.results import Results, verdicts
from tests.bench.sums import Sample, Spread, round_ratios
from tests.bench.table import text

CASES = lond_cases(4)
GET = next(case for case in CASES if case.key == "lond-get-sqlite")
SAMPLES = {
    (GET.key, ALONE): [Sample(rate, 5, 6, 7, 8, cpu=5) for rate in (1000, 2000, 4000)],
    (GET.key, PIPED): [Sample(rate, 50, 60, 70, 80, cpu=20) for rate in (500, 500, 1000)],
    (GET.key, ALL_PIPED): [Sample(900, 55, 65, 75, 85, cpu=21)],
}


def test_every_work_is_done_on_every_engine_by_one_link_and_by_all_cores() -> None:
    found = {(work_of(case), engine_of(case)) for case in CASES}
    assert found == {("ping", SQLITE), *((work, engine) for work in ("get", "put") for engine in ENGINES)}
    for case in CASES:
        ways = {(row.way, links_of(row), row.options[row.options.index("-P") + 1]) for row in case.rows}
        assert {("lond", links, depth) for links in (1, 4) for depth in ("1", str(IN_FLIGHT))} <= ways
        assert work_of(case) == "ping" or {(ENGINE, 1, "1"), (ENGINE, 4, "1")} <= ways
        assert case.options == REQUESTS[work_of(case)]
        assert len({row.label for row in case.rows}) == len(case.rows)


def test_a_put_fits_into_the_size_that_it_is_padded_to() -> None:
    request = REQUESTS["put"][1]
    assert len(request) < PUT_BYTES
    assert "@" in request
    assert "#" in request


def test_a_row_is_compared_with_one_that_uses_as_much_of_the_machine() -> None:
    links = {row.label: links_of(row) for case in CASES for row in case.rows}
    for case in CASES:
        labels = {row.label for row in case.rows}
        for row in case.rows:
            other = against(case, row)
            assert other == "" or (other in labels and links[other] == links_of(row))
    one = next(row for row in GET.rows if row.label == ONE)
    assert against(GET, one) == ALONE
    assert against(CASES[0], one) == STUB_ONE


def test_ratios_are_made_in_each_round() -> None:
    assert round_ratios(SAMPLES, GET.key, PIPED, ALONE) == Spread(0.25, 0.25, 0.5)
    assert round_ratios(SAMPLES, GET.key, PIPED, ALONE_ALL) is None
    assert round_ratios(SAMPLES, GET.key, PIPED, "") is None


def test_the_table_has_rates_ratios_and_times_of_what_was_measured() -> None:
    lines = lond_table(GET, SAMPLES).splitlines()
    assert lines[0] == "### lond: get, SQLite"
    assert f"| {PIPED} | 500 | 500 | 1,000 | 0.25 | 0.25 | 0.5 | 50 | 60 | 20 |" in lines
    assert f"| {ALL_PIPED} | 900 | 900 | 900 | - | - | - | 55 | 65 | 21 |" in lines
    assert len(lines) == 2 + 2 + 3


def test_the_results_have_a_section_of_what_was_measured() -> None:
    found = Results(["a machine"], [], [], SAMPLES, {"lond, PostgreSQL": "not here"}, complete=False, lond=CASES)
    words = text(found)
    for part in ("\n## lond\n", "### lond: get, SQLite", "What bounds it", "- lond, PostgreSQL: not here"):
        assert part in words, part
    for part in ("### lond: ping", "\n\n\n"):
        assert part not in words, part
    assert not verdicts(found)
    assert not lond_section(CASES, {})


def test_the_picture_has_a_panel_of_what_was_measured() -> None:
    found = Results(["a machine"], [], [], SAMPLES, complete=False, lond=CASES)
    assert [panel.title for panel in panels(found)] == ["lond: get, SQLite"]
    labels = [bar.label for bar in lond_panel(GET, SAMPLES).bars]
    assert labels == [ALONE, PIPED, ALL_PIPED.removeprefix("lond, ")]
    shown = [one.text for one in Xml.fromstring(draw(found)).iter("{http://www.w3.org/2000/svg}text")]
    assert "all cores, 32 in flight" in shown


@pytest.mark.parametrize("label", sorted({row.label for case in CASES for row in case.rows}))
def test_every_row_has_a_colour(label: str) -> None:
    assert color_of(label) != FALLBACK
