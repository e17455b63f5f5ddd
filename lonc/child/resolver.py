"""Host names resolved off the loop: one thread at a time, its result told through a socket pair.

getaddrinfo cannot be interrupted, so a look-up that hangs is left behind: until it comes back no other is
started, and whoever asks next gets its answer. A child never forks, so a thread is safe here; it lives for
one look-up, with every signal blocked, and os._exit does not wait for it. It is started by `_thread`, since
`threading` would repair its own locks after every fork, which makes each child own 130 KiB more.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Callable

from lonc.loop import Loop
from lonc.system import signals

Address = tuple[int, str]  # address family, numeric address
LookUp = Callable[[str], list[Address]]
MOST_ADDRESSES = 16  # of one name: each may cost a dial loncConnectTimeout


def numeric(text: str) -> Address | None:
    """Return an IPv4 or IPv6 address with its family, None when text is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6, text)


def look_up(name: str) -> list[Address]:
    """Return the addresses of a host name in the resolver's order; blocks. Raises OSError when there is none."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found)
    return list(addresses)[:MOST_ADDRESSES]


class Resolver:
    """Asks for the addresses of one name; the answer comes by callback from the loop."""

    def __init__(self, loop: Loop, look_up: LookUp = look_up) -> None:
        self._loop = loop
        self._look_up = look_up
        self._ends: tuple[socket.socket, socket.socket] | None = None
        self._result: list[Address] | str = ""
        self._callback: Callable[[list[Address] | str], None] | None = None
        self._busy = False

    def ask(self, name: str, callback: Callable[[list[Address] | str], None]) -> bool:
        """Have callback(addresses, or the error's text) called once from the loop; the look-up is off it.

        False: an earlier look-up still hangs, and its answer is what callback will get. Raises OSError when
        there is no descriptor or no thread to be had; nothing is called then.
        """
        if self._busy:
            self._callback = callback
            return False
        if self._ends is None:
            ends = socket.socketpair()
            ends[0].setblocking(False)
            self._loop.watch(ends[0], self._answered)
            self._ends = ends
        try:
            _thread.start_new_thread(self._work, (name, self._ends[1]))
        except RuntimeError as error:  # the one error that a thread which cannot be started has
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
        self._busy = True
        self._callback = callback
        return True

    def _work(self, name: str, end: socket.socket) -> None:
        signals.block_all()
        try:
            self._result = self._look_up(name) or "no address"
        except (OSError, UnicodeError) as error:  # a name that IDNA refuses is a UnicodeError
            self._result = str(error)
        with contextlib.suppress(OSError):
            end.send(b".")

    def _answered(self, _mask: int) -> None:
        assert self._ends is not None
        self._ends[0].recv(16)
        self._busy = False
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(self._result)
