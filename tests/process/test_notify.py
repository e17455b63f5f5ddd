"""A service manager hears of a real daemon what systemd wants to hear; here a socket of the test listens."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.process.conftest import MakeLond
from tests.process.harness import Site
from tests.process.waiting import wait_until

WATCHDOG_S = 3.0  # signs of life come each second


class Hearer:
    """The listening side: every message as a dictionary, in order of arrival."""

    def __init__(self, root: Path) -> None:
        self.path = root / "notify"
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(str(self.path))
        self._sock.setblocking(False)
        self.heard: list[dict[str, str]] = []

    def listen(self) -> list[dict[str, str]]:
        """Return everything that was ever heard."""
        while True:
            try:
                data = self._sock.recv(8192)
            except BlockingIOError:
                return self.heard
            lines = [line.partition("=") for line in data.decode().split("\n")]
            self.heard.append({name: value for name, _, value in lines})

    def count(self, name: str) -> int:
        """Return in how many messages this name was 1."""
        return sum(message.get(name) == "1" for message in self.listen())

    def wait(self, name: str, count: int = 1, timeout_s: float = 20.0) -> dict[str, str]:
        """Return the message in which this name was 1 for the so many-th time."""
        wait_until(lambda: self.count(name) >= count, timeout_s, f"{name}=1, {count} times, in {self.heard}")
        return [message for message in self.heard if message.get(name) == "1"][count - 1]

    def words(self) -> list[str]:
        """Return the names of what was told, in order, without signs of life and bare texts."""
        first = [next(iter(message)) for message in self.listen()]
        return [name for name in first if name not in ("WATCHDOG", "STATUS")]

    def close(self) -> None:
        """Hear no more."""
        self._sock.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Hearer]:
    made = Hearer(tmp_path)
    yield made
    made.close()


def watched(site: Site, manager: Hearer, **environ: str) -> int:
    """Start the daemon in the foreground as a service; return its pid."""
    settings = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6)), **environ}
    return site.start_foreground(wrapper=["env", *(f"{name}={value}" for name, value in settings.items())])


def test_a_start_a_restart_and_an_end_are_told(make_site: Callable[..., Site], manager: Hearer) -> None:
    site = make_site(["msul1"])
    site.peer("msul1")
    pid = watched(site, manager)
    first = manager.wait("READY")
    assert first == {"READY": "1", "MAINPID": str(pid), "STATUS": "Serving"}
    site.wait_ready()
    assert manager.wait("WATCHDOG")["STATUS"] == "Peers: 1 up"
    for times in (1, 2):
        site.signal(signal.SIGHUP)
        begun = manager.wait("RELOADING", times)
        assert int(begun["MONOTONIC_USEC"]) > 0
        assert manager.wait("READY", times + 1)["MAINPID"] == str(pid)
    pulses = manager.count("WATCHDOG")
    manager.wait("WATCHDOG", pulses + 2)  # the new self goes on with it
    site.stop()
    assert manager.wait("STOPPING") == {"STOPPING": "1", "STATUS": "Shutting down"}
    assert manager.words() == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]


def test_a_refused_restart_is_over_at_once_and_says_why(site: Site, manager: Hearer) -> None:
    watched(site, manager)
    manager.wait("READY")
    (site.conf_dir / "loncapa.conf").write_text("PerlSetVar loncGrace never\n")
    site.signal(signal.SIGHUP)
    status = manager.wait("READY", 2)["STATUS"]
    assert status.startswith("Restart refused, the running one goes on: exit code 2")
    assert "loncGrace" in status
    assert manager.words() == ["READY", "RELOADING", "READY"]


def test_a_parent_that_hangs_gives_no_sign_of_life(site: Site, manager: Hearer) -> None:
    pid = watched(site, manager)
    manager.wait("WATCHDOG", 2)
    site.signal(signal.SIGSTOP)
    wait_until(lambda: "T" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0], 5, "a stop")
    before = manager.count("WATCHDOG")
    children = site.children()
    assert children, "children that go on must not speak for it"
    with pytest.raises(AssertionError, match="not within"):
        manager.wait("WATCHDOG", before + 1, WATCHDOG_S)
    site.signal(signal.SIGCONT)
    manager.wait("WATCHDOG", before + 1)


def test_a_watchdog_of_another_process_is_not_ours(site: Site, manager: Hearer) -> None:
    watched(site, manager, WATCHDOG_PID="1")
    manager.wait("READY")
    site.signal(signal.SIGHUP)
    manager.wait("READY", 2)
    assert manager.count("WATCHDOG") == 0


def test_a_daemon_in_the_background_is_no_service(site: Site, manager: Hearer) -> None:
    site.start(env={"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "1000000"})
    site.signal(signal.SIGHUP)
    site.wait_log("children hand over to new ones")
    site.stop()
    assert manager.listen() == []


def test_a_manager_that_is_gone_stops_nobody(site: Site, tmp_path: Path) -> None:
    site.peer("msul1")
    site.start_foreground(wrapper=["env", f"NOTIFY_SOCKET={tmp_path}/nobody", "WATCHDOG_USEC=300000"])
    site.wait_ready()
    assert site.ask("msul1", b"ping") == b"msul1"
    site.wait_log("The service manager cannot be told: No such file or directory")
    site.stop()


def test_an_abstract_address_is_heard_as_well(site: Site) -> None:
    name = f"lonc-test-{os.getpid()}-{site.root.name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        sock.settimeout(20)
        site.start_foreground(wrapper=["env", f"NOTIFY_SOCKET=@{name}"])
        assert sock.recv(4096).startswith(b"READY=1\n")


def test_lond_tells_the_same(make_lond: MakeLond, manager: Hearer) -> None:
    site = make_lond()
    pid = watched(site, manager)
    assert manager.wait("READY")["MAINPID"] == str(pid)
    manager.wait("WATCHDOG", 2)
    site.signal(signal.SIGHUP)
    manager.wait("READY", 2)
    manager.wait("WATCHDOG", manager.count("WATCHDOG") + 1)
    site.write_config(londStore="nonsense")
    site.signal(signal.SIGHUP)
    assert manager.wait("READY", 3)["STATUS"].startswith("Restart refused")
    site.stop()
    manager.wait("STOPPING")
    assert manager.words() == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]
