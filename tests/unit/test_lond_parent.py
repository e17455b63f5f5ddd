"""What lond's parent does besides: waking lonc, telling warnings rarely, the hand-over; a store that is away."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lonc.config import Config, load_config, load_hosts
from lonc.errors import ConfigError, StartError
from lonc.lond import restart, wake
from lonc.lond.house import House
from lonc.lond.reopening import TRY_EVERY_S, ReopeningStore
from lonc.lond.store import Owner, Store, StoreError
from lonc.lond.tidings import MOST_STRANGERS, Tidings
from lonc.lonnet import waking
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock
from lonc.system.logs import Severity
from lonc.system.scoreboard import HeaderRecord
from lonc.system.sealed import write_sealed


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1e9


class Lines:
    """Stands for a log."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str, severity: Severity = Severity.NONE) -> None:
        self.lines.append(f"{severity.word} {text}".strip())


HOSTS = "own:msu:library:own.example:10.0.0.9\nfar:msu:library:far.example:10.0.0.1\n"


def write_config(place: Path, more: str = "") -> None:
    """Write a whole installation below place."""
    (place / "logs").mkdir(exist_ok=True)
    words = f"PerlSetVar lonHostID own\nPerlSetVar lonDaemons {place}\nPerlSetVar lonTabDir {place}\n"
    (place / "loncapa.conf").write_text(words + more)
    (place / "hosts.tab").write_text(HOSTS)


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Return what the parent holds, without a pool."""
    write_config(tmp_path)
    config = load_config(str(tmp_path))
    made = SimpleNamespace(
        config=config, hosts=load_hosts(config).hosts, files=SystemFiles(), clock=Time(), log=Lines(),
        argv=("/nowhere",), bound=("*", 1), header=HeaderRecord(started=5.0, restarts=2),
        lock=SimpleNamespace(fd=11), listener=socket.create_server(("127.0.0.1", 0)),
    )  # fmt: skip
    return cast(House, made)


def lines(house: House) -> list[str]:
    return cast(Lines, house.log).lines


# --- waking lonc ------------------------------------------------------------------------------------------


@pytest.fixture
def signalled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the list of signals that would have been sent."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, signum: sent.append((pid, signum)))
    return sent


def test_lonc_is_woken_once_per_client_and_minute(house: House, signalled: list[tuple[int, int]]) -> None:
    config = house.config
    lock = DaemonLock.acquire(config.lock_path, SystemFiles())
    Path(config.pid_path).write_text(f"{os.getpid()}\n")
    waker = wake.Waker(config, house.files, house.clock, house.log)
    assert waker.connected("far", ["own"])
    assert not waker.connected("far", ["own"])
    assert waker.connected("other", ["own"])
    assert not waker.connected("own", ["own"])
    cast(Time, house.clock).now += wake.WAKE_EVERY_S
    assert waker.connected("far", ["own"])
    assert signalled == [(os.getpid(), signal.SIGUSR1)] * 3
    lock.close()


def test_only_who_holds_the_lock_is_lonc(house: House, signalled: list[tuple[int, int]]) -> None:
    config, files = house.config, house.files
    assert waking.find_lonc(config, files) == 0
    for text in ("1\n", "0\n", "garbage", f"{os.getppid()}\n", "999999999\n"):
        Path(config.pid_path).write_text(text)
        assert waking.find_lonc(config, files) == 0
    lock = DaemonLock.acquire(config.lock_path, SystemFiles())
    assert waking.find_lonc(config, files) == 0, "another pid stands in the file"
    Path(config.pid_path).write_text(f"{os.getpid()}\n")
    assert waking.find_lonc(config, files) == os.getpid()
    lock.close()
    assert not wake.Waker(config, files, house.clock, house.log).connected("far", [])
    assert signalled == []


def test_a_lonc_of_another_user_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signum: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    lock = DaemonLock.acquire(house.config.lock_path, SystemFiles())
    Path(house.config.pid_path).write_text(f"{os.getpid()}\n")
    monkeypatch.setattr(os, "kill", refuse)
    assert not wake.Waker(house.config, house.files, house.clock, house.log).connected("far", [])
    why = "cannot be told about far: Operation not permitted"
    assert lines(house) == [f"WARNING lonc, process {os.getpid()}, {why}"]
    lock.close()


# --- what workers tell --------------------------------------------------------------------------------------


def test_warnings_are_told_once_in_ten_minutes(house: House) -> None:
    tidings = Tidings(house)
    for _ in range(3):
        tidings.take("w1", b"stranger:10.9.9.9")
        tidings.take("w2", b"fault:far:2001:db8::1:wrong opening dialogue")
    assert lines(house) == [
        "WARNING Unknown client refused: 10.9.9.9 is in no line of hosts.tab",
        "WARNING Link of far (2001:db8::1) ended: wrong opening dialogue",
    ]
    cast(Time, house.clock).now += 601
    tidings.take("w1", b"stranger:10.9.9.9")
    assert len(lines(house)) == 3
    assert "2 more times" in lines(house)[2]


def test_any_number_of_strangers_fits_into_memory(house: House) -> None:
    tidings = Tidings(house)
    for number in range(MOST_STRANGERS + 10):
        tidings.take("w1", b"stranger:10.9.%d.%d" % divmod(number, 256))
    assert len(tidings._told) <= MOST_STRANGERS
    tidings.take("w1", b"nonsense")


# --- the hand-over ------------------------------------------------------------------------------------------


def sealed(house: House, **changed: object) -> int:
    notes: dict[str, Any] = restart._notes(house) | changed
    return write_sealed("lond-handover", json.dumps(notes).encode())


def test_the_hand_over_comes_back(house: House) -> None:
    notes = restart.read_notes(sealed(house))
    assert (notes.pid, notes.lock_fd, notes.bound, notes.started) == (os.getpid(), 11, ("*", 1), 5.0)
    assert notes.restarts == 3
    listener = restart.adopt_listener(dataclasses.replace(notes, listener_fd=os.dup(notes.listener_fd)))
    assert listener.getsockname() == house.listener.getsockname()
    assert not listener.get_inheritable()
    listener.close()


def test_a_forged_hand_over_is_refused(house: House, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="is for process 1"):
        restart.read_notes(sealed(house, pid=1))
    for damage in ({"bound": 5}, {"lock_fd": "x"}, {"settings": 1}):
        with pytest.raises(StartError, match="cannot be read"):
            restart.read_notes(sealed(house, **damage))
    with (tmp_path / "file").open("wb") as file, pytest.raises(StartError, match="holds no hand-over"):
        restart.read_notes(file.fileno())
    reader, writer = os.pipe()
    with pytest.raises(StartError, match="is no listening socket"):
        restart.adopt_listener(dataclasses.replace(restart.read_notes(sealed(house)), listener_fd=reader))
    os.close(writer)


def test_what_became_unusable_is_kept_from_the_former_self(house: House, tmp_path: Path) -> None:
    fd = sealed(house)
    assert restart.load_or_keep(str(tmp_path), fd).troubles == ()
    (tmp_path / "hosts.tab").write_text("half a li")
    found = restart.load_or_keep(str(tmp_path), fd)
    assert [host.id for host in found.table.hosts] == ["own", "far"]
    assert "hosts.tab became unusable during the restart" in found.troubles[0]
    write_config(tmp_path, "PerlSetVar londIdleWorkers none\n")
    found = restart.load_or_keep(str(tmp_path), fd)
    assert found.config.idle_workers == house.config.idle_workers
    assert "The configuration became unusable during the restart" in found.troubles[0]
    elsewhere = tmp_path / "else"
    elsewhere.mkdir()
    write_config(tmp_path, f"PerlSetVar lonDaemons {elsewhere}\n")
    found = restart.load_or_keep(str(tmp_path), fd)
    assert found.config.daemons_dir == house.config.daemons_dir
    assert "lonDaemons cannot change" in found.troubles[0]
    (tmp_path / "hosts.tab").write_text("")
    with pytest.raises(ConfigError):
        restart.load_or_keep(str(tmp_path), sealed(house, hosts=[]))


# --- a store that is away -----------------------------------------------------------------------------------


def test_a_store_is_opened_when_it_is_back_and_not_asked_too_often(house: House) -> None:
    attempts = 0
    there = False

    def opener(_config: Config) -> Store:
        nonlocal attempts
        attempts += 1
        if not there:
            raise StoreError("no server")
        return cast(Store, SimpleNamespace(exists=lambda owner: owner.name == b"joe", close=lambda: None))

    store = ReopeningStore(house.config, house.clock, opener)
    assert store.open() == "no server"
    for _ in range(5):
        with pytest.raises(StoreError, match="no server"):
            store.exists(Owner(b"msu", b"joe"))
    assert attempts == 1
    there = True
    cast(Time, house.clock).now += TRY_EVERY_S
    assert store.exists(Owner(b"msu", b"joe"))
    assert not store.exists(Owner(b"msu", b"ann"))
    assert store.open() == ""
    assert attempts == 2
    store.close()
    store.close()
