"""Owns the other ways to a peer, and from one: loncVia (where it is dialed) and londVia (where it comes from).

A peer named there is reached through something of the administrator's own, as a rule a TLS tunnel, whose end has
an address of its own. Dialogue, ids and key are not touched by it. Both settings hold pairs `ID=PLACE` with commas
and no blanks between them: what stands behind a blank would be passed over, and that peer dialed in clear.
Source: promises.md 3; doc/DEVIATIONS.md, D102 and D103.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from lonc.config.model import Config, Host, valid_id
from lonc.errors import Problem

VIA_ALLOWED: Final = (
    "peers as ID=ADDRESS:PORT (an IPv6 address in brackets), each once, with commas and no blanks between them, "
    "or nothing"
)
TUNNELS_ALLOWED: Final = (
    "peers as ID=ADDRESS, each and each address once, only addresses of 127.0.0.0/8 and [::1], with commas and no "
    "blanks between them, or nothing"
)
_PLACE: Final = re.compile(
    r"(?P<address>[0-9.]{7,15}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)


class Place(NamedTuple):
    """An address without brackets, and a TCP port; 0 where none belongs to it."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return it as it is written: `127.0.0.1:7001`, `[::1]:7002`."""
        shown = f"[{self.address}]" if ":" in self.address else self.address
        return f"{shown}:{self.port}" if self.port else shown


def parse_via(word: str) -> tuple[str, ...]:
    """Return the pairs of loncVia as they stand there; ValueError for anything but VIA_ALLOWED."""
    pairs = tuple(word.split(",")) if word else ()
    places = _places(pairs)
    if not all(1 <= place.port <= 65535 for place in places.values()):
        raise ValueError(word)
    return pairs


def parse_tunnels(word: str) -> tuple[str, ...]:
    """Return the pairs of londVia as they stand there; ValueError for anything but TUNNELS_ALLOWED."""
    pairs = tuple(word.split(",")) if word else ()
    places = _places(pairs, ports=False)
    # Only what never comes in from a network: there, an address says nothing about who used a tunnel.
    if not all(is_local(place.address) for place in places.values()):
        raise ValueError(word)
    if len(set(places.values())) != len(places):
        raise ValueError(word)
    return pairs


def _places(pairs: Iterable[str], *, ports: bool = True) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for pair in pairs:
        peer, equals, where = pair.partition("=")
        match = _PLACE.fullmatch(where)
        if not equals or not valid_id(peer) or match is None or peer in found or bool(match["port"]) != ports:
            raise ValueError(pair)
        address = ipaddress.ip_address(match["address"].strip("[]"))  # its error is a ValueError
        if (address.version == 6) != where.startswith("["):
            raise ValueError(pair)
        found[peer] = Place(str(address), int(match["port"] or 0))
    return found


def is_local(address: str) -> bool:
    """Return whether an address never leaves this machine; False for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def via_of(config: Config, peer: str) -> Place | None:
    """Return where this peer is dialed in place of what hosts.tab says; None: as hosts.tab says."""
    return _places(config.via).get(peer)


def tunnels_of(config: Config) -> dict[str, str]:
    """Return by address the peers that tunnels bring to lond (londVia)."""
    return {place.address: peer for peer, place in _places(config.server_via, ports=False).items()}


def unfit(config: Config, hosts: Collection[Host], path: str) -> list[Problem]:
    """Return what in both settings does not fit the table at path; hosts: all that have a usable line.

    A name that is not in the table is an error, never passed over: with a misspelt one the peer that was meant
    would be dialed in clear.
    """
    by_id = {host.id for host in hosts}
    by_address = {host.address: host.id for host in hosts if host.address}
    problems = []
    both = (("loncVia", config.via, True), ("londVia", config.server_via, False))
    for at, (name, pairs, ports) in enumerate(both):
        where = config.via_places[at] if len(config.via_places) > at else path
        for pair, (peer, place) in zip(pairs, _places(pairs, ports=ports).items(), strict=True):
            if peer not in by_id:
                text = f"{name} has '{pair}'; only ids with a usable line in {path} are allowed"
                problems.append(Problem(where, 0, text))
            elif name == "londVia" and place.address in by_address:
                text = f"{name} has '{pair}'; only addresses that no host of {path} has are allowed"
                problems.append(Problem(where, 0, f"{text}: it is that of {by_address[place.address]}"))
    return problems
