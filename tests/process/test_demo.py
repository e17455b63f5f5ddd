"""The demonstration: it tells the truth, ends by itself, and leaves nothing behind however it is ended."""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lonc.cli.demo.screen import shortened
from tests.process import procs
from tests.process.client import Client
from tests.process.waiting import TREE, wait_until

LIMIT_S = 90.0
STEPS = [
    "A network of three servers", "lond and lonc start as the watchdog starts them",
    "Requests through the UNIX sockets", "64 clients at once", "A peer is cut off", "What must not be lost",
    "The peer comes back", "Restart in place", "The end",
]  # fmt: skip


class Show:
    """One run of bin/demo: its output as it comes, and what it has started."""

    def __init__(self, place: Path, *arguments: str) -> None:
        self.output = place / "output"
        self.began = time.monotonic()
        with self.output.open("wb") as out:
            self.process = subprocess.Popen(
                [str(TREE / "bin" / "demo"), *arguments],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    def text(self) -> str:
        """Return what it has printed so far."""
        return self.output.read_text("utf-8", "replace")

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first place in the output that fits, as soon as it is there."""

        def look() -> re.Match[str] | None:
            over = self.process.poll() is not None
            found = re.search(pattern, self.text())
            assert found or not over, f"ended with {self.process.returncode}:\n{self.text()}"
            return found

        found = wait_until(look, LIMIT_S, f"{pattern} in the output")
        assert found is not None
        return found

    def ended(self) -> int:
        """Return its exit status when it has ended."""
        return self.process.wait(LIMIT_S)

    def root(self) -> Path:
        """Return the directory of this run."""
        return Path(self.wait_for(r"/tmp/lonc-demo-\w+")[0])

    def daemon(self) -> int:
        """Return the pid of the daemon's parent, once it runs."""
        return int(self.wait_for(r"lonc\.pid holds (\d+)")[1])

    def family(self) -> list[int]:
        """Return every process of lonc and lond of every server that runs now, and nobody's else."""
        self.daemon()
        return [pid for pid in procs.using(self.root()) if pid != self.process.pid]


@pytest.fixture
def shows(tmp_path: Path) -> Iterator[list[Show]]:
    """Hold the runs of a test, and end what is left of them."""
    made: list[Show] = []
    yield made
    for show in made:
        with contextlib.suppress(AssertionError):
            root = show.root()
            procs.end([show.process.pid, *procs.descendants(show.process.pid)])
            procs.end_all(root)
            shutil.rmtree(root, ignore_errors=True)
        show.process.wait(LIMIT_S)


def left_of(show: Show, family: list[int]) -> list[int]:
    """Return which of these processes still run, and what else uses the directory of the run."""
    return [pid for pid in family if procs.alive(pid)] + procs.using(show.root())


def test_the_whole_story_is_true_and_nothing_stays(tmp_path: Path, shows: list[Show]) -> None:
    show = Show(tmp_path)
    shows.append(show)
    show.wait_for("oak1  ping")
    family = show.family()
    names = sorted(psutil.Process(pid).name() for pid in family)
    assert names.count("lonc") == 2 * 4  # a parent and three children on two servers
    assert names.count("lond") >= 3 * 3  # a parent and two workers at least on each
    assert set(names) == {"lonc", "lond"}
    assert show.ended() == 0, show.text()
    text = show.text()
    for number, step in enumerate(STEPS, 1):
        assert f"\n{number}. {step}" in text
    tallies = re.findall(r"(\d+) requests, (\d+) replies, refused (\d+), con_lost (\d+)", text)
    assert len(tallies) == 2
    assert all(asked == answered and int(asked) > 100 for asked, answered, _, _ in tallies)
    assert all((refused, lost) == ("0", "0") for _, _, refused, lost in tallies)
    assert re.search(r"restore:demo:alice:grades:quiz1  ->  version=2&.*1:score=7.*2:score=9", text)
    told = ("encrypt:auth:demo:alice:opensesame  ->  authorized", "auth:demo:alice:wrong  ->  non_authorized",
            "->  con_lost", "DEAD", "->  con_delayed", "sealed:1:", "Delayed put (34 bytes): &gt;ok",
            "Delayed encrypt:passwd (46 bytes): &gt;ok", "same parent")  # fmt: skip
    for said in told:
        assert said.replace("&gt;", ">") in text
    assert text.count("CRITICAL") == 1  # the peer that was cut off
    assert "\033" not in text  # colours are for terminals
    assert left_of(show, family) == []
    assert not show.root().exists()


@pytest.mark.timing
def test_a_second_run_starts_its_work_within_five_seconds(tmp_path: Path, shows: list[Show]) -> None:
    show = Show(tmp_path)
    shows.append(show)
    show.daemon()
    assert time.monotonic() - show.began < 5.0


def test_stay_keeps_the_network_until_ctrl_c(tmp_path: Path, shows: list[Show]) -> None:
    show = Show(tmp_path, "--stay")
    shows.append(show)
    show.wait_for("The peers: ")
    family = show.family()
    path = re.search(r"socat - UNIX-CONNECT:(\S+)", show.text())
    assert path is not None
    with Client(Path(path[1])) as client:
        assert client.ask(b"ping") == b"oak1"
    one_liner = re.search(r'python3 -c "(.*)"', show.text())
    assert one_liner is not None
    said = subprocess.run(["python3", "-c", one_liner[1]], capture_output=True, timeout=20, check=True)
    assert said.stdout == b"oak1\n"
    elm = int((show.root() / "elm1" / "daemons" / "logs" / "lond.pid").read_text())
    procs.send(elm, signal.SIGKILL)
    show.wait_for("elm1 is gone")
    show.process.send_signal(signal.SIGINT)
    assert show.ended() == 0, show.text()
    assert left_of(show, family) == []
    assert not show.root().exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ended_in_the_middle_nothing_stays(tmp_path: Path, shows: list[Show], signum: int) -> None:
    show = Show(tmp_path)
    shows.append(show)
    show.wait_for("A peer is cut off")
    family = show.family()
    show.process.send_signal(signum)
    assert show.ended() == 130
    assert left_of(show, family) == []


def test_a_daemon_that_dies_is_told_and_nothing_stays(tmp_path: Path, shows: list[Show]) -> None:
    show = Show(tmp_path)
    shows.append(show)
    show.wait_for("A peer is cut off")
    family = show.family()
    procs.send(show.daemon(), signal.SIGKILL)
    assert show.ended() == 1
    assert "FAILED: " in show.text()
    wait_until(lambda: not left_of(show, family), 5.0, "the end of all processes")
    assert show.root().exists()  # the files are kept, and named, for whoever looks into it
    subprocess.run(["rm", "-r", str(show.root())], check=True)


def test_a_log_line_is_shortened_without_losing_its_message() -> None:
    line = (
        "Fri Mar  8 03:56:19 2002 (17) [oak1] [Fri Mar  8 03:56:18 2002: Link lost]: "
        '<font color="red">CRITICAL: Link to oak1 lost: [x]: y</font>'
    )
    assert shortened(line) == "03:56:19 [oak1] CRITICAL: Link to oak1 lost: [x]: y"
    assert shortened("torn") == "torn"
