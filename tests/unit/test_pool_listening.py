"""The sockets of a pool: what is made, what is left alone, what is removed, and whose address is shown."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.errors import StartError
from lonc.pool import listen_tcp, listen_unix
from lonc.pool.channel import address_of
from lonc.pool.listening import OwnPath


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


def test_a_free_port() -> None:
    with listen_tcp("127.0.0.1", 0) as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        assert not listener.getblocking()
        assert not listener.get_inheritable()
        with socket.create_connection((host, port), 10):
            pass
        with pytest.raises(StartError, match=rf"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            listen_tcp("127.0.0.1", port)


def test_everywhere_means_both_families_where_there_are_two() -> None:
    with listen_tcp("*", 0) as listener:
        with socket.create_connection(("127.0.0.1", listener.getsockname()[1]), 10):
            sock, address = listener.accept()
        with sock:
            assert address_of(sock, address) == "127.0.0.1"


def test_an_address_that_is_not_here() -> None:
    with pytest.raises(StartError, match=r"cannot listen on 192\.0\.2\.1 port 0: "):
        listen_tcp("192.0.2.1", 0)


def test_a_path_is_private_to_user_and_group_from_the_start(folder: Path) -> None:
    path = folder / "s"
    with listen_unix(str(path)) as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        own = OwnPath(listener)
        own.remove()
        assert not path.exists()
        own.remove()
    with listen_unix(str(path), mode=0o600):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_stale_socket_is_taken_over(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with listen_unix(str(path)) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        listener.accept()[0].close()


def test_a_living_server_keeps_its_path(folder: Path) -> None:
    path = str(folder / "s")
    with listen_unix(path) as first, socket.socket(socket.AF_UNIX) as client:
        with pytest.raises(StartError, match=r"cannot listen at .*: Address already in use"):
            listen_unix(path)
        client.connect(path)
        assert first.fileno() >= 0


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_anything_else_at_the_path_is_left_alone(folder: Path, kind: str) -> None:
    path = folder / "s"
    if kind == "file":
        path.write_text("mine")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(folder / "elsewhere")
    with pytest.raises(StartError, match="which is left alone"):
        listen_unix(str(path))
    assert os.path.lexists(path)


def test_a_path_that_is_another_one_now_is_not_removed(folder: Path) -> None:
    path = folder / "s"
    with listen_unix(str(path)) as listener:
        own = OwnPath(listener)
        path.unlink()
        path.write_text("somebody else's")
        own.remove()
        assert path.read_text() == "somebody else's"


def test_nothing_is_to_be_removed_for_a_port() -> None:
    with listen_tcp("127.0.0.1", 0) as listener:
        OwnPath(listener).remove()
