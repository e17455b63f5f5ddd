"""Owns what a history is made of: one record for each thing that a client, a writer, a peer or a test saw.

PURE: nothing here looks at a clock. `at` is monotonic seconds, of one machine. A connection is named by its
client and a number of the client's own. A token is a text that stands in one request or one message and nowhere
else. Records are fed to the checker (checker.py) in an order in which every cause stands before what it causes: a
request before its execution and its reply, a message before its execution, a fault before what it does.
Executions may come after the replies that they brought, since a journal is read later than a reply.
"""

from __future__ import annotations

from typing import NamedTuple

CON_LOST = "con_lost"
CLOSING = frozenset({"child", "parent", "table"})  # the kinds of fault that close the sockets of clients
DOUBLING = frozenset({"child", "parent", "lond", "link"})  # those that may let a message come once more


class Where(NamedTuple):
    """One connection of one client to the socket of one peer."""

    client: str
    number: int
    peer: str


class Asked(NamedTuple):
    """A client is about to write one complete request line that holds this token and wants it back."""

    at: float
    where: Where
    token: str


class Unsent(NamedTuple):
    """The write of that request failed, so that lonc owes nothing for it."""

    where: Where
    token: str


class Got(NamedTuple):
    """A client read one line."""

    at: float
    where: Where
    text: str


class Closed(NamedTuple):
    """A client read the end of its connection."""

    at: float
    where: Where


class Left(NamedTuple):
    """A client hung up of its own accord; what it had not read is owed no more."""

    where: Where


class Stored(NamedTuple):
    """A message for a peer lies whole in the delayed directory, behind all that were stored for it before."""

    peer: str
    token: str


class Passed(NamedTuple):
    """The log told that this message was passed over (three times unanswered): order does not hold for it."""

    peer: str
    token: str


class Executed(NamedTuple):
    """The journal of a peer's lond: it carried out a request or a message, on this link."""

    at: float
    peer: str
    token: str
    link: str


class Fault(NamedTuple):
    """Something was done on purpose to each of these peers.

    Killed or cut: `child`, `parent`, `lond`, `link`; taken out of the table of hosts: `table`; any other word:
    nothing that may cost anybody anything.
    """

    at: float
    kind: str
    peers: tuple[str, ...]


Record = Asked | Unsent | Got | Closed | Left | Stored | Passed | Executed | Fault
