"""What a parent gives a child over the fork."""

from __future__ import annotations

import socket
from collections.abc import Collection
from dataclasses import dataclass

from lonc.config import Config, Host
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.scoreboard import Scoreboard


@dataclass(frozen=True)
class ChildContext:
    """Everything one child needs; nothing of it is shared with another child but the scoreboard's file.

    attempts: restarts counted so far; peers: all ids of the table, to tell whose a delayed file is;
    dump_fd: where the stack of a stuck child is written, -1 for nowhere; foreground: a terminal may send
    INT to all processes, so a child leaves it to the parent.
    """

    config: Config
    host: Host
    listener: socket.socket
    lifeline_fd: int
    attempts: int
    board: Scoreboard
    slot: int
    clock: Clock
    files: Files
    dump_fd: int = -1
    peers: Collection[str] = ()
    foreground: bool = False
