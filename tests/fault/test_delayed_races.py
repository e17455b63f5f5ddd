"""Delayed messages under real processes: senders killed at random and side by side, a writer that interferes."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from lonc.delayed import DelayedQueue, Message
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles

ROUNDS = 40
PAST = 1_000_000_000


def make_queue(directory: Path) -> DelayedQueue:
    return DelayedQueue(str(directory), "p1", ["p1"], files=SystemFiles(), clock=SystemClock())


def flush(queue: DelayedQueue, tell: Callable[[Message], object]) -> int:
    """Send what is ready; `tell` is the sending. Returns how many."""
    sent = 0
    now = time.monotonic()
    entries = queue.look(now, force=True).ready
    for entry, following in itertools.zip_longest(entries, entries[1:]):
        message = queue.read(entry, now)
        if isinstance(message, Message):
            queue.sending(message)
            if following is not None:
                queue.read_ahead(following)
            tell(message)
            sent += 1
            queue.done(message)
    queue.finish()
    return sent


def in_child(body: Callable[[], None]) -> int:
    """Fork, run body, leave; return the pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return pid


def put(directory: Path, name: str, content: bytes) -> None:
    fresh = directory / f".fresh-{name}"
    fresh.write_bytes(content)
    fresh.rename(directory / name)


def sender(directory: Path, out: int) -> None:
    """Send all, one line per message into a pipe; `=NAME` for what the lock says is perhaps double."""
    queue = make_queue(directory)
    while not (answer := queue.try_lock()).taken:
        time.sleep(0.0005)
    for name in answer.possibly_double:
        os.write(out, b"=" + name.encode() + b"\n")
    flush(queue, lambda message: os.write(out, message.name.encode() + b"\n"))


def drain(fd: int) -> list[str]:
    lines = b""
    while chunk := os.read(fd, 1 << 16):
        lines += chunk
    return lines.decode().splitlines()


def test_senders_killed_at_random_lose_nothing_and_double_one_each(tmp_path: Path) -> None:
    names = [f"{PAST}.{n}.1.ping.p1" for n in range(1500)]
    for name in names:
        (tmp_path / name).write_bytes(b"ping\n")
    rng = random.Random(7)
    reading, writing = os.pipe()
    pids = []
    for _ in range(ROUNDS):
        # the successor starts before the kill, as an orphan's would: the lock keeps it waiting
        pids.append(in_child(lambda: sender(tmp_path, writing)))
        time.sleep(rng.uniform(0.001, 0.012))
        if len(pids) > 1:
            os.kill(pids[-2], signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    os.close(writing)
    told = drain(reading)
    os.close(reading)
    sent = Counter(line for line in told if not line.startswith("="))
    doubles = {name for name, times in sent.items() if times > 1}
    print(f"\n{ROUNDS} senders, {len(doubles)} doubles, {sum(line.startswith('=') for line in told)} told")
    assert set(sent) == set(names)
    assert sum(sent.values()) - len(names) < ROUNDS
    assert doubles <= {line[1:] for line in told if line.startswith("=")}
    assert list(sent) == names  # first deliveries are in order: one sender at a time
    assert not [name for name in os.listdir(tmp_path) if name != ".lock-p1"]


def interferer(directory: Path, out: int, until: float) -> None:
    """Put, replace, remove and rewrite files at random; say what must have been sent or still be there."""
    rng = random.Random(11)
    number = 0
    owed: dict[str, bytes] = {}
    while time.monotonic() < until:
        name = f"{PAST}.{rng.randrange(40)}.1.ping.p1"
        number += 1
        content = b"%d:" % number + b"x" * (number % 997)  # sizes differ, as times may not
        what = rng.random()
        if what < 0.7:
            put(directory, name, content + b"\n")
            owed[name] = content
        elif what < 0.85:
            owed.pop(name, None)
            (directory / name).unlink(missing_ok=True)
        else:
            # in place: whoever does this may lose it to a deletion that has begun; it must only never be torn
            owed.pop(name, None)
            (directory / name).write_bytes(content + b"\n")
        if number % 16 == 0:
            time.sleep(0.001)
    for content in owed.values():
        os.write(out, content.partition(b":")[0] + b"\n")


def test_a_writer_that_interferes_loses_no_last_word_and_sends_nothing_torn(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    until = time.monotonic() + 2.5
    pid = in_child(lambda: interferer(tmp_path, writing, until))
    os.close(writing)
    queue = make_queue(tmp_path)
    assert queue.try_lock()
    lines: list[bytes] = []
    while time.monotonic() < until + 0.2:
        flush(queue, lambda message: lines.append(message.line))
    owed = drain(reading)
    os.close(reading)
    assert os.waitpid(pid, 0)[1] == 0
    flush(queue, lambda message: lines.append(message.line))
    sent = Counter(line.partition(b":")[0].decode() for line in lines)
    print(f"\n{len(lines)} messages sent under interference, {len(owed)} owed at the end")
    assert len(lines) > 200
    assert set(owed) <= set(sent)
    assert max(sent.values()) == 1
    for line in lines:
        number = int(line.partition(b":")[0])
        assert line == b"%d:" % number + b"x" * (number % 997)
