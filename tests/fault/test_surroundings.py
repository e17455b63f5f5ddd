"""P25 with the real daemon: what happens to logs, status and disk never touches the traffic (rows 6, 8).

Every fault is made while clients ask, delayed messages are delivered, everybody reports and the child logs every
transaction. Each then ends: what was lost is counted and told, and nothing needs a restart.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.fault.surroundings import begin, log_transactions, told
from tests.process import procs
from tests.process.harness import Entry, Site, wait_until
from tests.process.peer import next_address
from tests.process.traffic import Traffic

SETTINGS = {"loncDelayedScan": "0.2"}
DISK_KIB = 512


# --- places and faults ---------------------------------------------------------------------------------------


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], Path]]:
    """Return what puts a small file system of its own on a directory; skips with the reason where it cannot."""
    mounted: list[Path] = []

    def make(path: Path) -> Path:
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("needs root and mount, for a small tmpfs")
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k,mode=700", "lonc-test", str(path)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def disk(site: Site, small_disk: Callable[[Path], Path]) -> Path:
    """Return a small file system on the site's logs/."""
    return small_disk(site.logs_dir)


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Return a site that looks for delayed messages often."""
    return make_site(["msul1"], settings=SETTINGS)


def fill(disk: Path) -> Path:
    """Leave no byte free on a disk; return the file that takes the room."""
    hog = disk / "hog"
    with hog.open("wb", buffering=0) as stream:
        for size in (4096, 1):
            try:
                for _ in range(DISK_KIB * 1024):
                    stream.write(b"x" * size)
            except OSError:
                continue
    assert os.statvfs(disk).f_bavail == 0
    return hog


@pytest.fixture
def read_only(site: Site) -> Iterator[Callable[[bool], None]]:
    """Return what makes logs/ read-only, and ends that; files that are open stay writable."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("needs root and mount: root may write whatever a mode says")
    path, on = str(site.logs_dir), False

    def make(wanted: bool) -> None:
        nonlocal on
        if wanted and not on:
            done = subprocess.run(["mount", "--bind", path, path], check=False, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
            subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)
        elif on and not wanted:
            subprocess.run(["umount", "-l", path], check=True)
        on = wanted

    yield make
    make(False)


def deliver(site: Site, number: int) -> None:
    """Put a delayed message there and return when it is delivered and gone."""
    text = b"put:msu:u:ns:a=%d" % number
    site.delay("msul1", text)
    peer = site.peers["msul1"]
    wait_until(lambda: text.decode() in peer.executed(), 20, "the delayed message")
    wait_until(lambda: not site.waiting(), 10, "its deletion")


def report(site: Site) -> None:
    """Ask everybody for the status, as the watchdog does."""
    site.signal(signal.SIGUSR1)


def new_peer(site: Site, name: str) -> None:
    """Put one more host into the table; return when the parent, which can tell nobody, has a child for it."""
    site.write_hosts([*site.entries, Entry(name, next_address())])
    site.signal(signal.SIGUSR2)
    wait_until(lambda: site.board(name).parent.pid, 20, "the child of a new host")


def lost_lines(site: Site) -> int:
    """Return how many lines the log says are missing."""
    return sum(map(int, re.findall(r"WARNING: (\d+) log messages were lost", site.log_text())))


# --- a full disk ---------------------------------------------------------------------------------------------


@pytest.mark.root
def test_a_full_disk_under_the_logs(site: Site, disk: Path) -> None:
    begin(site)
    pid, child = site.pid(), site.child("msul1")
    with Traffic(site) as traffic:
        hog = fill(disk)
        traffic.more(300)
        deliver(site, 1)
        report(site)
        wait_until(site.status_path.exists, 10, "the status")
        wait_until(lambda: "log cannot be written: " in site.status_path.read_text(), 10, "the trouble, told")
        assert "No space left on device" in site.status_path.read_text()
        traffic.more()
        wait_until(lambda: site.board("msul1").child.lost_lines > 100, 10, "lost lines on the board")
        assert site.board("msul1").child.state == "ready"  # its blocks were its own before
        hog.unlink()
        traffic.more()
        site.wait_log("log messages were lost: log cannot be written: ")
        deliver(site, 2)
        site.wait_log("Permanent log works again: 1 records were lost")
    assert (site.pid(), site.child("msul1")) == (pid, child)
    assert [line for line in told(site) if "log cannot be written" in line and f"{disk}" in line]
    assert len(told(site)) <= 4, told(site)  # once for each process, not for each line
    assert lost_lines(site) > 100
    assert [record[7] for record in site.perm_log("S")] == ["a=2"]
    # What the disk had room for may stand there alone, but nothing behind it on the same line.
    assert not [line for line in site.log_text().splitlines() if len(re.findall(r" \(\d+\) \[", line)) > 1]


@pytest.mark.root
def test_signals_on_a_full_disk(site: Site, disk: Path) -> None:
    """HUP, USR1, USR2 to the parent and a child's death, with no byte left: the daemon goes on through all."""
    begin(site)
    pid = site.pid()
    fill(disk)
    first = site.child("msul1")
    site.signal(signal.SIGHUP)
    wait_until(lambda: not procs.alive(first), 20, "the former child's end")
    assert procs.alive(pid), told(site)
    assert site.ask("msul1", b"echo:after HUP", 20) == b"after HUP"
    second = site.child("msul1")
    site.signal(signal.SIGUSR2)
    report(site)
    site.signal(signal.SIGKILL, second)
    wait_until(lambda: not procs.alive(second), 10, "its end")
    assert site.ask("msul1", b"echo:after KILL", 20) == b"after KILL"
    assert site.pid() == pid
    with Traffic(site) as traffic:
        deliver(site, 1)
        traffic.more()
    site.stop()


@pytest.mark.root
def test_a_full_disk_under_the_status_file(site: Site, small_disk: Callable[[Path], Path]) -> None:
    fill(small_disk(site.status_path.parent))
    begin(site)
    with Traffic(site) as traffic:
        report(site)
        site.wait_log("Status file cannot be written: ")
        site.wait_log("WARNING: Status file: ")  # the child's block
        traffic.more()


@pytest.mark.root
def test_a_full_disk_under_the_delayed_messages(site: Site, small_disk: Callable[[Path], Path]) -> None:
    """They are sent, deleted and rejected all the same: only the reply of a rejected one needs room."""
    disk = small_disk(site.delayed_dir)
    rejected = site.delay("msul1", b"auth:d:u:x")
    texts = [b"put:msu:u:ns:a=%d" % number for number in range(20)]
    for text in texts:
        site.delay("msul1", text)
    hog = fill(disk)
    begin(site)
    with Traffic(site) as traffic:
        traffic.more()
        wait_until(lambda: site.waiting() == [hog.name], 20, "delivered messages")
    puts = [text for text in site.peers["msul1"].executed() if text.startswith("put:")]
    assert puts == [text.decode() for text in texts]
    assert (disk / "rejected" / rejected.name).exists()


@pytest.mark.root
def test_a_disk_that_turns_read_only(site: Site, read_only: Callable[[bool], None]) -> None:
    begin(site)
    pid = site.pid()
    with Traffic(site) as traffic:
        read_only(True)
        traffic.more(300)
        deliver(site, 1)
        report(site)
        traffic.more()
        read_only(False)
        traffic.more()
        site.wait_log("log messages were lost: log cannot be written: ")
    assert site.pid() == pid
    assert any("Read-only file system" in line for line in told(site))


# --- something else at the name ------------------------------------------------------------------------------


def put_in_the_way(path: Path, kind: str) -> None:
    """Put something that is no file at a path; what was there is removed.

    The daemon makes the file again at any moment: so this may take more than one try.
    """
    elsewhere = path.with_name(f"{path.name}.elsewhere")
    elsewhere.write_text("mine\n")
    make: dict[str, Callable[[], object]] = {
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "link": lambda: path.symlink_to(elsewhere),
    }
    for _ in range(1000):
        path.unlink(missing_ok=True)
        try:
            make[kind]()
        except FileExistsError:
            continue
        return
    raise AssertionError(f"{path} came back a thousand times")


def clear_the_way(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink()


@pytest.mark.parametrize("kind", ["directory", "fifo", "link"])
def test_something_else_than_a_file_at_all_three_names(site: Site, kind: str) -> None:
    begin(site)
    paths = [site.log_path, site.perm_log_path, site.status_path]
    with Traffic(site) as traffic:
        for path in paths:
            put_in_the_way(path, kind)
        traffic.more(200)
        deliver(site, 1)
        report(site)
        new_peer(site, "msul2")  # the parent does not hang in it either
        traffic.more()
        for path in paths:
            clear_the_way(path)
        traffic.more()
        site.wait_log("log messages were lost: log cannot be written: ")
        report(site)
        wait_until(lambda: site.status_path.exists() and "State: " in site.status_path.read_text(), 10, "a status")
        deliver(site, 2)
        site.wait_log("Permanent log works again: 1 records were lost")
    for path in paths:  # never followed, never written through
        assert path.with_name(f"{path.name}.elsewhere").read_text() == "mine\n"
    assert any(str(site.log_path) in line for line in told(site))


def test_directories_that_are_missing_for_a_while(site: Site) -> None:
    begin(site)
    pid = site.pid()
    away = site.daemons_dir / "logs.away"
    status_dir = site.status_path.parent
    with Traffic(site) as traffic:
        site.logs_dir.rename(away)
        status_dir.rename(site.root / "status.away")
        traffic.more(200)
        deliver(site, 1)
        os.kill(pid, signal.SIGUSR1)
        traffic.more()
        away.rename(site.logs_dir)
        (site.root / "status.away").rename(status_dir)
        traffic.more()
        site.wait_log("log messages were lost: log cannot be written: ")
        report(site)
        wait_until(lambda: site.status_path.exists() and "State: " in site.status_path.read_text(), 10, "a status")
    assert site.pid() == pid


def test_a_stderr_that_nobody_reads_any_more(site: Site) -> None:
    """The daemon's stderr is a pipe whose reader is gone, and the log fails: nobody dies of telling it."""
    site.peer("msul1")
    site.start_foreground(wrapper=("/bin/sh", "-c", '{ "$@" 2>&1; } | true', "sh"))
    site.wait_ready()
    log_transactions(site)
    with Traffic(site) as traffic:
        put_in_the_way(site.log_path, "directory")
        traffic.more(200)
        clear_the_way(site.log_path)
        site.wait_log("log messages were lost: log cannot be written: ")
    site.signal(signal.SIGTERM)
