"""lond from its start to its end: what a start does and refuses, what signals do, what is left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from lonc import __version__
from tests.process import procs
from tests.process.lond_site import LondSite
from tests.process.restarting import gone, stand_in
from tests.process.waiting import stays, wait_until

SIGNALS = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}


def test_a_start_makes_a_daemon_and_an_end_leaves_nothing(lond: LondSite) -> None:
    parent = lond.start()
    assert lond.title(parent).startswith("lond: Parent keeping the pool ")
    wait_until(lambda: len(lond.workers()) == 2, 20, "two workers")
    assert all(short_name(pid) == "lond" for pid in [parent, *lond.workers()])
    assert os.getsid(parent) == parent
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    lond.stop()
    assert not lond.pid_path.exists()
    assert lond.processes() == []
    messages = [line.message for line in lond.log("PARENT")]
    assert messages[0] == "Done starting initial servers"
    assert messages[-1] == "Shutting down"
    assert lond.error_text() == ""


def short_name(pid: int) -> str:
    with open(f"/proc/{pid}/comm") as file:
        return file.read().strip()


def test_the_check_says_what_it_checked(lond: LondSite) -> None:
    done = lond.run("-t")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"lond {__version__}: configuration of srv1"
    assert done.stdout.splitlines()[-1] == "The configuration can be used."
    assert not lond.pid_path.exists()
    lond.start()
    assert lond.run("-t").returncode == 0, "its own running daemon has the port"


def test_the_check_finds_what_a_start_would_stumble_over(lond: LondSite) -> None:
    with socket.create_server((lond.address, lond.port)):
        done = lond.run("-t")
        assert done.returncode == 2
        assert "cannot listen on" in done.stderr
        started = lond.run()
        assert started.returncode == 1
        assert f"port {lond.port}: Address already in use" in started.stderr
        assert not lond.pid_path.exists()
    lond.write_config(londStore="postgresql://127.0.0.1:1/nothing?connect_timeout=2")
    done = lond.run("-t")
    assert done.returncode == 2
    assert "the store cannot be used" in done.stderr


def test_a_broken_configuration_is_refused(lond: LondSite) -> None:
    lond.write_config(londIdleWorkers="many")
    for arguments in ((), ("-t",), ("-n",)):
        done = lond.run(*arguments)
        assert done.returncode == 2
        assert "londIdleWorkers" in done.stderr
    assert not lond.pid_path.exists()


def test_help_and_version(lond: LondSite) -> None:
    assert lond.run("--version").stdout == f"lond {__version__}\n"
    assert "TTIN" in lond.run("--help").stdout
    assert lond.run("--what").returncode == 2


def test_the_wrong_user_is_refused(lond: LondSite) -> None:
    lond.write_config(loncUser="no-such_user")
    done = lond.run()
    assert done.returncode == 1
    assert done.stderr.startswith("lond: User ID mismatch. lond must be run as user no-such_user, not as ")


def test_of_twenty_starts_one_runs(lond: LondSite) -> None:
    with ThreadPoolExecutor(20) as pool:
        done = list(pool.map(lambda _number: lond.run(timeout_s=60), range(20)))
    assert sorted(one.returncode for one in done) == [0] + [1] * 19
    for one in done:
        assert one.returncode == 0 or one.stderr.startswith("lond: lond is already running: process ")
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    parents = [pid for pid in lond.processes() if lond.title(pid).startswith("lond: Parent")]
    assert parents == [lond.pid()]


def test_a_living_original_is_respected_and_a_stale_pid_is_not(lond: LondSite) -> None:
    with stand_in(["bash", "-c", "exec -a 'lond: the original' sleep 60"]) as pid:
        wait_until(lambda: lond.title(pid).startswith("lond: the original"), 20, "its title")
        lond.pid_path.write_text(f"{pid}\n")
        done = lond.run()
        assert done.returncode == 1
        assert f"process {pid}, named in {lond.pid_path}, is a living original" in done.stderr
        assert procs.alive(pid)
    lond.start()


def test_it_hears_signals_however_it_was_started(lond: LondSite) -> None:
    code = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    done = lond.run(wrapper=[sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    lond.signal(signal.SIGUSR1)
    wait_until(lond.status_path.exists, 20, "the status file")
    lond.signal(signal.SIGHUP)
    lond.wait_log("Restarted", 30)
    lond.stop()


def test_in_the_foreground(lond: LondSite) -> None:
    pid = lond.start_foreground()
    assert lond.foreground is not None
    assert pid == lond.foreground.pid
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    lond.stop()
    assert lond.foreground.returncode == 0


def test_the_status_names_every_worker(lond: LondSite) -> None:
    lond.start()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
        (serving,) = lond.wait_serving(1, "own1")
        lond.signal(signal.SIGUSR1)

        def blocks() -> list[str]:
            text = lond.status_path.read_text() if lond.status_path.exists() else ""
            return text.splitlines() if all(f"{pid}\tw" in text for pid in lond.workers()) else []

        lines = wait_until(blocks, 20, "a block of each worker")
    assert lines[0].startswith("LOND status ")
    assert lines[0].endswith(f" - parent {lond.pid()}")
    assert lines[2].startswith(f"{lond.pid()}\tPARENT\t")
    block = lines[next(n for n, line in enumerate(lines) if line.startswith(f"{serving}\tw")) :]
    assert block[1:3] == ["Active connection statuses: ", "Connection 1 State: 127.0.0.1"]
    assert block[3] == "own1 (127.0.0.1): open"


def test_when_the_parent_is_killed_the_workers_leave(lond: LondSite) -> None:
    lond.start()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
        left = lond.kill()
        assert len(left) >= 2
        client.wait_closed(20)
    wait_until(lambda: gone(left), 20, "the end of the workers")
    lond.start()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_every_end_ends_it(lond: LondSite, signum: signal.Signals) -> None:
    parent = lond.start_foreground()
    family = [parent, *procs.descendants(parent)]
    lond.signal(signum)
    assert lond.foreground is not None
    lond.foreground.wait(25)
    wait_until(lambda: gone(family), 20, "its end")
    assert lond.foreground.returncode == (70 if signum == signal.SIGQUIT else 0)


def test_term_wins_over_all_that_comes_with_it(lond: LondSite) -> None:
    parent = lond.start_foreground()
    for signum in [*SIGNALS - {signal.SIGTERM}, signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGTERM]:
        os.kill(parent, signum)
    assert lond.foreground is not None
    assert lond.foreground.wait(30) == 0


def test_a_stopped_terminal_signal_changes_the_number_of_idle_workers(lond: LondSite) -> None:
    lond.start()
    wait_until(lambda: len(lond.workers()) == 2, 20, "two workers")
    lond.signal(signal.SIGTTIN)
    wait_until(lambda: len(lond.workers()) == 3, 20, "a third worker")
    stays(lambda: len(lond.workers()) == 3, 0.3, "three workers")


def test_nohup(lond: LondSite) -> None:
    done = subprocess.run(
        ["nohup", *lond.command()], capture_output=True, text=True, timeout=30, check=False, cwd=lond.root
    )
    assert done.returncode == 0, done.stderr
    lond.signal(signal.SIGHUP)
    lond.wait_log("Restarted", 30)
