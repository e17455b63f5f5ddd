"""The program's source, searched by bandit: no finding but those of bandit.toml, each of which has its reason."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.process.waiting import TREE
from tests.proof.tally import Tally

SETTINGS = Path(__file__).with_name("bandit.toml")
PROGRAMS = ("bin/lonc", "bin/lond", "bin/loncctl")


def search(*arguments: str) -> list[tuple[str, str, int, str]]:
    """Return every finding: its test, file, line and text."""
    pytest.importorskip("bandit", reason="bandit is not installed")
    command = [sys.executable, "-m", "bandit", "-q", "-f", "json", "-c", str(SETTINGS), *arguments]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=100, check=False)
    found = json.loads(done.stdout)
    assert found["errors"] == []
    return [(one["test_id"], one["filename"], one["line_number"], one["issue_text"]) for one in found["results"]]


def test_every_finding_is_accepted_with_a_reason_and_no_more_than_that(tally: Tally) -> None:
    accepted = tomllib.loads(SETTINGS.read_text("utf-8"))["accepted"]
    assert all(len(one["reason"].split()) >= 3 for one in accepted)
    allowed = Counter({(one["test"], one["file"]): one["count"] for one in accepted})
    assert len(allowed) == len(accepted), "each once"
    found = search("-r", "lonc", *PROGRAMS)
    seen = Counter((test, file) for test, file, _line, _text in found)
    new = [one for one in found if seen[one[:2]] > allowed[one[:2]]]
    assert new == []
    assert {key: (allowed[key], seen[key]) for key in allowed if allowed[key] > seen[key]} == {}, "needed no more"
    tally.add(inputs=len(list((TREE / "lonc").rglob("*.py"))))


def test_a_fault_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import subprocess\nsubprocess.run('x', shell=True)\neval(input())\n")
    assert {"B602", "B307"} <= {test for test, *_ in search(str(tmp_path / "bad.py"))}


def test_nothing_is_switched_off_in_the_source() -> None:
    marked = [path for path in (TREE / "lonc").rglob("*.py") if "# nosec" in path.read_text("utf-8")]
    assert marked == [], "what is accepted stands in bandit.toml"
