"""The status page as files: written by loncctl page or, with loncPage on, while lonc runs; by which process."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import psutil
import pytest

from lonc.parent import page_maker
from lonc.parent.page_maker import PageMaker
from lonc.system.clock import SystemClock
from tests.conftest import MakeSite
from tests.process import procs
from tests.process.loncctl import command, run
from tests.process.made_network import MadeNetwork
from tests.process.waiting import TREE, wait_until

SCHEMAS = TREE / "doc" / "schema"


def _schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))


def _check(document: object, name: str) -> None:
    jsonschema.validate(document, _schema(name), jsonschema.Draft202012Validator)


# --- loncctl page ---------------------------------------------------------------------------------------


def test_both_files_are_written_whole_by_rename_and_readable() -> None:
    with MadeNetwork(4) as network:
        folder = network.site.status_path.parent
        elsewhere = network.site.root / "elsewhere"
        elsewhere.write_text("mine")
        (folder / "lonc.html").symlink_to(elsewhere)
        first = run(network.site, "page", "--json")
        assert first.returncode == 0, first.stderr
        told = json.loads(first.stdout)
        _check(told, "page")
        assert told["peers"] == 4
        inodes = []
        for name in ("lonc.html", "lonc.json"):
            facts = (folder / name).lstat()
            assert stat.S_ISREG(facts.st_mode)
            assert stat.S_IMODE(facts.st_mode) == 0o644
            inodes.append(facts.st_ino)
        assert elsewhere.read_text() == "mine"
        _check(json.loads((folder / "lonc.json").read_text()), "lonc-page")
        held = (folder / "lonc.html").open(encoding="utf-8")
        assert run(network.site, "page").returncode == 0
        assert held.read().endswith("</html>\n")  # who reads the old one reads it to its end
        held.close()
        assert (folder / "lonc.html").stat().st_ino != inodes[0]
        assert sorted(path.name for path in folder.iterdir()) == ["lonc.html", "lonc.json"]


def test_the_next_run_continues_the_history_and_makes_rates() -> None:
    with MadeNetwork(2, even=True) as network:
        path = network.site.status_path.parent / "lonc.json"
        assert run(network.site, "page").returncode == 0
        document = json.loads(path.read_text())
        assert document["samples"]["at"] == []
        assert document["peers"][0]["requests_per_s"] is None
        document["counters"]["at"] -= 20  # as if it had been made so long ago
        path.write_text(json.dumps(document))
        network.turn("p0000", 100)
        assert run(network.site, "page").returncode == 0
        document = json.loads(path.read_text())
        assert len(document["samples"]["at"]) == 1
        assert 0 < document["samples"]["peers"]["p0000"]["rate"][0] <= 5
        assert document["samples"]["peers"]["p0001"]["rate"] == [0]
        assert document["peers"][0]["p50_s"] > 0
        path.write_text("{")
        again = run(network.site, "page")
        assert again.returncode == 0
        assert "a new history begins" in again.stderr


def test_without_its_directory_the_page_fails_with_a_reason() -> None:
    with MadeNetwork(1) as network:
        network.site.status_path.parent.rmdir()
        done = run(network.site, "page")
        assert done.returncode == 1
        assert "lon-status: No such file or directory" in done.stderr


def test_many_at_once_leave_whole_files() -> None:
    with MadeNetwork(30) as network:
        command_line = command(network.site, "page")
        running = [subprocess.Popen(command_line, stdout=subprocess.DEVNULL) for _ in range(4)]
        assert [process.wait(60) for process in running] == [0, 0, 0, 0]
        folder = network.site.status_path.parent
        _check(json.loads((folder / "lonc.json").read_text()), "lonc-page")
        assert (folder / "lonc.html").read_text().endswith("</html>\n")
        assert len(list(folder.iterdir())) == 2


# --- while lonc runs --------------------------------------------------------------------------------------


def test_with_loncpage_on_the_page_is_there_and_its_maker_goes_with_the_parent(make_site: MakeSite) -> None:
    site = make_site(settings={"loncPage": "on"})
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    page = site.status_path.parent / "lonc.html"
    wait_until(page.exists, 30, "the page")
    assert "msul1" in page.read_text()
    assert 'http-equiv="refresh"' in page.read_text()
    site.signal(signal.SIGHUP)  # the new self makes pages as well
    before = page.stat().st_mtime_ns
    wait_until(lambda: page.stat().st_mtime_ns != before, 60, "a page after the restart")
    site.stop()
    assert [pid for pid in site.processes() if "loncctl" in site.title(pid)] == []
    assert "Status page cannot be made" not in site.log_text()


def test_without_loncpage_there_is_none(make_site: MakeSite) -> None:
    site = make_site()
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    site.stop()
    assert list(site.status_path.parent.glob("lonc.html")) == []


class _Ground:
    """A PageMaker whose loncctl is a script of the test's; times are short."""

    def __init__(self, root: Path, script: str) -> None:
        (root / "loncctl").write_text(script)
        self.said: list[str] = []
        log = SimpleNamespace(write=lambda text, *_severity: self.said.append(text))
        config = SimpleNamespace(page=True, conf_dir=str(root), page_path=str(root / "lonc.html"))
        house: Any = SimpleNamespace(
            config=config, clock=SystemClock(), log=log, argv=("/bin/sh", str(root / "lonc"), "-n")
        )
        self.maker = PageMaker(house)

    def turn(self) -> None:
        """Give it one turn."""
        self.maker.attend(time.monotonic())

    def pid(self) -> int:
        """Return the process of the maker, 0 without one."""
        return self.maker._pid


@pytest.fixture
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the maker work at a pace for tests."""
    monkeypatch.setattr(page_maker, "PAGE_EVERY_S", 0.2)
    monkeypatch.setattr(page_maker, "PAGE_LIMIT_S", 0.5)
    monkeypatch.setattr(page_maker, "SHARE", 0.1)


def _until(ground: _Ground, count: int) -> None:
    def look() -> bool:
        ground.turn()
        return len(ground.said) >= count

    wait_until(look, 20, f"{count} messages")


def test_a_maker_that_hangs_is_killed_and_told_once(tmp_path: Path, short_times: None) -> None:
    ground = _Ground(tmp_path, f"echo $$ >> {tmp_path}/pids; trap '' TERM; while :; do sleep 60; done\n")
    _until(ground, 1)
    assert ground.said == ["Status page cannot be made: not done within 0.5 s; try loncctl page"]

    def second() -> bool:
        ground.turn()
        return len((tmp_path / "pids").read_text().split()) >= 2

    wait_until(second, 20, "the next try")
    assert len(ground.said) == 1
    last = ground.pid()
    assert last
    ground.maker.end()
    assert not procs.alive(last)
    ground.turn()
    assert ground.pid() == 0  # none after the end
    ground.maker.begin()
    assert ground.maker.deadline is not None
    ground.maker.end()


def test_a_failure_is_told_once_for_each_reason(tmp_path: Path, short_times: None) -> None:
    ground = _Ground(tmp_path, f"test -e {tmp_path}/now && kill -9 $$; exit 3\n")
    _until(ground, 1)
    (tmp_path / "now").write_text("")
    _until(ground, 2)
    ground.maker.end()
    assert ground.said == [
        "Status page cannot be made: exit code 3; try loncctl page",
        "Status page cannot be made: killed by signal 9; try loncctl page",
    ]


def test_only_one_runs_at_a_time_without_our_files_and_signals(tmp_path: Path, short_times: None) -> None:
    looks = f"ls -l /proc/$$/fd > {tmp_path}/fds; grep SigBlk /proc/self/status > {tmp_path}/mask"
    script = f"{looks}; echo run >> {tmp_path}/runs; sleep 0.3\n"
    ground = _Ground(tmp_path, script)
    held = os.open(tmp_path / "secret", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        ground.turn()
        first = ground.pid()
        assert ground.maker.deadline is not None
        for _ in range(5):
            ground.turn()
            assert ground.pid() in (first, 0)

        def again() -> bool:
            ground.turn()
            return (tmp_path / "runs").exists() and len((tmp_path / "runs").read_text().split()) >= 2

        wait_until(again, 20, "the second run")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        os.close(held)
        ground.maker.end()
    assert "SigBlk:\t0000000000000000" in (tmp_path / "mask").read_text()
    assert "secret" not in (tmp_path / "fds").read_text()
    assert ground.said == []


def test_in_the_background_it_is_as_nice_as_can_be() -> None:
    with MadeNetwork(2) as network:
        fifo = network.site.status_path.parent / "lonc.json"
        os.mkfifo(fifo)  # no writer is waited for: a FIFO is no history
        process = subprocess.Popen(
            command(network.site, "page", "--background"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        nice = 0
        while process.poll() is None:
            try:
                nice = max(nice, psutil.Process(process.pid).nice())
            except psutil.Error:
                break
            time.sleep(0.002)
        assert process.wait(60) == 0
        assert nice == 19
        assert stat.S_ISREG(fifo.lstat().st_mode)
