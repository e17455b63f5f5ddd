"""Owns the harnesses of delayed messages: a whole directory, sealed lines, and names.

`queue`: the input lays files of all kinds and lets a child look, read and settle them; what becomes of each
file is
compared with what the spec says of it. `sealed`: any sealed form, with any key file.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from lonc.delayed import DelayedQueue, Entry, Message
from lonc.delayed.sealing import Keys, SealError, key_of, sealed_size
from lonc.system.files import SystemFiles
from tests.fuzz.choices import Choices
from tests.fuzz.harness import Harness, empty, rule, scratch
from tests.unit.delayed_ground import PEERS, FakeClock

LIMIT = 64  # bytes of a message
FILES = SystemFiles()
KEY_LINE = b"abcd1234 " + b"5e" * 32 + b" 1700000000\n"
NAMES = (
    "{t}.0.77.put.p1", "{t}.1.77.put.p1", "{t}.{n}.9.encrypt.p1", "{t}.2.77..p1", "by-hand.p1", "-rf.p1",
    ".tmp.p1",
    "{t}.0.77.put.a.b.p1", "x..y.p1", "two\nlines.p1", "\udcff.p1", "{t}.0.1.put.p2", "{t}.0.1.put.zz",
    "delayed.p1",
    "%41.p1", "1.2.3.put.p1-2", "nobodys", "{t}.0.0.restored.p1", "000{t}.0.1.a.p1", "y" * 252 + ".p1",
)  # fmt: skip
FOLDERS = ("rejected", "corrupt", "held")


class Scene:
    """A delayed directory on a RAM disk, two clocks, and one child after the other."""

    def __init__(self) -> None:
        root = scratch("queue")
        self.place = root / "delayed"
        self.keys_path = str(root / "lonc.keys")
        self.keys = Keys(self.keys_path, files=FILES, clock=FakeClock())
        self.clean()
        fd = os.open(self.keys_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(fd, KEY_LINE)
        os.close(fd)
        self.good_seal = self.keys.seal(b"encrypt:auth:d:u:p", "p1")

    def clean(self) -> None:
        """Begin anew: an empty directory, nothing counted."""
        self.place.mkdir(mode=0o700, exist_ok=True)
        empty(self.place)
        self.clock = FakeClock()
        self.queue: DelayedQueue | None = None
        self.replaced = 0
        self.unanswered = False  # then some come after the others

    def child(self) -> DelayedQueue:
        """Return the queue of the living child, of a new one when there is none."""
        if self.queue is None:
            self.queue = DelayedQueue(
                str(self.place), "p1", PEERS, files=FILES, clock=self.clock, max_line_bytes=LIMIT,
                retry_max_s=30.0, keys_path=self.keys_path,
            )  # fmt: skip
        return self.queue

    def kill(self) -> None:
        """End the child as kill -9 does: its locks are free, its memory is gone."""
        if self.queue is not None and self.queue.lock_fd >= 0:
            os.close(self.queue.lock_fd)
        self.queue = None

    def lay(self, name: str, content: bytes, age_s: float) -> None:
        """Put a file, as a careless writer does."""
        path = self.place / name
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError:
            return  # a directory, a FIFO or a link has the name
        os.write(fd, content)
        os.close(fd)
        at = self.clock.wall() - age_s
        os.utime(path, (at, at))

    def odd(self, name: str, kind: int) -> None:
        """Put something that is no file."""
        path = self.place / name
        if os.path.lexists(path):
            return
        if kind == 0:
            path.mkdir()
        elif kind == 1:
            os.mkfifo(path)
        elif kind == 2:
            path.symlink_to("nowhere")
        else:
            path.symlink_to(name)

    def contents(self) -> dict[str, bytes]:
        """Return every regular file below the directory by its relative name."""
        found = {}
        for folder in ("", *FOLDERS):
            if not (self.place / folder).is_dir():
                continue
            for entry in os.scandir(self.place / folder):
                if entry.is_file(follow_symlinks=False):
                    with open(entry.path, "rb") as file:
                        found[os.path.join(folder, entry.name)] = file.read()
        return found


@functools.cache
def _scene() -> Scene:
    return Scene()


def _name(choices: Choices, scene: Scene) -> str:
    form = choices.byte()
    if form >= 250:
        text = choices.text().replace(b"/", b"").replace(b"\0", b"")[:250]
        return os.fsdecode(text) + ".p1"
    now = int(scene.clock.wall())
    return NAMES[form % len(NAMES)].format(t=now - choices.pick((1000, 1000, 900, 3, 0)), n=choices.byte())


def queue(data: bytes) -> None:
    """Whatever lies in the directory: no error; what is sent is one line of a file that is there; nothing is
    lost."""
    scene, choices = _scene(), Choices(data)
    scene.clean()
    try:
        for _ in range(40):
            if not choices:
                break
            _step(scene, choices)
        _drain(scene)
    finally:
        scene.kill()


def _step(scene: Scene, choices: Choices) -> None:
    what = choices.byte() % 12
    if what <= 3:
        scene.lay(_name(choices, scene), _content(choices, scene), choices.pick((1000.0, 1000.0, 6.0, 0.0,
            -100.0)))
    elif what == 4:
        scene.odd(_name(choices, scene), choices.byte() % 4)
    elif what == 5:
        scene.clock.advance(choices.pick((0.5, 5.0, 31.0, 61.0)))
    elif what == 6:
        scene.kill()
    elif what == 7:
        (scene.place / ".lock-p1").write_bytes(choices.text() + b"\n\n")
    elif what == 8:
        scene.lay(".sent-p1~", _content(choices, scene), 100.0)
    elif what == 9:
        _remove(scene, choices)
    else:
        _work(scene, choices)


def _content(choices: Choices, scene: Scene) -> bytes:
    kind = choices.byte() % 8
    if kind <= 3:
        return choices.text().replace(b"\n", b"") + b"\n"
    if kind == 4:
        return choices.text()
    if kind == 5:
        return scene.good_seal + b"\n"
    if kind == 6:
        broken = bytearray(scene.good_seal)
        broken[choices.byte() % len(broken)] = choices.byte()
        return bytes(broken)
    return choices.text() * (choices.byte() % 4)


def _remove(scene: Scene, choices: Choices) -> None:
    names = sorted(os.listdir(scene.place))
    path = scene.place / names[choices.byte() % len(names)] if names else None
    if path is not None and not path.is_dir():
        path.unlink()


def _work(scene: Scene, choices: Choices) -> None:
    """Send as a child does, for some messages."""
    child, now = scene.child(), scene.clock.mono
    look = child.look(now, force=bool(choices.byte() & 1))
    rule(scene.unanswered or list(look.ready) == sorted(set(look.ready)), "a look without an order")
    rule(all(not entry.name.startswith(".") and "/" not in entry.name for entry in look.ready), "a hidden file")
    if not look.ready or not child.try_lock():
        return
    for entry in look.ready[: choices.byte() % 6]:
        _send(scene, child, entry, choices)
    child.finish()


def _send(scene: Scene, child: DelayedQueue, entry: Entry, choices: Choices) -> None:
    before = scene.contents().get(entry.name)
    if choices.byte() % 8 == 0:
        child.read_ahead(entry)
    message = child.read(entry, scene.clock.mono)
    if not isinstance(message, Message) or not child.sending(message):
        return
    rule(before is not None and b"\n" not in message.line, "a message without its file, or of two lines")
    rule(len(message.line) <= LIMIT + 8, "a message that is too long")
    if before is not None and not before.startswith(b"sealed:"):
        rule(message.line == before.removesuffix(b"\n"), "another line than the file's")
    what = choices.byte() % 6
    if what == 5:
        scene.kill()
        scene.child().try_lock()
        return
    if what == 4:
        scene.replaced += 1  # underneath, with a date of its own: it may not be lost
        scene.lay(entry.name, b"another\n", 50.0 + scene.replaced / 16)
    if what <= 1 or what == 4:
        child.done(message)
    elif what == 2:
        child.reject(message, b"refused", scene.clock.mono)
    else:
        child.unanswered(message)
        scene.unanswered = True
    after = scene.contents()
    gone = what <= 1
    rule(what == 2 or (entry.name in after) != gone, "a file is there that should not be, or the other way round")
    if what == 2:
        moved = [text for name, text in after.items() if name.startswith("rejected/")]
        rule(before in moved, "a rejected file is lost")
    if what == 4:
        rule(b"another\n" in after.values(), "a message that replaced another is lost")


def _drain(scene: Scene) -> None:
    """Let a new child send all there is, with time for all that waits: what is left is what can be no message."""
    scene.kill()
    there = scene.contents().items()
    others = {name: text for name, text in there if not _is_ours(name) and name != ".lock-p1"}
    for _ in range(4):
        scene.clock.advance(70.0)
        child = scene.child()
        look = child.look(scene.clock.mono, force=True)
        if not child.try_lock():
            return  # something else lies at the lock's name
        for entry in look.ready:
            before = scene.contents().get(entry.name)
            message = child.read(entry, scene.clock.mono)
            if isinstance(message, Message) and child.sending(message):
                rule(before is not None, "a message without a file")
                child.done(message)
        child.finish()
    after = scene.contents()
    rule(all(after.get(name) == text for name, text in others.items()), "a file of others was touched")
    left = [name for name in after if _is_ours(name)]
    rule(not left, f"a message is never sent and never set aside: {left!r}")
    aside = set(os.listdir(scene.place / "corrupt")) if (scene.place / "corrupt").exists() else set()
    alone = [name for name in aside if name.endswith(".reason") and name.removesuffix(".reason") not in aside]
    rule(not alone, f"a reason without its file: {alone!r}")


def _is_ours(name: str) -> bool:
    if "/" in name or name.startswith("."):
        return name == ".sent-p1~"
    return name.endswith(".p1") and not name.endswith(".a.b.p1") and not _of_nobody(name)


def _of_nobody(name: str) -> bool:
    parts = name.split(".", 4)
    standard = (
        len(parts) == 5 and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts[:2])
        and parts[2].isascii() and parts[2].isdigit()
        and all(c.isascii() and (c.isalnum() or c == "_") for c in parts[3])
    )  # fmt: skip
    return standard and parts[4] != "p1"


# --- sealed lines ---------------------------------------------------------------------------------------


@functools.cache
def _vault() -> Path:
    return scratch("sealed")


def sealed(data: bytes) -> None:
    """Whatever the key file and the sealed line hold: the line that was sealed, or SealError; nothing else."""
    choices = Choices(data)
    line = choices.line()
    path = str(_vault() / "lonc.keys")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, choices.rest())
    os.close(fd)
    keys = Keys(path, files=FILES, clock=FakeClock())
    key_of(line)
    try:
        keys.unseal(line, "p1")
    except SealError as error:
        rule(line == b"" or len(line) < 40 or line.decode("latin-1") not in str(error),
            "a sealed text in an error")
    try:
        made = keys.seal(line, "p1")
    except SealError:
        return
    rule(keys.unseal(made, "p1") == line, "another line came back")
    rule(len(made) <= sealed_size(len(line)), "a sealed line is longer than said")
    try:
        keys.unseal(made, "p2")
    except SealError:
        return
    rule(False, "a line opened for another peer")


_DONE = b"\x0a\x01\x05\x01\x00\x01\x00"
_ROW15 = tuple(
    b"\x00" + bytes((form, 0, 9, kind)) + bytes((len(text),)) + text + b"\x00" + _DONE
    for form in range(20)
    for kind, text in ((0, b"ping"), (4, b"one\ntwo"), (4, b""))
)
_MORE = (
    b"\x00\x00\x00\x09\x05\x00" + _DONE, b"\x00\x00\x00\x09\x06\x09\x41\x00" + _DONE,
    b"\x00\x00\x00\x09\x04\x49" + b"x" * 73 + b"\x00" + _DONE, b"\x04\x00\x00\x09\x00" + _DONE,
    b"\x04\x01\x00\x09\x02",
    b"\x07\x20" + b"1.2.3.put.p1\t1:2:3:4", b"\x07\x10" + b"\x00\x00.p1\t1:2:3:4\n",
    b"\x08\x00\x04ping\x06" + _DONE, b"\x00\x00\x04\x09\x00\x04ping\x03\x05\x00" + _DONE,
)  # fmt: skip
_NOTE = b"\x07\xff" + b"a.p1\t1:2:3:" + b"4" * 243
_SEAL = b"sealed:1:abcd1234:" + b"QUJD" * 14 + b"\n"
HARNESSES = (
    Harness(
        "queue", queue, 20, (b".p1", b"\x0a\x01\x05", b"\x06", b"\x05\x01", b"\t1:2:3:4\n", b"sealed:1:",
        b"\n", b"\0"),
        (*_ROW15, *_MORE, _NOTE), 1024,
    ),
    Harness(
        "sealed", sealed, 8, (b"sealed:1:", KEY_LINE, b"abcd1234", b"=", b"\n", b"#", b"\x1c", b"\x85"),
        (_SEAL + KEY_LINE, b"encrypt:auth:d:u:p\n# keys\n\n" + KEY_LINE, b"x\n" + KEY_LINE[:40], b"\n"), 1024,
    ),
)  # fmt: skip
