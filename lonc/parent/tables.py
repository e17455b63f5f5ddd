"""USR2: the table of hosts is read again, and only what has changed is touched (lonc.md 2).

Vanished hosts end after what is in flight; those whose address changed get a new child when the old one is gone;
new ones start; all others are called, as by USR1. A table that cannot be used changes nothing and is told (P22).

A child knows the ids of the table as it was at the fork, and needs of them those that end like its own (`a.b` for
the child of `b`): by them it tells whose a delayed file is (files.md 8). Where one of those came or went, which is
rare, the child gets a successor, too: two children must never take one file for theirs.
"""

from __future__ import annotations

from collections.abc import Mapping

from lonc import peers
from lonc.config import Host, load_hosts
from lonc.errors import ConfigError
from lonc.parent.compare import compare, dialed
from lonc.parent.house import House
from lonc.parent.perform import Performer
from lonc.system.logs import Severity


def read_table_again(house: House, performer: Performer) -> None:
    """Serve the table that is on disk now."""
    try:
        table = load_hosts(house.config)
    except ConfigError as error:
        text = f"hosts.tab cannot be used, the old one stays: {error}"
        house.log.write(text, Severity.CRITICAL)
        house.ledger.tell_log()
        return
    for warning in table.warnings:
        house.log.write(warning, Severity.WARNING)
    before, old = house.hosts, set(house.peers.names())
    house.set_hosts(table.hosts)
    changes = compare(_dialed(before), _dialed(house.hosts))
    counts = f"{len(changes.new)} new, {len(changes.gone)} gone, {len(changes.changed)} changed"
    house.log.write(f"hosts.tab read again: {counts}")
    new, replaced = set(changes.new), set(changes.replaced)
    for name in changes.gone:
        performer.give(name, peers.Removed())
    for name in house.hosts:
        if name in new:
            performer.perform(house.peers.add(name, house.clock.monotonic()))
        elif name in replaced:
            performer.give(name, peers.Replaced())
        elif name in old:
            performer.give(name, peers.Called())


def _dialed(hosts: Mapping[str, Host]) -> dict[str, str]:
    return {name: dialed(host) for name, host in hosts.items()}
