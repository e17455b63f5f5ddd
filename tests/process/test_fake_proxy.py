"""The bad line itself: everything passes, in slices, late, twice, cut, not at all, or with bits wrong."""

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


# --- one direction alone --------------------------------------------------------------------------------

TEXT = b"0123456789" * 30


def ask(sock: socket.socket, count: int = 301) -> bytes:
    """Ask for TEXT and return what comes, up to so many bytes, until it ends or nothing comes for a while."""
    sock.sendall(b"echo:" + TEXT + b"\n")
    sock.settimeout(1)
    found = b""
    with contextlib.suppress(TimeoutError):
        while len(found) < count and (data := sock.recv(count - len(found))):
            found += data
    return found


@pytest.mark.parametrize("slices", [7, [1, 20]])
def test_slices_of_one_direction(line: tuple[Site, Proxy], slices: int | list[int]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(down={"slice": slices}, pause_ms=20)
        sock.sendall(b"echo:" + TEXT + b"\n")
        sizes: list[int] = []
        while sum(sizes) < 301:
            sizes.append(len(sock.recv(400)))
    longest = slices if isinstance(slices, int) else slices[1]
    assert sizes[0] <= longest  # later ones may be read together
    assert len(sizes) > 5


def test_latency_keeps_the_order(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(up={"latency_ms": [20, 60]}, down={"latency_ms": 50})
        began = time.monotonic()
        for number in range(5):
            sock.sendall(b"echo:%d\n" % number)
            time.sleep(0.005)
        assert read(sock, 10) == b"0\n1\n2\n3\n4\n"
        assert time.monotonic() - began >= 0.07
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""


def test_what_is_late_keeps_its_place_when_the_line_gets_better(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(up={"latency_ms": 300})
        sock.sendall(b"echo:late\n")
        wait_until(lambda: proxy.stats()["up"] >= 10, 5, "the late piece at the line")
        proxy.order(up={})
        sock.sendall(b"echo:next\n")
        assert read(sock, 10) == b"late\nnext\n"


@pytest.mark.parametrize("how", ["cut", "reset"])
@pytest.mark.parametrize("way", ["up", "down"])
def test_an_end_after_so_many_bytes(line: tuple[Site, Proxy], way: str, how: str) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(**{way: {how: 100}})
        found = b""
        with contextlib.suppress(ConnectionResetError):
            found = ask(sock)
        assert found in (b"", TEXT[:100]) if way == "down" else found == b""
    wait_until(lambda: proxy.stats()["open"] == 0, 5, "the end of both halves")
    assert proxy.stats()["killed"] == 1
    executed = len(site.peers["msul1"].executed())
    assert executed == (1 if way == "down" else 0)


@pytest.mark.parametrize("way", ["up", "down"])
def test_what_comes_after_so_many_bytes_vanishes(line: tuple[Site, Proxy], way: str) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(**{way: {"swallow": 100}})
        assert ask(sock) == (TEXT[:100] if way == "down" else b"")
        assert proxy.stats()["open"] == 1
        proxy.order(**{way: {}})
        sock.sendall(b"\necho:x\n")
        rest = (b"unknown_cmd" if way == "down" else TEXT[:95]) + b"\nx\n"
        assert read(sock, len(rest)) == rest


@pytest.mark.parametrize("way", ["up", "down"])
def test_every_kth_byte_is_wrong(line: tuple[Site, Proxy], way: str) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(seed=3, **{way: {"corrupt": 50}})
        found = ask(sock, 300)
        shift = 5 if way == "up" else 0
        wrong = [at for at in range(min(300, len(found))) if found[at] != TEXT[at]]
        assert wrong == [at - shift for at in range(49, 300 + shift, 50)]
        assert all((found[at] ^ TEXT[at]).bit_count() == 1 for at in wrong)


def test_bytes_are_wrong_by_lot_and_alike_with_one_seed(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    found = []
    for seed in (1, 1, 2):
        with contextlib.closing(dial(site)) as sock:
            proxy.order(seed=seed, down={"corrupt_about": 20})
            found.append(ask(sock, 301))
        proxy.order(down={})
    assert found[0] == found[1] != found[2]
    assert found[0] != TEXT + b"\n"


def test_a_piece_comes_twice(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    with contextlib.closing(dial(site)) as sock:
        proxy.order(down={"duplicate": 1})
        assert ask(sock, 602) == (TEXT + b"\n") * 2
        proxy.order(down={}, up={"duplicate": 1})
        sock.sendall(b"echo:x\n")
        assert read(sock, 4) == b"x\nx\n"


def test_small_buffers_and_wrong_orders(line: tuple[Site, Proxy]) -> None:
    site, proxy = line
    proxy.order(buffers=1)
    with contextlib.closing(dial(site)) as sock:
        sock.sendall(b"size:300000\n")
        assert read(sock, 300001) == b"x" * 300000 + b"\n"
    for wrong in ({"up": {"dance": 1}}, {"down": {"cut": "soon"}}):
        with pytest.raises(AssertionError, match="unknown"):
            proxy.order(**wrong)
