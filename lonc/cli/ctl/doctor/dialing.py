"""Owns connecting: every address at once, each with its time, within one time limit."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import time
from dataclasses import dataclass

from lonc.child.resolver import Address
from lonc.child.uplink import ANY_ADDRESS
from lonc.cli.ctl.doctor.steps import Limits, Report, Step, Verdict
from lonc.config import Config, Place

_REMEDIES = {
    errno.ECONNREFUSED: "nobody listens there: start lond on the other server, or compare londPort of both",
    errno.EHOSTUNREACH: "the host is down, or a router or firewall says no: ask its administrator",
    errno.ENETUNREACH: "this machine has no route there: look at its network",
    errno.EADDRNOTAVAIL: "loncSourceAddress is no address of this machine: correct it",
    errno.EACCES: "a firewall of this machine forbids it",
    errno.EPERM: "a firewall of this machine forbids it",
    errno.EMFILE: "raise the limit of open files",
    errno.ETIMEDOUT: "the host is down, or a firewall swallows what is sent to this port: ask its administrator",
}


@dataclass(slots=True)
class Attempt:
    """One connect. sock: connected and non-blocking, None while it is not; code: the errno, ETIMEDOUT too late."""

    address: str
    sock: socket.socket | None
    code: int = 0
    seconds: float = 0.0


def connect_all(
    config: Config, addresses: list[Address], limit_s: float, via: Place | None = None
) -> list[Attempt]:
    """Return one attempt for each address, in order; all of them are made side by side. via: of loncVia."""
    began = time.monotonic()
    attempts = [_begin(config, address, via) for address in addresses]
    with selectors.DefaultSelector() as selector:
        for attempt in attempts:
            if attempt.code == errno.EINPROGRESS and attempt.sock is not None:
                selector.register(attempt.sock, selectors.EVENT_WRITE, attempt)
        while selector.get_map():
            left = began + limit_s - time.monotonic()
            if left <= 0:
                break
            for key, _ in selector.select(left):
                attempt = key.data
                attempt.code = attempt.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                attempt.seconds = time.monotonic() - began
                selector.unregister(key.fileobj)
    for attempt in attempts:
        if attempt.code == errno.EINPROGRESS:
            attempt.code, attempt.seconds = errno.ETIMEDOUT, time.monotonic() - began
        if attempt.code and attempt.sock is not None:
            attempt.sock.close()
            attempt.sock = None
    return attempts


def _begin(config: Config, address: Address, via: Place | None) -> Attempt:
    family, text = address
    sock = None
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        source = config.source_address
        if via is None and source != ANY_ADDRESS and (":" in source) == (":" in text):
            sock.bind((source.strip("[]"), 0))
        return Attempt(text, sock, sock.connect_ex((text, via.port if via else config.port)))
    except OSError as error:
        if sock is not None:
            sock.close()
        return Attempt(text, None, error.errno or errno.EIO)


def examine_connect(
    config: Config, addresses: list[Address], limits: Limits, report: Report, via: Place | None = None
) -> socket.socket | None:
    """Tell of each address whether somebody listens; return the connection that lonc would use, None without.

    via: where loncVia has the peer dialed; addresses then holds that one alone.
    """
    if not addresses:
        report.add(Step("connect", Verdict.SKIPPED, "there is no address to dial"))
        return None
    attempts = connect_all(config, addresses, limits.connect_s, via)
    first = next((attempt for attempt in attempts if attempt.sock is not None), None)
    for attempt in attempts:
        report.add(_judge(config, attempt, limits, via, others=first is not None))
        if attempt.sock is not None and attempt is not first:
            attempt.sock.close()
    return first.sock if first is not None else None


def _judge(config: Config, attempt: Attempt, limits: Limits, via: Place | None, *, others: bool) -> Step:
    where = f"{attempt.address} port {via.port if via else config.port}" + (", by loncVia" if via else "")
    if attempt.sock is not None:
        return Step("connect", Verdict.OK, f"connected to {where}", seconds=attempt.seconds)
    late = attempt.code == errno.ETIMEDOUT
    why = f"no connection within {limits.connect_s:g} s" if late else os.strerror(attempt.code).lower()
    remedy = _REMEDIES.get(attempt.code, "look at the network between the two servers")
    if via is not None:
        remedy = "look at the tunnel first: its own end here must run, and listen where loncVia says"
    verdict = Verdict.WARNING if others else Verdict.BAD  # lonc goes on to the next address
    return Step("connect", verdict, f"{where}: {why}", remedy, attempt.seconds)
