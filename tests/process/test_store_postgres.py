"""PostgreSQL engine: lost connections, secrets in texts, what a server must be set to, many machines at once."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Iterator

import pytest

from lonc.lond.store import Owner, StoreError
from lonc.lond.store.postgres import PostgresStore, by_key, place_of
from tests.process import postgres
from tests.process.store_engines import place_for, python_for
from tests.process.waiting import wait_until

ANN = Owner(b"msu", b"ann")


@pytest.fixture
def url() -> str:
    """The address of a server with nothing in it."""
    return place_for("postgres", None)


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    """An open store."""
    made = PostgresStore(url)
    yield made
    made.close()


def put(store: PostgresStore, value: bytes = b"1") -> None:
    """Write one key."""
    with store.writing(ANN, b"ns", b"P:1:a") as space:
        space.put(b"a", value)


def got(store: PostgresStore) -> bytes | None:
    """Return it."""
    return store.get_many(ANN, b"ns", [b"a"])[0]


def end_backends() -> None:
    """End all connections to the server, as a restart does, and return when they are gone."""
    server = postgres.server()
    server.execute("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()")
    wait_until(lambda: server.backends() == [], 20, "the connections are gone")


def test_a_connection_lost_while_idle_is_noticed_by_nobody(store: PostgresStore) -> None:
    put(store)
    for value in (b"2", b"3"):
        end_backends()
        put(store, value)
        end_backends()
        assert got(store) == value
        end_backends()
        with store.reading(ANN, b"ns") as space:
            assert list(space.items()) == [(b"a", value)]
        end_backends()
        assert not store.change_account(ANN, b"x")


def test_a_connection_lost_in_a_change_is_an_error_and_no_change(store: PostgresStore) -> None:
    put(store)
    lost = "the connection to PostgreSQL was lost; whether the change was kept is not known"
    with (  # noqa: PT012 - the error comes on leaving
        pytest.raises(StoreError, match=lost),
        store.writing(ANN, b"ns", b"P:2:a") as space,
    ):
        assert space.get(b"a") == b"1"
        space.put(b"a", b"2")
        end_backends()
    assert got(store) == b"1"
    with pytest.raises(StoreError, match="was lost"), store.reading(ANN, b"ns") as space:  # noqa: PT012 - likewise
        assert space.get(b"a") == b"1"
        end_backends()
        space.get(b"b")
    put(store, b"3")
    assert got(store) == b"3"


def test_a_picture_that_was_lost_is_not_continued_with_another(store: PostgresStore) -> None:
    put(store)
    with pytest.raises(StoreError, match="was lost"), store.reading(ANN, b"ns") as space:  # noqa: PT012 - likewise
        assert space.get(b"a") == b"1"
        end_backends()
        with pytest.raises(StoreError, match="was lost"):
            space.get(b"a")
        assert store.account(ANN) is None  # on another connection, where no transaction is open
        space.get(b"a")


def test_a_change_is_not_continued_on_another_connection(store: PostgresStore) -> None:
    put(store)
    with pytest.raises(StoreError, match="was lost"), store.writing(ANN, b"ns", b"P:2:a") as space:  # noqa: PT012 - so
        assert space.get(b"a") == b"1"
        space.put(b"a", b"2")
        end_backends()
        assert store.account(ANN) is None
    assert got(store) == b"1"
    put(store, b"3")
    assert got(store) == b"3"


def test_a_server_that_is_away_is_told_and_comes_back() -> None:
    python_for("postgres")
    server = postgres.Postgres()
    try:
        store = PostgresStore(server.url)
        put(store)
        server.kill()
        for call in (put, got):
            with pytest.raises(StoreError, match="PostgreSQL cannot be reached"):
                call(store)
        server.start()
        assert got(store) == b"1"
        put(store, b"2")
        store.close()
    finally:
        server.end()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://lond:sesame@127.0.0.1:1/lond",
        "postgresql://lond:sesame@/postgres?host=/nowhere",
        "postgresql://lond:s@sesame@127.0.0.1:1/lond",  # the usual mistakes in passwords
        "postgresql://lond:s/sesame@127.0.0.1:1/lond",
        "postgresql://lond:sesame@127.0.0.1:sesame/lond",
        "postgresql://lond:%zzsesame@127.0.0.1/lond",
        "postgresql://127.0.0.1/lond?pass=sesame",
        "postgresql://127.0.0.1:1/lond?password=sesame",
        "postgresql://[sesame",
    ],
)
def test_no_text_shows_a_password(address: str) -> None:
    with pytest.raises(StoreError, match="PostgreSQL") as caught:
        PostgresStore(address)
    assert "sesame" not in "".join(traceback.format_exception(caught.value))
    assert "sesame" not in repr(caught.value)


def test_a_refused_password_is_not_shown(url: str) -> None:
    server = postgres.server()
    with pytest.raises(StoreError, match="PostgreSQL cannot be reached") as caught:
        PostgresStore(url.replace("lond:", "nobody:"))
    assert "sesame" not in str(caught.value)
    assert "nobody" in str(caught.value)
    assert server.backends() == []


def test_without_psycopg_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"psycopg is not installed: pip install lonc\[postgres\]"):
        PostgresStore("postgresql://127.0.0.1/lond")


def test_a_libpq_without_pipelines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psycopg.Pipeline.is_supported", lambda: False)
    with pytest.raises(StoreError, match="a libpq before version 14"):
        PostgresStore("postgresql://127.0.0.1/lond")


def test_a_newer_schema_is_refused(url: str) -> None:
    PostgresStore(url).close()
    postgres.server().execute("update lond_schema set version = 2")
    with pytest.raises(StoreError, match="has schema 2, this lond knows 1"):
        PostgresStore(url)


def test_the_session_waits_for_the_disk_whatever_the_database_says(url: str) -> None:
    server = postgres.server()
    server.execute("alter database postgres set synchronous_commit = off")
    try:
        store = PostgresStore(url)
        link = store.link.ready()
        shown = [link.execute(f"show {name}").fetchone() for name in ("synchronous_commit", "lock_timeout")]
        assert shown == [("on",), ("10s",)]
        store.close()
    finally:
        server.execute("alter database postgres reset synchronous_commit")


def test_a_server_without_fsync_is_refused() -> None:
    python_for("postgres")
    server = postgres.Postgres({"fsync": "off"})
    try:
        with pytest.raises(StoreError, match="fsync off"):
            PostgresStore(server.url)
    finally:
        server.end()


def test_another_writer_is_waited_for_and_then_told(url: str, store: PostgresStore) -> None:
    other = PostgresStore(url)
    put(store)
    store.link.ready().execute("set lock_timeout = '50ms'")
    with other.writing(ANN, b"ns", b"") as space:
        assert space.get(b"a") == b"1"
        with pytest.raises(StoreError, match="PostgreSQL is busy"):
            put(store, b"2")
        with store.writing(ANN, b"elsewhere", b"") as free:
            free.put(b"a", b"1")
        space.put(b"a", b"3")
    assert got(store) == b"3"
    put(store, b"4")
    assert got(other) == b"4"
    other.close()


def test_what_the_server_refuses_is_told_without_data(store: PostgresStore) -> None:
    put(store)
    server = postgres.server()
    server.execute("alter table lond_data add constraint short check (length(value) < 10)")
    with pytest.raises(StoreError, match=r"PostgreSQL says: .*constraint") as caught:
        put(store, b"secret data")
    assert "secret" not in str(caught.value)
    assert got(store) == b"1"
    put(store, b"2")
    journal = server.execute("select count(*) from lond_journal")
    assert journal == [(2,)]


def test_a_failed_transaction_is_never_taken_for_kept(store: PostgresStore) -> None:
    put(store)
    server = postgres.server()
    server.execute("alter table lond_data rename to away")
    with pytest.raises(StoreError, match="aborted"), store.writing(ANN, b"ns", b"P:2:a") as space:  # noqa: PT012 - so
        space.put(b"a", b"2")
        with pytest.raises(StoreError, match="does not exist"):
            space.get(b"b")
        server.execute("alter table away rename to lond_data")
    assert got(store) == b"1"
    assert server.execute("select count(*) from lond_journal") == [(1,)]


def test_a_stopped_writer_does_not_hold_the_others_for_ever(store: PostgresStore) -> None:
    link = store.link.ready()
    shown = link.execute("show idle_in_transaction_session_timeout").fetchone()
    assert shown == ("1min",)


def test_tables_are_made_once_by_many(url: str) -> None:
    from tests.process.store_engines import start

    makers = [start("postgres", "tests.process.store_one", "postgres", url, "n") for _ in range(5)]
    for maker in makers:
        said, errors = maker.communicate(timeout=100)
        assert (said, errors) == (b"none\n", b"")
    assert postgres.server().execute("select version from lond_schema") == [(1,)]


def test_places_of_keys() -> None:
    keys = [b"k" * size for size in (1, 223, 224, 255, 256)]
    keys = sorted([*keys, b"a", b"k" * 224 + b"a", b"k" * 300 + b"\xff", b"z"])
    assert len({place_of(key) for key in keys}) == len(keys)
    assert max(len(place_of(key)) for key in keys) == 256
    assert place_of(b"k" * 255) == b"k" * 255
    rows = sorted((place_of(key), key) for key in keys)
    assert [key for key, _ in by_key((key, b"") for _, key in rows)] == keys


def test_the_server_of_the_tests_ends_with_them() -> None:
    python_for("postgres")
    server = postgres.Postgres()
    pid = server.pid
    server.end()
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, signal.SIGCONT)
    assert not server.root.exists()
