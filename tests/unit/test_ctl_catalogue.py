"""The catalogue: every message is found again by what stands in a log, and the documents are made from it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lonc.catalogue import find, messages, sections, words
from lonc.catalogue.messages import own_id
from lonc.cli import messages as tables
from lonc.cli import renewing
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log, Severity
from lonc.system.logs.extras import Extras

DOC = Path(__file__).resolve().parents[2] / "doc"
FILLED = {
    "N": "7", "P": "msul1", "H": "own1", "W": "w3", "C": "msul1", "A": "127.0.0.1", "K": "k1", "X": "ok",
    "Y": "ready", "ID": "x", "FILE": "x.py", "LINE": "12", "NAME": "1.2.3.*.msul1", "NAMES": "loncOnDemand",
    "VALUE": "7", "PATH": "/tmp/x", "WHY": "Connection refused", "WORD": "put", "STEP": "Initialized",
    "KIND": "KeyError", "DIRECTORY": "/tmp/d", "ADDRESS": "127.0.0.1", "MECHANISM": "unix", "OUTCOME": "missing",
    "PROGRAM": "lonc", "TABLE": "hosts.tab", "WHO": "root", "HOW": "held",
}  # fmt: skip


def filled(text: str) -> str:
    """Return a text of the catalogue as the program would write it."""
    made = re.sub(r"(?<![A-Za-z])([A-Z]+)(?![A-Za-z])", lambda word: FILLED.get(word[1], word[1]), text)
    return re.sub(r"^127\.0\.0\.1 ", "A ", made)  # a sentence may begin with the word


def test_the_ids_are_unique_and_of_their_form() -> None:
    ids = list(messages())
    assert len(ids) > 150
    assert all(re.fullmatch(r"LONC-[1-9]\d\d", one) for one in ids)
    assert len({one.section for one in messages().values()} - {section.name for section in sections()}) == 0
    text = Path(DOC.parent / "lonc" / "catalogue" / "messages.toml").read_text()
    assert len(re.findall(r"^id = ", text, re.MULTILINE)) == len(ids)


def test_every_message_has_a_cause() -> None:
    assert [one.id for one in messages().values() if not one.cause or not one.remedy] == []


@pytest.mark.parametrize("one", messages().values(), ids=lambda one: str(one.id))
def test_each_text_is_found_again(one: object) -> None:
    for message in [one]:
        assert isinstance(message, type(next(iter(messages().values()))))
        for text in message.texts:
            found = find(filled(text))
            assert found is not None, text
            # the same words may stand in two tables (lonc and lond): then the first is as good
            assert found.message is message or text in found.message.texts, (text, found.message.text)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Sat Nov 21 03:27:08 2026 (31080) [elm1] [Sat Nov 21 03:27:08 2026: Starting]: elm1 online", "LONC-203"),
        ("Sat Nov 21 03:27:08 2026 (31080) [elm1] [Sat Nov 21 03:27:08 2026: Starting] elm1 online", "LONC-203"),
        ('<font color="blue">WARNING: Couldn\'t connect to elm1 (3 secs): Connection refused</font>', "LONC-209"),
        ("Couldn't connect to elm1 (3 secs): Connection refused (and 4 more times in 600 secs)", "LONC-209"),
        ("Init failed (3 secs): Init reply: &gt;refused&lt;", "LONC-210"),
        ("WARNING: A reply of more than 5 bytes was dropped (LONC-218)", "LONC-218"),
        ("Delayed put (30 bytes): >ok<", "LONC-401"),
        ("Delayed put (30 bytes): >error (9 bytes)<; moved to rejected/1.2.3.*.elm1", "LONC-402"),
    ],
)
def test_lines_as_they_stand_in_logs_are_found(line: str, expected: str) -> None:
    found = find(line)
    assert found is not None
    assert found.message.id == expected


def test_what_is_no_message_is_not_found() -> None:
    for text in ("", "hello", "online", "LONC-209", "x" * 10_000):
        assert find(text) is None


def test_the_tables_of_the_documents_are_those_of_the_catalogue() -> None:
    for path in DOC.glob("*.md"):
        text = path.read_text("utf-8")
        assert tables.renewed(text) == text, f"{path.name} is out of date; {tables.REFRESH}"


def test_every_section_has_its_place_in_the_documents() -> None:
    placed = re.findall(r"<!-- messages: (\w+) -->", "".join(path.read_text("utf-8") for path in DOC.glob("*.md")))
    assert sorted(placed) == sorted(section.name for section in sections())


def test_every_state_step_and_exit_code_is_a_word() -> None:
    from lonc.errors import ExitCode
    from lonc.peers import State
    from lonc.wire.dialogue import DIALOGUE
    from lonc.wire.states import LinkState

    wanted = [state.value for state in State] + [state.value for state in LinkState]
    wanted += [word for row in DIALOGUE for word in (row.sending, row.waiting)]
    wanted += ["Idle", "Resolving", "Disconnected", "Connecting", "Closing", "SendingRequest", "ReceivingReply"]
    wanted += [str(int(code)) for code in ExitCode] + ["notices", "warnings", "errors", "N", "W", "E", "N/W/E"]
    assert [word for word in wanted if not words(word)] == []


def _log(folder: Path, *, ids: bool, as_json: bool) -> Log:
    files, clock = SystemFiles(), SystemClock()
    extras = Extras(files, clock, ids=ids, json_path=str(folder / "lonc.json.log") if as_json else "")
    return Log(str(folder / "lonc.log"), files=files, clock=clock, who="msul1", extras=extras)


def test_an_id_stands_behind_messages_that_the_originals_do_not_have(tmp_path: Path) -> None:
    log = _log(tmp_path, ids=True, as_json=False)
    log.write("No further link to msul1: Connection refused", Severity.WARNING)
    log.write("msul1 online")
    log.write("something that is in no table")
    first, second, third = (tmp_path / "lonc.log").read_text().splitlines()
    assert first.endswith(": No further link to msul1: Connection refused (LONC-207)</font>")
    assert own_id(first.partition("]: ")[2]) == "LONC-207"
    assert second.endswith(": msul1 online")
    assert third.endswith(": something that is in no table")
    assert not (tmp_path / "lonc.json.log").exists()


def test_json_has_one_object_a_line(tmp_path: Path) -> None:
    log = _log(tmp_path, ids=False, as_json=True)
    log.write("Link to msul1 lost: <b>\x1b", Severity.CRITICAL)
    log.write("no such message")
    first, second = (json.loads(line) for line in (tmp_path / "lonc.json.log").read_text().splitlines())
    assert set(first) == {"time", "pid", "who", "severity", "id", "message"}
    assert (first["who"], first["severity"], first["id"]) == ("msul1", "CRITICAL", "LONC-204")
    assert first["message"] == "Link to msul1 lost: <b>\\x1b"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", first["time"])
    assert second["id"] is None
    assert second["severity"] == ""
    assert (tmp_path / "lonc.json.log").stat().st_mode & 0o777 == 0o640
    assert "(LONC-" not in (tmp_path / "lonc.log").read_text()


def test_a_json_log_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "lonc.json.log").mkdir()
    log = _log(tmp_path, ids=False, as_json=True)
    log.write("msul1 online")
    assert (tmp_path / "lonc.log").read_text().endswith("msul1 online\n")


def test_stale_tables_are_found_and_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.md").write_text("<!-- messages: demand -->\nold\n<!-- end of messages -->\n")
    monkeypatch.setattr(renewing, "DOCUMENTS", tmp_path)
    assert tables.main([]) == 1
    assert tables.REFRESH in capsys.readouterr().out
    assert tables.main(["--write"]) == 0
    assert "| 181 |" in (tmp_path / "x.md").read_text()


def test_the_daemon_loads_none_of_it_while_both_settings_are_off() -> None:
    code = (
        "import sys, lonc.parent, lonc.child; print([name for name in sys.modules if 'catalogue' in name"
        " or name in ('tomllib', 'lonc.system.logs.extras')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=DOC.parent, check=True)
    assert done.stdout == "[]\n"
