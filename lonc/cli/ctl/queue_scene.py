"""Owns what all verbs of the queue begin with: the messages there are, and what is known of each but its text."""

from __future__ import annotations

import argparse
import os
import time

from lonc.cli.ctl.output import Output
from lonc.cli.ctl.snapshot import Life, Peer, Snapshot, take
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.delayed.operating import OperatingError
from lonc.delayed.shelves import Found, Place, companion_of, everything, ids_of, word_of
from lonc.system.files import SystemFiles
from lonc.system.logs import shown_reply
from lonc.system.shown import printable

Message = dict[str, object]


class QueueScene:
    """The delayed directory and the peers at this moment. Raises OperatingError when it may not be read."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.config = config_of(options)
        self.files = SystemFiles()
        self.now: Snapshot = take(self.config)
        self.peers = frozenset(self.now.by_id)
        self.found = self.look()
        self.ids = ids_of(self.found)

    def look(self) -> list[Found]:
        """Return every message there is now."""
        try:
            return everything(self.files, self.config.delayed_dir, self.peers)
        except OSError as error:
            raise OperatingError(f"{error.filename or self.config.delayed_dir}: {error.strerror}") from error

    def wanted(self, options: argparse.Namespace, peer: str | None) -> list[Found]:
        """Return the messages of a peer (None: of all) in the place that is asked for; dropped ones only there."""
        places = (
            [Place(options.where)] if options.where else [place for place in Place if place is not Place.DROPPED]
        )
        return [one for one in self.found if one.place in places and peer in (None, one.peer)]

    def message(self, one: Found) -> Message:
        """Return what may be shown of a message, as its JSON has it."""
        return {
            "id": printable(self.ids.get((one.place, one.name), one.short), 400),
            "where": one.place.value,
            "peer": one.peer,
            "written": round(one.written, 3),
            "age_s": round(max(0.0, time.time() - one.written), 1),
            "size_bytes": one.size,
            "command": printable(word_of(self.files, self.config.delayed_dir, one), 100),
            "last_error": self.last_error(one),
            "next_try": self.next_try(one),
        }

    def last_error(self, one: Found) -> str:
        """Return why a message is where it is; "" when nothing is known against it."""
        name, line = companion_of(self.files, self.config.delayed_dir, one)
        if name.endswith(".reply"):
            return f"the peer answered {shown_reply(line)}"
        if name.endswith(".reason"):
            return printable(line, 300)
        peer = self.now.peer(one.peer)
        if one.place is Place.DELAYED and peer is not None and peer.live is not None and not peer.up:
            return printable(peer.live.why, 300)
        return ""

    def next_try(self, one: Found) -> str:
        """Return when it is sent next, in words."""
        if one.place is Place.HELD:
            return "after `queue release`"
        if one.place is Place.DROPPED:
            return "never: `queue release` brings it back within 7 days"
        if one.place is not Place.DELAYED:
            return "after `queue retry`"
        if not one.regular:
            return "never: it is no file"
        if self.now.daemon.life is not Life.RUNNING:
            return "when lonc runs"
        peer = self.now.peer(one.peer)
        return "never: its host is not in the table" if peer is None else self._of_peer(peer)

    def _of_peer(self, peer: Peer) -> str:
        if peer.paused:
            return "after `loncctl resume`"
        if peer.up:
            return f"now, or within {self.config.delayed_scan_s:g} s"
        if peer.live is not None and peer.live.next_try:
            return f"in {max(0.0, peer.live.next_try - self.now.at_monotonic):.0f} s"
        if peer.live is not None:
            return "when the link is ready"
        if peer.parent is not None and peer.parent.state == "given up":
            return "after `loncctl retry`: the peer was given up"
        return "when its child has started"


def unknown_peer(scene: QueueScene, peer: str, out: Output, action: str) -> int:
    """Tell that there is no such peer; return the exit code."""
    text = f"{peer} is neither a peer nor one of shape, show, hold, release, retry, drop, move"
    out.json({"verb": "queue", "action": action, "done": False, "text": text, "messages": []})
    if not out.as_json:
        out.complain(text)
    return Exit.USAGE


def is_owner(directory: str) -> bool:
    """Return whether this process is root's or the owner's of the directory."""
    return os.geteuid() in (0, os.stat(directory).st_uid)
