"""Owns the check of a history: fed record by record, it says which promises were broken, by which tokens.

The rules: every stored message is executed (P2), for the first time in the order of its peer (P4), again at most
once for each fault of that peer and only the latest one (P3), never on an older link once a newer one has carried
any (P3); every complete request has exactly one line, its own or `con_lost`, in its client's order, or its
connection was closed when something was killed that closes it (P8, P9); an answered request was executed, by its
own peer, and none is executed twice; nothing is executed that nobody asked for or stored.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.history.messages import PREFIX, Messages
from tests.history.model import (
    CLOSING,
    DOUBLING,
    Asked,
    Closed,
    Executed,
    Fault,
    Got,
    Left,
    Passed,
    Record,
    Stored,
    Unsent,
)  # fmt: skip
from tests.history.requests import Requests

KEPT = 50  # sentences; the others are counted


class Checker:
    """One history. Its memory is what waits, what is unanswered, and the latest `remember` requests."""

    def __init__(self, remember: int = 100_000) -> None:
        self.violations: list[str] = []
        self.count = 0  # of violations, also beyond those that are kept
        self.faults = 0
        self.requests = Requests(remember)
        self.peers: dict[str, Messages] = {}
        self._closing: dict[str, float] = {}

    def feed(self, records: Iterable[Record]) -> None:
        """Take these records, in this order."""
        for record in records:
            found = self._take(record)
            if found:
                self._found(found)

    def _take(self, record: Record) -> list[str]:
        match record:
            case Asked():
                return self.requests.ask(record.at, record.where, record.token)
            case Got():
                return self.requests.got(record.where, record.text)
            case Executed():
                return self._execute(record)
            case Unsent():
                self.requests.unsent(record.where, record.token)
            case Closed():
                fault = self._closing.get(record.where.peer, float("-inf"))
                return self.requests.ended(record.at, record.where, fault)
            case Left():
                self.requests.left(record.where)
            case Stored():
                self.messages(record.peer).store(record.token)
            case Passed():
                self.messages(record.peer).passed(record.token)
            case Fault():
                self._fault(record)
        return []

    def messages(self, peer: str) -> Messages:
        """Return what is known of the messages of a peer."""
        return self.peers.setdefault(peer, Messages(peer))

    def _fault(self, fault: Fault) -> None:
        self.faults += 1
        for peer in fault.peers:
            self.messages(peer).faults += fault.kind in DOUBLING
            if fault.kind in CLOSING:
                self._closing[peer] = fault.at

    def _execute(self, done: Executed) -> list[str]:
        found = self.requests.execute(done.peer, done.token)
        if found is not None:
            return found
        if not done.token.startswith(PREFIX):
            return [f"{done.peer}: {done.token!r} was executed, which nobody asked for"]
        return self.messages(done.peer).execute(done.token, done.link)

    def _found(self, sentences: list[str]) -> None:
        self.count += len(sentences)
        self.violations += sentences[: KEPT - len(self.violations)]

    def finish(self) -> list[str]:
        """Return all violations: everything has settled, and what has not happened by now never will."""
        self._found(self.requests.unfinished())
        for messages in self.peers.values():
            self._found(messages.lost())
        return self.violations

    @property
    def waiting(self) -> int:
        """Return how many messages wait for their first execution."""
        return sum(messages.waiting for messages in self.peers.values())

    @property
    def doubles(self) -> int:
        """Return how many messages came once more than once."""
        return sum(messages.doubles for messages in self.peers.values())

    def __str__(self) -> str:
        asked = self.requests
        stored = sum(messages.stored for messages in self.peers.values())
        return (
            f"{stored} messages, {self.waiting} waiting, {self.doubles} twice; {asked.asked} requests, "
            f"{asked.answered} answered, {asked.con_lost} con_lost, {asked.closed} closed; {self.count} violations"
        )
