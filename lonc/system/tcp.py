"""Owns the options of a TCP link at either end: a dead one is found, and a small line goes at once.

Keepalive finds a dead link that is idle, TCP_USER_TIMEOUT one with data that is not acknowledged: keepalive
finds nothing then (promises.md P28). Options that a kernel lacks cost their effect only.
"""

from __future__ import annotations

import contextlib
import socket


def set_option(sock: socket.socket, level: int, option: int, value: int) -> None:
    """Set one option if the kernel has it."""
    with contextlib.suppress(OSError):
        sock.setsockopt(level, option, value)


def set_link_options(sock: socket.socket, limit_s: float) -> None:
    """Have the kernel end this link when its other side has been silent for limit_s seconds (at least 1)."""
    limit = max(1, round(limit_s))
    set_option(sock, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    set_option(sock, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # small requests go at once (lonc.md 9.9)
    set_option(sock, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, limit // 2))
    set_option(sock, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, limit // 6))
    set_option(sock, socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
    set_option(sock, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit * 1000)
