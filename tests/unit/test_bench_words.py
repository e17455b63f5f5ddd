"""What the measurements say: tables that hold every figure and every goal, and why one is missed."""

from __future__ import annotations

from tests.bench.cases import Case, Goal, Row
from tests.bench.idle import Idea1KiB, Memory
from tests.bench.messages import Delayed
from tests.bench.ondemand import OnDemand
from tests.bench.results import Results, verdicts
from tests.bench.scan import Listing
from tests.bench.sums import Sample
from tests.bench.table import case_table, explained, grid, growth_table, text

KIB = Case(
    "kib", "16 clients & more", (), (Row("lonc", "lonc"), Row("lonc, encrypt:", "lonc"), Row("socat", "socat")),
    (Goal("lonc, encrypt:", "lonc", 0.25, why="a reason"), Goal("lonc", "socat", 1.0)),
)  # fmt: skip
GROWTH = [Case(f"g{size}", f"{size} clients", (), (Row("lonc", "x"),), clients=size) for size in (1, 100)]
SAMPLES = {
    ("kib", "lonc"): [Sample(81234, 11, 12, 13, 14, 6.5), Sample(91234, 11, 12, 13, 14, 6.5)],
    ("kib", "lonc, encrypt:"): [Sample(20000, 51, 52, 53, 54, 30.5)],
    ("g1", "lonc"): [Sample(500, 1, 1, 1, 1, memory=10_000), Sample(700, 1, 1, 1, 1, memory=99_999)],
    ("g100", "lonc"): [Sample(60000, 1, 1, 1, 1, memory=20_000)],
}
DELAYED = Delayed(107, 97, 117, wire_far=50, wire_near=10, files=20, syncs=7, sync_count=16, counted=True)
LISTING = Listing(all_ms=600, look_us=100, wake_us=300)
ON_DEMAND = OnDemand(1000, {0: 20_480, 10: 71_680}, first=12, first_most=17, again=0.5, dial=0.3)


def results() -> Results:
    """Return results in which everything was measured."""
    with_wheel = Memory(100, True, 1024, 4096, 4097, 9000, 418_600)
    memory = [with_wheel, Memory(100, False, 900, 2000, 2001, 8000, 208_000)]
    found = Results(["a machine"], [KIB], GROWTH, SAMPLES, {"HAProxy": "not installed"}, {"a part": "broke"})
    found.idea, found.delayed, found.listing, found.memory = Idea1KiB("engine", 17, 19), DELAYED, LISTING, memory
    found.on_demand = ON_DEMAND
    return found


def test_a_grid_has_a_line_for_each_row() -> None:
    assert grid(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"
    assert grid(["a", "b", "c"], [], words=2) == "| a | b | c |\n| --- | --- | ---: |\n"


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
    assert (near, far) == (("3.33", False), ("1.43", True))  # syncs are told apart: 100 ms, not 107
    assert found[("100,000 delayed files", "100,000 files listed, s")] == ("0.6", True)
    assert found[("100,000 delayed files", "idle scans of 1,000 children, % of a core")] == ("0.667", True)
    memory = [value for (case, _), value in found.items() if case == "100 peers"]
    assert memory == [("1", True), ("4", False)]
    assert found[("1,000 peers on demand", "PSS of all on demand, MiB")] == ("20", True)


def test_what_was_not_measured_is_told_for_every_goal_of_a_complete_run() -> None:
    bare = verdicts(Results([], [KIB], [], {}))
    assert len(bare) == len(verdicts(results()))
    assert {one.good for one in bare} == {None}
    assert len(verdicts(Results([], [KIB], [], {}, complete=False))) == len(KIB.goals)


def test_idle_children_are_counted_by_looks_and_by_wake_ups() -> None:
    assert abs(LISTING.look_share - 100 * 1000 / 1e6 / 15) < 1e-9
    assert abs(LISTING.wake_share - 300 * 1000 / 1e6 / 15) < 1e-9


def test_a_goal_that_is_missed_is_explained() -> None:
    words = "\n".join(explained(verdicts(results())))
    assert "- **16 clients & more** (lonc, encrypt: : lonc, rate: 0.232, at least 0.25): a reason." in words
    assert "- **100 peers** (PSS of an idle child, MiB: 4, at most 2.5): Python counts" in words
    assert "listed" not in words
    assert not explained([one for one in verdicts(results()) if one.good])


def test_the_text_holds_everything_and_marks_what_was_missed() -> None:
    words = text(results())
    for part in (
        "a machine", "**NO**", "5 of 9 reached", "HAProxy: not installed", "- a part: broke", "(engine)",
        "16 syncs of the directory (counted by strace), alone | 7 |", "without the", "418,600",
        "10 asked, KiB | 71,680 |", "(fork, dial, dialogue), ms | 12 |",
    ):  # fmt: skip
        assert part in words, part
    split = [line for line in words.splitlines() if line.startswith("| the rest")]
    assert split == ["| the rest: twice the bytes on the link, off the hot path | 5 |"]


def test_a_quick_run_has_no_empty_parts() -> None:
    words = text(Results(["a machine"], [KIB], [], SAMPLES, complete=False))
    for part in ("Growth", "delayed", "demand", "Left out", "Failed", "\n\n\n"):
        assert part not in words
