"""What a connection costs the child in system calls: it is counted, so it needs no quiet machine."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import wait_until

CONNECTIONS = 20
# Besides reading, and getsockname, which is Python's own for every socket object. getsockopt: who is it?
ONCE = ["accept4", "getsockopt", "epoll_ctl", "sendto", "close"]


@pytest.mark.skipif(not procs.strace_works(), reason="strace cannot trace here")
def test_a_connection_with_one_request_costs_eight_calls(make_site: MakeSite) -> None:
    """Nine, when the child was quicker than the client's write, so that its first read found nothing."""
    site = make_site()
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    trace = site.root / "trace"
    child = site.child("msul1")
    command = ["strace", "-qq", "-o", str(trace), "-e", "trace=network,desc", "-p", str(child)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: procs.traced_by(strace.pid, child) or strace.poll() is not None, 10, "a tracer")
        if strace.poll() is not None:
            pytest.skip("strace may not attach here")
        for number in range(CONNECTIONS):
            assert site.ask("msul1", b"echo:%d" % number) == b"%d" % number
        wait_until(lambda: len(connections(trace)) == CONNECTIONS, 10, "the end of every connection")
    finally:
        strace.terminate()
        strace.communicate(timeout=10)
    for calls in connections(trace):
        reads, names = calls.pop("recvfrom"), calls.pop("getsockname", 0)
        assert calls == Counter(ONCE)
        assert reads in (2, 3)
        assert names <= 1


def connections(trace: Path) -> list[Counter[str]]:
    """Return for each connection that was accepted and closed its calls by name."""
    found: list[Counter[str]] = []
    open_now: dict[str, Counter[str]] = {}
    for line in trace.read_text().splitlines():
        accepted = re.match(r"accept4\(.* = (\d+)$", line)
        if accepted:
            open_now[accepted[1]] = Counter(["accept4"])
            continue
        call = re.match(r"(epoll_ctl)\(\d+, \w+, (\d+)|(\w+)\((\d+)", line)
        if call is None:
            continue
        name, fd = call[1] or call[3], call[2] or call[4]
        if fd in open_now:
            open_now[fd][name] += 1
            if name == "close":
                found.append(open_now.pop(fd))
    return found
