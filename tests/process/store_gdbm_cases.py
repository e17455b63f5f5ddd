"""What is special about the GDBM engine, as cases that run in a Python that has GDBM.

    python -m tests.process.store_gdbm_cases DIRECTORY CASE
"""

from __future__ import annotations

import contextlib
import dbm.gnu
import resource
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from lonc.lond.store import Owner, StoreError
from lonc.lond.store.gdbm import GdbmStore
from tests.fakes.faulty_files import FaultyFiles

ANN = Owner(b"msu", b"ann")
HOME = "msu/a/n/n/ann"
CASES: dict[str, Callable[[Path], None]] = {}


def case(function: Callable[[Path], None]) -> Callable[[Path], None]:
    """Make a function one of the cases."""
    CASES[function.__name__] = function
    return function


def put(store: GdbmStore, value: bytes, key: bytes = b"a") -> None:
    """Write one key."""
    with store.writing(ANN, b"ns", b"P:1:" + value[:10]) as space:
        space.put(key, value)


def got(store: GdbmStore, key: bytes = b"a") -> bytes | None:
    """Return it."""
    return store.get_many(ANN, b"ns", [key])[0]


def fails(call: Callable[[], object], text: str) -> None:
    """Check that a call fails with this in its text."""
    said = ""
    try:
        call()
    except StoreError as error:
        said = str(error)
    assert text in said, f"not {text!r} but {said!r}"
    assert "/" not in said, said


@case
def files_are_where_the_original_has_them(place: Path) -> None:
    """Names, modes and contents."""
    store = GdbmStore(str(place))
    put(store, b"1")
    store.create_account(ANN, b"internal:x")
    with store.writing(Owner(b"msu", b""), b"ids", b"P:1:id=ann") as space:
        space.put(b"id", b"ann")
    files = {str(path.relative_to(place)): path for path in place.rglob("*") if path.is_file()}
    assert sorted(files) == sorted(
        ["msu/ids.db", "msu/ids.hist", f"{HOME}/ns.db", f"{HOME}/ns.hist", f"{HOME}/passwd"]
    )
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert files[f"{HOME}/passwd"].read_bytes() == b"internal:x\n"
    assert files[f"{HOME}/ns.hist"].read_bytes() == b"P:1:1\n"
    (place / "msu/b/b/_/bb").mkdir(parents=True)
    assert store.exists(Owner(b"msu", b"bb"))


@case
def other_programs_are_waited_for(place: Path) -> None:
    """GDBM's lock is honoured both ways: who writes elsewhere keeps us waiting, who is read by us waits."""
    store = GdbmStore(str(place), wait_s=0.1)
    put(store, b"1")
    path = str(place / HOME / "ns.db")
    with dbm.gnu.open(path, "w"):
        fails(lambda: put(store, b"2"), "ns is busy")
        fails(lambda: got(store), "ns is busy")
    with dbm.gnu.open(path, "r"):
        put(store, b"3")  # the other one goes on with what it has opened
    assert got(store) == b"3"
    with store.writing(ANN, b"ns", b"") as space, contextlib.suppress(OSError):
        assert space.get(b"a") == b"3"
        dbm.gnu.open(path, "w").close()
        raise AssertionError("another program could write in between")
    with dbm.gnu.open(path, "w") as theirs:
        theirs[b"a"] = b"4"
    assert got(store) == b"4"


@case
def our_own_writers_are_waited_for(place: Path) -> None:
    """One at a time per user, with a time limit; readers are not held up."""
    store, other = GdbmStore(str(place), wait_s=0.1), GdbmStore(str(place))
    put(store, b"1")
    with other.writing(ANN, b"ns", b"") as space:
        space.put(b"a", b"2")
        fails(lambda: put(store, b"3"), "the user's directory is busy")
        fails(lambda: store.create_account(ANN, b"x"), "the user's directory is busy")
        assert got(store) == b"1"
    assert got(store) == b"2"


@case
def damaged_files_are_told(place: Path) -> None:
    """Garbage, a cut file, a link, a directory: an error, and the file is left as it is."""
    store = GdbmStore(str(place))
    put(store, b"x" * 100_000)
    path = place / HOME / "ns.db"
    whole = path.read_bytes()
    for content in (b"garbage " * 1000, b"", whole[:100], whole[: len(whole) // 2]):
        path.write_bytes(content)
        fails(lambda: put(store, b"2"), "damaged, or no GDBM file")
        if len(content) < len(whole) // 2:  # of a page that is missing, dbm.gnu says that the key is missing
            fails(lambda: got(store), "damaged, or no GDBM file")
        assert path.read_bytes() == content
    path.unlink()
    path.symlink_to(place / "elsewhere")
    fails(lambda: put(store, b"2"), "ns cannot be used")
    fails(lambda: got(store), "ns cannot be used")
    path.unlink()
    path.mkdir()
    fails(lambda: put(store, b"2"), "ns cannot be used")
    (place / HOME / "passwd").symlink_to(place / "elsewhere")
    fails(lambda: store.account(ANN), "passwd cannot be used")
    fails(lambda: store.create_account(ANN, b"x"), "passwd cannot be used")
    (place / HOME / "other.hist").symlink_to(place / "elsewhere")
    with contextlib.suppress(StoreError):
        with store.writing(ANN, b"other", b"P:1"):
            pass
        raise AssertionError("a line was written through a link")
    assert not (place / "elsewhere").exists()


@case
def a_full_disk_costs_only_the_change(place: Path) -> None:
    """A file may not grow: GDBM fails inside, and what was there before is there."""
    store = GdbmStore(str(place))
    put(store, b"1")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (200, 5_000, 20_000, 100_000, 1_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        fails(lambda: put(store, b"2" * 1_000_000), "cannot be used")
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert got(store) == b"1"
    assert (place / HOME / "ns.hist").read_bytes() == b"P:1:1\n"
    put(store, b"2" * 1_000_000)
    assert got(store) == b"2" * 1_000_000
    assert list((place / HOME).glob(".*")) == []


@case
def any_call_may_fail(place: Path) -> None:
    """Every system call in turn says that the disk is full: an error, and old or new, never in between."""
    store = GdbmStore(str(place))
    put(store, b"1")
    for number in range(1, 60):
        before, lines = got(store), (place / HOME / "ns.hist").read_bytes()
        files = FaultyFiles(failing={number})
        faulty = GdbmStore(str(place), files)
        try:
            put(faulty, b"%d" % number)
        except StoreError:
            after = got(store), (place / HOME / "ns.hist").read_bytes()
            new = (b"%d" % number, lines + b"P:1:%d\n" % number)
            assert after == (before, lines) or (after == new and "rename" in files.calls)
        else:
            assert got(store) == b"%d" % number
    assert number > len(files.calls)
    assert list((place / HOME).glob(".*")) == []


if __name__ == "__main__":
    CASES[sys.argv[2]](Path(sys.argv[1]))
