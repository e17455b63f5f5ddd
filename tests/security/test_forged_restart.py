"""A hand-over that somebody else has made: refused and told, and the running daemon notices nothing.

What is forged: the number on the command line, the kind of its descriptor, the process it is for, the lock, the
sockets; also the variables of the environment that look as if they might help.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import TREE, Site
from tests.process.waiting import wait_until
from tests.proof.tally import Tally

# What the forger does, and what he is told.
CASES = {
    "none": "descriptor 999 holds no hand-over",
    "plain": "holds no hand-over: not sealed",
    "other-pid": "the hand-over is for process",
    "wrong-lock": "is not the held lock of",
    "not-holder": "is not the held lock of",
}
TEMPTING = {"LONC_RESUME": "3", "LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "lonc"}


def forge(site: Site, case: str, *more: str) -> list[str]:
    """Return the command of the forger."""
    lock = str(site.logs_dir / "lonc.lock")
    return [sys.executable, "-m", "tests.security.forger", str(site.conf_dir), lock, case, *more]


def test_whoever_is_not_the_daemon_is_refused_and_the_daemon_goes_on(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"])
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    child = site.child("msul1")
    forgers = {}
    for case in CASES:
        forgers[case] = subprocess.Popen(
            forge(site, case), cwd=TREE, env=dict(os.environ) | TEMPTING, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    for case, process in forgers.items():
        _, told = process.communicate(timeout=60)
        assert process.returncode == 1, (case, told)
        assert CASES[case] in told, (case, told)
        tally.add(inputs=1, faults=1)
    assert site.log_text().count("The restart failed: ") == len(CASES), "told in the log, too"
    assert site.pid() == pid
    assert site.child("msul1") == child
    assert (site.logs_dir / "lonc.lock").read_text() == f"{pid}\n"
    assert site.ask("msul1", b"echo:x") == b"x"
    site.stop()


def test_sockets_and_children_of_a_forged_hand_over_are_not_believed(make_site: MakeSite, tmp_path: Path) -> None:
    """Here the forger does hold the lock, as the daemon's own user could: each descriptor is still looked at."""
    site = make_site(["msul1"])
    site.peer("msul1")
    site.logs_dir.mkdir(exist_ok=True)
    foreign = site.socket_path("msul1")
    foreign.touch()
    with (tmp_path / "said").open("wb") as said:
        command = forge(site, "sockets", str(foreign), "msul1")
        forger = subprocess.Popen(command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: "No socket for msul1" in site.log_text() or forger.poll() is not None, 40, "its start")
        assert forger.poll() is None, (tmp_path / "said").read_text() + site.log_text()
        assert foreign.is_file(), "what is no socket of ours is left alone"
        assert foreign.with_name("msul1.forged").is_socket()
        assert not list(site.root.glob("forged*"))
        assert procs.alive(os.getpid()), "no process that the notes name is signalled"
    finally:
        procs.end([*procs.descendants(forger.pid), forger.pid])
        forger.wait(30)


@pytest.mark.parametrize("number", ["-1", "99999999999999999999"])
def test_what_is_no_number_is_refused(make_site: MakeSite, number: str) -> None:
    site = make_site(["msul1"])
    done = site.run("--resume", number) if number != "-1" else site.run("--resume=-1")
    assert done.returncode in (1, 2)
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert not site.pid_path.exists()
