"""Owns the embedded engine: one SQLite database per domain, `lonUsersDir/<domain>/lond.sqlite`.

Write-ahead log, every commit synced: what was acknowledged survives a kill and a power cut, and readers are
never held up by a writer. Activity stays in the original's files, where administrators look for it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Final, Self

from lonc.lond.store.appending import FILE_MODE, append_activity
from lonc.lond.store.model import Owner, StoreError
from lonc.lond.store.names import below, check, check_user, has_journal, reason
from lonc.system.files import Files, SystemFiles, kind_of, open_regular, sync_directory

FILE_NAME: Final = "lond.sqlite"
OPEN_DATABASES: Final = 16  # of as many domains; the one that was not used for longest is closed for another
BUSY_S: Final = 10.0  # how long a writer waits for the others
SCHEMA: Final = 1
APPLICATION: Final = 0x6C6F6E64  # "lond": whose database it is (pragma application_id)
_JOURNAL_BYTES: Final = 64 << 20  # to which a write-ahead log that a huge change blew up is cut again
# The values lie apart from the index of the keys: with both in one tree (`without rowid`) every search that
# passes a key with a value of megabytes reads that value to its end (measured: 4.5 ms instead of 10 us).
_TABLES: Final = (
    """create table data (entry integer primary key, name blob not null, namespace blob not null,
       key blob not null, value blob not null)""",
    "create unique index place on data (name, namespace, key)",
    "create table account (name blob primary key not null, info blob not null) without rowid",
    """create table journal (entry integer primary key, name blob not null, namespace blob not null,
       line blob not null)""",
    f"pragma application_id = {APPLICATION}",
    f"pragma user_version = {SCHEMA}",
)
_READ: Final = "begin"
_WRITE: Final = "begin immediate"
_GET: Final = "select value from data where name = ? and namespace = ? and key = ?"
_PUT: Final = """insert into data (name, namespace, key, value) values (?, ?, ?, ?)
       on conflict (name, namespace, key) do update set value = excluded.value"""
_DELETE: Final = "delete from data where name = ? and namespace = ? and key = ?"
_ITEMS: Final = "select key, value from data where name = ? and namespace = ? order by key"
_JOURNAL: Final = "insert into journal (name, namespace, line) values (?, ?, ?)"
_ACCOUNT: Final = "select info from account where name = ?"
_CREATE: Final = "insert or ignore into account values (?, ?)"
_CHANGE: Final = "update account set info = ? where name = ?"
_EXISTS: Final = """select exists (select 1 from account where name = ?1)
       or exists (select 1 from data where name = ?1)"""


class SqliteStore:
    """Store over SQLite; see model.Store. files: the calls that make directories and files."""

    def __init__(self, users_dir: str, files: Files | None = None, busy_s: float = BUSY_S) -> None:
        self._users_dir = users_dir
        self._files = files or SystemFiles()
        self._busy_s = busy_s
        self._bases: OrderedDict[bytes, _Base] = OrderedDict()

    def get_many(self, owner: Owner, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys as at one moment; see model.Store."""
        if len(keys) != 1:
            with self.reading(owner, namespace) as space:
                return space.get_many(keys)
        check(owner, namespace)  # one statement is a moment of its own and needs no transaction
        base = self._base(owner.domain, make=False)
        row = base.one(_GET, (owner.name, namespace, keys[0])) if base else None
        return [row[0] if row else None]

    def reading(self, owner: Owner, namespace: bytes) -> _Space:
        """Open a namespace as it is at one moment; see model.Store. Nothing is made for an unknown domain."""
        check(owner, namespace)
        return _Space(self._base(owner.domain, make=False), owner.name, namespace, _READ, b"")

    def writing(self, owner: Owner, namespace: bytes, journal: bytes) -> _Space:
        """Open a namespace for a change; see model.Store. The database of a new domain is made."""
        check(owner, namespace)
        line = journal if has_journal(namespace) else b""
        return _Space(self._base(owner.domain, make=True), owner.name, namespace, _WRITE, line)

    def account(self, owner: Owner) -> bytes | None:
        """Return `mechanism:info`; see model.Store."""
        check_user(owner)
        base = self._base(owner.domain, make=False)
        row = base.one(_ACCOUNT, (owner.name,)) if base else None
        return row[0] if row else None

    def create_account(self, owner: Owner, info: bytes) -> bool:
        """Make an account; see model.Store."""
        check_user(owner)
        base = self._base(owner.domain, make=True)
        return base is not None and base.change(_CREATE, (owner.name, info))

    def change_account(self, owner: Owner, info: bytes) -> bool:
        """Change an account; see model.Store."""
        check_user(owner)
        base = self._base(owner.domain, make=False)
        return base is not None and base.change(_CHANGE, (info, owner.name))

    def exists(self, owner: Owner) -> bool:
        """Return whether the user has an account or data; see model.Store."""
        check_user(owner)
        base = self._base(owner.domain, make=False)
        row = base.one(_EXISTS, (owner.name,)) if base else None
        return bool(row and row[0])

    def activity(self, owner: Owner, line: bytes) -> None:
        """Append to `activity.log` in the user's directory, which is made; see model.Store."""
        check_user(owner)
        append_activity(self._files, self._users_dir, owner, line)

    def close(self) -> None:
        """Close every database; see model.Store."""
        while self._bases:
            self._bases.popitem()[1].close()

    def _base(self, domain: bytes, *, make: bool) -> _Base | None:
        """Return the open database of a domain; None when there is none and none shall be made."""
        base = self._bases.get(domain)
        if base is not None:
            if base.in_place(self._files):
                self._bases.move_to_end(domain)
                return base
            self._bases.pop(domain).close()
        path = self._prepare(domain, make=make)
        if path is None:
            return None
        base = _Base(path, domain.decode("ascii"), self._files, self._busy_s)
        self._bases[domain] = base
        if len(self._bases) > OPEN_DATABASES:
            self._bases.popitem(last=False)[1].close()
        return base

    def _prepare(self, domain: bytes, *, make: bool) -> str | None:
        """Return the path of a database file that is there and no link; its directory and name are on the disk."""
        folder = below(self._files, self._users_dir, [domain.decode("ascii")], make=make)
        if folder is None:
            return None
        path = os.path.join(folder, FILE_NAME)
        try:
            for beside in ("-wal", "-shm", "-journal"):  # SQLite opens these by name, and follows links
                _refuse_foreign(self._files, path + beside)
            return path if self._file(path, folder, make=make) else None
        except OSError as error:
            which = domain.decode("ascii")
            raise StoreError(f"the database of domain {which} cannot be used: {reason(error)}") from error

    def _file(self, path: str, folder: str, *, make: bool) -> bool:
        # Closed again before SQLite opens it: closing any descriptor of a file drops SQLite's locks on it.
        try:
            self._files.close(open_regular(self._files, path, os.O_RDWR))
        except FileNotFoundError:
            if not make:
                return False
            self._files.close(open_regular(self._files, path, os.O_RDWR | os.O_CREAT, FILE_MODE))
            sync_directory(self._files, folder)
        return True


def _refuse_foreign(files: Files, path: str) -> None:
    try:
        mode = files.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"beside it stands not a regular file but {kind_of(mode)}")


class _Base:
    """One open database. An error of SQLite's closes it: the next use begins anew."""

    def __init__(self, path: str, domain: str, files: Files, busy_s: float) -> None:
        self._path = path
        self._domain = domain
        self._busy_s = busy_s
        self.opened = False  # a namespace is open
        self._closed = False
        try:
            facts = files.lstat(path)
            self._identity = (facts.st_dev, facts.st_ino)
            self.link = sqlite3.connect(path, timeout=busy_s, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self.failure(error) from error
        try:
            self._set_up()
        except StoreError:
            self.link.close()
            raise
        except sqlite3.Error as error:
            self.link.close()
            raise self.failure(error) from error

    def _set_up(self) -> None:
        # In this order: another process that makes the tables meanwhile sets both at once.
        version = self._pragma("user_version")
        application = self._pragma("application_id")
        if application not in (0, APPLICATION) or (version and not application):
            raise StoreError(f"the database of domain {self._domain} is another program's")
        if version > SCHEMA:
            newer = f"has schema {version}, newer than the {SCHEMA} of this lond"
            raise StoreError(f"the database of domain {self._domain} {newer}")
        self._patiently("pragma journal_mode = wal")  # says `locked` at once, whatever the timeout
        self.link.execute("pragma synchronous = full")
        self.link.execute(f"pragma journal_size_limit = {_JOURNAL_BYTES}")
        if version < SCHEMA:
            self.begin(_WRITE)
            if self._pragma("user_version") < SCHEMA:  # nobody else was faster
                for statement in _TABLES:
                    self.link.execute(statement)
            self.link.execute("commit")

    def _pragma(self, name: str) -> int:
        return int(self.link.execute(f"pragma {name}").fetchone()[0])

    def in_place(self, files: Files) -> bool:
        """Return whether what is open is still the file at its place: it may have been put back from a backup."""
        if self.opened:
            return True  # then the caller meets what it has begun
        try:
            facts = files.lstat(self._path)
        except OSError:
            return False
        return (facts.st_dev, facts.st_ino) == self._identity and not self._closed

    def begin(self, how: str) -> None:
        """Begin a transaction, waiting for other writers."""
        self._patiently(how)

    def _patiently(self, statement: str) -> None:
        """Execute a statement, again while another process is in the way for a reason that does not wait."""
        give_up = time.monotonic() + self._busy_s
        while True:
            try:
                self.link.execute(statement).fetchall()
                return
            except sqlite3.OperationalError as error:
                if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise
            time.sleep(0.005)

    def one(self, statement: str, values: tuple[bytes, ...]) -> tuple[bytes, ...] | None:
        """Return the first row that a question has."""
        try:
            row: tuple[bytes, ...] | None = self.link.execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise self.failure(error) from error
        return row

    def change(self, statement: str, values: tuple[bytes, ...]) -> bool:
        """Execute one change that is a transaction of its own; return whether it changed a row."""
        if self.opened:
            raise RuntimeError("a namespace is open")
        try:
            return self.link.execute(statement, values).rowcount > 0
        except sqlite3.Error as error:
            raise self.failure(error) from error

    def failure(self, error: Exception) -> StoreError:
        """Return what the catcher raises for an error of SQLite's; its text holds no data."""
        code = _code(error)
        which = f"the database of domain {self._domain}"
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreError(f"{which} is damaged: {error}")
        if code == sqlite3.SQLITE_BUSY:
            return StoreError(f"{which} is busy: another process has been writing for {self._busy_s:g} seconds")
        return StoreError(f"{which} cannot be used: {reason(error) if isinstance(error, OSError) else error}")

    def roll_back(self) -> None:
        """Take back what is open; a connection that cannot do that is closed, and SQLite takes it back."""
        try:
            if self.link.in_transaction:
                self.link.execute("rollback")
        except sqlite3.Error:
            self.close()

    def close(self) -> None:
        """Close the database; what is open is taken back."""
        self._closed = True
        try:
            self.link.close()
        except sqlite3.Error:
            return  # the descriptors are given back by then


def _code(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 when the error has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


class _Space:
    """One namespace in one transaction; entered once. Without a database it is empty."""

    def __init__(self, base: _Base | None, name: bytes, namespace: bytes, how: str, journal: bytes) -> None:
        self._base = base
        self._place = (name, namespace)
        self._how = how
        self._journal = journal
        self._cursors: list[sqlite3.Cursor] = []

    def __enter__(self) -> Self:
        base = self._base
        if base is not None:
            if base.opened:
                raise RuntimeError("a namespace is open")
            try:
                base.begin(self._how)
            except sqlite3.Error as error:
                raise base.failure(error) from error
            base.opened = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        base, self._base = self._base, None
        if base is None:
            return
        base.opened = False
        try:
            for cursor in self._cursors:  # one that is not read to its end would hold the transaction open
                cursor.close()
            if kind is None:
                if self._journal:
                    base.link.execute(_JOURNAL, (*self._place, self._journal))
                base.link.execute("commit")
        except sqlite3.Error as failed:
            base.roll_back()
            raise base.failure(failed) from failed
        if kind is not None:
            base.roll_back()
            if isinstance(error, sqlite3.Error):
                raise base.failure(error) from error

    def get(self, key: bytes) -> bytes | None:
        """Return a value; see model.Namespace."""
        if self._base is None:
            return None
        row = self._base.link.execute(_GET, (*self._place, key)).fetchone()
        return row[0] if row else None

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return values; see model.Namespace. A question is a call in this process: no shorter way."""
        return [self.get(key) for key in keys]

    def put(self, key: bytes, value: bytes) -> None:
        """Set a value; see model.Namespace."""
        self._link.execute(_PUT, (*self._place, key, value))

    def delete(self, key: bytes) -> None:
        """Remove a key; see model.Namespace."""
        self._link.execute(_DELETE, (*self._place, key))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all, sorted; see model.Namespace."""
        if self._base is None:
            return iter(())
        cursor = self._base.link.execute(_ITEMS, self._place)
        self._cursors.append(cursor)
        return cursor

    @property
    def _link(self) -> sqlite3.Connection:
        if self._base is None or self._how != _WRITE:
            raise RuntimeError("the namespace is not open for writing")
        return self._base.link
