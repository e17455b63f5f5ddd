"""Who a client of lond is: addresses, names that resolve slowly or not at all, and our own ids."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lonc.config import Config, Host, load_config
from lonc.lond.clients import ASK_AGAIN_S, RESOLVED_FOR_S, Clients, own_hosts, plain_address


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 5.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1e9


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a configuration whose own id is `own`."""
    words = "PerlSetVar lonHostID own\nPerlSetVar loncConnectTimeout 0.2\n"
    (tmp_path / "loncapa.conf").write_text(words)
    return load_config(str(tmp_path))


def host(name: str, address: str = "", host_name: str = "") -> Host:
    return Host(name, "msu", "library", host_name or f"{name}.example", address)


def test_addresses_are_compared_in_one_form() -> None:
    for text in ("127.0.0.1", "::ffff:127.0.0.1", "::FFFF:7f00:1"):
        assert plain_address(text) == "127.0.0.1"
    assert plain_address("2001:DB8:0:0::1") == plain_address("2001:db8::1%eth0") == "2001:db8::1"
    assert plain_address("") == ""
    assert plain_address("none") == "none"


def test_the_last_line_of_an_address_wins_but_for_our_own(config: Config) -> None:
    hosts = [host("a", "10.0.0.1"), host("own", "10.0.0.9"), host("b", "10.0.0.1"), host("own2", "10.0.0.9"),
             host("six", "2001:db8::1")]  # fmt: skip
    clients = Clients(config, hosts, Time())
    assert clients.find("10.0.0.1") == "b"
    assert clients.find("::ffff:10.0.0.1") == "b"
    assert clients.find("10.0.0.9") == "own"
    assert clients.find("2001:db8:0::1") == "six"
    assert clients.find("10.0.0.3") is None
    assert clients.find("") is None
    assert clients.own_ids == (b"own", b"own2")


def test_our_own_ids_share_our_address_or_our_name(config: Config) -> None:
    by_address = [host("x", "10.0.0.1", "own.example"), host("own", "10.0.0.9"), host("y", "10.0.0.9", "else")]
    assert own_hosts(config, by_address) == ["own", "y"]
    by_name = [host("own", "10.0.0.9", "One.example"), host("x", "", "one.EXAMPLE"), host("y", "", "two.example")]
    assert own_hosts(config, by_name) == ["own", "x"]
    assert own_hosts(config, [host("x", "10.0.0.1")]) == ["own"], "also when it is not in the table"


def test_names_are_asked_for_strangers_only_and_not_each_time(config: Config) -> None:
    asked: list[str] = []
    answers = {"a.example": ["10.0.0.1"], "b.example": ["::ffff:10.0.0.2", "10.0.0.3"]}

    def look_up(name: str) -> list[str]:
        asked.append(name)
        return answers[name]

    time = Time()
    clients = Clients(config, [host("a"), host("b"), host("c", "10.0.0.4")], time, look_up)
    assert clients.find("10.0.0.4") == "c"
    assert asked == []
    assert clients.find("10.0.0.2") == "b"
    assert clients.find("10.0.0.3") == "b"
    assert clients.find("10.0.0.1") == "a"
    assert clients.find("10.0.0.5") is None
    assert sorted(asked) == ["a.example", "b.example"]
    answers["a.example"] = ["10.0.0.5"]
    time.now += ASK_AGAIN_S
    assert clients.find("10.0.0.5") == "a", "it has moved"
    assert len(asked) == 4
    time.now += RESOLVED_FOR_S
    answers["b.example"] = ["10.0.0.7"]
    assert clients.find("10.0.0.3") is None, "what was found does not hold for ever"
    assert clients.find("10.0.0.7") == "b"


def test_a_name_server_that_is_away_changes_nothing(config: Config) -> None:
    away = False

    def look_up(name: str) -> list[str]:
        if away or name == "bad.example":
            raise OSError("no name server")
        if name == "worse.example":
            raise UnicodeError("no name at all")
        return ["10.0.0.1"]

    time = Time()
    clients = Clients(config, [host("bad"), host("good"), host("worse")], time, look_up)
    assert clients.find("10.0.0.1") == "good"
    away = True
    time.now += 10 * RESOLVED_FOR_S
    assert clients.find("10.0.0.1") == "good"


def test_a_name_that_hangs_holds_up_no_other_and_not_for_long(config: Config) -> None:
    gate = threading.Event()

    def look_up(name: str) -> list[str]:
        if name == "slow.example":
            assert gate.wait(60)
        return [f"10.0.0.{len(name)}"]

    class Real(Time):
        def monotonic(self) -> float:
            import time

            return time.monotonic()

    clients = Clients(config, [host("slow"), *(host("x" * n) for n in range(1, 60))], Real(), look_up)
    try:
        assert clients.find("10.0.0.15") == "x" * 7
    finally:
        gate.set()


def test_of_several_names_with_one_address_the_last_wins_and_an_address_before_all(config: Config) -> None:
    clients = Clients(config, [host("a"), host("b")], Time(), lambda _name: ["10.0.0.1"])
    assert clients.find("10.0.0.1") == "b"
    clients = Clients(config, [host("c", "10.0.0.1"), host("b")], Time(), lambda _name: ["10.0.0.1"])
    assert clients.find("10.0.0.1") == "c"
    clients = Clients(config, [host("own"), host("b")], Time(), lambda _name: ["10.0.0.1"])
    assert clients.find("10.0.0.1") == "b"


def test_who_may_go_on_when_the_table_was_read_again(config: Config) -> None:
    clients = Clients(config, [host("a", "10.0.0.1"), host("b", "10.0.0.1"), host("n")], Time(), lambda _name: [])
    assert clients.keeps("a", "::ffff:10.0.0.1"), "also when a later line has its address, too"
    assert clients.keeps("b", "10.0.0.1")
    assert not clients.keeps("a", "10.0.0.2")
    assert not clients.keeps("gone", "10.0.0.1")
    assert clients.keeps("n", "10.0.0.7"), "a host that has a name only keeps its link"
