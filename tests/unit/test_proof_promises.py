"""The table of promises is whole, and every removal in it still fits the tree."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from tests.proof import removal
from tests.proof.promises import PROMISES, Promise, Removal

TREE = Path(__file__).resolve().parents[2]
REMOVALS = [(f"{promise.name}.{n}", one) for promise in PROMISES for n, one in enumerate(promise.removals, 1)]


@functools.cache
def source(path: str) -> str:
    return (TREE / path).read_text("utf-8")


@functools.cache
def functions_of(path: str) -> frozenset[str]:
    module = ast.parse(source(path), path)
    return frozenset(node.name for node in module.body if isinstance(node, ast.FunctionDef))


def absent(tests: tuple[str, ...]) -> list[str]:
    """Return those of the named tests that are not there; a file alone means all of it."""
    found = []
    for test in tests:
        path, _, name = test.partition("::")
        there = (TREE / path).is_file() and (not name or name.partition("[")[0] in functions_of(path))
        found += [] if there else [test]
    return found


def test_every_promise_stands_there_once_and_has_a_removal() -> None:
    names = [promise.name for promise in PROMISES]
    assert [name for name in names if name.startswith("P")] == [f"P{number}" for number in range(1, 32)]
    assert len(set(names)) == len(names)
    for promise in PROMISES:
        assert promise.sentence.endswith(".")
        assert promise.tests
        assert promise.removals


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
def test_the_tests_of_a_promise_are_there(promise: Promise) -> None:
    assert absent(promise.tests) == []


@pytest.mark.parametrize(("name", "one"), REMOVALS, ids=[name for name, _ in REMOVALS])
def test_a_removal_fits_the_tree(name: str, one: Removal) -> None:
    assert one.what.endswith("."), name
    assert one.tests
    assert absent(one.tests) == []
    edited: dict[str, str] = {}
    for path, before, after in one.edits:
        text = edited.get(path) or source(path)
        assert text.count(before) == 1, f"{path}: {before!r} occurs {text.count(before)} times"
        edited[path] = text.replace(before, after)
    for path, text in edited.items():
        assert text != source(path)
        compile(text, path, "exec")


def test_a_removal_is_named_by_its_promise_or_its_number() -> None:
    assert [name for name, _, _ in removal.chosen([])] == [name for name, _ in REMOVALS]
    assert [name for name, _, _ in removal.chosen(["P6"])] == ["P6.1"]
    assert [name for name, _, _ in removal.chosen(["P1.2", "P6"])] == ["P1.2", "P6.1"]
    with pytest.raises(ValueError, match="P99 is no promise"):
        list(removal.chosen(["P99"]))


def test_an_edit_that_does_not_fit_and_one_that_is_no_python_are_broken(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("a = 1\nb = 1\n")
    for before, after, said in (("= 2", "", "0 times"), ("= 1", "", "2 times"), ("a =", "a = =", "no Python")):
        (tmp_path / "one.py").write_text("a = 1\nb = 1\n")
        with pytest.raises(removal.BrokenError, match=said):
            removal.take_away(tmp_path, Removal("x.", (("one.py", before, after),), ()))
    (tmp_path / "one.py").write_text("a = 1\nb = 1\n")
    removal.take_away(tmp_path, Removal("x.", (("one.py", "a = 1", "a = 2"), ("one.py", "b = 1", "b = 3")), ()))
    assert (tmp_path / "one.py").read_text() == "a = 2\nb = 3\n"
