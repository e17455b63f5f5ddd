"""Owns the check of the limit of open files: the parent has one for each peer, a child one for each client."""

from __future__ import annotations

import resource

from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.snapshot import Snapshot

PARENT_EXTRA = 64  # logs, lock, scoreboard, pipes, a hand-over
CHILD_EXTRA = 32  # that of lonc/child/connection.py
_REMEDY = "raise it for whoever starts lonc: LimitNOFILE= of the service, `ulimit -n` of the starter"


def descriptors(here: Snapshot) -> list[Finding]:
    """Check the limit of the running daemon, else of this process, which a start from here would inherit."""
    running = here.daemon.descriptors
    # The daemon raises its own limit to the hard one.
    limit = running.limit if running is not None else resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    whose = "of the running daemon" if running is not None else "that a start from here would have"
    return judge(
        1 << 30 if limit == resource.RLIM_INFINITY else limit, whose,
        hosts=len(here.table.hosts) if here.table else 0, clients=here.config.max_clients,
        links=here.config.max_connections,
    )  # fmt: skip


def judge(limit: int, whose: str, *, hosts: int, clients: int, links: int) -> list[Finding]:
    """Return what a limit of open files means for so many hosts, and for so many clients of each."""
    parent, child = hosts + PARENT_EXTRA, clients + links + CHILD_EXTRA
    text = f"{limit} open files ({whose})"
    if limit < parent:
        told = f"{text}; the parent needs {parent} for {hosts} hosts, so some of them are not served"
        return [Finding("open files", Level.ERROR, told, _REMEDY)]
    if limit < child:
        told = f"{text}; a child serves {max(1, limit - CHILD_EXTRA)} clients, not loncMaxClients {clients}"
        return [Finding("open files", Level.WARNING, told, f"{_REMEDY}; or a lower loncMaxClients")]
    return [Finding("open files", Level.OK, f"{text} for {hosts} hosts and {clients} clients of each")]
