"""What the fakes can do for tests of several links: hold replies back, end one link alone, kill by lot."""

from __future__ import annotations

import contextlib
import socket

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Peer, Proxy, Site, wait_until


@pytest.fixture
def line(make_site: MakeSite) -> tuple[Site, Proxy, Peer]:
    site = make_site(["msul1"])
    return site, site.proxy("msul1"), site.peer("msul1", "on echo:held*=gate")


def dial(site: Site) -> socket.socket:
    """Return an open session with the peer behind the line."""
    sock = socket.create_connection((site.entry("msul1").address, site.port), 5)
    sock.sendall(b"init\n")
    sock.sendall(sock.recv(100))
    assert sock.recv(100) == b"ok\n"
    return sock


def silent(sock: socket.socket) -> bool:
    """Return whether nothing comes for a while."""
    sock.settimeout(0.2)
    try:
        return sock.recv(100) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(5)


def test_a_gate_holds_one_connection_up_until_its_release(line: tuple[Site, Proxy, Peer]) -> None:
    site, _proxy, peer = line
    with contextlib.closing(dial(site)) as first, contextlib.closing(dial(site)) as second:
        first.sendall(b"echo:held 1\necho:behind\n")
        second.sendall(b"echo:held 2\n")
        wait_until(lambda: peer.stats()["gated"] == 2, 5, "two replies held back")
        assert sorted(peer.executed()) == ["echo:held 1", "echo:held 2"]
        peer.order(release="held 2")
        assert second.recv(100) == b"held 2\n"
        second.sendall(b"echo:through\n")
        assert second.recv(100) == b"through\n"
        assert silent(first)
        peer.order(release="")
        with first.makefile("rb") as stream:
            assert [stream.readline(), stream.readline()] == [b"held 1\n", b"behind\n"]


def test_an_order_for_one_connection_alone(line: tuple[Site, Proxy, Peer]) -> None:
    site, _proxy, peer = line
    with contextlib.closing(dial(site)) as first, contextlib.closing(dial(site)) as second:
        peer.order(say="hello", only=2)
        assert second.recv(100) == b"hello\n"
        peer.order(end="close", only=1)
        assert first.recv(100) == b""
        second.sendall(b"echo:x\n")
        assert second.recv(100) == b"x\n"


def test_connections_are_killed_by_lot_in_the_middle_of_what_they_carry(line: tuple[Site, Proxy, Peer]) -> None:
    site, proxy, peer = line
    peer.script()
    torn = 0
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(contextlib.closing(dial(site))) for _ in range(20)]
        proxy.order(kill_ms=1)
        for sock in socks:
            got = b""
            with contextlib.suppress(ConnectionError):
                for _ in range(1000):
                    sock.sendall(b"echo:" + b"x" * 500 + b"\n")
                    if not (data := sock.recv(1000)):
                        break
                    got += data
            torn += len(got) % 501 != 0
        wait_until(lambda: proxy.stats()["killed"] == 20, 5, "twenty kills")
        proxy.order(kill_ms=0)
        assert proxy.stats()["open"] == 0
    assert torn > 0
    assert proxy.stats()["used"] <= 20
