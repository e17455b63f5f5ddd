"""Every test that the table of threats and SECURITY.md name is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.process.waiting import TREE
from tests.proof.threats import THREATS, Threat


def names_in(name: str) -> set[str]:
    """Return the names of the tests in a file below tests/, read without importing it."""
    tree = ast.parse((TREE / "tests" / name).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("threat", THREATS, ids=lambda threat: str(threat.name))
def test_every_named_test_exists(threat: Threat) -> None:
    assert threat.tests
    for named in threat.tests:
        file, _, test = named.partition("::")
        assert test in names_in(file), named


def test_each_threat_stands_once_and_says_what_is_done() -> None:
    assert len({threat.name for threat in THREATS}) == len(THREATS) == 12
    assert all(threat.threat.endswith(".") and threat.answer.endswith(".") for threat in THREATS)


def test_no_test_of_threats_is_without_a_threat_that_it_shows() -> None:
    named = {named.partition("::")[0] for threat in THREATS for named in threat.tests}
    files = {f"security/{path.name}" for path in (TREE / "tests" / "security").glob("test_*.py")}
    assert files <= named


def test_what_the_document_names_is_there() -> None:
    text = (TREE / "SECURITY.md").read_text("utf-8")
    named = set(re.findall(r"`((?:tests|etc|doc|bin)/[\w./-]+)`", text))
    named |= set(re.findall(r"\]\((\w[\w/.-]*)", text))
    assert len(named) > 12
    assert sorted(name for name in named if not (TREE / name.rstrip("/")).exists()) == []
