"""Owns the harnesses of the scoreboard: a file of any bytes for its readers, and all that loncctl makes of it.

The input is a list of changes (offset, bytes) to a good board, or a whole file. `snapshot` reads it as the
board of
this very process, which holds the lock, so that everything in it counts.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from lonc.cli.ctl.metrics import as_json
from lonc.cli.ctl.metrics.families import families
from lonc.cli.ctl.sentences import findings
from lonc.cli.ctl.snapshot import take
from lonc.cli.ctl.status import _row, document
from lonc.errors import ScoreboardError
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord, Scoreboard
from lonc.system.scoreboard.layout import CHILD_PART_AT, HEADER_PART_AT, SLOT_SIZE
from tests.fuzz.choices import Choices
from tests.fuzz.harness import Harness, rule, scratch
from tests.unit.ctl_ground import Ground

PLACES = (0, 8, 12, 16, HEADER_PART_AT, SLOT_SIZE, SLOT_SIZE + CHILD_PART_AT, SLOT_SIZE + CHILD_PART_AT + 8)


@functools.cache
def _good() -> bytes:
    """Return a board of this process with a child in it."""
    path = str(scratch("board") / "good")
    one = Scoreboard.create(path, ["msul1", "own1"])
    one.write_header(HeaderRecord(pid=os.getpid(), started=1e9, state="serving", last_line="x"))
    one.write_parent(0, ParentRecord(peer="msul1", pid=os.getpid(), state="up", since=1e9))
    child = ChildRecord(pid=os.getpid(), state="ready", since=1e9, address="127.0.0.1", beat=1.0, down_since=5.0)
    one.write_child(0, child)
    one.close()
    return Path(path).read_bytes()


def _made(data: bytes) -> bytes:
    """Return the file that an input stands for."""
    choices = Choices(data)
    if choices.byte() == 255:
        return choices.rest()
    file = bytearray(_good())
    for _ in range(20):
        if not choices:
            break
        at = choices.pick(PLACES) + choices.number() % 2048
        text = choices.text()
        file[at : at + len(text)] = text
    cut = choices.number() if data[:1] == b"\xfe" else 0
    return bytes(file[: len(file) - cut])


@functools.cache
def _path() -> str:
    return str(scratch("board") / "lonc.scoreboard")


def board(data: bytes) -> None:
    """Whatever the file holds: every record can be read, or ScoreboardError says why there is none."""
    _write(_path(), _made(data))
    try:
        one = Scoreboard.open_reader(_path())
    except ScoreboardError as error:
        rule(str(error).isprintable(), "an error that cannot be shown")
        return
    try:
        one.read_header()
        for slot in range(one.count):
            one.read_parent(slot)
            one.read_child(slot)
        one.peers()
        rule(not one.refresh(), "it was replaced by nobody")
    finally:
        one.close()
    own = Scoreboard.adopt(_path(), ["msul1", "new"])
    try:
        rule(own.slot_of("msul1") is not None and own.slot_of("new") is not None, "a peer without a slot")
        rule(set(own.peers()) == {"msul1", "new"}, "other peers than wanted")
        rule(len(set(own.peers().values())) == 2, "two peers in one slot")
    finally:
        own.close()


def _write(path: str, data: bytes) -> None:
    """Write a new file: one that is cut under a reader's mapping would be a SIGBUS."""
    fresh = path + ".fresh"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, data)
    os.close(fd)
    os.rename(fresh, path)


@functools.cache
def _ground() -> tuple[Ground, DaemonLock]:
    """Return an installation whose lock this process holds."""
    ground = Ground(scratch("snapshot"), ["msul1", "a.b"])
    return ground, DaemonLock.acquire(ground.config.lock_path, SystemFiles())


def snapshot(data: bytes) -> None:
    """Whatever the board holds: loncctl takes its picture, finds what is wrong in it and prints it as JSON."""
    ground, _lock = _ground()
    _write(ground.config.scoreboard_path, _made(data))
    now = take(ground.config)
    found = findings(now)
    for one in found:
        one.sentence()
    text = json.dumps(document(now, found, now.peers))
    rule("NaN" not in text and "Infinity" not in text, "a document that is no JSON")
    for peer in now.peers:
        _row(now, peer)
    json.dumps(as_json(now))
    for family in families(now):
        rule(family.samples is not None, "no samples")


_F = b"\x00\x00\x00\x00\x00\x00\xf8\x7f"  # not a number
_INF = b"\x00\x00\x00\x00\x00\x00\xf0\x7f"
HARNESSES = (
    Harness(
        "board", board, 6, (_F, _INF, b"\xff" * 8, b"\x08", b"\x00" * 8, b"msul1\0", b"loncBRD\n"),
        (b"\x00", b"\x00\x03\x00\x00\x04\xff\xff\xff\xff", b"\xff", b"\xffloncBRD\n" + b"\0" * 60, b"\xfe\x00"),
    ),
    Harness(
        "snapshot", snapshot, 2, (_F, _INF, b"\xff" * 8, b"\x08", b"\x07", b"\x05", b"ready\0", b"down\0"),
        (b"\x00", b"\x00\x06\x00\x00\x04\x01\x00\x00\x00", b"\x00\x05\x00\x10\x08" + _F,
        b"\x00\x06\x00\xf8\x08" + _INF),
    ),
)  # fmt: skip
