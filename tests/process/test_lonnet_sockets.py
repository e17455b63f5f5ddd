"""One exchange and kept connections: every trouble is con_lost, and no request is ever written twice unseen."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from lonc.config import Config, load_config
from lonc.lonnet.connections import Connections
from lonc.lonnet.sockets import subreply
from tests.process.desk import Desk
from tests.process.installation import Installation
from tests.process.waiting import wait_until


@pytest.fixture
def place() -> Iterator[Installation]:
    made = Installation(["msul1"])
    yield made
    shutil.rmtree(made.root)


@pytest.fixture
def config(place: Installation) -> Config:
    return load_config(str(place.conf_dir))


def echo(line: bytes) -> bytes:
    return line + b"\n"


def test_one_line_out_one_line_in(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), echo) as desk:
        for line in (b"ping", b"a\x00\xff:b", b"x" * 3_000_000):
            assert subreply(config, line, "msul1") == line
        assert desk.accepted == 3


@pytest.mark.parametrize(
    "answer", [None, b"", b"half a line", b"\n"], ids=["closed", "nothing", "no newline", "empty"]
)
def test_whatever_is_no_reply_is_con_lost(place: Installation, config: Config, answer: bytes | None) -> None:
    desk = Desk(place.socket_path("msul1"), lambda _line: answer, close_after=1)
    with desk:
        assert subreply(config, b"ping", "msul1", limit_s=20.0) == b"con_lost"


@pytest.mark.parametrize("peer", ["msul1", "none", "", "..", "../msul1", "a/b", "x" * 200, "a\x00b", "delayed"])
def test_no_socket_is_con_lost(config: Config, peer: str) -> None:
    assert subreply(config, b"ping", peer) == b"con_lost"


def test_nobody_behind_the_socket_a_file_and_a_path_that_is_too_long(place: Installation, config: Config) -> None:
    path = place.socket_path("msul1")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    assert subreply(config, b"ping", "msul1") == b"con_lost"
    path.unlink()
    path.write_text("a file")
    assert subreply(config, b"ping", "msul1") == b"con_lost"
    (place.sock_dir / ("d" * 80)).mkdir()
    place.write_config(lonSockDir=str(place.sock_dir / ("d" * 80)))
    assert subreply(load_config(str(place.conf_dir)), b"ping", "msul1") == b"con_lost"


def test_the_time_limit_holds_for_connecting_writing_and_reading(place: Installation, config: Config) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket_path("msul1")))
        listener.listen(0)
        assert subreply(config, b"ping", "msul1", limit_s=0.2) == b"con_lost"  # in the backlog: no reply
        listener.accept()[0].close()
        assert subreply(config, b"x" * 8_000_000, "msul1", limit_s=0.2) == b"con_lost"
        # the backlog is full now
        assert subreply(config, b"ping", "msul1", limit_s=0.2) == b"con_lost"


def test_a_full_backlog_is_waited_for(place: Installation, config: Config) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket_path("msul1")))
        listener.listen(0)
        fillers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(str(place.socket_path("msul1")))
        got: list[bytes] = []
        asking = threading.Thread(target=lambda: got.append(subreply(config, b"ping", "msul1", limit_s=60.0)))
        asking.start()
        time.sleep(0.1)
        listener.settimeout(30)
        while not got:
            there = listener.accept()[0]
            there.settimeout(0.5)
            with contextlib.suppress(TimeoutError):  # one that only fills the backlog says nothing
                there.recv(100)
                there.sendall(b"pong\n")
                asking.join(30)
        assert got == [b"pong"]
        for filler in fillers:
            filler.close()


def test_a_newline_in_a_command_is_a_defect_of_the_caller(config: Config) -> None:
    with pytest.raises(ValueError, match="one line"):
        subreply(config, b"ping\nping", "msul1")


# --- kept connections -----------------------------------------------------------------------------------


def kept(config: Config, **options: float) -> Connections:
    return Connections(config, keep=True, **options)


def test_a_kept_connection_serves_one_request_after_the_other(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), echo) as desk:
        connections = kept(config)
        assert [connections.ask(b"%d" % n, "msul1") for n in range(5)] == [b"%d" % n for n in range(5)]
        assert desk.accepted == 1
        connections.close()
        assert connections.ask(b"after", "msul1") == b"after"
        single = Connections(config, keep=False)
        assert [single.ask(b"%d" % n, "msul1") for n in range(3)] == [b"0", b"1", b"2"]
        assert desk.accepted == 5


def test_one_that_was_closed_meanwhile_is_replaced_without_a_lost_request(
    place: Installation, config: Config
) -> None:
    with Desk(place.socket_path("msul1"), echo, close_after=1) as desk:
        connections = kept(config)
        for n in range(20):
            assert connections.ask(b"%d" % n, "msul1") == b"%d" % n
            wait_until(lambda n=n: desk.ended == n + 1, 20, "the end of the connection")  # type: ignore[misc]  # bound
        assert desk.lines == [b"%d" % n for n in range(20)]


def test_a_server_that_drains_is_left_for_the_next(place: Installation, config: Config) -> None:
    """lonc shuts its reading side down at a restart: the write takes nothing (EPIPE)."""
    path = place.socket_path("msul1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(5)
        listener.settimeout(30)
        connections = kept(config)
        answers: list[bytes] = []
        asking = threading.Thread(target=lambda: answers.extend(_ask(connections, line) for line in (b"1", b"2")))
        asking.start()
        first = listener.accept()[0]
        assert first.recv(100) == b"1\n"
        first.shutdown(socket.SHUT_RD)
        first.sendall(b"one\n")
        second = listener.accept()[0]
        assert second.recv(100) == b"2\n"
        second.sendall(b"two\n")
        asking.join(30)
        assert answers == [b"one", b"two"]
        for there in (first, second):
            there.close()


def _ask(connections: Connections, line: bytes) -> bytes:
    return connections.ask(line, "msul1")


def test_a_request_that_was_written_is_never_written_again(place: Installation, config: Config) -> None:
    answers = iter([b"ok\n", None, b"ok\n"])
    with Desk(place.socket_path("msul1"), lambda _line: next(answers)) as desk:
        connections = kept(config)
        assert [_ask(connections, b"%d" % n) for n in range(3)] == [b"ok", b"con_lost", b"ok"]
        assert desk.lines == [b"0", b"1", b"2"]
        assert desk.accepted == 2


def test_a_connection_out_of_step_is_not_used_again(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), lambda line: line + b"\nextra\n") as desk:
        connections = kept(config)
        assert [_ask(connections, b"%d" % n) for n in range(4)] == [b"0", b"1", b"2", b"3"]
        assert desk.accepted == 4


def test_one_without_an_answer_in_time_is_not_used_again(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), lambda line: b"" if line == b"slow" else line + b"\n"):
        connections = kept(config, reply_limit_s=2.0)
        assert [_ask(connections, line) for line in (b"slow", b"a", b"b")] == [b"con_lost", b"a", b"b"]


def test_threads_share_connections_and_never_replies(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), echo) as desk:
        connections = kept(config)
        wrong: list[tuple[bytes, bytes]] = []

        def work(who: int) -> None:
            for n in range(40):
                line = b"%d:%d" % (who, n)
                answer = _ask(connections, line)
                if answer != line:
                    wrong.append((line, answer))

        threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert wrong == []
        assert desk.accepted <= 6


def test_a_forked_process_has_connections_of_its_own(place: Installation, config: Config) -> None:
    with Desk(place.socket_path("msul1"), echo) as desk:
        connections = kept(config)
        assert _ask(connections, b"before") == b"before"
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                sockets = [fd for fd in os.listdir("/proc/self/fd") if _is_socket_to(fd, place)]
                code = 0 if not sockets and _ask(connections, b"child") == b"child" else 2
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
        assert _ask(connections, b"parent") == b"parent"
        wait_until(lambda: len(desk.lines) == 3, 10, "three requests")
        assert desk.accepted == 2
        connections.close()


def _is_socket_to(fd: str, place: Installation) -> bool:
    """Return whether a descriptor is the client's end of a connection to the desk."""
    try:
        with socket.socket(fileno=os.dup(int(fd))) as there:
            return there.family == socket.AF_UNIX and there.getpeername() == str(place.socket_path("msul1"))
    except OSError:
        return False
