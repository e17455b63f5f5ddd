"""What the parent tells its new self over exec, and how the new self believes it.

The notes are JSON in a sealed memfd whose number stands on the command line. Nothing of them is trusted by itself:
they must name this very pid, the lock must already be held through the descriptor they name, and every
descriptor is checked for kind and name by whoever takes it over (promises.md 3, forged hand-over).
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from typing import Any

from lonc.errors import StartError
from lonc.system.sealed import UNREADABLE, read_sealed, whole_number, write_sealed


@dataclass(frozen=True, slots=True)
class PeerNote:
    """One peer: its child (pid 0: none) and its socket (fd -1: none).

    kill_at: when a child that is already leaving has to be gone, monotonic seconds; 0: it was not told yet.
    """

    id: str
    pid: int
    fd: int
    device: int
    inode: int
    kill_at: float


@dataclass(frozen=True, slots=True)
class Notes:
    """Everything that is handed over. lifeline: read end and write end.

    settings, hosts: configuration and table as plain values, for the case that those on disk fail (`former`);
    a host is id, domain, role, name, address.
    """

    pid: int
    lock_fd: int
    lifeline: tuple[int, int]
    peers: tuple[PeerNote, ...]
    settings: dict[str, object] = field(default_factory=dict)
    hosts: tuple[tuple[str, str, str, str, str], ...] = ()

    def descriptors(self) -> list[int]:
        """Return every descriptor that has to live over exec."""
        return [self.lock_fd, *self.lifeline, *(peer.fd for peer in self.peers if peer.fd >= 0)]


def write_notes(notes: Notes) -> int:
    """Return an inheritable, sealed memfd that holds the notes. Raises OSError, also for more than can be read."""
    return write_sealed("lonc-handover", json.dumps(asdict(notes)).encode())


def read_notes(fd: int) -> Notes:
    """Return the notes of this process's former self and close fd. Raises StartError when they are not that."""
    notes = peek_notes(fd)
    os.close(fd)
    return notes


def peek_notes(fd: int) -> Notes:
    """Return what read_notes would, and leave fd open."""
    try:
        data = read_sealed(fd)
    except OSError as error:
        raise StartError(f"descriptor {fd} holds no hand-over: {error.strerror or error}") from error
    try:
        notes = _parse(json.loads(data))
    except UNREADABLE as error:
        raise StartError(f"the hand-over in descriptor {fd} cannot be read: {type(error).__name__}") from error
    if notes.pid != os.getpid():
        raise StartError(f"the hand-over is for process {notes.pid}, not for {os.getpid()}")
    return notes


def _parse(raw: dict[str, object]) -> Notes:
    settings = raw.get("settings", {})  # these two may be missing where the former self was another release
    if not isinstance(settings, dict):
        raise TypeError("an object expected")
    reader, writer = (whole_number(fd) for fd in _list(raw["lifeline"]))
    return Notes(
        whole_number(raw["pid"]), whole_number(raw["lock_fd"]), (reader, writer),
        tuple(map(_parse_peer, _list(raw["peers"]))), settings,
        tuple(map(_parse_host, _list(raw.get("hosts", [])))),
    )  # fmt: skip


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("a list expected")
    return value


def _parse_host(raw: list[object]) -> tuple[str, str, str, str, str]:
    name, domain, role, host, address = raw
    words = (str(name), str(domain), str(role), str(host), str(address))
    if list(words) != raw:
        raise TypeError("five words expected")
    return words


def _parse_peer(raw: dict[str, object]) -> PeerNote:
    name, kill_at = raw["id"], raw["kill_at"]
    if not isinstance(name, str) or not isinstance(kill_at, int | float):
        raise TypeError("a peer's id or time")
    pid, fd = whole_number(raw["pid"]), whole_number(raw["fd"])
    device, inode = raw["device"], raw["inode"]
    if not isinstance(device, int) or not isinstance(inode, int):
        raise TypeError("a number expected")
    return PeerNote(name, pid, fd, device, inode, float(kill_at))
