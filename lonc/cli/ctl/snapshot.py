"""Owns the reading of what goes on: lock, pid file, scoreboard, tables and the delayed directory, at one moment.

The only place that reads them for status, top, metrics and the page. Nobody is stopped, nothing is waited for and
nothing is written; what cannot be read is told in the snapshot and is no error. Texts in it that came from outside
are escaped as far as the scoreboard does that (system/shown.py) and hold no request text (P30).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from lonc.cli.ctl import piles, ways
from lonc.cli.ctl.piles import NOTHING, Listed, Piles
from lonc.cli.ctl.ways import Descriptors, Room
from lonc.config import Config, Host, HostTable, load_hosts
from lonc.errors import ConfigError, ScoreboardError
from lonc.system.files import SystemFiles
from lonc.system.lock import foreign_holder, is_alive, lock_holder, read_pid
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord, Scoreboard

PAUSED = "paused"  # lonc.wanted's word (lonc/child/wishes.py, whose import would bring the whole child)
STUCK_S = 30.0  # a beat older than this is a loop that does not turn (lonc/child/child.py, UPKEEP_S)


class Life(Enum):
    """Whether the daemon lives; the value is the word in JSON."""

    RUNNING = "running"
    DEAD = "dead"  # nobody holds the lock, but the pid file is there
    STOPPED = "not running"
    UNKNOWN = "unknown"  # the lock cannot be read, or something that takes no lock lives under that pid


class Part(Enum):
    """What a child's part of a slot is worth."""

    LIVE = "live"  # written by the child that the parent has now
    STALE = "stale"  # by one that is gone
    TORN = "torn"  # its writer is stuck or dead in the middle
    NONE = "none"  # there has been no child, or there is no slot


@dataclass(frozen=True, slots=True)
class Daemon:
    """The parent. pid: who holds the lock, 0 nobody. life_why: what makes life UNKNOWN.

    header: None when there is no board, or it is torn. board_why: why there is no board to read, else empty.
    pid_file: the pid in it, 0 when there is none. descriptors: of the parent, None when they cannot be read.
    """

    life: Life
    life_why: str
    pid: int
    pid_file: int
    header: HeaderRecord | None
    board_why: str
    descriptors: Descriptors | None


@dataclass(frozen=True, slots=True)
class Peer:
    """One peer of the table, of the scoreboard, or of both.

    host: None when the table has no such id. parent: None without a slot, or torn. child: the last words of a
    child, also of one that is gone (part). beat_age_s: since its loop last said that it turns, None without one.
    """

    id: str
    host: Host | None
    parent: ParentRecord | None
    child: ChildRecord | None
    part: Part
    beat_age_s: float | None
    piles: Piles
    wishes: frozenset[str]

    @property
    def live(self) -> ChildRecord | None:
        """Return the child's part if the child that wrote it lives."""
        return self.child if self.part is Part.LIVE else None

    @property
    def up(self) -> bool:
        """Return whether a link to the peer is ready at this moment."""
        return self.live is not None and self.live.state == "ready"

    @property
    def paused(self) -> bool:
        """Return whether the operator wants no link to this peer."""
        return PAUSED in self.wishes

    @property
    def stuck(self) -> bool:
        """Return whether a child lives whose loop has not turned for too long."""
        return self.live is not None and self.beat_age_s is not None and self.beat_age_s > STUCK_S


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment. Peers stand in the order of the table, then those the table does not have.

    table: None when hosts.tab cannot be used; table_why says why. strays: messages for ids that nobody has.
    delayed_why: why the delayed directory cannot be listed, else empty. room: of the places that lonc writes to.
    """

    config: Config
    at_wall: float
    at_monotonic: float
    daemon: Daemon
    peers: tuple[Peer, ...]
    table: HostTable | None
    table_why: str
    strays: Piles
    delayed_why: str
    room: tuple[Room, ...]
    by_id: Mapping[str, Peer] = field(repr=False)

    def peer(self, name: str) -> Peer | None:
        """Return a peer by its id, None when neither table nor scoreboard knows it."""
        return self.by_id.get(name)


def take(config: Config) -> Snapshot:
    """Return what goes on now. Never raises for what is missing or broken, and never waits.

    A thousand peers take some 50 ms: one listing of each directory, one mapping of the board.
    """
    board, board_why = _open_board(config)
    try:
        daemon = _daemon(config, board, board_why)
        records = _records(board, daemon)
    finally:
        if board is not None:
            board.close()
    table, table_why = _table(config)
    hosts = {host.id: host for host in table.hosts} if table else {}
    ids = list(dict.fromkeys([*hosts, *records]))
    found = piles.listed(config.delayed_dir, ids)
    wishes = ways.all_wishes(config.wanted_path)
    now = time.monotonic()
    peers = tuple(
        _peer(name, hosts.get(name), records.get(name), found, wishes.get(name, frozenset()), now) for name in ids
    )
    return Snapshot(
        config=config, at_wall=time.time(), at_monotonic=now, daemon=daemon, peers=peers, table=table,
        table_why=table_why, strays=found.strays, delayed_why=found.why,
        room=ways.rooms([config.logs_dir, config.sock_dir, config.delayed_dir]),
        by_id={peer.id: peer for peer in peers},
    )  # fmt: skip


# --- the daemon -----------------------------------------------------------------------------------------

_Records = tuple[ParentRecord | None, ChildRecord | None, Part]


def _open_board(config: Config) -> tuple[Scoreboard | None, str]:
    try:
        return Scoreboard.open_reader(config.scoreboard_path), ""
    except ScoreboardError as error:
        return None, str(error)


def _daemon(config: Config, board: Scoreboard | None, board_why: str) -> Daemon:
    files = SystemFiles()
    holder = lock_holder(config.lock_path, files)
    named = read_pid(files, config.pid_path)
    life, why = _life(config, holder, named)
    pid = holder if life is Life.RUNNING else 0
    header = board.read_header() if board is not None else None
    if header is not None and pid and header.pid != pid:
        # A daemon on anonymous memory leaves the board of its forerunner: nothing in it is about this one.
        header, board_why = None, f"{config.scoreboard_path}: it is not of this daemon"
    return Daemon(life, why, pid, named, header, board_why, ways.descriptors(pid) if pid else None)


def _life(config: Config, holder: int, named: int) -> tuple[Life, str]:
    if holder and is_alive(holder):
        return Life.RUNNING, ""
    if not os.access(config.lock_path, os.R_OK) and os.path.lexists(config.lock_path) and _lives(named):
        return Life.UNKNOWN, f"{config.lock_path} may not be read by this user, so who holds it is not known"
    other = foreign_holder(SystemFiles(), config.pid_path)
    if other:
        return Life.UNKNOWN, f"process {other} is a lonc that does not hold {config.lock_path}"
    return (Life.DEAD, "") if os.path.lexists(config.pid_path) else (Life.STOPPED, "")


def _lives(pid: int) -> bool:
    return pid > 1 and is_alive(pid)


def _records(board: Scoreboard | None, daemon: Daemon) -> dict[str, _Records]:
    """Return what the board has of each peer; nothing of a board that belongs to a forerunner."""
    found: dict[str, _Records] = {}
    if board is None or daemon.board_why:
        return found
    for slot in range(board.count):
        parent = board.read_parent(slot)
        if parent is None or not parent.peer:
            continue
        child = board.read_child(slot)
        found[parent.peer] = (parent, child, _part(daemon, parent, child))
    return found


def _part(daemon: Daemon, parent: ParentRecord, child: ChildRecord | None) -> Part:
    if child is None:
        return Part.TORN
    if not child.pid:
        return Part.NONE
    # A child that the parent has reaped is not in its record any more; one that dies this moment is still.
    ours = daemon.life is Life.RUNNING and child.pid == parent.pid and os.path.isdir(f"/proc/{child.pid}")
    return Part.LIVE if ours else Part.STALE


# --- peers ----------------------------------------------------------------------------------------------


def _table(config: Config) -> tuple[HostTable | None, str]:
    try:
        return load_hosts(config), ""
    except ConfigError as error:
        return None, str(error)


def _peer(
    name: str, host: Host | None, records: _Records | None, found: Listed, wishes: frozenset[str], now: float
) -> Peer:
    parent, child, part = records or (None, None, Part.NONE)
    beat = child.beat if child is not None and part is Part.LIVE else 0.0
    age = max(0.0, now - beat) if beat else None
    return Peer(name, host, parent, child, part, age, found.of.get(name, NOTHING), wishes)
