"""Delayed messages: whose, in which order, when, and what becomes of them."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from lonc.delayed import DoneKind, Entry, Gone, Message
from lonc.delayed.names import Owner, companion, is_clean, numbered, size, standard_order
from lonc.system.files import SystemFiles
from tests.unit.delayed_ground import PEERS, FaultyFiles, Ground, ready


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


# --- names (spec files.md 8) --------------------------------------------------------------------------

OWNERS = [
    ("100.1.77.ping.p1", "p1"),
    ("100.1.77..p1", "p1"),  # a command that begins with no word character
    ("100.1.77.ping.a.b", "a.b"),  # the originals hand it to b as well
    ("100.1.77.ping.b", "b"),
    ("100.1.77.ping.x.b", None),  # the peer x.b is not in the table: not b's
    ("100.1.77.ping.p3", None),
    ("by-hand.p1", "p1"),
    ("by-hand.a.b", "a.b"),
    ("by-hand.x.b", "b"),
    ("by.hand.a.b", "a.b"),
    ("by-hand..b", "b"),
    ("100.1.ping.p1", "p1"),
    ("100.x.77.ping.x.b", "b"),
    ("by-hand", None),
    ("p1", None),
    ("xp1", None),
    (".p1", None),
    (".100.1.77.ping.p1", None),
    ("two\nlines.p1", "p1"),
]


@pytest.mark.parametrize(("name", "owner"), OWNERS)
def test_a_name_belongs_to_one_peer_or_nobody(name: str, owner: str | None) -> None:
    assert [peer for peer in PEERS if Owner(peer, PEERS).mine(name)] == ([owner] if owner else [])
    assert Owner("p1", PEERS).nobodys(name) == (owner is None and not name.startswith("."))


def test_our_own_directories_are_nobodys_business() -> None:
    owner = Owner("p1", PEERS)
    assert not any(map(owner.nobodys, ("rejected", "corrupt", "held", ".lock-p1")))


def test_order_is_time_and_counter_as_numbers() -> None:
    assert standard_order("100.10.7.x.p1") == (100, 10)
    assert standard_order("by-hand.p1") is None
    assert standard_order("1²3.1.7.x.p1") is None


@pytest.mark.parametrize(
    ("name", "clean"),
    [
        ("100.1.77.ping.p1", True), ("100.1.77..p1", True), ("-x.p1", True), ("a+b=c,d@e%20~1#2.p1", True),
        ("a..b.p1", False), ("a b.p1", False), ("a\nb.p1", False), ("ä.p1", False), ("\udcff.p1", False),
        ("a\x1b.p1", False), ("a\\b.p1", False), ("a;b.p1", True), ("a$b.p1", False), ("", False),
    ],
)  # fmt: skip
def test_clean_names(name: str, clean: bool) -> None:
    assert is_clean(name) is clean


def test_names_beside_others_fit_the_file_system() -> None:
    assert companion("x", ".reply") == "x.reply"
    assert companion("x" * 249, ".reply") == "x" * 249 + ".reply"
    assert companion("x" * 250, ".reply") is None
    assert numbered("x", 1) == "x"
    assert numbered("x", 3) == "x-3"
    assert numbered("x" * 255, 12) == "x" * 252 + "-12"
    assert size("\udcff") == 1  # a byte that is no UTF-8, as listdir gives it


# --- order and looks ----------------------------------------------------------------------------------


def test_ready_is_in_numeric_order_then_by_name(ground: Ground) -> None:
    t = ground.past
    names = [f"{t}.9.1.x.p1", f"{t}.10.1.x.p1", f"{t}.10.2.x.p1", f"{t + 1}.0.1.x.p1"]
    for name in reversed(names):
        ground.put(name)
    ground.put(f"{t}.9.1.x.p2")
    assert ready(ground.look(ground.queue())) == names


def test_names_of_another_form_are_sorted_by_their_mtime(ground: Ground) -> None:
    ground.put("by-hand.p1", age=500)
    first, last = ground.name(3, age=501), ground.name(0, age=499)
    ground.put(first)
    ground.put(last)
    look = ground.look(ground.queue())
    assert ready(look) == [first, "by-hand.p1", last]
    assert look.oldest_wall == ground.clock.now_wall - 501


def test_a_missing_directory_is_no_problem_and_is_made_for_the_lock(ground: Ground) -> None:
    ground.path.rmdir()
    queue = ground.queue()
    assert ground.look(queue).problem is None
    assert queue.try_lock().taken
    assert stat.S_IMODE(ground.path.stat().st_mode) == 0o700
    ground.put(ground.name())
    assert len(ground.look(queue, force=False).ready) == 1


def test_a_problem_is_told_when_it_begins_and_again_after_it_was_gone(ground: Ground) -> None:
    ground.path.rmdir()
    ground.path.write_text("")
    queue = ground.queue()
    assert "cannot be read" in (ground.look(queue).problem or "")
    assert ground.look(queue).problem is None
    ground.path.unlink()
    ground.path.mkdir()
    assert ground.look(queue).problem is None
    ground.path.rmdir()
    ground.path.write_text("")
    assert ground.look(queue).problem is not None


def test_the_directory_is_listed_only_when_that_can_bring_anything(ground: Ground) -> None:
    files = FaultyFiles(-1, lambda: None)
    queue = ground.queue(files=files)
    ground.put(ground.name(1))
    ground.date(ground.path, 100)
    listings = []
    for wait, change in ((0, 0), (15, 0), (15, 1), (1, 0), (1.5, 0), (15, 0), (15, 0)):
        ground.clock.advance(wait)
        if change:
            ground.put(ground.name(2))
            ground.date(ground.path, 0.5)
        before = files.calls.count("listdir")
        look = ground.look(queue, force=False)
        listings.append(files.calls.count("listdir") - before)
    # first; old and unchanged; changed; younger than 2 s; once more when it is older; then no more
    assert listings == [1, 0, 1, 1, 1, 0, 0]
    assert len(look.ready) == 2


def test_a_clock_set_back_does_not_make_every_look_a_listing(ground: Ground) -> None:
    files = FaultyFiles(-1, lambda: None)
    queue = ground.queue(files=files)
    ground.clock.now_wall -= 3e8
    for _ in range(10):
        ground.look(queue, force=False)
        ground.clock.advance(15)
    assert files.calls.count("listdir") == 2


def test_ordinary_files_cost_no_call_in_a_look(ground: Ground) -> None:
    names = [f"{ground.past}.{n}.1.x.p1" for n in range(100_000)]

    class Many(SystemFiles):
        def listdir(self, path: str) -> list[str]:
            return names

        def lstat(self, path: str) -> os.stat_result:
            assert not path.endswith(".p1")
            return super().lstat(path)

    look = ground.look(ground.queue(files=Many()))
    assert ready(look) == names
    assert look.waiting == 100_000


# --- the directory itself and what is nobody's ---------------------------------------------------------


def test_one_child_tells_of_foreign_files_once(ground: Ground) -> None:
    ground.put("100.1.77.ping.p3")
    ground.put("README")
    teller, other = ground.queue("a.b"), ground.queue("p2")
    assert ground.look(teller).foreign == ("100.1.77.ping.p3", "README")
    assert ground.look(teller).foreign == ()
    assert ground.look(other).foreign == ()
    (ground.path / "README").unlink()
    assert ground.look(teller).foreign == ()
    ground.put("README")
    assert ground.look(teller).foreign == ("README",)
    assert ground.names() == ["100.1.77.ping.p3", "README"]


def test_a_directory_that_others_can_enter_is_kept_and_told(ground: Ground) -> None:
    ground.path.chmod(0o755)
    queue = ground.queue("a.b")
    assert "0755" in ground.look(queue).notes[0]
    assert ground.look(queue).notes == ()
    assert stat.S_IMODE(ground.path.stat().st_mode) == 0o755


# --- done, reject, unanswered ---------------------------------------------------------------------------


def test_done_deletes(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    ground.put(name, b"encrypt:auth:x:y")
    message = ground.message(queue, name)
    assert message.line == b"encrypt:auth:x:y"
    assert queue.done(message).kind is DoneKind.DELETED
    queue.finish()
    assert ground.names() == []
    assert os.listdir(ground.path) == []


@pytest.mark.parametrize("how", ["replaced", "rewritten"])
def test_a_file_replaced_in_flight_is_sent_too(ground: Ground, how: str) -> None:
    queue, name = ground.queue(), ground.name()
    path = ground.put(name, b"old\n")
    message = ground.message(queue, name)
    queue.sending(message)
    if how == "replaced":
        ground.replace(name, b"new\n")
    else:
        path.write_bytes(b"new\n")
    assert queue.done(message).kind is DoneKind.REPLACED
    assert ready(ground.look(queue)) == [name]
    again = ground.message(queue, name)
    assert again.line == b"new"
    assert queue.done(again).kind is DoneKind.DELETED


def test_a_file_removed_in_flight_is_no_error(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    path = ground.put(name)
    message = ground.message(queue, name)
    path.unlink()
    assert queue.done(message).kind is DoneKind.GONE
    assert queue.reject(message, b"refused", 0).kind is DoneKind.GONE
    assert ground.read(queue, name) == Gone()
    assert ground.names("rejected") == []


def test_reject_keeps_the_message_and_the_reply(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    for _ in range(3):
        ground.put(name, b"do:it\n")
        where = queue.reject(ground.message(queue, name), b"error: no", 0)
        assert where.kind is DoneKind.MOVED
        assert where.with_reply
    assert str(where) == f"rejected/{name}-3"
    assert ground.names() == ["rejected"]
    assert ground.names("rejected") == sorted(
        [name, f"{name}.reply", f"{name}-2", f"{name}-2.reply", f"{name}-3", f"{name}-3.reply"]
    )
    rejected = ground.path / "rejected"
    assert (rejected / name).read_bytes() == b"do:it\n"
    assert (rejected / f"{name}.reply").read_bytes() == b"error: no\n"
    assert stat.S_IMODE(rejected.stat().st_mode) == 0o700
    assert stat.S_IMODE((rejected / f"{name}.reply").stat().st_mode) == 0o600


def test_a_replaced_file_is_not_rejected(ground: Ground) -> None:
    queue, name = ground.queue(), ground.name()
    ground.put(name)
    message = ground.message(queue, name)
    ground.replace(name, b"new\n")
    assert queue.reject(message, b"refused", 0).kind is DoneKind.REPLACED
    assert ground.names("rejected") == []
    assert ready(ground.look(queue)) == [name]


def test_a_name_too_long_for_its_companion_has_none(ground: Ground) -> None:
    queue = ground.queue()
    name = "x" * 252 + ".p1"
    for expected in (name, name[:-2] + "-2"):
        ground.put(name)
        where = queue.reject(ground.message(queue, name), b"refused", 0)
        assert (where.where, where.with_reply) == (f"rejected/{expected}", False)
    assert ground.names("rejected") == sorted([name, name[:-2] + "-2"])


def test_rejected_that_is_no_directory_keeps_the_message_and_sends_it_no_more(ground: Ground) -> None:
    queue, name, other = ground.queue(), ground.name(1), ground.name(2)
    ground.put(name, b"one\n")
    ground.put(other)
    obstacle = ground.put("rejected")
    where = queue.reject(ground.message(queue, name), b"refused", 0)
    assert where.kind is DoneKind.FAILED
    assert "not a directory" in str(where)
    look = ground.look(queue)
    assert ready(look) == [other]
    assert "answered" in (look.problem or "")
    assert ground.look(queue).problem is None
    assert isinstance(ground.read(queue, name), Gone)
    obstacle.unlink()
    assert name in ground.look(queue).notes[0]
    assert (ground.path / "rejected" / f"{name}.reply").read_bytes() == b"refused\n"


def test_three_links_without_a_reply_let_the_others_pass(ground: Ground) -> None:
    queue, stuck, other = ground.queue(retry_max_s=360), ground.name(1), ground.name(2)
    ground.put(stuck)
    ground.put(other)
    for links in (1, 2, 3):
        assert ready(ground.look(queue)) == [stuck, other]
        assert queue.unanswered(ground.message(queue, stuck)) == links
    look = ground.look(queue)
    assert (ready(look), look.waiting) == ([other], 2)
    ground.clock.advance(361)
    assert ready(ground.look(queue)) == [other, stuck]  # after the others
    assert queue.unanswered(ground.message(queue, stuck)) == 4
    assert ready(ground.look(queue)) == [other]
    ground.replace(stuck, b"new\n")  # a new message has its own three links
    assert ready(ground.look(queue)) == [stuck, other]
    assert queue.unanswered(ground.message(queue, stuck)) == 1


def test_deletions_are_synced_every_64_and_at_the_end(ground: Ground) -> None:
    files = FaultyFiles(-1, lambda: None)
    queue = ground.queue(files=files)
    synced = []
    for n in range(130):
        ground.put(ground.name(n))
        queue.done(ground.message(queue, ground.name(n)))
        synced.append(files.calls.count("fsync"))
    assert (synced[62], synced[63], synced[126], synced[127], synced[129]) == (0, 1, 1, 2, 2)
    queue.finish()
    assert files.calls.count("fsync") == 3
    queue.finish()
    assert files.calls.count("fsync") == 3


def test_what_a_thousand_messages_cost_is_printed(ground: Ground) -> None:
    queue = ground.queue()
    names = [ground.name(n) for n in range(1000)]
    for name in names:
        ground.put(name)
    assert queue.try_lock()
    begin = time.perf_counter()
    for entry in ground.look(queue).ready:
        message = queue.read(entry, ground.clock.mono)
        assert isinstance(message, Message)
        queue.sending(message)
        queue.done(message)
    queue.finish()
    print(f"\n1,000 delayed messages read, noted, deleted: {time.perf_counter() - begin:.3f} s")
    assert ground.names() == []
    assert ready(ground.look(queue)) == []


def test_entries_compare_in_sending_order() -> None:
    assert Entry(1, 9, "b") < Entry(1, 10, "a") < Entry(1, 10, "b") < Entry(2, 0, "a")
