"""What a worker of lond does: knows its clients, has the store open, carries out their commands.

Made in the parent, before the first fork; all but `hosts` and `let_go` belongs to the worker.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Final, cast

from lonc import __version__
from lonc.config import Config, Host, load_hosts
from lonc.errors import ConfigError
from lonc.lond.askback import AskBack
from lonc.lond.clients import Clients
from lonc.lond.commands.model import Context, Reply
from lonc.lond.commands.table import carry_out
from lonc.lond.link import Link
from lonc.lond.reopening import ReopeningStore
from lonc.lond.store import Store
from lonc.pool import Channel, Session, Worker
from lonc.system.clock import Clock
from lonc.system.logs import Severity
from lonc.system.tcp import set_link_options
from lonc.wire import words
from lonc.wire.server import ServerSession

VERSION: Final = b"lond-" + __version__.encode("ascii")
BUILD_KEY_DIGITS: Final = 24  # 20 to 30 digits and letters A-F (wire.md 3)
_MORE_INPUT: Final = 1 << 20  # bytes that may wait besides two commands of the greatest length
# The words that a worker tells its parent; an id or an address stands behind them.
CONNECTED: Final = b"connected:"
STRANGER: Final = b"stranger:"
FAULT: Final = b"fault:"


class LondService:
    """The Service of lond's pool, and the Duty of each link."""

    def __init__(self, config: Config, hosts: tuple[Host, ...], clock: Clock, let_go: Callable[[], None]) -> None:
        """hosts: of hosts.tab, replaced when the table was read again. let_go: closes what is the parent's."""
        self.config = config
        self.clock = clock
        self.hosts = hosts
        self.init_timeout_s = config.server_init_timeout_s
        self.raw_limit = 2 * config.max_command_bytes + _MORE_INPUT
        self._let_go = let_go
        self._links: dict[Link, Context] = {}

    # --- a worker's life ------------------------------------------------------------------------------

    def begin(self, worker: Worker) -> None:
        """Open the store, and get ready to know clients; a store that is away is told and tried again later."""
        if worker.forked:
            self._let_go()
        self._worker = worker
        self._clients = Clients(self.config, self.hosts, self.clock)
        self._askback = AskBack(worker.loop)
        self._store = ReopeningStore(self.config, self.clock)
        why = self._store.open()
        if why:
            text = f"The store cannot be used, commands that need it are refused: {why}"
            worker.log.write(text, Severity.CRITICAL)

    def connected(self, channel: Channel) -> Session | None:
        """Return the link of a known client; a stranger gets `refused`."""
        client = self._clients.find(channel.address)
        if client is None:
            self._tell(STRANGER, channel.address)
            channel.send(words.REFUSED + b"\n")
            return None
        set_link_options(channel.sock, self.config.server_keepalive_s)
        self._tell(CONNECTED, client)
        session = ServerSession(
            self._clients.own_ids, client.encode(), challenge=secrets.token_hex(16).encode(),
            build_key=secrets.token_hex(BUILD_KEY_DIGITS // 2).upper().encode(), version=VERSION,
            command_limit=self.config.max_command_bytes,
        )  # fmt: skip
        link = Link(channel, client, session, self)
        self._links[link] = Context(
            config=self.config, store=cast(Store, self._store), log=self._worker.log, hosts=self._clients.hosts,
            client=client.encode(), client_address=channel.address, own_id=session.host_id, now=self.clock.wall(),
        )  # fmt: skip
        self._show()
        return link

    def reload(self) -> None:
        """Read hosts.tab again and let those clients go that are no longer in it."""
        try:
            self.hosts = load_hosts(self.config).hosts
        except ConfigError:
            return  # the parent has found it usable a moment ago and tells when it is not
        self._clients = Clients(self.config, self.hosts, self.clock)
        for link, context in list(self._links.items()):
            context.hosts = self._clients.hosts
            link.session.own_ids = self._clients.own_ids
            if not self._clients.keeps(link.client, link.channel.address):
                self._worker.log.write(f"{link.client} is no longer in hosts.tab: its link is closed")
                link.leave()

    def report(self) -> list[str]:
        """Return a line for each link."""
        return [f"{link.client} ({link.channel.address}): {link.state}" for link in self._links]

    def end(self) -> None:
        """Close the store."""
        self._store.close()

    # --- what links need ------------------------------------------------------------------------------

    def carry_out(self, link: Link, line: bytes, encrypted: bool) -> Reply:
        """Return the reply to a command of this link."""
        context = self._links[link]
        context.own_id = link.session.host_id
        context.now = self.clock.wall()
        self._worker.beat()  # one turn may hold a thousand commands
        self._worker.record.requests += 1
        reply = carry_out(line, encrypted, context)
        self._worker.record.replies += 1
        return reply

    def ask_back(self, link: Link) -> None:
        """Ask the client `ping` through our own lonc."""
        self._askback.ask(self.config, link.client, link.asked_back)

    def complain(self, link: Link, why: str) -> None:
        """Have the parent tell that a client is ended for its own fault."""
        self._tell(FAULT, f"{link.client}:{link.channel.address}:{why}")

    def _tell(self, kind: bytes, what: str) -> None:
        self._worker.tell(kind + what.encode("utf-8", "replace"))

    def over(self, link: Link) -> None:
        """Forget a link."""
        self._links.pop(link, None)
        self._show()

    def _show(self) -> None:
        names = ", ".join(link.client for link in self._links)
        self._worker.show(f"{self._worker.name} serving {names}" if names else f"{self._worker.name} waiting")
