"""Owns the rules for the delayed messages of one peer: none lost, in order, twice at most once for each fault."""

from __future__ import annotations

from collections import deque

PREFIX = "m."  # of the token of a message: `m.<peer>.<number>`, the number from 0 in the order of storing


class Messages:
    """What is known of one peer's messages; it remembers those that wait, and the latest execution alone.

    Every method returns the violations that it found, as sentences.
    """

    def __init__(self, peer: str) -> None:
        self.peer = peer
        self.stored = self.executed = self.doubles = self.faults = 0
        self._waiting: deque[str] = deque()  # in the order of their first executions to come
        self._passed: set[str] = set()  # of these, those told as passed over: they have no place in the order
        self._told: set[str] = set()  # all that were ever told as passed over; few
        self._latest = ("", "")  # token and link
        self._links: list[str] = []  # that carried messages, oldest first
        self._missed = 0

    @property
    def waiting(self) -> int:
        """Return how many messages were stored and not yet executed."""
        return len(self._waiting) + len(self._passed)

    def store(self, token: str) -> None:
        """Take a message that is kept now."""
        self.stored += 1
        self._waiting.append(token)

    @property
    def next(self) -> str:
        """Return the token that the next stored message must have."""
        return f"{PREFIX}{self.peer}.{self.stored}"

    def passed(self, token: str) -> None:
        """Take it that this message may be executed later than those behind it."""
        self._told.add(token)
        if token in self._waiting:
            self._waiting.remove(token)
            self._passed.add(token)

    def execute(self, token: str, link: str) -> list[str]:
        """Take one execution of a message."""
        owner, _, number = token.removeprefix(PREFIX).rpartition(".")
        if owner != self.peer:
            return [f"{self.peer}: executed message {token}, which is for {owner or 'nobody'}"]
        if not number.isdigit() or int(number) >= self.stored:
            return [f"{self.peer}: executed message {token}, which was never stored"]
        return self._by_link(token, link) + self._in_order(token, link)

    def _by_link(self, token: str, link: str) -> list[str]:
        if link in self._links[:-1]:
            return [f"{self.peer}: message {token} came on link {link} after {self._links[-1]} had taken over"]
        if self._links[-1:] != [link]:
            self._links = [*self._links[-7:], link]
        return []

    def _in_order(self, token: str, link: str) -> list[str]:
        if token not in self._passed and token not in self._waiting:
            return self._again(token, link)
        self.executed += 1
        self._latest = token, link
        if token in self._passed:
            self._passed.discard(token)
            return []
        first = self._waiting[0]
        self._waiting.remove(token)
        if first == token:
            return []
        return [f"{self.peer}: message {token} was executed before {first}, which was stored earlier"]

    def _again(self, token: str, link: str) -> list[str]:
        self.doubles += 1
        found = []
        if self.doubles > self.faults:
            found.append(f"{self.peer}: message {token} came twice: {self.doubles} doubles, {self.faults} faults")
        latest, carrier = self._latest
        if token != latest and token not in self._told:
            found.append(f"{self.peer}: message {token} came again after {latest}, which is a later one")
        if token == latest and link == carrier:
            found.append(f"{self.peer}: message {token} came again on link {link}, which was not lost")
        self._latest = latest, link
        return found

    def lost(self) -> list[str]:
        """Return the messages that were never executed, as violations: everything is over."""
        found = [*self._waiting, *sorted(self._passed)]
        return [f"{self.peer}: message {token} was stored and never executed" for token in found]
