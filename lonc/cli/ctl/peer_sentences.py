"""Owns what is wrong with one peer, in sentences: its link, its clients, its messages.

    msul1 down for 4 min: connection refused...; 12 messages wait, oldest 3 h; next try in 40 s; do: ...

A peer that is up and serves has none. Nothing of a request is in them: messages are counted, never quoted (P30).
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from lonc.catalogue import find
from lonc.cli.ctl.causes import Cause, cause_of
from lonc.cli.ctl.finding import Finding, Weight, counted, messages_wait, span
from lonc.cli.ctl.snapshot import Life, Part, Peer, Snapshot
from lonc.config import via_of
from lonc.peers import State
from lonc.system.scoreboard import ChildRecord, ParentRecord

RECENT_S = 660.0  # a warning that goes on is noted at least every ten minutes
SLOW_S = 20.0  # a request in flight for longer is worth a sentence; also one past a quarter of its limit
LATE_S = 60.0  # a message that waits although the link is up
NEAR = 0.9
KEPT_DESCRIPTORS = 32  # that a child gives to no client (lonc/child/connection.py)
_DIAL = re.compile(r"Couldn't connect to |Init failed \(|Giving up on |Link to ")


def of_peer(now: Snapshot, peer: Peer) -> Iterator[Finding]:
    """Yield what is wrong with one peer: at most one sentence about its link, then about the rest."""
    if now.daemon.life is Life.RUNNING and not now.daemon.board_why:
        link = _link(now, peer)
        if link is not None:
            yield link
        if peer.up:
            yield from _while_up(now, peer)
    yield from _put_aside(now, peer)


# --- the link ---------------------------------------------------------------------------------------------


def _link(now: Snapshot, peer: Peer) -> Finding | None:
    parent, live = peer.parent, peer.live
    if peer.paused:
        waits = messages_wait(now, [peer.piles.delayed])
        text = f"{peer.id} is paused by the operator: every request is answered con_lost{waits}"
        return Finding(peer.id, Weight.NOTICE, "paused", text, f"`loncctl resume {peer.id}` when it shall go on")
    if parent is None:
        return _without_slot(peer)
    if peer.host is None:
        return None if peer.part is Part.LIVE else _gone(peer)
    if live is None:
        return _without_child(now, peer, parent)
    if peer.stuck:
        text = f"the child of {peer.id} (process {live.pid}) is stuck: its loop has not turned for"
        remedy = "the parent kills it and starts another one; if it comes again, see its stack in the log"
        return Finding(peer.id, Weight.TROUBLE, "stuck", f"{text} {span(peer.beat_age_s or 0.0)}", remedy)
    return None if peer.up else _down(now, peer, live)


def _without_slot(peer: Peer) -> Finding | None:
    if peer.host is None:
        return None
    return Finding(
        peer.id, Weight.TROUBLE, "not_served",
        f"{peer.id} is in hosts.tab, but the running daemon does not know it: the table was changed since",
        "`loncctl rehash`",
    )  # fmt: skip


def _gone(peer: Peer) -> Finding:
    text = f"{peer.id} is not in hosts.tab any more, but the running daemon still has it"
    return Finding(peer.id, Weight.NOTICE, "not_in_table", text, "`loncctl rehash`, if it is to go")


def _down(now: Snapshot, peer: Peer, live: ChildRecord) -> Finding | None:
    """Say why there is no link though a child is there; None: on its way, or nobody wants one."""
    if not live.down_since:
        return None  # on demand, asleep; or closing in order
    lasts = now.at_monotonic - live.down_since
    waits = messages_wait(now, [peer.piles.delayed])
    if not live.why:
        if live.state in ("greeting", "keying") and lasts > SLOW_S:
            cause = cause_of(f"timeout: Timed out during init ({live.step})")
            return _finding(now, peer, cause, f"down for {span(lasts)}", waits)
        text = f"{peer.id} is being connected for {span(lasts)} ({live.step}){waits}"
        remedy = "nothing yet: look again in some seconds"
        return Finding(peer.id, Weight.NOTICE, "connecting", text, remedy)
    if live.next_try > now.at_monotonic:
        waits += f"; next try in {span(live.next_try - now.at_monotonic + 1)}"
    else:
        waits += "; being tried now"
    return _finding(now, peer, cause_of(live.why), f"down for {span(lasts)}", waits)


def _finding(now: Snapshot, peer: Peer, cause: Cause, how: str, more: str) -> Finding:
    host, config = peer.host, now.config
    address = (peer.child.address if peer.child else "") or (host.address if host else "") or "its address"
    via = via_of(config, peer.id)
    facts = {
        "peer": peer.id, "name": host.name if host else peer.id, "address": address,
        "port": str(via.port if via else config.port), "own": config.host_id,
    }  # fmt: skip

    def filled(text: str) -> str:
        return re.sub(r"\{(peer|name|address|port|own)\}", lambda place: facts[place[1]], text)

    text = f"{peer.id} {how}: {filled(cause.text)}{more}"
    remedy = filled(cause.remedy)
    if via is not None:
        remedy = f"it is dialed at {via} (loncVia): look at the tunnel there and at its other end first; {remedy}"
    return Finding(peer.id, Weight.TROUBLE, cause.code, text, remedy)


def _without_child(now: Snapshot, peer: Peer, parent: ParentRecord) -> Finding | None:
    lasts = span(now.at_wall - parent.since)
    waits = messages_wait(now, [peer.piles.delayed])
    why = peer.child.why if peer.child is not None and peer.child.why else ""
    if parent.state == State.GIVEN_UP.value:
        return _given_up(now, peer, parent, why, waits)
    if parent.state == State.BACKOFF.value:
        if parent.next_start > now.at_monotonic:
            waits += f"; next start in {span(parent.next_start - now.at_monotonic + 1)}"
        how = f"has had no process for {lasts} (attempt {parent.attempts} of {_most(now)})"
        if why:
            return _finding(now, peer, cause_of(why), how, waits)
        text = f"{peer.id} {how}: its child {parent.why or 'ended'}{waits}"
        remedy = "see what it said last in the log, and `dmesg`"
        return Finding(peer.id, Weight.TROUBLE, "child_died", text, remedy)
    if parent.pid and not os.path.isdir(f"/proc/{parent.pid}"):
        text = f"the child of {peer.id} (process {parent.pid}) is gone and its parent has not noticed yet"
        return Finding(peer.id, Weight.NOTICE, "child_gone", text, "look again in some seconds")
    return None  # on demand, starting, stopping: nothing is wrong with it


def _given_up(now: Snapshot, peer: Peer, parent: ParentRecord, why: str, waits: str) -> Finding:
    lasts = span(now.at_wall - parent.since)
    path = now.config.socket_path(peer.id)
    if _is_foreign(path):
        text = f"{peer.id} given up {lasts} ago: {path} is no socket, something else lies there{waits}"
        return Finding(peer.id, Weight.TROUBLE, "socket", text, f"remove {path}, then `loncctl retry`")
    how = f"given up {lasts} ago after {counted(parent.attempts, 'attempt', 'attempts')}"
    if why:
        found = _finding(now, peer, cause_of(why), how, waits)
        remedy = f"{found.remedy}; then `loncctl retry`"
        return Finding(peer.id, Weight.TROUBLE, found.code, found.text, remedy)
    text = f"{peer.id} {how}: its child {parent.why or 'could not be started'}{waits}"
    remedy = "see `No socket for` or the child's last words in the log; then `loncctl retry`"
    return Finding(peer.id, Weight.TROUBLE, "given_up", text, remedy)


def _most(now: Snapshot) -> str:
    return str(now.config.max_attempts) if now.config.max_attempts else "unlimited"


def _is_foreign(path: str) -> bool:
    try:
        return not stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False


# --- a peer that is up -------------------------------------------------------------------------------------


def _while_up(now: Snapshot, peer: Peer) -> Iterator[Finding]:
    live = peer.live
    assert live is not None
    waited = now.at_monotonic - live.waiting_since if live.in_flight and live.waiting_since else 0.0
    if waited > min(SLOW_S, now.config.request_timeout_s / 4):
        text = (
            f"{peer.id} stalls: the link is up, but lond has not answered for {span(waited)};"
            f" {live.in_flight} in flight, {live.queued} queued{messages_wait(now, [peer.piles.delayed])}"
        )
        name = peer.host.name if peer.host else peer.id
        yield Finding(
            peer.id, Weight.TROUBLE, "stalls", text,
            f"lond on {name} works on a long request or hangs: look there; after loncRequestTimeout"
            f" ({now.config.request_timeout_s:g} s) lonc makes a new link, `loncctl reconnect {peer.id}` does now",
        )  # fmt: skip
    yield from _address_changed(now, peer, live)
    yield from _clients(now, peer, live)
    yield from _warned(now, peer, live)


def _address_changed(now: Snapshot, peer: Peer, live: ChildRecord) -> Iterator[Finding]:
    via = via_of(now.config, peer.id)
    if via is not None:
        if live.address and live.address != via.address:
            text = f"{peer.id} is linked at {live.address}, but loncVia says {via}"
            yield Finding(peer.id, Weight.TROUBLE, "address_changed", text, "`loncctl restart`")
    elif peer.host is not None and peer.host.address and live.address and live.address != peer.host.address:
        yield Finding(
            peer.id, Weight.TROUBLE, "address_changed",
            f"{peer.id} is linked at {live.address}, but hosts.tab says {peer.host.address}", "`loncctl rehash`",
        )  # fmt: skip


def _clients(now: Snapshot, peer: Peer, live: ChildRecord) -> Iterator[Finding]:
    limit = now.config.max_clients
    held = now.daemon.descriptors
    room = max(1, held.limit - KEPT_DESCRIPTORS) if held is not None else limit
    most = min(limit, room)
    if live.clients < most * NEAR:
        return
    text = f"{peer.id} has {live.clients} clients, and the most it can serve at once are {most}; more have to wait"
    if room < limit and held is not None:
        yield Finding(
            peer.id, Weight.TROUBLE, "descriptors", f"{text}: its limit of open files is {held.limit}",
            "raise the limit of open files (`ulimit -n`, LimitNOFILE=) of what starts lonc, then restart it; or"
            " find the programs that keep connections open",
        )  # fmt: skip
    else:
        remedy = "raise loncMaxClients, or find the programs that keep connections open"
        yield Finding(peer.id, Weight.TROUBLE, "clients", text, remedy)


def _warned(now: Snapshot, peer: Peer, live: ChildRecord) -> Iterator[Finding]:
    """Tell the last warning of a child whose link is up, if it is young and not about how the link came up."""
    age = now.at_wall - live.warned
    if not live.warning or age > RECENT_S or live.warned < live.since or _DIAL.match(live.warning):
        return
    found = find(live.warning)
    if "could not be decoded" in live.warning:
        yield Finding(
            peer.id, Weight.TROUBLE, "key",
            f"encrypted replies of {peer.id} cannot be decoded ({span(age)} ago): its key is not the one agreed",
            f"`loncctl reconnect {peer.id}` agrees on a new key; if it comes again, compare both ids ({peer.id},"
            f" {now.config.host_id}) in hosts.tab of both servers: the key is made of them",
        )  # fmt: skip
    elif "Too many open files" in live.warning:
        cause = cause_of("no_connection: Too many open files")
        yield Finding(peer.id, Weight.TROUBLE, cause.code, f"{peer.id}: {live.warning}", cause.remedy)
    elif found is None or found.message.section != "delayed" or _still(peer):
        remedy = found.message.remedy if found else "`loncctl explain` takes the line of the log"
        yield Finding(peer.id, Weight.NOTICE, "warned", f"{peer.id}, {span(age)} ago: {live.warning}", remedy)


def _still(peer: Peer) -> bool:
    """Return whether messages wait, so that what was said about them still matters."""
    return bool(peer.piles.delayed.count)


# --- messages ---------------------------------------------------------------------------------------------


def _put_aside(now: Snapshot, peer: Peer) -> Iterator[Finding]:
    piles = peer.piles
    if piles.rejected.count:
        many = counted(piles.rejected.count, "message", "messages")
        yield Finding(
            peer.id, Weight.TROUBLE, "rejected",
            f"{peer.id} has refused {many}, oldest {_age(now, piles.rejected.oldest_wall)}: put aside in"
            f" {now.config.delayed_dir}/rejected with its answers",
            f"`loncctl queue {peer.id}` lists them with the answer; mend what it says, then `loncctl queue retry"
            " ID` or `loncctl queue drop ID`",
        )  # fmt: skip
    if piles.corrupt.count:
        many = counted(piles.corrupt.count, "file", "files")
        yield Finding(
            peer.id, Weight.TROUBLE, "corrupt",
            f"{many} for {peer.id}, oldest {_age(now, piles.corrupt.oldest_wall)}, can be no message (corrupt):"
            f" put aside in {now.config.delayed_dir}/corrupt with the reason",
            f"`loncctl queue {peer.id}` lists them, NAME.reason beside each says why; mend it and move it up, or"
            " `loncctl queue drop ID`",
        )  # fmt: skip
    late = piles.delayed.count and now.at_wall - piles.delayed.oldest_wall > LATE_S
    if late and peer.up and not peer.paused and not _sending(peer):
        waits = messages_wait(now, [piles.delayed]).removeprefix("; ")
        yield Finding(
            peer.id, Weight.NOTICE, "late", f"{peer.id} is up, and {waits}",
            f"`loncctl queue {peer.id}` lists them; see the child's lines about delayed messages in the log",
        )  # fmt: skip


def _sending(peer: Peer) -> bool:
    return peer.live is not None and peer.live.in_flight > 0


def _age(now: Snapshot, wall: float) -> str:
    return span(now.at_wall - wall) if wall else "of unknown age"
