"""Owns what is asked of one server: whether it is there, how loaded, ids of its domain, things for a moment."""

from __future__ import annotations

from collections.abc import Iterable

from lonc.lonnet.answers import Answer, Reply
from lonc.lonnet.fields import Text, command, escaped, named, names, pairs, read_values, unescaped
from lonc.lonnet.finding import load_of
from lonc.lonnet.users import Asking, Values
from lonc.wire.words import PING


class Server:
    """One server by its id. Each call is one question, or as many as are said."""

    def __init__(self, network: Asking, peer: str) -> None:
        self._network = network
        self._peer = peer

    def ping(self) -> Answer[str]:
        """Return the id it answers with."""
        reply = self._network.reply(PING, self._peer)
        return Answer(reply, reply.text if reply.answered else "")

    def load(self) -> float | None:
        """Return the larger of its two loads in percent (two questions), None when it does not say."""
        return load_of(self._peer, self._network.reply)

    def put_ids(self, domain: Text, ids: Values, *, critical: bool = False) -> Reply:
        """Store which user names student numbers of the domain have."""
        ask = self._network.critical if critical else self._network.reply
        return ask(command(b"idput", named(domain), pairs(ids)), self._peer)

    def get_ids(self, domain: Text, keys: Iterable[Text]) -> Answer[dict[str, str]]:
        """Return the user names of these numbers, "" where it knows none."""
        keys = list(keys)
        reply = self._network.reply(command(b"idget", named(domain), names(keys)), self._peer)
        return Answer(reply, read_values(reply.line, keys) if reply.answered else {})

    def put_for_a_moment(self, data: Text) -> Answer[str]:
        """Leave data there and return the id under which it can be had."""
        reply = self._network.reply(command(b"tmpput", escaped(data)), self._peer)
        return Answer(reply, reply.text if reply.answered else "")

    def get_of_a_moment(self, key: Text) -> Answer[str]:
        """Return what was left under this id."""
        reply = self._network.reply(command(b"tmpget", named(key)), self._peer)
        return Answer(reply, unescaped(reply.line) if reply.answered else "")

    def delete_of_a_moment(self, key: Text) -> Reply:
        """Remove what was left under this id."""
        return self._network.reply(command(b"tmpdel", named(key)), self._peer)
