"""What lies about at a start: no pid file, lock, or socket file of any kind is an obstacle or is harmed (P15)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site
from tests.process.restarting import stand_in


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    path.mkdir()
    (path / "mine").write_text("mine")


def make_link(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("precious")
    path.symlink_to(target)


def make_dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def holding(content: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(content) and None  # type: ignore[return-value]  # the number is of no use


GARBAGE: dict[str, Callable[[Path], None]] = {
    "empty": holding(b""),
    "text": holding(b"not a pid\n"),
    "binary": holding(bytes(range(256)) * 100),
    "huge": holding(b"9" * 5_000_000),
    "number of nobody": holding(b"4194303999\n"),
    "negative": holding(b"-1\n"),
    "zero": holding(b"0\n"),
    "init": holding(b"1\n"),
    "fifo": make_fifo,
    "directory": make_directory,
    "link": make_link,
    "dangling link": make_dangling,
    "socket": make_socket,
}


@pytest.mark.parametrize("kind", list(GARBAGE))
def test_no_garbage_at_the_pid_file_is_an_obstacle(site: Site, kind: str) -> None:
    GARBAGE[kind](site.pid_path)
    pid = site.start()
    assert site.pid_path.is_file()
    assert not site.pid_path.is_symlink()
    assert procs.alive(pid)
    if kind == "link":
        assert site.pid_path.with_name("precious").read_text() == "precious"
    if kind == "directory":
        moved = [path for path in site.logs_dir.iterdir() if path.name.startswith("lonc.pid.moved")]
        assert (moved[0] / "mine").read_text() == "mine"
    site.stop()
    assert not site.pid_path.exists()


def test_a_recycled_pid_is_no_obstacle_and_its_process_is_not_touched(site: Site) -> None:
    with stand_in(["sleep", "600"]) as stranger:
        site.pid_path.write_text(f"{stranger}\n")
        pid = site.start()
        assert pid != stranger
        site.stop()
        assert procs.alive(stranger)


def test_after_a_crash_nothing_needs_a_hand(site: Site) -> None:
    """Everything of it is killed: pid file, lock file, socket, scoreboard and status are left as they were."""
    site.peer("msul1")
    for _ in range(3):
        pid = site.start()
        site.wait_ready()
        procs.end([pid, *procs.descendants(pid)])
        assert site.pid() == pid
    assert site.start() != pid
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"


FOREIGN: dict[str, Callable[[Path], None]] = {
    "file": holding(b"mine"),
    "directory": make_directory,
    "fifo": make_fifo,
    "link": make_link,
    "dangling link": make_dangling,
}


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_a_foreign_file_at_a_socket_path_is_kept_and_costs_only_its_peer(make_site: MakeSite, kind: str) -> None:
    site = make_site(["msul1", "msul2"])
    site.peer("msul1")
    site.peer("msul2")
    path = site.socket_path("msul2")
    FOREIGN[kind](path)
    before = path.lstat()
    site.start()
    site.wait_ready("msul1")
    assert site.ask("msul1", b"echo:x") == b"x"
    site.wait_log("CRITICAL: No socket for msul2")
    assert site.board("msul2").parent.pid == 0
    for signum in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP):
        site.signal(signum)
    site.wait_log("children hand over to new ones", 20)
    site.wait_ready("msul1")
    site.stop()
    after = path.lstat()
    assert (before.st_ino, before.st_mode, before.st_size) == (after.st_ino, after.st_mode, after.st_size)
    if kind == "link":
        assert path.with_name("precious").read_text() == "precious"


def test_stale_sockets_are_no_obstacle(make_site: MakeSite) -> None:
    names = [f"msul{number}" for number in range(5)]
    site = make_site(names)
    for name in names:
        make_socket(site.socket_path(name))
    site.start()
    for name in names:
        site.connect(name).close()  # somebody listens, at once
    site.stop()
    assert not any(site.socket_path(name).exists() for name in names)


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "socket"])
def test_something_else_in_place_of_the_lock_is_named_and_kept(site: Site, kind: str) -> None:
    path = site.logs_dir / "lonc.lock"
    GARBAGE[kind](path)
    before = path.lstat().st_ino
    done = site.run()
    assert done.returncode == 1
    assert f"{path}: the lock file cannot be used" in done.stderr
    assert path.lstat().st_ino == before
    assert not site.pid_path.exists()
