"""Clients that read no reply, and a peer that reads no request: bounded in memory, and nobody else's harm."""

from __future__ import annotations

import signal
import time

import pytest

from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Client, Site
from tests.process.memory import MIB

DEAF = 100


def daemon(make_site: MakeSite, buffer: int) -> Site:
    site = make_site(["msul1"], settings={"loncClientBuffer": str(buffer)})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


def shout_until_full(client: Client, data: bytes, most: int) -> int:
    """Write until nothing has been taken for half a second, at most `most` bytes; return how many were."""
    client.socket.setblocking(False)
    taken, quiet_since = 0, time.monotonic()
    while taken < most and time.monotonic() < quiet_since + 0.5:
        try:
            taken += client.socket.send(data[taken % len(data) :])
            quiet_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.005)
    return taken


def test_a_hundred_clients_that_never_read_long_replies(make_site: MakeSite) -> None:
    site = daemon(make_site, 2 * MIB)
    child = site.child("msul1")
    before = memory.forget_peak(child)
    deaf = [site.connect("msul1") for _ in range(DEAF)]
    try:
        with site.connect("msul1") as hearing:
            waits = []
            for _round in range(2):
                for client in deaf:
                    client.send(b"size:%d" % MIB)
                # this one stands behind 100 MiB of replies, the next ones behind nothing
                assert hearing.ask(b"echo:x", 60) == b"x"
                for number in range(50):
                    began = time.monotonic()
                    assert hearing.ask(b"echo:%d" % number) == b"%d" % number
                    waits.append(time.monotonic() - began)
        peak = (memory.peak(child) - before) / MIB
        median, slowest = 1000 * sorted(waits)[len(waits) // 2], 1000 * max(waits)
        print(f"\n100 deaf clients: {peak:.0f} MiB at the peak, another: {median:.1f}, at most {slowest:.1f} ms")
        assert median < 10  # P11
        assert peak > DEAF / 2  # else nothing has piled up and nothing is proven
        assert peak < 1.5 * DEAF  # after the first reply they are read no further
        assert all(deaf[number].line() == b"x" * MIB for number in (0, 50, 99) for _ in range(2))
        assert site.board("msul1").child.links_opened == 1
    finally:
        for client in deaf:
            client.close()


def test_a_client_that_lets_more_pile_up_than_it_may_is_closed(make_site: MakeSite) -> None:
    """All of it was asked for in one write, so that it cannot be held back; the others' replies come."""
    site = daemon(make_site, 2 * MIB)
    with site.connect("msul1") as deaf, site.connect("msul1") as hearing:
        deaf.send(*[b"size:%d" % MIB] * 5)
        assert hearing.ask(b"echo:x") == b"x"
        site.wait_log("Closed a client that left", 5)
        deaf.socket.settimeout(10)
        while deaf.socket.recv(MIB):  # what the kernel had of them, and the end
            pass
        assert hearing.ask(b"echo:y") == b"y"
    assert site.board("msul1").child.links_opened == 1


@pytest.mark.parametrize("request_line", [b"echo:x\n", b"\n"])
def test_a_client_that_never_reads_short_replies(make_site: MakeSite, request_line: bytes) -> None:
    """It is read no further, and what piles up weighs little more than its text. Then it reads: all is there."""
    site = daemon(make_site, MIB)
    child = site.child("msul1")
    before = memory.forget_peak(child)
    with site.connect("msul1") as deaf:
        taken = shout_until_full(deaf, request_line * 5000, 8 * MIB)
        assert site.ask("msul1", b"echo:x") == b"x"
        peak = (memory.peak(child) - before) / MIB
        lines = taken // len(request_line)
        print(f"\n{lines} requests taken, {peak:.1f} MiB more at the peak")
        assert taken < 8 * MIB, "it was never made to wait"
        assert peak < 12
        answer = b"x" if len(request_line) > 1 else b"unknown_cmd"
        assert deaf.line() == answer
        got = 1 + sum(deaf.line() == answer for _ in range(lines - 1))
        assert got == lines
        deaf.send_raw(request_line[taken % len(request_line) :] + b"echo:end\n")
        assert b"end" in [deaf.line(), deaf.line()]


@pytest.mark.parametrize("request_line", [b"echo:x\n", b"\n", b"echo:" + b"y" * 1000 + b"\n"])
def test_requests_that_wait_for_a_stalled_peer(make_site: MakeSite, request_line: bytes) -> None:
    """A client that asks on and on is read no further while nothing is answered, and loses nothing by it."""
    site = daemon(make_site, 64 * MIB)
    child = site.child("msul1")
    before = memory.forget_peak(child)
    with site.connect("msul1") as asker, site.connect("msul1") as other:
        site.peers["msul1"].signal(signal.SIGSTOP)
        taken = shout_until_full(asker, request_line * 5000, 16 * MIB)
        other.send(b"echo:other")
        peak = (memory.peak(child) - before) / MIB
        site.peers["msul1"].signal(signal.SIGCONT)
        print(f"\n{taken} bytes of requests taken, {peak:.1f} MiB more at the peak")
        assert taken < 4 * MIB, "it was never made to wait"
        assert peak < 12
        answer = request_line.removeprefix(b"echo:").rstrip() or b"unknown_cmd"
        lines = taken // len(request_line)
        assert all(asker.line() == answer for _ in range(lines))
        assert other.line() == b"other"
