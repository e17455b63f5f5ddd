"""Owns the question to the peer's web server: does its ping page reach us, what time is it there (lonc.md 8)."""

from __future__ import annotations

import email.utils
import http.client
import re
import time
from dataclasses import dataclass

from lonc.cli.ctl.doctor.aside import Aside
from lonc.cli.ctl.doctor.steps import Limits, Report, Step, Verdict, quoted, reason
from lonc.config import Config, Host, HostTable
from lonc.wire import words

CLOCK_WARNING_S = 60.0  # delayed messages and sessions carry times of both servers
CLOCK_EXACT_S = 1.0  # the header has whole seconds
_FIRST_LINE_BYTES = 1024
_FOREIGN = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True, slots=True)
class Page:
    """What the web server answered. ahead_s: its clock less ours, None when it told no time."""

    status: int
    line: str
    location: str
    ahead_s: float | None


def fetch(name: str, port: int, remote: str, limit_s: float) -> Page:
    """Return the answer of http://name/cgi-bin/ping.pl?remote; no redirect is followed, no proxy is used.

    limit_s: of each wait; the caller limits the whole. Raises OSError or http.client.HTTPException.
    """
    connection = http.client.HTTPConnection(name, port, timeout=limit_s)
    try:
        sent = time.time()
        connection.request("GET", f"/cgi-bin/ping.pl?{remote}", headers={"Connection": "close"})
        answer = connection.getresponse()
        ours = (sent + time.time()) / 2
        line = answer.readline(_FIRST_LINE_BYTES).decode("utf-8", "replace").strip("\r\n")
        stamp = answer.headers.get("Date", "")
        return Page(answer.status, line, answer.headers.get("Location", ""), ahead(stamp, ours))
    finally:
        connection.close()


def ahead(stamp: str, ours: float) -> float | None:
    """Return how far a Date header is ahead of a time of ours (seconds since 1970); None when it is no date."""
    try:
        # Whole seconds, cut: on the average half of one has passed since.
        return email.utils.parsedate_to_datetime(stamp).timestamp() + 0.5 - ours
    except (ValueError, TypeError, OverflowError):
        return None


def examine_web(
    config: Config, table: HostTable, host: Host, limits: Limits, report: Report, port: int | None
) -> None:
    """Tell what the web server says of the way to us, and what its clock says. port None: leave it alone."""
    if port is None:
        report.add(Step("web", Verdict.SKIPPED, "not wanted (--no-web)"))
        report.add(clock_step(None, 0))
        return
    aside = Aside(lambda: fetch(host.name, port, config.host_id, limits.step_s))
    try:
        page = aside.result(limits.step_s)
    except (OSError, http.client.HTTPException, ValueError) as error:
        text = f"local_error: the web server of {host.name} gives no page: {reason(error)}"
        remedy = "look whether the web server runs there; links do without it, pages and resources do not"
        report.add(Step("web", Verdict.WARNING, text, remedy, aside.seconds))
        report.add(clock_step(None, 0))
        return
    known = config.host_id in {one.id for one in table.hosts}
    verdict, text, remedy = explain(page, host, config.host_id, known=known)
    report.add(Step("web", verdict, text, remedy, aside.seconds))
    report.add(clock_step(page.ahead_s, aside.seconds))


def explain(page: Page, host: Host, own: str, *, known: bool) -> tuple[Verdict, str, str]:
    """Return verdict, text and remedy for what ping.pl answered. known: whether our table has our own id."""
    line = page.line.strip()
    if 300 <= page.status < 400:
        text = f"the web server sends us on to {quoted(page.location)}, where the old network does not follow"
        return Verdict.WARNING, text, "let /cgi-bin/ping.pl be answered without a redirect there"
    if page.status != 200:
        text = f"no ping page: the web server answers {page.status} {http.client.responses.get(page.status, '')}"
        return Verdict.WARNING, text.rstrip(), "look there whether /cgi-bin/ping.pl is installed"
    if line.startswith("<"):
        return Verdict.WARNING, f"HTML, not of ping.pl: {quoted(line)}", "look what answers /cgi-bin/ there"
    word = _FOREIGN.sub("", line)
    if word == _FOREIGN.sub("", own):
        return Verdict.OK, f"ok: the web server runs, and from there {own} is reached", ""
    if not line:
        return Verdict.WARNING, "an empty page: ping.pl got no answer", f"look whether lonc runs on {host.id}"
    if line.encode() == words.CON_LOST:
        text = f"con_lost: the web server runs, but its lonc has no link to {own}"
        return Verdict.BAD, text, f"look into lonc.log there (`loncctl doctor {own}`), and whether lond runs here"
    if line.encode() == words.NO_SUCH_HOST or (not known and word.endswith("unknown")):
        text = f"{line}: the web server runs, but there nobody knows {own}"
        return Verdict.BAD, text, f"add the line of {own} to the hosts.tab of {host.id}"
    text = f"the ping page answers {quoted(line)} where {own} was expected"
    return Verdict.WARNING, text, f"compare lonHostID here with the hosts.tab of {host.id}"


def clock_step(ahead_s: float | None, took_s: float) -> Step:
    """Say what is known of the peer's clock. took_s: the answer's round trip, half of which is not known."""
    if ahead_s is None:
        return Step("clock", Verdict.SKIPPED, "cannot be known: lond tells no time, and no web server told one")
    exact_s = CLOCK_EXACT_S + took_s / 2
    if abs(ahead_s) <= exact_s:
        return Step("clock", Verdict.OK, f"agrees with ours, as far as can be seen (within {exact_s:.0f} s)")
    way = "ahead of" if ahead_s > 0 else "behind"
    text = f"{abs(ahead_s):.0f} s {way} ours, by the web server's Date"
    if abs(ahead_s) <= CLOCK_WARNING_S:
        return Step("clock", Verdict.OK, text)
    return Step("clock", Verdict.WARNING, text, "set the clocks of both servers by NTP")
