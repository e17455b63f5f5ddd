"""The client library and the server's commands understand each other: values in, the same values out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.lonnet.answers import AuthKind, Home, Reply
from lonc.lonnet.finding import Homes
from lonc.lonnet.server import Server
from lonc.lonnet.users import User
from tests.unit.command_stage import HOSTS, NOW, Stage, stages

ODD = {"": "empty key is none", "a:b&c=d%": "x:y&z=%\n\x00", "ä\udcff": "\udcfeö", "n": "5", "blank": ""}
GOOD = {key: value for key, value in ODD.items() if key}


class Direct:
    """The network with one server, without sockets: what goes out as `encrypt:` arrives as an encrypted frame."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.homes = Homes(lambda command, _peer: self.reply(command, "here1"), lambda: HOSTS)

    def reply(self, command: bytes, peer: str) -> Reply:
        clear = command.removeprefix(b"encrypt:")
        return Reply(self._stage.ask(clear, encrypted=clear != command).line)

    critical = reply

    def homeserver(self, user: str | bytes, domain: str | bytes) -> Home:
        return self.homes.find(user, domain)

    def forget_home(self, user: str | bytes, domain: str | bytes) -> None:
        self.homes.forget(user, domain)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    yield from stages(tmp_path)


@pytest.fixture
def anna(stage: Stage) -> User:
    return User(Direct(stage), "anna", "home")


def test_data_comes_back_as_it_was_stored(anna: User) -> None:
    assert anna.put("my/notes", GOOD, critical=True).done
    assert anna.get("my/notes", GOOD).value == GOOD
    assert anna.get("my_notes", ["n"], secret=True).value == {"n": "5"}
    assert anna.dump("my_notes").value == GOOD
    assert sorted(anna.keys("my_notes").value) == sorted(GOOD)
    assert anna.dump("my_notes", "^(n|blank)$").value == {"blank": "", "n": "5"}
    assert list(anna.dump("my_notes", last=2).value) == list(anna.dump("my_notes").value)[:2]
    assert list(anna.dump("my_notes", first=3).value) == list(anna.dump("my_notes").value)[2:]
    assert not anna.newput("my_notes", {"n": "6", "fresh": "1"}).answered
    assert anna.inc("my_notes", {"n": 1.5, "counter": -2}).done
    assert anna.get("my_notes", ["n", "counter", "fresh"]).value == {"n": "6.5", "counter": "-2", "fresh": ""}
    assert anna.delete("my_notes", GOOD).done
    assert anna.keys("my_notes").value == ["counter"]


def test_a_namespace_without_anything_is_empty(anna: User) -> None:
    assert anna.dump("none").value == {}
    assert anna.keys("none").value == []
    assert anna.get("none", ["a"]).value == {"a": ""}
    assert anna.restore("none", "r").value.number == 0


def test_a_record_comes_back_with_its_versions(anna: User) -> None:
    assert anna.store("work", "res/msu/a.problem:1", GOOD).done
    assert anna.store("work", "res/msu/a.problem:1", {"n": "6"}, critical=True).done
    record = anna.restore("work", "res/msu/a.problem:1").value
    assert record.number == 2
    assert [version.values for version in record.versions] == [GOOD, {"n": "6"}]
    assert [version.time for version in record.versions] == [float(int(NOW))] * 2
    assert record.latest == GOOD | {"n": "6"}


def test_an_account_from_its_making_to_a_new_password(stage: Stage) -> None:
    direct = Direct(stage)
    bert = User(direct, "bert", "home")
    assert bert.authenticate("any").kind is AuthKind.NO_HOST
    assert User(direct, "bert", "home", home="here1").make("internal", "pass:word&").done
    assert bert.home().host == "here1"
    assert bert.authenticate("pass:word&")
    assert bert.authenticate("wrong").kind is AuthKind.NOT_AUTHORIZED
    assert bert.change_password("pass:word&", "ä=").done
    assert bert.authenticate("ä=")
    assert bert.current_auth().value[0] == "internal"
    assert User(direct, "bert", "home", home="here1").make("internal", "x").text == "already_exists"
    assert User(direct, "nobody", "home", home="here1").authenticate("x").kind is AuthKind.UNKNOWN_USER


def test_roles_ids_and_what_is_left_for_a_moment(stage: Stage, anna: User) -> None:
    assert anna.put_roles("boss", "home", {"/home/_st": "1_2"}).done
    assert anna.dump("roles").value == {"/home/_st": "1_2"}
    assert anna.delete_roles("boss", "home", ["/home/_st"]).done
    assert anna.dump("roles").value == {}
    assert anna.log("Login: 50% done").done
    server = Server(Direct(stage), "here1")
    assert server.put_ids("home", {"A 1": "anna"}).done
    assert server.get_ids("home", ["A 1", "A 2"]).value == {"A 1": "anna", "A 2": ""}
    key = server.put_for_a_moment("some:data\n&").value
    assert server.get_of_a_moment(key).value == "some:data\n&"
    assert server.delete_of_a_moment(key).done
    assert server.load() is not None
    assert server.ping().value == "here1"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.dictionaries(st.text(min_size=1, max_size=50), st.text(max_size=100), min_size=1, max_size=8))
def test_any_text_comes_back(anna: User, values: dict[str, str]) -> None:
    assert anna.put("any", values).done
    assert anna.get("any", values).value == values
