"""What workers tell their parent: who has connected, who was refused, whose link ended for a fault of its own.

Told here and not by the workers, so that one client that tries again and again is one line in ten minutes
whichever workers it meets, and lonc is woken once.
"""

from __future__ import annotations

from typing import Final

from lonc.lond.clients import own_hosts
from lonc.lond.house import House
from lonc.lond.service import CONNECTED, FAULT, STRANGER
from lonc.lond.wake import Waker
from lonc.system.logs import RepeatedWarnings, Severity, clean

MOST_STRANGERS: Final = 4096  # addresses remembered; then the memory begins anew


class Tidings:
    """Takes the words of all workers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._waker = Waker(house.config, house.files, house.clock, house.log)
        self._repeats = RepeatedWarnings(house.clock)
        self._told: set[str] = set()

    def take(self, _worker: str, word: bytes) -> None:
        """Do what a worker's word is for."""
        text = word.decode("utf-8", "replace")
        kind, _, rest = text.partition(":")
        if word.startswith(CONNECTED):
            self._waker.connected(rest, own_hosts(self._house.config, self._house.hosts))
        elif word.startswith(STRANGER):
            address = clean(rest, 64)
            self._warn(address, kind, f"Unknown client refused: {address} is in no line of hosts.tab")
        elif word.startswith(FAULT):
            client, _, more = rest.partition(":")
            address, _, why = more.rpartition(":")
            self._warn(client, why, f"Link of {client} ({address}) ended: {why}")

    def _warn(self, who: str, reason: str, text: str) -> None:
        if who not in self._told and len(self._told) >= MOST_STRANGERS:
            self._told.clear()
            self._repeats = RepeatedWarnings(self._house.clock)
        self._told.add(who)
        line = self._repeats.pass_on(who, reason, text)
        if line is not None:
            self._house.log.write(line, Severity.WARNING)
