"""The babysitter at work: each kind of trouble is found and replaced within two looks (rogues: INT helps at once).

The pool's own looks are an hour apart, so each look here is one that the test has asked for.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from lonc.pool.orders import AGAIN_S
from tests.process.pools import LIMIT_S, Client, PoolRun, cpu_s, running, wait_cpu
from tests.process.procs import alive
from tests.process.waiting import wait_until

RULES = {"processes": 3, "connections": 0, "babysit_s": 3600, "rogue_cpu_s": 0.2}


def burn(pool: PoolRun, client: Client, order: str) -> None:
    """Have a worker compute without end; look once, since its beat has moved, and wait until it is a rogue."""
    before = cpu_s(client.pid)
    client.say(order)
    wait_cpu(client.pid, before + 0.1)
    pool.look()
    wait_cpu(client.pid, cpu_s(client.pid) + 0.5)


def gone(pool: PoolRun, pid: int) -> None:
    """Wait until a worker is gone and another one has taken its place."""
    wait_until(lambda: not alive(pid), LIMIT_S, f"the end of {pid}")
    assert pid not in pool.wait_workers(2)
    wait_until(lambda: pool.state().count(", accepts,") == 2, LIMIT_S, "2 workers that accept")


@pytest.mark.parametrize(
    ("chld", "text"),
    [("deaf", "is a zombie that no signal has told of"), ("stolen", "is missing: counts as dead")],
)
def test_one_that_died_unheard_is_found_at_the_next_look(tmp_path: Path, chld: str, text: str) -> None:
    with running(tmp_path, chld=chld, **RULES) as pool:
        pool.wait_log(": begun", 2)
        victim = pool.client().pid
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not alive(victim), LIMIT_S, "a dead worker")
        pool.state()
        assert len(pool.workers()) == 1  # nobody has noticed
        pool.look()
        gone(pool, victim)
        assert f"Worker {victim} ({pool.clients[0].worker}) {text}" in pool.log()


def test_one_that_was_killed_is_replaced_without_a_look(tmp_path: Path) -> None:
    with running(tmp_path, **RULES) as pool:
        pool.wait_log(": begun", 2)
        victim = pool.client().pid
        os.kill(victim, signal.SIGKILL)
        gone(pool, victim)
        assert f"Worker {victim} ({pool.clients[0].worker}) is dead: it was killed by signal 9" in pool.log()


def test_a_stopped_one_is_told_then_killed(tmp_path: Path) -> None:
    with running(tmp_path, **RULES) as pool:
        pool.wait_log(": begun", 2)
        victim = pool.client().pid
        os.kill(victim, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(victim).status() == psutil.STATUS_STOPPED, LIMIT_S, "a stopped worker")
        pool.look()
        assert f"Worker {victim} ({pool.clients[0].worker}) is stopped: to be killed" in pool.log()
        assert alive(victim)
        pool.look()
        gone(pool, victim)
        assert f"Worker {victim} ({pool.clients[0].worker}) is still stopped: killed" in pool.log()


def test_one_that_goes_on_in_between_is_left_alone(tmp_path: Path) -> None:
    with running(tmp_path, **RULES) as pool:
        client = pool.client()
        os.kill(client.pid, signal.SIGSTOP)
        wait_until(lambda: psutil.Process(client.pid).status() == psutil.STATUS_STOPPED, LIMIT_S, "it stopped")
        pool.look()
        os.kill(client.pid, signal.SIGCONT)
        assert client.ask("back") == "back"
        pool.look()
        assert "is not stopped any more" in pool.log()
        pool.look()
        assert client.ask("still here") == "still here"


@pytest.mark.parametrize(("how", "told"), [("", 1), ("deaf", 2), ("blocked", 3)])
def test_a_rogue_gets_int_then_term_then_kill(tmp_path: Path, how: str, told: int) -> None:
    with running(tmp_path, **RULES) as pool:
        client = pool.client()
        burn(pool, client, f"spin {how}".strip())
        for name in ("SIGINT", "SIGTERM", "SIGKILL")[:told]:
            wait_until(lambda: computes(client.pid), LIMIT_S, "a worker that computes")
            time.sleep(AGAIN_S)  # a signal that comes sooner than that does not count as another one
            pool.look()
            assert f"without a sign of life: {name} sent" in pool.log(), pool.log()
        gone(pool, client.pid)
        assert pool.log().count(f"Worker {client.pid} ({client.worker}) is a rogue") == told


def computes(pid: int) -> bool:
    """Return whether a process computes at this moment."""
    return bool(psutil.Process(pid).status() == psutil.STATUS_RUNNING)


def test_a_busy_one_whose_beat_moves_is_never_a_rogue(tmp_path: Path) -> None:
    with running(tmp_path, **RULES) as pool:
        client = pool.client()
        pool.look()
        client.say("busy 1500")
        before = cpu_s(client.pid)
        for used in (0.3, 0.6, 0.9, 1.2):
            wait_cpu(client.pid, before + used)
            pool.look()
        assert client.line() == "done"
        assert "rogue" not in pool.log()


def test_one_that_sleeps_in_between_is_no_rogue_any_more(tmp_path: Path) -> None:
    with running(tmp_path, **RULES) as pool:
        client = pool.client()
        burn(pool, client, "nap")
        wait_until(lambda: computes(client.pid), LIMIT_S, "a worker that computes")
        pool.look()
        assert "SIGINT sent" in pool.log()
        wait_until(lambda: psutil.Process(client.pid).status() == psutil.STATUS_SLEEPING, LIMIT_S, "its sleep")
        pool.look()
        assert "is no rogue any more: it sleeps" in pool.log()
        os.kill(client.pid, signal.SIGUSR1)
        assert client.line() == "slept"
