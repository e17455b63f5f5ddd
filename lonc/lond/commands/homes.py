"""Owns who is at home on this server, and the commands `home` and `log`."""

from __future__ import annotations

from lonc.lond.clients import own_hosts
from lonc.lond.commands import answers
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.fields import DOMAIN, USER, text
from lonc.lond.commands.model import Command, Context, Field, Reply
from lonc.lond.store.model import Owner
from lonc.wire import words

_NOT_HOME = words.NOT_HOME.decode("ascii")


def at_home(context: Context, domain: bytes, user: bytes) -> Owner:
    """Return the user as an owner of data; raises CannotAnswer (`error: not_home: ...`) when he is not here.

    A reply without a failure word would make a delayed message to the wrong server count as delivered.
    """
    owner = Owner(domain, user)
    if not context.store.exists(owner):
        raise CannotAnswer(f"{_NOT_HOME}: this user is not at home on this server")
    return owner


def of_domain(context: Context, domain: bytes) -> Owner:
    """Return the domain itself as an owner of data; raises CannotAnswer when this server is not one of its own."""
    if not serves(context, domain):
        raise CannotAnswer(f"{_NOT_HOME}: this server does not serve the domain")
    return Owner(domain, b"")


def serves(context: Context, domain: bytes) -> bool:
    """Return whether one of our own ids is in the domain."""
    name = domain.decode("ascii")
    ids = (context.config.host_id, context.own_id.decode("ascii", "replace"))
    # The others of our ids are those of our address, which cost more to find.
    found = any(host.domain == name and host.id in ids for host in context.hosts)
    return found or domain in served_domains(context)


def served_domains(context: Context) -> frozenset[bytes]:
    """Return the domains of our own ids: that of the configuration, the one talked to, those of our address."""
    ids = {context.own_id.decode("ascii", "replace"), *own_hosts(context.config, context.hosts)}
    ours = (host.domain for host in context.hosts if host.id in ids)
    return frozenset(domain.encode("utf-8", "surrogateescape") for domain in ours)


def _home(context: Context, domain: bytes, user: bytes) -> Reply:
    """`found` when the user is at home here, else `not_found`."""
    return Reply(words.FOUND if context.store.exists(Owner(domain, user)) else words.NOT_FOUND)


def _log(context: Context, domain: bytes, user: bytes, what: bytes) -> Reply:
    """`ok`; a line `<time>:<client id>:<what>` was added to the user's activity log."""
    owner = at_home(context, domain, user)
    context.store.activity(owner, b"%d:%s:%s" % (int(context.now), context.client, what))
    return answers.OK


ROWS: tuple[Command, ...] = (
    Command(b"home", (DOMAIN, USER), _home),
    Command(b"log", (DOMAIN, USER, Field("what", text)), _log, rest=True),
)
