"""kill -9 at random instants, a store that is away, a log that is none: what was answered `ok` is there (C3)."""

from __future__ import annotations

import os
import random
import signal
import time

from tests.process import procs
from tests.process.conftest import MakeLond, MakePair
from tests.process.lond_site import LondSite
from tests.process.test_lond_restart import Puts
from tests.process.waiting import wait_until

KILLS = 12


def test_every_ok_outlives_kills_of_workers_at_random_instants(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    chance = random.Random(4711)
    with Puts(pair) as puts:
        for _ in range(KILLS):
            puts.wait_more(10)
            time.sleep(chance.random() * 0.05)
            serving = wait_until(pair.lond.serving, 20, "a worker with a link")
            for pid in serving:
                procs.send(pid, signal.SIGKILL)
            pair.lonc.wait_ready(timeout_s=30)
        puts.wait_more(50)
    assert puts.errors == []
    assert set(puts.tally) <= {b"ok", b"con_lost"}, "what was in flight when the worker died may not be known"
    assert puts.tally[b"ok"] > 100
    assert puts.all_kept() == []
    assert procs.alive(pair.lond.pid())


def test_every_ok_outlives_a_kill_of_the_parent_and_all(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    with Puts(pair) as puts:
        for _ in range(3):
            puts.wait_more(30)
            family = [pair.lond.pid(), *procs.descendants(pair.lond.pid())]
            for pid in family:
                procs.send(pid, signal.SIGKILL)
            wait_until(lambda: not any(procs.alive(pid) for pid in family), 20, "their end")  # noqa: B023 - used here
            pair.lond.start()
            pair.lonc.wait_ready(timeout_s=30)
        puts.wait_more(30)
    assert puts.errors == []
    assert puts.all_kept() == []


def test_killed_workers_are_replaced_and_others_not_touched(lond: LondSite) -> None:
    lond.start()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
        (serving,) = lond.wait_serving(1)
        idle = [pid for pid in lond.workers() if pid != serving]
        for pid in idle:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(lond.workers()) >= 3 and not set(idle) & set(lond.workers()), 20, "new idle ones")
        assert client.ask(b"ping") == b"srv1"
        with lond.link() as another:
            assert another.ask(b"ping") == b"srv1"


def test_a_stopped_worker_is_found_and_replaced(make_lond: MakeLond) -> None:
    lond = make_lond(settings={"londBabysit": "0.3"})
    lond.start()
    wait_until(lambda: len(lond.workers()) == 2, 20, "two workers")
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
        (victim,) = lond.wait_serving(1)
        os.kill(victim, signal.SIGSTOP)
        client.send(b"ping")
        with lond.link() as another:
            assert another.ask(b"ping") == b"srv1"
        wait_until(lambda: not procs.alive(victim), 20, "its end")
        client.wait_closed()


def test_a_store_that_is_away_is_told_and_comes_back(make_lond: MakeLond) -> None:
    lond = make_lond()
    lond.add_user()
    users = lond.root / "users"
    away = lond.root / "away"
    users.rename(away)
    users.write_text("no directory")
    parent = lond.start()
    with lond.link() as client:
        for _ in range(3):
            reply = client.ask(b"put:msu:joe:ns:k=v")
            assert reply is not None
            assert reply.startswith(b"error"), reply
            assert client.ask(b"ping") == b"srv1", "the link and the worker go on"
        assert client.ask(b"load") is not None
        assert "CRITICAL" in lond.log_text()
        workers = set(lond.workers())
        users.unlink()
        away.rename(users)
        wait_until(lambda: client.ask(b"put:msu:joe:ns:k=v") == b"ok", 20, "the store is back")
        assert client.ask(b"get:msu:joe:ns:k") == b"v"
        assert workers <= set(lond.workers()), "nobody died of it"
    assert lond.pid() == parent


def test_a_database_server_that_is_away_makes_no_crash_loop(make_lond: MakeLond) -> None:
    lond = make_lond(settings={"londStore": "postgresql://127.0.0.1:1/nothing?connect_timeout=2"})
    lond.start()
    with lond.link() as client:
        reply = client.ask(b"put:msu:joe:ns:k=v", 30)
        assert reply is not None
        assert reply.startswith(b"error"), reply
        assert client.ask(b"ping") == b"srv1"
    assert "ABNORMAL" not in lond.log_text()
    before = lond.log_text().count("The store cannot be used, commands that need it are refused")
    assert before >= 1
    lond.signal(signal.SIGHUP)
    lond.wait_log("Restart refused, the running one goes on", 30)
    lond.stop()


def test_without_a_log_it_serves(lond: LondSite) -> None:
    lond.start()
    lond.log_path.unlink()
    lond.log_path.mkdir()  # nothing can be written there
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    with lond.dial("127.77.77.77") as stranger:
        assert stranger.line() == b"refused"
    lond.signal(signal.SIGUSR1)
    status = lond.status_path
    wait_until(lambda: status.exists() and "log cannot be written" in status.read_text(), 20, "it is told")
    lond.log_path.rmdir()
    lond.signal(signal.SIGUSR1)
    lond.wait_log("log messages were lost", 20)
