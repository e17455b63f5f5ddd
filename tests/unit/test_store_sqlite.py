"""SQLite engine: its files, and what happens when something else stands at their place."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from lonc.lond.store import Owner, StoreError
from lonc.lond.store.sqlite import OPEN_DATABASES, SCHEMA, SqliteStore, _Base
from tests.fakes.faulty_files import FaultyFiles

ANN = Owner(b"msu", b"ann")


def put(store: SqliteStore, owner: Owner = ANN, value: bytes = b"1") -> None:
    """Write one key."""
    with store.writing(owner, b"ns", b"P:1:a") as space:
        space.put(b"a", value)


def got(store: SqliteStore, owner: Owner = ANN) -> bytes | None:
    """Return that key."""
    return store.get_many(owner, b"ns", [b"a"])[0]


def base(tmp_path: Path) -> Path:
    """Return where the database is."""
    return tmp_path / "msu" / "lond.sqlite"


def test_files_are_for_us_alone(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "users"))
    put(store)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "users").rglob("*")}
    assert modes == {"msu": 0o700, "lond.sqlite": 0o600, "lond.sqlite-wal": 0o600, "lond.sqlite-shm": 0o600}
    store.close()
    assert [path.name for path in (tmp_path / "users" / "msu").iterdir()] == ["lond.sqlite"]


def test_every_commit_is_synced(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    put(store)
    link = store._bases[b"msu"].link
    assert link.execute("pragma journal_mode").fetchone() == ("wal",)
    assert link.execute("pragma synchronous").fetchone() == (2,)  # FULL
    assert link.execute("pragma user_version").fetchone() == (SCHEMA,)
    store.close()


def test_two_may_make_the_same_database_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = SqliteStore(str(tmp_path)), SqliteStore(str(tmp_path))
    ask = _Base._pragma
    asked: list[str] = []

    def between(own: _Base, name: str) -> int:
        """Have the second store make the tables right behind the first question."""
        found = ask(own, name)
        asked.append(name)
        if len(asked) == 1:
            put(second)
        return found

    monkeypatch.setattr(_Base, "_pragma", between)
    put(first, value=b"2")
    assert got(second) == b"2"
    first.close()
    second.close()


def test_many_domains_keep_few_databases_open(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    owners = [Owner(b"d%d" % number, b"ann") for number in range(OPEN_DATABASES + 5)]
    for number, owner in enumerate(owners):
        put(store, owner, b"%d" % number)
    assert len(store._bases) == OPEN_DATABASES
    assert [got(store, owner) for owner in owners] == [b"%d" % number for number in range(len(owners))]
    assert len(store._bases) == OPEN_DATABASES
    store.close()
    assert got(store) is None  # closed is not broken: it opens again
    store.close()


@pytest.mark.parametrize("content", [b"no database at all\n" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_told(tmp_path: Path, content: bytes) -> None:
    base(tmp_path).parent.mkdir()
    base(tmp_path).write_bytes(content)
    store = SqliteStore(str(tmp_path))
    for call in (put, got):
        with pytest.raises(StoreError, match="the database of domain msu is damaged"):
            call(store)
    assert base(tmp_path).read_bytes() == content


def test_damage_inside_is_told_and_the_process_goes_on(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    for number in range(300):
        with store.writing(Owner(b"msu", b"u%d" % number), b"ns", b"") as space:
            space.put(b"a", b"x" * 500)
    store.close()
    whole = base(tmp_path).read_bytes()
    base(tmp_path).write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))
    for number in range(300):
        with pytest.raises(StoreError, match="damaged"):
            got(store, Owner(b"msu", b"u%d" % number))
    put(store, Owner(b"osu", b"ann"))
    store.close()


def test_a_newer_schema_and_a_foreign_database_are_refused(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    put(store)
    store.close()
    with sqlite3.connect(base(tmp_path)) as link:
        link.execute(f"pragma user_version = {SCHEMA + 1}")
    link.close()
    with pytest.raises(StoreError, match=f"has schema {SCHEMA + 1}, newer than the {SCHEMA} of this lond"):
        put(store)
    (tmp_path / "osu").mkdir()
    with sqlite3.connect(tmp_path / "osu" / "lond.sqlite") as link:
        link.execute("pragma application_id = 7")
    link.close()
    with pytest.raises(StoreError, match="is another program's"):
        put(store, Owner(b"osu", b"ann"))


def test_a_database_put_back_from_a_backup_is_seen(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    put(store, value=b"old")
    store.close()
    backup = base(tmp_path).read_bytes()
    put(store, value=b"new")
    for path in base(tmp_path).parent.iterdir():
        path.unlink()
    assert got(store) is None
    put(store, value=b"newer")
    for path in base(tmp_path).parent.iterdir():
        path.unlink()
    base(tmp_path).write_bytes(backup)
    assert got(store) == b"old"
    store.close()


@pytest.mark.parametrize("name", ["lond.sqlite", "lond.sqlite-wal", "lond.sqlite-shm", "lond.sqlite-journal"])
def test_links_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "msu").mkdir()
    (tmp_path / "msu" / name).symlink_to(tmp_path / "elsewhere")
    store = SqliteStore(str(tmp_path))
    with pytest.raises(StoreError, match=r"the database of domain msu cannot be used: .*symbolic link"):
        put(store)
    assert not (tmp_path / "elsewhere").exists()


def test_other_things_at_its_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "msu").write_bytes(b"")
    (tmp_path / "osu").mkdir()
    os.mkfifo(tmp_path / "osu" / "lond.sqlite")
    (tmp_path / "psu" / "lond.sqlite").mkdir(parents=True)
    store = SqliteStore(str(tmp_path))
    for domain in (b"msu", b"osu", b"psu"):
        with pytest.raises(StoreError, match="cannot be used"):
            put(store, Owner(domain, b"ann"))


def test_a_writer_is_waited_for_and_then_told(tmp_path: Path) -> None:
    store, other = SqliteStore(str(tmp_path), busy_s=0.1), SqliteStore(str(tmp_path))
    put(store)
    with other.writing(ANN, b"ns", b"") as space:
        space.put(b"a", b"2")
        with pytest.raises(StoreError, match="is busy: another process has been writing"):
            put(store)
        assert got(store) == b"1"
    put(store, value=b"3")
    assert got(other) == b"3"
    store.close()
    other.close()


def test_an_error_of_sqlite_inside_is_told_and_taken_back(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path))
    put(store)
    store._bases[b"msu"].link.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 1000)
    with pytest.raises(StoreError, match="string or blob too big"):
        put(store, value=b"2" * 2000)
    assert got(store) == b"1"
    put(store, value=b"3")
    assert got(store) == b"3"
    store.close()


@pytest.mark.parametrize("number", range(1, 12))
def test_a_failing_call_while_making_is_told(tmp_path: Path, number: int) -> None:
    store = SqliteStore(str(tmp_path / "users"), FaultyFiles(failing={number}))
    try:
        put(store)
    except StoreError:
        put(store)
    assert got(store) == b"1"
    store.close()
