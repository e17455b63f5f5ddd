"""Owns who a client is: the address that it comes from, looked up in hosts.tab.

An address that stands in the table decides at once. Hosts without one are known by their names, which are
resolved only when an address is met that no line has: all of them side by side, with one time limit, and what
was found holds for a while. So neither a stranger nor a slow name server costs a known client anything.

    several ids, one address    the last line wins, as in the original
    our own address             always our own id: who else should come from there
    address and name            an address in the table counts more than one that a name resolves to
    a tunnel's end (londVia)    the client that the administrator has named for it
Source: spec lond.md 1, files.md 2; doc/DEVIATIONS.md, D83 and D103.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from lonc.config import Config, Host, tunnels_of
from lonc.system.clock import Clock

RESOLVED_FOR_S = 600.0  # how long addresses of names hold
ASK_AGAIN_S = 60.0  # pause between two rounds of look-ups for addresses that nobody has
MOST_AT_ONCE = 32  # look-ups side by side

LookUp = Callable[[str], list[str]]


def plain_address(text: str) -> str:
    """Return an address in the one form that is compared: no zone, an IPv4-mapped IPv6 address as IPv4.

    Text that is no address comes back as it is: it is equal to no address.
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return text
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def look_up(name: str) -> list[str]:
    """Return all addresses of a host name; blocks. Raises OSError or UnicodeError when there is none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[0]) for _, _, _, _, where in found))


def own_hosts(config: Config, hosts: Iterable[Host]) -> list[str]:
    """Return the ids that are ours, lonHostID first: those of its address, or of its name where one has none."""
    hosts = list(hosts)
    own = next((host for host in hosts if host.id == config.host_id), None)
    found = [config.host_id]
    for host in hosts:
        if own is not None and host.id != own.id and _same_machine(host, own):
            found.append(host.id)
    return found


def _same_machine(one: Host, other: Host) -> bool:
    if one.address and other.address:
        return plain_address(one.address) == plain_address(other.address)
    return one.name.lower() == other.name.lower()


@dataclass(slots=True)
class _Name:
    """What is known of one host name. at: monotonic seconds of the last answer, None before the first."""

    addresses: list[str]
    at: float | None = None


class Clients:
    """The table seen from its addresses. own_ids: ours as bytes, lonHostID first."""

    def __init__(self, config: Config, hosts: Iterable[Host], clock: Clock, look_up: LookUp = look_up) -> None:
        """hosts: in the order of the file, our own among them."""
        self._config = config
        self._clock = clock
        self._look_up = look_up
        self.hosts = tuple(hosts)
        own = own_hosts(config, self.hosts)
        self.own_ids = tuple(name.encode() for name in own)
        self._by_address: dict[str, str] = {}
        for host in self.hosts:
            if host.address:
                self._by_address[plain_address(host.address)] = config.host_id if host.id in own else host.id
        self._tunnels = {plain_address(address): peer for address, peer in tunnels_of(config).items()}
        for address, peer in self._tunnels.items():
            self._by_address.setdefault(address, config.host_id if peer in own else peer)
        self._named = [host for host in self.hosts if not host.address]
        self._names = {host.name: _Name([]) for host in self._named}
        self._asked_at: float | None = None

    def find(self, address: str) -> str | None:
        """Return the id of the host with this address, None for a stranger.

        May wait up to loncConnectTimeout for names, for an address that no line has, and at most once in
        ASK_AGAIN_S seconds.
        """
        address = plain_address(address)
        known = self._by_address.get(address)
        if known is not None or not self._named:
            return known
        fresh = self._resolved(address, still_good=True)
        if fresh is None and self._may_ask():
            self._ask_all()
            fresh = self._resolved(address, still_good=True)
        # An old answer is better than none while the name server is away.
        return fresh if fresh is not None else self._resolved(address, still_good=False)

    def keeps(self, client: str, address: str) -> bool:
        """Return whether a client that was known by this address may go on: its id is there and has it still.

        Asks nobody: a host that is known by its name keeps its link.
        """
        host = next((host for host in self.hosts if host.id == client), None)
        if host is None:
            return False
        if self._by_address.get(plain_address(address)) == client:
            return True
        return not host.address or plain_address(host.address) == plain_address(address)

    def _resolved(self, address: str, *, still_good: bool) -> str | None:
        now = self._clock.monotonic()
        found = None
        for host in self._named:
            name = self._names[host.name]
            good = name.at is not None and now - name.at < RESOLVED_FOR_S
            if address in name.addresses and (good or not still_good):
                found = self._config.host_id if host.id.encode() in self.own_ids else host.id
        return found

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._clock.monotonic() - self._asked_at >= ASK_AGAIN_S

    def _ask_all(self) -> None:
        """Resolve every name, side by side, within the one limit; what does not answer keeps what it had."""
        self._asked_at = self._clock.monotonic()
        give_up = self._asked_at + self._config.connect_timeout_s
        asked: dict[str, Future[list[str]]] = {name: Future() for name in self._names}
        waiting = list(asked.items())
        for _ in range(min(MOST_AT_ONCE, len(waiting))):
            # Not a pool of concurrent.futures: that would be waited for at the worker's end.
            threading.Thread(target=self._work, args=(waiting,), daemon=True).start()
        for name, answer in asked.items():
            try:
                addresses = answer.result(max(0.0, give_up - self._clock.monotonic()))
            except (TimeoutError, OSError, UnicodeError):
                continue
            self._names[name] = _Name([plain_address(one) for one in addresses], self._clock.monotonic())

    def _work(self, waiting: list[tuple[str, Future[list[str]]]]) -> None:
        """Look up names until none is left; pop is atomic, so each is taken once."""
        while True:
            try:
                name, answer = waiting.pop()
            except IndexError:
                return
            try:
                answer.set_result(self._look_up(name))
            except (OSError, UnicodeError) as error:
                answer.set_exception(error)
