"""The arithmetic of the measurements: medians, ratios, verdicts; and that the cases are whole."""

from __future__ import annotations

import pytest

from tests.bench.cases import GROWTH_SIZES, Case, Goal, Row, cases, descriptors_needed, growth
from tests.bench.rivals import HAPROXY, LONC
from tests.bench.sums import Sample, Spread, disturbance, judge, number, ratio, spread, verdict


def sample(rate: float, p50: float = 1.0, cpu: float | None = None) -> Sample:
    return Sample(rate, p50, 2.0, 3.0, 4.0, cpu)


SAMPLES = {
    ("k", "lonc"): [sample(100, 30), sample(300, 10), sample(200, 20)],
    ("k", "other"): [sample(50, 25), sample(150, 35), sample(100, 50)],
}
CASE = Case(
    "k", "a case", (), (Row("lonc", LONC), Row("other", HAPROXY)),
    (Goal("lonc", "other", 1.5), Goal("lonc", "other", 0.5, "p50", False)),
)  # fmt: skip


def test_spread_is_median_and_extremes() -> None:
    assert spread(SAMPLES[("k", "lonc")], "rate") == Spread(200, 100, 300)


def test_spread_of_nothing_is_none() -> None:
    assert spread([], "rate") is None
    assert spread(SAMPLES[("k", "lonc")], "cpu") is None


def test_spread_passes_over_samples_without_the_figure() -> None:
    assert spread([sample(1, cpu=5.0), sample(1)], "cpu") == Spread(5.0, 5.0, 5.0)


def test_a_ratio_is_one_of_medians() -> None:
    assert ratio(SAMPLES, "k", Goal("lonc", "other", 1.0)) == 2.0
    assert ratio(SAMPLES, "k", Goal("lonc", "", 1.0, "p50")) == 20
    assert ratio(SAMPLES, "k", Goal("lonc", "absent", 1.0)) is None
    assert ratio(SAMPLES, "absent", Goal("lonc", "", 1.0)) is None


def test_verdicts_say_what_was_reached_and_what_not() -> None:
    rate, latency = judge(CASE, SAMPLES)
    assert (rate.good, rate.limit, rate.reached) == (True, "at least 1.5", "2")
    assert (latency.good, latency.limit, latency.reached) == (False, "at most 0.5", "0.571")
    assert "median latency" in latency.goal


def test_a_ratio_of_rates_is_given_by_processor_time_too() -> None:
    samples = {("k", "lonc"): [sample(100, cpu=5.0)], ("k", "other"): [sample(50, cpu=8.0)]}
    rate, latency = judge(CASE, samples)
    assert (rate.reached, rate.by_cpu) == ("2", "1.6")
    assert latency.by_cpu == "-"
    assert judge(CASE, SAMPLES)[0].by_cpu == "-"


@pytest.mark.parametrize(("found", "above", "good"), [(1.5, True, True), (1.49, True, False), (1.5, False, True),
                                                     (1.51, False, False), (None, True, None)])  # fmt: skip
def test_the_limit_itself_is_good(found: float | None, above: bool, good: bool | None) -> None:
    assert verdict("case", Goal("a", "b", 1.5, above=above), found).good is good


def test_a_goal_may_have_words_of_its_own() -> None:
    one = verdict("case", Goal("a", "", 2000, "p99", False, "p99 under 2 ms"), 2345.6)
    assert (one.goal, one.limit, one.reached) == ("p99 under 2 ms", "at most 2,000", "2,346")


def test_figures_keep_three_digits() -> None:
    shown = [number(one) for one in (None, 0.1234, 12.34, 123.4, 123456)]
    assert shown == ["-", "0.123", "12.3", "123", "123,456"]


def test_disturbance_is_that_of_all_runs_in_which_one_process_relays() -> None:
    runs = [Sample(1, 1, 1, 1, 1, waited=share) for share in (0.5, 0.0, 0.1, None)]
    assert disturbance({("a", "x"): runs[:1], ("b", "y"): runs[1:]}) == Spread(0.1, 0.0, 0.5)
    assert disturbance({}) is None


def test_every_goal_has_a_reason_ready() -> None:
    assert all(goal.why and not goal.why.endswith(".") for case in cases() for goal in case.goals)


def test_a_sleeper_is_measured_beside_the_same_way_without_it() -> None:
    case = next(case for case in cases() if case.key == "sleep")
    alone = {row.way for row in case.rows if not row.beside}
    assert {row.way for row in case.rows if row.beside} == alone
    assert case.wide


def test_every_goal_is_about_rows_of_its_case() -> None:
    for case in cases():
        labels = [row.label for row in case.rows]
        assert len(set(labels)) == len(labels)
        for goal in case.goals:
            assert goal.row in labels
            assert goal.against in [*labels, ""]


def test_an_open_loop_comes_behind_the_case_that_gives_its_rate() -> None:
    keys = [case.key for case in cases()]
    assert len(set(keys)) == len(keys)
    for case in cases():
        assert not case.half_rate_of or keys.index(case.half_rate_of) < keys.index(case.key)


def test_growth_goes_upwards_since_memory_only_grows() -> None:
    assert [case.clients for case in growth()] == sorted(GROWTH_SIZES)
    assert all(case.options[:2] == ("-c", str(case.clients)) for case in growth())


def test_a_relay_of_connections_needs_two_descriptors_a_client() -> None:
    assert descriptors_needed(Row("x", HAPROXY), 1000) > 2000 > descriptors_needed(Row("x", LONC), 1000) > 1000
