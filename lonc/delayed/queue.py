"""Owns one peer's delayed messages as its child sees them: which may go, in order, and what becomes of each.

    look()     names in order, up to the first young file; sets aside what can be no message
    read()     one file, at the moment of sending; read_ahead(): while the one before it is on its way
    sending()  it is on its way: noted in the lock file
    done() reject() unanswered()   what the reply, or its lack, makes of it
    finish()   end of a flush: deletions on the disk, nothing on its way
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace

from lonc.delayed import reading
from lonc.delayed.claim import claim_path, is_claimed
from lonc.delayed.listing import Listing
from lonc.delayed.lock import FlushLock
from lonc.delayed.moving import Shelf
from lonc.delayed.names import Owner
from lonc.delayed.remover import Remover
from lonc.delayed.results import (
    Done,
    DoneKind,
    Entry,
    Gone,
    Identity,
    LockAnswer,
    Look,
    Message,
    Reading,
    Rejection,
    SetAside,
    Young,
    identity_of,
    is_that,
)
from lonc.delayed.sealing import Keys
from lonc.delayed.survey import PARK_AFTER, Survey
from lonc.delayed.watch import Ages, Watch
from lonc.system.clock import Clock
from lonc.system.files import Files

PAUSE_S = 1.0  # when descriptors or memory are short, or a file changes whenever it is read
TRIES = 3  # at reading a file that changes meanwhile
AHEAD_BYTES = 65536  # of a file that is read before its turn: what is long is held once, not twice


class DelayedQueue:
    """The delayed messages of one peer, in one process. All times are monotonic seconds."""

    def __init__(
        self, directory: str, peer: str, peers: Collection[str], *, files: Files, clock: Clock,
        max_line_bytes: int = 16777216, retry_max_s: float = 360.0, scan_settle_s: float = 2.0,
        young_s: float = 5.0, empty_s: float = 60.0, tells: bool | None = None, keys_path: str = "",
    ) -> None:  # fmt: skip
        """peers: all ids of the table. tells: whether this child tells what concerns no peer in particular; one of
        all should, and when it is not given the first id of the table does. keys_path: of sealed messages."""
        speaks = peer <= min(peers, default=peer) if tells is None else tells
        self._prefix = os.path.join(directory, "")
        self._claim_path = claim_path(directory, peer)
        self._files = files
        self._clock = clock
        self._max_line_bytes = max_line_bytes
        self._peer = peer
        self._keys = Keys(keys_path, files=files, clock=clock)
        self._retry_max_s = retry_max_s
        owner = Owner(peer, peers)
        self._lock = FlushLock(files, directory, peer, owner)
        self._remover = Remover(files, directory, self._lock, peer)
        self._rejected = Shelf(files, directory, "rejected", ".reply", peer)
        self._corrupt = Shelf(files, directory, "corrupt", ".reason", peer)
        self._listing = Listing(directory, owner, files, clock, scan_settle_s, tells=speaks)
        self._survey = Survey(
            directory, self._listing, files=files, clock=clock, ages=Ages(young_s, empty_s),
            max_line_bytes=max_line_bytes, retry_max_s=retry_max_s,
            set_aside=self._tell_set_aside, settle=self._settle,
        )  # fmt: skip
        self._ahead: Message | None = None  # read before its turn
        self._on_their_way: dict[str, Message] = {}
        self._noted = False
        self._double: tuple[str, ...] = ()  # not told yet
        self._set_aside: list[tuple[str, str]] = []  # not told yet
        self._notes: list[str] = []  # not told yet
        self._told_problem: str | None = None

    @property
    def lock_fd(self) -> int:
        """Return the descriptor of the flush lock, -1 when not held; whatever this process forks must close it."""
        return self._lock.fd

    def try_lock(self) -> LockAnswer:
        """Take the flush lock of the peer, without waiting; kept until the process ends.

        To be asked before the first message is sent. possibly_double is told once: messages still there that a
        predecessor was sending when it was killed. Not taken: another process sends, an operator is moving
        messages of this peer (claim.py), or (detail) an error.
        """
        answer = self._lock.take()
        double, self._double = self._double + answer.possibly_double, ()
        try:
            taken = answer.taken and not is_claimed(self._files, self._claim_path)
        except OSError as error:
            return LockAnswer(False, double, str(error))
        return LockAnswer(taken, double, answer.detail)

    def look(self, now: float, *, force: bool = False) -> Look:
        """Return what may be sent now. Cheap when nothing changed; force: list the directory in any case.

        What can be no message is set aside here when it is old enough, if the lock is or can be had.
        """
        seen = self._survey.look(now, force=force)
        problem = self._listing.problem or self._survey.trouble
        self._survey.trouble = None
        told = problem if problem != self._told_problem else None
        self._told_problem = problem
        set_aside, self._set_aside = tuple(self._set_aside), []
        foreign, self._listing.foreign = tuple(self._listing.foreign), []
        notes, self._listing.notes, self._notes = (*self._listing.notes, *self._notes), [], []
        return replace(seen, set_aside=set_aside, foreign=foreign, notes=notes, problem=told)

    # --- one message ----------------------------------------------------------------------------------

    def read(self, entry: Entry, now: float) -> Reading:
        """Return the message to send, or why there is none: SetAside and Gone (go on with the next), Young (stop).

        Only a regular file is ever opened. Whatever is not sent for a reason that lasts is not in the next look.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.entry == entry and self._unchanged(ahead):
            return ahead
        for _ in range(TRIES):
            try:
                met = self._survey.meet(entry, now)
            except OSError as error:
                return Gone(str(error))
            if met is None:
                return Gone()
            watch = met
            answer = self._before_reading(entry, watch, now)
            if answer is None:
                path = self._prefix + entry.name
                found = self._found(path, entry, watch.identity)
                answer = self._after_reading(entry, watch, found, now)
            if answer is not None:
                return answer
        return self._hold(entry, watch, now)

    def read_ahead(self, entry: Entry) -> None:
        """Read the file whose turn is next, while the reply to another one is awaited.

        read() then only looks whether it is the same file with the same content still. Of anything out of the
        ordinary, and of what is long, nothing is kept: read() meets it when its turn has come.
        """
        self._ahead = None
        try:
            facts = self._files.lstat(self._prefix + entry.name)
        except OSError:
            return
        if facts.st_size > AHEAD_BYTES or not self._survey.ordinary(entry, facts):
            return
        path, identity = self._prefix + entry.name, identity_of(facts)
        found = self._found(path, entry, identity, looked_at_later=True)
        if isinstance(found, reading.Content) and not found.bare:
            self._ahead = found.message

    def _found(
        self, path: str, entry: Entry, identity: Identity, *, looked_at_later: bool = False
    ) -> reading.Found:
        return reading.read(
            self._files, path, entry, identity, self._max_line_bytes,
            lambda sealed: self._keys.unseal(sealed, self._peer), looked_at_later=looked_at_later,
        )  # fmt: skip

    def _unchanged(self, message: Message) -> bool:
        try:
            return is_that(self._files.lstat(self._prefix + message.name), message.identity)
        except OSError:
            return False

    def sending(self, message: Message) -> bool:
        """Note that the message is on its way, before its first byte is sent: one call, no sync (P3).

        False: it must not be sent, since an operator may be taking it out of the queue (claim.py). Then the run
        is to be ended and try_lock() asked before the next.
        """
        self._on_their_way[message.name] = message
        self._remover.note(self._on_their_way.values())
        self._noted = True
        try:
            free = not is_claimed(self._files, self._claim_path)
        except OSError as error:
            self._survey.trouble = f"{error}: it cannot be seen whether messages are being moved"
            free = False
        if not free:
            del self._on_their_way[message.name]
        return free

    def done(self, message: Message) -> Done:
        """Delete the file of a message that was answered; one that lies in its place now stays and is sent.

        FAILED: it is not sent again by this process, and each look tries again to delete it.
        """
        self._on_their_way.pop(message.name, None)
        try:
            kind = self._remover.remove(message)
        except OSError as error:
            self._survey.known(message.entry, message.identity).answered = True
            return Done(DoneKind.FAILED, str(error))
        self._survey.watched.pop(message.name, None)
        return Done(kind)

    def reject(self, message: Message, reply: bytes, now: float) -> Rejection:
        """Move the file of a message that lond refused to rejected/, the reply beside it.

        FAILED: as for done(); the move is tried again. `now` is not needed: nothing here waits.
        """
        self._on_their_way.pop(message.name, None)
        try:
            shelved = self._rejected.put(message.name, message.identity, reply + b"\n")
        except OSError as error:
            watch = self._survey.known(message.entry, message.identity)
            watch.answered, watch.reply = True, reply
            return Rejection(DoneKind.FAILED, detail=str(error))
        self._remover.count()
        self._survey.watched.pop(message.name, None)
        return Rejection(shelved.kind, shelved.where, shelved.with_companion)

    def unanswered(self, message: Message) -> int:
        """Return on how many links in a row the message stayed without a reply; the file stays.

        From the third on it is in no look for retry_max_s, then after all others.
        """
        self._on_their_way.pop(message.name, None)
        watch = self._survey.known(message.entry, message.identity)
        watch.unanswered += 1
        if watch.unanswered >= PARK_AFTER:
            watch.skip_until = self._clock.monotonic() + self._retry_max_s
        return watch.unanswered

    def finish(self) -> None:
        """End a flush: what was deleted is off the disk, and nothing is on its way (but for errors: told)."""
        self._ahead = None
        self._on_their_way.clear()
        try:
            self._remover.repair()
        except OSError as error:
            self._survey.trouble = str(error)
        why = self._remover.sync()
        if why:
            self._survey.trouble = f"deletions are not on the disk yet: {why}"
        if self._noted:
            self._remover.note(())
            self._noted = False

    # --- odd ones -------------------------------------------------------------------------------------

    def _before_reading(self, entry: Entry, watch: Watch, now: float) -> Reading | None:
        """Return what is to be said about a file without opening it, None when it may be read."""
        until = watch.ends_run_until(now)
        if watch.link:
            answer: Reading = Gone("a symbolic link")  # told by the next look
        elif watch.answered:
            answer = Gone("answered already")
        elif watch.bad:
            return self._bad(entry, watch, now)
        elif until is not None:
            answer = Young(until)
        elif watch.empty and now >= watch.empty_at:
            watch.bad = "empty"
            return self._bad(entry, watch, now)
        elif watch.empty:
            answer = Gone("empty")
        else:
            return None
        self._survey.watched[entry.name] = watch
        return answer

    def _after_reading(self, entry: Entry, watch: Watch, found: reading.Found, now: float) -> Reading | None:
        """Return what is to be said about a file that was read, None when it is to be met anew."""
        match found:
            case reading.Content():
                watch.bare = found.bare
                if now >= watch.old_at:
                    return found.message
                self._survey.watched[entry.name] = watch
                return Young(watch.old_at)
            case reading.Bad():
                watch.bad = found.why
                return self._bad(entry, watch, now)
            case reading.Unreadable() if found.shortage:
                return self._hold(entry, watch, now)
            case reading.Unreadable():
                self._survey.pass_over(entry, now, f"{entry.name} {found.why}")
                return Gone(found.why)
            case reading.Changed():
                return None

    def _hold(self, entry: Entry, watch: Watch, now: float) -> Young:
        """End the run at a file for a moment."""
        self._survey.watched[entry.name] = watch
        watch.hold_until = now + PAUSE_S
        return Young(watch.hold_until)

    def _bad(self, entry: Entry, watch: Watch, now: float) -> Reading:
        """Set a bad file aside, or leave it to a later look while somebody may still be writing it."""
        self._survey.watched[entry.name] = watch
        if now >= watch.bare_old_at and self._put_aside(entry, watch):
            return SetAside(watch.bad)
        return Gone(watch.bad)

    def _put_aside(self, entry: Entry, watch: Watch) -> bool:
        """Move a bad file to corrupt/; False: not possible now, it stays and is passed over."""
        if self._lock.fd < 0:
            answer = self._lock.take()  # only who may send may rename
            self._double += answer.possibly_double
            if not answer.taken:
                return False
        try:
            self._corrupt.put(entry.name, watch.identity, watch.bad.encode() + b"\n")
        except OSError as error:
            self._survey.trouble = f"{error}: a file that can be no message stays"
            return False
        self._remover.count()
        self._survey.watched.pop(entry.name, None)
        return True

    def _tell_set_aside(self, entry: Entry, watch: Watch) -> None:
        if self._put_aside(entry, watch):
            self._set_aside.append((entry.name, watch.bad))

    def _settle(self, entry: Entry, watch: Watch) -> None:
        """Try again to remove the file of a message that was answered."""
        message = Message(entry, b"", watch.identity)
        try:
            if watch.reply is None:
                self._remover.remove(message)
            else:
                self._rejected.put(entry.name, watch.identity, watch.reply + b"\n")
        except OSError as error:
            self._survey.trouble = f"{error}: an answered message stays"
            return
        self._survey.watched.pop(entry.name, None)
        self._notes.append(f"Delayed file {entry.name}, answered earlier, is out of the queue now")
