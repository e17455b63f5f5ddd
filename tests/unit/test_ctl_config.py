"""Where each setting comes from, and that no password of a store's address is ever shown."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from lonc.cli.ctl import config, main
from lonc.cli.ctl.output import Output
from lonc.config import SETTINGS, load_config, load_with_origins, masked
from lonc.errors import ConfigError

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "doc" / "schema" / "config.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("sqlite", "sqlite"),
        ("postgresql://u:secret@db.msu.edu:5432/lond", "postgresql://u:***@db.msu.edu:5432/lond"),
        ("postgresql://u@[::1]:5432/lond", "postgresql://u@[::1]:5432/lond"),
        ("postgres:///lond?host=/run&password=secret&sslmode=require",
         "postgres:///lond?host=/run&password=***&sslmode=require"),
        ("postgresql://a:1,b:2/lond", "postgresql://a:1,b:2/lond"),
        ("postgresql://u:se@cret@db/lond", "postgresql://***"),
        ("postgresql://u:se/cret@db/lond", "postgresql://***"),
        ("postgresql://u:se?cret@db/lond", "postgresql://***"),
        ("postgresql://u:secret", "postgresql://***"),
        ("mysql://u:secret@db/lond", "mysql://u:***@db/lond"),
        ("postgresql:u:secret@db", "postgresql:***"),
        ("u:secret@db", "u:***"),
        ("password=secret", "***"),
    ],
)  # fmt: skip
def test_the_address_of_a_store_is_shown_without_its_password(word: str, shown: str) -> None:
    assert masked(word) == shown


@settings(deadline=None)
@given(some.text(some.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_no_password_survives_whatever_its_characters(tail: str) -> None:
    secret = "s3cr3t" + tail
    for word in (f"postgresql://u:{secret}@db/lond", f"postgres://db/lond?password={secret}", f"x:u:{secret}@db"):
        assert "s3cr3t" not in masked(word)


@pytest.mark.parametrize(
    "line",
    [
        "londStore mysql://u:s3cr3t@db/lond",
        "londStore u:s3cr3t@db",
        "londStor postgresql://u:s3cr3t@db/lond",
        "londstore postgresql://u:s3@cr3t@db/lond",
    ],
)
def test_an_error_about_the_store_does_not_quote_its_password(tmp_path: Path, line: str) -> None:
    (tmp_path / "loncapa.conf").write_text(f"PerlSetVar lonHostID own1\nPerlSetVar {line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path))
    assert ":2: " in str(caught.value)
    assert "s3" not in str(caught.value)
    assert "cr3t" not in str(caught.value)


def test_the_line_that_counts_and_those_it_wins_over_are_known(tmp_path: Path) -> None:
    first, second = tmp_path / "loncapa_apache.conf", tmp_path / "loncapa.conf"
    first.write_text("PerlSetVar lonHostID own1\nPerlSetVar londPort 1\nPerlSetVar londPort 2\n")
    second.write_text("# mine\nPerlSetVar londPort 3\n")
    loaded, given_by_name = load_with_origins(str(tmp_path))
    assert loaded.port == 3
    at = given_by_name["londPort"]
    assert (at.value, at.path, at.line) == (3, str(second), 2)
    assert at.earlier == ((str(first), 2), (str(first), 3))
    assert "loncGrace" not in given_by_name


# --- the verb -------------------------------------------------------------------------------------------


def shown(place: Path, text: str, *words: str) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of `loncctl config` over a loncapa.conf of this text."""
    (place / "loncapa.conf").write_text(text)
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main.main(["--conf-dir", str(place), "config", *words])
    return code, out.getvalue(), errors.getvalue()


OWN = "PerlSetVar lonHostID own1\n"


def test_every_setting_is_shown_once(tmp_path: Path) -> None:
    code, out, _ = shown(tmp_path, OWN, "--json")
    document = json.loads(out)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert code == 0
    assert [one["name"] for one in document["settings"]] == [setting.name for setting in SETTINGS]
    by_name = {one["name"]: one for one in document["settings"]}
    assert by_name["lonHostID"]["origin"] == {"file": str(tmp_path / "loncapa.conf"), "line": 1}
    assert by_name["lonHostID"]["default"] is None
    assert by_name["loncGrace"] == {
        "name": "loncGrace", "value": 2, "unit": "s", "default": 2, "allowed": "a number of seconds from 0 to 60",
        "meaning": "how long requests wait for a lost link", "changed": False, "origin": None, "wins_over": [],
    }  # fmt: skip
    assert [name for name, one in by_name.items() if one["changed"]] == ["lonHostID"]


def test_the_origin_and_the_lines_that_lost(tmp_path: Path) -> None:
    text = OWN + "PerlSetVar loncGrace 1\nPerlSetVar loncGrace 3\n"
    code, out, _ = shown(tmp_path, text, "--origin", "--changed", "loncGrace", "loncPong")
    assert code == 0
    path = tmp_path / "loncapa.conf"
    lines = out.splitlines()
    assert len(lines) == 2
    assert lines[0].split() == ["setting", "value", "unit", "default", "range", "from", "meaning"]
    assert lines[1].split()[:4] == ["loncGrace", "3", "s", "2"]
    assert "0 to 60" in lines[1]
    assert f"{path}:3 (wins over {path}:2)" in lines[1]


def test_a_setting_given_as_its_default_is_not_changed(tmp_path: Path) -> None:
    code, out, _ = shown(tmp_path, OWN + "PerlSetVar loncGrace 2\n", "--changed", "--json", "loncGrace")
    assert (code, json.loads(out)["settings"]) == (0, [])


@settings(deadline=None, max_examples=30)
@given(some.text(some.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20))
def test_the_verb_never_shows_a_password(tmp_path_factory: pytest.TempPathFactory, tail: str) -> None:
    place = tmp_path_factory.mktemp("conf")
    text = OWN + f"PerlSetVar londStore postgresql://u:s3cr3t{tail}@db/lond?password=s3cr3t{tail}\n"
    for words in ((), ("--json",), ("--origin", "--changed")):
        _code, out, errors = shown(place, text, *words)
        assert "londStore" in out
        assert "s3cr3t" not in out + errors


def test_usage_and_a_broken_configuration(tmp_path: Path) -> None:
    code, out, errors = shown(tmp_path, OWN, "loncNothing")
    assert (code, out) == (2, "")
    assert "loncNothing" in errors
    code, out, errors = shown(tmp_path, "PerlSetVar londPort 0\n")
    assert (code, out) == (2, "")
    assert "londPort is '0'" in errors
    assert "lonHostID is not set" in errors


def test_warnings_stand_below_the_table(tmp_path: Path) -> None:
    code, out, _ = shown(tmp_path, OWN + "PerlSetVar loncSpreadAfter 30\n", "--changed")
    assert code == 0
    assert "warning: " in out.splitlines()[-1]
    assert "has no effect" in out.splitlines()[-1]


class Terminal(io.StringIO):
    """A stream that somebody reads on a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_narrow_terminal_gets_lines_in_place_of_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "loncapa.conf").write_text(OWN + "PerlSetVar loncGrace 3\n")
    out = Terminal()
    options = argparse.Namespace(conf_dir=str(tmp_path), names=["loncGrace"], origin=True, changed=False)
    assert config.run(options, Output(stream=out)) == 0
    lines = ["loncGrace = 3 s", "(default 2, 0 to 60)", "loncapa.conf:2"]
    told = out.getvalue().splitlines()
    assert len(told) == 3
    assert all(expected in line for expected, line in zip(lines, told, strict=True)), told
