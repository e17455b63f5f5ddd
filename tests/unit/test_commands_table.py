"""The table of commands: every row with good and bad arguments, and nothing that a client sends raises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.lond.commands import administration, listing, resources, server
from lonc.lond.commands.model import Command, Context, Field, Reply, Who
from lonc.lond.commands.table import TABLE
from tests.unit.command_stage import GOOD, BrokenStore, Stage, stages

# The rows that others own, and test.
ELSEWHERE = {command.word for rows in (administration, resources, server) for command in rows.ROWS}
OURS = sorted(set(TABLE) - ELSEWHERE)
NAMES_BAD = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "a\0",
    "a b",
    "-x",
    ".x",
    "a%2e",
    "a\x1b",
    "\xff",
    "x" * 129,
    "a\r",
    "ä",
]
DATA_BAD = ["%", "%zz", "a=%", "a=%4", "a=%4g", "a\0=1", "a=\x1b", "a=\x7f", "a=\r"]
BAD_VALUES = {
    "domain": NAMES_BAD,
    "user": [*NAMES_BAD, "@x"],
    "exedomain": NAMES_BAD,
    "exeuser": NAMES_BAD,
    "namespace": ["", "/".join([""]), "..", "%", "\0", "n" * 129, "-"],
    "data": DATA_BAD,
    "keys": ["%", "%zz", "a&&b", "a=b", "\0", "x" * 2001],
    "numbers": [
        *("a=x", "a=1e99", "a=1e-50", "a=1e100", "a=1e", "a=e5", "a=--1", "a=1=2", "=1", "a=nan", "a=%", "a=0x10"),
        *("a=" + "1" * 41, "a=1,5"),
    ],
    "record": ["", "%", "a=b", "a&b", "keys", "x" * 901, "\0"],
    "regexp": ["%", "%zz", "\0", "x" * 1001],
    "range": ["x", "-1", "1-", "0-3", "3-2", "1-2-3", "1000000000000"],
    "mode": ["", "internal2", "INTERNAL", "\0", "a b"],
    "password": ["%", "%g0", "\0"],
    "old": ["%", "%g0", "\0"],
    "new": ["", "%", "%g0", "\0", "x" * 1001],
    "what": ["\0", "a\x1bb", "\x7f"],
    "id": ["", "..", "../../etc/passwd", "g" * 32, "0" * 31, "0" * 33, "0" * 31 + "\0", "A" * 32],
}


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from stages(tmp_path)


def good_line(word: bytes) -> str:
    return next(line for line, _reply in GOOD if line.split(":")[0] == word.decode())


def test_every_row_answers_good_arguments(stage: Stage) -> None:
    assert {line.split(":")[0].encode() for line, _reply in GOOD} == set(OURS)
    for line, begin in GOOD:
        reply = stage.said(line)
        assert reply.startswith(begin), line
        assert begin or not reply.startswith("error"), line
    assert "CRITICAL" not in stage.log


@pytest.mark.parametrize("word", OURS, ids=bytes.decode)
def test_every_bad_argument_is_refused_in_words(stage: Stage, word: bytes) -> None:
    command = TABLE[word]
    parts = good_line(word).split(":", len(command.fields))
    parts += ["1"] * (len(command.fields) + 1 - len(parts))  # optional ones that the good line leaves out
    for place, field in enumerate(command.fields, 1):
        for bad in BAD_VALUES[field.name]:
            line = ":".join([*parts[:place], bad, *parts[place + 1 :]]).encode("latin-1")
            reply = stage.ask(line, encrypted=True).line
            assert reply.startswith(b"error: " + field.name.encode() + b" must "), line
            assert reply.isascii(), line
            assert reply.decode().isprintable(), line
    assert stage.log == ""


@pytest.mark.parametrize("word", OURS, ids=bytes.decode)
def test_the_number_of_arguments_must_be_right(stage: Stage, word: bytes) -> None:
    command = TABLE[word]
    usage = f"error: {word.decode()} needs "
    needed = sum(not field.optional for field in command.fields)
    wrong = [":".join([word.decode(), *["x"] * count]) for count in range(needed)] if needed else []
    if not command.rest:
        count = len(command.fields) + 1
        wrong += [":".join([word.decode(), *["x"] * count]), word.decode() + ":" * (count + 1000)]
    for line in wrong:
        assert stage.said(line).startswith(usage), line
    if needed:
        assert stage.said(wrong[0]) == f"error: {command.usage}"


def test_usage_is_what_the_arguments_are_called(stage: Stage) -> None:
    assert stage.said("put") == "error: put needs domain:user:namespace:data"
    assert stage.said("dump:x") == "error: dump needs domain:user:namespace:[regexp]:[range]"
    assert stage.said("ping:x") == "error: ping needs no arguments"
    assert stage.said("ping:") == "here1"


@pytest.mark.parametrize("word", OURS, ids=bytes.decode)
def test_what_must_come_encrypted_is_refused_in_clear(stage: Stage, word: bytes) -> None:
    line = good_line(word)
    secret = {"currentauth", "auth", "passwd", "makeuser", "changeuserauth", "rolesput", "rolesdel"}
    refused = stage.said(line, encrypted=False) == "refused"
    assert refused == (word.decode() in secret)


@pytest.mark.parametrize(
    "line", ["", " ", ":", "::", "nonsense", "Put:home:anna:n:a=1", " ping", "ping\r", "put home", "\0", "init"]
)
def test_anything_else_is_unknown(stage: Stage, line: str) -> None:
    assert stage.said(line) == "unknown_cmd"


def test_huge_values_are_kept_or_refused(stage: Stage) -> None:
    value = b"x" * (16 << 20)
    place = b":home:anna:big:"
    assert stage.ask(b"put" + place + b"a=" + value[:-30]).line == b"ok"
    assert stage.ask(b"get" + place + b"a").line == value[:-30]
    for word in OURS:
        for line in (word + b":" + value, word + value, word + b":" * len(value)):
            reply = stage.ask(line, encrypted=True).line
            assert len(reply) < 200 or word == b"tmpput"
    assert stage.ask(b"put" + place + b"&".join([b"a=1"] * 100001)).line.startswith(
        b"error: data must have at most"
    )
    assert stage.ask(b"put" + place + value + b"=1").line.startswith(b"error: data must have keys of")


def test_one_value_asked_for_often_is_not_worth_all_memory(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lonc.lond.commands.answers.ANSWER_BYTES", 1000)
    stage.ask("put:home:anna:notes:a=" + "x" * 100)
    assert len(stage.said("get:home:anna:notes:a&a&a&a&a")) == 504
    for line in ("get:home:anna:notes:" + "a&" * 10 + "a", "eget:home:anna:notes:" + "a&" * 99 + "a"):
        reply = stage.ask(line)
        assert reply.line.startswith(b"error: the answer is longer than 1000 bytes")
        assert not reply.encrypted


def test_a_failing_store_is_answered_and_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path, BrokenStore())
    assert stage.said("put:home:anna:notes:secretkey=secretvalue") == "error: the disk is full"
    assert stage.said("log:home:anna:secretwords") == "error: the disk is full"
    assert stage.log.count("CRITICAL") == 2
    assert "Cannot carry out put: the disk is full" in stage.log
    assert "secret" not in stage.log


def test_a_defect_is_answered_and_told_by_kind_and_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = Stage(tmp_path, BrokenStore(KeyError("secretvalue\n")))
    reply = stage.said("get:home:anna:notes:secretkey")
    assert reply.startswith("error: the server has failed at this request")
    assert "A fault of the program at get: KeyError at command_stage.py:" in stage.log
    assert "CRITICAL" in stage.log
    assert "in get_many" in capsys.readouterr().err
    assert "secret" not in stage.log


def test_a_reply_of_two_lines_is_a_defect(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLE, b"two", Command(b"two", (), lambda _context: Reply(b"a\nb")))
    assert stage.said("two").startswith("error: the server has failed")
    assert "A fault of the program at two: ValueError at table.py:" in stage.log


def test_managers_alone_may_give_their_commands(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def handler(_context: Context, given: bytes) -> Reply:
        return Reply(given)

    row = Command(b"rule", (Field("x", bytes),), handler, encrypted=True, who=Who.MANAGER)
    monkeypatch.setitem(TABLE, b"rule", row)
    assert stage.said("rule:1", encrypted=False) == "refused"
    assert stage.said("rule") == "refused"  # not even told what it needs
    monkeypatch.setattr(administration, "is_manager", lambda _context: True)
    assert stage.said("rule:1", encrypted=False) == "refused"
    assert stage.said("rule:1") == "1"


def test_every_handler_says_what_it_answers() -> None:
    rows = [row.split(" | ") for row in listing.listing().splitlines()[2:]]
    assert [row[0] for row in rows] == [f"| `{word.decode()}`" for word in TABLE]
    assert [row[0] for row in rows if len(row[-1]) < 10] == []


def test_the_document_has_the_table_as_it_is() -> None:
    text = listing.DOCUMENT.read_text("utf-8")
    assert listing.renewed(text) == text, "run `.venv/bin/python -m lonc.lond.commands.listing --write`"
    with pytest.raises(ValueError, match="marks"):
        listing.renewed("no marks")


def test_the_document_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.md"
    path.write_text(f"a\n{listing.BEGIN}old\n{listing.END}b\n")
    monkeypatch.setattr(listing, "DOCUMENT", path)
    assert listing.main(["--write"]) == 0
    assert listing.main([]) == 0
    assert path.read_text() == f"a\n{listing.BEGIN}{capsys.readouterr().out}{listing.END}b\n"


WORDS = st.sampled_from([*OURS, b"", b"nonsense"])
PIECES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from(
        [b"home", b"anna", b"notes", b"a=1&b=2", b"a&b", b"%", b".", b"(", b"1-2", b"internal", b"unix"]
    ),
)
LINES = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda word, pieces: b":".join([word, *pieces]), WORDS, st.lists(PIECES, max_size=7)),
)


def test_no_bytes_raise_and_each_line_has_one_reply(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.account(b"home", b"anna", b"unix:")

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LINES.filter(lambda line: b"\n" not in line), st.booleans())
    def each(line: bytes, encrypted: bool) -> None:
        reply = stage.ask(line, encrypted=encrypted)
        assert b"\n" not in reply.line

    each()
    assert "CRITICAL" not in stage.log
