"""What the parent holds for as long as it lives, in one place: the table, the sockets, the children.

Only data and the few questions that everybody asks of it; what happens to it stands in `perform` and `flock`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lonc.child import ChildContext
from lonc.config import Config, Host
from lonc.loop import Loop
from lonc.parent.ledger import Ledger
from lonc.parent.listeners import Listeners
from lonc.peers import Peers
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.lock import DaemonLock
from lonc.system.logs import Log
from lonc.system.notify import Overseer


@dataclass(slots=True)
class House:
    """lifeline: read end and write end. dump_fd: where stuck children write their stacks.

    overseer: the service manager that started us, or a silent one. from_starter: descriptors that the starter left
    open in this process and that no child may keep.
    """

    config: Config
    argv: tuple[str, ...]
    foreground: bool
    run_child: Callable[[ChildContext], int]
    files: Files
    clock: Clock
    log: Log
    loop: Loop
    lock: DaemonLock
    peers: Peers
    listeners: Listeners
    ledger: Ledger
    lifeline: tuple[int, int]
    dump_fd: int
    overseer: Overseer
    from_starter: tuple[int, ...] = ()
    hosts: dict[str, Host] = field(default_factory=dict)
    children: dict[int, str] = field(default_factory=dict)  # every child that was forked and not yet reaped

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """Take the table of hosts; who of them is served is for `peers` to say."""
        self.hosts = {host.id: host for host in hosts}
