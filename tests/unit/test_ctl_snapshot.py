"""What a snapshot reads: daemon, parts of slots, table, messages; and what it says when something is not there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lonc.child import wishes
from lonc.cli.ctl import snapshot
from lonc.cli.ctl.piles import listed
from lonc.cli.ctl.snapshot import Life, Part, take
from lonc.cli.ctl.ways import all_wishes, descriptors, rooms
from lonc.system.clock import SystemClock
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord
from tests.unit.ctl_ground import Ground


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path, ["msul1", "msul2"])


# --- the daemon -------------------------------------------------------------------------------------------


def test_nothing_runs(ground: Ground) -> None:
    now = take(ground.config)
    assert now.daemon.life is Life.STOPPED
    assert now.daemon.pid == 0
    assert now.daemon.header is None
    assert now.daemon.board_why
    assert [peer.id for peer in now.peers] == ["own1", "msul1", "msul2"]
    assert all(peer.part is Part.NONE and peer.live is None and not peer.up for peer in now.peers)


def test_a_running_one(ground: Ground) -> None:
    with ground.alive(header=HeaderRecord(started=5.0, restarts=2)):
        now = take(ground.config)
    assert now.daemon.life is Life.RUNNING
    assert now.daemon.pid == now.daemon.pid_file == os.getpid()
    assert now.daemon.header is not None
    assert now.daemon.header.restarts == 2
    assert now.daemon.descriptors is not None
    assert 0 < now.daemon.descriptors.open <= now.daemon.descriptors.limit
    peer = now.peer("msul1")
    assert peer is not None
    assert peer.up
    assert peer.part is Part.LIVE
    assert now.peer("nobody") is None


def test_a_dead_one_leaves_its_pid_file(ground: Ground) -> None:
    with ground.alive():
        pass
    Path(ground.config.pid_path).write_text("4194304\n")
    now = take(ground.config)
    assert now.daemon.life is Life.DEAD
    assert now.daemon.pid_file == 4194304
    assert all(not peer.up for peer in now.peers)


def test_a_board_of_a_forerunner_says_nothing_about_this_daemon(ground: Ground) -> None:
    with ground.alive() as board:
        board.write_header(HeaderRecord(pid=1))
        now = take(ground.config)
    assert now.daemon.life is Life.RUNNING
    assert "not of this daemon" in now.daemon.board_why
    assert now.daemon.header is None
    assert all(peer.parent is None for peer in now.peers)


def test_what_stands_at_the_names_of_the_files_is_no_error(ground: Ground) -> None:
    for path in (ground.config.lock_path, ground.config.pid_path, ground.config.scoreboard_path):
        os.mkfifo(path)
    os.rmdir(ground.delayed)
    ground.delayed.write_text("no directory")
    now = take(ground.config)
    assert now.daemon.life is Life.DEAD
    assert "FIFO" in now.daemon.board_why
    assert "cannot be listed" in now.delayed_why


def test_a_table_that_cannot_be_used(ground: Ground) -> None:
    with ground.alive():
        Path(ground.config.hosts_path).write_text("nonsense\n")
        now = take(ground.config)
    assert now.table is None
    assert "no usable host" in now.table_why
    assert {peer.id for peer in now.peers} == {"own1", "msul1", "msul2"}  # from the board
    assert all(peer.host is None for peer in now.peers)


# --- parts of a slot --------------------------------------------------------------------------------------


def test_a_part_of_a_child_that_is_gone_is_stale(ground: Ground) -> None:
    with ground.alive() as board:
        ground.put(board, "msul1", ChildRecord(pid=os.getpid(), why="x"), parent=ParentRecord(peer="msul1", pid=0))
        gone = ChildRecord(pid=4194304, state="ready")
        ground.put(board, "msul2", gone, parent=ParentRecord(peer="msul2", pid=4194304))
        now = take(ground.config)
    for name in ("msul1", "msul2"):
        peer = now.peer(name)
        assert peer is not None
        assert peer.part is Part.STALE
        assert peer.live is None
        assert peer.beat_age_s is None
        assert not peer.up


def test_a_torn_part(ground: Ground) -> None:
    with ground.alive() as board:
        segment, offset = board._places[board.peers()["msul1"]]
        segment.put_number(offset + 512, 7)  # odd: somebody died while writing
        now = take(ground.config)
    peer = now.peer("msul1")
    assert peer is not None
    assert peer.part is Part.TORN
    assert peer.child is None


def test_a_loop_that_does_not_turn(ground: Ground) -> None:
    stuck = ground.ready("msul1")
    stuck.beat = max(0.001, time.monotonic() - snapshot.STUCK_S - 5)
    with ground.alive(msul1=stuck):
        now = take(ground.config)
    one, other = now.peer("msul1"), now.peer("msul2")
    assert one is not None
    assert one.stuck or time.monotonic() < snapshot.STUCK_S + 5
    assert other is not None
    assert not other.stuck


# --- messages, wishes, limits -----------------------------------------------------------------------------


def test_messages_are_counted_by_their_names(ground: Ground) -> None:
    ground.message("1000.1.8.put.msul1", b"x")
    ground.message("2000.1.8.put.msul1", b"x")
    ground.message("by-hand.msul2", b"x")
    ground.message(".hidden.msul1", b"x")
    ground.message("3000.1.8.put.elsewhere", b"x")
    ground.message("1500.1.8.put.msul1", b"x", "rejected")
    ground.message("1500.1.8.put.msul1-2", b"x", "rejected")  # the name was taken
    ground.message("1500.1.8.put.msul1.reply", b"x", "rejected")
    ground.message("1600.1.8.put.msul2", b"x", "corrupt")
    ground.message("1600.1.8.put.msul2.reason", b"x", "corrupt")
    ground.message("1700.1.8.put.msul2", b"x", "held")
    now = take(ground.config)
    one, two = now.peer("msul1"), now.peer("msul2")
    assert one is not None
    assert two is not None
    assert (one.piles.delayed.count, one.piles.delayed.oldest_wall) == (2, 1000.0)
    assert (one.piles.rejected.count, one.piles.rejected.oldest_wall) == (2, 1500.0)
    assert one.piles.corrupt.count == one.piles.held.count == 0
    assert two.piles.delayed.count == 1
    assert abs(two.piles.delayed.oldest_wall - time.time()) < 60
    assert (two.piles.corrupt.count, two.piles.held.count) == (1, 1)
    assert now.strays.delayed.count == 1
    assert listed(str(ground.place / "nowhere"), ["msul1"]).why == ""


def test_wishes(ground: Ground) -> None:
    wanted = Path(ground.config.wanted_path)
    wanted.write_text("msul1\tpaused\nmsul2\tdebug\t9\nmsul2\ttrace\nodd\nmsul1\tx\ty\tz\n")
    assert all_wishes(str(wanted)) == {"msul1": {"paused"}, "msul2": {"debug", "trace"}}
    now = take(ground.config)
    assert [peer.id for peer in now.peers if peer.paused] == ["msul1"]
    assert all_wishes(str(ground.place / "none")) == {}
    assert snapshot.PAUSED == wishes.PAUSED


def test_facts_that_cannot_be_had() -> None:
    assert descriptors(4194304) is None
    assert rooms(["/nonexistent"]) == ()
    assert len(rooms(["/", "/"])) == 1


def test_a_thousand_peers_are_one_mapping_and_one_listing(tmp_path: Path) -> None:
    """Bounded generously: what must not happen is work that grows with the square."""
    ground = Ground(tmp_path, [f"msul{n}" for n in range(1000)])
    with ground.alive():
        began = SystemClock().monotonic()
        now = take(ground.config)
        took = SystemClock().monotonic() - began
    assert len(now.peers) == 1001
    assert sum(peer.up for peer in now.peers) == 1001
    print(f"a snapshot of 1,000 peers: {took * 1000:.0f} ms")
    assert took < 10.0
