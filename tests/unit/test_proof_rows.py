"""The table of the fault matrix: it is whole, and the tests that it names exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.proof.rows import ROWS, Row

TREE = Path(__file__).resolve().parents[2]


def functions_of(path: Path) -> set[str]:
    """Return the names of the test functions of a file."""
    nodes = ast.parse(path.read_text("utf-8"), str(path)).body
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def needs_root(row: Row) -> bool:
    return "root" in row.needs


def test_every_row_is_there_once_and_in_order() -> None:
    assert [row.number for row in ROWS] == list(range(1, 25))
    assert all(row.fault and row.tests and row.seconds > 0 for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.number))
def test_every_named_test_exists(row: Row) -> None:
    for name in row.tests:
        place, _, function = name.partition("::")
        found = functions_of(TREE / place)
        assert found, f"{place} has no tests"
        assert not function or function in found, f"no {function} in {place}"
    assert len(set(row.tests)) == len(row.tests)


def test_most_rows_need_no_privileges() -> None:
    assert sum(not needs_root(row) for row in ROWS) >= 18


@pytest.mark.parametrize("row", [row for row in ROWS if row.sizes], ids=lambda row: str(row.number))
def test_every_size_is_one_that_a_test_of_the_row_reads(row: Row) -> None:
    files = {name.partition("::")[0] for name in row.tests}
    files.add("tests/fault/stracing.py")  # LONC_TEST_STRACE is read there
    text = "".join((TREE / place).read_text("utf-8") for place in files)
    known = set(re.findall(r"LONC_TEST_\w+", text))
    assert set(row.sizes) <= known
