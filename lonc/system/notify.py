"""Owns what a service manager is told: that the daemon serves, restarts, ends, and that its loop still turns.

The protocol is one datagram of lines `NAME=value` to the UNIX socket that the environment names, so it is spoken
here by hand: no library, no descriptor that stays open between two messages, nothing at all where nobody listens.
Only a daemon in the foreground speaks. One that leaves its starter may have been started by a part of another
service (a watchdog below the web server), whose manager must not take it for that service's main process.

    NOTIFY_SOCKET   where to; a path, or `@name` for an abstract address
    WATCHDOG_USEC   a sign of life is wanted within so many microseconds
    WATCHDOG_PID    ... from this process; absent: from whoever reads it

The environment stays as it is over a restart in place, whose new self has the same process id and so goes on.
Source: sd_notify(3), sd_watchdog_enabled(3), the section "Standalone Implementations" of the first.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, MutableMapping
from typing import Final

from lonc.system.clock import Clock
from lonc.system.shown import printable

NAMES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
PULSES: Final = 3  # signs of life within the time that one is wanted in: two may be late or lost
SEND_TIMEOUT_S: Final = 2.0  # of a message that the manager waits for; its queue may be full for a moment
_SHOWN: Final = 300  # characters of a status text
_LONGEST_US: Final = 10**15  # some 30 years; a greater number is no limit that anybody meant


class Overseer:
    """Whoever started this daemon as a service. Without an address every method does nothing.

    watchdog_s: seconds within which a sign of life is wanted; 0: none is. trouble: why the last message could not
    be sent, '' when it was.
    """

    def __init__(self, address: str, watchdog_s: float, clock: Clock) -> None:
        self.address = address
        self.watchdog_s = watchdog_s if address else 0.0
        self.trouble = ""
        self._clock = clock
        self._next_pulse = 0.0  # at once: a new self may have used up much of the time
        self._status = ""

    @classmethod
    def of(cls, environ: Mapping[str, str], clock: Clock, *, foreground: bool) -> Overseer:
        """Return the one that the environment names; a silent one in the background, or where it names none."""
        address = environ.get("NOTIFY_SOCKET", "") if foreground else ""
        if address[:1] not in ("/", "@") or len(address) < 2:
            address = ""
        return cls(address, _watchdog_s(environ), clock)

    def ready(self, status: str) -> bool:
        """Tell that the daemon serves: after a start, after a restart, and after one that was refused.

        status: one line for people. Return whether it could be told; `trouble` says why not.
        """
        return self._message("READY=1", f"MAINPID={os.getpid()}", _status_line(status))

    def reloading(self, status: str) -> bool:
        """Tell that a restart has begun; ready() is what ends it."""
        now_us = int(self._clock.monotonic() * 1e6)
        return self._message("RELOADING=1", f"MONOTONIC_USEC={now_us}", _status_line(status))

    def stopping(self, status: str) -> bool:
        """Tell that the end has begun."""
        return self._message("STOPPING=1", _status_line(status))

    def show(self, status: str) -> bool:
        """Tell what the daemon is doing, if that is something new."""
        if status == self._status:
            return True
        self._status = status
        return self._message(_status_line(status))

    def pulse(self, now: float, status: Callable[[], str] | None = None) -> float | None:
        """Give the sign of life if it is due; return when the next one is (monotonic seconds), None: never.

        To be called from the turn of the loop, so that it stops when that does. status: asked, when the sign is
        given, for what show() is to tell with it.
        """
        if not self.watchdog_s:
            return None
        if now >= self._next_pulse:
            self._next_pulse = now + self.watchdog_s / PULSES
            lines = ["WATCHDOG=1"]
            text = status() if status is not None else self._status
            if text != self._status:
                self._status = text
                lines.append(_status_line(text))
            self._send("\n".join(lines), 0.0)  # never waited for: the next one comes in time
        return self._next_pulse

    def forget(self, environ: MutableMapping[str, str]) -> None:
        """In a forked child: be silent, and leave nothing in the environment for what it may start."""
        if self.address:
            self.address, self.watchdog_s = "", 0.0
            for name in NAMES:
                environ.pop(name, None)

    def _message(self, *lines: str) -> bool:
        return self._send("\n".join(lines), SEND_TIMEOUT_S)

    def _send(self, text: str, timeout_s: float) -> bool:
        if not self.address:
            return True
        address = f"\0{self.address[1:]}" if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(timeout_s)
                sock.connect(os.fsencode(address))
                sock.send(text.encode("utf-8", "replace"))
        except (OSError, ValueError) as error:  # the manager is gone or being renewed: serving matters more
            self.trouble = _reason(error)
            return False
        self.trouble = ""
        return True


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def without(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment for a program that is no part of the service's talk with its manager."""
    return {name: value for name, value in environ.items() if name not in NAMES}


def _status_line(text: str) -> str:
    """Return a status for people as one line, whatever was in it."""
    return f"STATUS={printable(' '.join(text.split()), _SHOWN)}"


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """Return within how many seconds a sign of life of this process is wanted; 0.0 when none is."""
    pid, wanted_us = environ.get("WATCHDOG_PID", ""), environ.get("WATCHDOG_USEC", "")
    if pid and pid != str(os.getpid()):
        return 0.0
    number = int(wanted_us) if wanted_us.isascii() and wanted_us.isdecimal() and len(wanted_us) < 17 else 0
    return number / 1e6 if number <= _LONGEST_US else 0.0
