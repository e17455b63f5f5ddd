"""What a process of lonc gives away of itself: no core, no memory to other processes, no secret in /proc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Site
from tests.process.waiting import wait_until
from tests.proof.tally import Tally
from tests.security.others import NOBODY, become, needs_root

SECRET = "s3cr3tPassw0rd"


def core_limits(pid: int) -> list[str]:
    """Return the soft and the hard limit of core files of a process, by the kernel."""
    lines = Path(f"/proc/{pid}/limits").read_text("ascii").splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]


def family(site: Site) -> list[int]:
    """Return the pids of the parent and its children."""
    return [site.pid(), *site.children()]


def replaced(site: Site, before: int) -> bool:
    """Return whether the peer has another child than before."""
    return site.child("msul1") != before


def test_neither_parent_nor_child_may_write_a_core_also_after_a_restart_and_a_death(
    make_site: MakeSite, tally: Tally
) -> None:
    site = make_site(["msul1", "msul2"], settings={"loncRestartMin": "0.1"})
    for peer in ("msul1", "msul2"):
        site.peer(peer)
    site.start(wrapper=["sh", "-c", 'ulimit -c unlimited 2>/dev/null; exec "$@"', "sh"])
    site.wait_ready()
    seen = set()
    for change in (None, "killed", "restarted"):
        before = site.child("msul1")
        if change == "killed":
            site.signal(signal.SIGKILL, before)
        elif change == "restarted":
            site.signal(signal.SIGHUP)
        if change:
            wait_until(partial(replaced, site, before), 40, "another child")
            site.wait_ready(timeout_s=40)
        for pid in family(site):
            assert core_limits(pid) == ["0", "0"], (change, pid)
            seen.add((change, pid))
    assert len(seen) == 9
    tally.add(inputs=len(seen), faults=2)


@pytest.mark.root
def test_other_processes_of_the_same_user_cannot_look_into_parent_or_child(
    make_site: MakeSite, tally: Tally
) -> None:
    """The kernel gives what /proc has of a process that is not dumpable to root: that is how it can be seen."""
    needs_root()
    site = make_site(["msul1"], settings={"loncUser": "nobody"})
    for path in [site.root, *site.root.rglob("*")]:
        os.chown(path, NOBODY, -1)
    site.root.chmod(0o755)
    if not site.runs_under(become()):
        pytest.skip("another user cannot run this Python, or not from where this tree lies")
    site.peer("msul1")
    site.start(wrapper=become())
    site.wait_ready()
    # A restart executes the program again, for which that user must be able to find it.
    may = subprocess.run([*become(), "sh", "-c", 'test -x "$0"', sys.executable], check=False).returncode == 0
    for again in range(2 if may else 1):
        for pid in family(site):
            assert f"Uid:\t{NOBODY}" in Path(f"/proc/{pid}/status").read_text("ascii")
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0, f"process {pid} can be read, round {again}"
        if may and not again:
            before = site.child("msul1")
            site.signal(signal.SIGHUP)
            wait_until(partial(replaced, site, before), 40, "another child")
            site.wait_ready(timeout_s=40)
    tally.add(inputs=4)


def test_neither_environment_nor_command_line_of_any_process_holds_a_secret(make_site: MakeSite) -> None:
    store = f"postgresql://lond:{SECRET}@127.0.0.1/lond"
    site = make_site(["msul1"], settings={"londStore": store, "loncDelayedScan": "0.2"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.delay("msul1", f"encrypt:passwd:msu:jane:{SECRET}:x".encode())
    assert site.ask("msul1", f"encrypt:auth:msu:jane:{SECRET}".encode()) is not None
    site.peers["msul1"].wait_executed(2, 30)
    site.signal(signal.SIGHUP)
    site.wait_log("Restarted, 1 children hand over to new ones", 40)
    site.wait_ready(timeout_s=40)
    for pid in family(site):
        for name in ("environ", "cmdline", "comm", "maps"):
            assert SECRET.encode() not in Path(f"/proc/{pid}/{name}").read_bytes(), (pid, name)
        handed = [os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir() if fd.is_symlink()]
        assert not [name for name in handed if "handover" in name], "what was handed over is closed"
    assert site.grep_secrets(SECRET) == []
