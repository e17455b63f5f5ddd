"""Owns the cut line: has the kernel drop all that comes for a socket before TCP sees it. Needs no privileges.

Nothing is acknowledged any more, and a connect is not answered: what a pulled cable looks like from the other end.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27  # asm-generic/socket.h
BPF_RETURN_0 = struct.pack("HBBI", 0x06, 0, 0, 0)  # a filter that keeps no byte of any packet


def set_deaf(sock: socket.socket, wanted: bool) -> None:
    """Cut the line to this socket, or mend it; mending one that is not cut does nothing."""
    if wanted:
        code = ctypes.create_string_buffer(BPF_RETURN_0)
        program = struct.pack("HL", 1, ctypes.addressof(code))
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    else:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
