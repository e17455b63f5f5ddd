"""Tells the local lonc that a peer may be back: USR1, since that peer has just connected to us (lond.md 1).

A worker only says whom it serves; the parent decides, so that it is once per client and minute whatever the
number of links. A pid is signalled only when its process holds lonc's lock, or is a living original.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Collection

from lonc.config import Config
from lonc.lonnet.waking import find_lonc
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.logs import Log, Severity

WAKE_EVERY_S = 60.0


class Waker:
    """Sends USR1 to lonc, rarely enough."""

    def __init__(self, config: Config, files: Files, clock: Clock, log: Log) -> None:
        self._config = config
        self._files = files
        self._clock = clock
        self._log = log
        self._woken: dict[str, float] = {}  # by client: monotonic seconds of the last signal

    def connected(self, client: str, own: Collection[str]) -> bool:
        """Return whether lonc was signalled: a client has connected. own: ids that never count."""
        now = self._clock.monotonic()
        if client in own or now - self._woken.get(client, -WAKE_EVERY_S) < WAKE_EVERY_S:
            return False
        pid = find_lonc(self._config, self._files)
        if not pid:
            return False
        self._woken[client] = now
        try:
            os.kill(pid, signal.SIGUSR1)
        except OSError as error:
            text = f"lonc, process {pid}, cannot be told about {client}: {error.strerror}"
            self._log.write(text, Severity.WARNING)
            return False
        return True
