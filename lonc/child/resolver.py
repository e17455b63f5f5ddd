"""Host names resolved off the loop: one thread at a time, its result told through a socket pair.

getaddrinfo cannot be interrupted, so a look-up that hangs is left behind: until it comes back no other is
started, and the last good addresses are used. A child never forks, so a thread is safe here; it lives for
one look-up, with every signal blocked, and is a daemon thread: os._exit does not wait for it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable

from lonc.loop import Loop
from lonc.system import signals

Address = tuple[int, str]  # address family, numeric address
LookUp = Callable[[str], list[Address]]


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
    return list(dict.fromkeys((int(family), str(where[0])) for family, _, _, _, where in found))


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
        """Have callback(addresses, or the error's text) called from the loop; False while one still hangs."""
        self._callback = callback
        if self._busy:
            return False
        if self._ends is None:
            self._ends = socket.socketpair()
            self._ends[0].setblocking(False)
            self._loop.watch(self._ends[0], self._answered)
        self._busy = True
        threading.Thread(target=self._work, args=(name, self._ends[1]), daemon=True).start()
        return True

    def forget(self) -> None:
        """Call nobody back for the look-up under way: its time is over."""
        self._callback = None

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
