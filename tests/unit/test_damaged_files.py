"""What fuzzing has found: damaged or forged files that are read all the same, or refused in order."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lonc.child.wishes import Wish, wishes_in
from lonc.delayed.results import Identity
from lonc.delayed.shelves import Found, NotFoundError, Place, ids_of, which
from lonc.errors import StartError
from lonc.lond import restart as lond_restart
from lonc.parent import handover
from lonc.system.sealed import write_sealed
from tests.unit.delayed_ground import Ground

DIGITS = "9" * 5000  # more than int() takes


def test_a_wish_until_a_number_of_thousands_of_digits_is_none() -> None:
    assert list(wishes_in(f"p1\tdebug\t{DIGITS}\np2\tpaused\n")) == [Wish("p2", "paused", None)]


@pytest.mark.parametrize("line", ["a\0b.p1\t1:2:3:4\n\n", f"a.p1\t1:2:3:{DIGITS}\n\n", "\0" * 64])
def test_a_damaged_note_of_what_was_on_its_way_names_nothing(tmp_path: Path, line: str) -> None:
    ground = Ground(tmp_path)
    (ground.path / ".lock-p1").write_text(line)
    ground.put(".sent-p1~", b"kept\n")
    answer = ground.queue().try_lock()
    assert (answer.taken, answer.possibly_double, answer.detail) == (True, (), "")
    (restored,) = ground.names()
    assert (ground.path / restored).read_bytes() == b"kept\n"


def test_the_id_of_a_message_never_means_one_whose_name_holds_the_star() -> None:
    names = ["1.2.3.secret.p1", "1.2.3.*.p1", "1.2.3.other.p1"]
    found = [Found(Place.DELAYED, name, "p1", Identity(1, n, 1, 0), 0o100600, 0, 0) for n,
        name in enumerate(names)]
    assert len(set(ids_of(found).values())) == 1
    with pytest.raises(NotFoundError, match="not one message"):
        which(found, "1.2.3.*.p1")
    assert which(found[1:2], "1.2.3.*.p1") is found[1]
    assert which(found, "1.2.3.secret.p1") is found[0]


NOTES: dict[str, Any] = asdict(handover.Notes(os.getpid(), 5, (6, 7), (handover.PeerNote("p", 9, 8, 1, 2,
    1.5),), {}, ()))
OF_LOND: dict[str, Any] = {
    "pid": os.getpid(), "lock_fd": 5, "listener_fd": 6, "bound": ["", 1], "started": 1.5, "restarts": 1,
    "settings": {},
    "hosts": [{"id": "p", "domain": "d", "role": "r", "name": "n", "address": "127.0.0.1"}],
}  # fmt: skip


def _text(notes: dict[str, Any], **changes: object) -> bytes:
    return json.dumps(notes | changes).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000, b'{"pid":' * 100_000, _text(NOTES, lock_fd=1 << 40), _text(NOTES, lifeline=[1 << 80, 3]),
        _text(NOTES, pid=-2), _text(NOTES, peers=[NOTES["peers"][0] | {"fd": 1 << 31}]),
        _text(NOTES, peers=[NOTES["peers"][0] | {"kill_at": 10**400}]),
        _text(NOTES, peers=[NOTES["peers"][0] | {"device": "1"}]),
    ],
)  # fmt: skip
def test_notes_of_a_restart_that_no_self_wrote_are_refused(data: bytes) -> None:
    _refused(handover.peek_notes, data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000, _text(OF_LOND, listener_fd=1 << 40), _text(OF_LOND, restarts=float("inf")),
        _text(OF_LOND, hosts=[{"id": "p"}]), _text(OF_LOND, hosts=[OF_LOND["hosts"][0] | {"name": 1}]),
        _text(OF_LOND, hosts=["p"]),
    ],
)  # fmt: skip
def test_notes_of_lond_that_no_self_wrote_are_refused(data: bytes) -> None:
    _refused(lond_restart.read_notes, data)


def test_a_host_of_another_release_is_taken_without_what_is_not_known_of_it() -> None:
    fd = write_sealed("notes", _text(OF_LOND, hosts=[OF_LOND["hosts"][0] | {"of a later one": 1}]))
    try:
        (host,) = lond_restart.read_notes(fd).hosts
    finally:
        os.close(fd)
    assert (host.id, host.address) == ("p", "127.0.0.1")


def _refused(read: Callable[[int], object], data: bytes) -> None:
    fd = write_sealed("notes", data)
    try:
        with pytest.raises(StartError, match="cannot be read"):
            read(fd)
    finally:
        os.close(fd)
