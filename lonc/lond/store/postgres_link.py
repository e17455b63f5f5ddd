"""Owns the connection to PostgreSQL: its address, what every session is set to, the tables, the texts of errors.

No text holds a password, not even a part of one from an address that was written wrongly: what libpq says of an
address is never passed on, and every other text is searched for the password.
"""

from __future__ import annotations

import logging
import select
from typing import TYPE_CHECKING, Any, Final

from lonc.lond.store.model import StoreError

if TYPE_CHECKING:
    from psycopg import Connection

SCHEMA: Final = 1
_MISSING: Final = "londStore is an address of PostgreSQL, but psycopg is not installed: pip install lonc[postgres]"
_OLD: Final = "psycopg has found a libpq before version 14: pip install lonc[postgres] brings its own"
_WRONG: Final = (
    "londStore is no usable address of PostgreSQL: postgresql://user:password@host:port/database is one; "
    "in a password `@` is written %40, `/` %2F, `:` %3A, `%` %25"
)
# Where the address does not say otherwise: a server that is gone is noticed within half a minute.
_DEFAULTS: Final = {
    "connect_timeout": "5", "keepalives": "1", "keepalives_idle": "15", "keepalives_interval": "5",
    "keepalives_count": "3", "tcp_user_timeout": "30000", "application_name": "lond",
}  # fmt: skip
# One statement, so one round trip. A weaker synchronous_commit of server, database or user is set to `on`, a
# stronger one (remote_apply) is left. A worker that is stopped in a transaction holds the others for a minute.
_SET_UP: Final = """select current_setting('fsync'), pg_is_in_recovery(), to_regclass('lond_schema') is not null,
    set_config('statement_timeout', '30s', false), set_config('lock_timeout', '10s', false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('default_transaction_isolation', 'read committed', false),
    case when current_setting('synchronous_commit') in ('off', 'local', 'remote_write')
         then set_config('synchronous_commit', 'on', false) end"""
_SCHEMA_LOCK: Final = 0x6C6F6E64  # "lond": several machines may begin with an empty database at once
# place: the key, or for a long one its beginning and a hash (`postgres.place_of`): an index takes 2,700 bytes.
_TABLES: Final = (
    """create table lond_data (domain bytea not null, name bytea not null, namespace bytea not null,
       place bytea not null, long_key bytea, value bytea not null,
       primary key (domain, name, namespace, place))""",
    """create table lond_account (domain bytea not null, name bytea not null, info bytea not null,
       primary key (domain, name))""",
    """create table lond_journal (entry bigint generated always as identity primary key,
       written timestamptz not null default now(), domain bytea not null, name bytea not null,
       namespace bytea not null, line bytea not null)""",
    """create table lond_activity (entry bigint generated always as identity primary key,
       written timestamptz not null default now(), domain bytea not null, name bytea not null,
       line bytea not null)""",
    "create table lond_schema (version integer not null)",
    f"insert into lond_schema values ({SCHEMA})",
)
_BUSY: Final = ("55P03", "40P01", "40001")  # lock not available, deadlock, serialization


class Link:
    """The one connection of this process, made when it is needed and made again when it was lost."""

    def __init__(self, url: str) -> None:
        try:
            import psycopg  # here: only this engine needs it, and it is an extra of the package
            from psycopg import conninfo
        except ImportError as error:
            raise StoreError(_MISSING) from error
        if not psycopg.Pipeline.is_supported():
            raise StoreError(_OLD)
        # It warns on stderr of a connection that was lost, with the server's words: told here, or nowhere.
        logging.getLogger("psycopg").setLevel(logging.CRITICAL + 1)
        self._psycopg = psycopg
        self.error = psycopg.Error
        try:
            parts: dict[str, Any] = conninfo.conninfo_to_dict(url)
        except psycopg.Error:
            raise StoreError(_WRONG) from None  # libpq's text quotes the address
        self._password = str(parts.get("password") or "")
        shown = "".join(str(parts.get(name, "")) for name in ("host", "hostaddr", "user", "dbname"))
        ports = str(parts.get("port", "")).replace(",", "")
        if "@" in shown or (ports and not ports.isdecimal()):
            raise StoreError(_WRONG)  # a piece of the password has landed there, and would be shown
        self._parts = {**_DEFAULTS, **parts}
        self._connection: Connection[tuple[Any, ...]] | None = None

    def ready(self) -> Connection[tuple[Any, ...]]:
        """Return a connection that was alive a moment ago, or raise StoreError.

        Nothing comes unasked on an idle connection but its end: so what a server left behind when it was
        stopped is found here, and not by a change whose outcome would then be unknown.
        """
        connection = self._connection
        if connection is not None:
            if not connection.closed and not _readable(connection.fileno()):
                return connection
            self.drop()
        return self._connect()

    def check_held(self, connection: Connection[tuple[Any, ...]]) -> None:
        """Raise StoreError unless this is the connection still: on another one there is no transaction of ours."""
        if self._connection is not connection:
            raise StoreError("the connection to PostgreSQL was lost")

    def _connect(self) -> Connection[tuple[Any, ...]]:
        try:
            connection = self._psycopg.connect(**self._parts, autocommit=True)
        except self._psycopg.Error as error:
            raise StoreError(f"PostgreSQL cannot be reached: {self._text(error)}") from None
        try:
            self._set_up(connection)
        except self._psycopg.Error as error:
            connection.close()
            raise self.failure(error) from None
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _set_up(self, connection: Connection[tuple[Any, ...]]) -> None:
        row = connection.execute(_SET_UP).fetchone()
        assert row is not None
        fsync, standby, known = row[:3]
        if fsync != "on":
            raise StoreError("PostgreSQL runs with fsync off: what it acknowledges may be lost")
        if standby:
            raise StoreError("PostgreSQL is a standby here, which takes no changes")
        if not known:
            _make_tables(connection)
        found = connection.execute("select max(version) from lond_schema").fetchone()
        if found is None or found[0] is None or found[0] > SCHEMA:
            newer = f"has schema {found[0] if found else None}, this lond knows {SCHEMA}"
            raise StoreError(f"the database in PostgreSQL {newer}")

    def failure(self, error: Exception, *, committing: bool = False) -> StoreError:
        """Return what the catcher raises; a connection that is lost is dropped.

        committing: the server had been told to commit, so without its answer the outcome is unknown.
        """
        connection = self._connection
        code = getattr(error, "sqlstate", None)
        if code is None or code.startswith("57P") or (connection is not None and connection.closed):
            self.drop()
            unknown = "; whether the change was kept is not known" if committing else ""
            return StoreError(f"the connection to PostgreSQL was lost{unknown}")
        if code in _BUSY:
            return StoreError("PostgreSQL is busy: another process has been writing there for too long")
        return StoreError(f"PostgreSQL says: {self._text(error)}")

    def _text(self, error: Exception) -> str:
        """Return the server's main message, or libpq's last line: no detail, which may quote data."""
        diagnosis = getattr(error, "diag", None)
        text = (diagnosis.message_primary if diagnosis else None) or (str(error).strip().splitlines() or ["?"])[-1]
        text = " ".join(text.split())
        return text.replace(self._password, "***") if self._password else text

    def roll_back(self) -> None:
        """Take back what is open; a connection that cannot do that is dropped, and the server takes it back."""
        connection = self._connection
        if connection is not None:
            try:
                connection.execute("rollback")
            except self._psycopg.Error:
                self.drop()

    def drop(self) -> None:
        """Close the connection; the next use makes another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def _make_tables(connection: Connection[tuple[Any, ...]]) -> None:
    # Held over the transaction, not in it: to_regclass may remember an answer from before the lock was had until
    # the next transaction begins, and a lock of this kind does not make it forget.
    connection.execute(f"select pg_advisory_lock({_SCHEMA_LOCK})")
    with connection.transaction():
        row = connection.execute("select to_regclass('lond_schema') is not null").fetchone()
        if row is not None and not row[0]:  # nobody else was faster
            for statement in _TABLES:
                connection.execute(statement)
    connection.execute(f"select pg_advisory_unlock({_SCHEMA_LOCK})")
