"""What the parent of lond holds for as long as it lives. Only data; what happens to it stands in `daemon`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from lonc.config import Config, Host
from lonc.loop import Loop
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.lock import DaemonLock
from lonc.system.logs import Log
from lonc.system.notify import Overseer
from lonc.system.scoreboard import HeaderRecord


@dataclass(slots=True)
class House:
    """argv: what to exec to become this daemon again. listener: kept over a restart; the pool has copies of it.

    bound: the address and port that the listener was made for. from_starter: descriptors that the starter left
    open and that no worker may keep. overseer: the service manager that started us, or a silent one.
    """

    config: Config
    argv: tuple[str, ...]
    hosts: tuple[Host, ...]
    files: Files
    clock: Clock
    log: Log
    loop: Loop
    lock: DaemonLock
    listener: socket.socket
    bound: tuple[str, int]
    header: HeaderRecord
    overseer: Overseer
    from_starter: tuple[int, ...] = ()

    def leave_to_worker(self) -> None:
        """In a forked worker: close what is the parent's alone."""
        self.overseer.forget(os.environ)
        self.lock.close()
        self.listener.close()
        for fd in self.from_starter:
            os.close(fd)
