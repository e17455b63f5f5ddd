"""Owns `connected`: whether another server's web server reaches a third one, as its ping page says (lonc.md 8)."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import urllib.error
import urllib.request

from lonc.config import Host

LIMIT_S = 10.0
_FIRST_LINE_BYTES = 1024
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")


def cleaned(host_id: str) -> str:
    """Return an id without what cannot be in one (`.` and `-` can: the original takes them off as well)."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", host_id)


def ping_page(local: Host, remote: str, *, port: int = 80, limit_s: float = LIMIT_S) -> str:
    """Return `ok`, `local_error` (no page), or else the first line of what the web server of `local` answered.

    GET http://<host name>/cgi-bin/ping.pl?<remote>; `ok` when the first line, word characters only, is the id.
    limit_s: seconds for each step (connecting, a read) and, by cutting the connection, for all of it. No proxy
    of the environment is used. At most 1 KiB is looked at.
    """
    where = local.name if port == 80 else f"{local.name}:{port}"
    url = f"http://{where}/cgi-bin/ping.pl?{remote}"
    bounded = _Bounded(limit_s)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), bounded)
    try:
        with opener.open(url, timeout=limit_s) as answer:
            line = answer.readline(_FIRST_LINE_BYTES).decode("utf-8", "replace").strip("\r\n")
    except (OSError, http.client.HTTPException, ValueError):  # urllib's own errors are OSError
        return "local_error"
    finally:
        bounded.end()
    return "ok" if _FOREIGN.sub("", line) == _FOREIGN.sub("", remote) else line


class _Bounded(urllib.request.HTTPHandler):
    """Opens connections that are cut when their time is over, however slowly they drip."""

    def __init__(self, limit_s: float) -> None:
        super().__init__()
        self._limit_s = limit_s
        self._timers: list[threading.Timer] = []

    def end(self) -> None:
        """Cut nothing any more: all is read."""
        for timer in self._timers:
            timer.cancel()

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open one; see HTTPHandler."""
        limit_s, timers = self._limit_s, self._timers

        class Connection(http.client.HTTPConnection):
            def connect(self) -> None:
                super().connect()
                timer = threading.Timer(limit_s, _cut, [self.sock])
                timer.daemon = True
                timers.append(timer)
                timer.start()

        return self.do_open(Connection, req)


def _cut(there: socket.socket) -> None:
    try:
        there.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # closed already
