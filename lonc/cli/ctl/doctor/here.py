"""Owns what this side says of the peer: the daemon's own link to it, and the messages that wait for it."""

from __future__ import annotations

from lonc.cli.ctl.doctor.steps import Report, Step, Verdict
from lonc.cli.ctl.snapshot import Life, Peer, Snapshot


def examine_messages(here: Snapshot, report: Report) -> None:
    """Tell how many messages wait, were refused or are corrupt."""
    peer = here.peer(report.peer)
    if here.delayed_why or peer is None:
        why = here.delayed_why or "hosts.tab was changed meanwhile"
        report.add(Step("delayed", Verdict.WARNING, f"cannot be known: {why}", "run it as the daemon's user"))
        return
    piles = peer.piles
    told = [
        f"{pile.count} {word}" + (f", the oldest {_span(here.at_wall - pile.oldest_wall)} old" if old else "")
        for pile, word, old in (
            (piles.delayed, "waiting", True), (piles.rejected, "rejected", False),
            (piles.corrupt, "corrupt", False), (piles.held, "held", False),
        )
        if pile.count
    ]  # fmt: skip
    if not told:
        report.add(Step("delayed", Verdict.OK, "no message waits"))
    elif piles.rejected.count or piles.corrupt.count:
        remedy = f"`loncctl queue {report.peer}` shows why; retry or drop them"
        report.add(Step("delayed", Verdict.WARNING, "; ".join(told), remedy))
    else:
        remedy = "" if peer.up else "nothing for them: they are sent when the link is there"
        verdict = Verdict.OK if peer.up else Verdict.WARNING
        report.add(Step("delayed", verdict, "; ".join(told), remedy))


def examine_daemon(here: Snapshot, report: Report) -> None:
    """Tell what lonc itself says of the peer, and where that differs from what was found."""
    verdict, text, remedy = _daemon(here, report)
    report.add(Step("lonc", verdict, text, remedy))


def _daemon(here: Snapshot, report: Report) -> tuple[Verdict, str, str]:
    life = here.daemon.life
    if life is Life.UNKNOWN:
        return Verdict.WARNING, f"whether lonc runs is not known: {here.daemon.life_why}", "run it as root"
    if life is not Life.RUNNING:
        return Verdict.WARNING, "lonc does not run here, so nobody uses this way", "start it: `lonc`"
    peer = here.peer(report.peer)
    if peer is not None and peer.paused:
        return Verdict.WARNING, "an operator has paused this peer", f"`loncctl resume {report.peer}`"
    if here.daemon.board_why or peer is None or peer.parent is None:
        why = here.daemon.board_why or "it has no slot of the scoreboard"
        return Verdict.WARNING, f"lonc runs; what it says of {report.peer} is not known: {why}", "`loncctl rehash`"
    return _link(here, peer, report.verdict is not Verdict.BAD)


def _link(here: Snapshot, peer: Peer, reached: bool) -> tuple[Verdict, str, str]:
    child, parent = peer.live, peer.parent
    assert parent is not None
    if peer.stuck:
        return Verdict.BAD, "its child is stuck", "nothing: lonc replaces it by itself; if often, see lonc.log"
    if child is not None and child.state == "ready":
        back = f", {child.in_flight} requests in flight, {child.queued} queued"
        return Verdict.OK, f"its link is ready for {_span(here.at_wall - child.since)}{back}", ""
    if child is None:
        if "given" in parent.state.lower():
            return Verdict.WARNING, f"lonc has given {peer.id} up: {parent.why}", f"`loncctl retry {peer.id}`"
        return Verdict.OK, f"no child at the moment ({parent.state.lower().replace('_', ' ')})", ""
    why = f": {child.why}" if child.why else ""
    text = f"its link is {child.state} for {_span(here.at_wall - child.since)}{why}"
    if not reached:
        return Verdict.WARNING, text, "mend what is bad above; lonc dials again by itself"
    return Verdict.WARNING, f"{text}, though this examination came through", f"`loncctl retry {peer.id}` dials now"


def _span(seconds: float) -> str:
    """Return a duration in one unit: `4 min`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
