"""Owns the rules for requests: one reply for each, in order, nobody else's, and executed when answered."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from tests.history.model import CON_LOST, Where

ORPHANS_S = 5.0  # children of a killed parent serve on for a while: what they close then is due to that kill


@dataclass(slots=True)
class _Request:
    where: Where
    executed: bool = False
    answered: bool = False


@dataclass(slots=True)
class _Connection:
    owed: deque[tuple[str, float]] = field(default_factory=deque)


class Requests:
    """What is known of all requests; done ones are remembered up to `remember`, so that late misdeeds are seen.

    Every method returns the violations that it found, as sentences.
    """

    def __init__(self, remember: int) -> None:
        self.asked = self.answered = self.con_lost = self.closed = self.executed = 0
        self._remember = remember
        self._connections: dict[Where, _Connection] = {}
        self._open: dict[str, _Request] = {}  # a reply or an execution is still to come
        self._done: OrderedDict[str, _Request] = OrderedDict()

    @property
    def remembered(self) -> int:
        """Return how many requests are remembered."""
        return len(self._open) + len(self._done)

    @property
    def owed(self) -> int:
        """Return how many requests have no reply yet."""
        return sum(len(connection.owed) for connection in self._connections.values())

    def ask(self, at: float, where: Where, token: str) -> list[str]:
        """Take a request that is about to be written."""
        if token in self._open or token in self._done:
            return [f"{where}: token {token} was used twice: the test is wrong"]
        self.asked += 1
        self._open[token] = _Request(where)
        self._connections.setdefault(where, _Connection()).owed.append((token, at))
        return []

    def unsent(self, where: Where, token: str) -> None:
        """Take back a request whose write failed."""
        connection = self._connections.get(where)
        if connection is not None:
            connection.owed = deque(one for one in connection.owed if one[0] != token)
        self._finish(token)

    def got(self, where: Where, text: str) -> list[str]:
        """Take one line that a client read."""
        connection = self._connections.get(where)
        if connection is None or not connection.owed:
            return [f"{where}: a line that nobody asked for: {text!r}"]
        token, _at = connection.owed.popleft()
        if text == CON_LOST:
            self.con_lost += 1
            self._finish(token)
            return []
        if text != token:
            self._finish(token)
            return [self._mixed_up(where, token, text)]
        self.answered += 1
        request = self._open[token]
        request.answered = True
        if request.executed:
            self._finish(token)
        return []

    def _mixed_up(self, where: Where, token: str, text: str) -> str:
        owner = self._open.get(text) or self._done.get(text)
        if owner is None:
            return f"{where}: {text!r} in reply to {token}, which nobody asked for"
        whose = "its own" if owner.where == where else f"that of {owner.where}"
        return f"{where}: the reply to {token} was {text}, {whose} to another request"

    def ended(self, at: float, where: Where, closing_fault: float) -> list[str]:
        """Take the end of a connection, by lonc.

        closing_fault: when its peer last had a fault that closes the sockets of clients.
        """
        connection = self._connections.pop(where, None)
        if connection is None or not connection.owed:
            return []
        tokens = [token for token, _ in connection.owed]
        self.closed += len(tokens)
        asked_at = connection.owed[0][1]
        for token in tokens:
            self._finish(token)
        if closing_fault >= asked_at - ORPHANS_S:
            return []
        return [f"{where}: closed {at - asked_at:.1f} s after {tokens[0]} was asked, without a reply and a reason"]

    def left(self, where: Where) -> None:
        """Take it that a client went away by itself."""
        connection = self._connections.pop(where, None)
        for token, _ in connection.owed if connection is not None else ():
            self._finish(token)

    def execute(self, peer: str, token: str) -> list[str] | None:
        """Take one execution; None when this is no request that is known."""
        request = self._open.get(token) or self._done.get(token)
        if request is None:
            return None
        self.executed += 1
        if request.executed:
            return [f"{request.where}: request {token} was executed twice"]
        request.executed = True
        if request.answered:
            self._finish(token)
        if request.where.peer != peer:
            return [f"{request.where}: request {token} was executed by {peer}"]
        return []

    def _finish(self, token: str) -> None:
        request = self._open.pop(token, None)
        if request is not None:
            self._done[token] = request
        while len(self._done) > self._remember:
            self._done.popitem(last=False)

    def unfinished(self) -> list[str]:
        """Return as violations what was never answered, and what was answered and never executed: all is over."""
        found = []
        for where, connection in self._connections.items():
            found += [f"{where}: request {token} was never answered" for token, _ in connection.owed]
        idle = [(one.where, token) for token, one in self._open.items() if one.answered and not one.executed]
        return found + [f"{where}: request {token} was answered and never executed" for where, token in idle]
