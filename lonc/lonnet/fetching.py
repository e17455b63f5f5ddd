"""Owns one HTTP GET from one known server into an open file, bounded in time and in size.

The URL comes from another server, so it is believed in little: it must name that very server, with a path
below `/raw/`. The connection goes to the address that hosts.tab has (the same that lonc dials), never where
a name server or a proxy setting of the environment would lead it; a redirect is an error and not followed.
Source: spec lonnet_loncron.md.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
import urllib.parse
from dataclasses import dataclass
from typing import Any, Final

from lonc.config import Host
from lonc.errors import LoncError
from lonc.system.files import Files, write_all

RAW: Final = "/raw/"
_URL: Final = re.compile(
    rb"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::([0-9]{1,5}))?(/raw/[^\x00-\x20\x7f?#\\]+)", re.IGNORECASE
)
_CHUNK: Final = 1 << 16
# What may stand in a path as it is; `%` too, since what is escaped already must not be escaped again.
_PLAIN: Final = "/%-._~!$&'()*+,;=:@"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one copy may take: seconds in all, seconds without a byte, bytes of a file."""

    whole_s: float = 240.0  # a request through lonc may take 300 s (loncRequestTimeout)
    stall_s: float = 20.0
    size: int = 1 << 30


class FetchError(LoncError):
    """Nothing usable was fetched. status: that of the server's answer, 0 when there was none to judge."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was checked: where to connect, and what to ask for."""

    secure: bool
    connect_to: str
    host: str
    port: int
    path: str

    def beside(self, suffix: str) -> Target:
        """Return the target whose path has a suffix, such as `.meta`."""
        return Target(self.secure, self.connect_to, self.host, self.port, self.path + suffix)


def target_of(url: bytes, host: Host) -> Target:
    """Return where a URL leads that a host has sent, which must be to itself and below `/raw/`.

    Raises FetchError for any other: another host, another scheme, plain http where hosts.tab says https, a user
    or a question in it, `..` in its path, characters that belong in no URL. Any port of that host is allowed.
    """
    match = _URL.fullmatch(url)
    if not match:
        raise FetchError("the home server's URL is none of a raw file")
    secure = match[1].lower() == b"https"
    name = match[2].decode("ascii").lower()
    if name.strip("[]") not in (host.name.lower(), host.address.lower()):
        raise FetchError("the home server's URL leads to another server")
    if host.protocol == "https" and not secure:
        raise FetchError("the home server's URL is not https as hosts.tab says")
    port = int(match[3]) if match[3] else 443 if secure else 80
    path = urllib.parse.quote(match[4], safe=_PLAIN)
    if not 1 <= port <= 65535 or ".." in urllib.parse.unquote(path).split("/"):
        raise FetchError("the home server's URL is none of a raw file")
    return Target(secure, host.address or host.name, name, port, path)


def fetch(target: Target, files: Files, fd: int, *, until: float, bounds: Bounds) -> None:
    """Write what the server answers into fd, from where it stands; until: monotonic seconds.

    Raises FetchError: no answer with status 200, an answer cut short or without a length, too long or too
    slow; and OSError where fd cannot be written. fd then holds an unknown part.
    """
    with _connected(target, until, bounds.stall_s) as sock, _ask(target, sock) as answer:
        left = bounds.size
        while chunk := _next_chunk(answer):
            left -= len(chunk)
            if left < 0:
                raise FetchError(f"the file has more than {bounds.size} bytes")
            write_all(files, fd, chunk)
        if answer.length:
            raise FetchError("the answer broke off: it is shorter than it said")


def _ask(target: Target, sock: socket.socket) -> http.client.HTTPResponse:
    default = 443 if target.secure else 80
    name = target.host if target.port == default else f"{target.host}:{target.port}"
    try:
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = sock
        connection.request("GET", target.path, headers={"Host": name, "Connection": "close", "User-Agent": "lonc"})
        answer = connection.getresponse()
    except (http.client.HTTPException, OSError) as error:
        raise FetchError(f"no answer of the web server: {_why(error)}") from error
    if answer.status != http.client.OK:
        raise FetchError(f"the web server answered {answer.status}", answer.status)
    if answer.length is None and not answer.chunked:
        raise FetchError("the answer has no length, so a cut one could not be told from a whole one")
    return answer


def _next_chunk(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read(_CHUNK)
    except (http.client.HTTPException, OSError) as error:
        raise FetchError(f"the answer broke off: {_why(error)}") from error


def _why(error: Exception) -> str:
    """Return why in words; never what the other side has sent."""
    return getattr(error, "strerror", None) or type(error).__name__


def _connected(target: Target, until: float, stall_s: float) -> socket.socket:
    """Return a socket to the target on which no read takes longer than it may."""
    try:
        raw = socket.create_connection((target.connect_to, target.port), timeout=_left(until, stall_s))
        if not target.secure:
            plain = _TimedSocket(raw.family, raw.type, raw.proto, fileno=raw.detach())
            plain.until, plain.stall_s = until, stall_s
            plain.settimeout(stall_s)
            return plain
        with raw:
            context = ssl.create_default_context()
            context.sslsocket_class = _TimedTls
            raw.settimeout(_left(until, stall_s))
            secured = context.wrap_socket(raw, server_hostname=target.host.strip("[]"))
        assert isinstance(secured, _TimedTls)
        secured.until, secured.stall_s = until, stall_s
    except (OSError, ValueError) as error:  # ValueError: a name that TLS cannot have
        raise FetchError(f"the web server cannot be reached: {_why(error)}") from error
    return secured


def _left(until: float, stall_s: float) -> float:
    left = min(stall_s, until - time.monotonic())
    if left <= 0.0:
        raise TimeoutError("the time limit is over")
    return left


class _TimedSocket(socket.socket):
    """A socket whose reads end by a moment however slowly the bytes drip, and after a pause between them."""

    until: float
    stall_s: float

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(_left(self.until, self.stall_s))
        return super().recv_into(*arguments)


class _TimedTls(ssl.SSLSocket):
    """The same, encrypted."""

    until: float
    stall_s: float

    def recv_into(self, *arguments: Any) -> int:
        self.settimeout(_left(self.until, self.stall_s))
        return super().recv_into(*arguments)
