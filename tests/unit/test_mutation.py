"""The mutation tooling: which changes are made, how they are judged, and what the report says of them."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lonc.peers import TABLE
from lonc.wire.server import SERVER_TRANSITIONS
from lonc.wire.states import TRANSITIONS
from tests.mutation import functions, warm
from tests.mutation.ground import configuration, prepare
from tests.mutation.operators import changes
from tests.mutation.parts import PARTS, TREE, Part
from tests.mutation.report import NO_REASON, Reason, page, reasons
from tests.mutation.results import Mutant, Sum, difference, total, verdict

# --- which changes are made -----------------------------------------------------------------------------


def made(source: str) -> set[tuple[str, str]]:
    """Return the pairs of lines, old and new, of all changes of a source."""
    return {difference(source, change.text) for change in changes(source)}


@pytest.mark.parametrize(
    ("line", "others"),
    [
        ("LIMIT = 5", {"LIMIT = 6"}),
        ("RATE: float = 0.5", {"RATE: float = 1.5"}),
        ("WORD = b'ok'", {"WORD = b'XXokXX'"}),
        ("WORD = 'ok'", {"WORD = 'XXokXX'"}),
        ("FLAG = True", {"FLAG = False"}),
        ("TOP = 1 << 2", {"TOP = (1 >> 2)", "TOP = 2 << 2", "TOP = 1 << 3"}),
        ("LEAST = -x", {"LEAST = (x)"}),
        ("ON = a < b", {"ON = (a <= b)"}),
        ("ON = a and b", {"ON = (a or b)"}),
        ("ON = not a", {"ON = (a)"}),
        ("ON = a if b else c", {"ON = (c if b else a)"}),
        ("PAIR = (a, b)", {"PAIR = (b,)", "PAIR = (a,)"}),
        ("SOME = {a, b}", {"SOME = {b}", "SOME = {a}"}),
        ("MAP = {a: b, c: d}", {"MAP = {c: d}", "MAP = {a: b}"}),
        ("ONE, TWO = S.UP, S.DOWN", {
            "ONE, TWO = S.DOWN, S.DOWN", "ONE, TWO = S.UP, S.UP", "ONE, TWO = (S.DOWN,)", "ONE, TWO = (S.UP,)",
        }),
        ("NOTHING = None", set()),
        ("Line = bytes | list[bytes]", set()),
        ("__all__ = ['a', 'b']", set()),
        ("import os", set()),
        ("'''A docstring.'''", set()),
        ("TEXT = f'{a} b'", set()),
    ],
)  # fmt: skip
def test_what_stands_outside_of_functions_is_changed(line: str, others: set[str]) -> None:
    assert made(line + "\n") == {(line, other) for other in others}


CLASS = '''
class Box:
    """A box."""

    __slots__ = ("size",)
    size: int = 0

    @property
    def full(self) -> bool:
        """Whether it is."""
        return self.size > 3

    def fill(self, count: int = 1) -> None:
        """Not changed but for what can be taken out."""
        more = count + 1
        if more > 2:
            self.size += more
            return
        raise ValueError(f"{count + 1}")
'''


def test_classes_properties_and_statements() -> None:
    assert made(CLASS) == {
        ("size: int = 0", "size: int = 1"),
        ("return self.size > 3", "return None"),
        ("return self.size > 3", "return (self.size >= 3)"),
        ("return self.size > 3", "return self.size > 4"),
        ("return self.size > 3", "pass"),
        ("self.size += more", "pass"),
        ("return", "pass"),
        ('raise ValueError(f"{count + 1}")', "pass"),
    }
    assert {change.function for change in changes(CLASS)} == {"Box", "Box.full", "Box.fill"}


def test_a_change_keeps_its_key_while_only_the_rest_of_the_file_changes() -> None:
    rest = "A = 5\nB = (A, A)\n"
    before, after = ([change.key for change in changes(head + rest)] for head in ("", "C = None\n"))
    assert before == after
    assert len(set(before)) == len(before)


@pytest.mark.parametrize("part", PARTS.values(), ids=list(PARTS))
def test_every_change_of_the_real_sources_is_a_program_and_another_one(part: Part) -> None:
    files = part.source_files()
    assert files
    assert part.test_files()
    first = (TREE / files[-1]).read_text("utf-8")
    for number, change in enumerate(changes(first)):
        assert change.text != first
        if number % 5 == 0:
            compile(change.text, files[-1], "exec")


def entries(statement: str) -> int:
    """Return how many entries the dictionary has that a statement assigns."""
    value = getattr(ast.parse(statement).body[0], "value", None)
    return len(value.keys) if isinstance(value, ast.Dict) else 0


def test_every_cell_of_the_transition_tables_is_exchanged_and_left_out() -> None:
    """Each next state of a table becomes another one, and each entry is missing once."""
    for file, name, cells in (
        ("lonc/wire/states.py", "TRANSITIONS", len(TRANSITIONS)),
        ("lonc/wire/server.py", "SERVER_TRANSITIONS", len(SERVER_TRANSITIONS)),
        ("lonc/peers/table.py", "TABLE", len(TABLE)),
    ):
        every = changes((TREE / file).read_text("utf-8"))
        found = [change for change in every if change.before.startswith(name)]
        assert {change.inside for change in found} == {f"={name}"}
        assert sum(entries(change.after) == cells - 1 for change in found) == cells
        assert len(found) >= 4 * cells  # both halves of a key, the next state, the entry


# --- how they are judged --------------------------------------------------------------------------------


BOX = """
LIMIT = 5
NAMES: dict[int, str] = {1: "one", 2: "two"}


class Box:
    def __init__(self):
        self.count = 0

    @property
    def full(self):
        return self.count >= LIMIT

    def put(self):
        self.count += 1
"""
TEST_BOX = """
from box import LIMIT, NAMES, Box


def test_box():
    assert LIMIT == 5
    assert NAMES == {2: "two", 1: "one"}
    box = Box()
    for _ in range(5):
        assert not box.full
        box.put()
    assert box.full
"""


# Name, the function or table that is changed, the changed text, what is to be said of it.
BOXES = [
    ("same", "", BOX, "survived"),
    ("other", "", BOX.replace("5", "6"), "killed"),
    ("broken", "", BOX + "}", "killed"),
    ("endless", "", BOX + "while True: pass\n", "timed out"),
    ("property", "Box.full", BOX.replace(">=", ">"), "killed"),
    ("same property", "Box.full", BOX, "survived"),
    ("statement", "Box.put", BOX.replace("self.count += 1", "pass"), "killed"),
    ("harmless", "Box.put", BOX.replace("self.count += 1", "self.count = self.count + 1"), "survived"),
    ("table", "=NAMES", BOX.replace("two", "TWO"), "killed"),
    ("same table", "=NAMES", BOX.replace('1: "one", 2: "two"', '2: "two", 1: "one"'), "survived"),
    ("no such function", "Box.take", BOX, "broken"),
]


def test_a_change_is_judged_by_the_tests_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "box.py").write_text(BOX)
    (tmp_path / "test_box.py").write_text(TEST_BOX)
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass\n")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:timeout"]
    groups = [["test_nothing.py"], ["test_box.py"]]
    lines = [
        json.dumps([key, "box", str(tmp_path / "box.py"), text, place, options, groups])
        for key, place, text, _verdict in BOXES
    ]
    done = subprocess.run(
        [sys.executable, warm.__file__, "4", "50", "1"],
        cwd=tmp_path, env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}, input="\n".join(lines),
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    codes = dict(map(json.loads, done.stdout.splitlines()))
    told = {key: "broken" if code == warm.BROKEN else verdict(code) for key, code in codes.items()}
    assert told == {key: expected for key, _place, _text, expected in BOXES}


def test_the_copy_of_the_tree_tells_whether_a_test_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mutation.parts.BUILD", tmp_path / "build")
    tree = tmp_path / "tree"
    for name in ("lonc/wire/box.py", "tests/unit/test_words.py", "tests/conftest.py"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("A = 1\n")
    part = PARTS["wire"]
    assert prepare(part, tree)
    assert not prepare(part, tree)
    (tree / "tests/unit/test_words.py").write_text("A = 2\n")
    assert prepare(part, tree)
    (tree / "tests/unit/test_words.py").unlink()
    assert prepare(part, tree)
    assert not (part.ground / "tests/unit/test_words.py").exists()
    assert "hypothesis" in (part.ground / "tests/conftest.py").read_text()
    assert 'only_mutate = ["lonc/wire/box.py"]' in configuration(part, tree)


def test_the_results_of_mutmut_are_read_and_survivors_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.mutation.parts.BUILD", tmp_path)
    part = Part("wire", ("lonc/wire/words.py",), ())
    (part.ground / "lonc/wire").mkdir(parents=True)
    (part.ground / "lonc/wire/words.py").touch()
    place = part.ground / "mutants/lonc/wire/words.py"
    place.parent.mkdir(parents=True)
    name = "x\u01c1Box\u01c1fill__mutmut_"
    place.write_text(f"    def {name}orig(self):\n        return 1\n    def {name}1(self):\n        return 2\n")
    spans = {f"{name}orig": [1, 2], f"{name}1": [3, 4]}
    (place.parent / "words.py.spans").write_text(json.dumps({"spans": spans}))
    meta = place.parent / "words.py.meta"
    meta.write_text(json.dumps({"exit_code_by_key": {f"lonc.wire.words.{name}1": 0}, "else": 1}))
    assert functions.found(part) == [Mutant("lonc/wire/words.py", "Box.fill", "return 1", "return 2", "survived")]
    functions._try_survivors_again(meta)
    assert functions.found(part)[0].verdict == "not tried"
    assert json.loads(meta.read_text())["else"] == 1
    assert functions.plain_name("x_whole__mutmut_3") == "whole"


# --- what is said of them -------------------------------------------------------------------------------


def test_verdicts_and_sums() -> None:
    codes = [None, 0, 33, 1, 3, -9, -24, 36]
    words = ["not tried", "survived", "survived", "killed", "killed", "timed out", "timed out", "timed out"]
    assert [verdict(code) for code in codes] == words
    numbers = total(Mutant("a", "b", "c", "d", word) for word in words)
    assert numbers == Sum(8, killed=2, timed_out=3, survived=2, not_tried=1)
    assert round(numbers.percent, 1) == 71.4
    assert total([]).percent == 0.0


def test_the_page_holds_each_survivor_with_its_reason(tmp_path: Path) -> None:
    place = tmp_path / "reasons.toml"
    place.write_text(
        '[[reason]]\nfile = "lonc/*.py"\nfunction = "f*"\nbefore = "x"\nwhy = "The same."\n'
        '[[reason]]\nafter = "never"\nwhy = "Old."\n'
    )
    known = reasons(place)
    mutants = [
        Mutant("lonc/a.py", "fill", "x = 1", "x = 2", "survived"),
        Mutant("lonc/a.py", "", "`y`", "", "survived"),
        Mutant("lonc/a.py", "fill", "x = 1", "x = 3", "killed"),
    ]
    text, wrong = page({"wire": mutants}, known)
    assert "| wire | 3 | 1 | 0 | 2 | 33.3 % |" in text
    assert "\nThe same.\n\n- lonc/a.py, fill: `x = 1` becomes `x = 2`\n" in text
    assert f"\n{NO_REASON}\n\n- lonc/a.py: without `` `y` ``\n" in text
    assert [line.partition(":")[0] for line in wrong] == ["lonc/a.py", "a reason fits nothing any more"]
    untried = Mutant("lonc/a.py", "", "a", "b", "not tried")
    assert "| wire | 4 (1 not tried yet) | 1 | 0 | 2 | 33.3 % |" in page({"wire": [*mutants, untried]}, [])[0]
    assert page({"wire": []}, [])[1] == ["wire: all mutants were not tried"]


def test_a_reason_without_a_function_fits_every_function_and_an_empty_one_the_outside() -> None:
    inside, outside = (Mutant("a", function, "b", "c", "survived") for function in ("f", ""))
    assert Reason("", None, "", "", "why").fits(inside)
    assert Reason("", None, "", "", "why").fits(outside)
    assert not Reason("", "", "", "", "why").fits(inside)
    assert Reason("", "", "", "", "why").fits(outside)
    assert not Reason("", None, "", "x", "why").fits(inside)
