"""The manual pages say what the programs take: no option, setting, signal or call without its line."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lonc.catalogue import messages
from lonc.cli import completion, daemon, manual, roff
from lonc.cli.ctl import main as ctl
from lonc.cli.ctl import verbs
from lonc.config.settings import SERVER, SETTINGS
from lonc.errors import ExitCode
from lonc.lond.cli import command_line
from lonc.lonnet.network import Network
from lonc.system import notify
from lonc.wire.dialogue import DIALOGUE, Talk
from lonc.wire.words import _FAILURES, CLOSE_EXIT, ENCRYPT

PAGES = sorted(manual.PAGES.iterdir())
COMPLETED = ("lonc", "lond", "loncctl")


def plain(page: str) -> str:
    """Return a page's text without the marks for fonts and with plain hyphens."""
    text = (manual.PAGES / page).read_text("utf-8")
    return re.sub(r"\\f[BIPR]", "", text).replace("\\-", "-")


def test_the_pages_are_these() -> None:
    expected = ["lonc-log.7", "lonc-wire.7", "lonc.8", "lonc.conf.5", "loncctl.8", "lond.8", "lonnet.3"]
    assert [page.name for page in PAGES] == expected


@pytest.mark.parametrize("page", ["lonc.8", "lond.8"])
def test_every_option_of_a_daemon_has_its_line_and_no_other(page: str) -> None:
    parser = daemon.command_line() if page == "lonc.8" else command_line()
    known = {option for action in parser._actions for option in action.option_strings}
    hidden = {"--resume"}
    told = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", plain(page)))
    assert told == known - hidden


def test_every_setting_of_lond_stands_there_with_its_default() -> None:
    text = plain("lond.8")
    told = dict(re.findall(r'\.BR (lond\w+) " \(([^ )]*)', text))
    assert told == {setting.name: setting.default_text() for setting in SERVER}


def test_every_setting_stands_in_the_page_of_the_configuration() -> None:
    text = plain("lonc.conf.5")
    told = dict(re.findall(r"^(lon\w+) \((.*)\)$", text, re.MULTILINE))
    assert list(told) == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        default = setting.default_text() or ("no default" if setting.default is None else "empty")
        assert told[setting.name].split(" ")[: len(default.split(" "))] == default.split(" "), setting.name
        assert setting.allowed().replace("`", "") in text, setting.name


def test_every_verb_of_the_tool_stands_there() -> None:
    text = plain("loncctl.8")
    assert re.findall(r'^\.SS "(\w+)"$', text, re.MULTILINE) == verbs.names()


def test_every_message_stands_in_the_page_of_the_log() -> None:
    told = re.findall(r"^(LONC-\d+)  ", plain("lonc-log.7"), re.MULTILINE)
    assert sorted(told) == sorted(messages())


def test_the_signals_and_the_exit_codes_are_those_of_the_program() -> None:
    text = plain("lonc.8")
    for name in ("TERM", "INT", "HUP", "USR1", "USR2", "QUIT"):
        assert re.search(rf"^\.BR? .*\b{name}\b", text, re.MULTILINE), name
    assert f"{int(ExitCode.CRASHED)}: a fault" in text
    assert [name for name in notify.NAMES if name not in text] == []


def test_the_dialogue_and_the_words_of_the_wire_stand_there() -> None:
    text = plain("lonc-wire.7")
    talk = Talk(b"H", b"P", b"RELEASE", challenge=b"the challenge")
    told = [
        line.split(" ", 1)[1].replace(" ", "") for line in re.findall(r"^\.(?:B|I|BI) .*$", text, re.MULTILINE)
    ]
    rows = [row.request(talk).decode().replace(" ", "") for row in DIALOGUE]
    places = [told.index(row) for row in rows]
    assert places == sorted(places)
    for word in (*_FAILURES, ENCRYPT, CLOSE_EXIT):
        assert word.decode() in text


def test_every_call_of_the_library_stands_there() -> None:
    calls = {name for name in vars(Network) if not name.startswith("_")} - {"close", "after_fork", "forget_home"}
    text = plain("lonnet.3")
    told = set(re.findall(r"^\.BI? (hosts$|\w+(?=\())", text, re.MULTILINE))
    assert told == calls


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_is_set_without_complaint(page: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed: apt-get install groff-base")
    command = ["groff", "-man", "-Tutf8", "-ww", "-z", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_made_from_tables_is_up_to_date() -> None:
    stale = [str(path) for path in manual.stale()]
    assert stale == [], f"out of date; {manual.REFRESH}"


def test_stale_files_are_found_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "man").mkdir()
    (tmp_path / "made").mkdir()
    page = tmp_path / "man" / "some.5"
    page.write_text('.SH A\n.\\" generated: settings\nold\n.\\" end of generated\n.SH B\n')
    monkeypatch.setattr(manual, "PAGES", tmp_path / "man")
    monkeypatch.setattr(manual, "COMPLETIONS", tmp_path / "made")
    assert manual.main([]) == 1
    assert manual.REFRESH in capsys.readouterr().out
    assert manual.main(["--write"]) == 0
    assert manual.main([]) == 0
    text = page.read_text()
    assert text.startswith('.SH A\n.\\" generated: settings\n.SS ')
    assert text.endswith('.\\" end of generated\n.SH B\n')
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == sorted(COMPLETED)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a-b ^ ~ \\ 'x'", "a\\-b \\(ha \\(ti \\e \\(aqx\\(aq"),
        ("run `lonc -t` now", "run \\fBlonc \\-t\\fP now"),
        ("[store](store.md), `x`", "store, \\fBx\\fP"),
        ("`a` `b`", "\\fBa\\fP \\fBb\\fP"),
    ],
)
def test_words_become_roff(text: str, shown: str) -> None:
    assert roff.marked(text) == shown


def test_a_line_that_begins_like_a_command_is_none() -> None:
    assert roff.line(".SH") == "\\&.SH"
    assert roff.quoted('say "yes"') == '"say \\(dqyes\\(dq"'
    assert roff.paragraphs("One\ntwo.\n  apart\n\nnew") == [".PP", "One", "two.", ".br", "apart", ".PP", "new"]
    rows = "a:\n  apart\nbehind\nexit codes: 0"
    assert roff.paragraphs(rows) == [".PP", "a:", ".br", "apart", ".PP", "behind", ".PP", "exit codes: 0"]


@pytest.mark.parametrize("name", COMPLETED)
def test_a_completion_is_read_by_bash_and_knows_the_words(name: str, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    table = tmp_path / "hosts.tab"
    table.write_text("# a comment\nelm1:msu:library:a:127.0.0.1\noak.2:msu:library:b:127.0.0.1\n^up:no\n")

    def completed(*words: str) -> list[str]:
        program = (
            f'. "{manual.COMPLETIONS / name}"; COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); '
            f'_shtab_{name}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        )
        command = ["bash", "-c", program, "bash", name, *words]
        env = {"LONC_HOSTS_TAB": str(table), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=20, check=False)
        assert done.stderr == ""
        return done.stdout.split()

    assert "--conf-dir" in completed("--co")
    if name == "loncctl":
        assert set(completed("")) >= set(verbs.names())
        assert completed("doctor", "") == ["elm1", "oak.2"]
        assert completed("doctor", "o") == ["oak.2"]
    else:
        assert "--foreground" in completed("--f")


def test_every_command_has_its_completion() -> None:
    assert sorted(completion.commands()) == sorted(path.name for path in manual.COMPLETIONS.iterdir())
    lond = {option for action in completion.commands()["lond"]._actions for option in action.option_strings}
    assert lond == {option for action in command_line()._actions for option in action.option_strings}
    assert ctl.parser().prog == "loncctl"
