"""How a test gives orders to a fake process: lines of JSON on a UNIX socket, each answered by one."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Callable

Order = dict[str, object]


def answer_orders(control: socket.socket, obey: Callable[[Order], Order]) -> None:
    """Accept one connection and answer every line of it with what `obey` returns.

    A test asks one question at a time and waits for its answer, so this may block on it.
    """
    sock, _address = control.accept()
    with sock, sock.makefile("rwb") as stream, contextlib.suppress(OSError):
        sock.settimeout(5)
        for line in stream:
            try:
                answer = obey(json.loads(line))
            except OSError as error:  # what the kernel refuses is the test's to hear
                answer = {"error": str(error)}
            stream.write(json.dumps(answer).encode() + b"\n")
            stream.flush()
