"""The babysitter's judgement of workers, from what it sees of them; its looks are rows of a small play."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from lonc.pool.babysitter import Babysitter, Seen, process_table
from lonc.system.logs import Severity

RUN, SLEEP, STOP, DISK = (
    psutil.STATUS_RUNNING,
    psutil.STATUS_SLEEPING,
    psutil.STATUS_STOPPED,
    psutil.STATUS_DISK_SLEEP,
)
INT, TERM, KILL = signal.SIGINT, signal.SIGTERM, signal.SIGKILL


class Play:
    """One worker, 7, as the process table shows it."""

    def __init__(self) -> None:
        self.seen: Seen | None = None
        self.told: list[str] = []
        self.sent: list[int] = []
        self.sitter = Babysitter(600.0, tell=self._tell, send=self._send, see=lambda pid: self.seen)

    def _tell(self, text: str, _severity: Severity) -> None:
        self.told.append(text)

    def _send(self, pid: int, signum: int) -> None:
        assert pid == 7
        self.sent.append(signum)

    def look(self, state: str, cpu_s: float, beat: float) -> list[int]:
        self.seen, self.sent = Seen(state, cpu_s), []
        self.sitter.look([("w1", 7, beat)])
        return self.sent


# state, CPU used, beat, what it is sent, what is known of it then
@pytest.mark.parametrize(
    "looks",
    [
        [(RUN, 0, 1, [], ""), (RUN, 600, 1, [], ""), (RUN, 601, 1, [INT], "rogue"), (RUN, 602, 1, [TERM], "rogue"),
         (RUN, 603, 1, [KILL], "rogue"), (RUN, 604, 1, [KILL], "rogue")],
        [(RUN, 0, 1, [], ""), (RUN, 700, 2, [], ""), (RUN, 1300, 3, [], ""), (RUN, 9000, 4, [], "")],
        [(RUN, 0, 1, [], ""), (RUN, 700, 1, [INT], "rogue"), (SLEEP, 700, 1, [], ""), (RUN, 1299, 1, [], ""),
         (RUN, 1301, 1, [INT], "rogue")],
        [(RUN, 0, 1, [], ""), (RUN, 700, 1, [INT], "rogue"), (RUN, 730, 2, [], ""), (RUN, 731, 2, [], "")],
        [(RUN, 0, 1, [], ""), (SLEEP, 700, 1, [], ""), (RUN, 701, 1, [INT], "rogue")],
        [(RUN, 5000, 1, [], ""), (RUN, 5100, 1, [], "")],  # used before it was first seen
        [(STOP, 0, 1, [], "stopped"), (STOP, 0, 1, [KILL], "stopped")],
        [(STOP, 0, 1, [], "stopped"), (SLEEP, 0, 1, [], ""), (STOP, 0, 1, [], "stopped")],
        [(DISK, 0, 1, [], "hangs"), (DISK, 0, 1, [], "hangs"), (DISK, 0, 1, [], "hangs"), (SLEEP, 0, 1, [], "")],
    ],
)  # fmt: skip
def test_what_a_worker_is_sent(looks: list[tuple[str, float, float, list[int], str]]) -> None:
    play = Play()
    for state, cpu_s, beat, sent, word in looks:
        assert play.look(state, cpu_s, beat) == sent
        assert play.sitter.state_of(7) == word
    assert play.sitter.looks == len(looks)


def test_a_worker_that_hangs_in_the_kernel_is_told_once_each_time() -> None:
    play = Play()
    for state in (DISK, DISK, DISK, SLEEP, DISK, DISK):
        play.look(state, 0, 1)
    assert [text for text in play.told if "hangs in the kernel" in text] == play.told
    assert len(play.told) == 2


def test_one_that_waits_for_the_disk_and_beats_does_not_hang() -> None:
    play = Play()
    for beat in range(5):
        play.look(DISK, 0, beat)
    assert play.told == []


def test_each_change_is_told() -> None:
    play = Play()
    for state, cpu_s in ((RUN, 0), (RUN, 601), (SLEEP, 601), (STOP, 601), (STOP, 601), (SLEEP, 601)):
        play.look(state, cpu_s, 1)
    assert play.told == [
        "Worker 7 (w1) is a rogue, 601.0 s of CPU without a sign of life: SIGINT sent",
        "Worker 7 (w1) is no rogue any more: it sleeps",
        "Worker 7 (w1) is stopped: to be killed if it still is at the next look",
        "Worker 7 (w1) is still stopped: killed",
        "Worker 7 (w1) is not stopped any more",
    ]


def test_who_is_not_in_the_process_table_is_passed_over_and_forgotten() -> None:
    play = Play()
    play.look(STOP, 0, 1)
    play.seen = None
    play.sitter.look([("w1", 7, 1.0)])
    assert play.sitter.state_of(7) == ""
    assert play.look(STOP, 0, 1) == []


def test_the_process_table() -> None:
    seen = process_table(os.getpid())
    assert seen is not None
    assert seen.state in (RUN, SLEEP, DISK)
    assert seen.cpu_s > 0
    assert process_table(2**22 + 1) is None
