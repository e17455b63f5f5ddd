"""The frame of loncctl: words to verbs, exit codes, one JSON document or none, text that harms no terminal."""

from __future__ import annotations

import importlib.machinery
import io
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

from lonc.cli.ctl import main as frame
from lonc.cli.ctl import verbs
from lonc.cli.ctl.output import Column, Output
from lonc.cli.ctl.verbs import Exit
from lonc.errors import LoncError
from tests.unit.ctl_ground import Ground

TREE = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def made(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    """Have a verb `fake` that does this."""
    module = types.ModuleType("fake")
    module.__doc__ = "Do something.\n\nMore."
    module.arguments = lambda parser: None  # type: ignore[attr-defined]  # a module has any
    module.run = run  # type: ignore[attr-defined]  # as above
    module.__spec__ = importlib.machinery.ModuleSpec("fake", None)
    monkeypatch.setitem(sys.modules, "fake", module)
    monkeypatch.setitem(verbs.VERBS, "fake", "fake")


# --- words ------------------------------------------------------------------------------------------------


def test_help_names_every_verb_that_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert verbs.names()
    for name in verbs.names():
        assert f"\n    {name}" in shown
    assert "loncctl status" in shown


@pytest.mark.parametrize("name", verbs.names())
def test_the_help_of_each_verb_tells_its_exit_codes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "--conf-dir" in shown
    assert "exit code" in shown


@pytest.mark.parametrize("words", [[], ["nonsense"], ["--nonsense"], ["status", "--nonsense"]])
def test_a_wrong_use_is_told_on_stderr(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert frame.main(words) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "usage: loncctl" in shown.err


def test_common_options_stand_before_or_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground = Ground(tmp_path)
    place = str(ground.conf_dir)
    for words in (
        ["--conf-dir", place, "--json", "status"],
        ["status", "--json", "--conf-dir", place],
        [f"--conf-dir={place}", "status", "--json"],
    ):
        assert frame.main(words) == Exit.NOT_RUNNING
        assert json.loads(capsys.readouterr().out)["own_id"] == "own1"


def test_a_configuration_that_cannot_be_used_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.main(["status", "--conf-dir", str(tmp_path), "--json"]) == Exit.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("loncctl: ")


def test_only_the_wanted_verb_is_imported(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    code = (
        "import sys; from lonc.cli.ctl.main import main;"
        f" main(['status', '--conf-dir', {str(ground.conf_dir)!r}]);"
        " print([name for name in sys.modules if name.startswith(('rich', 'prometheus', 'shtab', 'lonc.child'))],"
        " file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TREE, check=True)
    assert done.stderr == "[]\n"


def test_the_program_starts_from_anywhere(tmp_path: Path) -> None:
    link = tmp_path / "loncctl"
    link.symlink_to(TREE / "bin" / "loncctl")
    done = subprocess.run([str(link), "--version"], capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0
    assert done.stdout.startswith("loncctl ")


# --- ends -------------------------------------------------------------------------------------------------


def test_the_exit_code_is_that_of_the_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    made(monkeypatch, lambda options, out: 7)
    monkeypatch.setattr(verbs, "names", lambda: ["fake"])
    assert frame.main(["fake"]) == 7


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LoncError("it cannot be"), Exit.FAILED),
        (KeyboardInterrupt(), frame.INTERRUPTED),
        (ImportError("x"), Exit.FAILED),
    ],
)
def test_errors_of_a_verb_are_told(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(_options: object, _out: Output) -> int:
        raise error

    made(monkeypatch, run)
    monkeypatch.setattr(verbs, "names", lambda: ["fake"])
    assert frame.main(["fake"]) == code
    assert capsys.readouterr().out == ""


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    ground = Ground(tmp_path, [f"msul{n}" for n in range(3000)])
    command = f"{sys.executable} {TREE}/bin/loncctl status --conf-dir {ground.conf_dir} | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.startswith("lonc of own1")


# --- what is shown ------------------------------------------------------------------------------------------


def test_text_from_outside_cannot_act_on_a_terminal() -> None:
    for stream in (io.StringIO(), Terminal()):
        out = Output(stream=stream)
        out.say("a\x1b]0;evil\x07b\u202e", style="")
        out.table(["x"], [["\x1b[2J\r"]])
        assert "\x1b]0;" not in stream.getvalue()
        assert "\x1b[2J" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()
        assert "a\\x1b]0;evil\\x07b\\u202e" in stream.getvalue()


def test_markup_of_rich_means_nothing_in_text_from_outside() -> None:
    stream = Terminal()
    Output(stream=stream).table(["x"], [["[red]a[/red]"]])
    assert "[red]a[/red]" in stream.getvalue()


def test_a_table_is_aligned() -> None:
    stream = io.StringIO()
    Output(stream=stream).table(["peer", Column("n", right=True)], [["msul1", "7"], ["a", "123"]])
    assert stream.getvalue() == "peer     n\nmsul1    7\na      123\n"


def test_with_json_nothing_else_is_on_stdout() -> None:
    stream, errors = io.StringIO(), io.StringIO()
    out = Output(as_json=True, stream=stream, errors=errors)
    out.say("x")
    out.table(["x"], [["y"]])
    out.json({"a": "\x1b\u202e"})
    out.complain("trouble\nmore")
    assert json.loads(stream.getvalue()) == {"a": "\x1b\u202e"}
    assert stream.getvalue().isascii()
    assert errors.getvalue() == "loncctl: trouble\nloncctl: more\n"
    assert out.ask("sure?") is False


def test_a_stream_without_utf_8_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Output(stream=stream).say("Zürich")
    stream.flush()
    assert raw.getvalue() == b"Z\\xfcrich\n"


def test_the_table_of_verbs_names_modules_of_this_room() -> None:
    assert all(module.startswith("lonc.cli.ctl.") for module in verbs.VERBS.values())
    assert {"status", "explain"} <= set(verbs.names())
    assert verbs.summary_of(verbs.verb("explain")).startswith("Explain a message")
