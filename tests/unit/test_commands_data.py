"""put, newput, inc, get, eget, del, keys, roles and ids: what is kept, what is refused, what the journal says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.lond.commands import fields
from lonc.lond.commands.model import BadField
from lonc.wire.words import escape, is_failure, unescape
from tests.unit.command_stage import Stage, stages

ALL = "dump:home:anna:n:."


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from stages(tmp_path)


def journal(stage: Stage, domain: str = "home") -> list[str]:
    """Return the journal lines of a domain in order: `name/namespace line`."""
    stage.store.close()
    base = sqlite3.connect(stage.root / "lonUsersDir" / domain / "lond.sqlite")
    try:
        rows = base.execute("select name, namespace, line from journal order by entry").fetchall()
    finally:
        base.close()
    return [f"{name.decode()}/{space.decode()} {line.decode()}" for name, space, line in rows]


def test_values_come_back_as_they_were_escaped(stage: Stage) -> None:
    assert stage.said("put:home:anna:n:a%2e=%C3%A9&a%2E=%c3%a9&b=&c=-.,/ x") == "ok"
    assert stage.said("get:home:anna:n:a%2e&a%2E&b&c&d") == "%C3%A9&%c3%a9&&-.,/ x&"
    assert stage.said("keys:home:anna:n") == "a%2E&a%2e&b&c"


def test_of_one_key_twice_the_later_value_holds(stage: Stage) -> None:
    assert stage.said("put:home:anna:n:a=1&b=2&a=3") == "ok"
    assert stage.said(ALL) == "a=3&b=2"


@pytest.mark.parametrize("word", ["put", "newput", "inc", "del"])
def test_an_empty_list_changes_nothing_and_is_fine(stage: Stage, word: str) -> None:
    assert stage.said(f"{word}:home:anna:n:") == "ok"
    assert stage.said("keys:home:anna:n") == ""
    assert journal(stage) == []


def test_a_list_may_end_in_its_separator(stage: Stage) -> None:
    assert stage.said("put:home:anna:n:a=1&b=2&") == "ok"
    assert stage.said("get:home:anna:n:a&b&") == "1&2"


def test_namespaces_are_cleaned_as_the_original_does(stage: Stage) -> None:
    assert stage.said("put:home:anna:a/b-c.d:k=1") == "ok"
    assert stage.said("get:home:anna:a_bcd:k") == "1"


def test_newput_fails_as_a_whole(stage: Stage) -> None:
    assert stage.said("newput:home:anna:n:a=1") == "ok"
    assert stage.said("newput:home:anna:n:b=1&a=2&c=3") == "error: a key exists already, nothing was stored"
    assert stage.said(ALL) == "a=1"
    assert stage.said("put:home:anna:n:e=") == "ok"
    assert stage.said("newput:home:anna:n:e=1").startswith("error: a key exists")  # an empty value is a value


@pytest.mark.parametrize(
    ("kept", "amount", "result"),
    [
        ("", "1", "1"),
        ("a=5", "", "6"),
        ("a=5", "7", "12"),
        ("a=", "7", "7"),
        ("a=5", "-7", "%2d2"),
        ("a=0%2e1", "0%2e2", "0%2e3"),
        ("a=0.1", "0.2", "0%2e3"),
        ("a=1.50", "0.5", "2"),
        ("a=-1", "1", "0"),
        ("a=-0", "-0.0", "0"),
        ("a=+3", "%2B4", "7"),
        ("a=100", "0", "100"),
        ("a=9007199254740993", "1", "9007199254740994"),
        ("a=.5", "5.", "5%2e5"),
        ("a=1e+15", "1", "1000000000000001"),
        ("a=1", "1e-07", "1%2e0000001"),
        ("a=1", "5E2", "501"),
    ],
)
def test_inc_adds_exactly(stage: Stage, kept: str, amount: str, result: str) -> None:
    assert stage.said(f"put:home:anna:n:{kept}") == "ok"
    assert stage.said(f"inc:home:anna:n:a={amount}") == "ok"
    assert stage.said("get:home:anna:n:a") == result


def test_inc_takes_what_the_original_client_sends(stage: Stage) -> None:
    assert stage.said("inc:home:anna:n:a=&b&a=&") == "ok"
    assert stage.said(ALL) == "a=2&b=1"


def test_inc_of_what_is_no_number_changes_nothing(stage: Stage) -> None:
    stage.said("put:home:anna:n:a=1&b=text&c=" + "9" * 40)
    assert stage.said("inc:home:anna:n:a=1&b=1") == "error: a value is no number, nothing was changed"
    assert stage.said("inc:home:anna:n:a=1&c=1") == "error: a sum has more than 40 digits, nothing was changed"
    assert (
        stage.said("inc:home:anna:n:a=1&d=x")
        == "error: numbers must have decimal numbers of at most 40 digits on each side of the point"
    )
    assert stage.said("get:home:anna:n:a&d") == "1&"


def test_eget_alone_answers_encrypted(stage: Stage) -> None:
    stage.said("put:home:anna:n:a=1")
    assert stage.ask("eget:home:anna:n:a").encrypted
    assert not stage.ask("get:home:anna:n:a", encrypted=True).encrypted
    assert not stage.ask("eget:home:nobody:n:a").encrypted


@pytest.mark.parametrize(
    "line",
    ["put:%s:n:a=1", "newput:%s:n:a=1", "inc:%s:n:a=1", "get:%s:n:a", "eget:%s:n:a", "del:%s:n:a", "keys:%s:n",
     "dump:%s:n:.", "store:%s:n:r:a=1", "restore:%s:n:r", "rolesput:%s:home:boss:a=1", "rolesdel:%s:home:boss:a",
     "log:%s:words", "put:%s:n:"],
)  # fmt: skip
@pytest.mark.parametrize("who", ["home:nobody", "away:anna", "second:anna"])
def test_users_who_are_elsewhere_are_a_failure(stage: Stage, line: str, who: str) -> None:
    reply = stage.said(line % who)
    assert reply == "error: not_home: this user is not at home on this server"
    assert is_failure(reply.encode())


@pytest.mark.parametrize("word", ["put", "newput", "inc"])
@pytest.mark.parametrize("space", ["roles", "r/oles".replace("/", "-"), "roles."])
def test_roles_are_changed_by_their_own_commands_alone(stage: Stage, word: str, space: str) -> None:
    assert stage.said(f"{word}:home:anna:{space}:a=1") == "refused"
    assert stage.said(f"del:home:anna:{space}:a") == "refused"
    assert stage.said(f"store:home:anna:{space}:r:a=1") == "refused"
    assert stage.said("rolesput:home:anna:home:boss:a=1&b=2") == "ok"
    assert stage.said("rolesdel:home:anna:home:boss:b") == "ok"
    assert stage.said(f"dump:home:anna:{space}:.") == "a=1"


@pytest.mark.parametrize("domain", ["home", "second"])
def test_ids_belong_to_a_domain_of_ours(stage: Stage, domain: str) -> None:
    assert stage.said(f"idput:{domain}:100=anna&200=bert") == "ok"
    assert stage.said(f"idget:{domain}:200&300&100") == "bert&&anna"
    for line in ("idput:away:1=x", "idget:away:1", "idput:third:1=x", "idget:nowhere:1"):
        assert stage.said(line) == "error: not_home: this server does not serve the domain"


def test_an_id_chosen_by_the_client_is_ours_as_well(stage: Stage) -> None:
    stage.context.own_id = b"named"
    assert stage.said("idput:third:1=x") == "ok"
    assert stage.said("idput:home:1=x") == "ok"
    assert stage.said("ping") == "named"


def test_the_journal_says_who_did_what_when(stage: Stage) -> None:
    for line in (
        "put:home:anna:n:a=1&b=%26",
        "newput:home:anna:n:c=3",
        "newput:home:anna:n:c=3",  # fails
        "inc:home:anna:n:a=1.5&b2",
        "del:home:anna:n:c&x",
        "store:home:anna:n:rec:k=v",
        "rolesput:home:anna:home:boss:r=1",
        "rolesdel:home:anna:away:chief:r",
        "idput:home:100=anna",
        "put:home:anna:nohist_x:a=1",
        "store:home:anna:nohist_x:rec:a=1",
        "put:home:anna:no-hist_x:a=1",  # the name counts as it is after cleaning
        "get:home:anna:n:a",
    ):
        stage.said(line)
    assert journal(stage) == [
        "anna/n P:1700000000:a=1&b=%26",
        "anna/n N:1700000000:c=3",
        "anna/n I:1700000000:a=1%2e5&b2=1",
        "anna/n D:1700000000:c&x",
        "anna/n S:1700000000:rec:k=v",
        "anna/roles P:1700000000:home:boss:r=1",
        "anna/roles D:1700000000:away:chief:r",
        "/ids P:1700000000:100=anna",
    ]


def test_activity_is_one_line_each(stage: Stage) -> None:
    assert stage.said("log:home:anna:Logged in: from x&y=1 %zz") == "ok"
    assert stage.said("log:home:anna:") == "ok"
    found = list((stage.root / "lonUsersDir").rglob("activity.log"))
    assert [path.read_text() for path in found] == [
        "1700000000:there:Logged in: from x&y=1 %zz\n1700000000:there:\n"
    ]


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=40), max_size=8))
def test_pairs_hold_what_was_escaped(values: dict[bytes, bytes]) -> None:
    line = b"&".join(escape(key) + b"=" + escape(value) for key, value in values.items())
    found = {unescape(key): unescape(value) for key, value in fields.pairs(line)}
    assert found == values


def test_what_is_kept_comes_back_whatever_it_is(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.account(b"home", b"anna", b"unix:")

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=40), min_size=1, max_size=8))
    def each(values: dict[bytes, bytes]) -> None:
        escaped = {escape(key): escape(value) for key, value in values.items()}
        line = b"&".join(key + b"=" + value for key, value in escaped.items())
        assert stage.ask(b"put:home:anna:n:" + line).line == b"ok"
        assert stage.ask(b"get:home:anna:n:" + b"&".join(escaped)).line == b"&".join(escaped.values())

    each()


def test_parsers_for_other_rows() -> None:
    assert fields.word(b"lond_1") == "lond_1"
    assert fields.host_id(b"msul1") == "msul1"
    assert fields.unescaped(b"a%0ab") == b"a\nb"
    for parse, bad in (
        (fields.word, b"a b"),
        (fields.word, b""),
        (fields.host_id, b"../x"),
        (fields.host_id, b"\xff"),
    ):
        with pytest.raises(BadField, match="must be"):
            parse(bad)
