"""The bad line itself: everything passes, in slices, not at all, or with one bit wrong."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Proxy, Site, wait_until


@pytest.fixture
def line(make_site: MakeSite) -> tuple[Site, Proxy]:
    site = make_site(["msul1"])
    proxy = site.proxy("msul1")
    site.peer("msul1")
    return site, proxy


def dial(site: Site) -> socket.socket:
    """Return an open session with the peer behind the line."""
    sock = socket.create_connection((site.entry("msul1").address, site.port), 5)
    sock.sendall(b"init\n")
    sock.sendall(sock.recv(100))
    assert sock.recv(100) == b"ok\n"
    return sock


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += sock.recv(count - len(data))
    return data


def test_everything_passes(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        sock.sendall(b"size:300000\nexit\n")
        assert read(sock, 300001 + 4) == b"x" * 300000 + b"\nbye\n"
        assert sock.recv(1) == b""
    wait_until(lambda: proxy.stats()["open"] == 0, 5, "the end of both halves")
    assert proxy.stats()["accepted"] == 1


def test_slices_and_pauses(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(slice=1, pause_ms=10)
        began = time.monotonic()
        sock.sendall(b"echo:abc\n")
        assert read(sock, 4) == b"abc\n"
        assert time.monotonic() - began >= 0.1


@pytest.mark.parametrize("how", ["swallow", "block"])
def test_nothing_passes_and_nobody_is_told(line: tuple[Site, Proxy], how: str) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(**{how: True})
        sock.sendall(b"ping\n")
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        proxy.order(**{how: False})
        sock.settimeout(5)
        if how == "block":
            assert read(sock, 6) == b"msul1\n"
        sock.sendall(b"echo:x\n")
        assert read(sock, 2) == b"x\n"


def test_one_bit_is_wrong_once(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(flip=5)
        sock.sendall(b"echo:aa\n")
        assert read(sock, 3) == b"`a\n"
        sock.sendall(b"echo:aa\n")
        assert read(sock, 3) == b"aa\n"


def test_a_reset_and_a_peer_that_is_not_there(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(end="rst")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    site.peers["msul1"].kill()
    # the reset comes as soon as the proxy has learned it, which may be before connect returns
    with pytest.raises(ConnectionResetError), contextlib.closing(dial(site)):
        pass
    with pytest.raises(AssertionError, match="unknown order"):
        proxy.order(dance=True)
