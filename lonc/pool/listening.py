"""The sockets that a pool listens on: made, and what of them lies in the file system removed again.

A UNIX path that exists is taken over only if it is a socket on which a connect is refused: a living server
keeps its path, and a file of another kind is never removed.
"""

from __future__ import annotations

import errno
import os
import socket
import stat

from lonc.errors import StartError
from lonc.system.files import kind_of

BACKLOG = 4096  # the kernel caps it
UNIX_MODE = 0o660
LOOK_S = 2.0  # what a server gets to answer a connect on a path that may be stale


def listen_tcp(host: str, port: int, *, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens on an address of this machine (IPv4 or IPv6); port 0: a free one.

    host "" or "*": every address, by IPv6 and IPv4 where the kernel has both. StartError says why it cannot.
    """
    everywhere = host in ("", "*")
    try:
        if everywhere and socket.has_dualstack_ipv6():
            return _listening(socket.AF_INET6, ("::", port), backlog, dual=True)
        found = socket.getaddrinfo(
            "0.0.0.0" if everywhere else host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _kind, _proto, _name, address = found[0]
        return _listening(family, address, backlog)
    except OSError as error:
        raise StartError(f"cannot listen on {host or '*'} port {port}: {error.strerror or error}") from error


def _listening(family: int, address: tuple[object, ...], backlog: int, *, dual: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual)
        sock.bind(address)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def listen_unix(path: str, *, mode: int = UNIX_MODE, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens at path; a stale one there is removed only after a connect to it was refused.

    StartError: something else lies there, somebody serves it, or it cannot be made.
    """
    try:
        _remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            before = os.umask(0o777 & ~mode)  # right from the first moment
            try:
                sock.bind(path)
            finally:
                os.umask(before)
            sock.listen(backlog)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise StartError(f"cannot listen at {path}: {error.strerror or error}") from error
    return sock


def _remove_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise FileExistsError(errno.EEXIST, f"{kind_of(found.st_mode)} lies there, which is left alone", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(LOOK_S)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except FileNotFoundError:
            return
        except OSError:  # a full backlog, a stream of another kind: somebody holds it
            pass
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)


class OwnPath:
    """A UNIX path that a listener of this process has made; only that very file is ever removed."""

    def __init__(self, listener: socket.socket) -> None:
        self.path = ""
        self._inode = (0, 0)
        name = listener.getsockname() if listener.family is socket.AF_UNIX else ""
        if isinstance(name, str) and name:  # bytes: an abstract name, which lies in no directory
            facts = os.lstat(name)
            self.path, self._inode = os.path.abspath(name), (facts.st_dev, facts.st_ino)

    def remove(self) -> None:
        """Remove the file if it is still the one; no error when it is gone."""
        if not self.path:
            return
        try:
            facts = os.lstat(self.path)
            if (facts.st_dev, facts.st_ino) == self._inode:
                os.unlink(self.path)
        except OSError:
            return
