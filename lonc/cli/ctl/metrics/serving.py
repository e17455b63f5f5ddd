"""Serves the metrics over HTTP to this machine alone: a UNIX socket, or an address of the loopback.

One request after the other: a scrape takes a moment, and nobody can have the board read a hundred times at once.
A client that says nothing is dropped after CLIENT_LIMIT_S. Each request takes a snapshot of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import stat
from collections.abc import Callable
from socketserver import UnixStreamServer
from types import FrameType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

from lonc.config.model import SOCKET_PATH_LIMIT
from lonc.errors import LoncError

CLIENT_LIMIT_S = 5.0
SOCKET_MODE = 0o660


class CannotServe(LoncError):
    """The place cannot be served at; the text says why."""


class _Ended(Exception):
    """TERM or INT came; raised between two requests only, since the library swallows what comes in one."""


class _Server(WSGIServer):
    """A server that ends when it was asked to."""

    ended = False

    def service_actions(self) -> None:
        """Look, between two waits, whether the end was asked for."""
        if self.ended:
            raise _Ended

    def end(self, _signum: int, _frame: FrameType | None) -> None:
        """Note that the end was asked for: a signal's handler."""
        self.ended = True


class _Handler(WSGIRequestHandler):
    """One request; nothing is logged, since a scrape every few seconds is no news."""

    timeout = CLIENT_LIMIT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Log nothing."""

    def address_string(self) -> str:
        """Return who asks, without asking the resolver."""
        return str(self.client_address[0])


class _TcpServer(_Server):
    def server_bind(self) -> None:
        """Bind without asking the resolver what the loopback is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Tcp6Server(_TcpServer):
    address_family = socket.AF_INET6


class _UnixServer(_Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        """Bind with the mode that the socket is to have from its first moment."""
        before = os.umask(0o777 & ~SOCKET_MODE)
        try:
            UnixStreamServer.server_bind(self)
        finally:
            os.umask(before)
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Return the next client, with an address as the library wants one: a UNIX socket has none."""
        return self.socket.accept()[0], ("local", 0)


def serve(where: str, registry: CollectorRegistry, ready: Callable[[str], None]) -> None:
    """Serve until TERM or INT comes; ready is called with the address when clients are accepted.

    Raises CannotServe.
    """
    try:
        server, path = _listening(where)
    except OSError as error:
        raise CannotServe(f"{where}: {error.strerror or error}") from error
    with server:
        server.set_app(make_wsgi_app(registry))
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, server.end)
        try:
            ready(f"unix:{path}" if path else f"{_bracketed(server.server_name)}:{server.server_port}")
            server.serve_forever()
        except _Ended:
            pass
        finally:
            if path:
                with contextlib.suppress(OSError):
                    os.unlink(path)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _listening(where: str) -> tuple[_Server, str]:
    """Return the server and its UNIX socket's path ('': it has none)."""
    if where.startswith("unix:"):
        path = os.path.abspath(where.removeprefix("unix:"))
        if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
            raise CannotServe(f"{path}: longer than {SOCKET_PATH_LIMIT} bytes, the most a UNIX socket may have")
        _clear(path)
        return _UnixServer(path, _Handler), path  # type: ignore[arg-type]  # the stubs know TCP alone
    host, port = loopback(where)
    kind = _Tcp6Server if ":" in host else _TcpServer
    return kind((host, port), _Handler), ""


def loopback(where: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:PORT` or `[::1]:PORT`. Raises CannotServe for anything else."""
    host, colon, port = where.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise CannotServe(f"{where}: neither unix:PATH nor 127.0.0.1:PORT")
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        text = "only this machine may ask: give unix:PATH or 127.0.0.1:PORT, and let a web server guard the rest"
        raise CannotServe(f"{where} is not an address of the loopback; {text}")
    return host, int(port)


def _clear(path: str) -> None:
    """Remove a socket that nobody listens on any more; anything else at the name is an error."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise CannotServe(f"{path}: is there, and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CLIENT_LIMIT_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise CannotServe(f"{path}: another process serves there")
