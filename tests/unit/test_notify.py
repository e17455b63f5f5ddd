"""The service manager is told in its own words, and nobody is where there is none."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.system import notify
from lonc.system.notify import Overseer, without
from tests.fakes.faulty_files import HandClock


class Listener:
    """A notify socket; take() returns the lines of the next message, [] when there is none."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(address.replace("@", "\0", 1))
        self.sock.setblocking(False)

    def take(self) -> list[str]:
        """Return the next message's lines."""
        try:
            return self.sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return []


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Listener]:
    abstract = f"@lonc-test-{os.getpid()}-{tmp_path.name}"
    made = Listener(abstract if request.param == "abstract" else f"{tmp_path}/n")
    yield made
    made.sock.close()


def overseer(
    listener: Listener, clock: HandClock | None = None, environ: dict[str, str] | None = None
) -> Overseer:
    found = {"NOTIFY_SOCKET": listener.address, **(environ or {})}
    return Overseer.of(found, clock or HandClock(), foreground=True)


def test_each_message_has_its_words(listener: Listener) -> None:
    told = overseer(listener, HandClock(monotonic=1000.25))
    assert told.ready("Serving")
    assert listener.take() == ["READY=1", f"MAINPID={os.getpid()}", "STATUS=Serving"]
    assert told.reloading("Restarting")
    assert listener.take() == ["RELOADING=1", "MONOTONIC_USEC=1000250000", "STATUS=Restarting"]
    assert told.stopping("Shutting down")
    assert listener.take() == ["STOPPING=1", "STATUS=Shutting down"]
    assert listener.take() == []


def test_a_status_is_one_short_printable_line_and_told_once(listener: Listener) -> None:
    told = overseer(listener)
    for _ in range(2):
        assert told.show("two\nlines\x1b[1m READY=1")
    assert listener.take() == ["STATUS=two lines\\x1b[1m READY=1"]
    assert listener.take() == []
    told.show("x" * 5000)
    assert len(listener.take()[0]) < 320


def test_the_sign_of_life_comes_three_times_within_the_time(listener: Listener) -> None:
    clock = HandClock(monotonic=50.0)
    told = overseer(listener, clock, {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    assert told.watchdog_s == 30.0
    assert told.pulse(50.0, lambda: "Peers: 1 up") == 60.0
    assert listener.take() == ["WATCHDOG=1", "STATUS=Peers: 1 up"]
    assert told.pulse(59.9, lambda: "not asked") == 60.0
    assert listener.take() == []
    assert told.pulse(60.0, lambda: "Peers: 1 up") == 70.0
    assert listener.take() == ["WATCHDOG=1"]
    assert told.pulse(75.0) == 85.0
    assert listener.take() == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environ",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "-5"}, {"WATCHDOG_USEC": "9" * 16},
     {"WATCHDOG_USEC": "9" * 5000}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)  # fmt: skip
def test_without_a_watchdog_of_ours_there_is_no_sign_of_life(listener: Listener, environ: dict[str, str]) -> None:
    told = overseer(listener, environ=environ)
    assert told.pulse(0.0) is None
    assert listener.take() == []


@pytest.mark.parametrize("address", ["", "relative", "/", "@", "vsock:2:1234"])
def test_an_address_that_is_none_is_nobody(address: str) -> None:
    told = Overseer.of({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"}, HandClock(), foreground=True)
    assert (told.address, told.watchdog_s) == ("", 0.0)
    assert told.ready("Serving")
    assert told.pulse(0.0) is None


def test_in_the_background_nobody_is_told(listener: Listener) -> None:
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "1000000"}
    told = Overseer.of(environ, HandClock(), foreground=False)
    assert told.ready("Serving")
    assert told.pulse(0.0) is None
    assert listener.take() == []


def test_a_manager_that_is_gone_is_no_error_and_told_why(tmp_path: Path) -> None:
    environ = {"NOTIFY_SOCKET": f"{tmp_path}/nobody", "WATCHDOG_USEC": "3000000"}
    told = Overseer.of(environ, HandClock(), foreground=True)
    assert not told.ready("Serving")
    assert told.trouble == "No such file or directory"
    assert told.pulse(7.0) == 8.0
    told.address = "/" + "x" * 300
    assert not told.stopping("Shutting down")
    assert told.trouble


def test_a_full_queue_holds_the_loop_up_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener(f"{tmp_path}/n")
    told = overseer(listener, environ={"WATCHDOG_USEC": "3000000"})
    while told._send("x" * 1000, 0.0):
        pass
    told.pulse(0.0)
    assert told.trouble
    monkeypatch.setattr(notify, "SEND_TIMEOUT_S", 0.01)
    assert not told.ready("Serving")
    listener.sock.close()


def test_a_child_is_silent_and_hands_nothing_on(listener: Listener) -> None:
    environ = {"NOTIFY_SOCKET": listener.address, "WATCHDOG_USEC": "5", "WATCHDOG_PID": "7", "PATH": "/bin"}
    assert without(environ) == {"PATH": "/bin"}
    told = Overseer.of(environ, HandClock(), foreground=True)
    told.forget(environ)
    assert environ == {"PATH": "/bin"}
    assert told.ready("Serving")
    assert told.pulse(0.0) is None
    assert listener.take() == []
    told.forget(environ)
