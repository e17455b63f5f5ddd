"""Row 22 and row 17: hosts.tab in every bad shape, for a start, HUP and USR2; each kind of entry from end to end.

A table with one usable line is used, whatever stands around it; one without any is refused, and a running daemon
keeps the one it has (P22). LONC_TEST_TABLES=all reads every table by a start, USR2 and HUP; else each by one.
"""

from __future__ import annotations

import functools
import os
import random
import signal
from collections.abc import Callable

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, wait_until
from tests.process.restarting import restart
from tests.proof.tally import Tally

LIMIT_S = 60.0
QUICK = {"loncHandover": "0.1", "loncConnectTimeout": "1", "loncRedialMax": "0.3", "loncMaxAttempts": "0"}
MANY = 100_000
ALL = os.environ.get("LONC_TEST_TABLES") == "all"


def half_written(good: bytes) -> bytes:
    """Return a table whose writer has not come further than a part of a line."""
    return good + b"msul2:msu:library:peer.exam"


def with_cr_lf(good: bytes) -> bytes:
    """Return a table from another system."""
    return b"# hosts\r\n\r\n" + good.replace(b"\n", b"\r\n")


def with_binary(good: bytes) -> bytes:
    """Return a table in the middle of junk."""
    junk = random.Random(22).randbytes(50_000)
    return junk + b"\n" + good + junk


def with_very_many(good: bytes) -> bytes:
    """Return a table with 100,000 lines of others that are malformed, skipped or comments."""
    lines = (b"# %d\n", b"^%d\n", b"bad id %d:msu:library:x.example:127.0.0.1\n", b"short%d:msu\n")
    return b"".join(lines[number % 4] % number for number in range(MANY)) + good


def good_behind_blanks(good: bytes) -> bytes:
    """Return a table with blank lines and blanks at the ends of lines."""
    return b"\n \n\t\n" + good.replace(b"\n", b"  \n")


def with_a_long_line(good: bytes) -> bytes:
    """Return a table with a line of 4 MiB."""
    return b"x" * (4 << 20) + b"\n" + good


USABLE = [half_written, with_cr_lf, with_binary, with_very_many, with_a_long_line, good_behind_blanks]
USELESS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _good: b"",
    "newlines": lambda _good: b"\n\r\n\n",
    "half of its only line": lambda good: good[: len(good) // 2],
    "binary": lambda _good: random.Random(23).randbytes(100_000).replace(b":", b";"),
    "UTF-16": lambda good: good.decode().encode("utf-16"),
}


def good_line(site: Site) -> bytes:
    return site.hosts_path.read_bytes()


def start_again(site: Site) -> None:
    """Start, after the end of what runs."""
    if site.pid_path.exists():
        site.stop()
    site.start()


def read_again(site: Site) -> None:
    """Have the table read by USR2."""
    before = site.log_text().count("hosts.tab read again")
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab read again", LIMIT_S, count=before + 1)


def check_served(site: Site, word: bytes) -> None:
    site.wait_ready("msul1", timeout_s=LIMIT_S)
    assert site.ask("msul1", b"echo:" + word, LIMIT_S) == word


@pytest.mark.timeout(300)
def test_a_table_with_one_good_line_is_used(make_site: MakeSite, tally: Tally) -> None:
    """By a start, by USR2 or by HUP; junk has no children."""
    site = make_site(["msul1"], settings=QUICK)
    site.peer("msul1")
    good = good_line(site)
    ways = (start_again, read_again, restart)
    for number, make in enumerate(USABLE):
        site.hosts_path.write_bytes(make(good))
        for way in ways if ALL else (ways[number % 3],):
            way(site)
            check_served(site, make.__name__.encode())
            assert len(site.children()) == 1
            tally.add(inputs=1, faults=1)
    assert "ABNORMAL EXIT" not in site.log_text()
    assert all(len(line) < 5000 for line in site.log_text().splitlines())


@pytest.mark.timeout(300)
def test_a_table_without_a_good_line_is_refused(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=QUICK)
    site.peer("msul1")
    good = good_line(site)
    for make in USELESS.values():
        site.hosts_path.write_bytes(make(good))
        done = site.run()
        assert done.returncode == 2
        assert str(site.hosts_path) in done.stderr
        assert "Traceback" not in done.stderr
        assert not site.pid_path.exists()
        tally.add(inputs=1, faults=1)
    site.hosts_path.write_bytes(good)
    pid = site.start()
    site.wait_ready()
    child = site.child("msul1")
    for number, (kind, make) in enumerate(USELESS.items(), 1):
        site.hosts_path.write_bytes(make(good))
        site.signal(signal.SIGUSR2)
        site.wait_log("CRITICAL: hosts.tab cannot be used, the old one stays", LIMIT_S, count=number)
        if number % 2:
            refused = site.log_text().count("Restart refused")
            site.signal(signal.SIGHUP)
            site.wait_log("Restart refused", LIMIT_S, count=refused + 1)
        check_served(site, kind.encode())
        assert (site.pid(), site.child("msul1")) == (pid, child)
        tally.add(inputs=2, faults=2)


def away(site: Site, name: str) -> bool:
    return site.ask(name, b"echo:x", 20) == b"con_lost"


@pytest.mark.timeout(120)
def test_each_kind_of_entry_at_once(make_site: MakeSite, tally: Tally) -> None:
    """Two ids of one address, an id twice, our own, a name that nobody knows, IPv6, and lines that are skipped."""
    site = make_site([Entry("same1"), Entry("own1")], settings=QUICK)
    same, own = site.entry("same1").address, site.entry("own1").address
    lines = [
        f"same1:msu:library:peer.example:{same}",
        f"same2:msu:access:peer.example:{same}",
        "twice1:msu:library:old.example:127.255.255.254",
        f"twice1:msu:library:new.example:{same}",
        f"own1:msu:library:own.example:{own}",
        "nowhere1:msu:library:name.that.is.none.invalid:http",
        "six1:msu:library:six.example:[::1]",
        "^tables.example",
        "empty1:msu:library:x.example:",
        "../escape:msu:library:x.example:127.0.0.1",
        "delayed:msu:library:x.example:127.0.0.1",
    ]
    site.hosts_path.write_text("\n".join(lines) + "\n")
    site.peer("same1", more_ids=["same2", "twice1"])
    site.peer("own1")
    pid = site.start()
    served = ["same1", "same2", "twice1", "own1"]
    for name in served:
        site.wait_ready(name, timeout_s=LIMIT_S)
        assert site.ask(name, b"ping", 20) == name.encode()
        assert site.ask(name, b"encrypt:eecho:" + name.encode(), 20) == name.encode()
    for name in ("nowhere1", "six1"):  # nobody is there
        wait_until(functools.partial(away, site, name), LIMIT_S, f"{name} is away")
    sockets = {path.name for path in site.sock_dir.iterdir() if path.is_socket()}
    assert sockets == {*served, "nowhere1", "six1"}
    log = site.log_text()
    assert log.count("twice1") > 0
    assert any("WARNING" in line and "twice1" in line for line in log.splitlines())
    assert not (site.sock_dir.parent / "escape").exists()
    tally.add(inputs=len(lines), faults=len(lines) - 2)
    site.signal(signal.SIGUSR2)
    site.wait_log("0 new, 0 gone, 0 changed", LIMIT_S)
    assert site.pid() == pid
    assert "ABNORMAL EXIT" not in site.log_text()
