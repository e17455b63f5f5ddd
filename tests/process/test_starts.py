"""Starts: of many at once exactly one stays, nothing that lies about is an obstacle, the starter tells the truth.

Acceptance A7; promises P14-P16, P22. Three rounds of 50 starts; as many as the acceptance wants by

    LONC_TEST_START_ROUNDS=200 bin/test tests/process/test_starts.py -k fifty -s
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.process.restarting import gone, stand_in
from tests.proof.tally import Tally

STARTS = 50
ROUNDS = int(os.environ.get("LONC_TEST_START_ROUNDS", "3"))
UNPRIVILEGED = 61234  # a user id without a name and without processes


# ---------------------------------------------------------------------------------------------- fifty at once


def start_all(site: Site, count: int) -> list[tuple[int, str]]:
    """Run so many starts at once; return exit code and stderr of each."""
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        began = [
            subprocess.Popen(site.command(), stdin=subprocess.DEVNULL, stdout=file, stderr=file) for file in files
        ]
        codes = [process.wait(100) for process in began]
        texts = []
        for file in files:
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return list(zip(codes, texts, strict=True))


def no_others(site: Site, own: set[int]) -> bool:
    """Return whether nobody but these belongs to the site."""
    return set(site.processes()) <= own


def leave_behind(site: Site, number: int) -> None:
    """End the daemon in a way of its own each round: the parent killed just now, all killed, in order."""
    if number % 3 == 2:
        site.stop()
    elif number % 3 == 1:
        family = [site.pid(), *procs.descendants(site.pid())]
        procs.end(family)
        assert site.pid_path.exists()
        assert site.socket_path("msul1").exists()
    else:
        site.kill()  # its children are still about to leave when the next ones come


@pytest.mark.timing
@pytest.mark.timeout(60 + 40 * ROUNDS)
def test_fifty_starts_at_once_leave_one_daemon(site: Site, tally: Tally) -> None:
    peer = site.peer("msul1")
    began = time.monotonic()
    for number in range(ROUNDS):
        ends = start_all(site, STARTS)
        pid = site.pid()
        assert procs.alive(pid)
        losers = [(code, text) for code, text in ends if code != 0]
        assert len(losers) == STARTS - 1, [code for code, _ in ends]
        # each names the winner; what the round before left behind holds no lock any more
        unnamed = [(code, text) for code, text in losers if code != 1 or f"process {pid} " not in text]
        assert not unnamed, unnamed[:3]
        assert not [text for code, text in ends if code == 0 and text]
        site.wait_ready()
        # orphans of the killed one may still be on their way out
        own = {pid, *procs.descendants(pid), peer.pid}
        wait_until(functools.partial(no_others, site, own), 5, "one daemon only")
        assert len(site.children()) == 1
        assert site.ask("msul1", b"echo:x") == b"x"
        tally.add(inputs=STARTS, faults=1)
        leave_behind(site, number)
    print(f"\n{ROUNDS} rounds of {STARTS} starts, one daemon each time, in {time.monotonic() - began:.1f} s")


# ------------------------------------------------------------------------------------------ a living original


def perl_script(name: str) -> Callable[[Path], list[str]]:
    def make(root: Path) -> list[str]:
        if shutil.which("perl") is None:
            pytest.skip("no perl on this machine")
        script = root / name
        script.write_text("sleep 600;\n")
        return ["perl", str(script)]

    return make


def titled(title: str) -> Callable[[Path], list[str]]:
    code = f"import setproctitle, signal; setproctitle.setproctitle({title!r}); signal.pause()"
    return lambda _root: [sys.executable, "-c", code]


def renamed(root: Path) -> list[str]:
    """Return a program whose very name is lonc."""
    program = root / "lonc"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    return [str(program), "600"]


ORIGINALS = {
    "perl lonc": perl_script("lonc"),
    "perl loncnew": perl_script("loncnew"),
    "title": titled("lonc: Parent keeping the flock Fri Mar  8 03:56:19 2002"),
    "bare title": titled("lonc"),
    "program": renamed,
}


@pytest.mark.parametrize("kind", list(ORIGINALS))
def test_a_living_original_named_in_the_pid_file_is_respected(site: Site, kind: str) -> None:
    with stand_in(ORIGINALS[kind](site.root)) as original:
        site.pid_path.write_text(f"{original}\n")
        shown = Path(f"/proc/{original}/cmdline")
        wait_until(lambda: b"lonc" in shown.read_bytes().replace(b"setproctitle('lonc", b""), 5, "its name")
        for command in (site.run(), site.run("-n")):
            assert command.returncode == 1
            assert f"process {original}" in command.stderr
        assert procs.alive(original)
        assert site.pid() == original
        assert not site.socket_path("msul1").exists()
        assert site.processes() in ([], [original])
    site.start()


# ---------------------------------------------------------------------------------------- the starter's word


def test_when_the_starter_returns_pid_file_and_sockets_are_there(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2", "msul3"])
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            try:
                seen.add(site.pid_path.read_text())
            except FileNotFoundError:
                continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    pids = []
    try:
        for _ in range(4):
            pids.append(site.start())  # asserts a whole pid
            for entry in site.entries:
                site.connect(entry.id).close()
            assert procs.alive(pids[-1])
            site.signal(signal.SIGHUP)
            site.wait_log("children hand over to new ones", 20, count=len(pids))
            assert site.pid() == pids[-1]
            site.stop()
    finally:
        stop.set()
        watcher.join(10)
    assert seen == {f"{pid}\n" for pid in pids}  # complete or absent at every moment (P16)


def refused(site: Site, code: int, *texts: str) -> None:
    """Start in both ways: each must end with this code, say these texts, and leave nothing behind."""
    before = sorted(path.name for path in site.logs_dir.iterdir()) if site.logs_dir.is_dir() else None
    for arguments in ((), ("-n",)):
        done = site.run(*arguments)
        assert done.returncode == code, done.stderr
        for text in texts:
            assert text in done.stderr
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
    wait_until(lambda: not site.processes(), 5, "nobody left")
    assert not site.pid_path.exists()
    assert not site.socket_path("msul1").exists()
    if before is not None:
        left = {path.name for path in site.logs_dir.iterdir()} - {*before}
        assert left <= {"lonc.lock", "lonc.log", "lonc.scoreboard", "lonc_errors"}


def test_a_missing_logs_directory(site: Site) -> None:
    site.logs_dir.rmdir()
    refused(site, 1, f"{site.logs_dir}/lonc.lock", "No such file")


def test_a_logs_directory_that_is_a_file(site: Site) -> None:
    site.logs_dir.rmdir()
    site.logs_dir.write_text("mine")
    refused(site, 1, f"{site.logs_dir}/lonc.lock", "Not a directory")
    assert site.logs_dir.read_text() == "mine"


def test_directories_that_cannot_be_written(site: Site) -> None:
    if os.geteuid() != 0:
        site.logs_dir.chmod(0o500)
        refused(site, 1, f"{site.logs_dir}/lonc.lock", "Permission denied")
        site.logs_dir.chmod(0o700)
        return
    if shutil.which("setpriv") is None:
        pytest.skip("no setpriv to become a user whom modes bind")
    site.write_config(loncUser=str(UNPRIVILEGED))
    site.root.chmod(0o755)
    become = ["setpriv", f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
    if not site.runs_under(become):
        pytest.skip("an unprivileged user cannot run this Python, or not from where this tree lies")
    done = site.run(wrapper=become)
    assert done.returncode == 1
    assert f"{site.logs_dir}/lonc.lock" in done.stderr
    assert "Permission denied" in done.stderr
    assert not site.pid_path.exists()
    os.chown(site.logs_dir, UNPRIVILEGED, UNPRIVILEGED)
    done = site.run(wrapper=become)  # now the sockets cannot be made, which costs each peer, not the start
    assert done.returncode == 0, done.stderr
    site.wait_log("CRITICAL: No socket for msul1")
    site.stop()


@pytest.mark.parametrize("name", ["daemon", "nosuchuser"])
def test_the_wrong_user(site: Site, name: str) -> None:
    site.write_config(loncUser=name)
    refused(site, 1, "User ID mismatch", name)


def test_a_broken_configuration_with_all_its_faults(site: Site) -> None:
    site.write_config(loncGrace="soon", loncMaxLine="1", loncNoSuch="3")
    refused(site, 2, "loncGrace", "loncMaxLine", "loncNoSuch")
    site.hosts_path.unlink()


@pytest.mark.parametrize("table", [None, b"", b"\0\xff\n" * 50])
def test_a_table_that_cannot_be_used(site: Site, table: bytes | None) -> None:
    site.hosts_path.unlink()
    if table is not None:
        site.hosts_path.write_bytes(table)
    refused(site, 2, str(site.hosts_path))


def test_a_socket_directory_that_is_a_file(site: Site) -> None:
    shutil.rmtree(site.sock_dir)
    site.sock_dir.write_text("mine")
    refused(site, 1, str(site.sock_dir), "is not a directory")
    assert site.sock_dir.read_text() == "mine"


def test_a_daemon_that_is_killed_while_it_starts_is_told(site: Site) -> None:
    """Every child of the starter that the test can catch is killed at once."""
    starter = subprocess.Popen(
        site.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    family = wait_until(lambda: procs.descendants(starter.pid) or starter.poll() is not None, 20, "the daemon")
    assert isinstance(family, list), "the starter was faster"
    procs.send(family[0], signal.SIGKILL)
    _, said = starter.communicate(timeout=20)
    assert starter.returncode == 1
    assert re.search("killed by signal 9 while it started", said), said
    wait_until(lambda: gone(family), 5, "its end")
    site.start()
