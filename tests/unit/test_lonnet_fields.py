"""Values as fields and reply lines as values; what a user's questions look like on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.lonnet import fields
from lonc.lonnet.answers import AuthKind, Home, Reply, Status
from lonc.lonnet.server import Server
from lonc.lonnet.users import User


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_pairs_come_back_as_they_were(values: dict[str, str]) -> None:
    line = fields.pairs(values)
    assert b"\n" not in line
    assert fields.read_pairs(line) == values


@given(st.binary())
def test_any_bytes_come_back_as_they_were(data: bytes) -> None:
    assert fields.to_bytes(fields.unescaped(fields.escaped(data))) == data


@pytest.mark.parametrize(
    ("line", "read"),
    [
        (b"", {}),
        (b"a=b", {"a": "b"}),
        (b"a=b&", {"a": "b"}),
        (b"a&b=", {"a": "", "b": ""}),
        (b"a%3d=%e4%c3%a4", {"a=": "\udce4ä"}),
        (b"a=b=c", {"a": "b=c"}),
    ],
)
def test_pairs_as_servers_write_them(line: bytes, read: dict[str, str]) -> None:
    assert fields.read_pairs(line) == read


def test_values_are_put_under_the_keys_asked_for() -> None:
    assert fields.read_values(b"1&&x%20y", ["a", b"b", "c", "d"]) == {"a": "1", "b": "", "c": "x y", "d": ""}
    assert fields.read_values(b"", ["a"]) == {"a": ""}


def test_a_record_with_its_versions() -> None:
    first = b"1:keys=a:b%3a:timestamp&1:a=1&1:b%3a=x&1:timestamp=100"
    line = b"version=2&" + first + b"&2:keys=a:timestamp&2:a=2&2:timestamp=200"
    record = fields.read_record(line)
    assert record.number == 2
    assert [(v.number, v.time, v.values) for v in record.versions] == [
        (1, 100.0, {"a": "1", "b:": "x"}),
        (2, 200.0, {"a": "2"}),
    ]
    assert record.latest == {"a": "2", "b:": "x"}


@pytest.mark.parametrize("line", [b"version=0", b"", b"&&", b"x:y=z", b"1=2", b":=", b"99999999999:a=b"])
def test_a_record_of_nothing(line: bytes) -> None:
    record = fields.read_record(line)
    assert (record.number, record.latest) == (0, {})


@pytest.mark.parametrize("time", [b"", b"nan", b"x", b"1e9", b"-5"])
def test_a_time_that_is_none(time: bytes) -> None:
    assert fields.read_record(b"1:a=b&1:timestamp=" + time).versions[0].time == 0.0


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"ok", Status.OK),
        (b"", Status.OK),
        (b"not_found", Status.OK),
        (b"error: no", Status.FAILED),
        (b"refused", Status.FAILED),
        (b"rejected", Status.FAILED),
        (b"unknown_cmd", Status.FAILED),
        (b"con_lost", Status.LOST),
        (b"con_lost:and more", Status.FAILED),
        (b"con_delayed", Status.DELAYED),
        (b"con_failed", Status.NOT_KEPT),
        (b"no_such_host", Status.NO_HOST),
        (b"no_host", Status.NO_HOST),
    ],
)
def test_what_a_reply_means(line: bytes, status: Status) -> None:
    reply = Reply(line)
    assert reply.status is status
    assert reply.answered == (status is Status.OK)
    assert reply.settled == (line in (b"ok", b"con_delayed"))


class Wire:
    """The network as a user sees it: writes down what was asked, answers what it is told."""

    def __init__(self, answer: bytes = b"ok", home: Home | None = None) -> None:
        self.asked: list[tuple[str, bytes, str]] = []
        self.forgotten = 0
        self._answer = answer
        self._home = Home("msul1") if home is None else home

    def reply(self, command: bytes, peer: str) -> Reply:
        self.asked.append(("reply", command, peer))
        return Reply(self._answer)

    def critical(self, command: bytes, peer: str) -> Reply:
        self.asked.append(("critical", command, peer))
        return Reply(self._answer)

    def homeserver(self, user: object, domain: object) -> Home:
        return self._home

    def forget_home(self, user: object, domain: object) -> None:
        self.forgotten += 1


def asked(what: object) -> str:
    """Return the one command that a call on user u of msu leads to; what: a function of the user."""
    wire = Wire()
    what(User(wire, "u.v", "msu"))  # type: ignore[operator]  # given as lambdas in the table below
    ((how, command, peer),) = wire.asked
    assert peer == "msul1"
    return ("!" if how == "critical" else "") + command.decode("ascii")


@pytest.mark.parametrize(
    ("call", "command"),
    [
        (lambda u: u.put("a/b", {"k 1": "v:", b"\xff": 5}), "put:msu:u.v:a_b:k%201=v%3a&%ff=5"),
        (lambda u: u.put("n", {"k": 1}, critical=True), "!put:msu:u.v:n:k=1"),
        (lambda u: u.put("n", {"k": 1}, critical=True, secret=True), "!encrypt:put:msu:u.v:n:k=1"),
        (lambda u: u.newput("n", {"k": 1}), "newput:msu:u.v:n:k=1"),
        (lambda u: u.inc("n", {"k": 1.5, "l": -2}), "inc:msu:u.v:n:k=1%2e5&l=%2d2"),
        (lambda u: u.get("n", ["k", "l"]), "get:msu:u.v:n:k&l"),
        (lambda u: u.get("n", ["k", "l"], secret=True), "eget:msu:u.v:n:k&l"),
        (lambda u: u.delete("n", iter(["k", "l"])), "del:msu:u.v:n:k&l"),
        (lambda u: u.keys("n"), "keys:msu:u.v:n"),
        (lambda u: u.dump("n"), "dump:msu:u.v:n:%2e"),
        (lambda u: u.dump("n", "^a", last=9), "dump:msu:u.v:n:%5ea:1-9"),
        (lambda u: u.dump("n", "^a", 5), "dump:msu:u.v:n:%5ea:5-999999999"),
        (lambda u: u.store("n", "r/1", {"k": 1}), "store:msu:u.v:n:r%2f1:k=1"),
        (lambda u: u.restore("n", "r/1"), "restore:msu:u.v:n:r%2f1"),
        (lambda u: u.log("did it", critical=True), "!log:msu:u.v:did%20it"),
        (lambda u: u.put_roles("adm", "msu", {"st": 1}), "encrypt:rolesput:msu:u.v:msu:adm:st=1"),
        (lambda u: u.delete_roles("adm", "msu", ["st"]), "encrypt:rolesdel:msu:u.v:msu:adm:st"),
        (lambda u: u.authenticate("p:w"), "encrypt:auth:msu:u.v:p%3aw"),
        (lambda u: u.current_auth(), "encrypt:currentauth:msu:u.v"),
        (lambda u: u.change_password("a", "b"), "encrypt:passwd:msu:u.v:a:b"),
        (lambda u: u.change_auth("internal", "b"), "encrypt:changeuserauth:msu:u.v:internal:b"),
        (lambda u: u.make("internal", "b"), "encrypt:makeuser:msu:u.v:internal:b"),
    ],
)
def test_what_is_asked_of_the_home_server(call: object, command: str) -> None:
    assert asked(call) == command


def test_names_that_would_break_a_command_are_escaped() -> None:
    wire = Wire()
    User(wire, "a:b\n", "m su", home="x1").keys("n")
    assert wire.asked == [("reply", b"keys:m%20su:a%3ab%0a:n", "x1")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"authorized", AuthKind.AUTHORIZED),
        (b"non_authorized", AuthKind.NOT_AUTHORIZED),
        (b"unknown_user", AuthKind.UNKNOWN_USER),
        (b"con_lost", AuthKind.UNDECIDED),
        (b"refused", AuthKind.UNDECIDED),
        (b"", AuthKind.UNDECIDED),
        (b"undecided", AuthKind.UNDECIDED),
        (b"Authorized", AuthKind.UNDECIDED),
    ],
)
def test_only_one_word_lets_a_user_in(answer: bytes, kind: AuthKind) -> None:
    result = User(Wire(answer), "u", "msu").authenticate("pw")
    assert result.kind is kind
    assert bool(result) == (kind is AuthKind.AUTHORIZED)
    assert result.home == "msul1"


@pytest.mark.parametrize(("certain", "kind"), [(True, AuthKind.NO_HOST), (False, AuthKind.UNDECIDED)])
def test_without_a_home_nothing_is_asked(certain: bool, kind: AuthKind) -> None:
    wire = Wire(home=Home("", certain))
    user = User(wire, "u", "msu")
    assert user.authenticate("pw").kind is kind
    assert user.get("n", ["k"]).value == {}
    assert not user.get("n", ["k"]).ok
    assert user.restore("n", "r").value.number == 0
    assert wire.asked == []


def test_a_failure_has_no_value() -> None:
    user = User(Wire(b"error: a=b&c=d"), "u", "msu")
    assert (user.dump("n").value, user.keys("n").value, user.dump("n").ok) == ({}, [], False)
    assert user.current_auth().value == ("", "")
    assert User(Wire(b"internal:x:y"), "u", "msu").current_auth().value == ("internal", "x:y")
    assert User(Wire(b"unknown_user"), "u", "msu").current_auth().value == ("", "")


def test_what_is_asked_of_one_server() -> None:
    wire = Wire(b"7")
    server = Server(wire, "msul2")
    assert server.load() == 7.0
    assert server.ping().value == "7"
    server.put_ids("msu", {"A1": "jane"})
    assert server.get_ids("msu", ["A1", "A2"]).value == {"A1": "7", "A2": ""}
    assert server.put_for_a_moment("x y").value == "7"
    assert server.get_of_a_moment("abc").value == "7"
    server.delete_of_a_moment("abc")
    assert [command for _how, command, _peer in wire.asked] == [
        b"load", b"userload", b"ping", b"idput:msu:A1=jane", b"idget:msu:A1&A2", b"tmpput:x%20y", b"tmpget:abc",
        b"tmpdel:abc",
    ]  # fmt: skip
    assert {peer for _how, _command, peer in wire.asked} == {"msul2"}


def test_a_key_named_keys_is_no_list_of_keys() -> None:
    record = fields.read_record(b"version=1&1:keys=keys:timestamp&1:keys=mine&1:timestamp=7")
    assert record.latest == {"keys": "mine"}
    assert record.number == 1
