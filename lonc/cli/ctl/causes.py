"""The table of causes: from what a child says ended its last dial or link to why, and to what can be done.

What a child says is `reason: detail` (uplink.py, wire/states.py, wire/dialogue.py). The first row whose pattern
is in the detail is taken. In a remedy {peer}, {name}, {address}, {port}, {own} stand for this very peer's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lonc.catalogue import find


@dataclass(frozen=True, slots=True)
class Cause:
    """code: a fixed word for programs. text: the cause in words, may hold {detail}. remedy: what to do."""

    code: str
    text: str
    remedy: str


_HANGS = "lond on {name} hangs or is overloaded: look at its lond.log and load there, restart it if need be"
_ROWS: Final[tuple[tuple[str, Cause], ...]] = (
    (
        r"does not resolve: no answer within|last look-up has not come back",
        Cause(
            "name_server", "the name server does not answer when asked for {name}",
            "see /etc/resolv.conf and the name server; or put the address in place of http(s) in hosts.tab",
        ),
    ),
    (
        r"does not resolve",
        Cause(
            "unresolved", "{detail}",
            "`getent hosts {name}` must answer: mend DNS or /etc/hosts, or the name in {peer}'s line of hosts.tab",
        ),
    ),
    (
        r"Connection refused",
        Cause(
            "refused", "connection refused: nothing listens on {address} port {port}",
            "start lond on {name}; if it runs, a firewall rejects port {port} or hosts.tab has the wrong address",
        ),
    ),
    (
        r"no connection within|No route to host|Network is unreachable|Host is down|Connection timed out",
        Cause(
            "unreachable", "no connection to {address}: {detail}",
            "is {name} switched on and on the network? if so, a firewall drops port {port}:"
            " try `nc -vz {address} {port}`",
        ),
    ),
    (
        r"Too many open files",
        Cause(
            "descriptors", "too many open files",
            "raise the limit of open files (`ulimit -n`, LimitNOFILE=) of what starts lonc, then restart it",
        ),
    ),
    (
        r"Cannot assign requested address|Address not available",
        Cause(
            "source_address", "loncSourceAddress is no address of this machine",
            "mend loncSourceAddress in loncapa.conf, then `loncctl restart`",
        ),
    ),
    (
        r"Init reply: >(refused|bye)",
        Cause(
            "not_known", "lond there refuses us: it does not know our address",
            "on {name}: its hosts.tab must have a line for {own} with the address that we come from; then lond"
            " must read it again",
        ),
    ),
    (
        r"Init reply:",
        Cause("dialogue", "lond there did not take its challenge back: {detail}", "see lond.log on {name}"),
    ),
    (
        r"Timed out during init",
        Cause("stalls", "lond there accepts, but does not answer: {detail}", _HANGS),
    ),
    (
        r"no build key",
        Cause(
            "key", "no key could be agreed: {detail}",
            "see lond.log on {name}: it answered the question for a key with something else",
        ),
    ),
    (
        r"spoke unasked|more than one answer|an answer of more than|a reply that nobody asked for",
        Cause(
            "no_lond", "what listens there does not speak as lond does: {detail}",
            "is it a lond that listens on {address} port {port}? see lond.log on {name}",
        ),
    ),
    (
        r"a request was not answered in time|a delayed message was not answered",
        Cause("stalls", "{detail}", _HANGS),
    ),
    (
        r"closed by the peer|the peer closed the link|Connection reset by peer|Broken pipe|answers no probes",
        Cause(
            "closed", "{detail}",
            "lond on {name} ends its links: see its lond.log; it may be restarting or dying",
        ),
    ),
)
_STEP: Final = re.compile(r"^[a-z_]+: ")


def cause_of(why: str) -> Cause:
    """Return the cause for what a child says (ChildRecord.why); {detail} in its text is filled in.

    What no row knows is told as it is, with the remedy of the message that it is in the catalogue.
    """
    detail = _STEP.sub("", why)
    for pattern, cause in _ROWS:
        if re.search(pattern, detail):
            return Cause(cause.code, cause.text.replace("{detail}", detail), cause.remedy)
    found = find(detail)
    remedy = found.message.remedy if found else "see the log about {peer}: `loncctl explain` takes its lines"
    return Cause("other", detail or "its child has not said why", remedy)
