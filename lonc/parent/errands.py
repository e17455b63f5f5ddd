"""Delayed messages of peers without a child: on demand the parent looks for them, since nobody else would.

A delayed message is looked at by the child of its peer. With loncOnDemand a peer may have none until a client
comes, and a message that was kept because the peer was away must not wait for that. So the parent looks at the
directory, at its start, every loncDelayedScan seconds and on USR1 and USR2, and has a child started for each peer
that rests and has files there, as if a client had knocked. It reads no file and moves none: what a file is worth
its child finds out. A look is one stat as long as the directory's mtime is what it was and no child has left.

A child does not leave as idle while messages wait for it, so what lies there after such an end can be no message
(a link, a file that cannot be moved away). Those names start no child again within RECALL_S of that end: else it
would be started for ever. Whatever was not there when the child was called is new. An end of another kind forgets
all this.

Without loncOnDemand nothing here runs: every peer has its child.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lonc.child.flush import shown_names
from lonc.config import Host
from lonc.delayed.listing import Listing
from lonc.delayed.names import Owner
from lonc.parent.house import House
from lonc.peers import Input, Knocked, State
from lonc.system.logs import Severity

RECALL_S = 3600.0
SETTLE_S = 2.0  # within this a second change of the directory may not show in its mtime (lonc.md 5)


class _Everybody(Owner):
    """Whose a name is in the table; here every visible name is of interest."""

    def mine(self, name: str) -> bool:
        """Return whether the name is visible."""
        return name[0] != "."

    def nobodys(self, name: str) -> bool:
        """Return what the Owner says; the usual names of peers without a dot are passed at a glance."""
        usual = name.count(".") == 4 and name[name.rfind(".") + 1 :] in self._peers
        return not usual and super().nobodys(name)


@dataclass(slots=True)
class _Call:
    """What lay there when the child of a peer was called; again_at: monotonic seconds, endless while it lives."""

    names: set[str]
    again_at: float = float("inf")


class Errands:
    """Calls children for delayed messages. next_look: monotonic seconds; None: never."""

    def __init__(self, house: House, give: Callable[[str, Input], None]) -> None:
        self.next_look = house.clock.monotonic() if house.config.on_demand else None
        self._house = house
        self._give = give
        self._calls: dict[str, _Call] = {}
        self._stale = False  # what the last listing passed over, because a child lived, may be an errand now
        self._hosts: dict[str, Host] = {}
        self._problem: str | None = None

    def due(self, now: float) -> bool:
        """Return whether it is time for a look."""
        return self.next_look is not None and now >= self.next_look

    def hurry(self) -> None:
        """Look at everything anew and at once: somebody has asked for it, or the table has changed."""
        if self.next_look is not None:
            self.next_look = self._house.clock.monotonic()
            self._stale = True
            self._calls.clear()

    def child_left(self, peer: str, *, idle: bool) -> None:
        """Note the end of a child: what lies there for its peer is to be thought about at the next look."""
        self._stale = True
        call = self._calls.pop(peer, None)
        if idle and call is not None:
            self._calls[peer] = _Call(call.names, self._house.clock.monotonic() + RECALL_S)

    def look(self, now: float) -> None:
        """Call a child for each peer that has none and has files that no child of its has passed over."""
        house = self._house
        self.next_look = now + house.config.delayed_scan_s
        if self._hosts is not house.hosts:
            self._hosts = house.hosts
            self._owner = _Everybody(next(iter(self._hosts), ""), self._hosts)
            self._listing = Listing(
                house.config.delayed_dir, self._owner, house.files, house.clock, SETTLE_S, tells=True
            )
        again = any(now >= call.again_at for call in self._calls.values())
        if not self._listing.refresh(now, force=self._stale or again):
            return
        self._stale = False
        self._tell()
        names, self._listing.mine = self._listing.mine, []  # there may be many, and what is forked inherits them
        resting = self._resting(names)
        self._forget(names)
        del names
        for peer, waiting in resting.items():
            call = self._calls.get(peer)
            if call is None or now >= call.again_at or not waiting <= call.names:
                self._calls[peer] = _Call(waiting)
                house.log.write(f"Delayed messages wait for {peer}: its child is started")
                self._give(peer, Knocked())

    def _resting(self, names: Iterable[str]) -> dict[str, set[str]]:
        """Return the names of each peer that rests without a child."""
        found: dict[str, set[str]] = {}
        peers = self._house.peers
        resting = {peer for peer in peers.names() if peers.peer(peer).state is State.WANTED}
        # There may be 100,000 for peers whose children live: only what ends right is looked at more closely.
        endings = {peer[peer.rfind(".") + 1 :] for peer in resting}
        for name in names:
            if name[name.rfind(".") + 1 :] in endings:
                peer = self._owner.peer_of(name)
                if peer in resting:
                    found.setdefault(peer, set()).add(name)
        return found

    def _forget(self, names: Iterable[str]) -> None:
        """Forget what is gone: under the same name something new may come."""
        if self._calls:
            there = set(names)
            for peer, call in list(self._calls.items()):
                call.names &= there
                if not call.names:
                    del self._calls[peer]

    def _tell(self) -> None:
        """Tell what concerns no peer in particular; on demand the children leave that to the parent."""
        listing, log = self._listing, self._house.log
        for name in listing.foreign:
            text = f"Delayed file {name} is for a host that is not in the table: it stays"
            log.write(shown_names(text), Severity.WARNING)
        for note in listing.notes:
            log.write(note, Severity.WARNING)
        listing.foreign.clear()
        listing.notes.clear()
        if listing.problem is not None and listing.problem != self._problem:
            log.write(f"Delayed directory: {listing.problem}", Severity.WARNING)
        self._problem = listing.problem
