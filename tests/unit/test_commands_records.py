"""store and restore as the original keeps records, and dump with its expressions and ranges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.lond.store import Owner
from lonc.wire.words import escape
from tests.unit.command_stage import Stage, stages


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from stages(tmp_path)


def test_each_store_is_a_version(stage: Stage) -> None:
    assert stage.said("store:home:anna:n:rec%2f1:a=1&b=%3A") == "ok"
    stage.context.now += 60
    assert stage.said("store:home:anna:n:rec%2f1:a=2") == "ok"
    assert stage.said("store:home:anna:n:other:x=9") == "ok"
    assert stage.said("restore:home:anna:n:rec%2f1").split("&") == [
        "version=2",
        "1:keys=a:b:timestamp",
        "1:a=1",
        "1:b=%3A",
        "1:timestamp=1700000000",
        "2:keys=a:timestamp",
        "2:a=2",
        "2:timestamp=1700000060",
    ]


def test_records_are_kept_as_the_original_keeps_them(stage: Stage) -> None:
    stage.said("store:home:anna:n:rec:b=1&a=2")
    assert stage.said("dump:home:anna:n:.").split("&") == [
        "1:keys:rec=b:a:timestamp",
        "1:rec:a=2",
        "1:rec:b=1",
        "1:rec:timestamp=1700000000",
        "version:rec=1",
    ]


def test_no_record_is_version_0(stage: Stage) -> None:
    assert stage.said("restore:home:anna:n:rec") == "version=0"
    stage.said("put:home:anna:n:rec=1")
    assert stage.said("restore:home:anna:n:rec") == "version=0"


def test_an_empty_version_has_its_time(stage: Stage) -> None:
    assert stage.said("store:home:anna:n:rec:") == "ok"
    assert stage.said("restore:home:anna:n:rec") == "version=1&1:keys=timestamp&1:timestamp=1700000000"


def test_the_time_is_ours(stage: Stage) -> None:
    assert stage.said("store:home:anna:n:rec:timestamp=5&a=1") == "ok"
    assert stage.said("restore:home:anna:n:rec") == "version=1&1:keys=a:timestamp&1:a=1&1:timestamp=1700000000"


def test_a_damaged_version_is_told_and_nothing_is_stored(stage: Stage) -> None:
    with stage.store.writing(Owner(b"home", b"anna"), b"n", b"") as space:
        space.put(b"version:rec", b"many")
    told = "error: the version that is kept of this record is no number"
    assert stage.said("store:home:anna:n:rec:a=1") == told
    assert stage.said("restore:home:anna:n:rec") == told
    assert stage.said("keys:home:anna:n") == "version:rec"


@pytest.fixture
def full(stage: Stage) -> Stage:
    keys = [b"user one", b"user.two", b"User3", b"x:y/z", b"\xc3\xa9t\xc3\xa9", b"line\none"]
    data = b"&".join(escape(key) + b"=%d" % number for number, key in enumerate(keys))
    assert stage.ask(b"put:home:anna:n:" + data).line == b"ok"
    return stage


@pytest.mark.parametrize(
    ("source", "values"),
    [
        (b"", "012345"),
        (b".", "012345"),
        (b"^user", "01"),
        (b"(?i)^user", "201"),
        (b"user\\.", "1"),
        (b"user.", "01"),
        (b"[:/]", "3"),
        (b"\xc3\xa9", "4"),
        (b"e\no", "5"),
        (b"^(?!user)", "2435"),
        (b"\\d$", "2"),
        (b"(o)ne", "05"),
        (b"nothing", ""),
        (b"^$", ""),
        (b"\\bone\\b", "05"),
        (b"(?<=user )one|two", "01"),
    ],
)
def test_dump_searches_in_the_unescaped_key(full: Stage, source: bytes, values: str) -> None:
    reply = full.ask(b"dump:home:anna:n:" + escape(source)).line.decode()
    found = "".join(pair.partition("=")[2] for pair in reply.split("&")) if reply else ""
    assert sorted(found) == sorted(values)
    assert reply.split("&") == sorted(reply.split("&"))


@pytest.mark.parametrize(
    ("span", "values"),
    [("", "0123456789"), ("3", "012"), ("0", ""), ("1-1", "0"), ("2-4", "123"), ("9-20", "89"), ("11-12", ""),
     ("50", "0123456789")],
)  # fmt: skip
@pytest.mark.parametrize("source", ["", ".", "k"])
def test_dump_counts_matches_from_1(stage: Stage, span: str, values: str, source: str) -> None:
    other = "&".join(f"x{number}=" for number in range(10)) if source == "k" else ""
    stage.said("put:home:anna:n:" + "&".join(f"k{number}={number}" for number in range(10)))
    stage.said("put:home:anna:n:" + other)
    reply = stage.said(f"dump:home:anna:n:{source}:{span}")
    assert "".join(pair[-1] for pair in reply.split("&") if pair) == values


def test_dump_without_an_expression_is_all(full: Stage) -> None:
    everything = full.said("dump:home:anna:n:.")
    assert full.said("dump:home:anna:n") == full.said("dump:home:anna:n:") == everything
    assert full.said("dump:home:anna:none") == ""
    assert everything.count("&") == 5


def test_more_keys_than_are_matched_at_once(stage: Stage) -> None:
    data = "&".join(f"k{number:05}=v" for number in range(1700))
    stage.said(f"put:home:anna:n:{data}")
    assert stage.said("dump:home:anna:n:[02468]$").count("&") == 849
    assert stage.said("dump:home:anna:n:[02468]$:800-801") == "k01598=v&k01600=v"


@pytest.mark.parametrize(
    "source",
    [b"(", b"[", b"*", b"(?P<x", b"\\", b"a{2,1}", b"(?<=", b"\\p{foo}", b"(?u)a", b"\\g<9>", b"(?z)",
     b"a{9999999999999}"],
)  # fmt: skip
def test_an_invalid_expression_is_told(full: Stage, source: bytes) -> None:
    assert full.ask(b"dump:home:anna:n:" + escape(source)).line == b"error: the expression is invalid"
    assert full.log == ""


@pytest.mark.parametrize(
    "source",
    [b"(?R)", b"(a?(?R))*$", b"(.+)+[^x]{50}$", b"((e{1000}){1000}){1000}", b"(?P<a>(?&a))",
     b"(((.{999}){999}){999}){999}",
     b"(" * 500 + b")" * 500, b"((((.*)*)*)*)*[^a-z]{30}q", b"(?:.|.)*(?:.|.)*(?:.|.)*(?:.|.)*{e<=99}zz"],
)  # fmt: skip
def test_an_expression_costs_no_more_than_its_command(full: Stage, source: bytes) -> None:
    full.context.config = replace(full.context.config, regexp_timeout_s=0.2)
    full.said("put:home:anna:n:" + "e" * 1900 + "=1")
    reply = full.ask(b"dump:home:anna:n:" + escape(source)).line
    fine = (b"error: matching the expression took too long", b"error: the expression is too big")
    assert reply in fine or not reply.startswith(b"error: the server"), reply
    assert "CRITICAL" not in full.log
    assert full.said("dump:home:anna:n:^User3$") == "User3=2"  # the bounds are gone again


def test_the_time_counts_for_all_keys_together(stage: Stage) -> None:
    stage.said("put:home:anna:n:" + "&".join(f"k{number}=v" for number in range(400)))
    stage.context.config = replace(stage.context.config, regexp_timeout_s=1e-9)
    assert stage.said("dump:home:anna:n:k") == "error: matching the expression took too long"
    assert stage.said("dump:home:anna:n:.").count("&") == 399  # nothing is matched for all


def test_more_versions_than_are_read_at_once(stage: Stage) -> None:
    with stage.store.writing(Owner(b"home", b"anna"), b"n", b"") as space:
        space.put(b"version:rec", b"250")
        for number in range(1, 251):
            if number != 120:  # a version whose keys were lost is shown without any
                space.put(b"%d:keys:rec" % number, b"k:timestamp")
            space.put(b"%d:rec:k" % number, b"v%d" % number)
    pieces = stage.said("restore:home:anna:n:rec").split("&")
    assert [piece for piece in pieces if ":k=" in piece] == [f"{n}:k=v{n}" for n in range(1, 251) if n != 120]
    assert "120:keys=" in pieces
    assert pieces[-3:] == ["250:keys=k:timestamp", "250:k=v250", "250:timestamp="]
