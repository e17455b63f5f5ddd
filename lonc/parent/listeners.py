"""The listening sockets, one per peer: made, kept over a restart, removed. The parent never accepts on them.

A socket file is the parent's as long as it is the inode that the parent made: only that one is ever removed.
What lies at the path before is removed only if it is a socket (we hold the lock, so nobody living owns it,
but a killed daemon's orphan that is about to leave); anything else stays and that peer is refused.
Sources: files.md 2, lonc.md 2 and 9.1, promises.md P15, P29.
"""

from __future__ import annotations

import array
import errno
import os
import socket
import stat
from dataclasses import dataclass

from lonc.config import Config
from lonc.system.files import Files, kind_of

BACKLOG = 4096  # with 10 a storm of clients gets EAGAIN from connect (lonc.md 9.1); the kernel caps it
SOCKET_UMASK = 0o117  # what is left of 0777 is 0660, from the first moment


@dataclass(frozen=True, slots=True)
class Listener:
    """One listening socket and the file that it made."""

    path: str
    sock: socket.socket
    device: int
    inode: int


class Listeners:
    """All listening sockets of the parent, by peer."""

    def __init__(self, config: Config, files: Files) -> None:
        self._config = config
        self._files = files
        self._open: dict[str, Listener] = {}
        self._left: dict[str, Listener] = {}  # in a child: what its numbers were is closed
        self._numbers = array.array("i")  # of the descriptors of what is open

    def __contains__(self, peer: str) -> bool:
        return peer in self._open

    def get(self, peer: str) -> socket.socket:
        """Return a peer's socket; KeyError when it has none."""
        return self._open[peer].sock

    def all(self) -> dict[str, Listener]:
        """Return what is open, by peer."""
        return dict(self._open)

    def prepare_directory(self) -> list[str]:
        """Make lonSockDir (0700) if it is missing; return what is worth a warning. Raises OSError."""
        path = self._config.sock_dir
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            os.makedirs(path, 0o700)
            return []
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
        if mode & stat.S_IXOTH:
            shown = f"mode {stat.S_IMODE(mode):04o}"
            return [f"{path} can be entered by every user of this machine ({shown}); the sockets are 0660"]
        return []

    def open(self, peer: str) -> None:
        """Make the peer's socket unless there is one. Raises OSError, with the reason, when it cannot be made."""
        if peer in self._open:
            return
        path = self._config.socket_path(peer)
        self._remove_stale(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            mask = os.umask(SOCKET_UMASK)
            try:
                sock.bind(path)
            finally:
                os.umask(mask)
            facts = self._files.lstat(path)
            sock.listen(BACKLOG)
        except BaseException:
            sock.close()
            raise
        self._open[peer] = Listener(path, sock, facts.st_dev, facts.st_ino)
        self._numbers.append(sock.fileno())

    def _remove_stale(self, path: str) -> None:
        try:
            mode = self._files.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise FileExistsError(errno.EEXIST, f"{kind_of(mode)} lies there, which is left alone", path)
        self._files.unlink(path)

    def adopt(self, peer: str, fd: int, device: int, inode: int) -> bool:
        """Take over a socket that came over exec; False, and fd is closed, unless it is just what it should be.

        It must listen, be bound to this peer's path, and its file must still stand there.
        """
        path = self._config.socket_path(peer)
        try:
            fits = self._fits(fd, path, device, inode)
        except OSError:
            fits = False
        if not fits:
            close_quietly(fd)
            return False
        os.set_inheritable(fd, False)
        self._open[peer] = Listener(path, socket.socket(fileno=fd), device, inode)
        self._numbers.append(fd)
        return True

    def _fits(self, fd: int, path: str, device: int, inode: int) -> bool:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        probe = socket.socket(fileno=os.dup(fd))
        with probe:
            listens = probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
            if not listens or probe.family is not socket.AF_UNIX or probe.getsockname() != path:
                return False
        facts = self._files.lstat(path)
        return (facts.st_dev, facts.st_ino) == (device, inode)

    def close(self, peer: str) -> None:
        """Close the peer's socket, if any, and remove its file: a connect fails from now on."""
        listener = self._open.pop(peer, None)
        if listener is None:
            return
        try:
            facts = self._files.lstat(listener.path)
            if (facts.st_dev, facts.st_ino) == (listener.device, listener.inode):
                self._files.unlink(listener.path)
        except OSError:
            pass  # gone, or its directory is: then nobody can connect to it either
        self._numbers.remove(listener.sock.fileno())
        listener.sock.close()

    def close_all(self) -> None:
        """Close every socket and remove its file."""
        for peer in list(self._open):
            self.close(peer)

    def leave_to_child(self, peer: str) -> socket.socket:
        """In a forked child: close every socket but this peer's, touch no file, and return that one.

        The others are closed by number alone, and their objects kept for good: to touch a thousand of them would
        make the pages that hold them this child's own.
        """
        own = self._open[peer].sock
        kept = own.fileno()
        for fd in self._numbers:
            if fd != kept:
                os.close(fd)
        self._left, self._open = self._open, {}
        return own


def close_quietly(fd: int) -> None:
    """Close a descriptor that may be none."""
    try:
        os.close(fd)
    except OSError:
        return
