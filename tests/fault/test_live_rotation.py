"""Rotation under a daemon that writes: no line of a renamed log is lost, none is torn, nobody waits (row 9)."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable
from types import TracebackType

import pytest

from tests.conftest import MakeSite
from tests.fault.surroundings import begin, told
from tests.process.harness import Site, wait_until
from tests.process.traffic import Traffic
from tests.proof.tally import Tally

ROTATIONS = 150
SHOWN = re.compile(r"SUCCESS: echo \((\d+) bytes\) answered")


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Return a site that looks for delayed messages often."""
    return make_site(["msul1"], settings={"loncDelayedScan": "0.2"})


class Rotator:
    """Does something to a file 50 times a second, in a thread."""

    def __init__(self, rotate: Callable[[int], None]) -> None:
        self._rotate = rotate
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def __enter__(self) -> Rotator:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            self._rotate(self.count)
            self.count += 1


def ask_numbered(site: Site, enough: Callable[[], bool]) -> int:
    """Ask requests of 6, 7, 8... bytes until it is enough; return the number of bytes of the last one."""
    size = 6
    with site.connect("msul1") as client:
        while not enough():
            assert size < 100_000
            assert client.ask(b"echo:" + b"x" * (size - 5)) == b"x" * (size - 5)
            size += 1
            time.sleep(0.001)
    return size - 1


def test_no_line_is_lost_when_log_and_permanent_log_are_renamed(site: Site, tally: Tally) -> None:
    begin(site)
    for number in range(ROTATIONS):
        site.delay("msul1", b"put:msu:u:ns:a=%d" % number)

    def rename(number: int) -> None:
        for path in (site.log_path, site.perm_log_path):
            if path.exists():
                path.rename(path.with_name(f"{path.name}.{number:05}"))

    with Rotator(rename) as rotator:
        last = ask_numbered(site, lambda: rotator.count >= ROTATIONS)
    wait_until(lambda: not site.waiting(), 10, "delivered messages")
    logs = sorted(site.logs_dir.glob("lonc.log.*")) + [path for path in [site.log_path] if path.exists()]

    def numbers() -> list[int]:
        return [int(n) for path in logs for n in SHOWN.findall(path.read_text())]

    wait_until(lambda: len(numbers()) == last - 5, 20, "the last line")
    assert numbers() == list(range(6, last + 1))
    assert len(logs) > ROTATIONS // 2
    perm = "".join(path.read_text() for path in sorted(site.logs_dir.glob("lonnet.perm.log*")))
    assert len(re.findall(r"^\d+:S:msul1:put:msu:u:ns:a=\d+:", perm, re.MULTILINE)) == ROTATIONS
    assert not told(site)
    tally.add(inputs=last - 5 + ROTATIONS, faults=rotator.count)
    print(f"\n{last - 5} lines of the log in {len(logs)} files, {ROTATIONS} records, none lost")


@pytest.mark.parametrize("how", ["remove", "copytruncate", "watchdog"])
def test_other_rotations_tear_no_line_and_stop_nobody(site: Site, tally: Tally, how: str) -> None:
    begin(site)

    def remove(_number: int) -> None:
        site.log_path.unlink(missing_ok=True)

    def copytruncate(number: int) -> None:
        if site.log_path.exists():
            shutil.copyfile(site.log_path, site.logs_dir / f"copy.{number:05}")
            os.truncate(site.log_path, 0)

    def watchdog(_number: int) -> None:
        for old, new in ((3, 4), (2, 3), (1, 2), (0, 1)):
            source = site.logs_dir / (f"lonc.log.{old}" if old else "lonc.log")
            if source.exists():
                source.rename(site.logs_dir / f"lonc.log.{new}")

    rotations = {"remove": remove, "copytruncate": copytruncate, "watchdog": watchdog}
    with Traffic(site) as traffic, Rotator(rotations[how]) as rotator:
        wait_until(lambda: rotator.count >= 100, 20, "rotations")
        traffic.more()
    tally.add(inputs=traffic.answered, faults=rotator.count)
    traffic_line = re.compile(r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} \(\d+\) \[\w+\] \[.*?\]: .+")
    for path in [site.log_path, *site.logs_dir.glob("lonc.log.*"), *site.logs_dir.glob("copy.*")]:
        if path.exists():
            for line in path.read_text().splitlines():
                assert traffic_line.fullmatch(line.lstrip("\0")), line
    assert not told(site)
