"""Overlay: changes over a ground look like a namespace that was changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.lond.store.overlay import Overlay, merged

KEYS = st.binary(max_size=2)
PAIRS = st.dictionaries(KEYS, st.binary(max_size=2))


class Memory:
    """A ground that counts the questions."""

    def __init__(self, pairs: dict[bytes, bytes]) -> None:
        self.pairs = pairs
        self.asked: list[bytes] = []

    def get_many(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return values."""
        self.asked += keys
        return [self.pairs.get(key) for key in keys]

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Return all."""
        return iter(sorted(self.pairs.items()))


@given(pairs=PAIRS, changes=st.dictionaries(KEYS, st.none() | st.binary(max_size=2)))
def test_merging_is_changing(pairs: dict[bytes, bytes], changes: dict[bytes, bytes | None]) -> None:
    wanted = {key: value for key, value in {**pairs, **changes}.items() if value is not None}
    assert list(merged(iter(sorted(pairs.items())), changes)) == sorted(wanted.items())


@given(pairs=PAIRS, puts=PAIRS, deletes=st.lists(KEYS), asked=st.lists(KEYS))
def test_it_is_a_namespace(
    pairs: dict[bytes, bytes], puts: dict[bytes, bytes], deletes: list[bytes], asked: list[bytes]
) -> None:
    overlay = Overlay(Memory(pairs), writable=True)
    model = dict(pairs)
    for key, value in puts.items():
        overlay.put(key, value)
        model[key] = value
    for key in deletes:
        overlay.delete(key)
        model.pop(key, None)
    assert overlay.get_many(asked) == [model.get(key) for key in asked]
    assert [overlay.get(key) for key in asked] == [model.get(key) for key in asked]
    assert list(overlay.items()) == sorted(model.items())


def test_what_was_changed_is_not_asked_for() -> None:
    ground = Memory({b"a": b"1", b"b": b"2"})
    overlay = Overlay(ground, writable=True)
    overlay.put(b"a", b"3")
    assert overlay.get_many([b"a", b"a"]) == [b"3", b"3"]
    assert ground.asked == []
    assert overlay.get_many([b"b", b"a"]) == [b"2", b"3"]
    assert ground.asked == [b"b"]


def test_no_change_for_reading_or_after_the_end() -> None:
    overlay = Overlay(Memory({}), writable=False)
    with pytest.raises(RuntimeError):
        overlay.put(b"a", b"1")
    overlay = Overlay(Memory({}), writable=True)
    overlay.end()
    with pytest.raises(RuntimeError):
        overlay.delete(b"a")
