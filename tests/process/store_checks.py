"""Owns what every engine of the store must do, as checks that run in any process (the GDBM one needs its own).

    python -m tests.process.store_checks ENGINE WHERE [CHECK...]     all when none is named

ENGINE: sqlite, gdbm or postgres; WHERE: the users' directory, or the address. A check that fails ends with its
traceback and exit code 1.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lonc.lond.store import NameRefused, Owner, Store

ANN = Owner(b"msu", b"ann")
BOB = Owner(b"msu", b"b")
DOMAIN = Owner(b"msu", b"")
ODD = bytes(byte for byte in range(256) if byte != 10)


class Ground:
    """An engine and where its data is; what the interface does not tell is read from below it."""

    def __init__(self, engine: str, where: str) -> None:
        self.engine = engine
        self.where = where

    def open(self) -> Store:
        """Return the engine, opened once more."""
        if self.engine == "sqlite":
            from lonc.lond.store.sqlite import SqliteStore

            return SqliteStore(self.where)
        if self.engine == "gdbm":
            from lonc.lond.store.gdbm import GdbmStore

            return GdbmStore(self.where)
        from lonc.lond.store.postgres import PostgresStore

        return PostgresStore(self.where)

    def journal(self, owner: Owner, namespace: bytes) -> list[bytes]:
        """Return the journal of a namespace."""
        place = (owner.name, namespace)
        if self.engine == "sqlite":
            import sqlite3

            link = sqlite3.connect(Path(self.where, owner.domain.decode(), "lond.sqlite"))
            asked = "select line from journal where name = ? and namespace = ? order by entry"
            lines = [row[0] for row in link.execute(asked, place)]
            link.close()
            return lines
        if self.engine == "gdbm":
            path = self.directory(owner) / f"{namespace.decode()}.hist"
            return path.read_bytes().splitlines() if path.exists() else []
        asked = "select line from lond_journal where domain = %s and name = %s and namespace = %s order by entry"
        return [row[0] for row in self._rows(asked, (owner.domain, *place))]

    def activity(self, owner: Owner) -> list[bytes]:
        """Return the activity log of a user."""
        if self.engine != "postgres":
            return (self.directory(owner) / "activity.log").read_bytes().splitlines()
        asked = "select line from lond_activity where domain = %s and name = %s order by entry"
        return [row[0] for row in self._rows(asked, (owner.domain, owner.name))]

    def directory(self, owner: Owner) -> Path:
        """Return the owner's directory in the original's layout, spelled out here once more."""
        domain, name = owner.domain.decode(), owner.name.decode()
        if not name:
            return Path(self.where, domain)
        return Path(self.where, domain, *(name + "__")[:3], name)

    def _rows(self, statement: str, values: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
        import psycopg

        with psycopg.connect(self.where, autocommit=True) as link:
            return link.execute(statement.encode(), values).fetchall()


Check = Callable[[Ground], None]
CHECKS: dict[str, Check] = {}


def check(function: Check) -> Check:
    """Make a function one of the checks."""
    CHECKS[function.__name__] = function
    return function


def put(
    store: Store, owner: Owner, namespace: bytes, *pairs: tuple[bytes, bytes], journal: bytes = b"P:1:x"
) -> None:
    """Write pairs in one change."""
    with store.writing(owner, namespace, journal) as space:
        for key, value in pairs:
            space.put(key, value)


def everything(store: Store, owner: Owner, namespace: bytes) -> dict[bytes, bytes]:
    """Return a namespace; sorted, or it fails."""
    with store.reading(owner, namespace) as space:
        pairs = list(space.items())
    assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)
    return dict(pairs)


@check
def what_is_written_is_there_after_opening_again(ground: Ground) -> None:
    """Odd bytes, an empty value, an empty key are kept as they are."""
    store = ground.open()
    pairs = {b"b": b"2", ODD: ODD, b"empty": b"", b"a": b"1", b"\0": b"\0\0", b"": b"of nothing"}
    put(store, ANN, b"ns", *pairs.items())
    assert everything(store, ANN, b"ns") == pairs
    put(store, ANN, b"ns", (b"a", b"new"))
    with store.writing(ANN, b"ns", b"") as space:
        space.delete(b"b")
        space.delete(b"never there")
    store.close()
    store = ground.open()
    assert everything(store, ANN, b"ns") == {key: pairs[key] for key in pairs if key != b"b"} | {b"a": b"new"}
    store.close()


@check
def an_exception_takes_all_of_it_back(ground: Ground) -> None:
    """Nothing of the change is there, no line in the journal, and the next change goes through."""
    store = ground.open()
    put(store, ANN, b"ns", (b"a", b"1"), (b"b", b"1"), journal=b"P:1:first")
    for _ in range(3):
        try:
            with store.writing(ANN, b"ns", b"P:2:lost") as space:
                space.put(b"a", b"2")
                space.delete(b"b")
                assert space.get(b"a") == b"2"
                raise KeyError("in the middle")
        except KeyError:
            pass
    assert everything(store, ANN, b"ns") == {b"a": b"1", b"b": b"1"}
    put(store, ANN, b"ns", (b"a", b"3"), journal=b"P:3:last")
    assert ground.journal(ANN, b"ns") == [b"P:1:first", b"P:3:last"]
    store.close()


@check
def get_many_answers_in_order(ground: Ground) -> None:
    """Missing keys are None, a key asked twice is told twice; an unknown domain is empty and stays unknown."""
    store = ground.open()
    put(store, ANN, b"ns", (b"a", b"1"), (b"b", b""))
    asked = [b"b", b"no", b"a", b"b"]
    assert store.get_many(ANN, b"ns", asked) == [b"", None, b"1", b""]
    assert store.get_many(ANN, b"ns", []) == []
    assert store.get_many(ANN, b"ns", [b"a"]) == [b"1"]
    with store.reading(ANN, b"ns") as space:
        assert space.get_many(asked) == [b"", None, b"1", b""]
        assert space.get(b"no") is None
    nowhere = Owner(b"elsewhere", b"ann")
    assert store.get_many(nowhere, b"ns", [b"a", b"b"]) == [None, None]
    assert everything(store, nowhere, b"ns") == {}
    assert store.account(nowhere) is None
    assert not store.exists(nowhere)
    if ground.engine != "postgres":
        assert not Path(ground.where, "elsewhere").exists()
    store.close()


@check
def a_change_sees_itself(ground: Ground) -> None:
    """Reading inside of writing sees what was written before, in the right place."""
    store = ground.open()
    put(store, ANN, b"ns", (b"b", b"1"), (b"d", b"1"), (b"f", b"1"))
    with store.writing(ANN, b"ns", b"") as space:
        assert space.get_many([b"b", b"x"]) == [b"1", None]
        space.put(b"a", b"new")
        space.put(b"d", b"changed")
        space.delete(b"b")
        space.put(b"z", b"last")
        wanted = [(b"a", b"new"), (b"d", b"changed"), (b"f", b"1"), (b"z", b"last")]
        assert list(space.items()) == wanted
        assert space.get_many([b"b", b"f", b"d", b"a"]) == [None, b"1", b"changed", b"new"]
    assert list(everything(store, ANN, b"ns").items()) == wanted
    store.close()


@check
def values_may_be_large_and_keys_long(ground: Ground) -> None:
    """16 MiB come back; keys that differ only behind their 1,000th byte are different, and in order."""
    store = ground.open()
    large = ODD * 65_794
    assert len(large) > 16 << 20
    long = {b"k" * 1000 + bytes([byte]): bytes([byte]) for byte in (1, 200, 50, 255)}
    long |= {b"k" * size: b"%d" % size for size in (223, 224, 225, 255, 256, 5000)}
    put(store, ANN, b"ns", (b"large", large), (b"s", b"1"), *long.items())
    assert store.get_many(ANN, b"ns", [b"large"]) == [large]
    assert store.get_many(ANN, b"ns", list(long)) == list(long.values())
    assert everything(store, ANN, b"ns") == long | {b"large": large, b"s": b"1"}
    with store.writing(ANN, b"ns", b"") as space:
        space.delete(b"k" * 5000)
        space.delete(b"large")
    assert everything(store, ANN, b"ns") == {key: long[key] for key in long if len(key) != 5000} | {b"s": b"1"}
    store.close()


@check
def the_journal_has_every_change(ground: Ground) -> None:
    """One line per change, in order, apart by namespace; none for nohist_ and for an empty line."""
    store = ground.open()
    for number in range(5):
        put(store, ANN, b"ns", (b"a", b"%d" % number), journal=b"P:%d:a=%d" % (number, number))
    put(store, ANN, b"other", (b"a", b"1"), journal=b"P:9:a=1")
    put(store, ANN, b"nohist_x", (b"a", b"1"), journal=b"P:9:a=1")
    put(store, ANN, b"ns", (b"a", b"q"), journal=b"")
    with store.writing(ANN, b"ns", b"D:10:never"):
        pass  # a change that changes nothing is told all the same
    assert ground.journal(ANN, b"ns") == [b"P:%d:a=%d" % (one, one) for one in range(5)] + [b"D:10:never"]
    assert ground.journal(ANN, b"other") == [b"P:9:a=1"]
    assert ground.journal(ANN, b"nohist_x") == []
    store.close()


@check
def reading_is_one_moment(ground: Ground) -> None:
    """What another process changes meanwhile is not seen, wholly or in part, until the next reading."""
    one, other = ground.open(), ground.open()
    put(one, ANN, b"ns", (b"a", b"1"), (b"b", b"1"))
    with one.reading(ANN, b"ns") as space:
        assert space.get(b"a") == b"1"
        put(other, ANN, b"ns", (b"a", b"2"), (b"b", b"2"), (b"c", b"2"))
        assert space.get(b"b") == b"1"
        assert dict(space.items()) == {b"a": b"1", b"b": b"1"}
    assert everything(one, ANN, b"ns") == {b"a": b"2", b"b": b"2", b"c": b"2"}
    one.close()
    other.close()


@check
def owners_do_not_meet(ground: Ground) -> None:
    """Users, the domain itself and the same names in another domain have their own data each."""
    store = ground.open()
    owners = [ANN, BOB, DOMAIN, Owner(b"osu", b"ann"), Owner(b"osu", b"")]
    owners += [Owner(b"msu", b"a.b"), Owner(b"msu", b"b.b"), Owner(b"m.s", b"ann")]
    for number, owner in enumerate(owners):
        put(store, owner, b"ids", (b"a", b"%d" % number))
        put(store, owner, b"ids2", (b"a", b"other"))
    found = [everything(store, owner, b"ids") for owner in owners]
    assert found == [{b"a": b"%d" % number} for number in range(len(owners))]
    store.close()


@check
def accounts_are_made_once(ground: Ground) -> None:
    """Made, not made again, changed, found by another process; nobody has one by having data."""
    store = ground.open()
    assert store.account(ANN) is None
    assert not store.change_account(ANN, b"internal:none")
    assert store.create_account(ANN, b"internal:$argon2id$x:y")
    assert not store.create_account(ANN, b"internal:second")
    assert store.account(ANN) == b"internal:$argon2id$x:y"
    assert store.change_account(ANN, b"krb4:MSU.EDU")
    other = ground.open()
    assert other.account(ANN) == b"krb4:MSU.EDU"
    assert other.exists(ANN)
    assert not other.exists(BOB)
    put(other, BOB, b"ns", (b"a", b"1"))
    assert store.exists(BOB)
    assert store.account(BOB) is None
    store.close()
    other.close()


@check
def activity_is_added_line_by_line(ground: Ground) -> None:
    """Lines of several users, each in its own log and in order."""
    store = ground.open()
    for number in range(3):
        store.activity(ANN, b"1:msul1:%d" % number)
        store.activity(BOB, b"2:msul1:%d" % number)
    assert ground.activity(ANN) == [b"1:msul1:%d" % number for number in range(3)]
    assert ground.activity(BOB) == [b"2:msul1:%d" % number for number in range(3)]
    store.close()


@check
def names_from_outside_are_refused(ground: Ground) -> None:
    """Whatever could leave the users' directory, or could be no file name, is refused by every method."""
    store = ground.open()
    bad = [b"..", b".", b"a/b", b"../a", b"a\0b", b"a\nb", b"-a", b".a", b"a" * 300, b"\xe4", b"a b", b"$a"]
    for name in bad:
        refused(lambda name=name: store.get_many(Owner(name, b"ann"), b"ns", [b"a"]))  # type: ignore[misc]  # bound now
        refused(lambda name=name: store.writing(Owner(b"msu", name), b"ns", b""))  # type: ignore[misc]  # likewise
        refused(lambda name=name: store.reading(ANN, name))  # type: ignore[misc]  # likewise
        refused(lambda name=name: store.create_account(Owner(b"msu", name), b"x"))  # type: ignore[misc]  # likewise
        refused(lambda name=name: store.activity(Owner(name, b"ann"), b"x"))  # type: ignore[misc]  # likewise
    for call in (store.account, store.exists):
        refused(lambda call=call: call(DOMAIN))  # type: ignore[misc]  # likewise
    refused(lambda: store.writing(ANN, b"", b""))
    refused(lambda: store.writing(ANN, b"a.b", b""))
    refused(lambda: store.reading(Owner(b"", b"ann"), b"ns"))
    store.close()


def refused(call: Callable[[], object]) -> None:
    """Check that a call is refused for its names."""
    try:
        call()
    except NameRefused:
        return
    raise AssertionError("a name was taken")


@check
def one_namespace_is_open_at_a_time(ground: Ground) -> None:
    """A second one inside is a defect that is told, the first goes on."""
    store = ground.open()
    store.create_account(ANN, b"internal:x")
    with store.writing(ANN, b"ns", b"") as space:
        space.put(b"a", b"1")
        for second in (store.reading(ANN, b"ns"), store.writing(ANN, b"other", b"")):
            with contextlib.suppress(RuntimeError), second:
                raise AssertionError("two are open")
        assert store.account(ANN) == b"internal:x"  # a question is no change
    assert everything(store, ANN, b"ns") == {b"a": b"1"}
    with store.reading(ANN, b"ns") as space, contextlib.suppress(RuntimeError):
        space.put(b"a", b"2")
        raise AssertionError("written while reading")
    assert everything(store, ANN, b"ns") == {b"a": b"1"}
    store.close()


@check
def a_dump_may_be_large_or_left_half_way(ground: Ground) -> None:
    """20,000 keys come in order; one that is not read to its end hinders nobody."""
    store, other = ground.open(), ground.open()
    pairs = [(b"%08d" % (number * 7919 % 20_000), b"v" * (number % 50)) for number in range(20_000)]
    put(store, ANN, b"ns", *pairs)
    assert everything(store, ANN, b"ns") == dict(pairs)
    kept: list[Iterator[tuple[bytes, bytes]]] = []
    with store.reading(ANN, b"ns") as space:
        kept.append(space.items())
        assert next(kept[0])[0] == b"00000000"
        kept.append(space.items())
        assert next(kept[1])[0] == b"00000000"
        assert next(kept[0])[0] == b"00000001"
    put(store, ANN, b"ns", (b"00000000", b"new"))
    put(other, ANN, b"ns", (b"00000001", b"new"))
    assert store.get_many(ANN, b"ns", [b"00000000", b"00000001"]) == [b"new", b"new"]
    store.close()
    other.close()


def main(arguments: list[str]) -> int:
    """Run the named checks, each in a place of its own (files) or where the caller has made room (a server)."""
    engine, where, *names = arguments
    for name in names or CHECKS:
        if engine == "postgres":
            CHECKS[name](Ground(engine, where))
        else:
            with tempfile.TemporaryDirectory(dir=where) as place:
                CHECKS[name](Ground(engine, f"{place}/lonUsers"))
        print(name, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
