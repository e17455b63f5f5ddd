"""`explain`: every id, every word, lines of the log with the reason in them; and what it does not repeat."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from lonc.catalogue import messages, words
from lonc.cli.ctl.explain import answers
from lonc.cli.ctl.main import main

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "doc" / "schema" / "explain.json").read_text("utf-8"))
LINE = (
    "Sat Nov 21 03:27:08 2026 (31080) [elm1] [Sat Nov 21 03:27:08 2026: Trying to connect]: "
    '<font color="blue">WARNING: Init failed (5 secs): Init reply: >refused<</font>'
)


@pytest.mark.parametrize("name", messages())
def test_every_id_is_explained(name: str) -> None:
    for asked in (name, name.lower(), name.removeprefix("LONC-")):
        (found,) = answers(asked)
        assert found.name == name
        assert found.cause
        assert found.remedy


def test_every_word_is_explained() -> None:
    for word in words():
        for name in (word.word, *word.also, word.word.upper(), f" {word.word} "):
            assert any(found.name == word.word and found.cause == word.cause for found in answers(name)), name


def test_a_line_of_the_log_is_explained_with_its_reason() -> None:
    assert [found.name for found in answers(LINE)] == ["LONC-210", "LONC-211"]


def test_an_id_at_the_end_of_a_line_counts() -> None:
    line = "Sat Nov 21 03:27:08 2026 (1) [elm1] [Sat Nov 21 03:27:08 2026: x]: of another release (LONC-207)"
    assert [found.name for found in answers(line)] == ["LONC-207"]


def test_a_part_of_a_message_is_guessed() -> None:
    assert "LONC-209" in [found.name for found in answers("couldn't connect")]
    assert answers("a") == [] or all(found.kind != "message" for found in answers("a"))


def test_json_fits_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    for asked, code in (([LINE], 0), (["given", "up"], 0), (["xyzzy"], 1), ([], 0)):
        assert main(["explain", *asked, "--json"]) == code
        found = json.loads(capsys.readouterr().out)
        jsonschema.Draft202012Validator(SCHEMA).validate(found)
        assert bool(found["found"]) == (code == 0)


def test_what_is_asked_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "put:msu:smith:geheim"]) == 1
    shown = capsys.readouterr()
    assert "geheim" not in shown.out + shown.err
    assert "nothing is known of that" in shown.err


def test_people_get_cause_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "LONC-115"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("LONC-115: `Skipped P`\n  counts as: WARNING\n  means: ")
    assert "\n  do:    " in shown


def test_the_list_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in messages())
    assert all(word.word in shown for word in words())
