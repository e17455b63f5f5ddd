"""How many workers there are: fixed, changed at run time, following use, after failed forks, after many deaths."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from pathlib import Path

import pytest

from lonc.errors import ExitCode
from tests.process.pools import LIMIT_S, running
from tests.process.waiting import wait_until


def test_a_pool_can_be_resized(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, connections=0) as pool:
        pool.wait_workers(2)
        pool.signal(signal.SIGTTIN)
        pool.wait_workers(3)
        pool.wait_log(": begun", 3)
        busy = [pool.client() for _ in range(3)]
        pool.signal(signal.SIGTTOU)
        pool.wait_log("Workers wanted: 2")
        pool.state()
        assert len(pool.workers()) == 3  # it finishes its client first
        assert [client.ask("x") for client in busy] == ["x"] * 3
        for client in busy:
            client.close()
        pool.wait_workers(2)
        for _ in range(3):
            pool.signal(signal.SIGTTOU)
            pool.state()
        pool.wait_workers(1)  # never none
        assert pool.client().ask("x") == "x"


def test_idle_workers_follow_use_up_and_down(tmp_path: Path) -> None:
    with running(tmp_path, idle=2, most=40, connections=0, surplus_s=0.5) as pool:
        pool.wait_workers(2)
        clients = [pool.client(greeted=False) for _ in range(30)]
        for client in clients:
            client.meet()  # each has a worker of its own, all at the same time
        assert len({client.pid for client in clients}) == 30
        pool.wait_workers(32)
        pool.signal(signal.SIGTTIN)
        pool.wait_workers(33)
        for client in clients[5:]:
            client.close()
        pool.wait_workers(8)
        assert [client.ask("x") for client in clients[:5]] == ["x"] * 5
        assert "dead" not in pool.log()


def test_surplus_workers_stay_for_a_while(tmp_path: Path) -> None:
    with running(tmp_path, idle=1, most=5, connections=0, surplus_s=600) as pool:
        clients = [pool.client() for _ in range(3)]
        pool.wait_workers(4)
        pids = set(pool.workers())
        for client in clients:
            client.close()
        wait_until(lambda: pool.state().count(" 0 clients of ") == 4, LIMIT_S, "4 idle workers")
        again = [pool.client() for _ in range(3)]
        assert {client.pid for client in again} < pids
        assert set(pool.workers()) == pids


def test_there_are_never_more_than_the_most(tmp_path: Path) -> None:
    with running(tmp_path, idle=2, most=3, connections=0) as pool:
        clients = [pool.client() for _ in range(3)]
        waiting = pool.client(greeted=False)
        assert "3 live" in pool.state()
        clients[0].close()
        waiting.meet()
        assert waiting.pid == clients[0].pid


def test_forks_that_fail_for_want_of_resources_are_tried_again(tmp_path: Path) -> None:
    with running(tmp_path, processes=4, forks=[errno.EAGAIN, 5], connections=0) as pool:
        pool.wait_workers(3)
        assert pool.log().count("No worker can be forked: Resource temporarily unavailable; tried again") == 1
        pool.wait_log("Workers can be forked again after")
        assert len({pool.client().pid for _ in range(3)}) == 3


def test_any_other_failure_of_fork_ends_the_pool(tmp_path: Path) -> None:
    with running(tmp_path, processes=4, forks=[errno.EPERM, 1]) as pool:
        assert pool.ended() == ExitCode.FAILED
        assert pool.log().count("No worker can be forked: Operation not permitted; the pool ends") == 1
        with pytest.raises(ConnectionRefusedError):
            pool.client()


def test_the_size_is_right_after_a_hundred_random_kills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(8)
    with running(tmp_path, processes=7, connections=0) as pool:
        pool.wait_log(": begun", 6)
        for _ in range(100):
            victim = dice.choice(wait_until(pool.workers, LIMIT_S, "a worker to kill"))
            os.kill(victim, dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
            time.sleep(dice.uniform(0.0, 0.05))
        began = time.monotonic()
        pool.wait_workers(6)
        took = time.monotonic() - began
        with capsys.disabled():
            print(f"\n100 kills: 6 workers again after {took:.2f} s")
        wait_until(lambda: pool.state().count(", accepts,") == 6, LIMIT_S, "6 workers that accept")
        clients = [pool.client() for _ in range(6)]
        assert len({client.pid for client in clients}) == 6
