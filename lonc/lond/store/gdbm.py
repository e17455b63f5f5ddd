"""Owns the engine that works in the original's own directories: a GDBM file per namespace, a journal beside it.

    <ns>.db    the data; <ns>.hist its journal; passwd `mechanism:info`; activity.log      (lond.md 3)
    .<ns>.new.<size>.<sum>      a copy with changes that is not in place yet (copies.py)

GDBM writes in place, and a process that is killed there leaves a damaged file. So no file of data is ever
written in place: a change goes to a copy, which is synced and takes the name of the old one. Writers of ours
exclude each other by a lock on the directory; against other programs GDBM's own lock is held and honoured.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from lonc.lond.store.appending import append_activity, lock
from lonc.lond.store.copies import Change, tidy
from lonc.lond.store.model import Owner, StoreError
from lonc.lond.store.names import check, check_user, directory_of, has_journal, reason
from lonc.lond.store.overlay import Overlay
from lonc.system.files import Files, SystemFiles, open_regular, read_all, replace_file

if TYPE_CHECKING:
    from _gdbm import _gdbm

WAIT_S: Final = 10.0  # how long another process may be in the way
_PAUSE_S: Final = 0.005
_ACCOUNT_LIMIT: Final = 65536
_MISSING: Final = (
    "londStore is gdbm, but this Python has no module dbm.gnu; on Debian and Ubuntu the package python3-gdbm "
    "has it, for the system's own python3"
)


class GdbmStore:
    """Store over the original's directories; see model.Store. files: the calls on files but GDBM's own."""

    def __init__(self, users_dir: str, files: Files | None = None, wait_s: float = WAIT_S) -> None:
        try:
            import dbm.gnu  # here: most installations have another engine, and many Pythons no GDBM
        except ImportError as error:
            raise StoreError(_MISSING) from error
        self._gnu = dbm.gnu
        self._users_dir = users_dir
        self._files = files or SystemFiles()
        self._wait_s = wait_s
        self._opened = False

    def get_many(self, owner: Owner, namespace: bytes, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys as at one moment; see model.Store."""
        with self.reading(owner, namespace) as space:
            return space.get_many(keys)

    def reading(self, owner: Owner, namespace: bytes) -> _Space:
        """Open a namespace as it is at one moment; see model.Store."""
        check(owner, namespace)
        return _Space(self, owner, namespace, None)

    def writing(self, owner: Owner, namespace: bytes, journal: bytes) -> _Space:
        """Open a namespace for a change; see model.Store. The user's directory is made."""
        check(owner, namespace)
        return _Space(self, owner, namespace, journal if has_journal(namespace) else b"")

    def account(self, owner: Owner) -> bytes | None:
        """Return `mechanism:info`, the first line of `passwd`; see model.Store."""
        check_user(owner)
        folder = directory_of(self._files, self._users_dir, owner, make=False)
        try:
            return self._read_account(folder) if folder else None
        except OSError as error:
            raise _failed("passwd", error) from error

    def create_account(self, owner: Owner, info: bytes) -> bool:
        """Make an account; see model.Store."""
        check_user(owner)
        folder = directory_of(self._files, self._users_dir, owner, make=True)
        return folder is not None and self._set_account(folder, info, there=False)

    def change_account(self, owner: Owner, info: bytes) -> bool:
        """Change an account; see model.Store."""
        check_user(owner)
        folder = directory_of(self._files, self._users_dir, owner, make=False)
        return folder is not None and self._set_account(folder, info, there=True)

    def exists(self, owner: Owner) -> bool:
        """Return whether the user has a directory, which is what the original asks; see model.Store."""
        check_user(owner)
        return directory_of(self._files, self._users_dir, owner, make=False) is not None

    def activity(self, owner: Owner, line: bytes) -> None:
        """Append to `activity.log`; see model.Store. The user's directory is made."""
        check_user(owner)
        append_activity(self._files, self._users_dir, owner, line)

    def close(self) -> None:
        """Do nothing: no file is kept open; see model.Store."""

    def _read_account(self, folder: str) -> bytes | None:
        try:
            fd = open_regular(self._files, os.path.join(folder, "passwd"), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return read_all(self._files, fd, _ACCOUNT_LIMIT).partition(b"\n")[0]
        finally:
            self._files.close(fd)

    def _set_account(self, folder: str, info: bytes, *, there: bool) -> bool:
        """Write `passwd` if it is there (or is not), with nobody else doing so; return whether it was written."""
        if self._opened:
            raise RuntimeError("a namespace is open")
        held = self.hold(folder)
        try:
            if (self._read_account(folder) is not None) != there:
                return False
            replace_file(self._files, os.path.join(folder, "passwd"), info + b"\n", 0o600, sync=True)
        except OSError as error:
            raise _failed("passwd", error) from error
        finally:
            self._files.close(held)
        return True

    # --- what a namespace that is open needs ---------------------------------------------------------------

    def hold(self, folder: str) -> int:
        """Return a descriptor that holds the directory against our other writers until it is closed."""
        try:
            fd = self._files.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise _failed("the user's directory", error) from error
        try:
            lock(self._files, fd, fcntl.LOCK_EX, self._wait_s)
        except OSError as error:
            self._files.close(fd)
            raise _failed("the user's directory", error) from error
        return fd

    def mark(self, *, opened: bool) -> None:
        """Note that a namespace is open; two at once are a defect."""
        if opened and self._opened:
            raise RuntimeError("a namespace is open")
        self._opened = opened

    def open_database(self, folder: str, namespace: str) -> _Ground:
        """Return a namespace's database as it is now, empty when there is none; others cannot write into it.

        GDBM's shared lock is taken, again and again while another program writes.
        """
        path = os.path.join(folder, namespace + ".db")
        give_up = time.monotonic() + self._wait_s
        while True:
            try:
                return self._open(path, namespace)
            except OSError as error:
                if error.errno != errno.EAGAIN or time.monotonic() > give_up:
                    raise _failed(namespace, error) from error
            time.sleep(_PAUSE_S)

    def _open(self, path: str, namespace: str) -> _Ground:
        try:
            fd = open_regular(self._files, path, os.O_RDONLY)
        except FileNotFoundError:
            return _Ground(None)
        try:
            # By the descriptor: what was looked at is what is opened, and no link is followed.
            return _Ground(self._gnu.open(f"/proc/self/fd/{fd}", "r"), namespace)
        finally:
            self._files.close(fd)

    def carry_out(self, folder: str, namespace: str, changes: dict[bytes, bytes | None], journal: bytes) -> None:
        """Put a copy with the changes in place, or raise StoreError with nothing done (see copies.Change)."""
        change = Change(self._files, folder, namespace, journal)
        try:
            if changes:
                change.copy()
                with self._gnu.open(change.fresh, "c", 0o600) as database:
                    for key, value in changes.items():
                        if value is not None:
                            database[key] = value
                        elif key in database:
                            del database[key]
                self._look_again(change.fresh, changes)
            change.put_in_place()
        except OSError as error:
            change.take_back()
            raise _failed(namespace, error) from error

    def _look_again(self, path: str, changes: dict[bytes, bytes | None]) -> None:
        """Raise OSError unless the copy holds the changes: dbm.gnu does not tell when closing fails."""
        with self._gnu.open(path, "r") as database:
            if any(database.get(key) != value for key, value in changes.items()):
                raise OSError(errno.EIO, "what was written cannot be read back")

    def prepare(self, owner: Owner, namespace: str) -> tuple[str, int]:
        """Return the owner's directory, made and held for a change, without what a killed writer left there."""
        folder = directory_of(self._files, self._users_dir, owner, make=True)
        assert folder is not None
        held = self.hold(folder)
        try:
            tidy(self._files, folder, namespace)
        except OSError as error:
            self._files.close(held)
            raise _failed(namespace, error) from error
        return folder, held

    def find(self, owner: Owner) -> str | None:
        """Return the owner's directory, None when there is none."""
        return directory_of(self._files, self._users_dir, owner, make=False)

    def release(self, held: int) -> None:
        """Let our other writers in."""
        self._files.close(held)


def _failed(what: str, error: OSError) -> StoreError:
    if error.errno == errno.EAGAIN:
        return StoreError(f"{what} is busy: another process has held it for too long")
    # GDBM's own errors have a text and no number; they mean that the file is not what GDBM wrote
    why = reason(error) if error.errno else f"damaged, or no GDBM file: {error}"
    return StoreError(f"{what} cannot be used: {why}")


class _Ground:
    """What one database file holds; None: there is no file."""

    def __init__(self, database: _gdbm | None, name: str = "") -> None:
        self._database = database
        self._name = name

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the values of keys."""
        database = self._database
        if database is None:
            return [None] * len(keys)
        try:
            return [database.get(key) for key in keys]
        except OSError as error:
            raise _failed(self._name, error) from error

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all, sorted: the keys are held in memory, the values are not."""
        database = self._database
        if database is None:
            return
        try:
            for key in sorted(database.keys()):
                yield key, database[key]
        except OSError as error:
            raise _failed(self._name, error) from error

    def close(self) -> None:
        """Close the file and let other programs write."""
        if self._database is not None:
            self._database.close()


class _Space(Overlay):
    """One namespace, from entering to leaving; journal None: for reading only."""

    def __init__(self, store: GdbmStore, owner: Owner, namespace: bytes, journal: bytes | None) -> None:
        super().__init__(_Ground(None), writable=journal is not None)
        self._store = store
        self._owner = owner
        self._namespace = namespace.decode("ascii")
        self._journal = journal
        self._folder: str | None = None
        self._held = -1
        self._database = _Ground(None)

    def __enter__(self) -> Self:
        store = self._store
        store.mark(opened=True)
        try:
            if self._journal is None:
                self._folder = store.find(self._owner)
            else:
                self._folder, self._held = store.prepare(self._owner, self._namespace)
            if self._folder is not None:
                self.ground = self._database = store.open_database(self._folder, self._namespace)
        except BaseException:
            self._let_go()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._folder is not None and (self.changes or self._journal):
                # The old file stays open, and so locked, until the new one is on the disk in its place.
                self._store.carry_out(self._folder, self._namespace, self.changes, self._journal or b"")
        finally:
            self._let_go()

    def _let_go(self) -> None:
        self.end()
        self._database.close()
        if self._held >= 0:
            self._store.release(self._held)
            self._held = -1
        self._store.mark(opened=False)
