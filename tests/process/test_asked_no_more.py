"""The moment in which a child that makes room asks nobody any more: what clients could write is answered (P24)."""

from __future__ import annotations

import signal

from tests.conftest import MakeSite
from tests.process.harness import Client, Site
from tests.process.restarting import restarts
from tests.process.waiting import wait_until

LINES = [b"echo:%d.%s" % (number, b"x" * 90) for number in range(1500)]  # more than a child reads in two turns


def served(make_site: MakeSite) -> Site:
    """Return a running site whose children, told to leave, ask nobody any more in the same turn."""
    site = make_site(settings={"loncHandover": "0"})
    site.peer("msul1", "on echo:slow=gate")
    site.start()
    site.wait_ready()
    return site


def until_refused(client: Client) -> int:
    """Write requests until the socket takes no more; return how many it took: in the next turn that is none."""
    written = 0

    def refused() -> bool:
        nonlocal written
        try:
            client.send(b"echo:late")
        except (BrokenPipeError, ConnectionResetError):
            return True
        written += 1
        return False

    wait_until(refused, 20, "a write that fails")
    return written


def test_all_that_was_written_is_answered_and_a_later_write_fails(make_site: MakeSite) -> None:
    site = served(make_site)
    child = site.child("msul1")
    with site.connect("msul1") as busy, site.connect("msul1") as full, site.connect("msul1") as idle:
        assert [client.ask(b"echo:here") for client in (busy, full, idle)] == [b"here"] * 3
        busy.send(b"echo:slow")
        site.peers["msul1"].wait_executed(4)
        site.signal(signal.SIGSTOP, child)  # what comes now it finds all at once, with the order to leave
        full.send(*LINES)
        site.signal(signal.SIGHUP)
        wait_until(lambda: restarts(site) == 1, 20, "the new parent")
        site.signal(signal.SIGCONT, child)
        idle.wait_closed(20)
        written = until_refused(busy)
        site.peers["msul1"].order(release="echo:slow")
        assert busy.lines(1 + written, 20) == [b"slow", *[b"late"] * written]
        assert full.lines(len(LINES), 20) == [line.removeprefix(b"echo:") for line in LINES]
        for client in (busy, full):
            client.wait_closed(20)
