"""The parent's side of the scoreboard: what it tells of itself and of each peer, and what it reads of children.

The board is made after the pid's lock is held and before the first fork; over a restart its slots stay, since
draining children still write to them (house.md 4).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from lonc.errors import ScoreboardError, StartError
from lonc.peers import Peer
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.logs import Log, Severity
from lonc.system.scoreboard import NO_SLOT, HeaderRecord, ParentRecord, Scoreboard


class Ledger:
    """The scoreboard as the parent uses it; made by open or, after a restart, by reopen."""

    def __init__(self, board: Scoreboard, clock: Clock, log: Log) -> None:
        self.board = board
        self._clock = clock
        self._log = log
        self._why: dict[str, str] = {}
        self._counted: dict[str, float] = {}
        self._header = HeaderRecord()
        self._told = ""  # why the board is not (wholly) in its file, as it was last told

    @classmethod
    def open(
        cls, path: str, peers: Iterable[str], *, restarted: bool, files: Files, clock: Clock, log: Log
    ) -> Ledger:
        """Return the ledger of a new daemon, or of one that was restarted. Raises StartError without memory.

        peers: also those that are gone from the table and whose child still drains.
        """
        try:
            make = Scoreboard.adopt if restarted else Scoreboard.create
            board = make(path, peers, files=files)
        except ScoreboardError as error:
            raise StartError(str(error)) from error
        ledger = cls(board, clock, log)
        before = board.read_header() if restarted else None
        now = clock.wall()
        ledger._header = HeaderRecord(
            pid=os.getpid(),
            started=before.started if before and before.started else now,
            restarted=now if restarted else 0.0,
            restarts=before.restarts + 1 if before else 0,
        )
        ledger._tell_where_it_is()
        return ledger

    def _tell_where_it_is(self) -> None:
        reason = self.board.anonymous_reason
        if reason and reason != self._told:
            self._log.write(f"Scoreboard only in memory, no tool can read it: {reason}", Severity.WARNING)
        self._told = reason

    # --- telling --------------------------------------------------------------------------------------

    def tell_state(self, state: str) -> None:
        """Tell what the parent itself is doing."""
        self._header.state, self._header.since = state, self._clock.wall()
        self.tell_log()

    def tell_log(self) -> None:
        """Tell how the parent's log fares, and what it has told of late."""
        header, log = self._header, self._log
        header.lost_lines, header.last_line, header.log_trouble = log.lost, log.last_line, log.trouble
        header.warning, header.warned = log.warning, log.warned
        self.board.write_header(header)

    def slot(self, peer: str) -> int:
        """Return the slot of a peer, given to it now if it has none; NO_SLOT when there is no memory for it."""
        try:
            slot = self.board.add(peer)
        except ScoreboardError as error:
            self._log.write(f"No slot for {peer}: {error}", Severity.WARNING)
            return NO_SLOT
        self._tell_where_it_is()
        return slot

    def free(self, peer: str) -> None:
        """Give the slot of a peer back; its child is gone."""
        self._why.pop(peer, None)
        self._counted.pop(peer, None)
        self.board.free(peer)

    def note(self, peer: Peer, dials: str) -> None:
        """Write what the supervision knows of a peer; dials: its address or name in the table."""
        now = self._clock.monotonic()
        record = ParentRecord(
            peer=peer.name,
            pid=peer.pid,
            state=peer.state.value,
            since=self._clock.wall() - (now - peer.since),
            why=self._why.get(peer.name, ""),
            attempts=peer.attempts,
            next_start=peer.start_at or 0.0,
            longest_ready_s=self._counted.get(peer.name, 0.0),
            spawned_at=max(peer.last_start, 0.0),
            dials=dials,
        )
        self.board.write_parent(self.slot(peer.name), record)

    # --- reading --------------------------------------------------------------------------------------

    def beat(self, peer: str) -> float:
        """Return when the child's loop last said that it turns, monotonic; 0.0: never yet."""
        slot = self.board.slot_of(peer)
        return 0.0 if slot is None else self.board.beat_of(slot)

    def bury(self, peer: str, pid: int, why: str) -> float:
        """Remember why a child ended; return the longest time that one of its links was ready, in seconds.

        Only what this very child wrote counts: one that dies before its first word leaves its forerunner's.
        """
        self._why[peer] = why
        slot = self.board.slot_of(peer)
        record = None if slot is None else self.board.read_child(slot)
        if record is None or record.pid != pid:
            return 0.0
        lasting = self._clock.monotonic() - record.ready_since if record.ready_since else 0.0
        self._counted[peer] = max(record.longest_ready_s, lasting)
        return self._counted[peer]

    def close(self) -> None:
        """Give the memory back; the file stays, and says that the parent has ended."""
        self.tell_state("ended")
        self.board.close()
