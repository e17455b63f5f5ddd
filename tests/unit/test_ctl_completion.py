"""loncctl completion prints what the committed files hold."""

from __future__ import annotations

import json

import jsonschema
import pytest

from lonc.cli import manual, renewing
from lonc.cli.ctl import main

SCHEMA = json.loads((renewing.TREE / "doc" / "schema" / "completion.json").read_text("utf-8"))


@pytest.mark.parametrize("command", ["loncctl", "lonc", "lond"])
def test_the_script_is_printed_as_it_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", command]) == 0
    script = capsys.readouterr().out
    assert manual.words_of(script) == manual.words_of((manual.COMPLETIONS / command).read_text("utf-8"))
    assert main.main(["completion", command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert (document["command"], document["script"]) == (command, script)


def test_without_a_command_it_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion"]) == 0
    assert "_shtab_loncctl_status_option_strings=" in capsys.readouterr().out
    assert main.main(["completion", "vi"]) == 2
