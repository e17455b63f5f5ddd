"""The parts of `loncctl check` that judge: versions, limits, modes, what lond says, the clock."""

from __future__ import annotations

import dataclasses
import os
import stat
from pathlib import Path

import pytest

from lonc.cli.ctl import snapshot
from lonc.cli.ctl.check import daemons, limits, machine, places
from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.ways import Room
from lonc.config import Config, load_config
from lonc.wire import idea


def levels(found: list[Finding]) -> list[str]:
    """Return the levels of findings."""
    return [finding.level.value for finding in found]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "loncapa.conf").write_text(
        "PerlSetVar lonHostID own1\nPerlSetVar londStore postgresql://u:s3cr3t@db/lond\n"
    )
    return load_config(str(tmp_path))


def test_this_installation_has_its_libraries() -> None:
    found = machine.libraries()
    assert levels(found) == ["ok"], found
    assert len(machine.requirements()) >= 10


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["psutil>=1.0"], "ok"),
        (["psutil"], "ok"),
        (["psutil>=9999.1"], "warning"),
        (["no-such-library-at-all>=1"], "error"),
        (["psutil[x] >= 1.0 ; python_version > '3'"], "ok"),
        ([], "warning"),
        ([""], "warning"),
    ],
)
def test_libraries_are_compared_with_the_lower_bounds(lines: list[str], expected: str) -> None:
    assert levels(machine.judge_libraries(lines)) == [expected]


def test_a_missing_library_is_named_with_its_version() -> None:
    (found,) = machine.judge_libraries(["no-such-library-at-all>=1.5"])
    assert found.remedy == "install no-such-library-at-all>=1.5"


def test_the_engines_of_idea(monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(machine.engine()) == ["ok"]
    monkeypatch.setattr(idea, "Idea", idea.PlainIdea)
    assert levels(machine.engine()) == ["warning"]
    monkeypatch.setattr(idea, "KNOWN_ANSWERS", (("00" * 16, "00" * 8, "00" * 8),))
    assert levels(machine.engine()) == ["error"]


def test_engines_that_disagree_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd(idea.WheelIdea):
        def encrypt(self, blocks: bytes) -> bytes:
            return blocks

    monkeypatch.setattr(idea, "Idea", Odd)
    monkeypatch.setattr(idea, "WheelIdea", Odd)
    monkeypatch.setattr(idea, "self_test", lambda: None)
    assert levels(machine.engine()) == ["error"]


@pytest.mark.parametrize(("now", "expected"), [(0.0, "error"), (1.8e9, "ok"), (5e9, "error")])
def test_impossible_times(now: float, expected: str) -> None:
    assert levels(machine.clock(now)) == [expected]


@pytest.mark.parametrize(
    ("limit", "hosts", "clients", "expected"),
    [
        (1024, 100, 500, "ok"),
        (1024, 100, 4096, "warning"),
        (256, 1000, 100, "error"),
        (1063, 1000, 100, "error"),
        (1064, 1000, 100, "ok"),
    ],
)
def test_open_files_against_hosts_and_clients(limit: int, hosts: int, clients: int, expected: str) -> None:
    assert levels(limits.judge(limit, "here", hosts=hosts, clients=clients, links=1)) == [expected]


def test_what_a_user_may_do_follows_from_owner_group_and_mode() -> None:
    facts = os.stat_result((stat.S_IFDIR | 0o750, 1, 1, 1, 1000, 50, 0, 0, 0, 0))
    assert places.may(facts, 0, frozenset(), 0o7)
    assert places.may(facts, 1000, frozenset(), 0o7)
    assert places.may(facts, 7, frozenset({50}), 0o5)
    assert not places.may(facts, 7, frozenset({50}), 0o2)
    assert not places.may(facts, 7, frozenset({51}), 0o1)


def test_what_lond_says_becomes_findings_without_passwords(config: Config) -> None:
    output = b"lond 1: configuration of own1\nstore: postgresql\nport: * 5663\nWARNING: a\nWARNING: b\n"
    found = daemons.judge_lond(config, 0, output, b"", ["a"])
    assert [(one.level.value, one.text) for one in found] == [
        ("warning", "b"),
        ("ok", "can be used (store: postgresql, port: * 5663)"),
    ]
    errors = f"lond: {config.conf_dir}: no way to {config.store}: down\nlond: second\n".encode()
    found = daemons.judge_lond(config, 2, b"", errors, [])
    assert levels(found) == ["error", "error"]
    assert "postgresql://u:***@db/lond" in found[0].text
    assert "s3cr3t" not in found[0].text
    assert levels(daemons.judge_lond(config, 1, b"", b"", [])) == ["error"]


def test_lond_belongs_here_when_it_has_a_setting_of_its_own_or_has_run(config: Config, tmp_path: Path) -> None:
    (tmp_path / "loncapa.conf").write_text(f"PerlSetVar lonHostID own1\nPerlSetVar lonDaemons {tmp_path}\n")
    bare = load_config(str(tmp_path))
    assert not daemons.lond_is_configured(bare, {"lonHostID", "londPort", "loncGrace"})
    assert daemons.lond_is_configured(bare, {"londListen"})
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "lond.lock").touch()
    assert daemons.lond_is_configured(bare, {"lonHostID"})


def test_a_file_that_is_none_and_one_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "lonc.log"
    path.mkdir()
    found = places._file(str(path), 0o007, os.geteuid(), foreign_is_error=False)
    assert levels(found) == ["error"]
    path.rmdir()
    path.touch()
    path.chmod(0o644)
    (one,) = places._file(str(path), 0o007, os.geteuid(), foreign_is_error=False)
    assert one.remedy == f"chmod 0640 {path}"
    assert Level.WARNING is one.level


@pytest.mark.parametrize(
    ("bytes_free", "inodes_free", "expected"),
    [
        (1 << 30, -1, ["ok"]),
        (50 << 20, 5000, ["warning"]),
        (1 << 20, 5000, ["error"]),
        (1 << 30, 200, ["warning"]),
        (0, 0, ["error", "error"]),
    ],
)
def test_room_that_runs_out(
    config: Config, monkeypatch: pytest.MonkeyPatch, bytes_free: int, inodes_free: int, expected: list[str]
) -> None:
    here = snapshot.take(config)
    monkeypatch.setattr(places, "rooms", lambda _paths: (Room("/x", bytes_free, 1 << 40, inodes_free),))
    assert levels(places.room(here)) == expected


def test_a_file_of_the_future_is_told(config: Config) -> None:
    assert machine.dates(snapshot.take(config)) == []
    here = snapshot.take(dataclasses.replace(config, daemons_dir=config.conf_dir))
    logs = Path(here.config.logs_dir)
    logs.mkdir()
    (logs / "lonc.log").touch()
    os.utime(logs / "lonc.log", (here.at_wall + 4000, here.at_wall + 4000))
    (found,) = machine.dates(here)
    assert found.level is Level.WARNING
    assert "in the future" in found.text
