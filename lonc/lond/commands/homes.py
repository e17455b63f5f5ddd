"""Owns who is at home on this server, and the commands `home` and `log`."""

from __future__ import annotations

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
    if domain not in served_domains(context):
        raise CannotAnswer(f"{_NOT_HOME}: this server does not serve the domain")
    return Owner(domain, b"")


def served_domains(context: Context) -> frozenset[bytes]:
    """Return the domains of our own ids: the one in the configuration, the one talked to, those of our address."""
    own = {context.config.host_id, context.own_id.decode("ascii", "replace")}
    addresses = {host.address for host in context.hosts if host.id in own and host.address}
    ours = [host for host in context.hosts if host.id in own or host.address in addresses]
    return frozenset(host.domain.encode("utf-8", "surrogateescape") for host in ours)


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
