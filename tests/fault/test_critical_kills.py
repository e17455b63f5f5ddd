"""Critical messages under faults: their writer killed or failing at every system call, many writers at once.

Acknowledged means kept: on the disk, whole, deliverable. Not acknowledged leaves a temporary name at most, or a
whole message. Promises P1, P2; fault rows 1 and 6.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lonc.config import Config, load_config
from lonc.lonnet.answers import Status
from lonc.lonnet.network import Network
from tests.process.installation import Installation
from tests.proof.tally import Tally
from tests.unit.delayed_ground import FakeClock, FaultyFiles, Ground

PEER = "msul1"
PLAIN, SEALED = b"update:/res/msu/u/a.html", b"encrypt:passwd:msu:jane:oldsecret:newsecret"
TEMPORARY = re.compile(r"\.new-.+~")
SEALED_FORM = re.compile(rb"sealed:1:[0-9a-f]{8}:[A-Za-z0-9+/=]+\n")


class Place(Installation):
    """An installation without a daemon: every question is con_lost."""

    def __init__(self) -> None:
        super().__init__([PEER])
        self.config: Config = load_config(str(self.conf_dir))

    def network(self, files: FaultyFiles | None = None) -> Network:
        return Network(self.config, retry_pause_s=0.0, wake_wait_s=0.0, files=files)

    def clear(self) -> None:
        for path in [*self.delayed_dir.iterdir(), *self.logs_dir.iterdir()]:
            path.unlink()

    def kept(self) -> list[bytes]:
        """Return the messages that a sender would send, in clear; assert that nothing else lies about."""
        clock = FakeClock()
        clock.advance(60)
        ground = Ground.__new__(Ground)
        ground.path, ground.clock = self.delayed_dir, clock
        queue = ground.queue(PEER, keys_path=self.config.keys_path)
        names = os.listdir(self.delayed_dir)
        assert all(TEMPORARY.fullmatch(name) for name in names if name.startswith(".")), names
        return [ground.message(queue, entry.name).line for entry in ground.look(queue).ready]

    def clear_text_on_disk(self) -> list[str]:
        """Return the files that hold what was to be sealed, in clear, wherever they lie."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return [str(path) for path in files if b"secret" in path.read_bytes() or "secret" in path.name]


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    yield made
    shutil.rmtree(made.root)


def in_child(body: Callable[[], None]) -> int:
    """Fork, run body, leave; return the wait status."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("command", [PLAIN, SEALED])
def test_a_kill_at_any_call_loses_nothing_acknowledged(place: Place, tally: Tally, command: bytes) -> None:
    seen: set[tuple[bool, bool]] = set()
    for n in range(120):
        place.clear()
        reading, writing = os.pipe()

        def body(n: int = n, writing: int = writing) -> None:
            files = FaultyFiles(n, lambda: os.kill(os.getpid(), signal.SIGKILL))
            if place.network(files).critical(command, PEER).status is Status.DELAYED:
                os.write(writing, b"kept")

        status = in_child(body)
        os.close(writing)
        acknowledged = os.read(reading, 10) == b"kept"
        os.close(reading)
        kept = place.kept()
        assert kept in ([command], [] if not acknowledged else [command]), (n, kept)
        assert place.clear_text_on_disk() == []
        seen.add((acknowledged, bool(kept)))
        # whatever was left, the next one is kept as ever
        assert place.network().critical(b"next:" + PLAIN, PEER).status is Status.DELAYED
        assert place.kept() == [*kept, b"next:" + PLAIN]
        tally.add(inputs=2, faults=os.WIFSIGNALED(status))
        if not os.WIFSIGNALED(status):
            assert acknowledged
            assert n > 20
            assert seen == {(False, False), (False, True), (True, True)}
            return
    raise AssertionError("never reached the end")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("command", [PLAIN, SEALED])
def test_a_failing_call_makes_a_truthful_answer(
    place: Place, tally: Tally, command: bytes, code: int
) -> None:
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    answers = set()
    for n in range(120):
        place.clear()
        files = FaultyFiles(n, fail)
        answer = place.network(files).critical(command, PEER)
        files.die()
        answers.add(answer.status)
        assert answer.status in (Status.DELAYED, Status.NOT_KEPT)
        assert place.kept() == ([command] if answer.status is Status.DELAYED else []), (n, files.hit)
        assert place.clear_text_on_disk() == []
        left = [name for name in os.listdir(place.delayed_dir) if name.startswith(".")]
        assert len(left) <= (files.hit == "unlink"), (n, files.hit)
        tally.add(inputs=1, faults=bool(files.hit))
        if not files.hit:
            assert answers == {Status.DELAYED, Status.NOT_KEPT}
            return
    raise AssertionError("never reached the end")


def test_a_disk_that_stays_full_keeps_nothing_half(place: Place) -> None:
    class Full(FaultyFiles):
        def write(self, fd: int, data: bytes) -> int:
            if len(data) > 3:
                return os.write(fd, data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")

    files = Full(-1, lambda: None)
    assert place.network(files).critical(PLAIN, PEER).status is Status.NOT_KEPT
    assert place.network(files).critical(SEALED, PEER).status is Status.NOT_KEPT
    assert os.listdir(place.delayed_dir) == []


def test_two_processes_with_a_thousand_messages_have_no_name_in_common(place: Place) -> None:
    def writer(who: int) -> Callable[[], None]:
        def body() -> None:
            network = place.network()
            for n in range(500):
                # straight to the disk: the way there has its own tests
                assert network._keep(b"encrypt:put:%d:%d" % (who, n), PEER).status is Status.DELAYED

        return body

    pids = []
    for who in (1, 2):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                writer(who)()
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    kept = place.kept()
    for who in (1, 2):
        mine = [line for line in kept if line.startswith(b"encrypt:put:%d:" % who)]
        assert mine == [b"encrypt:put:%d:%d" % (who, n) for n in range(500)]
    assert len(kept) == 1000
    assert len(Path(place.config.keys_path).read_text().splitlines()) == 1  # they made one key between them
    assert len(place.perm_log("D")) == 1000
