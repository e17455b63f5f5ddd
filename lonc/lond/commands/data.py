"""Owns the commands on the keys of one namespace: put, newput, inc, get, eget, del and keys."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Final

from lonc.lond.commands import answers, fields
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.fields import DOMAIN, NAMESPACE, USER
from lonc.lond.commands.homes import at_home
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.lond.store.model import Owner
from lonc.wire import words

ROLES: Final = b"roles"  # what a user may do in the network: changed by rolesput and rolesdel alone
_EXACT: Final = decimal.Context(prec=100)  # two numbers of 40 digits and 40 decimals have 81
Pairs = list[tuple[bytes, bytes]]


def listed(pairs: Pairs) -> bytes:
    """Return pairs as they stand in a line: `k=v&k=v`."""
    return b"&".join(key + b"=" + value for key, value in pairs)


def journal(namespace: bytes, kind: bytes, context: Context, *parts: bytes) -> bytes:
    """Return `kind:<time>:part:part`, the line kept beside the data; none for names that begin `nohist_`."""
    if namespace.startswith(b"nohist_"):
        return b""
    return b":".join([kind, b"%d" % int(context.now), *parts])


def values(context: Context, owner: Owner, namespace: bytes, wanted: list[bytes]) -> list[bytes | None]:
    """Return the values of the wanted keys in their order, None for a missing one."""
    # Each key is asked for once, so what is held is never more than what is stored.
    single = list(dict.fromkeys(wanted))
    found = dict(zip(single, context.store.get_many(owner, namespace, single), strict=True))
    return [found[key] for key in wanted]


def in_line(found: list[bytes | None]) -> Reply:
    """Return `v&v`, empty for what is missing."""
    return Reply(answers.joined(value or b"" for value in found))


def _put(context: Context, domain: bytes, user: bytes, namespace: bytes, pairs: Pairs) -> Reply:
    """`ok` when all values are kept; `refused` for the namespace `roles`."""
    if namespace == ROLES:
        return answers.REFUSED
    owner = at_home(context, domain, user)
    if pairs:
        with context.store.writing(owner, namespace, journal(namespace, b"P", context, listed(pairs))) as space:
            for key, value in pairs:
                space.put(key, value)
    return answers.OK


def _newput(context: Context, domain: bytes, user: bytes, namespace: bytes, pairs: Pairs) -> Reply:
    """`ok` when all values are kept; `error: ...` when one of the keys exists already, then none is kept."""
    if namespace == ROLES:
        return answers.REFUSED
    owner = at_home(context, domain, user)
    if pairs:
        with context.store.writing(owner, namespace, journal(namespace, b"N", context, listed(pairs))) as space:
            if any(value is not None for value in space.get_many([key for key, _value in pairs])):
                raise CannotAnswer("a key exists already, nothing was stored")
            for key, value in pairs:
                space.put(key, value)
    return answers.OK


def _inc(
    context: Context, domain: bytes, user: bytes, namespace: bytes, amounts: list[tuple[bytes, Decimal]]
) -> Reply:
    """`ok` when each number was added to its value, a missing one being 0; `error: ...` and nothing else."""
    if namespace == ROLES:
        return answers.REFUSED
    owner = at_home(context, domain, user)
    if amounts:
        told = listed([(key, _shown(amount)) for key, amount in amounts])
        with context.store.writing(owner, namespace, journal(namespace, b"I", context, told)) as space:
            for key, amount in amounts:
                space.put(key, _sum(space.get(key), amount))
    return answers.OK


def _sum(value: bytes | None, amount: Decimal) -> bytes:
    """Return the sum as it is kept, exact."""
    try:
        old = fields.number(words.unescape(value)) if value else Decimal(0)
    except BadField:
        raise CannotAnswer("a value is no number, nothing was changed") from None
    new = _shown(_EXACT.add(old, amount))
    try:
        fields.number(words.unescape(new))
    except BadField:
        raise CannotAnswer("a sum has more than 40 digits, nothing was changed") from None
    return new


def _shown(number: Decimal) -> bytes:
    """Return a number as it is kept: plain digits, escaped, no zeros at the end of its decimals."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return words.escape((text if text not in ("-0", "") else "0").encode("ascii"))


def _get(context: Context, domain: bytes, user: bytes, namespace: bytes, keys: list[bytes]) -> Reply:
    """`v&v` in the order of the keys; a missing one is empty."""
    found = values(context, Owner(domain, user), namespace, keys)
    if not any(found):  # one question less in the common case: who has data is at home
        at_home(context, domain, user)
    return in_line(found)


def _eget(context: Context, domain: bytes, user: bytes, namespace: bytes, keys: list[bytes]) -> Reply:
    """`v&v` as `get` has it; the reply goes out encrypted."""
    return Reply(_get(context, domain, user, namespace, keys).line, encrypted=True)


def _del(context: Context, domain: bytes, user: bytes, namespace: bytes, keys: list[bytes]) -> Reply:
    """`ok` when none of the keys exists any more; `refused` for the namespace `roles`."""
    if namespace == ROLES:
        return answers.REFUSED
    owner = at_home(context, domain, user)
    if keys:
        with context.store.writing(owner, namespace, journal(namespace, b"D", context, b"&".join(keys))) as space:
            for key in keys:
                space.delete(key)
    return answers.OK


def _keys(context: Context, domain: bytes, user: bytes, namespace: bytes) -> Reply:
    """`k&k`, sorted; empty when there is nothing."""
    with context.store.reading(at_home(context, domain, user), namespace) as space:
        return Reply(answers.joined(key for key, _value in space.items()))


_PLACE: Final = (DOMAIN, USER, NAMESPACE)
_PAIRS: Final = Field("data", fields.pairs)
_KEYS: Final = Field("keys", fields.keys)
ROWS: tuple[Command, ...] = (
    Command(b"put", (*_PLACE, _PAIRS), _put),
    Command(b"newput", (*_PLACE, _PAIRS), _newput),
    Command(b"inc", (*_PLACE, Field("numbers", fields.amounts)), _inc),
    Command(b"get", (*_PLACE, _KEYS), _get),
    Command(b"eget", (*_PLACE, _KEYS), _eget),
    Command(b"del", (*_PLACE, _KEYS), _del),
    Command(b"keys", _PLACE, _keys),
)
