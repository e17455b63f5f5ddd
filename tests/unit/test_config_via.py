"""loncVia and londVia: what may stand there, what of it does not fit a table, who a client out of a tunnel is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lonc.cli.ctl.doctor import verdicts
from lonc.cli.ctl.doctor.steps import Verdict
from lonc.cli.ctl.doctor.talk import Heard
from lonc.cli.ctl.explain import answers
from lonc.config import SETTINGS, Config, Place, is_local, load_config, load_hosts, tunnels_of, via_of
from lonc.config.hosts import table_of
from lonc.config.plain import config_of, settings_of
from lonc.errors import ConfigError
from lonc.lond.clients import Clients
from lonc.lond.commands.administration import host_problem
from lonc.system.clock import SystemClock
from lonc.wire import words
from lonc.wire.link import Lost, LostReason

TABLE = b"own:msu:library:o.example:10.0.0.9\na:msu:library:a.example:10.0.0.1\nb:msu:library:b.example:https\n"


def load(folder: Path, *lines: str, table: bytes = TABLE) -> Config:
    """Write files of a configuration and read them."""
    (folder / "hosts.tab").write_bytes(table)
    base = f"PerlSetVar lonHostID own\nPerlSetVar lonTabDir {folder}\n"
    (folder / "loncapa.conf").write_text(base + "".join(f"PerlSetVar {line}\n" for line in lines))
    return load_config(str(folder))


@pytest.mark.parametrize(
    ("word", "places"),
    [
        ("", {}),
        ("a=127.0.0.1:7001", {"a": Place("127.0.0.1", 7001)}),
        ("a=10.1.2.3:1,b=[::1]:65535", {"a": Place("10.1.2.3", 1), "b": Place("::1", 65535)}),
        ("b=[2001:DB8:0::1]:7", {"b": Place("2001:db8::1", 7)}),
    ],
)
def test_where_peers_are_dialed(tmp_path: Path, word: str, places: dict[str, Place]) -> None:
    config = load(tmp_path, f"loncVia {word}")
    assert {peer: via_of(config, peer) for peer in ("a", "b") if via_of(config, peer)} == places
    assert via_of(config, "c") is None
    load_hosts(config)
    kept = config_of(settings_of(config))
    assert kept is not None
    assert kept.via == config.via, "over a restart in place"


BAD = (
    "a", "a=", "=127.0.0.1:1", "a=127.0.0.1", "a=127.0.0.1:", "a=127.0.0.1:0", "a=127.0.0.1:65536",
    "a=localhost:7001", "a=::1:7001", "a=[::1]", "a=[127.0.0.1]:1", "a=127.0.0.256:1", "a=127.0.0.1:1,",
    ",a=127.0.0.1:1", "a=127.0.0.1:1,a=127.0.0.1:2", "a=127.0.0.1:1 b=127.0.0.1:2", "a=127.0.0.1:1, b=127.0.0.1:2",
    "../a=127.0.0.1:1", "a=127.0.0.1:+1", "a=127.0.0.1:1\u0661", "a=[::1%lo]:1", "delayed=127.0.0.1:1",
    "a=127.0.0.01:1", '"a=127.0.0.1:1"', "a=127.0.0.1:1 # b",
)  # fmt: skip


@pytest.mark.parametrize("word", BAD)
def test_anything_else_is_an_error_with_file_line_value_and_what_is_allowed(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"loncVia {word}")
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"{tmp_path}/loncapa.conf:3: loncVia is ")
    assert "peers as ID=ADDRESS:PORT" in problem.text


@pytest.mark.parametrize(
    "word", [*BAD, "a=127.0.0.1:1", "a=10.0.0.1", "a=0.0.0.0", "a=[::]", "a=127.0.0.1,b=127.0.0.1", "a=[::2]"]
)
def test_tunnels_come_from_this_machine_and_each_from_an_address_of_its_own(tmp_path: Path, word: str) -> None:
    right = {"a=127.0.0.1": {"127.0.0.1": "a"}, "a=[::1]": {"::1": "a"}}
    if word in right:  # what lacks a port is wrong for loncVia alone
        assert tunnels_of(load(tmp_path, f"londVia {word}")) == right[word]
        return
    with pytest.raises(ConfigError, match="only addresses of"):
        load(tmp_path, f"londVia {word}")


def test_names_that_the_table_does_not_have_are_errors(tmp_path: Path) -> None:
    config = load(tmp_path, "loncVia a=127.0.0.1:1,c=127.0.0.1:2", "londVia c=127.0.0.2")
    with pytest.raises(ConfigError) as caught:
        load_hosts(config)
    assert [str(problem) for problem in caught.value.problems] == [
        f"{tmp_path}/loncapa.conf:{line}: {name} has '{pair}'; only ids with a usable line in {tmp_path}/hosts.tab"
        " are allowed"
        for line, name, pair in ((3, "loncVia", "c=127.0.0.1:2"), (4, "londVia", "c=127.0.0.2"))
    ]
    bare = dataclasses.replace(config, via_places=())  # a former self's, of an earlier release
    with pytest.raises(ConfigError, match=r"hosts\.tab: loncVia has"):
        load_hosts(bare)


def test_a_pushed_table_that_lacks_one_is_not_installed(tmp_path: Path) -> None:
    config = load(tmp_path, "loncVia a=127.0.0.1:1")
    assert host_problem(config, TABLE) == ""
    assert "loncVia" in host_problem(config, TABLE.replace(b"a:msu", b"aa:msu"))
    assert host_problem(config, b"") == "it has no usable host"


def test_an_address_of_the_table_is_no_end_of_a_tunnel(tmp_path: Path) -> None:
    config = load(tmp_path, "londVia a=127.0.0.5")
    data = TABLE + b"d:msu:library:d.example:127.0.0.5\n"
    with pytest.raises(ConfigError, match="it is that of d"):
        table_of(config, data)


def test_who_comes_out_of_a_tunnel(tmp_path: Path) -> None:
    config = load(tmp_path, "londVia a=127.0.0.5,own=127.0.0.6,b=[::1]")
    hosts = load_hosts(config).hosts
    clients = Clients(config, hosts, SystemClock(), look_up=lambda name: [])
    assert [clients.find(one) for one in ("127.0.0.5", "::ffff:127.0.0.5", "127.0.0.6", "::1", "10.0.0.1")] == [
        "a", "a", "own", "b", "a",
    ]  # fmt: skip
    assert clients.find("127.0.0.7") is None
    assert clients.keeps("a", "127.0.0.5")
    assert clients.keeps("a", "10.0.0.1")
    assert not clients.keeps("a", "127.0.0.7")
    plain = Clients(load(tmp_path), hosts, SystemClock(), look_up=lambda name: [])
    assert not plain.keeps("a", "127.0.0.5"), "after HUP without it"


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False),
     ("::", False), ("", False), ("localhost", False)],
)  # fmt: skip
def test_what_never_leaves_this_machine(address: str, local: bool) -> None:
    assert is_local(address) is local


@pytest.mark.parametrize(
    ("addresses", "via", "verdict", "said", "remedy"),
    [
        (["10.0.0.1"], None, Verdict.OK, "in clear", "loncVia a=127.0.0.1:PORT"),
        ([], None, Verdict.OK, "in clear", "loncVia"),
        (["127.0.0.1", "10.0.0.1"], None, Verdict.OK, "in clear", "loncVia"),
        (["127.0.0.9"], None, Verdict.OK, "does not leave this machine", ""),
        (["127.0.0.1"], Place("127.0.0.1", 7001), Verdict.OK, "127.0.0.1:7001, by loncVia", ""),
        (["10.0.0.7"], Place("10.0.0.7", 7001), Verdict.WARNING, "until it is there, all goes", "127.0.0.0"),
    ],
)
def test_doctor_says_who_can_read_along(
    addresses: list[str], via: Place | None, verdict: Verdict, said: str, remedy: str
) -> None:
    step = verdicts.line_step("a", addresses, via)
    assert (step.name, step.verdict) == ("line", verdict)
    assert said in step.text
    assert remedy in step.remedy
    assert bool(step.remedy) == bool(remedy)


def test_doctor_names_no_address_of_ours_where_a_tunnel_hides_it() -> None:
    ends = verdicts.Ends("a", "own", "127.0.0.1", 15.0, tunnel=True)
    good = verdicts.judge(Heard("challenge", 0.1, b"ok", None), ends)
    refused = Heard("challenge", 0.1, words.REFUSED, Lost(LostReason.INIT_FAILED, ""))
    for step in (good, verdicts.judge(refused, ends)):
        assert "127.0.0.1" not in step.text + step.remedy
    assert "londVia" in verdicts.judge(refused, ends).remedy


def test_every_setting_is_explained() -> None:
    for setting in SETTINGS:
        found = [one for one in answers(setting.name) if one.kind == "setting"]
        assert [one.name for one in found] == [setting.name]
    assert answers("LONCVIA")[0].cause.startswith("where peers are dialed")
