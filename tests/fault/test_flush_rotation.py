"""Rotation of both logs in the middle of a flush, which keeps them open: no line lost or torn (row 9, P25)."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.system.files import SystemFiles
from lonc.system.logs import Log, PermLog
from tests.conftest import MakeSite
from tests.fakes.faulty_files import FaultyFiles, HandClock
from tests.fault.test_live_rotation import Rotator
from tests.process import procs
from tests.process.harness import Site, wait_until

MESSAGES = 1500
PACE_MS = 1  # of the peer: a flush lasts long enough for some 100 rotations
LINE = re.compile(r"Delayed put \((\d+) bytes\): >ok<")
RECORD = re.compile(r"\d+:S:msul1:put:msu:u:ns:a=(\d+):\w{3} \w{3} .*")
WHOLE = re.compile(r"\w{3} \w{3} [ \d]\d [\d:]{8} \d{4} \(\d+\) \[\w+\] \[.*?\]: .+")


def numbered(number: int) -> bytes:
    """Return a command: the log shows its length, a record the whole of it."""
    return b"put:msu:u:ns:a=%d" % number


def begin(make_site: MakeSite, rotate: Callable[[Path, int], None]) -> tuple[Site, int]:
    """Send all messages in one flush while both logs are rotated; return the site and how often that was."""
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2", "loncDelayedTimeout": "20"})
    for number in range(MESSAGES):
        site.delay("msul1", numbered(number))

    def both(count: int) -> None:
        for path in (site.log_path, site.perm_log_path):
            if path.exists():
                rotate(path, count)

    site.peer("msul1", f"on put:*=late:{PACE_MS}")
    with Rotator(both) as rotator:
        site.start()
        wait_until(lambda: not site.waiting(), 60, "an empty directory")
        wait_until(lambda: site.board("msul1").child.delayed == 0, 10, "the end of the flush")
    return site, rotator.count


def texts(site: Site, name: str) -> list[str]:
    """Return all the lines of a log in the order they were written, however it was rotated; each whole."""
    found = []
    for path in [*sorted(site.logs_dir.glob(f"{name}.*")), site.logs_dir / name]:
        if not path.exists():
            continue
        text = path.read_text()
        assert not text or text.endswith("\n"), f"{path}: {text[-200:]!r}"
        found += text.splitlines()
    return found


def rename(path: Path, count: int) -> None:
    path.rename(path.with_name(f"{path.name}.{count:05}"))


def remove(path: Path, count: int) -> None:
    """Remove it, when what is in it can be found under another name still."""
    os.link(path, path.with_name(f"{path.name}.{count:05}"))
    path.unlink()


@pytest.mark.parametrize("rotate", [rename, remove])
def test_no_line_of_a_flush_is_lost(make_site: MakeSite, rotate: Callable[[Path, int], None]) -> None:
    site, count = begin(make_site, rotate)
    assert count > 20
    lines = texts(site, "lonc.log")
    assert not [line for line in lines if not WHOLE.fullmatch(line)]
    wanted = [len(numbered(number)) for number in range(MESSAGES)]
    assert [int(n) for line in lines for n in LINE.findall(line)] == wanted
    records = [RECORD.fullmatch(line) for line in texts(site, "lonnet.perm.log")]
    assert [int(record[1]) for record in records if record] == list(range(MESSAGES))
    assert len(records) == MESSAGES
    print(f"\n{MESSAGES} messages, {count} rotations, none lost")


def test_copytruncate_tears_no_line_of_a_flush(make_site: MakeSite) -> None:
    def copytruncate(path: Path, count: int) -> None:
        shutil.copyfile(path, path.with_name(f"copy-{count:05}-{path.name}"))
        os.truncate(path, 0)

    site, count = begin(make_site, copytruncate)
    assert count > 20
    seen = []
    for path in [site.perm_log_path, *sorted(site.logs_dir.glob("copy-*-lonnet.perm.log"))]:
        text = path.read_text()
        assert "\0" not in text  # nobody kept an old place in the file
        # a copy may end within the line that is just being written
        for line in text[: text.rfind("\n") + 1].splitlines():
            record = RECORD.fullmatch(line)
            assert record, line
            seen.append(int(record[1]))
    assert len(seen) == len(set(seen))
    assert len(seen) > MESSAGES // 2  # what is lost came between a copy and its truncation


def test_a_removed_log_is_let_go_when_the_flush_is_over(make_site: MakeSite) -> None:
    """Its room on the disk is free again, though no line comes any more."""
    site, _ = begin(make_site, lambda _path, _count: None)
    child = site.child("msul1")
    site.log_path.unlink()
    site.perm_log_path.unlink()
    open_files = [os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")]
    assert not [name for name in open_files if "lonc.log" in name or "lonnet.perm.log" in name]
    assert procs.alive(child)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_records_on_a_full_disk_are_counted_and_told_once(tmp_path: Path, held: bool, code: int) -> None:
    log = Log(str(tmp_path / "lonc.log"), files=SystemFiles(), clock=HandClock(), who="msul1", stderr_fd=-1)
    files = FaultyFiles(code)
    perm = PermLog(str(tmp_path / "perm"), files=files, clock=HandClock(), log=log)
    if held:
        perm.hold()
    perm.sent("msul1", "before")
    files.broken = True
    for _ in range(5):
        perm.sent("msul1", "lost")
    files.broken = False
    perm.sent("msul1", "after")
    perm.release()
    assert [line.split(":")[3] for line in (tmp_path / "perm").read_text().splitlines()] == ["before", "after"]
    assert perm.lost == 5
    assert len((tmp_path / "lonc.log").read_text().splitlines()) == 2


def test_writers_that_keep_the_file_open_and_others_share_it(tmp_path: Path) -> None:
    """Two logs of one file in two threads, one kept open: every line whole, whoever wrote it."""
    logs = [
        Log(str(tmp_path / "lonc.log"), files=SystemFiles(), clock=HandClock(), who=f"w{n}", stderr_fd=-1)
        for n in range(2)
    ]
    logs[0].hold()

    def write(log: Log) -> None:
        for number in range(500):
            log.write(f"line {number} {'.' * (number % 90)} end")

    threads = [threading.Thread(target=write, args=(log,)) for log in logs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = re.findall(r"\[(w\d)\] \[.*?\]: line (\d+) \.* end\n", (tmp_path / "lonc.log").read_text())
    assert len(found) == 1000
    for who in ("w0", "w1"):
        assert [int(number) for name, number in found if name == who] == list(range(500))
    logs[0].release()
