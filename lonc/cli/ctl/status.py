"""Say in sentences what is wrong, why, and what to do; and show the other peers in a table.

With a daemon or without: what cannot be read from it is read from its files, nothing is waited for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from lonc.cli.ctl.finding import Finding, Weight, span
from lonc.cli.ctl.output import Column, Output
from lonc.cli.ctl.sentences import findings, headline
from lonc.cli.ctl.snapshot import Life, Part, Peer, Snapshot, take
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.config import via_of

_EPILOG = """\
exit codes: 0 lonc runs, 1 it is dead and its pid file is there, 2 usage or configuration, 3 it does not run, 4 it
cannot be known. With --healthy: 0 only if nothing but notices was found, else 2 (1, 3, 4 as above)."""
_CODES = {
    Life.RUNNING: Exit.DONE,
    Life.DEAD: Exit.FAILED,
    Life.STOPPED: Exit.NOT_RUNNING,
    Life.UNKNOWN: Exit.UNKNOWN,
}
_STYLES = {Weight.FATAL: "bold red", Weight.TROUBLE: "red", Weight.NOTICE: "yellow"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add PEER and --healthy."""
    parser.epilog = _EPILOG
    parser.add_argument("peer", nargs="?", metavar="PEER", help="only this peer, with all that is known of it")
    parser.add_argument("--healthy", action="store_true", help="exit code 0 only if all is well; for monitoring")


def run(options: argparse.Namespace, out: Output) -> int:
    """Show the sentences and the table, or the one peer."""
    now = take(config_of(options))
    found = findings(now)
    peers: Iterable[Peer] = now.peers
    if options.peer is not None:
        one = now.peer(options.peer)
        if one is None:
            out.complain(f"{options.peer} is neither in hosts.tab nor served")
            return Exit.USAGE
        found = [finding for finding in found if finding.peer in ("", one.id)]
        peers = (one,)
    peers = tuple(peers)
    out.json(document(now, found, peers))
    _show(now, found, peers, out, alone=options.peer is not None)
    code = _CODES[now.daemon.life]
    if options.healthy and code is Exit.DONE and any(one.weight is not Weight.NOTICE for one in found):
        return Exit.USAGE
    return code


# --- for people -------------------------------------------------------------------------------------------


def _show(now: Snapshot, found: list[Finding], peers: tuple[Peer, ...], out: Output, *, alone: bool) -> None:
    out.say(headline(now), style="bold")
    for finding in found:
        out.say(finding.sentence(), style=_STYLES[finding.weight])
    spoken_of = {finding.peer for finding in found if finding.weight is not Weight.NOTICE}
    rows = [peer for peer in peers if alone or peer.id not in spoken_of]
    if rows:
        out.say()
        out.table(
            [
                "peer", "state", "for", Column("clients", right=True), Column("in flight", right=True),
                Column("queued", right=True), Column("requests", right=True), Column("con_lost", right=True),
                Column("delayed", right=True), "oldest", "address",
            ],
            [_row(now, peer) for peer in rows],
        )  # fmt: skip
    if not found and now.daemon.life is Life.RUNNING:
        out.say("nothing is wrong")


def _row(now: Snapshot, peer: Peer) -> list[str]:
    live = peer.live
    counts = [live.clients, live.in_flight, live.queued, live.requests, live.con_lost] if live else [0] * 5
    pile = peer.piles.delayed
    oldest = span(now.at_wall - pile.oldest_wall) if pile.count else ""
    via = via_of(now.config, peer.id)
    address = (live.address if live else "") or (peer.host.address or peer.host.name if peer.host else "")
    if via is not None:
        address = f"{via} (loncVia)"
    return [
        peer.id, state_of(now, peer), _lasts(now, peer), *map(str, counts), str(pile.count), oldest, address,
    ]  # fmt: skip


def state_of(now: Snapshot, peer: Peer) -> str:
    """Return one word for a peer: its link's while a child lives, else the parent's, `?` when nothing is known."""
    if now.daemon.life is not Life.RUNNING:
        return "no daemon"
    if peer.paused:
        return "paused"
    if peer.live is not None:
        asleep = peer.live.state == "down" and not peer.live.down_since
        return "idle" if asleep else peer.live.state
    if peer.part is Part.TORN:
        return "?"
    return peer.parent.state if peer.parent is not None else "?"


def _lasts(now: Snapshot, peer: Peer) -> str:
    """Return how long that state has lasted, empty when it is not known."""
    if now.daemon.life is not Life.RUNNING:
        return ""
    if peer.live is not None and peer.live.down_since:
        return span(now.at_monotonic - peer.live.down_since)
    since = peer.live.since if peer.live is not None else peer.parent.since if peer.parent is not None else 0.0
    return span(now.at_wall - since) if since else ""


# --- for programs -----------------------------------------------------------------------------------------


def document(now: Snapshot, found: list[Finding], peers: tuple[Peer, ...]) -> dict[str, object]:
    """Return what --json prints (doc/schema/status.json): the daemon, the findings, and every peer."""
    daemon, header = now.daemon, now.daemon.header
    return {
        "own_id": now.config.host_id,
        "at": now.at_wall,
        "daemon": {
            "life": daemon.life.value,
            "pid": daemon.pid,
            "pid_file": daemon.pid_file,
            "headline": headline(now),
            "started": header.started if header else None,
            "restarts": header.restarts if header else None,
            "state": header.state if header else None,
            "scoreboard": daemon.board_why or None,
        },
        "healthy": daemon.life is Life.RUNNING and all(one.weight is Weight.NOTICE for one in found),
        "findings": [
            {
                "peer": one.peer or None,
                "weight": one.weight.name.lower(),
                "code": one.code,
                "text": one.text,
                "remedy": one.remedy,
            }
            for one in found
        ],
        "peers": [_peer_document(now, peer) for peer in peers],
    }


def _peer_document(now: Snapshot, peer: Peer) -> dict[str, object]:
    live, piles, via = peer.live, peer.piles, via_of(now.config, peer.id)
    return {
        "id": peer.id,
        "in_table": peer.host is not None,
        "state": state_of(now, peer),
        "supervision": peer.parent.state if peer.parent else None,
        "attempts": peer.parent.attempts if peer.parent else None,
        "pid": live.pid if live else None,
        "address": live.address if live else None,
        "via": str(via) if via else None,
        "why": live.why or None if live else None,
        "step": live.step if live else None,
        "down_s": round(now.at_monotonic - live.down_since, 1) if live and live.down_since else None,
        "clients": live.clients if live else None,
        "in_flight": live.in_flight if live else None,
        "queued": live.queued if live else None,
        "requests": live.requests if live else None,
        "con_lost": live.con_lost if live else None,
        "messages": {
            kind: {"count": pile.count, "oldest_s": _oldest_s(now, pile.count, pile.oldest_wall)}
            for kind, pile in (
                ("delayed", piles.delayed), ("rejected", piles.rejected), ("corrupt", piles.corrupt),
                ("held", piles.held),
            )
        },
    }  # fmt: skip


def _oldest_s(now: Snapshot, count: int, oldest_wall: float) -> float | None:
    return round(max(0.0, now.at_wall - oldest_wall), 1) if count else None
