"""What is done to the disk for a delayed message, call by call: in which order, with which modes, when synced."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lonc.delayed import DelayedQueue, store
from lonc.delayed.lock import FlushLock
from lonc.delayed.names import Owner
from lonc.delayed.operating import Operator
from lonc.delayed.sealing import Keys
from lonc.delayed.shelves import Found, everything, which
from lonc.delayed.store import MessageStore, NotKeptError
from lonc.system.files import SystemFiles
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_ground import PEERS, Ground

LOCK = "delayed/.lock-p1"
MOVE = "delayed/.move-p1~"
SENT = "delayed/.sent-p1~"


def synced(place: str) -> list[str]:
    return [f"open {place} DIRECTORY", f"fsync {place}", f"close {place}"]


def written(path: str, flags: str = "WRONLY|CREAT|EXCL") -> list[str]:
    return [f"open {path} {flags} 600", f"write {path}", f"fsync {path}", f"close {path}"]


def locked(path: str) -> list[str]:
    return [
        f"open {path} RDWR|CREAT|NONBLOCK 600", f"fstat {path}", f"flock {path} 6",
        f"fstat {path}", f"lstat {path}",
    ]  # fmt: skip


def renamed(src: str, dst: str) -> list[str]:
    return [f"lstat {src}", f"rename {src} {dst}", f"lstat {dst}"]


def keys_read(size: int) -> list[str]:
    path = "lonc.keys"
    reads = [f"read {path} 1048576", f"read {path} {1048576 - size}"]
    return [f"open {path} NONBLOCK", f"fstat {path}", *reads, f"close {path}"]


FIRST_KEY = [
    "open lonc.keys NONBLOCK", *written(".lonc.keys.*"), "link .lonc.keys.* lonc.keys", "unlink .lonc.keys.*",
]  # fmt: skip
KEY_LINE = 8 + 1 + 64 + 1 + 10 + 1  # bytes
FLUSH_LOCK = [*locked(LOCK), f"pread {LOCK} 1048576@0", f"lstat {SENT}"]
CLAIM = [*locked(MOVE), *FLUSH_LOCK]
CLAIM_ENDS = [f"close {LOCK}", f"unlink {MOVE}", f"close {MOVE}"]


class Scene(Ground):
    """A delayed directory whose calls are written down, names of messages as capital letters."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.files = Recorder(base)
        self.letters: dict[str, str] = {}

    def called(self) -> list[str]:
        lines = self.files.taken()
        for name, letter in self.letters.items():
            lines = [line.replace(name, letter) for line in lines]
        return lines

    def keys(self, files: SystemFiles | None = None) -> Keys:
        return Keys(str(self.path.parent / "lonc.keys"), files=files or self.files, clock=self.clock)

    def store(self) -> MessageStore:
        return MessageStore(str(self.path), self.keys(), files=self.files, clock=self.clock)

    def operator(self) -> Operator:
        return Operator(str(self.path), PEERS, self.keys(), files=self.files, clock=self.clock, reply_s=0.05)

    def message_named(self, letter: str, content: bytes = b"ping\n") -> str:
        name = self.name(ord(letter))
        self.letters[name] = letter
        self.letters[name.replace(".p1", ".p2")] = f"{letter}2"
        self.put(name, content)
        return name

    def one(self, said: str) -> Found:
        return which(everything(SystemFiles(), str(self.path), PEERS), said)

    def sender(self) -> DelayedQueue:
        queue = self.queue(files=self.files)
        assert queue.try_lock()
        self.called()
        return queue


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


# --- a writer ----------------------------------------------------------------------------------------


def kept(name: str = "N") -> list[str]:
    fresh = f"delayed/.new-{name}~"
    return [*written(fresh), f"lstat delayed/{name}", f"rename {fresh} delayed/{name}", *synced("delayed")]


MADE = ["mkdir delayed 700", "open delayed DIRECTORY", "close delayed", *synced(".")]


def put(scene: Scene, writer: MessageStore, command: bytes = b"a:b") -> list[str]:
    name = writer.put(command, "p1")
    assert name.endswith((".a.p1", ".encrypt.p1"))
    scene.letters = {name: "N"}
    return scene.called()


def test_a_message_and_its_name_and_its_directory_are_on_the_disk_when_it_is_kept(scene: Scene) -> None:
    scene.path.rmdir()
    writer = scene.store()
    assert put(scene, writer) == [*MADE, *kept(), "listdir delayed"]
    assert put(scene, writer) == kept()
    for path in scene.path.iterdir():
        path.unlink()
    scene.path.rmdir()
    calls = put(scene, writer)
    assert calls[0].startswith("open delayed/.new-")
    assert calls[1:] == [*MADE, *kept()]
    assert scene.files.descriptors == []
    assert put(scene, writer) == kept()


def test_another_writers_directory_is_synced_as_well(scene: Scene) -> None:
    assert put(scene, scene.store()) == ["mkdir delayed 700", *synced("."), *kept(), "listdir delayed"]


def test_a_key_is_on_the_disk_before_anything_is_sealed_with_it(scene: Scene) -> None:
    writer = scene.store()
    put(scene, writer)
    assert put(scene, writer, b"encrypt:a") == [*FIRST_KEY, *keys_read(KEY_LINE), *synced("."), *kept()]
    scene.clock.advance(3599)
    assert put(scene, writer, b"encrypt:a") == [*keys_read(KEY_LINE), *synced("."), *kept()]
    scene.clock.advance(1)
    assert put(scene, writer, b"encrypt:a") == [*keys_read(KEY_LINE), *kept()]
    assert scene.files.descriptors == []


def test_a_rotation_replaces_the_key_file_under_its_lock(scene: Scene) -> None:
    rotation = [
        "open lonc.keys RDWR|NONBLOCK", "fstat lonc.keys", "flock lonc.keys 6", "lstat lonc.keys",
        *keys_read(KEY_LINE), *written(".lonc.keys.*"), "rename .lonc.keys.* lonc.keys", *synced("."),
        "close lonc.keys", "listdir .",
    ]  # fmt: skip
    scene.keys().rotate()
    assert scene.called() == [*FIRST_KEY, *rotation]
    (scene.path.parent / "lonc.keys").unlink()
    scene.keys(SystemFiles()).seal(b"x", "p1")
    scene.keys().rotate()
    assert scene.called() == [*keys_read(KEY_LINE), *rotation]
    assert scene.files.descriptors == []


def fail(code: int) -> OSError:
    return OSError(code, os.strerror(code))


def test_whatever_call_of_a_writer_fails_nothing_is_left_and_nothing_is_said_to_be_kept(scene: Scene) -> None:
    writer = scene.store()
    put(scene, writer)
    for path in scene.path.iterdir():
        path.unlink()
    scene.clock.now_wall = 5.0
    for n, call in enumerate(kept("N")):
        writer = scene.store()
        name = f"5.00000{0}.{os.getpid()}.a.p1"

        def broken() -> None:
            raise fail(errno.EIO)

        scene.files.taken()
        scene.files.before(call.replace("N~", f"{name}~").replace("delayed/N", f"delayed/{name}"), broken)
        with pytest.raises(NotKeptError) as caught:
            writer.put(b"a:b", "p1")
        assert str(caught.value) == f"{scene.path}: Input/output error", (n, call)
        assert os.listdir(scene.path) == [], (n, call)
        assert scene.files.descriptors == []


def test_when_all_names_tried_are_taken_the_writer_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHOICES", 3)
    scene.clock.now_wall = 5.0
    for n in range(4):
        (scene.path / f"5.{n:06d}.{os.getpid()}.a.p1").touch()
    with pytest.raises(NotKeptError) as caught:
        scene.store().put(b"a:b", "p1")
    assert str(caught.value) == f"{scene.path}: no free name"
    (scene.path / f"5.000002.{os.getpid()}.a.p1").unlink()
    assert scene.store().put(b"a:b", "p1") == f"5.000002.{os.getpid()}.a.p1"
    assert not [name for name in os.listdir(scene.path) if name.startswith(".new")]


# --- a child -----------------------------------------------------------------------------------------


def test_the_lock_is_made_and_looked_at(scene: Scene) -> None:
    scene.path.rmdir()
    queue = scene.queue(files=scene.files)
    assert queue.try_lock()
    missing = [f"open {LOCK} RDWR|CREAT|NONBLOCK 600", "mkdir delayed 700"]
    assert scene.called() == [*missing, *FLUSH_LOCK, f"lstat {MOVE}"]
    assert queue.try_lock()
    assert scene.called() == [f"lstat {MOVE}"]
    assert scene.files.descriptors == [LOCK]


def test_what_one_message_costs(scene: Scene) -> None:
    queue = scene.sender()
    name = scene.message_named("A")
    assert len(queue.look(scene.clock.mono).ready) == 1
    assert scene.called() == ["listdir delayed"]
    scene.date(scene.path, 60)
    seen = []
    for force in (False, False, True):
        queue.look(scene.clock.mono, force=force)
        seen.append(scene.called())
    queue.look(scene.clock.mono)
    assert [*seen, scene.called()] == [["listdir delayed"], [], ["listdir delayed"], []]
    message = scene.message(queue, name)
    a = "delayed/A"
    assert scene.called() == [
        f"lstat {a}", f"open {a} NONBLOCK", f"fstat {a}", f"read {a} 5", f"fstat {a}", f"close {a}",
    ]  # fmt: skip
    assert queue.sending(message)
    assert scene.called() == [f"pwrite {LOCK} @0", f"lstat {MOVE}"]
    queue.done(message)
    assert scene.called() == [*renamed(a, SENT), f"unlink {SENT}"]
    queue.finish()
    assert scene.called() == [*synced("delayed"), f"pwrite {LOCK} @0"]
    queue.finish()
    assert scene.called() == []


def test_what_a_rejected_message_costs(scene: Scene) -> None:
    queue = scene.sender()
    message = scene.message(queue, scene.message_named("A"))
    scene.called()
    queue.reject(message, b"no", 0)
    reply = "delayed/rejected/A.reply"
    beside = [f"open {reply} WRONLY|CREAT|EXCL 600", f"write {reply}", f"close {reply}"]
    moved = renamed("delayed/A", "delayed/rejected/A")
    assert scene.called() == ["mkdir delayed/rejected 700", "lstat delayed/rejected/A", *beside, *moved]
    queue.finish()
    assert scene.called() == synced("delayed")


def test_the_note_of_a_flush_that_has_ended_names_nothing(scene: Scene) -> None:
    """Also what lies behind its first byte: that is the rest of the note before it."""
    queue = scene.sender()
    names = [scene.message_named(letter) for letter in "AB"]
    messages = [scene.message(queue, name) for name in names]
    for message in messages:
        assert queue.sending(message)
    other = FlushLock(SystemFiles(), str(scene.path), "p1", Owner("p1", PEERS))
    assert [name for name, _ in other.noted()] == names
    for message in messages:
        queue.unanswered(message)
    queue.finish()
    assert other.noted() == []
    assert scene.operator().hold(scene.one(names[1])).name == names[1]
    os.close(queue.lock_fd)
    assert scene.queue().try_lock().possibly_double == ()


# --- an operator -------------------------------------------------------------------------------------


def alone(*calls: str) -> list[str]:
    return ["open delayed DIRECTORY", "flock delayed 6", *calls, "close delayed"]


def looked_into(path: str, *reads: int) -> list[str]:
    return [f"open {path} NONBLOCK", f"fstat {path}", *(f"read {path} {n}" for n in reads), f"close {path}"]


def made(folder: str) -> list[str]:
    return [f"mkdir {folder} 700", *synced("delayed")]


def there(folder: str) -> list[str]:
    return [f"mkdir {folder} 700", f"lstat {folder}"]


def out_of_the_queue(src: str, dst: str) -> list[str]:
    """Return what moves a message out of the queue, after a look at its new name."""
    ways = [*CLAIM, *renamed(src, dst), *CLAIM_ENDS, *synced(os.path.dirname(dst)), *synced("delayed")]
    return [f"lstat {dst}", *ways, f"lstat {dst}"]


def into_the_queue(src: str, dst: str) -> list[str]:
    ways = [*renamed(src, dst), *synced("delayed"), *synced(os.path.dirname(src))]
    return [f"lstat {dst}", *ways, f"lstat {dst}"]


def test_an_operator_holds_releases_and_drops(scene: Scene) -> None:
    operator = scene.operator()
    held = operator.hold(scene.one(scene.message_named("A")))
    assert scene.called() == alone(*made("delayed/held"), *out_of_the_queue("delayed/A", "delayed/held/A"))
    back = operator.release(held)
    read = looked_into("delayed/held/A", 6, 1)
    assert scene.called() == alone(*read, *into_the_queue("delayed/held/A", "delayed/A"))
    operator.drop(back)
    dropped = out_of_the_queue("delayed/A", "delayed/dropped/A")
    assert scene.called() == alone("listdir delayed/dropped", *made("delayed/dropped"), *dropped)
    operator.hold(scene.one(scene.message_named("B")))
    assert scene.called() == alone(*there("delayed/held"), *out_of_the_queue("delayed/B", "delayed/held/B"))
    assert scene.files.descriptors == []


def test_an_operator_drops_a_rejected_message_with_its_reply(scene: Scene) -> None:
    (scene.path / "rejected").mkdir()
    name = scene.message_named("A")
    (scene.path / name).rename(scene.path / "rejected" / name)
    scene.put(f"rejected/{name}.reply", b"no\n")
    scene.operator().drop(scene.one(name))
    a, dropped = "delayed/rejected/A", "delayed/dropped/A"
    moved = [f"lstat {dropped}", *renamed(a, dropped), *synced("delayed/dropped"), *synced("delayed/rejected")]
    assert scene.called() == alone(
        "listdir delayed/dropped", *made("delayed/dropped"), *looked_into(f"{a}.reply", 4096, 4093),
        *moved, f"lstat {dropped}", f"rename {a}.reply {dropped}.reply",
    )  # fmt: skip


def test_an_operator_moves_a_message(scene: Scene) -> None:
    name = scene.message_named("A")
    scene.operator().move(scene.one(name), "p2")
    ways = [*out_of_the_queue("delayed/A", "delayed/held/A2"), *into_the_queue("delayed/held/A2", "delayed/A2")]
    assert scene.called() == alone(*looked_into("delayed/A", 6, 1), *made("delayed/held"), *ways)


def test_an_operator_moves_a_sealed_message(scene: Scene) -> None:
    sealed = scene.keys(SystemFiles()).seal(b"encrypt:x", "p1") + b"\n"
    name = scene.message_named("A", sealed)
    scene.operator().move(scene.one(name), "p2")
    fresh = "delayed/.new-A2~"
    replaced = [
        *written(fresh, "WRONLY|CREAT|TRUNC"), f"rename {fresh} delayed/held/A2", *synced("delayed/held"),
        "lstat delayed/held/A2",
    ]  # fmt: skip
    assert scene.called() == alone(
        *looked_into("delayed/A", len(sealed) + 1, 1), *keys_read(KEY_LINE), *keys_read(KEY_LINE), *synced("."),
        *made("delayed/held"), *out_of_the_queue("delayed/A", "delayed/held/A2"), *replaced,
        *into_the_queue("delayed/held/A2", "delayed/A2"),
    )  # fmt: skip
    assert scene.files.descriptors == []
