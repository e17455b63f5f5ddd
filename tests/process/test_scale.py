"""A10: a hundred peers, all up; what a child costs in memory."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import MakeSite
from tests.fakes.crowd import address_of, name_of
from tests.process.harness import TREE, Entry, Site, wait_until

PEERS = 100
# KiB, medians; a fifth more than was reached on Python 3.11 (doc/performance.md, Memory), for other machines.
MOST_OWN = 3840
MOST_SHARED_TOO = 4096


@contextmanager
def crowd(port: int, count: int) -> Iterator[None]:
    """Run `count` peers in one process."""
    command = [sys.executable, "-m", "tests.fakes.crowd", str(port), str(count)]
    process = subprocess.Popen(command, cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.stdin.close()
        process.wait(20)
        process.stdout.close()


def memory_kib(pid: int, field: str) -> int:
    """Return a field of smaps_rollup in KiB; Pss shares what is shared, Private_* is a process's own."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith(field))


@pytest.mark.timing
def test_a_hundred_peers_are_all_up(make_site: MakeSite) -> None:
    """Every one READY and answering; the memory of a child has a bound. The time is printed, not judged."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    site = make_site([Entry(name_of(i), address_of(i)) for i in range(PEERS)])
    with crowd(site.port, PEERS):
        began = time.monotonic()
        site.start()
        started = time.monotonic() - began
        site.wait_ready(*(name_of(i) for i in range(PEERS)), timeout_s=60.0)
        ready = time.monotonic() - began
        for i in (0, PEERS // 2, PEERS - 1):
            assert site.ask(name_of(i), b"ping") == name_of(i).encode()
        assert len(site.children()) == PEERS
        own, shared_too = _print_memory(site, started, ready)
        site.stop()
        wait_until(lambda: not site.processes(), 10.0, "every process to be gone")
    assert own <= MOST_OWN
    assert shared_too <= MOST_SHARED_TOO


def _print_memory(site: Site, started: float, ready: float) -> tuple[float, float]:
    """Print what children use; return the medians of what is one's own, and of that with the share of the rest."""
    children = site.children()
    pss = [memory_kib(pid, "Pss:") for pid in children]
    own = [memory_kib(pid, "Private_") for pid in children]
    print(
        f"\n{PEERS} peers: started in {started:.1f} s, all ready after {ready:.1f} s;"
        f" per idle child PSS median {statistics.median(pss)} KiB (max {max(pss)}),"
        f" private median {statistics.median(own)} KiB; parent PSS {memory_kib(site.pid(), 'Pss:')} KiB"
    )
    return statistics.median(own), statistics.median(pss)
