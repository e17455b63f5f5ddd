"""What is set on and read from a link's TCP socket, so that a dead link is found and a slow one is kept (P28).

Three cases, one limit (loncLinkKeepalive). Idle: keepalive probes. Data that is not acknowledged:
TCP_USER_TIMEOUT, since keepalive finds nothing then. A window that the peer has closed: lond reads nothing
while it is at work on one request, and that is its right for loncRequestTimeout. TCP_USER_TIMEOUT would end
such a link although every probe is answered, so it is lifted while the window is closed, and the probes
are judged here instead.
"""

from __future__ import annotations

import socket
import struct

from lonc.system.tcp import set_link_options, set_option

LOOKS_PER_LIMIT = 4  # while requests are in flight
_RTO_MAX_MS = 44  # TCP_RTO_MAX_MS of Linux 6.15: also the longest pause between two probes of a closed window
_SILENT_PROBES = 2
# struct tcp_info of linux/tcp.h: probes, unacked, last_ack_recv (ms), notsent_bytes
_INFO = struct.Struct("3x B 20x I 28x I 84x I")


class LinkSocketWatch:
    """The options of one link's socket. Options that a kernel lacks cost their effect only."""

    def __init__(self, sock: socket.socket, limit_s: float) -> None:
        """Set everything on a socket that is not connected yet. limit_s: loncLinkKeepalive."""
        self._sock = sock
        self._limit_s = max(1, round(limit_s))
        self._lifted = False
        set_link_options(sock, self._limit_s)
        self._set(socket.IPPROTO_TCP, _RTO_MAX_MS, max(1000, self._limit_s * 1000 // LOOKS_PER_LIMIT))

    def _set(self, level: int, option: int, value: int) -> None:
        set_option(self._sock, level, option, value)

    def peer_lives(self) -> bool:
        """Look at a closed window: lift or restore the kernel's limit; return whether probes are answered.

        True as well when the window is open (then the kernel finds a dead peer) or nothing can be read. To be
        called LOOKS_PER_LIMIT times in the limit while requests are in flight.
        """
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
            probes, unacked, last_ack_ms, unsent = _INFO.unpack(info)
        except (OSError, struct.error):  # a kernel before 4.6 has a shorter one
            return True
        closed = unsent > 0 and unacked == 0
        if closed != self._lifted:
            self._lifted = closed
            self._set(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 0 if closed else self._limit_s * 1000)
        silent_ms = self._limit_s * 1000 * (LOOKS_PER_LIMIT - 1) / LOOKS_PER_LIMIT
        return not (closed and probes >= _SILENT_PROBES and last_ack_ms > silent_ms)
