"""A pool and its clients: side by side, shared out, replaced after their share, none of them lost; the ends."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from pathlib import Path

import psutil
import pytest

from lonc.errors import ExitCode
from tests.process.pools import LIMIT_S, cpu_s, running, wait_cpu
from tests.process.procs import alive
from tests.process.waiting import wait_until


def closed(client: socket.socket) -> bool:
    """Return whether the other side has closed, within the time that any test waits."""
    client.settimeout(LIMIT_S)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_worker_serves_its_clients_side_by_side(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=0, at_once=3) as pool:
        clients = [pool.client() for _ in range(3)]
        assert {client.pid for client in clients} == set(pool.workers())
        assert [client.ask(f"echo {i}") for i, client in enumerate(clients)] == ["echo 0", "echo 1", "echo 2"]
        assert {client.address for client in clients} == {"127.0.0.1"}


def test_a_client_without_room_waits_until_one_leaves(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=0, at_once=1) as pool:
        first = pool.client()
        waiting = pool.client(greeted=False)
        assert first.ask("a") == "a"
        first.close()
        waiting.meet()
        assert waiting.pid == first.pid


def test_a_worker_without_room_leaves_clients_to_another(tmp_path: Path) -> None:
    with running(tmp_path, processes=5, connections=0, at_once=1) as pool:
        pool.wait_workers(4)
        assert {pool.client().pid for _ in range(4)} == set(pool.workers())


def test_a_worker_is_replaced_when_its_share_is_served(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=3, at_once=2) as pool:
        first, second = pool.client(), pool.client()
        first.close()
        third = pool.client()
        assert first.pid == second.pid == third.pid
        waiting = pool.client(greeted=False)  # one too many for this worker: its successor has it
        assert second.ask("still") == "still"
        second.close()
        assert third.ask("here") == "here"
        third.close()
        waiting.meet()
        assert waiting.pid != first.pid
        assert waiting.worker == first.worker == "w1"
        assert "dead" not in pool.log()


def test_nobody_is_lost_while_workers_are_replaced(tmp_path: Path) -> None:
    with running(tmp_path, processes=4, connections=1) as pool:
        pids = set()
        for number in range(60):
            client = pool.client()
            assert client.ask(f"n {number}") == f"n {number}"
            pids.add(client.pid)
            client.close()
        assert len(pids) == 60
        pool.wait_workers(3)


@pytest.mark.parametrize("processes", [1, 2])
def test_late_and_long_answers_and_the_end_of_a_session(tmp_path: Path, processes: int) -> None:
    with running(tmp_path, processes=processes, connections=0, at_once=5) as pool:
        client, other = pool.client(), pool.client()
        assert (client.pid == pool.pid) == (processes == 1)
        assert client.ask("late 7") == "late 7 1"
        client.say("big 5000000")
        assert other.ask("meanwhile") == "meanwhile"
        assert len(client.line()) == 5000000
        assert client.ask("bye") == "bye"
        assert client.line() == ""
        other.sock.shutdown(socket.SHUT_WR)  # has asked all it wanted, and reads on
        assert other.line() == ""
        pool.wait_log("a client has ended", 2)


def test_the_last_request_of_a_half_closed_client_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, processes=2) as pool:
        client = pool.client()
        client.say("big 3000000")
        client.sock.shutdown(socket.SHUT_WR)
        assert len(client.line()) == 3000000
        assert client.line() == ""


def test_a_client_that_does_not_read_is_not_read_any_more(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, at_once=2, connections=0) as pool:
        greedy, other = pool.client(), pool.client()
        greedy.sock.settimeout(1.0)
        with pytest.raises(TimeoutError):  # the kernel's buffers fill up, and the worker takes no more
            greedy.sock.sendall(b"big 100000\n" * 2_000_000)
        assert other.ask("fine") == "fine"
        assert psutil.Process(other.pid).memory_info().rss < 200_000_000  # 64 KiB of these lines ask for 600 MB
        greedy.sock.settimeout(LIMIT_S)
        assert [len(greedy.line()) for _ in range(200)] == [100000] * 200


def test_held_back_requests_are_answered_before_the_worker_leaves(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=0, stop_timeout_s=60) as pool:
        client = pool.client()
        client.sock.sendall(b"big 1000000\n" * 20)
        client.sock.shutdown(socket.SHUT_WR)
        pool.wait_log("asked for much")
        os.kill(client.pid, signal.SIGTERM)
        assert [len(client.line()) for _ in range(21)] == [1000000] * 20 + [0]


@pytest.mark.parametrize(("number", "pause_s"), [(errno.EMFILE, 1.0), (errno.ECONNABORTED, 0.0)])
def test_an_error_of_accept_is_survived(tmp_path: Path, number: int, pause_s: float) -> None:
    with running(tmp_path, processes=2, accept=[number, 2]) as pool:
        began = time.monotonic()
        assert pool.client().ask("x") == "x"
        assert time.monotonic() - began >= pause_s  # two pauses of half a second: no spinning
        told = "Cannot accept clients for the moment: Too many open files"
        assert pool.log().count(told) == (number == errno.EMFILE)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGWINCH])
def test_without_workers_the_process_itself_accepts(tmp_path: Path, signum: int) -> None:
    with running(tmp_path, processes=1) as pool:
        for _ in range(3):  # a share of one client does not count here
            client = pool.client()
            assert (client.pid, client.worker) == (pool.pid, "w0")
            client.close()
        assert pool.workers() == []
        pool.wait_log("word of w0: begun")
        pool.signal(signum)
        assert pool.ended() == 0
        assert "told to end" in pool.log()


def test_words_reach_the_parent_and_a_reload_the_workers(tmp_path: Path) -> None:
    with running(tmp_path, processes=3) as pool:
        pool.wait_log(": begun", 2)
        assert pool.client().ask("word hello\nx") == "x"
        pool.wait_log("word of w")
        pool.wait_log(": hello")
        pool.signal(signal.SIGURG)
        pool.wait_log("told to reload", 2)


def test_a_crash_costs_one_worker_and_is_told(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, connections=0) as pool:
        bad, good = pool.client(), pool.client()
        assert bad.ask("crash") == ""
        pool.wait_log("ABNORMAL EXIT: RuntimeError at pool_program.py")
        assert good.ask("fine") == "fine"
        assert pool.client().pid not in (bad.pid, good.pid)


# --- the ends --------------------------------------------------------------------------------------------


def test_term_finishes_the_requests_in_hand(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, connections=0, verbose=True) as pool:
        pool.wait_log(": begun", 2)
        busy, idle = pool.client(), pool.client()
        busy.say("busy 300\nlast")
        pool.signal(signal.SIGTERM)
        assert [busy.line(), busy.line(), busy.line()] == ["done", "last", ""]
        assert idle.line() == ""
        assert pool.ended() == 0
        assert pool.log().count("told to end") == 2
        assert pool.log().count("exit code 0") == 2
        assert "has not left" not in pool.log()


@pytest.mark.parametrize("how", ["", "deaf"])
def test_int_ends_even_workers_that_compute_without_end(tmp_path: Path, how: str) -> None:
    with running(tmp_path, processes=3, connections=0, stop_timeout_s=2) as pool:
        pool.wait_log(": begun", 2)
        client = pool.client()
        before = cpu_s(client.pid)
        client.say(f"spin {how}".strip())
        wait_cpu(client.pid, before + 0.1)
        pool.signal(signal.SIGINT)
        assert closed(client.sock)
        assert pool.ended() == 0
        assert ("has not left" in pool.log()) == (how == "deaf")


def test_a_second_term_is_harder(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=0, stop_timeout_s=60) as pool:
        client = pool.client()
        client.say("spin blocked")
        pool.signal(signal.SIGTERM)
        wait_until(lambda: "stopping" in pool.state(), LIMIT_S, "the pool stopping")
        pool.signal(signal.SIGTERM)
        assert pool.ended() == 0


def test_shutdown_lets_the_workers_finish(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, connections=0, at_once=2) as pool:
        pool.wait_log(": begun", 2)
        client = pool.client()
        pool.signal(signal.SIGWINCH)
        pool.wait_workers(1)
        assert client.ask("still here") == "still here"
        with pytest.raises(ConnectionRefusedError):
            pool.client()
        client.close()
        assert pool.ended() == 0


@pytest.mark.parametrize("serving", [False, True])
def test_a_killed_parent_ends_its_workers(tmp_path: Path, serving: bool) -> None:
    with running(tmp_path, processes=3, connections=0) as pool:
        pool.wait_log(": begun", 2)
        workers = pool.workers()
        client = pool.client() if serving else None
        pool.signal(signal.SIGKILL)
        wait_until(lambda: not any(map(alive, workers)), LIMIT_S, "the end of the workers")
        assert pool.log().count("The parent is gone: this worker ends") == 2
        assert client is None or closed(client.sock)


def test_term_to_a_worker_replaces_it(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, connections=0) as pool:
        client = pool.client()
        os.kill(client.pid, signal.SIGTERM)
        os.kill(client.pid, signal.SIGHUP)  # meant for the parent; ends nobody
        assert closed(client.sock)
        assert pool.client().pid != client.pid


def test_a_service_that_cannot_begin_is_tried_again_and_told(tmp_path: Path) -> None:
    with running(tmp_path, processes=2, cannot=True) as pool:
        pool.wait_log("The worker cannot begin: as ordered", 3)
        pool.wait_log("deaths in a row")
        pool.signal(signal.SIGTERM)
        assert pool.ended() == 0
    with running(tmp_path, processes=1, cannot=True) as pool:
        assert pool.ended() == ExitCode.FAILED


def test_the_status_file_has_a_block_of_each_worker(tmp_path: Path) -> None:
    path = tmp_path / "status.txt"
    with running(tmp_path, processes=3, status_path=str(path)) as pool:
        pool.wait_log(": begun", 2)
        client = pool.client()
        pool.signal(signal.SIGUSR1)
        wait_until(lambda: path.exists() and path.read_text().count("served by w") == 2, LIMIT_S, "two blocks")
        assert "Connection 1 State: 127.0.0.1" in path.read_text()
        assert client.ask("x") == "x"


# --- UNIX paths ------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "s") if len(str(tmp_path)) < 80 else f"/tmp/pool{os.getpid()}"


def test_a_unix_path_is_served_and_removed(tmp_path: Path, path: str) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    with running(tmp_path, unix=path, processes=2) as pool:
        client = pool.client()
        assert client.address == ""
        assert client.ask("x") == "x"
        assert os.stat(path).st_mode & 0o777 == 0o660
        pool.signal(signal.SIGTERM)
        assert pool.ended() == 0
        assert not os.path.exists(path)


def test_a_path_that_somebody_else_has_made_meanwhile_stays(tmp_path: Path, path: str) -> None:
    with running(tmp_path, unix=path, processes=2) as pool:
        os.unlink(path)
        Path(path).touch()
        pool.signal(signal.SIGINT)
        assert pool.ended() == 0
        assert os.path.exists(path)
