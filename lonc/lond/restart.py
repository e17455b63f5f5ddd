"""HUP: this process becomes the program that is on disk now, with lock, pid and listening socket kept.

The program on disk is run with `-t` first and nothing else happens meanwhile; a broken configuration or a broken
new version keeps the old daemon (P22). Then the workers finish and leave, each link at a moment when nothing is
in flight on it; clients that come now wait in the backlog of the listening socket. What the new self has to know
stands in a sealed memfd, and it believes nothing of it but what it can check.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from lonc.config import Host
from lonc.config.former import Loaded, load_or_former
from lonc.config.plain import config_of, settings_of
from lonc.errors import StartError
from lonc.lond.house import House
from lonc.system import check
from lonc.system.check import Check
from lonc.system.logs import Severity
from lonc.system.sealed import UNREADABLE, exec_again, read_sealed, whole_number, write_sealed

MOST_ROUNDS = 2  # of checks for one restart: a storm of HUPs must not put it off for ever


class Rehearsing:
    """The check before a restart: one at a time, at most MOST_ROUNDS for one HUP and those that come meanwhile."""

    def __init__(self, house: House, passed: Callable[[], object]) -> None:
        """passed: called when the program on disk may be started."""
        self._house = house
        self._passed = passed
        self._check: Check | None = None
        self._again = False
        self._rounds = 0

    def begin(self) -> None:
        """Restart, if the check finds nothing wrong. A second call meanwhile has it checked once more."""
        if self._check is not None:
            self._again = True
            return
        self._house.log.write("Restarting")
        self._house.overseer.reloading("Restarting")
        self._rounds = 0
        self._run()

    def _run(self) -> None:
        self._again = False
        self._rounds += 1
        try:
            self._check = Check(self._house.argv, self._house.clock.monotonic())
        except OSError as error:
            refuse_restart(self._house, f"{self._house.argv[0]}: {error.strerror}")
            return
        signal.setitimer(signal.ITIMER_REAL, check.CHECK_TIMEOUT_S)

    def overdue(self) -> None:
        """Give up waiting (ALRM)."""
        if self._check is not None and not self._check.overdue:
            self._check.kill(overdue=True)

    def reap(self) -> None:
        """Take note of the check's end, if it is that (CHLD)."""
        if self._check is None:
            return
        done, status = os.waitpid(self._check.pid, os.WNOHANG)
        if not done:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        ended, self._check = self._check, None
        problem = ended.finish(status)
        if self._again and self._rounds < MOST_ROUNDS:  # it may have read what was there before that HUP
            self._run()
        elif problem is not None:
            refuse_restart(self._house, problem)
        else:
            self._passed()

    def give_up(self) -> None:
        """End a check that nobody wants any more; its death is not waited for."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._check is not None:
            self._check.kill()
            self._check = None


def refuse_restart(house: House, problem: str) -> None:
    """Tell why the running daemon goes on as it is."""
    text = f"Restart refused, the running one goes on: {problem}"
    house.log.write(text, Severity.CRITICAL)
    house.overseer.ready(text)


# --- over exec -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notes:
    """What is handed over."""

    pid: int
    lock_fd: int
    listener_fd: int
    bound: tuple[str, int]
    started: float
    restarts: int
    settings: dict[str, object]
    hosts: list[Host]


def become_new(house: House) -> str:
    """Execute ourselves again; signals are blocked, no worker lives. Returns only when that failed: the reason."""
    try:
        if house.lock.renew():
            house.log.write(f"{house.lock.path} had been removed: made and locked again", Severity.WARNING)
    except StartError as error:
        return str(error)
    data = json.dumps(_notes(house)).encode()
    kept = (house.lock.fd, house.listener.fileno())
    return exec_again(house.argv, lambda: write_sealed("lond-handover", data), kept)


def _notes(house: House) -> dict[str, object]:
    hosts = [{name: getattr(host, name) for name in Host.__slots__} for host in house.hosts]
    return {
        "pid": os.getpid(), "lock_fd": house.lock.fd, "listener_fd": house.listener.fileno(),
        "bound": list(house.bound), "started": house.header.started, "restarts": house.header.restarts + 1,
        "settings": settings_of(house.config), "hosts": hosts,
    }  # fmt: skip


def read_notes(fd: int) -> Notes:
    """Return the notes of this process's former self; fd stays open. Raises StartError when they are not that."""
    try:
        notes = _parse(json.loads(read_sealed(fd)))
    except OSError as error:
        raise StartError(f"descriptor {fd} holds no hand-over: {error.strerror or error}") from error
    except UNREADABLE as error:
        raise StartError(f"the hand-over in descriptor {fd} cannot be read: {type(error).__name__}") from error
    if notes.pid != os.getpid():
        raise StartError(f"the hand-over is for process {notes.pid}, not for {os.getpid()}")
    return notes


def _parse(raw: dict[str, Any]) -> Notes:
    host, port = raw["bound"]
    return Notes(
        whole_number(raw["pid"]), whole_number(raw["lock_fd"]), whole_number(raw["listener_fd"]),
        (str(host), int(port)), float(raw["started"]), int(raw["restarts"]), dict(raw["settings"]),
        [_host(one) for one in raw["hosts"]],
    )  # fmt: skip


def _host(raw: dict[str, Any]) -> Host:
    """Return what this release knows of a host; another one may have had more fields. TypeError: it is none."""
    known = {field.name: raw[field.name] for field in fields(Host) if field.name in raw}
    if not all(isinstance(word, str) for word in known.values()):
        raise TypeError("words expected")
    return Host(**known)


def adopt_listener(notes: Notes) -> socket.socket:
    """Return the listening socket that came over exec. Raises StartError when the descriptor is none."""
    wrong = f"descriptor {notes.listener_fd} is no listening socket"
    try:
        sock = socket.socket(fileno=notes.listener_fd)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise StartError(wrong)
    except OSError as error:
        raise StartError(wrong) from error
    sock.set_inheritable(False)
    return sock


def load_or_keep(conf_dir: str, notes_fd: int) -> Loaded:
    """Return configuration and table as they are on disk, or those of the former self where they are unusable.

    They were good at the check a moment ago, but a file may be half-written just now, and there is no old self to
    go back to. Raises ConfigError when neither can be had, StartError without notes.
    """
    notes = read_notes(notes_fd)
    return load_or_former(conf_dir, config_of(notes.settings), notes.hosts)
