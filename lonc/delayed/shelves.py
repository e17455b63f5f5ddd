"""Owns what an operator can see of the delayed directory: every message, wherever it lies, and which one he means.

    delayed    D/NAME            to be sent
    held       D/held/NAME       put aside by an operator
    rejected   D/rejected/NAME   refused by the peer; NAME.reply says how
    corrupt    D/corrupt/NAME    can be no message; NAME.reason says why
    dropped    D/dropped/NAME    taken away by an operator; the copy is kept for a week

Looking changes nothing and needs no lock. Names may hold request text (the originals put the first characters of a
command into them), so they are shown by Found.label only.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from lonc.delayed.moving import facts_of
from lonc.delayed.names import PASSED_OVER, Owner, standard_order
from lonc.delayed.results import Identity, identity_of
from lonc.errors import LoncError
from lonc.system.files import Files, open_with_facts, read_all
from lonc.system.shown import printable
from lonc.wire.words import command_word

HEAD_BYTES = 64  # of a file: enough for the command's word
COMPANION_BYTES = 4096
_BEGINNING = re.compile(r"\A([0-9]+\.[0-9]+\.[0-9]+)\.[^./]*")
_STANDARD = re.compile(r"([0-9]{1,18})\.([0-9]{1,18})\.([0-9]+)\.([^./]*)\.(.+)", re.DOTALL)
_NUMBERED = re.compile(r"-[0-9]{1,6}\Z")  # behind a name that was taken (files.md 8)


class Place(Enum):
    """Where a message lies; the value is the word that is shown, and but for the first its directory."""

    DELAYED = "delayed"
    HELD = "held"
    REJECTED = "rejected"
    CORRUPT = "corrupt"
    DROPPED = "dropped"

    @property
    def folder(self) -> str:
        """Return its directory below the delayed directory, "" for that itself."""
        return "" if self is Place.DELAYED else self.value


# What the name of the file beside a message ends with, by place.
COMPANIONS = {Place.REJECTED: (".reply",), Place.CORRUPT: (".reason",), Place.DROPPED: (".reply", ".reason")}


class NotFoundError(LoncError):
    """No message, or more than one, is meant by what was said."""


@dataclass(frozen=True, slots=True)
class Found:
    """One file. peer: "" when it is nobody's in the table. written: seconds since 1970, of the message.

    put: when it came to where it lies.
    """

    place: Place
    name: str
    peer: str
    identity: Identity
    mode: int
    written: float
    put: float

    @property
    def regular(self) -> bool:
        """Return whether it is a file."""
        return stat.S_ISREG(self.mode)

    @property
    def size(self) -> int:
        """Return its length in bytes."""
        return self.identity.size

    @property
    def short(self) -> str:
        """Return the beginning of its name that holds no request text: TIME.COUNTER.PID, else the whole name."""
        parts = _STANDARD.fullmatch(self.name)
        return f"{parts[1]}.{parts[2]}.{parts[3]}" if parts else self.name

    @property
    def masked(self) -> str:
        """Return its name with a star in place of request text."""
        parts = _STANDARD.fullmatch(self.name)
        return f"{parts[1]}.{parts[2]}.{parts[3]}.*.{parts[5]}" if parts else self.name

    @property
    def label(self) -> str:
        """Return where it lies and its masked name, as one printable text."""
        return printable(f"{self.place.value}/{self.masked}", 400)


def everything(files: Files, directory: str, peers: Collection[str]) -> list[Found]:
    """Return every message, those of the queue first, each place in sending order. OSError: a place is closed."""
    owner = Owner("", peers)
    found = []
    for place in Place:
        found += listed(files, directory, place, owner)
    return found


def listed(files: Files, directory: str, place: Place, owner: Owner) -> list[Found]:
    """Return what lies in one place; nothing when there is none."""
    folder = os.path.join(directory, place.folder)
    try:
        names = files.listdir(folder)
    except FileNotFoundError:
        return []
    known = set(names)
    found = []
    for name in names:
        passed = place is Place.DELAYED and name in PASSED_OVER
        if name.startswith(".") or passed or _is_companion(name, place, known):
            continue
        facts = facts_of(files, os.path.join(folder, name))
        if facts is not None:
            found.append(found_of(place, name, facts, owner))
    return sorted(found, key=lambda one: (*(standard_order(one.name) or (one.written, 0)), one.name))


def found_of(place: Place, name: str, facts: os.stat_result, owner: Owner) -> Found:
    """Return what a name and its facts tell."""
    peer = owner.peer_of(name) or owner.peer_of(_NUMBERED.sub("", name)) or ""
    order = standard_order(name)
    written = float(order[0]) if order is not None else facts.st_mtime
    return Found(place, name, peer, identity_of(facts), facts.st_mode, written, facts.st_ctime)


def _is_companion(name: str, place: Place, known: Collection[str]) -> bool:
    suffixes = COMPANIONS.get(place, ())
    return any(name.endswith(suffix) and name.removesuffix(suffix) in known for suffix in suffixes)


def ids_of(found: Iterable[Found]) -> dict[tuple[Place, str], str]:
    """Return for each message the shortest text that which() takes for it alone and that holds no request text."""
    found = list(found)
    shorts, masked = Counter(one.short for one in found), Counter(one.masked for one in found)
    ids = {}
    for one in found:
        if shorts[one.short] == 1:
            ids[one.place, one.name] = one.short
        else:
            where = f"{one.place.value}/" if masked[one.masked] > 1 else ""
            ids[one.place, one.name] = where + one.masked
    return ids


def which(found: Iterable[Found], said: str) -> Found:
    """Return the message that is meant: its name, a beginning of it that no other has, or its masked name.

    `PLACE/` before it says where it lies. Raises NotFoundError.
    """
    word, slash, rest = said.partition("/")
    places = {place.value: place for place in Place}
    if slash and word in places:
        found, said = [one for one in found if one.place is places[word]], rest
    else:
        found = list(found)
    if not said:
        raise NotFoundError("no message is named")
    for fits in (
        [one for one in found if one.name == said != one.masked],  # a name may have the star itself
        [one for one in found if one.masked == said],
        [one for one in found if one.short == said],
        [one for one in found if one.name.startswith(said) or one.masked.startswith(said)],
    ):
        if len(fits) == 1:
            return fits[0]
        if fits:
            names = ", ".join(one.label for one in fits[:5])
            more = f" and {len(fits) - 5} more" if len(fits) > 5 else ""
            raise NotFoundError(f"{_as_shown(said)} is not one message: {names}{more}")
    raise NotFoundError(f"there is no message {_as_shown(said)}")


def _as_shown(said: str) -> str:
    """Return what somebody called a message, with a star where a name holds request text: a script may log it."""
    return printable(_BEGINNING.sub(r"\1.*", said), 200)


def word_of(files: Files, directory: str, one: Found) -> str:
    """Return what may be shown of the command: its word alone, `sealed` for a sealed one, `?` for no message."""
    if not one.regular:
        return "?"
    try:
        fd, _facts = open_with_facts(files, os.path.join(directory, one.place.folder, one.name), os.O_RDONLY)
        try:
            data = read_all(files, fd, HEAD_BYTES)
        finally:
            files.close(fd)
    except OSError:
        return "?"
    line = data.partition(b"\n")[0]
    return command_word(line).partition(" (")[0] or "?"


def companion_of(files: Files, directory: str, one: Found) -> tuple[str, bytes]:
    """Return the name and the first line of the file beside a message that says why it lies there; "" without."""
    for suffix in COMPANIONS.get(one.place, ()):
        try:
            path = os.path.join(directory, one.place.folder, one.name + suffix)
            fd, _facts = open_with_facts(files, path, os.O_RDONLY)
        except OSError:
            continue
        try:
            with suppress(OSError):
                return one.name + suffix, read_all(files, fd, COMPANION_BYTES).partition(b"\n")[0]
        finally:
            files.close(fd)
    return "", b""
