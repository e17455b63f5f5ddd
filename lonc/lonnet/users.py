"""Owns what is asked about one user: data in namespaces, versioned records, roles, account (spec lond.md 2)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from lonc.lonnet.answers import NO_HOST, Answer, AuthKind, AuthResult, Home, Record, Reply
from lonc.lonnet.fields import (
    Text,
    Value,
    command,
    escaped,
    named,
    names,
    pairs,
    read_names,
    read_pairs,
    read_record,
    read_values,
    space,
)
from lonc.wire.words import CON_LOST, ENCRYPT

Values = Mapping[str, Value] | Mapping[bytes, Value]
EVERYTHING = "."
LAST = 999_999_999  # no namespace has as many keys


class Asking(Protocol):
    """What of the network a user needs."""

    def reply(self, command: bytes, peer: str) -> Reply:
        """Ask; see Network."""

    def critical(self, command: bytes, peer: str) -> Reply:
        """Ask, or keep; see Network."""

    def homeserver(self, user: Text, domain: Text) -> Home:
        """Find; see Network."""

    def forget_home(self, user: Text, domain: Text) -> None:
        """Forget; see Network."""


class User:
    """One user of one domain. Each call is one question to the home server; LOST when nobody knows who that is.

    critical: kept and sent later where there is no answer. secret: the way through the network is encrypted
    (`encrypt:`), and what is kept lies sealed. Keys and values are text, bytes or numbers (fields.py).
    """

    def __init__(self, network: Asking, name: Text, domain: Text, home: str = "") -> None:
        self._network = network
        self._name = name
        self._domain = domain
        self._home = home

    def home(self) -> Home:
        """Return the server that is asked."""
        return Home(self._home) if self._home else self._network.homeserver(self._name, self._domain)

    def _ask(self, word: bytes, *fields: bytes, critical: bool = False, secret: bool = False) -> Reply:
        home = self.home()
        if not home:
            return Reply(NO_HOST if home.certain else CON_LOST)
        line = command(word, named(self._domain), named(self._name), *fields)
        ask = self._network.critical if critical else self._network.reply
        return ask(ENCRYPT + line if secret else line, home.host)

    # --- data -----------------------------------------------------------------------------------------

    def put(self, namespace: Text, values: Values, *, critical: bool = False, secret: bool = False) -> Reply:
        """Store values under their keys."""
        return self._ask(b"put", space(namespace), pairs(values), critical=critical, secret=secret)

    def newput(self, namespace: Text, values: Values, *, secret: bool = False) -> Reply:
        """Store values, all or none: FAILED when a key is there already."""
        return self._ask(b"newput", space(namespace), pairs(values), secret=secret)

    def inc(self, namespace: Text, amounts: Mapping[str, int | float], *, critical: bool = False) -> Reply:
        """Add an amount to the number under each key. Asked twice by a lost reply it may count twice."""
        return self._ask(b"inc", space(namespace), pairs(amounts), critical=critical)

    def get(self, namespace: Text, keys: Iterable[Text], *, secret: bool = False) -> Answer[dict[str, str]]:
        """Return the values under these keys; "" for one that is not stored. secret: the reply is encrypted."""
        keys = list(keys)
        reply = self._ask(b"eget" if secret else b"get", space(namespace), names(keys))
        return Answer(reply, read_values(reply.line, keys) if reply.answered else {})

    def delete(self, namespace: Text, keys: Iterable[Text], *, critical: bool = False) -> Reply:
        """Remove keys and their values."""
        return self._ask(b"del", space(namespace), names(keys), critical=critical)

    def keys(self, namespace: Text) -> Answer[list[str]]:
        """Return all keys."""
        reply = self._ask(b"keys", space(namespace))
        return Answer(reply, read_names(reply.line) if reply.answered else [])

    def dump(
        self, namespace: Text, regexp: Text = EVERYTHING, first: int = 1, last: int | None = None
    ) -> Answer[dict[str, str]]:
        """Return keys and values where the key matches; first and last: only these of the matches, from 1 on."""
        span = [] if (first, last) == (1, None) else [b"%d-%d" % (first, LAST if last is None else last)]
        reply = self._ask(b"dump", space(namespace), escaped(regexp), *span)
        return Answer(reply, read_pairs(reply.line) if reply.answered else {})

    def store(self, namespace: Text, record: Text, values: Values, *, critical: bool = False) -> Reply:
        """Store values as the next version of a record."""
        return self._ask(b"store", space(namespace), escaped(record), pairs(values), critical=critical)

    def restore(self, namespace: Text, record: Text) -> Answer[Record]:
        """Return a record with all its versions; one without any when there is none."""
        reply = self._ask(b"restore", space(namespace), escaped(record))
        return Answer(reply, read_record(reply.line) if reply.answered else Record())

    def log(self, what: Text, *, critical: bool = False) -> Reply:
        """Append to the user's activity log."""
        return self._ask(b"log", escaped(what), critical=critical)

    # --- roles and account ----------------------------------------------------------------------------

    def put_roles(self, by_user: Text, by_domain: Text, roles: Values, *, critical: bool = False) -> Reply:
        """Give roles to the user, in the name of another who may do so."""
        fields = named(by_domain), named(by_user), pairs(roles)
        return self._ask(b"rolesput", *fields, critical=critical, secret=True)

    def delete_roles(
        self, by_user: Text, by_domain: Text, roles: Iterable[Text], *, critical: bool = False
    ) -> Reply:
        """Take roles from the user, in the name of another who may do so."""
        fields = named(by_domain), named(by_user), names(roles)
        return self._ask(b"rolesdel", *fields, critical=critical, secret=True)

    def authenticate(self, password: Text) -> AuthResult:
        """Return whether this is the user's password; UNDECIDED is no answer, never a wrong password."""
        reply = self._ask(b"auth", escaped(password), secret=True)
        home = self.home().host
        try:
            return AuthResult(AuthKind(reply.text), home, reply)
        except ValueError:
            return AuthResult(AuthKind.UNDECIDED, home, reply)

    def current_auth(self) -> Answer[tuple[str, str]]:
        """Return how the user is authenticated and with what argument; ("", "") when that is not known."""
        reply = self._ask(b"currentauth", secret=True)
        method, colon, argument = reply.text.partition(":")
        return Answer(reply, (method, argument) if reply.answered and colon else ("", ""))

    def change_password(self, old: Text, new: Text) -> Reply:
        """Change the password: `ok`, `non_authorized` (the old one is wrong) or why it cannot be changed."""
        return self._ask(b"passwd", escaped(old), escaped(new), secret=True)

    def change_auth(self, mode: Text, argument: Text) -> Reply:
        """Change how the user is authenticated; argument: the password, or what the mode needs."""
        return self._ask(b"changeuserauth", escaped(mode), escaped(argument), secret=True)

    def make(self, mode: Text, argument: Text) -> Reply:
        """Make the account on the home that was given: `ok`, `already_exists` or why not."""
        reply = self._ask(b"makeuser", escaped(mode), escaped(argument), secret=True)
        self._network.forget_home(self._name, self._domain)
        return reply
