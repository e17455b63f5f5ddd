"""Owns the steps before a connection: lines of hosts.tab, addresses of the name, names of the address."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from lonc.child.resolver import Address, look_up, numeric
from lonc.cli.ctl.doctor.aside import Aside
from lonc.cli.ctl.doctor.steps import Limits, Report, Step, Verdict, quoted, reason
from lonc.config import Config, Host, HostTable
from lonc.config.apache import read_file

LINES_SHOWN = 5


def examine_table(config: Config, table: HostTable, host: Host, report: Report) -> bool:
    """Tell what hosts.tab has of the peer; return whether the peer is served at all."""
    path = config.hosts_path
    lines = lines_of(path, host.id)
    where = host.address or f"{host.name}, which is resolved at each dial"
    text = f"{host.role} of {host.domain} at {where}"
    if host in table.refused:
        text = f"the path of its socket, {config.socket_path(host.id)}, is too long: lonc does not serve it"
        report.add(Step("table", Verdict.BAD, text, "a shorter lonSockDir"))
        return False
    if len(lines) > 1:
        told = ", ".join(f"line {number}: {address or 'none'}" for number, address in lines[:LINES_SHOWN])
        same = len({address for _, address in lines}) == 1
        what = "the same address" if same else "different addresses"
        text = f"{host.id} stands {len(lines)} times in {path}, with {what} ({told}); the last line wins: {where}"
        remedy = f"remove all but one line of {host.id} from {path}, then `loncctl rehash`"
        report.add(Step("table", Verdict.WARNING if same else Verdict.BAD, text, remedy))
    elif config.host_id not in {known.id for known in (*table.hosts, *table.refused)}:
        text += f"; but our own id {config.host_id} is not in {path}"
        report.add(Step("table", Verdict.WARNING, text, "look whether lonHostID is right, then add our line"))
    else:
        report.add(Step("table", Verdict.OK, text))
    return True


def lines_of(path: str, host_id: str) -> list[tuple[int, str]]:
    """Return the number and the address (or the word in its place) of each line of hosts.tab for an id.

    Only lines with a fifth field count: the others are passed over, here as there (files.md 2).
    """
    found = []
    for number, line in enumerate(read_file(path).split(b"\n"), 1):
        fields = line.strip().split(b":", 4)
        if len(fields) == 5 and fields[0] == os.fsencode(host_id) and fields[4].strip():
            rest = fields[4].strip()
            word = rest[1:].partition(b"]")[0] if rest.startswith(b"[") else rest.partition(b":")[0]
            found.append((number, word.decode("ascii", "backslashreplace")))
    return found


def examine_name(host: Host, limits: Limits, report: Report) -> list[Address]:
    """Tell what the name resolves to and whether the table agrees; return the addresses that lonc would dial."""
    literal = numeric(host.address) if host.address else None
    aside = Aside(lambda: look_up(host.name))
    try:
        found = aside.result(max(limits.connect_s, limits.look_up_s))
    except (OSError, ValueError) as error:  # ValueError: no name at all, for the resolver
        report.add(_unresolved(host, reason(error), aside.seconds))
        return [literal] if literal else []
    known = ", ".join(address for _, address in found)
    text = f"{host.name} is {known}"
    if literal is None:
        more = f"; lonc dials {len(found)} addresses in this order" if len(found) > 1 else ""
        report.add(Step("resolve", Verdict.OK, text + more, seconds=aside.seconds))
        return found
    if host.address in (address for _, address in found):
        others = len(found) - 1
        more = f"; hosts.tab has {host.address}, so the other {others} are never dialed" if others else ""
        report.add(Step("resolve", Verdict.OK, text + more, seconds=aside.seconds))
    else:
        text += f", but hosts.tab says {host.address}: two addresses for {host.id}; lonc dials that of the table"
        remedy = f"find out which is right; if {known}, correct the line of {host.id}, then `loncctl rehash`"
        report.add(Step("resolve", Verdict.WARNING, text, remedy, aside.seconds))
    return [literal]


def _unresolved(host: Host, why: str, seconds: float) -> Step:
    text = f"{host.name} does not resolve: {why}"
    if host.address:
        text += f"; lonc does not need it, hosts.tab has {host.address}"
        remedy = f"correct the name in the line of {host.id}, or the name server: the web server is asked by name"
        return Step("resolve", Verdict.WARNING, text, remedy, seconds)
    remedy = f"`getent hosts {host.name}` must answer: look at the name server, or put the address into hosts.tab"
    return Step("resolve", Verdict.BAD, text, remedy, seconds)


def examine_reverse(host: Host, addresses: list[Address], limits: Limits, report: Report) -> None:
    """Tell what the addresses are called; nothing depends on it, so it is never worse than a remark."""
    if not addresses:
        report.add(Step("reverse", Verdict.SKIPPED, "there is no address"))
        return
    asides = [(address, Aside(_named(address))) for _, address in addresses]
    told = []
    for address, aside in asides:
        try:
            name = aside.result(limits.look_up_s)
        except (OSError, ValueError) as error:
            told.append(f"{address} has no name ({reason(error)})")
            continue
        agrees = name.rstrip(".").lower() == host.name.rstrip(".").lower()
        told.append(f"{address} is {quoted(name)}" + ("" if agrees else f", not {host.name}"))
    text = "; ".join(told) + " (nothing of lonc depends on it)"
    report.add(Step("reverse", Verdict.OK, text, seconds=max(aside.seconds for _, aside in asides)))


def _named(address: str) -> Callable[[], str]:
    return lambda: socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
