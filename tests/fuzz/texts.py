"""Owns the harnesses of single texts: names of delayed files, words of the protocol, lines of the log."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

from lonc.child.flush import shown_names
from lonc.cli.ctl.log_tail import LogTail
from lonc.cli.ctl.piles import peer_of
from lonc.config.model import valid_id
from lonc.delayed.names import (
    NAME_MAX,
    PASSED_OVER,
    Owner,
    companion,
    is_clean,
    is_usual,
    numbered,
    size,
    standard_order,
)
from lonc.delayed.results import Identity
from lonc.delayed.shelves import Found, NotFoundError, Place, ids_of, which
from lonc.lonnet import fields
from lonc.system.logs import perm_command, shown_command, shown_reply
from lonc.wire import words
from tests.fuzz.choices import Choices
from tests.fuzz.harness import Harness, rule, scratch

_STANDARD = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}\.[0-9]+\.[A-Za-z0-9_]*\..", re.DOTALL)


def names(data: bytes) -> None:
    """Whatever names and ids there are: a file is one peer's or nobody's, and what loncctl calls it means it
    alone."""
    choices = Choices(data)
    ids = [os.fsdecode(choices.line()) for _ in range(choices.byte() % 5)]
    peers = [name for name in ids if valid_id(name)]
    given = [os.fsdecode(name) for name in choices.rest().split(b"\n")[:30]]
    found: list[Found] = []
    for name in dict.fromkeys(given):
        if not name or "/" in name or "\0" in name or size(name) > NAME_MAX or name in (".", ".."):
            continue
        _one_name(name, peers)
        if not name.startswith("."):
            place = Place.HELD if len(found) % 3 else Place.DELAYED
            peer = peer_of(Owner("", peers), name)
            found.append(Found(place, name, peer, Identity(1, len(found), 5, 0), 0o100600, 0.0, 0.0))
    called = ids_of(found)
    for one in found:
        rule(one.label.isprintable(), "a label that cannot be shown")
        rule(_means(found, called[one.place, one.name], one), f"the id of {one.name!r} means another message")


def _means(found: list[Found], said: str, one: Found) -> bool:
    """Return whether an id means this message; of names that are alike but for masked text none may be told."""
    try:
        return which(found, said) is one
    except NotFoundError:
        return sum((other.place, other.masked) == (one.place, one.masked) for other in found) > 1


def _one_name(name: str, peers: list[str]) -> None:
    owner = Owner("", peers)  # as loncctl has it, for which a name that ends in a dot is nobody's too
    whose = owner.peer_of(name) or None
    rule(whose is None or (whose in peers and name.endswith(f".{whose}")),
        "a name belongs to whom it does not name")
    mine = [peer for peer in dict.fromkeys(peers) if Owner(peer, peers).mine(name)]
    rule(mine == ([whose] if whose is not None else []), "a name of two peers, or of none")
    if owner.nobodys(name):
        rule(whose is None and name[0] != "." and name not in PASSED_OVER, "somebody's file is nobody's")
    rule((standard_order(name) is not None) == bool(_STANDARD.match(name)), "not standard")
    rule(not is_usual(name) or (is_clean(name) and standard_order(name) is not None), "usual, and not clean")
    rule(not is_clean(name) or name.isascii(), "clean, and not ASCII")
    for n in (1, 2, 9999):
        other = numbered(name, n)
        rule(0 < size(other) <= NAME_MAX and (n == 1) == (other == name), "a number that is none")
    beside = companion(name, ".reply")
    rule(beside is None or size(beside) <= NAME_MAX, "a companion that is too long")
    parts = name.split(".", 4)
    if standard_order(name) is not None and len(parts[3]) > 3 and parts[3] not in ".".join(parts[:3] + parts[4:]):
        rule(parts[3] not in shown_names(name), "request text is shown")


def protocol(data: bytes) -> None:
    """Any bytes: escaped and back the same; of a request and a reply only what may be shown is shown."""
    escaped = words.escape(data)
    rule(words.unescape(escaped) == data, "another text came back")
    rule(re.fullmatch(rb"(?:[A-Za-z0-9_]|%[0-9a-f]{2})*", escaped), "a byte that is not escaped")
    words.unescape(data)
    rule(words.is_failure(data) == data.startswith(_FAILURES), "a failure that is none, or the other way round")
    line = data.replace(b"\n", b"")
    shown = words.command_word(line)
    rule(shown.isascii() and shown.isprintable() and len(shown) < 140, "a command that cannot be shown")
    for text in (shown_command(line), shown_reply(line), perm_command(line)):
        rule(text.isprintable(), "a text that cannot stand in a log line")
    for text in (shown_command(line), perm_command(line)):
        secret = line.startswith(b"encrypt:") and b"s3c" not in line[8:].partition(b":")[0]
        rule(not secret or "s3cret" not in text, "a password is shown")
    read = fields.read_pairs(line)
    rule(fields.read_pairs(fields.pairs(read)) == read, "other pairs came back")
    fields.read_record(line)
    rule(len(fields.read_values(line, read)) == len(read), "not one value for each key")


_FAILURES = (b"error", b"refused", b"rejected", b"unknown_cmd", b"con_lost", b"no_such_host")


@functools.cache
def _log() -> Path:
    return scratch("log") / "lonc.log"


def log(data: bytes) -> None:
    """Whatever is added to the log, cut, or renamed away: loncctl reads what is there and raises nothing."""
    path = _log()
    first, _, second = data.partition(b"\n---\n")
    path.write_bytes(b"")
    tail = LogTail(str(path))
    with path.open("ab") as file:
        file.write(first)
    said = tail.said("PARENT", "ready")
    rule(not said or b"[PARENT]" in first, "a message that nobody wrote")
    if len(data) % 3 == 0:
        path.rename(path.with_name("lonc.log.1"))
    path.write_bytes(second)
    tail.said("PARENT", "never")
    tail.said("msul1", "online", pid=7)
    os.close(tail._fd) if tail._fd >= 0 else None


_PEERS = b"\x04msul1\nb\na.b\np-1_x\n"
_LOG = b"Fri Mar  8 03:56:19 2002 (%d) [PARENT] [Fri: up]: ready\n"
HARNESSES = (
    Harness(
        "names", names, 25, (b".", b"..", b".a.b", b"-2", b"1700000000.1.77.put.msul1", b"\n", b"\xff", b".reply"),
        (_PEERS + b"1700000000.1.77.put.msul1\n1.2.3.authdus3cret.a.b\n.tmp.b\nby-hand.b\n-rf.b\nx..y.b",
         _PEERS + b"1.2.3.a.b\n1.2.3.b.b\n1.2.3.a.b-2\n1.2.3.c.a.b", _PEERS + b"x" * 255 + b"\nrejected\nheld.b",
         _PEERS + b"1.2.3..b\n1.2.3.a.b\n11.2.3.a.b\n1.2.3.a.zz\n1.2.3\n1.2.3.*.b",
         b"\x01b\n1.2.3.*.b\n1.2.3.x.b"),
        1024,
    ),
    Harness(
        "protocol", protocol, 40,
        (b"encrypt:", b"enc:8:", b"s3cret", b":", b"%", b"&", b"=", b"\x1b[2J", b"<b>", b"error"),
        (b"", b"put:d:u:ns:a=%26&b=2", b"encrypt:auth:d:u:s3cret", b"enc:8:s3cret", b"%4%41%zz", b"refused"), 300,
    ),
    Harness(
        "log", log, 8, (b"\n---\n", b"[PARENT]", b" ready", _LOG % 7, b"<font color=\"red\">", b"\xd9\xa3"),
        (_LOG % 12 + b"half", b"\n---\n" + _LOG % 3, _LOG % 1 + b"\n---\n" + _LOG % 2, _LOG % int("9" * 30)), 2048,
    ),
)  # fmt: skip
