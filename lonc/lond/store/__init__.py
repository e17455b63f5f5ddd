"""Where users' data is kept: one interface, three engines (lond.md 3).

    model       what every engine offers
    names       which names there are, and the directories of the original
    appending   lines at the end of a file, durable
    sqlite      one SQLite database per domain; the default
    gdbm        the original's directories with GDBM files
    overlay     changes kept until they are carried out together (gdbm, postgres)
    postgres    one PostgreSQL database for several machines
"""

from __future__ import annotations

from lonc.config import Config
from lonc.lond.store.model import NameRefused, Namespace, Owner, Store, StoreError

__all__ = ["NameRefused", "Namespace", "Owner", "Store", "StoreError", "open_store"]


def open_store(config: Config) -> Store:
    """Return the engine that londStore names, open for this process; called after the fork, once.

    StoreError: it cannot be used here; the text says what is missing (a package, a server, a right).
    """
    # Only the engine that is used is imported: each has a library of its own, and two of them may be missing.
    if config.store == "sqlite":
        from lonc.lond.store.sqlite import SqliteStore

        return SqliteStore(config.users_dir)
    if config.store == "gdbm":
        from lonc.lond.store.gdbm import GdbmStore

        return GdbmStore(config.users_dir)
    from lonc.lond.store.postgres import PostgresStore

    return PostgresStore(config.store)
