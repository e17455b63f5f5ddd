"""Owns the scoreboard: which peer has which slot, and who may write and read it (house.md 4).

The parent creates the board before its first fork and alone gives out slots; a forked child has the same
memory and writes its own part of its own slot; anybody else maps the file for reading. Slots never move:
the board grows by segments (segment.py), and a free slot is used again. A child knows the slots that were
there when it was forked, which is all it needs.

The file is made beside its name and renamed: an orphan of a killed daemon that still writes to the old one,
or a reader that has it mapped, keeps what it has, where a shortened file would be a SIGBUS for it.
Anonymous memory, where the file cannot be had, does everything but be read from outside and survive exec.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable

from lonc.errors import ScoreboardError
from lonc.system.files import Files, SystemFiles, kind_of, open_regular
from lonc.system.scoreboard.layout import (
    BEAT_AT,
    CHILD_PART,
    CHILD_PART_AT,
    HEADER,
    HEADER_PART,
    HEADER_PART_AT,
    PARENT_PART,
    PARENT_PART_AT,
    SLOT_SIZE,
    SLOTS_AT,
    finite,
    header_bytes,
    slots_of,
)
from lonc.system.scoreboard.records import ChildRecord, HeaderRecord, ParentRecord
from lonc.system.scoreboard.segment import Segment, allocate

BOARD_MODE = 0o640
GROWTH = 16  # slots that a board grows by, so that most added peers need none
NO_SLOT = -1  # writes to it do nothing, reads give None

_Place = tuple[Segment, int]  # a slot's segment and offset in it


class Scoreboard:
    """The board as one process has it. Made by create, adopt or open_reader."""

    def __init__(self, path: str, files: Files, fd: int, anonymous_reason: str = "") -> None:
        self.path = path
        # Why (part of) the board is anonymous memory; empty while all of it is in the file.
        self.anonymous_reason = anonymous_reason
        self._files = files
        self._fd = fd  # of the file, kept for growth; -1: none
        self._writable = True
        self._segments: list[Segment] = []
        self._places: list[_Place] = []
        self._beats: list[tuple[memoryview[float], int]] = []
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._inode = (0, 0)

    # --- making one -----------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: str, peers: Iterable[str], *, files: Files | None = None) -> Scoreboard:
        """Return a new board with a slot for each peer, written to by its parts' owners only.

        Anything that is in the way (no space, no directory, another kind of file at the name) makes it
        anonymous memory, and anonymous_reason says what it was. Raises ScoreboardError without memory.
        """
        files = files or SystemFiles()
        names = list(dict.fromkeys(peers))
        slots = -(-max(len(names), 1) // GROWTH) * GROWTH
        fd = -1
        try:
            fd = _new_file(files, path, slots)
            board = cls(path, files, fd)
            board._take(Segment.of_file(fd, 0, 1 + slots, writable=True), slots, headed=True)
            board._remember_file()
        except (OSError, ValueError) as error:  # ValueError: mmap about a file that shrank meanwhile
            _drop(files, fd, path)
            board = cls._anonymous(path, files, slots, f"{path}: {_reason(error)}")
        for name in names:
            board.add(name)
        return board

    @classmethod
    def adopt(cls, path: str, peers: Iterable[str], *, files: Files | None = None) -> Scoreboard:
        """Return the board of this very parent's earlier self (restart in place), with its slots kept.

        Peers that the file has keep slot and records; slots of others are freed, peers without one get
        one. So peers must also hold those whose child still drains, until they can be freed. Where the file
        cannot be used (other release, anonymous before, gone) a new board is created.
        """
        files = files or SystemFiles()
        try:
            fd = open_regular(files, path, os.O_RDWR)
        except OSError:
            return cls.create(path, peers, files=files)
        try:
            facts = files.fstat(fd)
            if facts.st_uid != os.geteuid():
                raise ValueError("it belongs to somebody else")
            slots = slots_of(files.pread(fd, HEADER.size, 0), facts.st_size)
            allocate(files, fd, 0, 1 + slots)  # no holes, whoever made the file
            board = cls(path, files, fd)
            board._take(Segment.of_file(fd, 0, 1 + slots, writable=True), slots, headed=True)
            board._remember_file()
        except (OSError, ValueError):
            files.close(fd)
            return cls.create(path, peers, files=files)
        board._keep_only(list(dict.fromkeys(peers)))
        return board

    @classmethod
    def open_reader(cls, path: str, *, files: Files | None = None) -> Scoreboard:
        """Return the board as it is in the file, for reading; ScoreboardError says why that cannot be."""
        board = cls(path, files or SystemFiles(), -1)
        board._writable = False
        board._map_file()
        return board

    @classmethod
    def in_memory(cls, peers: Iterable[str] = ()) -> Scoreboard:
        """Return a board that only this process and its children have. Raises ScoreboardError without memory."""
        board = cls._anonymous("", SystemFiles(), GROWTH, "no file was wanted")
        for name in peers:
            board.add(name)
        return board

    @classmethod
    def _anonymous(cls, path: str, files: Files, slots: int, reason: str) -> Scoreboard:
        try:
            segment = Segment.anonymous(1 + slots)
        except (OSError, ValueError) as error:
            raise ScoreboardError(f"no memory for a scoreboard: {error}") from error
        board = cls(path, files, -1, reason)
        segment.put(0, header_bytes(slots))
        board._take(segment, slots, headed=True)
        return board

    # --- slots ----------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """How many slots this process knows, free ones too."""
        return len(self._places)

    def peers(self) -> dict[str, int]:
        """Return the slot of every peer that has one."""
        if self._writable:
            return dict(self._slots)
        found = ((self.read_parent(slot), slot) for slot in range(self.count))
        return {record.peer: slot for record, slot in found if record and record.peer}

    def slot_of(self, peer: str) -> int | None:
        """Return the slot of a peer, None when it has none."""
        return self.peers().get(peer) if not self._writable else self._slots.get(peer)

    def add(self, peer: str) -> int:
        """Return the slot of a peer, given to it now if it has none; only the parent may call it.

        A new slot has empty records. Where the file cannot grow the slot is anonymous memory, which
        children forked from now on share and outside readers do not see; anonymous_reason then says why.
        Raises ScoreboardError when there is no memory either.
        """
        if peer in self._slots:
            return self._slots[peer]
        if not self._free:
            self._grow()
        slot = self._free.pop()
        self._slots[peer] = slot
        self.write_child(slot, ChildRecord())
        self.beat(slot, 0.0)
        self.write_parent(slot, ParentRecord(peer=peer))
        return slot

    def free(self, peer: str) -> None:
        """Give the slot of a peer back, if it has one; its child must be gone, for the slot is used again."""
        slot = self._slots.pop(peer, None)
        if slot is not None:
            self.write_parent(slot, ParentRecord())
            self._free.append(slot)

    # --- records --------------------------------------------------------------------------------------

    def write_header(self, record: HeaderRecord) -> None:
        """Tell about the parent; only the parent may."""
        self._segments[0].write(HEADER_PART_AT, HEADER_PART, record)

    def read_header(self) -> HeaderRecord | None:
        """Return what the parent tells about itself; None: torn."""
        return self._segments[0].read(HEADER_PART_AT, HEADER_PART)

    def write_parent(self, slot: int, record: ParentRecord) -> None:
        """Tell the parent's part about a peer; only the parent may. record.peer must be the slot's peer."""
        if slot >= 0:
            segment, offset = self._places[slot]
            segment.write(offset + PARENT_PART_AT, PARENT_PART, record)

    def read_parent(self, slot: int) -> ParentRecord | None:
        """Return the parent's part of a slot; None: torn, or no slot."""
        if slot < 0:
            return None
        segment, offset = self._places[slot]
        return segment.read(offset + PARENT_PART_AT, PARENT_PART)

    def write_child(self, slot: int, record: ChildRecord) -> None:
        """Tell the child's part of a slot; only its child may. A beat other than 0.0 is told as well."""
        if slot >= 0:
            segment, offset = self._places[slot]
            segment.write(offset + CHILD_PART_AT, CHILD_PART, record)
            if record.beat:
                self.beat(slot, record.beat)

    def read_child(self, slot: int) -> ChildRecord | None:
        """Return the child's part of a slot with its beat; None: torn, or no slot."""
        if slot < 0:
            return None
        segment, offset = self._places[slot]
        record = segment.read(offset + CHILD_PART_AT, CHILD_PART)
        if record is not None:
            record.beat = self.beat_of(slot)
        return record

    def beat(self, slot: int, now: float) -> None:
        """Tell that the loop of this slot's child turns; now: monotonic. One store, for every turn."""
        if slot >= 0:
            times, index = self._beats[slot]
            times[index] = now

    def beat_of(self, slot: int) -> float:
        """Return the last beat of a slot's child, monotonic; 0.0: none yet, or no slot. Never torn."""
        if slot < 0:
            return 0.0
        times, index = self._beats[slot]
        return finite(times[index])

    # --- reading from outside, and the end ------------------------------------------------------------

    def refresh(self) -> bool:
        """Map anew if the board has grown or the file was replaced; return whether it did. For readers.

        ScoreboardError: the file is gone or cannot be used any more; the board as it was stays readable.
        """
        try:
            facts = self._files.lstat(self.path)
        except OSError as error:
            raise ScoreboardError(f"{self.path}: {_reason(error)}") from error
        if (facts.st_dev, facts.st_ino) == self._inode and self._segments[0].number(SLOTS_AT) == self.count:
            return False
        old = self._segments
        self._map_file()
        for segment in old:
            segment.close()
        return True

    def close(self) -> None:
        """Give memory and descriptor back; the file stays. The board must not be used again."""
        for segment in self._segments:
            segment.close()
        self._segments.clear()
        self._places.clear()
        self._beats.clear()
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    # --- inside ---------------------------------------------------------------------------------------

    def _take(self, segment: Segment, slots: int, *, headed: bool) -> None:
        """Take a segment into use; its slots are free. headed: its first place is the header."""
        first = 1 if headed else 0
        for i in range(slots):
            offset = (first + i) * SLOT_SIZE
            self._free.insert(0, len(self._places))  # the lowest is given out first
            self._places.append((segment, offset))
            self._beats.append((segment.times, segment.time_index(offset + CHILD_PART_AT + BEAT_AT)))
        self._segments.append(segment)

    def _keep_only(self, names: list[str]) -> None:
        wanted = set(names)
        for slot in range(self.count):
            record = self.read_parent(slot)
            if record is not None and record.peer in wanted and record.peer not in self._slots:
                self._slots[record.peer] = slot
                self._free.remove(slot)
            elif record is None or record.peer:
                self.write_parent(slot, ParentRecord())
        for name in names:
            self.add(name)

    def _grow(self) -> None:
        first = 1 + self.count
        if self._fd >= 0 and not self.anonymous_reason:
            try:
                allocate(self._files, self._fd, first, GROWTH)
                self._take(Segment.of_file(self._fd, first, GROWTH, writable=True), GROWTH, headed=False)
            except (OSError, ValueError) as error:
                # From now on the file's slots and ours are counted differently: it never grows again.
                self.anonymous_reason = f"{self.path}: cannot grow: {_reason(error)}"
            else:
                self._segments[0].put_number(SLOTS_AT, self.count)  # last: readers map what is there
                return
        try:
            self._take(Segment.anonymous(GROWTH), GROWTH, headed=False)
        except (OSError, ValueError) as error:
            raise ScoreboardError(f"no memory for a scoreboard: {error}") from error

    def _remember_file(self) -> None:
        facts = self._files.fstat(self._fd)
        self._inode = (facts.st_dev, facts.st_ino)

    def _map_file(self) -> None:
        """Map the file at the name for reading, in place of what was mapped; ScoreboardError: as it was."""
        try:
            fd = open_regular(self._files, self.path, os.O_RDONLY)
            try:
                facts = self._files.fstat(fd)
                slots = slots_of(self._files.pread(fd, HEADER.size, 0), facts.st_size)
                segment = Segment.of_file(fd, 0, 1 + slots, writable=False)
            finally:
                self._files.close(fd)
        except (OSError, ValueError) as error:
            raise ScoreboardError(f"{self.path}: {_reason(error)}") from error
        self._segments, self._places, self._beats, self._free = [], [], [], []
        self._inode = (facts.st_dev, facts.st_ino)
        self._take(segment, slots, headed=True)


def _new_file(files: Files, path: str, slots: int) -> int:
    """Return a descriptor of a new, allocated board at path; OSError: nothing there has been changed."""
    try:
        mode = files.lstat(path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG
    if not stat.S_ISREG(mode):
        raise OSError(f"not a regular file but {kind_of(mode)}")
    folder, name = os.path.split(path)
    fresh = os.path.join(folder, f".{name}.new")  # only the holder of the lock makes one
    with contextlib.suppress(FileNotFoundError):
        files.unlink(fresh)
    fd = files.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, BOARD_MODE)
    try:
        allocate(files, fd, 0, 1 + slots)
        if files.pwrite(fd, header_bytes(slots), 0) != HEADER.size:
            raise OSError("its header could not be written")
        files.rename(fresh, path)
    except OSError:
        _drop(files, fd, fresh)
        raise
    return fd


def _drop(files: Files, fd: int, path: str) -> None:
    """Close a file that is not to be used and remove its name, so that nobody reads an old board in it.

    Only a regular file is removed: whatever else stands at the name is not ours.
    """
    if fd >= 0:
        files.close(fd)
    try:
        if stat.S_ISREG(files.lstat(path).st_mode):
            files.unlink(path)
    except OSError:
        return


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
