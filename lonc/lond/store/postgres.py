"""Owns the engine over PostgreSQL: several machines of a site, one database.

A change is sent in one piece with its lock, its journal line and its commit: one round trip where nothing had
to be read before, two where something had. The lock is the server's, on owner and namespace, so that of all
londs that use the database one at a time reads, decides and writes there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from lonc.lond.store.model import Owner, StoreError
from lonc.lond.store.names import check, check_user, has_journal
from lonc.lond.store.overlay import Overlay
from lonc.lond.store.postgres_link import Link

if TYPE_CHECKING:
    from psycopg import Connection

PLACE_LIMIT: Final = 255  # bytes of a key that stands in the index as it is
PREFIX: Final = 224  # of a longer one, with 32 bytes of its hash: 256, so it is never one of the others
BATCH_BYTES: Final = 4 << 20  # of a dump that are in memory at once, about
BATCH_ROWS: Final = 5000
FIRST_ROWS: Final = 100  # before it is known how large they are; most namespaces have no more
_SNAPSHOT: Final = "begin isolation level repeatable read read only"
_LOCK: Final = "select pg_advisory_xact_lock(%s)"
_HERE: Final = "domain = %s and name = %s and namespace = %s"
_GET: Final = f"select coalesce(long_key, place), value from lond_data where {_HERE} and place = any(%s::bytea[])"
_GET_ONE: Final = f"select value from lond_data where {_HERE} and place = %s"
_ITEMS: Final = f"select coalesce(long_key, place), value from lond_data where {_HERE} order by place"
_DELETE: Final = f"delete from lond_data where {_HERE} and place = any(%s::bytea[])"
_PUT: Final = """insert into lond_data (domain, name, namespace, place, long_key, value)
    select %s, %s, %s, t.p, t.k, t.v from unnest(%s::bytea[], %s::bytea[], %s::bytea[]) as t (p, k, v)
    on conflict (domain, name, namespace, place) do update set value = excluded.value"""
_JOURNAL: Final = "insert into lond_journal (domain, name, namespace, line) values (%s, %s, %s, %s)"
# The common change, one value and its line, as one statement that is a transaction: both inserts read from the
# lock, so they wait for it, and `on conflict` sees what was kept meanwhile.
_PUT_ONE: Final = """with locked as materialized (select pg_advisory_xact_lock(%s)),
    noted as (insert into lond_journal (domain, name, namespace, line) select %s, %s, %s, %s from locked)
    insert into lond_data (domain, name, namespace, place, long_key, value)
    select %s, %s, %s, %s, %s, %s from locked
    on conflict (domain, name, namespace, place) do update set value = excluded.value"""
_ACTIVITY: Final = "insert into lond_activity (domain, name, line) values (%s, %s, %s)"
_ACCOUNT: Final = "select info from lond_account where domain = %s and name = %s"
_CREATE: Final = "insert into lond_account (domain, name, info) values (%s, %s, %s) on conflict do nothing"
_CHANGE: Final = "update lond_account set info = %s where domain = %s and name = %s"
_EXISTS: Final = """select exists (select from lond_account where domain = %s and name = %s)
    or exists (select from lond_data where domain = %s and name = %s)"""

Values = tuple[object, ...]
Place = tuple[bytes, bytes, bytes]


class PostgresStore:
    """Store over PostgreSQL; see model.Store. url: as londStore has it."""

    def __init__(self, url: str) -> None:
        self.link = Link(url)
        self.opened = False
        self.link.ready()

    def get_many(self, owner: Owner, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys as at one moment, with one statement; see model.Store."""
        check(owner, namespace)
        if len(keys) == 1:  # takes half the time of an array with one element
            found = self._ask(_GET_ONE, (owner.domain, owner.name, namespace, place_of(keys[0])))
            return [found[0][0] if found else None]
        values = (owner.domain, owner.name, namespace, [place_of(key) for key in keys])
        return _in_order_of(keys, self._ask(_GET, values))

    def reading(self, owner: Owner, namespace: bytes) -> _Space:
        """Open a namespace as it is at one moment; see model.Store."""
        check(owner, namespace)
        return _Space(self, (owner.domain, owner.name, namespace), None)

    def writing(self, owner: Owner, namespace: bytes, journal: bytes) -> _Space:
        """Open a namespace for a change; see model.Store."""
        check(owner, namespace)
        line = journal if has_journal(namespace) else b""
        return _Space(self, (owner.domain, owner.name, namespace), line)

    def account(self, owner: Owner) -> bytes | None:
        """Return `mechanism:info`; see model.Store."""
        check_user(owner)
        rows = self._ask(_ACCOUNT, (owner.domain, owner.name))
        return rows[0][0] if rows else None

    def create_account(self, owner: Owner, info: bytes) -> bool:
        """Make an account; see model.Store."""
        check_user(owner)
        return self._change(_CREATE, (owner.domain, owner.name, info)) > 0

    def change_account(self, owner: Owner, info: bytes) -> bool:
        """Change an account; see model.Store."""
        check_user(owner)
        return self._change(_CHANGE, (info, owner.domain, owner.name)) > 0

    def exists(self, owner: Owner) -> bool:
        """Return whether the user has an account or data; see model.Store."""
        check_user(owner)
        who = (owner.domain, owner.name)
        return bool(self._ask(_EXISTS, who + who)[0][0])

    def activity(self, owner: Owner, line: bytes) -> None:
        """Add a line to the table `lond_activity`; see model.Store."""
        check_user(owner)
        self._change(_ACTIVITY, (owner.domain, owner.name, line))

    def close(self) -> None:
        """Close the connection; see model.Store."""
        self.link.drop()

    def _ask(self, statement: str, values: Values) -> list[tuple[Any, ...]]:
        """Return the rows of one question, asked a second time when the connection broke over the first."""
        for last in (False, True):
            connection = self.link.ready()
            try:
                return connection.execute(statement, values, binary=True).fetchall()
            except self.link.error as error:
                failed = self.link.failure(error)
                if last or not connection.closed:
                    raise failed from None
        raise AssertionError("unreachable")

    def _change(self, statement: str, values: Values) -> int:
        """Carry out one change that is a transaction of its own; return how many rows it changed."""
        if self.opened:
            raise RuntimeError("a namespace is open")
        connection = self.link.ready()
        try:
            return connection.execute(statement, values).rowcount
        except self.link.error as error:
            raise self.link.failure(error, committing=True) from None


def place_of(key: bytes) -> bytes:
    """Return what stands for a key in the index: itself, or 256 bytes with a hash when it is longer than 255."""
    return key if len(key) <= PLACE_LIMIT else key[:PREFIX] + hashlib.sha256(key).digest()


def by_key(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Return rows that are sorted by place sorted by key: only those with the same first 224 bytes may differ."""
    run: list[tuple[bytes, bytes]] = []
    for row in rows:
        if run and run[0][0][:PREFIX] != row[0][:PREFIX]:
            yield from sorted(run)
            run.clear()
        if len(row[0]) < PREFIX:
            yield row
        else:
            run.append(row)
    yield from sorted(run)


def _in_order_of(keys: Sequence[bytes], rows: list[tuple[Any, ...]]) -> list[bytes | None]:
    found: dict[bytes, bytes] = dict(rows)
    return [found.get(key) for key in keys]


class _Rows:
    """One namespace in the database, in a transaction that begins with the first question."""

    def __init__(self, link: Link, place: Place, write: bool) -> None:
        self._link = link
        self.place = place
        self._write = write
        self._connection: Connection[tuple[Any, ...]] | None = None  # once the transaction has begun
        self._streams: list[Generator[tuple[bytes, bytes], None, None]] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys; the transaction begins in the same round trip."""
        values = (*self.place, [place_of(key) for key in keys])
        connection = self._ready()
        try:
            with connection.pipeline():
                self._begin(connection)
                cursor = connection.execute(_GET, values, binary=True)
            return _in_order_of(keys, cursor.fetchall())
        except self._link.error as error:
            raise self._link.failure(error) from None

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all, sorted, in batches."""
        stream = self._batches(f"lond_items_{len(self._streams)}")
        self._streams.append(stream)
        return by_key(stream)

    @property
    def begun(self) -> bool:
        """Return whether there is, or was, a transaction."""
        return self._connection is not None

    def end(self) -> None:
        """End the reading of what was not read to its end; the cursors end with the transaction."""
        for stream in self._streams:
            stream.close()

    def _batches(self, name: str) -> Generator[tuple[bytes, bytes], None, None]:
        try:
            connection = self._ready()
            count = FIRST_ROWS
            with connection.pipeline():
                self._begin(connection)
                connection.execute(f"declare {name} cursor for {_ITEMS}", self.place)
                cursor = connection.execute(f"fetch {count} from {name}", binary=True)
            while rows := cursor.fetchall():
                yield from rows
                if len(rows) < count:
                    return
                size = sum(len(key) + len(value) for key, value in rows) // count
                count = max(1, min(BATCH_ROWS, BATCH_BYTES // (size + 1)))
                cursor = self._ready().execute(f"fetch {count} from {name}", binary=True)
        except self._link.error as error:
            raise self._link.failure(error) from None

    def _ready(self) -> Connection[tuple[Any, ...]]:
        """Return the connection that the transaction is open on, or will be."""
        if self._connection is None:
            return self._link.ready()
        self._link.check_held(self._connection)
        return self._connection

    def _begin(self, connection: Connection[tuple[Any, ...]]) -> None:
        """Begin the transaction unless it is there, for a change with the lock on the namespace."""
        if self._connection is None:
            self._connection = connection
            connection.execute("begin" if self._write else _SNAPSHOT)
            if self._write:
                connection.execute(_LOCK, (_lock_number(self.place),))

    def commit(self, changes: dict[bytes, bytes | None], journal: bytes) -> None:
        """Send the changes and the commit in one piece. StoreError: nothing was kept, or the text says unknown."""
        new = [(place_of(key), key, value) for key, value in changes.items() if value is not None]
        gone = [place_of(key) for key, value in changes.items() if value is None]
        if not self.begun and journal and len(new) == 1 and not gone:
            self._put_one(*new[0], journal)
            return
        connection = self._ready()
        try:
            with connection.pipeline():
                self._begin(connection)
                if gone:
                    connection.execute(_DELETE, (*self.place, gone))
                if new:
                    long = [key if len(key) > PLACE_LIMIT else None for _, key, _ in new]
                    places, values = [one[0] for one in new], [one[2] for one in new]
                    connection.execute(_PUT, (*self.place, places, long, values))
                if journal:
                    connection.execute(_JOURNAL, (*self.place, journal))
                done = connection.execute("commit")
        except self._link.error as error:
            failed = self._link.failure(error, committing=True)
            self._link.roll_back()
            raise failed from None
        # To a transaction that has failed before, the server answers ROLLBACK, and no error.
        if done.statusmessage != "COMMIT":
            raise StoreError("PostgreSQL did not keep the change: the transaction had failed before")

    def _put_one(self, place: bytes, key: bytes, value: bytes, journal: bytes) -> None:
        """Keep one value and its journal line, with one statement."""
        long_key = key if len(key) > PLACE_LIMIT else None
        values = (_lock_number(self.place), *self.place, journal, *self.place, place, long_key, value)
        connection = self._ready()
        try:
            connection.execute(_PUT_ONE, values)
        except self._link.error as error:
            raise self._link.failure(error, committing=True) from None


def _lock_number(place: Place) -> int:
    """Return the number of a namespace's lock; two with the same would only wait for each other."""
    return int.from_bytes(hashlib.sha256(b"\0".join(place)).digest()[:8], "big", signed=True)


class _Space(Overlay):
    """One namespace, from entering to leaving; journal None: for reading only."""

    def __init__(self, store: PostgresStore, place: Place, journal: bytes | None) -> None:
        self._rows = _Rows(store.link, place, journal is not None)
        super().__init__(self._rows, writable=journal is not None)
        self._store = store
        self._journal = journal

    def __enter__(self) -> Self:
        if self._store.opened:
            raise RuntimeError("a namespace is open")
        self._store.opened = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()
        self._rows.end()
        self._store.opened = False
        if kind is None and (self.changes or self._journal):
            self._rows.commit(self.changes, self._journal or b"")
        elif self._rows.begun:
            self._store.link.roll_back()  # nothing was changed; ends a picture for reading just as well
