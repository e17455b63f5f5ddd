"""Listening sockets: modes, stale and foreign files, what may be removed, what is believed after exec."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lonc.config import Config, load_config
from lonc.parent.listeners import Listeners
from lonc.system.files import SystemFiles
from tests.process.installation import Installation


@pytest.fixture
def config() -> Iterator[Config]:
    site = Installation(["p"])
    yield load_config(str(site.conf_dir))
    shutil.rmtree(site.root)


@pytest.fixture
def listeners(config: Config) -> Iterator[Listeners]:
    made = Listeners(config, SystemFiles())
    yield made
    made.close_all()


def connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return False
        return True


def test_a_socket_has_its_mode_whatever_the_mask_and_clients_can_connect(
    config: Config, listeners: Listeners
) -> None:
    old = os.umask(0)
    try:
        listeners.open("p")
        assert os.umask(0) == 0
    finally:
        os.umask(old)
    path = config.socket_path("p")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o660
    assert connects(path)
    listeners.open("p")  # again: nothing changes
    assert listeners.all()["p"].inode == os.stat(path).st_ino
    assert not os.get_inheritable(listeners.get("p").fileno())


def test_closing_makes_connects_fail_at_once(config: Config, listeners: Listeners) -> None:
    listeners.open("p")
    listeners.close("p")
    listeners.close("p")
    assert not os.path.lexists(config.socket_path("p"))
    assert not connects(config.socket_path("p"))


def test_a_stale_socket_is_replaced(config: Config, listeners: Listeners) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(config.socket_path("p"))
    listeners.open("p")
    assert connects(config.socket_path("p"))


@pytest.mark.parametrize("kind", ["file", "directory", "fifo", "link", "dangling"])
def test_anything_else_at_the_path_is_left_alone(
    config: Config, listeners: Listeners, tmp_path: Path, kind: str
) -> None:
    path, target = Path(config.socket_path("p")), tmp_path / "target"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
        if kind == "link":
            target.write_text("precious")
    before = os.lstat(path)
    with pytest.raises(OSError, match="left alone"):
        listeners.open("p")
    assert os.lstat(path) == before
    assert "p" not in listeners
    assert target.exists() == (kind == "link")


def test_only_the_inode_that_was_made_is_removed(config: Config, listeners: Listeners) -> None:
    listeners.open("p")
    path = config.socket_path("p")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path + ".new")
        os.rename(path + ".new", path)
        listeners.close("p")
        assert os.path.exists(path)


def test_a_missing_directory_is_made_closed_to_others(config: Config, listeners: Listeners) -> None:
    shutil.rmtree(config.sock_dir)
    assert listeners.prepare_directory() == []
    assert stat.S_IMODE(os.stat(config.sock_dir).st_mode) == 0o700


def test_an_open_directory_is_kept_and_told(config: Config, listeners: Listeners) -> None:
    os.chmod(config.sock_dir, 0o755)
    assert "0755" in listeners.prepare_directory()[0]
    assert stat.S_IMODE(os.stat(config.sock_dir).st_mode) == 0o755


def test_a_file_in_place_of_the_directory_is_an_error(config: Config, listeners: Listeners) -> None:
    shutil.rmtree(config.sock_dir)
    Path(config.sock_dir).write_text("no directory")
    with pytest.raises(NotADirectoryError):
        listeners.prepare_directory()


def handed(config: Config) -> tuple[int, int, int]:
    """Make a socket as a former self had it: descriptor, device, inode."""
    former = Listeners(config, SystemFiles())
    former.open("p")
    made = former.all()["p"]
    return os.dup(made.sock.fileno()), made.device, made.inode


def test_a_socket_from_the_former_self_is_taken(config: Config, listeners: Listeners) -> None:
    fd, device, inode = handed(config)
    os.set_inheritable(fd, True)
    assert listeners.adopt("p", fd, device, inode)
    assert listeners.get("p").fileno() == fd
    assert not os.get_inheritable(fd)
    assert connects(config.socket_path("p"))
    listeners.close("p")
    assert not os.path.lexists(config.socket_path("p"))


FORGED = ["closed", "file", "pipe", "client", "other path", "other file", "tcp", "bound only"]


@pytest.mark.parametrize("forged", FORGED)
def test_a_descriptor_that_is_not_the_socket_is_closed_and_refused(
    config: Config, listeners: Listeners, forged: str
) -> None:
    fd, device, inode = handed(config)
    folder = tempfile.mkdtemp(prefix="lonc-", dir="/tmp")
    others: dict[str, Callable[[], int]] = {
        "closed": lambda: 10_000,
        "file": lambda: os.open(os.devnull, os.O_RDONLY),
        "pipe": lambda: os.dup(os.pipe()[0]),
        "client": lambda: socket.socket(socket.AF_UNIX).detach(),
        "tcp": lambda: socket.create_server(("127.0.0.1", 0)).detach(),
        "other path": lambda: socket.socket(socket.AF_UNIX).detach(),
        "other file": lambda: os.dup(fd),
        "bound only": lambda: socket.socket(socket.AF_UNIX).detach(),
    }
    wrong = others[forged]()
    if forged in ("other path", "bound only"):
        sock = socket.socket(fileno=os.dup(wrong))
        sock.bind(f"{folder}/p")
        if forged == "other path":
            sock.listen()
    if forged == "other file":
        inode += 1
    assert not listeners.adopt("p", wrong, device, inode)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(wrong)
    assert "p" not in listeners
    shutil.rmtree(folder)
    os.close(fd)


def test_a_child_keeps_its_own_socket_and_removes_no_file(config: Config, listeners: Listeners) -> None:
    for name in ("p", "q", "r"):
        listeners.open(name)
    numbers = {name: listeners.get(name).fileno() for name in ("p", "q", "r")}
    objects = listeners.all()
    own = listeners.leave_to_child("q")
    assert own.fileno() == numbers["q"]
    for name in ("p", "r"):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(numbers[name])
    assert all(os.path.exists(config.socket_path(name)) for name in ("p", "q", "r"))
    assert "p" not in listeners
    for listener in objects.values():  # a child ends without a look at them
        listener.sock.detach()
    os.close(numbers["q"])


def test_a_directory_that_is_gone_is_no_error_at_the_end(config: Config, listeners: Listeners) -> None:
    listeners.open("p")
    shutil.rmtree(config.sock_dir)
    listeners.close("p")
