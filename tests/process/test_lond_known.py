"""How lond knows its clients beyond plain addresses, and workers that serve one link each."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from tests.process.conftest import MakeLond
from tests.process.harness import Entry
from tests.process.lond_site import LondSite
from tests.process.waiting import wait_until


def has_ipv6() -> bool:
    """Return whether this machine has a loopback for IPv6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def say(host: str, port: int, *lines: bytes) -> list[bytes]:
    """Open a link to lond at any address and return the replies to these lines."""
    with socket.create_connection((host, port), 20) as sock, sock.makefile("rwb") as stream:
        stream.write(b"init\n")
        stream.flush()
        stream.write(stream.readline())
        stream.flush()
        assert stream.readline() == b"ok\n"
        stream.write(b"".join(line + b"\n" for line in lines))
        stream.flush()
        return [stream.readline().rstrip(b"\n") for _ in lines]


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_everywhere_means_both_kinds_of_addresses(make_lond: MakeLond) -> None:
    lond = make_lond([Entry("six1", "[::1]")])
    lond.write_config(londListen="*")
    lond.start()
    assert say("::1", lond.port, b"ping") == [b"srv1"]
    assert say("127.0.0.1", lond.port, b"ping") == [b"srv1"], "an IPv4 client that comes by an IPv6 socket"
    assert "Unknown client" not in lond.log_text()


def test_a_host_without_an_address_is_known_by_its_name(make_lond: MakeLond) -> None:
    lond = make_lond()
    others = [entry for entry in lond.entries if entry.address != "127.0.0.1"]
    unknown = [Entry(f"none{number}", "https", name=f"none{number}.invalid") for number in range(5)]
    lond.write_hosts([*others, *unknown, Entry("named1", "https", name="localhost")])
    lond.start()
    for _ in range(3):
        with lond.link() as client:
            assert client.ask(b"ping") == b"srv1"
            lond.wait_serving(1, "named1")
    with lond.dial("127.66.66.66") as stranger:
        assert stranger.line(30) == b"refused"


def test_a_worker_may_be_for_one_link(make_lond: MakeLond) -> None:
    lond = make_lond(settings={"londWorkerLinks": "1"})
    lond.start()
    seen: set[int] = set()
    for _ in range(6):
        with lond.link() as client:
            assert client.ask(b"ping") == b"srv1"
            (pid,) = wait_until(lone(lond, seen), 20, "a worker that is new")
            seen.add(pid)
    assert len(seen) == 6
    assert "WARNING" not in lond.log_text()


def lone(lond: LondSite, seen: set[int]) -> Callable[[], list[int]]:
    """Return what looks for workers with a link that had none before."""
    return lambda: [pid for pid in lond.serving() if pid not in seen]
