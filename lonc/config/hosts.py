"""Owns the reading of hosts.tab into a HostTable.

A line is `id:domain:role:host name:address`; newer tables have `http` or `https` in place of the address
and perhaps an internet domain behind it. One bad line costs only itself: it is passed over and told. The
work is done on bytes, without a regular expression or an object per field, so that a table of 100,000
lines is read in a fraction of a second.
Source: spec files.md 2.
"""

from __future__ import annotations

import os
import re
import socket
from typing import Final

from lonc.config.apache import read_file, shown
from lonc.config.model import ID_ALLOWED, SOCKET_PATH_LIMIT, Config, Host, HostTable, valid_id
from lonc.config.via import unfit
from lonc.errors import ConfigError, Problem

# Every warning is counted by the watchdog and mailed about: a binary file must not make 100,000 of them.
WARNING_LIMIT: Final = 50
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})", re.ASCII)


class _Malformed(Exception):
    """A line that cannot be used; the text says why."""


def load_hosts(config: Config) -> HostTable:
    """Return the usable hosts of config.hosts_path, our own id included.

    Malformed lines, duplicated ids (the later line wins), socket paths that are too long (that host alone
    is refused) and the absence of our own id become warnings, at most WARNING_LIMIT and one that counts the
    rest. Raises ConfigError when the file cannot be read, no host in it is usable, or what loncVia
    and londVia name is not in it.
    """
    path = config.hosts_path
    try:
        data = read_file(path)
    except OSError as error:
        raise ConfigError([Problem(path, 0, f"cannot be read: {error.strerror or error}")]) from error
    return table_of(config, data)


def table_of(config: Config, data: bytes) -> HostTable:
    """Return what load_hosts would if data stood in config.hosts_path; for a table that is still to be checked."""
    path = config.hosts_path
    found, warnings = _read_lines(path, data)
    hosts: list[Host] = []
    refused: list[Host] = []
    for host in found.values():
        excess = len(os.fsencode(config.socket_path(host.id))) - SOCKET_PATH_LIMIT
        if excess > 0:
            text = f"{host.id} is refused: its socket path {config.socket_path(host.id)} is {excess} bytes "
            warnings.append(f"{path}: {text}longer than the {SOCKET_PATH_LIMIT} that are allowed")
        (refused if excess > 0 else hosts).append(host)
    if not hosts:
        raise ConfigError(_nothing_usable(path, warnings))
    wrong = unfit(config, found.values(), path)
    if wrong:
        raise ConfigError(wrong)
    if config.host_id not in found:
        warnings.insert(0, f"{path}: our own id {config.host_id} is not in the table")
    return HostTable(tuple(hosts), _bounded(path, warnings), tuple(refused), path)


def _nothing_usable(path: str, warnings: list[str]) -> list[Problem]:
    texts = [text.removeprefix(f"{path}:") for text in warnings[:5]]  # `12: ...`, or ` ...` of the whole file
    because = "".join(f";{text}" if text.startswith(" ") else f"; line {text}" for text in texts)
    return [Problem(path, 0, f"no usable host{because}")]


def _bounded(path: str, warnings: list[str]) -> tuple[str, ...]:
    more = len(warnings) - WARNING_LIMIT
    if more <= 0:
        return tuple(warnings)
    return (*warnings[:WARNING_LIMIT], f"{path}: {more} more lines like these were passed over")


def _read_lines(path: str, data: bytes) -> tuple[dict[str, Host], list[str]]:
    found: dict[str, Host] = {}
    lines: dict[str, int] = {}
    warnings: list[str] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        line = raw.strip()
        if not line or line[0] in b"#^":  # comment; name server of a newer network
            continue
        try:
            host = _parse(line)
        except _Malformed as error:
            warnings.append(f"{path}:{number}: malformed line passed over: {error}")
            continue
        if host is None:
            continue
        if host.id in found:
            before = lines[host.id]
            warnings.append(f"{path}:{number}: {host.id} stands already in line {before}; this one wins")
        found[host.id] = host
        lines[host.id] = number
    return found, warnings


def _parse(line: bytes) -> Host | None:
    """Return the host of a line, None for one without an address (the original skips it in silence too)."""
    fields = line.split(b":", 4)
    if len(fields) < 4:
        raise _Malformed(f"{len(fields)} of at least 4 fields with colons between them")
    rest = fields[4].strip() if len(fields) > 4 else b""
    if not rest or rest.startswith(b":"):
        return None
    host_id, domain, role, name = (_text(field) for field in fields[:4])
    if not valid_id(host_id):
        raise _Malformed(f"{shown(host_id)} is not {ID_ALLOWED}")
    word = rest.partition(b":")[0].strip()
    if rest.startswith(b"["):
        address = _address(rest[1:].partition(b"]")[0], socket.AF_INET6)
    else:
        address = "" if word in (b"http", b"https") else _address(word, socket.AF_INET)
    if not address and not _NAME.fullmatch(name):
        raise _Malformed(f"{host_id} has no address, and {shown(name)} is no name to resolve")
    return Host(host_id, domain, role, name, address, "https" if word == b"https" else "http")


def _address(word: bytes, family: int) -> str:
    """Return an address as text; a name in its place is malformed, since names stand in the fourth field."""
    text = word.decode("ascii", "backslashreplace")
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):
        allowed = "an IPv4 address, an IPv6 address in brackets, http or https"
        raise _Malformed(f"{shown(text)} is not {allowed}") from None
    return text


def _text(field: bytes) -> str:
    """Return a field for people: everything that is not printable ASCII escaped."""
    text = field.decode("ascii", "backslashreplace")
    return text if text.isprintable() else repr(text)[1:-1]
