"""The documents say what the program does: drawings, messages, settings, files and links are compared with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lonc.cli import drawings, renewing
from lonc.config import SETTINGS
from lonc.errors import ExitCode
from lonc.peers import State
from lonc.wire.dialogue import DIALOGUE
from tests.unit.messages import fixed_texts

TREE = Path(__file__).resolve().parents[2]
DOC = TREE / "doc"
WRITTEN = [TREE / "README.md", TREE / "CHANGELOG.md", *sorted(DOC.glob("*.md")), TREE / "etc" / "README.md"]
# What is told to others than the reader of the log: the starting command's own words, tools of developers.
NOT_TOLD = ("lonc/cli/demo/", "lonc/cli/drawings.py")


@pytest.mark.parametrize("path", sorted(DOC.glob("*.md")), ids=lambda path: path.name)
def test_drawings_are_those_of_the_tables(path: Path) -> None:
    text = path.read_text("utf-8")
    assert drawings.renewed(text) == text, f"out of date; {drawings.REFRESH}"


def test_every_drawing_has_its_place() -> None:
    placed = [name for path in DOC.glob("*.md") for name in drawings.drawings_in(path.read_text("utf-8"))]
    assert sorted(placed) == sorted(drawings.DRAWINGS)


def test_a_stale_drawing_is_found_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = "before\n<!-- drawing: link -->\nold\n<!-- end of drawing -->\nbehind\n"
    (tmp_path / "some.md").write_text(stale)
    monkeypatch.setattr(renewing, "DOCUMENTS", tmp_path)
    assert drawings.main([]) == 1
    assert drawings.REFRESH in capsys.readouterr().out
    assert drawings.main(["--write"]) == 0
    assert drawings.main([]) == 0
    text = (tmp_path / "some.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nbehind\n")
    assert "DOWN --> CONNECTING: DIAL" in text


def _said() -> set[str]:
    """Return every fixed text of the program that an administrator may read."""
    found = set()
    for path in sorted((TREE / "lonc").rglob("*.py")):
        if not str(path.relative_to(TREE)).startswith(NOT_TOLD):
            found |= {text for _line, text in fixed_texts(path)}
    return found


def _tables() -> str:
    """Return operations.md as one line of plain words."""
    return " ".join((DOC / "operations.md").read_text("utf-8").split())


def test_every_message_stands_in_the_table() -> None:
    said, table = _said(), _tables()
    assert len(said) > 100, "the texts were not found in the source"
    for known in ("Attempting to start child for server", "Couldn't connect to", "Init reply", "online"):
        assert known in said
    assert sorted(text for text in said if text not in table) == []


def test_a_message_that_is_in_no_table_is_found(tmp_path: Path) -> None:
    source = tmp_path / "x.py"
    source.write_text(
        "def f(self, n):\n    why = f'the {n} moons are out' if n else 'no light'\n"
        "    self._log.write(f'Cannot see: {why}')\n"
    )
    texts = [text for _line, text in fixed_texts(source)]
    assert sorted(texts) == ["Cannot see", "moons are out", "no light"]
    assert not [text for text in texts if text in _tables()]


def test_every_setting_that_a_document_names_exists() -> None:
    known = {setting.name for setting in SETTINGS} | {"lonLoadLim", "lonUserLoadLim", "lonExpire"}
    for path in WRITTEN:
        named = set(re.findall(r"\b(?:lon|lonc|lond)[A-Z]\w+", path.read_text("utf-8")))
        assert named - known == set(), path.name


def test_deviations_are_numbered_without_a_gap() -> None:
    numbers = re.findall(r"^\*\*D(\d+)\.", (DOC / "DEVIATIONS.md").read_text("utf-8"), re.MULTILINE)
    assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
    assert len(numbers) > 40


def test_references_to_deviations_exist() -> None:
    last = (DOC / "DEVIATIONS.md").read_text("utf-8").count("\n**D")
    for path in [*WRITTEN, *(TREE / "lonc").rglob("*.py")]:
        for number in re.findall(r"DEVIATIONS(?:\.md)?, D(\d+)", path.read_text("utf-8")):
            assert 1 <= int(number) <= last, path.name


def test_the_status_words_are_explained() -> None:
    text = (DOC / "operations.md").read_text("utf-8")
    words = [word for row in DIALOGUE for word in (row.sending, row.waiting)]
    assert [word for word in words if f"`{word}`" not in text] == []
    peers = [state.value for state in State if state is not State.WANTED]
    assert [word for word in peers if word not in text] == []


def test_the_exit_code_of_an_abnormal_end_is_the_one_named() -> None:
    assert f"exit code {int(ExitCode.CRASHED)}" in (DOC / "operations.md").read_text("utf-8")


@pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.name)
def test_links_inside_the_documents_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, place = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), target
        if place:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert place in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    """Return the anchor that a heading has on the usual pages."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_names_what_is_there() -> None:
    text = (TREE / "README.md").read_text("utf-8")
    named = set(re.findall(r"(?<![\w/])(?:bin|etc|doc|tests)/[\w./-]*\w", text))
    assert {"bin/demo", "bin/test", "doc/operations.md", "etc/sample/loncapa.conf"} <= named
    assert "/opt/lonc/etc/lonDaemons-lonc " in text
    assert [name for name in sorted(named) if not (TREE / name).exists()] == []
