"""The opening dialogue and the frames as they stand on the wire, byte for byte, from the real daemon."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import IDEA
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from lonc import __version__
from lonc.wire.cipher import session_key
from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, wait_until
from tests.process.memory import MIB

# lonc 1.53's order; the version is ours (spec wire.md 2). Written down here, not taken from the code.
GOLDEN = [
    (b"init\n", b"a challenge, any text:\x01\xff\n"),
    (b"a challenge, any text:\x01\xff\n", b"ok\n"),
    (b"sethost:msul1\n", b"ok\n"),
    (f"version:lonc-{__version__}\n".encode(), b"version:1.99:remark\n"),
    (b"pong\n", b"msul1:con_lost\n"),
    (b"ekey\n", b""),  # the build key
]
BUILD_KEY = b"0123456789ABCDEF0123"


class Wire:
    """The peer's end of one link, which says what the test says and keeps every byte that comes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(10)
        self.stream = sock.makefile("rb")

    def line(self) -> bytes:
        return self.stream.readline()

    def open(self, build_key: bytes) -> list[bytes]:
        """Hold the dialogue and return what came, line by line."""
        came = []
        for _request, answer in GOLDEN:
            came.append(self.line())
            self.sock.sendall(answer or build_key + b"\n")
        return came

    def close(self) -> None:
        self.stream.close()
        self.sock.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


def started(make_site: MakeSite, listener: socket.socket, **options: str) -> Site:
    port = str(listener.getsockname()[1])
    site = make_site([Entry("msul1", "127.0.0.1")], settings={"londPort": port}, **options)
    site.start()
    return site


def test_the_dialogue_byte_for_byte(make_site: MakeSite, listener: socket.socket) -> None:
    site = started(make_site, listener)
    wire = Wire(listener.accept()[0])
    try:
        assert wire.open(BUILD_KEY) == [request for request, _answer in GOLDEN]
        site.wait_ready()
        with site.connect("msul1") as client:
            client.send(b"echo:first thing after the dialogue")
            assert wire.line() == b"echo:first thing after the dialogue\n"
            wire.sock.sendall(b"a reply\n")
            assert client.line() == b"a reply"
    finally:
        wire.close()


# id of ours, build key, and the key that comes of them, worked out by hand from spec wire.md 3
KEYS = [
    # m s u l 1 are 6 2 4 5 1, n c s u 1 are 7 C 2 4 1; then the build key, then from the beginning
    ("ncsu1", b"0123456789ABCDEF0123", "624517c2410123456789abcdef012362"),
    # '-' is 13, '_' 15, '.' 14; G in a build key is not changed to 0 but counts (71 + 9) & 15 = 0, as g does;
    # Z is (90 + 9) & 15 = 3
    ("a-b_c.d", b"GgZz456789012345678901", "62451adbfced" + "0033" + "4567890123456789"),
    # too short by itself: the names and it come round again, and a third time, and then 0
    ("a", b"1", "62451a162451a162451a100000000000"),
    # 32 characters and more: the build key has no part in it
    ("b" * 27 + "x", b"FFFFFFFFFFFFFFFFFFFFFFFF", "62451" + "b" * 27),
]


@pytest.mark.parametrize(("own_id", "build_key", "key"), KEYS)
def test_the_key_of_the_link(
    make_site: MakeSite, listener: socket.socket, own_id: str, build_key: bytes, key: str
) -> None:
    """The frames are those of the published cipher under the key that Perl's rules give."""
    cipher = Cipher(IDEA(bytes.fromhex(key)), ECB())
    site = started(make_site, listener, own_id=own_id)
    wire = Wire(listener.accept()[0])
    try:
        wire.open(build_key)
        site.wait_ready()
        with site.connect("msul1") as client:
            for command in (b"", b"auth:ab", b"auth:abc", b"auth:abcd"):
                client.send(b"encrypt:" + command)
                word, length, text = wire.line().rstrip(b"\n").split(b":")
                assert (word, int(length)) == (b"enc", len(command))
                assert text == text.lower()
                assert len(text) == 16 * (len(command) // 8 + 1)
                filled = command.ljust(len(text) // 2, b" ")
                assert cipher.encryptor().update(filled).hex().encode() == text
                reply = b"authorized".ljust(16)
                frame = cipher.encryptor().update(reply).hex().upper().encode()
                wire.sock.sendall(b"enc:10:" + frame + b"\n")
                assert client.line() == b"authorized"
    finally:
        wire.close()


def test_neither_build_key_nor_key_is_shown_anywhere(make_site: MakeSite, listener: socket.socket) -> None:
    """Not with all logging on, nor in status, title or scoreboard (P30)."""
    site = started(make_site, listener)
    wire = Wire(listener.accept()[0])
    try:
        wire.open(BUILD_KEY)
        site.wait_ready()
        child = site.child("msul1")
        for signum in (signal.SIGINT, signal.SIGUSR2, signal.SIGUSR1):
            site.signal(signum, child)
        wait_until(lambda: site.status_path.exists() and "State: " in site.status_path.read_text(), 20, "a status")
        site.wait_log("Secure connection initialized")
        key = session_key(b"msul1", b"own1", BUILD_KEY).hex()
        assert site.grep_secrets(BUILD_KEY.decode(), key, key.upper(), key[-16:]) == []
    finally:
        wire.close()


@pytest.mark.parametrize("size", [0, 7, 8, 9, 16 * MIB])
def test_frames_of_this_length_there_and_back(site: Site, size: int) -> None:
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    command = (b"eecho:" + os.urandom(size).replace(b"\n", b"\x00"))[:size]
    with site.connect("msul1") as client:
        assert client.ask(b"encrypt:" + command, 30) == (command[6:] if size else b"unknown_cmd")
        assert client.ask(b"encrypt:eecho:next") == b"next"
    assert [len(record.text) > 0 for record in peer.records("e")] == [size > 0, True]
    assert not peer.records("c")


@pytest.mark.parametrize("size", [0, 1, 2, 3, 15, 16, 17])
def test_replies_of_this_length_come_in_clear(site: Site, size: int) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"encrypt:eecho:" + b"r" * size) == b"r" * size


@pytest.mark.parametrize("frame", ["odd", "foreign", "short", "negative", "colon", "number", "empty"])
def test_a_frame_that_cannot_be_decoded_costs_one_con_lost_and_not_the_link(site: Site, frame: str) -> None:
    site.peer("msul1", f"on eget:*=enc:{frame}@1")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client, site.connect("msul1") as other:
        client.send(b"eget:msu:u:ns:k", b"echo:behind it")
        other.send(b"echo:other")
        assert client.lines(2) == [b"con_lost", b"behind it"]
        assert other.line() == b"other"
    site.wait_log("could not be decoded")  # the client is told first
    warnings = [line.message for line in site.log("msul1") if "could not be decoded" in line.message]
    assert len(warnings) == 1
    assert "WARNING" in warnings[0]
    assert "0123456789abcde" not in site.log_text()
    assert site.board("msul1").child.links_opened == 1
