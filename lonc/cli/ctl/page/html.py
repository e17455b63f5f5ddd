"""Writes the page: static HTML that needs neither JavaScript nor anything from elsewhere.

Everything that is not written here is escaped on its way in. The page says when it was made, since nobody can ask
a file whether it is still true.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from lonc import __version__
from lonc.cli.ctl.finding import Finding, Weight
from lonc.cli.ctl.page.history import SPAN_S, History, step_s
from lonc.cli.ctl.page.style import style_sheet
from lonc.cli.ctl.page.svg import Curve, mark, network, shapes, spark
from lonc.cli.ctl.piles import Piles
from lonc.cli.ctl.rates import GROUPS, Row, shown_age, shown_latency, shown_rate, sum_of
from lonc.cli.ctl.sentences import findings
from lonc.cli.ctl.snapshot import Life, Snapshot
from lonc.system.shown import printable

WORDS = {
    "up": "up", "resting": "resting, on demand", "trying": "being dialed or started", "paused": "paused",
    "down": "no link", "given-up": "given up", "unknown": "not known",
}  # fmt: skip
SPARK_POINTS = 90  # of a small picture
MOST_TOLD = 12  # of what is wrong
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(snapshot: Snapshot, rows: Sequence[Row], history: History, *, refresh_s: int = 0) -> str:
    """Return the whole page. refresh_s: after which a browser loads it again; 0: never, by itself."""
    own = snapshot.config.host_id
    parts = [
        _head(own, refresh_s), shapes(), _header(snapshot), _tiles(rows), _wrong(snapshot, rows),
        f'<div class="pair">{_network(own, rows)}{_total(rows, history, snapshot.at_wall)}</div>',
        _peers(rows, history, snapshot.at_wall), _queue(snapshot), _footer(),
    ]  # fmt: skip
    return "\n".join(part for part in parts if part) + "\n</body>\n</html>\n"


def _head(own: str, refresh_s: int) -> str:
    again = f'<meta http-equiv="refresh" content="{refresh_s}">' if refresh_s else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="robots" content="noindex">{again}<link rel="icon" href="data:,">'
        f"<title>{escape(own)}: lonc</title>\n<style>{style_sheet()}</style>\n</head>\n<body>"
    )


def _header(snapshot: Snapshot) -> str:
    daemon = snapshot.daemon
    words = {
        Life.RUNNING: ("up", "running"), Life.DEAD: ("down", "dead, its pid file is still there"),
        Life.STOPPED: ("given-up", "not running"), Life.UNKNOWN: ("unknown", "nobody knows whether it runs"),
    }  # fmt: skip
    group, word = words[daemon.life]
    more = f", {escape(daemon.life_why)}" if daemon.life_why else ""
    if daemon.life is Life.RUNNING and daemon.header is not None and daemon.header.started:
        since = shown_age(max(0.0, snapshot.at_wall - daemon.header.started))
        more = f" for {since}, process {daemon.pid}"
    made = time.localtime(snapshot.at_wall)
    shown, machine = time.strftime("%Y-%m-%d %H:%M:%S", made), time.strftime("%Y-%m-%dT%H:%M:%S%z", made)
    return (
        f"<header><h1>{escape(snapshot.config.host_id)}</h1>"
        f'<p class="g-{group}">{mark(group)}lonc is {word}{more}</p>'
        f'<p class="dim">as of <time datetime="{machine}">{shown}</time></p></header>\n<main>'
    )


def _tiles(rows: Sequence[Row]) -> str:
    up = sum(row.group == "up" for row in rows)
    resting = sum(row.group == "resting" for row in rows)
    delayed = sum(row.delayed for row in rows)
    oldest = max((row.oldest_s for row in rows if row.oldest_s is not None), default=None)
    links, clients = sum(row.links for row in rows), sum(row.clients for row in rows)
    tiles = (
        ("Peers up", f"{up} of {len(rows)}", f"{resting} resting" if resting else f"{links} links"),
        ("Requests a second", shown_rate(sum_of(row.requests_per_s for row in rows)), f"{clients} clients"),
        ("In flight", str(sum(row.in_flight for row in rows)), f"{sum(row.queued for row in rows)} queued"),
        ("con_lost a second", shown_rate(sum_of(row.con_lost_per_s for row in rows)), "told to clients"),
        ("Messages waiting", str(delayed), f"oldest {shown_age(oldest)}" if delayed else "none delayed"),
    )
    made = "".join(f"<div><dt>{name}</dt><dd>{value}</dd><dd>{more}</dd></div>" for name, value, more in tiles)
    return f'<dl class="tiles">{made}</dl>'


def means(values: Sequence[float | None], joined: int) -> list[float | None]:
    """Return the mean of every `joined` values that follow each other; None where none of them is known."""
    groups = [values[i : i + joined] for i in range(0, len(values), max(joined, 1))]
    known = [[value for value in group if value is not None] for group in groups]
    return [sum(group) / len(group) if group else None for group in known]


def _wrong(snapshot: Snapshot, rows: Sequence[Row]) -> str:
    """Return what is wrong and what to do, in the words of `loncctl status`; nothing when nothing is."""
    groups = {row.peer: row.group for row in rows}
    found = sorted(
        findings(snapshot), key=lambda one: (one.weight.value, GROUPS.index(groups.get(one.peer, GROUPS[0])))
    )
    told = [f"<li>{_finding(one, groups)}</li>" for one in found[:MOST_TOLD]]
    if len(found) > MOST_TOLD:
        told.append(f"<li>and {len(found) - MOST_TOLD} more: <code>loncctl status</code> names them</li>")
    if not told:
        return ""
    kind = "card wrong" if any(one.weight is not Weight.NOTICE for one in found) else "card notice"
    title = "What is wrong" if kind == "card wrong" else "Worth knowing"
    return f'<section class="{kind}"><h2>{title}</h2><ul>{"".join(told)}</ul></section>'


def _finding(one: Finding, groups: Mapping[str, str]) -> str:
    sign = mark(groups.get(one.peer, "unknown" if one.weight is Weight.NOTICE else "down"))
    remedy = f'<div class="dim small">{_prose(one.remedy)}</div>' if one.remedy else ""
    return f"{sign}{_prose(one.text)}{remedy}"


def _prose(text: str) -> str:
    """Return a sentence as markup: what stands between backquotes is a command."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(printable(text)))


def _worst_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: GROUPS.index(row.group))


# --- pictures --------------------------------------------------------------------------------------------


def _network(own: str, rows: Sequence[Row]) -> str:
    counts = Counter(row.group for row in rows)
    there = [group for group in reversed(GROUPS) if counts[group]]
    told = ", ".join(f"{counts[group]} {WORDS[group]}" for group in there) or "no peers"
    legend = "".join(f'<li class="g-{group}">{mark(group)}{counts[group]} {WORDS[group]}</li>' for group in there)
    summary = f"{own} in the middle of its peers: {told}"
    picture = network(own, rows, summary)
    return f'<section class="card"><h2>Network</h2>{picture}<ul class="legend">{legend}</ul></section>'


def _total(rows: Sequence[Row], history: History, now: float) -> str:
    total = history.total_rate()
    known = [value for value in total if value is not None]
    most = max(known, default=0.0)
    label = f"requests a second of all peers in the last hour, at most {shown_rate(most)}"
    curve = spark(
        history.at,
        [Curve("rate", total)],
        now=now,
        span_s=SPAN_S,
        step_s=step_s(len(rows)),
        label=label,
        large=True,
    )
    top = f'<p class="axis"><span>most {shown_rate(most)}</span></p>' if known else ""
    below = '<p class="axis"><span>an hour ago</span><span>now</span></p>' if known else ""
    title = "<h2>Requests a second, last hour</h2>"
    return f'<section class="card big">{title}{top}{curve}{below}{_busiest(rows)}</section>'


def _busiest(rows: Sequence[Row]) -> str:
    """Return the busiest peers: what the curve above is made of."""
    busy = sorted((row for row in rows if row.requests_per_s), key=lambda row: -(row.requests_per_s or 0))[:5]
    if not busy:
        return ""
    made = "".join(
        f'<tr><th scope="row">{escape(row.peer)}</th><td class="n">{shown_rate(row.requests_per_s)}/s</td>'
        f'<td class="n k50">{shown_latency(row.p50_s)}</td><td class="n k99">{shown_latency(row.p99_s)}</td></tr>'
        for row in busy
    )
    heads = "".join(f'<th scope="col" class="n">{name}</th>' for name in ("Requests", "Half within", "p99"))
    return (
        '<h2 class="next" id="busy">Busiest</h2><table class="busy" aria-labelledby="busy">'
        f'<thead><tr><th scope="col">Peer</th>{heads}</tr></thead><tbody>{made}</tbody></table>'
    )


# --- tables ----------------------------------------------------------------------------------------------

_HEADS = ("Peer", "State", "Requests a second", "Latency", "In flight", "con_lost/s", "Delayed")


def _peers(rows: Sequence[Row], history: History, now: float) -> str:
    index = {rows[i].peer: i for i in range(len(rows))}
    step = step_s(len(rows))
    made = "\n".join(_peer(index[row.peer], row, history, now, step) for row in _worst_first(rows))
    table = _table("peers", _HEADS, 4, made)
    return (
        f'<section class="card"><h2 id="peers">Peers</h2>{table}'
        '<p class="small dim">The worst first. Curves: the last hour, each on its own scale. Latency: half of the '
        'replies came within the <span class="k50">first</span> time, 99 of 100 within the '
        '<span class="k99">second</span>.</p></section>'
    )


def _peer(number: int, row: Row, history: History, now: float, step: float) -> str:
    rate, latency = _sparks(row, history, now, step)
    since = f' <span class="dim small">{shown_age(row.since_s)}</span>' if row.since_s is not None else ""
    why = f'<div class="why">{escape(row.why)}</div>' if row.why else ""
    busy = f"{row.in_flight} + {row.queued} queued" if row.queued else str(row.in_flight)
    oldest = f' <span class="dim small">oldest {shown_age(row.oldest_s)}</span>' if row.delayed else ""
    both = (
        f'<span class="k50">{shown_latency(row.p50_s)}</span> <span class="k99">{shown_latency(row.p99_s)}</span>'
        if row.p50_s is not None else "-"
    )  # fmt: skip
    # Cards leave out what says nothing.
    no_rate = "" if row.requests_per_s or rate or latency else " e"
    none = ["" if value else " e" for value in (row.in_flight + row.queued, row.con_lost_per_s, row.delayed)]
    cells = (
        f'<td role="cell"><span class="g-{row.group}">{mark(row.group)}{escape(row.state)}</span>{since}{why}</td>'
        f'<td role="cell" class="s{no_rate}" data-l="{_HEADS[2]}">{shown_rate(row.requests_per_s)}{rate}</td>'
        f'<td role="cell" class="s{no_rate}" data-l="{_HEADS[3]}">{both}{latency}</td>'
        f'<td role="cell" class="n{none[0]}" data-l="{_HEADS[4]}">{busy}</td>'
        f'<td role="cell" class="n{none[1]}" data-l="{_HEADS[5]}">{shown_rate(row.con_lost_per_s)}</td>'
        f'<td role="cell" class="n{none[2]}" data-l="{_HEADS[6]}">{row.delayed}{oldest}</td>'
    )
    return f'<tr role="row" id="p{number}"><th scope="row" role="rowheader">{escape(row.peer)}</th>{cells}</tr>'


def _sparks(row: Row, history: History, now: float, step: float) -> tuple[str, str]:
    """Return the two small pictures of a peer; nothing where nothing has happened."""
    curves = history.peers.get(row.peer)
    if curves is None:
        return "", ""
    pictures = []
    joined = -(-len(history.at) // SPARK_POINTS)  # a small picture shows no more, and is smaller
    times = [at for at in means(history.at, joined) if at is not None]
    for what, names in (("requests a second", ("rate",)), ("latency", ("p50_ms", "p99_ms"))):
        lines = [Curve(name.removesuffix("_ms"), means(curves[name], joined)) for name in names]
        most = max((value for line in lines for value in line.values if value is not None), default=0.0)
        shown = shown_rate(most) if names == ("rate",) else shown_latency(most / 1000)
        label = f"{what}, last hour, at most {shown}"
        step_shown = step * joined
        drawn = spark(times, lines, now=now, span_s=SPAN_S, step_s=step_shown, label=label) if most else ""
        pictures.append(drawn)
    return pictures[0], pictures[1]


def _queue(snapshot: Snapshot) -> str:
    """Return the messages on the disk: who has any, how many, how old."""
    found = [(peer.id, peer.piles) for peer in snapshot.peers if peer.piles != Piles()]
    found.sort(key=lambda pair: (pair[1].delayed.oldest_wall or float("inf"), pair[0]))
    if snapshot.strays != Piles():
        found.append(("ids that are not in the table", snapshot.strays))
    if not found:
        return '<section class="card"><h2>Queue</h2><p>No message waits on the disk.</p></section>'
    heads = ("Peer", "Waiting", "Oldest", "Rejected", "Corrupt", "Held")
    made = "\n".join(_pile_row(name, piles, snapshot.at_wall) for name, piles in found)
    return f'<section class="card"><h2 id="queue">Queue</h2>{_table("queue", heads, 1, made)}</section>'


def _table(name: str, heads: Sequence[str], numbers_from: int, body: str) -> str:
    """Return a table under the heading with this id; the roles stay when narrow screens show it as cards."""
    shown = "".join(
        f'<th scope="col" role="columnheader" class="{"n" if i >= numbers_from else "t"}">{heads[i]}</th>'
        for i in range(len(heads))
    )
    return (
        f'<table class="cards {name}" role="table" aria-labelledby="{name}">'
        f'<thead role="rowgroup"><tr role="row">{shown}'
        f'</tr></thead>\n<tbody role="rowgroup">{body}</tbody></table>'
    )


def _pile_row(name: str, piles: Piles, now: float) -> str:
    oldest = shown_age(max(0.0, now - piles.delayed.oldest_wall)) if piles.delayed.count else "-"
    values = (
        ("Waiting", piles.delayed.count), ("Oldest", oldest), ("Rejected", piles.rejected.count),
        ("Corrupt", piles.corrupt.count), ("Held", piles.held.count),
    )  # fmt: skip
    cells = "".join(f'<td role="cell" class="n" data-l="{label}">{value}</td>' for label, value in values)
    return f'<tr role="row"><th scope="row" role="rowheader">{escape(name)}</th>{cells}</tr>'


def _footer() -> str:
    return (
        f'</main>\n<footer class="dim small"><p>lonc {escape(__version__)}. The same as data: '
        '<a href="lonc.json">lonc.json</a>. On the server, <code>loncctl status</code> says what to do.</p>'
        "</footer>"
    )
