"""The log: the exact form of a line, what is masked and escaped, and what survives rotation."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.system.clock import ctime
from lonc.system.files import SystemFiles
from lonc.system.logs import (
    Log,
    PermLog,
    RepeatedWarnings,
    Severity,
    clean,
    perm_command,
    shown_command,
    shown_reply,
)
from lonc.system.logs.line import log_line, safe, tagged
from tests.fakes.faulty_files import HandClock

WORDS = re.compile("CRITICAL|WARNING|INFO|SUCCESS")
LINE = re.compile(
    r"(?P<time>\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}) \((?P<pid>\d+)\) \[(?P<who>[^]]*)\]"
    r" \[(?P<since>\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}): (?P<status>[^]]*)\]: (?P<message>.*)\n"
)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def log(tmp_path: Path, clock: HandClock) -> Log:
    return Log(str(tmp_path / "lonc.log"), files=SystemFiles(), clock=clock, who="PARENT", stderr_fd=-1)


def lines(tmp_path: Path, name: str = "lonc.log") -> list[str]:
    return (tmp_path / name).read_text().splitlines(keepends=True)


# --- the line ---------------------------------------------------------------------------------------------


def test_a_line_has_exactly_the_form_of_the_originals(tmp_path: Path, log: Log, clock: HandClock) -> None:
    before = ctime(clock.at)
    log.status = "Waiting for children"
    clock.pass_by(5)
    log.write("Done starting initial servers")
    now = ctime(clock.at)
    expected = f"{now} ({os.getpid()}) [PARENT] [{before}: Waiting for children]: Done starting initial servers\n"
    assert lines(tmp_path) == [expected]
    assert log.last_line == f"{now}: Done starting initial servers"
    assert log.status == "Waiting for children"
    assert log.status_text == f"{before}: Waiting for children"


@pytest.mark.parametrize(
    ("severity", "message"),
    [
        (Severity.NONE, "msul1 online"),
        (Severity.INFO, '<font color="green">INFO: msul1 online</font>'),
        (Severity.SUCCESS, '<font color="green">SUCCESS: msul1 online</font>'),
        (Severity.WARNING, '<font color="blue">WARNING: msul1 online</font>'),
        (Severity.CRITICAL, '<font color="red">CRITICAL: msul1 online</font>'),
    ],
)
def test_a_severity_is_a_tag_that_the_watchdog_counts(
    tmp_path: Path, log: Log, severity: Severity, message: str
) -> None:
    log.write("msul1 online", severity)
    assert lines(tmp_path)[0].endswith(f"]: {message}\n")
    assert log.last_line.endswith(f"{severity.word}: msul1 online".removeprefix(": "))


def test_the_pid_is_that_of_the_process_that_writes(tmp_path: Path, log: Log) -> None:
    pid = os.fork()
    if not pid:
        try:
            log.who = "msul1"
            log.write("from the child")
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert f" ({pid}) [msul1] [" in lines(tmp_path)[0]


def test_a_log_for_another_process_begins_anew(tmp_path: Path, log: Log) -> None:
    log.lost = 3
    child = log.for_process("msul1")
    child.write("x")
    assert (child.who, child.lost, log.who) == ("msul1", 0, "PARENT")
    assert "[msul1]" in lines(tmp_path)[0]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o027])
def test_the_log_is_made_with_its_final_mode(tmp_path: Path, log: Log, mask: int) -> None:
    before = os.umask(mask)
    try:
        log.write("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "lonc.log").stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "message",
    [
        "Init reply: >refused<",
        "Pong reply: >msul1:con_lost<",
        "Delayed encrypt:put (40 bytes): >ok<",
        "Delayed put (40 bytes): >error (12 bytes)<; moved to rejected/1.1.1.put.msul1",
        "Couldn't connect to msul1 (3 secs)",
        'Say "no"',
    ],
)
def test_the_originals_words_come_out_as_they_are(message: str) -> None:
    assert safe(message) == message
    assert safe(clean(message)) == message  # also when a caller has cleaned all of it


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Init reply: ><b>x</b><", "Init reply: >&lt;b&gt;x&lt;/b&gt;<"),
        ("Version: >x<", "Version: &gt;x&lt;"),
        ("x Init reply: >x<", "x Init reply: &gt;x&lt;"),
        ("a & b &lt;", "a &amp; b &lt;"),
        ("two\nlines\x1b[0m", r"two\x0alines\x1b[0m"),
        ("reply CRITICAL WARNING INFORMATION SUCCESSFUL", "reply CRIT-ICAL WARN-ING IN-FORMATION SUC-CESSFUL"),
        ("CRITIWARNINGCAL", "CRITIWARN-INGCAL"),
    ],
)
def test_a_message_is_escaped_whoever_wrote_it(text: str, shown: str) -> None:
    assert safe(text) == shown


HOSTILE = st.lists(st.sampled_from(["CRIT", "ICAL", "INFO", "<", "&lt;", ">", "\n"])).map("".join)


@given(st.text(max_size=80) | HOSTILE, st.text(max_size=20), st.sampled_from(Severity))
def test_any_text_makes_one_line_with_no_severity_but_its_own(text: str, status: str, severity: Severity) -> None:
    line = log_line("T", 1, "P", safe(status), tagged(safe(text), severity)).decode()
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert WORDS.findall(line) == ([severity.word] if severity.word else [])
    inner = line.removeprefix("T (1) [P] [")
    if severity.word:
        inner = inner.replace("</font>\n", "").replace(f'<font color="{severity.value[1]}">', "")
    if not re.search(r"Init reply|Pong reply|Delayed", text):
        assert "<" not in inner
        assert ">" not in inner


def test_severity_words_in_who_and_status_are_broken(tmp_path: Path, log: Log) -> None:
    log.who, log.status = "INFO", "Online, version WARNING"
    log.write("x")
    assert not WORDS.search(lines(tmp_path)[0])


def test_a_long_message_is_cut(tmp_path: Path, log: Log) -> None:
    log.write("<" * 100_000)
    assert len(lines(tmp_path)[0]) < 20_000
    assert lines(tmp_path)[0].endswith("...\n")


# --- rotation ---------------------------------------------------------------------------------------------


def test_after_a_rename_or_removal_the_next_message_is_in_a_new_file(tmp_path: Path, log: Log) -> None:
    log.write("one")
    (tmp_path / "lonc.log").rename(tmp_path / "lonc.log.1")
    log.write("two")
    assert [line.split("]: ")[1] for line in lines(tmp_path, "lonc.log.1")] == ["one\n"]
    (tmp_path / "lonc.log").unlink()
    log.write("three")
    assert [line.split("]: ")[1] for line in lines(tmp_path)] == ["three\n"]
    os.truncate(tmp_path / "lonc.log", 0)
    log.write("four")
    assert [line.split("]: ")[1] for line in lines(tmp_path)] == ["four\n"]
    assert log.lost == 0


@pytest.mark.parametrize("held", [False, True])
def test_a_line_that_somebody_left_torn_is_ended_first(tmp_path: Path, log: Log, held: bool) -> None:
    if held:
        log.hold()
    for count in range(3):
        with (tmp_path / "lonc.log").open("a") as other:
            other.write("torn li")
        log.write("whole")
        assert len(lines(tmp_path)) == 2 * (count + 1)
        first, second = lines(tmp_path)[-2:]
        assert first == "torn li\n"
        assert LINE.fullmatch(second)
    log.release()


# --- warnings that come again -----------------------------------------------------------------------------


def test_a_warning_is_repeated_when_its_reason_changes_or_after_ten_minutes(clock: HandClock) -> None:
    warnings = RepeatedWarnings(clock)
    assert warnings.pass_on("a", "refused", "refused (1 secs)") == "refused (1 secs)"
    for _ in range(40):
        clock.pass_by(14.9)
        assert warnings.pass_on("a", "refused", "refused (n secs)") is None
    assert warnings.pass_on("b", "refused", "of another peer") == "of another peer"
    assert warnings.pass_on("a", "timeout", "timeout") == "timeout"
    assert warnings.pass_on("a", "refused", "refused") == "refused"
    assert warnings.pass_on("a", "refused", "refused") is None
    clock.pass_by(599)
    assert warnings.pass_on("a", "refused", "refused") is None
    clock.pass_by(1)
    assert warnings.pass_on("a", "refused", "refused") == "refused (and 2 more times in 600 secs)"
    clock.pass_by(600)
    assert warnings.pass_on("a", "refused", "refused") == "refused"  # none was held back


def test_a_warning_that_was_forgotten_is_new_and_clock_jumps_change_nothing(clock: HandClock) -> None:
    warnings = RepeatedWarnings(clock)
    assert warnings.pass_on("a", "refused", "x")
    clock.at += 10 * 365 * 86400
    assert warnings.pass_on("a", "refused", "x") is None
    warnings.forget("a")
    warnings.forget("unknown")
    assert warnings.pass_on("a", "refused", "x") == "x"


# --- masks ------------------------------------------------------------------------------------------------

SECRET = b"Geheim%21x"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"ping", "ping (4 bytes)"),
        (b"put:msu:smith:env:a=1", "put (21 bytes)"),
        (b"encrypt:auth:msu:smith:" + SECRET, "encrypt:auth (33 bytes)"),
        (b"auth:msu:smith:" + SECRET, "auth (25 bytes)"),
        ([b"put:msu:", b"smith"], "put (13 bytes)"),
        (b"", " (0 bytes)"),
    ],
)
def test_a_request_shows_its_word_and_length(line: bytes | list[bytes], shown: str) -> None:
    assert shown_command(line) == shown


def test_a_request_of_which_only_the_beginning_is_held_shows_its_true_length() -> None:
    assert shown_command(b"put:x", 70_000) == "put (70000 bytes)"


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (b"ok", "ok"),
        (b"con_lost", "con_lost"),
        (b"", ""),
        (b"error: bad password " + SECRET, "error (30 bytes)"),
        (b"ok " + SECRET, "ok (13 bytes)"),
        (SECRET, "(10 bytes)"),
        ([b"refused", b":", SECRET], "refused (18 bytes)"),
    ],
)
def test_a_reply_shows_a_fixed_word_and_nothing_else(reply: bytes | list[bytes], shown: str) -> None:
    assert shown_reply(reply) == shown


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b"put:msu:smith:env:a=1&b=%26", "put:msu:smith:env:a=1&b=%26"),
        (b"ping", "ping"),
        (b"encrypt:auth:msu:smith:" + SECRET, "encrypt:auth"),
        (b"encrypt:" + SECRET, "encrypt:?"),
        (b"encrypt:" + b"x" * 33, "encrypt:?"),
        (b"encrypt:", "encrypt:?"),
        (b"encrypt:encrypt:auth:" + SECRET, "encrypt:encrypt"),
        (b"auth:msu:smith:" + SECRET, "auth:msu:smith:***"),
        (b"passwd:msu:smith:" + SECRET + b":new" + SECRET, "passwd:msu:smith:***"),
        (b"makeuser:msu:smith:internal:" + SECRET, "makeuser:msu:smith:***"),
        (b"changeuserauth:msu:smith:internal:" + SECRET, "changeuserauth:msu:smith:***"),
        (b" AUTH:msu:smith:" + SECRET, " AUTH:msu:smith:***"),
        (b"auth:" + SECRET, "auth:***"),
        (b"auth", "auth:***"),
        (b"a\rb\x00\x1b\x7f", "a%0Db%00%1B%7F"),
        (b"a\nb", "a%0Ab"),
        ("Zürich\x9b".encode(), "Zürich%C2%9B"),
        (b"\xff\xfe", "%FF%FE"),
    ],
)
def test_the_permanent_log_has_the_whole_command_but_no_secret(line: bytes, kept: str) -> None:
    assert perm_command(line) == kept


@given(st.binary(max_size=80))
def test_no_command_breaks_a_record(line: bytes) -> None:
    assert perm_command(line).isprintable()


@given(
    st.sampled_from([b"auth", b"passwd", b"makeuser", b"changeuserauth"]), st.booleans(),
    st.from_regex(rb"[A-Za-z0-9%]{12,20}", fullmatch=True), st.integers(3, 6),
)  # fmt: skip
def test_no_password_is_shown_anywhere(word: bytes, encrypted: bool, secret: bytes, place: int) -> None:
    fields = [word, b"msu", b"smith", b"x", b"y", b"z"][:place]
    line = (b"encrypt:" if encrypted else b"") + b":".join([*fields, secret])
    for shown in (perm_command(line), shown_command(line), shown_reply(b"error: " + line)):
        assert secret.decode() not in shown


# --- the permanent log ------------------------------------------------------------------------------------


def test_records_have_the_form_that_readers_expect(tmp_path: Path, clock: HandClock) -> None:
    perm = PermLog(str(tmp_path / "lonnet.perm.log"), files=SystemFiles(), clock=clock, stderr_fd=-1)
    perm.sent("msul1", perm_command(b"put:msu:smith:env:a=1"))
    clock.pass_by(1.5)
    perm.failed("msul2", perm_command(b"encrypt:auth:msu:smith:secret"))
    perm.sent("msul1", "raw\nnewline\ud800")
    first, second, third = lines(tmp_path, "lonnet.perm.log")
    at = 1_015_556_179
    assert first == f"{at}:S:msul1:put:msu:smith:env:a=1:{ctime(at)}\n"
    assert second == f"{at + 1}:F:msul2:encrypt:auth:{ctime(at + 1)}\n"
    assert third.split(":")[3] == "raw%0Anewline\\ud800"
    assert stat.S_IMODE((tmp_path / "lonnet.perm.log").stat().st_mode) == 0o640
    assert perm.lost == 0


def test_a_lost_log_is_told_by_the_name_of_its_program(tmp_path: Path) -> None:
    (tmp_path / "lond.log").mkdir()
    reader, writer = os.pipe()
    try:
        path = str(tmp_path / "lond.log")
        log = Log(path, files=SystemFiles(), clock=HandClock(), who="PARENT", stderr_fd=writer)
        log.write("Shutting down")
        assert os.read(reader, 1000).startswith(b"lond: log cannot be written: ")
        assert log.program == "lond"
    finally:
        os.close(reader)
        os.close(writer)
