"""A restart in place: this process executes itself again, with lock, pid and sockets kept (house.md 3).

Nothing is closed or removed before exec, and every descriptor that is to live over it loses its close-on-exec
mark only in the last moment, so an exec that fails leaves the old self as it was.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from lonc.config.plain import settings_of
from lonc.errors import StartError
from lonc.parent.handover import Notes, PeerNote, write_notes
from lonc.parent.house import House
from lonc.system import signals
from lonc.system.logs import Severity
from lonc.system.sealed import exec_again


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Block all signals meanwhile. What comes stays pending, over exec too, for whoever unblocks them."""
    mask = signals.block_all()
    try:
        yield
    finally:
        signals.restore(mask)


def become_new(house: House) -> str:
    """Execute ourselves again; signals are blocked. Returns only when that failed: the reason."""
    try:
        if house.lock.renew():  # or the new self, which believes no number alone, could not prove its right
            house.log.write(f"{house.lock.path} had been removed: made and locked again", Severity.WARNING)
    except StartError as error:
        return str(error)
    notes = take_notes(house)
    return exec_again(house.argv, lambda: write_notes(notes), notes.descriptors())


def take_notes(house: House) -> Notes:
    """Return all that the new self has to know."""
    sockets = house.listeners.all()
    pids = {name: pid for pid, name in house.children.items()}
    found = []
    for name in {**dict.fromkeys(sockets), **pids}:
        peer = house.peers.peer(name)
        listener = sockets.get(name)
        fd = listener.sock.fileno() if listener else -1
        device, inode = (listener.device, listener.inode) if listener else (0, 0)
        leaving = peer.kill_at or 0.0
        found.append(PeerNote(name, pids.get(name, 0), fd, device, inode, leaving))
    hosts = tuple((host.id, host.domain, host.role, host.name, host.address) for host in house.hosts.values())
    settings = settings_of(house.config)
    return Notes(os.getpid(), house.lock.fd, house.lifeline, tuple(found), settings, hosts)
