"""Owns who is what: the roles of a user, and the table from personal numbers to users of a domain.

rolesput and rolesdel name who gave or took the role; that stands in the journal.
"""

from __future__ import annotations

from typing import Final

from lonc.lond.commands import answers, fields
from lonc.lond.commands.data import ROLES, Pairs, in_line, journal, listed, values
from lonc.lond.commands.fields import DOMAIN, USER
from lonc.lond.commands.homes import at_home, of_domain
from lonc.lond.commands.model import Command, Context, Field, Reply

IDS: Final = b"ids"


def _rolesput(
    context: Context, domain: bytes, user: bytes, by_domain: bytes, by_user: bytes, pairs: Pairs
) -> Reply:
    """`ok` when the roles are kept."""
    owner = at_home(context, domain, user)
    line = journal(ROLES, b"P", context, by_domain, by_user, listed(pairs))
    with context.store.writing(owner, ROLES, line) as space:
        for key, value in pairs:
            space.put(key, value)
    return answers.OK


def _rolesdel(
    context: Context, domain: bytes, user: bytes, by_domain: bytes, by_user: bytes, keys: list[bytes]
) -> Reply:
    """`ok` when the roles are gone."""
    owner = at_home(context, domain, user)
    line = journal(ROLES, b"D", context, by_domain, by_user, b"&".join(keys))
    with context.store.writing(owner, ROLES, line) as space:
        for key in keys:
            space.delete(key)
    return answers.OK


def _idput(context: Context, domain: bytes, pairs: Pairs) -> Reply:
    """`ok` when the ids are kept in the domain's table."""
    owner = of_domain(context, domain)
    if pairs:
        with context.store.writing(owner, IDS, journal(IDS, b"P", context, listed(pairs))) as space:
            for key, value in pairs:
                space.put(key, value)
    return answers.OK


def _idget(context: Context, domain: bytes, keys: list[bytes]) -> Reply:
    """`v&v` in the order of the keys; a missing one is empty."""
    return in_line(values(context, of_domain(context, domain), IDS, keys))


_BY: Final = (DOMAIN, USER, Field("exedomain", fields.domain), Field("exeuser", fields.user))
_PAIRS: Final = Field("data", fields.pairs)
_KEYS: Final = Field("keys", fields.keys)
ROWS: tuple[Command, ...] = (
    Command(b"rolesput", (*_BY, _PAIRS), _rolesput, encrypted=True),
    Command(b"rolesdel", (*_BY, _KEYS), _rolesdel, encrypted=True),
    Command(b"idput", (DOMAIN, _PAIRS), _idput),
    Command(b"idget", (DOMAIN, _KEYS), _idget),
)
