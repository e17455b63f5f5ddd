"""The suite can fail: programs that are wrong on purpose are reported, by the sentence that they break."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conformance import tables
from tests.conformance.__main__ import main
from tests.conformance.lonc_stage import LoncStage, LoncTarget
from tests.conformance.lond_stage import LondStage, LondTarget
from tests.conformance.runner import FAILED, OURS, PASSED, Outcome, run_all
from tests.conformance.wrong_lonc import FAULTS
from tests.conftest import MakeSite
from tests.process.harness import Site
from tests.process.waiting import TREE
from tests.proof.tally import Tally

PEER, OWN = "msul1", "own1"
LONG_S, SHORT_S = 40.0, 0.7  # for what must hold, and for what must not: a short wait makes no failure a success

BROKEN_BY = {
    "strip": ["1.5", "1.6", "1.8", "4.6"],
    "ascii": ["1.3"],
    "skip-empty": ["1.7"],
    "send-rest": ["1.9"],
    "echo-refusal": ["2.31", "2.32"],
    "mangle-challenge": ["2.2"],
    "hasty": ["2.9"],
    "any-ok": ["2.33"],
    "need-sethost": ["2.11", "2.12"],
    "any-key": ["2.34"],
    "newline-key": ["3.3"],
    "swapped-key": ["3.1", "3.2"],
    "upper-hex": ["4.3"],
    "few-blocks": ["4.2", "4.4"],
    "clip": ["4.14"],
    "all-encrypted": ["4.18"],
    "raw-frames": ["4.9", "4.16"],
    "unescape": ["5.1"],
    "zero": ["6.4"],
    "silent-loss": ["8.1"],
    "send-again": ["8.3"],
    "half-reply": ["8.6"],
}
# What no lonc of the classic kind does: it is ours alone.
NOT_CLASSIC = ["8.11"]

MISDEEDS = {
    "at connect=say:hello": ["2.52"],
    "at init=answer:refused": ["2.51", "2.54"],
    "at init=answer:always the same": ["2.53"],
    "at challenge=answer:ok": ["2.55"],
    "at sethost=answer:unknown_cmd": ["2.58"],
    "at version=answer:unknown_cmd": ["2.61", "2.62"],
    "at pong=answer:somebody:ok": ["2.63", "2.64"],
    "at ekey=answer:01:23": ["2.65"],
    "at ekey=answer:0123456789ABCDEF0123": ["3.52"],
    "at ekey=wrong-key": ["3.53", "4.52"],
    "on exit=answer:ok": ["2.71"],
    "on ping=twice": ["1.51"],
    "on ping=reply:somebody": ["2.74"],
    "on ping=done-skip@2": ["1.53"],
    "on ping=done-close": ["1.62", "1.63"],
    "on conformance*=reply:ok": ["6.51"],
    "on conformance*=reply:": ["1.52"],
}


class Classic:
    """The small lonc and a stage around it; its faults are those of the last call of breaks()."""

    def __init__(self, site: Site) -> None:
        path, address = str(site.socket_path(PEER)), site.entry(PEER).address
        self.stage = LoncStage(LoncTarget(path, address, site.port, OWN.encode(), PEER.encode()))
        self.faults_path = site.root / "faults"
        self.breaks("", LONG_S)
        lond = f"{address}:{site.port}"
        module = ["-m", "tests.conformance.wrong_lonc"]
        command = [sys.executable, *module, path, lond, OWN, PEER, str(self.faults_path)]
        self.process = subprocess.Popen(command, cwd=TREE)
        self.stage.ready()

    def breaks(self, fault: str, limit_s: float) -> None:
        """Have the next link with this fault, and wait so long for whatever must come."""
        self.faults_path.write_text(fault)
        self.stage.target.limit_s = self.stage.target.redial_s = limit_s
        self.stage.hang_up()

    def run(self, numbers: Sequence[str], *, original: bool = False) -> list[Outcome]:
        """Run these cases and return the outcomes."""
        return run_all(tables.chosen(tables.LONC_CASES, numbers), self.stage, original=original)

    def end(self) -> None:
        """End the process, and look whether it had ended by itself."""
        ended = self.process.poll()
        self.stage.close()
        self.process.kill()
        self.process.wait(20)
        assert ended is None, "the small lonc has ended by itself"


@pytest.fixture
def classic(make_site: MakeSite) -> Iterator[Classic]:
    """Return the small lonc without a fault, linked."""
    made = Classic(make_site())
    yield made
    made.end()


def of(outcomes: Sequence[Outcome], state: str) -> list[str]:
    """Return the numbers of the sentences in this state."""
    return [outcome.number for outcome in outcomes if outcome.state == state]


def test_every_fault_is_looked_for() -> None:
    assert set(BROKEN_BY) == set(FAULTS)


def test_a_wrong_lonc_is_reported(classic: Classic, tally: Tally) -> None:
    outcomes = classic.run([number for numbers in BROKEN_BY.values() for number in numbers])
    assert of(outcomes, PASSED) == [outcome.number for outcome in outcomes], "without a fault"
    for fault, numbers in BROKEN_BY.items():
        classic.breaks(fault, SHORT_S)
        outcomes = classic.run(numbers)
        assert of(outcomes, FAILED) == numbers, fault
        assert all(outcome.expected and outcome.got for outcome in outcomes)
        tally.add(inputs=len(numbers), faults=1)


def test_what_is_ours_alone_is_no_failure_of_an_original(classic: Classic) -> None:
    classic.breaks("", SHORT_S)
    assert of(classic.run(NOT_CLASSIC), FAILED) == NOT_CLASSIC
    assert of(classic.run(NOT_CLASSIC, original=True), OURS) == NOT_CLASSIC


def test_a_failure_does_not_disturb_the_sentences_behind_it(classic: Classic) -> None:
    classic.breaks("", SHORT_S)
    assert of(classic.run(["1.16"]), FAILED) == ["1.16"]  # requests are left on the link, without a reply
    classic.stage.target.limit_s = classic.stage.target.redial_s = LONG_S
    assert of(classic.run(["1.18"]), PASSED) == ["1.18"]


def test_a_wrong_lond_is_reported(make_site: MakeSite, tally: Tally) -> None:
    site = make_site()
    peer = site.peer(PEER)
    stage = LondStage(LondTarget(site.entry(PEER).address, site.port, OWN.encode(), PEER.encode(), limit_s=LONG_S))
    wanted = tables.chosen(tables.LOND_CASES, [number for numbers in MISDEEDS.values() for number in numbers])
    assert not of(run_all(wanted, stage), FAILED)
    stage.target.limit_s = SHORT_S
    for rule, numbers in MISDEEDS.items():
        peer.script(rule)
        outcomes = run_all(tables.chosen(tables.LOND_CASES, numbers), stage)
        assert of(outcomes, FAILED) == numbers, rule
        tally.add(inputs=len(numbers), faults=1)


def test_the_command_reports_what_failed_and_how_often_it_was_tried(
    make_site: MakeSite, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    site = make_site()
    peer = site.peer(PEER, "on ping=reply:somebody@1")
    where, written = f"{site.entry(PEER).address}:{site.port}", tmp_path / "outcomes.json"
    command = ["--lond", where, "--own-id", OWN, "--peer-id", PEER, "--json", str(written)]
    assert main([*command, "--retry", "1", "2.74", "10.54"]) == 0
    said = capsys.readouterr().out
    assert "2.74" in said
    assert "(attempt 2)" in said
    assert "not judged: give --user" in said
    assert "2 sentences, 1 passed, 0 failed, 0 ours alone, 1 not judged, 1 needed more than one attempt" in said
    cases = json.loads(written.read_text())["cases"]
    assert [(case["number"], case["state"], case["attempts"]) for case in cases] == [
        ("2.74", "passed", 2), ("10.54", "skipped", 1),
    ]  # fmt: skip
    assert cases[0]["got"] == "b'somebody'"
    peer.script("on ping=reply:somebody")
    assert main([*command, "2.74"]) == 1
    said = capsys.readouterr().out
    assert "got:      b'somebody'" in said
    assert "1 failed" in said


@pytest.mark.parametrize(
    "line", [[], ["--lonc", "x", "--own-id", "a", "--peer-id", "b"], ["--lond", "127.0.0.1", "--own-id", "a"]]
)
def test_a_command_line_that_cannot_be_used_is_told(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line)
    assert ended.value.code == 2
    assert "tests.conformance: error:" in capsys.readouterr().err


def test_an_unknown_sentence_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--lond", "127.0.0.1:1", "--own-id", "a", "--peer-id", "b", "99.9"])
    assert "no section and no sentence 99.9" in capsys.readouterr().err
