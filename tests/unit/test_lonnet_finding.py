"""Where a user lives and which server has room: what is asked, remembered, and chosen."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lonc.config import Config, Host, load_config
from lonc.lonnet import finding
from lonc.lonnet.answers import Home, Reply
from lonc.lonnet.finding import Homes, load_of, read_spares, spare_server

HOSTS = tuple(
    Host(name, domain, role, "peer.example", "127.0.0.1")
    for name, domain, role in (
        ("a1", "msu", "access"),
        ("l1", "msu", "library"),
        ("l2", "msu", "library"),
        ("l3", "msu", "library"),
        ("x1", "other", "library"),
    )
)


class Servers:
    """What every server answers; asked: (id, command) in order."""

    def __init__(self, **answers: str) -> None:
        self.answers = answers
        self.asked: list[tuple[str, bytes]] = []
        self.hosts = HOSTS

    def __call__(self, command: bytes, peer: str) -> Reply:
        self.asked.append((peer, command))
        word = command.partition(b":")[0].decode()
        return Reply((self.answers.get(f"{peer}_{word}") or self.answers.get(peer, "con_lost")).encode())

    def homes(self) -> Homes:
        return Homes(self, lambda: self.hosts)


def test_the_first_library_server_that_knows_the_user_wins_and_is_remembered() -> None:
    servers = Servers(l1="not_found", l2="found", l3="found")
    homes = servers.homes()
    for _ in range(3):
        home = homes.find("jane", "msu")
        assert (home.host, home.certain, bool(home)) == ("l2", True, True)
    assert servers.asked == [("l1", b"home:msu:jane"), ("l2", b"home:msu:jane")]
    homes.forget("jane", "msu")
    homes.find("jane", "msu")
    assert len(servers.asked) == 4


def test_a_home_that_left_the_table_is_asked_for_anew() -> None:
    servers = Servers(l1="not_found", l2="found", l3="found")
    homes = servers.homes()
    assert homes.find("jane", "msu").host == "l2"
    servers.hosts = tuple(host for host in HOSTS if host.id != "l2")
    assert homes.find("jane", "msu").host == "l3"


def test_a_user_whom_nobody_knows_is_remembered_for_ten_minutes() -> None:
    now = [1000.0]
    servers = Servers(l1="not_found", l2="not_found", l3="not_home")
    homes = Homes(servers, lambda: servers.hosts, lambda: now[0])
    assert homes.find("jane", "msu") == homes.find(b"jane", b"msu")
    assert (homes.find("jane", "msu").host, homes.find("jane", "msu").certain) == ("", True)
    assert len(servers.asked) == 3
    now[0] += 601
    servers.answers["l3"] = "found"
    assert homes.find("jane", "msu").host == "l3"


@pytest.mark.parametrize("answer", ["con_lost", "refused", "error: busy", "unknown_cmd", ""])
def test_an_unclear_answer_makes_an_absence_uncertain_and_not_remembered(answer: str) -> None:
    servers = Servers(l1=answer or "x", l2="not_found", l3="not_found")
    homes = servers.homes()
    assert homes.find("jane", "msu") == Home("", certain=False)
    servers.answers["l1"] = "found"
    assert homes.find("jane", "msu").host == "l1"


def test_a_domain_without_library_servers_has_no_homes() -> None:
    servers = Servers()
    assert servers.homes().find("jane", "nowhere") == Home("", certain=True)
    assert servers.asked == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "CACHE_LIMIT", 3)
    servers = Servers(l1="found")
    homes = servers.homes()
    for name in ("a", "b", "c", "d", "d", "b"):
        homes.find(name, "msu")
    assert len(servers.asked) == 4
    homes.find("a", "msu")
    assert len(servers.asked) == 5


@pytest.mark.parametrize(
    ("loads", "load"),
    [
        (("50", "0"), 50.0),
        (("1.5", "80"), 80.0),
        (("0", "0"), 0.0),
        (("con_lost", "5"), None),
        (("5", "con_lost"), None),
        (("nan", "5"), None),
        (("-1", "5"), None),
        (("inf", "5"), None),
        (("error: x", "5"), None),
    ],
)
def test_the_load_is_the_larger_of_two_numbers(loads: tuple[str, str], load: float | None) -> None:
    assert load_of("l1", Servers(l1_load=loads[0], l1_userload=loads[1])) == load


SPARES = [("l1", ""), ("l2", "fast"), ("own", ""), ("l3", "fast"), ("gone", "")]
LOADS = {"own": "50", "l1": "20", "l2": "30", "l3": "40"}


@pytest.mark.parametrize(
    ("own", "kind", "chosen"),
    [
        (None, None, "l1"),
        (100.0, None, "l1"),
        (20.0, None, None),
        (25.0, "fast", None),
        (35.0, "fast", "l2"),
        (None, "fast", "l2"),
        (None, "none such", None),
    ],
)
def test_the_least_loaded_below_our_own_load_wins(own: float | None, kind: str | None, chosen: str | None) -> None:
    assert spare_server(SPARES, Servers(**LOADS), "own", own, kind) == chosen


def test_when_our_own_load_is_not_known_any_that_answers_is_better() -> None:
    assert spare_server(SPARES, Servers(l3="900"), "own", None, None) == "l3"
    assert spare_server(SPARES, Servers(), "own", None, None) is None


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "loncapa.conf").write_text("PerlSetVar lonHostID own\n")
    return dataclasses.replace(load_config(str(tmp_path)), tab_dir=str(tmp_path))


@pytest.mark.parametrize("name", ["spare.tab", "spares.tab"])
def test_the_table_of_spares_under_either_name(config: Config, name: str) -> None:
    text = "# spares\n\nl1\nl2:fast\r\n l3 : slow \n../x\nl4:a:b\n\xff\n"
    (Path(config.tab_dir) / name).write_bytes(text.encode("latin-1"))
    assert read_spares(config) == [("l1", ""), ("l2", "fast"), ("l3", "slow"), ("l4", "a:b")]


def test_the_shorter_name_goes_first_and_none_is_no_error(config: Config) -> None:
    assert read_spares(config) == []
    (Path(config.tab_dir) / "spares.tab").write_text("l1\n")
    (Path(config.tab_dir) / "spare.tab").write_text("l2\n")
    assert read_spares(config) == [("l2", "")]
