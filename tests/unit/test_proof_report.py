"""The proof's own bookkeeping: what stands in the ledger, what is still open, and what the report makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.proof import ledger, plan, report
from tests.proof.campaigns import CAMPAIGNS
from tests.proof.carry_out import Counted
from tests.proof.ledger import Record


def test_the_ledger_gives_back_what_was_appended(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    first = Record("row 1", 1, "2026-01-01 00:00", "abc", "m", 1.5, 3, 4, 5, 0, ("t::a",), (("t::b", "why"),))
    second = Record("row 2", 1, notes={"failed": "t::c"}, violations=1)
    ledger.append(first, place)
    ledger.append(second, place)
    assert ledger.read(place) == [first, second]
    assert ledger.read(tmp_path / "none") == []


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    for bad in ("{", "[]", '{"step": "row 1"}', '{"step": "row 1", "round": 1, "unknown": 2}'):
        place.write_text(json.dumps({"step": "row 1", "round": 1}) + "\n" + bad + "\n", "utf-8")
        with pytest.raises(ValueError, match="ledger, line 2: not a record"):
            ledger.read(place)


def test_forgotten_steps_are_open_again(tmp_path: Path) -> None:
    place = tmp_path / "ledger"
    for step in ("a", "b", "a", "c"):
        ledger.append(Record(step, 1, faults=1), place)
    assert ledger.forget({"a"}, place) == 2
    assert [record.step for record in ledger.read(place)] == ["b", "c"]
    assert ledger.open_steps(ledger.read(place), ["a", "b", "c"], 1) == ["a"]


def test_a_round_goes_on_until_every_step_has_a_good_record() -> None:
    steps = ["a", "b"]
    assert ledger.present_round([], steps) == 1
    records = [Record("a", 1), Record("b", 1, violations=1)]
    assert ledger.present_round(records, steps) == 1
    assert ledger.open_steps(records, steps, 1) == ["b"]
    records.append(Record("b", 1))
    assert ledger.present_round(records, steps) == 2
    records.append(Record("a", 2))
    assert ledger.present_round(records, steps) == 2
    assert ledger.open_steps(records, steps, 2) == ["b"]


def test_runs_are_added_up() -> None:
    first, second = Record("a", 1, runs=1, inputs=2, faults=3), Record("a", 2, runs=10, inputs=20, faults=30)
    one = ledger.sums([first, second])["a"]
    assert (one.rounds, one.runs, one.inputs, one.faults, one.violations) == (2, 11, 22, 33, 0)


def test_steps_are_chosen_by_group_or_by_name() -> None:
    everything = plan.all_steps()
    names = [step.name for step in everything]
    assert len(names) == len(set(names)), "a step has one name"
    assert [step.name for step in plan.chosen([])] == names
    assert [step.name for step in plan.chosen(["row 7"])] == ["row 7"]
    assert len(plan.chosen(["row"])) == 24
    assert next(step.name for step in plan.chosen(["kills"])) == "kills 1/10"
    with pytest.raises(ValueError, match="no step 'nonsense'; there are: row, kills"):
        plan.chosen(["nonsense"])


def test_every_step_has_something_to_run() -> None:
    assert all(step.tests or step.removal for step in plan.all_steps())


def test_the_time_is_the_last_one_or_the_guess() -> None:
    step = plan.chosen(["row 7"])[0]
    assert plan.expected_seconds([step], []) == step.seconds
    assert plan.expected_seconds([step], [Record("row 7", 1, seconds=3), Record("row 7", 2, seconds=5)]) == 5


def test_the_slices_of_a_campaign_reach_its_goal() -> None:
    for campaign in CAMPAIGNS:
        size = max(int(value) for value in [*campaign.sizes.values(), "0"] if value.isdigit())
        per_unit = 50 if campaign.name == "starts" else 1  # a round is 50 starts
        assert campaign.goal == 1 or size * per_unit * campaign.slices >= campaign.goal, campaign.name


@pytest.mark.parametrize(
    ("lines", "broken", "expected"),
    [
        ([], False, (0, 0)),
        ([], True, (0, 1)),  # pytest itself could not run: that is no success
        ([("t::a", "passed", 0)], False, (1, 0)),
        ([("t::a", "failed", 1)], True, (1, 1)),
        ([("t::a", "skipped", 0)], False, (0, 0)),
        ([("t::a", "passed", 2)], False, (1, 2)),  # counted by the test, though it went on
    ],
)
def test_what_pytest_counted(
    tmp_path: Path, lines: list[tuple[str, str, int]], broken: bool, expected: tuple[int, int]
) -> None:
    place = tmp_path / "tally"
    for test, outcome, violations in lines:
        line = {"test": test, "outcome": outcome, "inputs": 1, "faults": 1, "violations": violations, "reason": ""}
        with place.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
    counted = Counted()
    counted.add(place, broken)
    assert (counted.runs, counted.violations) == expected


def test_the_report_shows_what_was_violated_and_what_is_open() -> None:
    assert "Nothing has been run yet." in report.text([])
    text = report.text([Record("row 7", 1, "2026-01-01 00:00", "abc", "m", 10, 3, 4444, 5, 6)])
    assert "Without a good run: row 1, row 2" in text
    line = next(line for line in text.splitlines() if line.startswith("| 7 |"))
    assert [cell.strip() for cell in line.split("|")][3:8] == ["3", "4,444", "5", "6", "10"]


def test_a_cell_is_one_line_of_the_table() -> None:
    assert report.cell("a|b\nc <d> *") == "a\\|b c &lt;d&gt; \\*"
    assert report.cell("x" * 200, 140).endswith("x…")
    assert len(report.cell("x" * 200, 140)) == 140


def test_the_report_in_the_tree_is_made_from_the_ledger_in_the_tree() -> None:
    assert report.PLACE.read_text("utf-8") == report.text(ledger.read()), "python -m tests.proof --report"
