"""Messages written into the delayed directory: their names, modes, order, and what is never written."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from lonc.delayed.names import Owner, is_usual
from lonc.delayed.sealing import Keys
from lonc.delayed.store import MessageStore, NotKeptError
from lonc.system.files import Files, SystemFiles
from tests.unit.delayed_ground import PEERS, Ground, ready


def store(ground: Ground, files: Files | None = None, *, max_line_bytes: int = 16777216) -> MessageStore:
    """Return a store for the ground's directory, with a key file beside it."""
    files = files or SystemFiles()
    keys = Keys(str(ground.path.parent / "lonc.keys"), files=files, clock=ground.clock)
    return MessageStore(str(ground.path), keys, files=files, clock=ground.clock, max_line_bytes=max_line_bytes)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def test_a_message_is_one_line_under_a_standard_name(ground: Ground) -> None:
    old = os.umask(0)
    try:
        name = store(ground).put(b"update:/res/msu/a.html", "a.b")
    finally:
        os.umask(old)
    assert re.fullmatch(rf"{int(ground.clock.wall())}\.[0-9]{{6}}\.{os.getpid()}\.update\.a\.b", name)
    assert is_usual(name)
    assert Owner("a.b", PEERS).mine(name)
    assert not Owner("b", PEERS).mine(name)
    assert (ground.path / name).read_bytes() == b"update:/res/msu/a.html\n"
    assert stat.S_IMODE((ground.path / name).stat().st_mode) == 0o600
    assert os.listdir(ground.path) == [name]


@pytest.mark.parametrize(
    ("command", "word"),
    [
        (b"put:msu:u:ns:a=b", "put"),
        (b"encrypt:passwd:msu:u:old:new", "encrypt"),
        (b"passwd:msu:u:old:new", "passwd"),  # in clear by its sender's choice
        (b"changeuserauth_and_more", "changeuserauth_a"),
        (b"", ""),
        (b"../../x y\x00\xff:z", "xy"),
    ],
)
def test_the_name_shows_the_commands_word_alone(ground: Ground, command: bytes, word: str) -> None:
    assert store(ground).put(command, "p1").split(".")[3] == word


def test_what_begins_encrypt_lies_there_sealed_and_is_read_in_clear(ground: Ground) -> None:
    command = b"encrypt:passwd:msu:jane:secret-old:secret-new"
    name = store(ground).put(command, "p1")
    content = (ground.path / name).read_bytes()
    assert re.fullmatch(rb"sealed:1:[0-9a-f]{8}:[A-Za-z0-9+/=]+\n", content)
    ground.clock.advance(60)
    queue = ground.queue(keys_path=str(ground.path.parent / "lonc.keys"))
    assert ground.message(queue, name).line == command
    assert queue.try_lock()
    assert queue.done(ground.message(queue, name)).kind.value == "deleted"


def test_messages_lie_in_the_order_of_their_writing_whatever_the_clock_does(ground: Ground) -> None:
    one, other = store(ground), store(ground)
    names = []
    for jump in (0, 0, 0.0001, 0.9, 5, 0):
        ground.clock.now_wall += jump
        names += [one.put(b"a:b", "p1")]
    ground.clock.now_wall -= 1000
    names += [one.put(b"a:b", "p1"), one.put(b"a:b", "p1")]
    ground.clock.now_wall += 2000
    names += [other.put(b"a:b", "p1"), one.put(b"a:b", "p1")]
    ground.clock.advance(100)
    assert ready(ground.look(ground.queue())) == names == sorted(names)


def test_a_taken_name_is_never_taken_again(ground: Ground) -> None:
    """As another process with the same pid (another container) at the same microsecond would want it."""
    first = store(ground).put(b"a:1", "p1")
    second = store(ground).put(b"a:2", "p1")
    assert first != second
    assert (ground.path / first).read_bytes() == b"a:1\n"
    base, counter, rest = re.fullmatch(r"(\d+)\.(\d+)(\..*)", second).groups()  # type: ignore[union-attr]  # it is
    (ground.path / f".new-{base}.{int(counter) + 1:06d}{rest}~").touch()
    third = store(ground).put(b"a:3", "p1")
    assert int(third.split(".")[1]) == int(counter) + 2


@pytest.mark.parametrize(("command", "peer"), [(b"two\nlines", "p1"), (b"a", "../p1"), (b"a", ""), (b"a", "a\nb")])
def test_what_can_be_no_message_is_a_defect_of_the_caller(ground: Ground, command: bytes, peer: str) -> None:
    with pytest.raises(ValueError, match="one line"):
        store(ground).put(command, peer)
    assert os.listdir(ground.path) == []


def test_what_lonc_would_never_send_is_not_kept(ground: Ground) -> None:
    small = store(ground, max_line_bytes=100)
    queue = ground.queue(max_line_bytes=100, keys_path=str(ground.path.parent / "lonc.keys"))
    names = [small.put(b"x" * 100, "p1"), small.put(b"encrypt:" + b"x" * 100, "p1")]
    for command in (b"x" * 101, b"encrypt:" + b"x" * 101):
        with pytest.raises(NotKeptError, match="longer than the longest line of 100 bytes"):
            small.put(command, "p1")
    ground.clock.advance(60)
    assert [len(ground.message(queue, name).line) for name in names] == [100, 108]


def test_the_directory_is_made_for_us_alone_also_when_it_was_removed(ground: Ground) -> None:
    ground.path.rmdir()
    writer = store(ground)
    name = writer.put(b"a:b", "p1")
    assert stat.S_IMODE(ground.path.stat().st_mode) == 0o700
    (ground.path / name).unlink()
    ground.path.rmdir()
    writer.put(b"a:c", "p1")
    assert len(os.listdir(ground.path)) == 1


def test_without_a_place_to_keep_it_the_reason_is_told(ground: Ground) -> None:
    ground.path.rmdir()
    ground.path.write_text("no directory")
    with pytest.raises(NotKeptError, match="Not a directory"):
        store(ground).put(b"a:b", "p1")


def test_what_cannot_be_sealed_is_not_written_at_all(ground: Ground) -> None:
    (ground.path.parent / "lonc.keys").write_text("k 00 0\n")
    with pytest.raises(NotKeptError, match="it cannot be sealed"):
        store(ground).put(b"encrypt:auth:msu:u:pw", "p1")
    assert os.listdir(ground.path) == []
    store(ground).put(b"put:a", "p1")


def test_leftovers_of_dead_writers_are_removed_when_they_are_old(ground: Ground) -> None:
    ground.put(".new-5.000001.9.put.p1~", age=4000)
    ground.put(".new-5.000002.9.put.p1~", age=3000)
    ground.put(".lock-p1", b"", age=4000)
    ground.put(".sent-p1~", age=4000)
    name = store(ground).put(b"a:b", "p1")
    assert sorted(os.listdir(ground.path)) == sorted([".new-5.000002.9.put.p1~", ".lock-p1", ".sent-p1~", name])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_writes_belongs_to_the_owner_of_the_place(ground: Ground) -> None:
    os.chown(ground.path, 4711, 4712)
    os.chown(ground.path.parent, 4711, 4712)
    name = store(ground).put(b"encrypt:a:b", "p1")
    for path in (ground.path / name, ground.path.parent / "lonc.keys"):
        facts = path.stat()
        assert (facts.st_uid, facts.st_gid, stat.S_IMODE(facts.st_mode)) == (4711, 4712, 0o600)
    (ground.path / name).unlink()
    ground.path.rmdir()
    store(ground).put(b"a:b", "p1")
    assert ground.path.stat().st_uid == 4711


# --- what the reader makes of sealed ones that do not open ---------------------------------------------------


def test_a_lost_key_sets_the_message_aside_and_it_is_sent_when_both_are_back(ground: Ground) -> None:
    keys_path = ground.path.parent / "lonc.keys"
    name = store(ground).put(b"encrypt:a:b", "p1")
    kept = keys_path.rename(ground.path.parent / "backup")
    ground.clock.advance(60)
    queue = ground.queue(keys_path=str(keys_path))
    assert queue.try_lock()
    assert "restore that line there, then move this file back" in str(ground.read(queue, name))
    assert ground.names() == ["corrupt"]
    reason = (ground.path / "corrupt" / f"{name}.reason").read_text()
    assert str(keys_path) in reason
    kept.rename(keys_path)
    (ground.path / "corrupt" / name).rename(ground.path / name)
    assert ground.message(queue, name).line == b"encrypt:a:b"


def test_a_tampered_message_is_set_aside_and_the_next_goes_on(ground: Ground) -> None:
    writer = store(ground)
    bad, good = writer.put(b"encrypt:a:b", "p1"), writer.put(b"encrypt:c:d", "p1")
    content = (ground.path / bad).read_bytes()
    (ground.path / bad).write_bytes(content[:-8] + b"AAAA" + content[-4:])
    foreign = good.replace(".p1", ".p2")
    (ground.path / foreign).write_bytes((ground.path / good).read_bytes())
    ground.clock.advance(60)
    for peer, name in (("p1", bad), ("p2", foreign)):
        queue = ground.queue(peer, keys_path=str(ground.path.parent / "lonc.keys"))
        assert queue.try_lock()
        assert f"changed since, or not sealed for {peer}" in str(ground.read(queue, name))
        assert (ground.path / "corrupt" / name).exists()
    queue = ground.queue(keys_path=str(ground.path.parent / "lonc.keys"))
    assert ground.message(queue, good).line == b"encrypt:c:d"


def test_a_refused_key_file_leaves_sealed_messages_in_the_queue(ground: Ground) -> None:
    keys_path = ground.path.parent / "lonc.keys"
    writer = store(ground)
    sealed, plain = writer.put(b"encrypt:a:b", "p1"), writer.put(b"c:d", "p1")
    keys_path.chmod(0o644)
    ground.clock.advance(60)
    queue = ground.queue(keys_path=str(keys_path))
    assert "others can use the key file" in str(ground.read(queue, sealed))
    assert ground.message(queue, plain).line == b"c:d"
    look = ground.look(queue)
    assert ready(look) == [plain]
    assert "cannot be unsealed" in str(look.problem)
    keys_path.chmod(0o600)
    ground.clock.advance(361)
    assert ready(ground.look(queue)) == [sealed, plain]
    assert ground.message(queue, sealed).line == b"encrypt:a:b"
