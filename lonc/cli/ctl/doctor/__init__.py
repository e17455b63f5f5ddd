"""Look into the way to one peer, step by step: what works, what does not, and what to do.

Every step has a time limit, and everything that may hang (look-ups, the web) runs in a thread that nobody waits
for longer. One link is opened beside the daemon's own, and it says `exit` at its end.
"""

from __future__ import annotations

import argparse
import difflib
import os

from lonc.cli.ctl import snapshot
from lonc.cli.ctl.doctor.examination import examine
from lonc.cli.ctl.doctor.steps import Limits, Report, Step, Verdict
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.config import Config, Host, load_hosts, via_of

_EPILOG = """\
exit codes: 0 nothing is bad (there may be warnings), 1 something is bad, 2 no such peer, or the configuration.
The time before each line is what the step took. Its word is ok, warning, bad or skipped. The last line says what
to do first. Nothing is changed on either side; the peer sees one more link for a moment, from this server."""
_STYLES = {Verdict.WARNING: "yellow", Verdict.BAD: "bold red", Verdict.SKIPPED: "dim"}
LIMIT_S = 15.0
LOOK_UP_S = 3.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the peer, the time limit and what concerns the web server."""
    parser.epilog = _EPILOG
    parser.add_argument("peer", metavar="PEER", help="id of hosts.tab")
    parser.add_argument(
        "--limit", type=_seconds, default=LIMIT_S, metavar="SECONDS",
        help=f"how long each step of the dialogue, each request and the web page may take ({LIMIT_S:g})",
    )  # fmt: skip
    parser.add_argument("--web-port", type=_port, default=80, metavar="PORT", help="of the peer's web server (80)")
    parser.add_argument("--no-web", action="store_true", help="leave the web server alone")


def run(options: argparse.Namespace, out: Output) -> int:
    """Examine the peer and return DONE or FAILED; USAGE for an id that hosts.tab does not have."""
    config = config_of(options)
    table = load_hosts(config)
    host = next((host for host in (*table.hosts, *table.refused) if host.id == options.peer), None)
    if host is None:
        out.complain(_unknown(config, options.peer, [host.id for host in table.hosts]))
        return Exit.USAGE
    limits = Limits(options.limit, config.connect_timeout_s, min(LOOK_UP_S, options.limit))
    report = Report(host.id, lambda step: _show(out, step))
    out.say(f"{host.id} as {config.host_id} sees it:")
    here = snapshot.take(config)
    web_port = None if options.no_web else options.web_port
    examine(config, table, host, here, limits, report, web_port)
    out.say()
    out.say(report.advice())
    out.json(_document(config, host, report))
    return Exit.FAILED if report.verdict is Verdict.BAD else Exit.DONE


def _show(out: Output, step: Step) -> None:
    time = "          " if step.seconds is None else f"{step.seconds * 1000:7.1f} ms"
    out.say(f"{time}  {step.name:<10} {step.verdict:<8} {step.text}", style=_STYLES.get(step.verdict, ""))
    if step.remedy:
        out.say(f"{'':10}  {'':10} {'':8} do: {step.remedy}")
    out.stream.flush()  # whoever waits for a slow step sees those before it, also through a pipe


def _seconds(word: str) -> float:
    value = float(word)
    if not 0.1 <= value <= 600:
        raise argparse.ArgumentTypeError("a number of seconds from 0.1 to 600")
    return value


def _port(word: str) -> int:
    value = int(word)
    if not 1 <= value <= 65535:
        raise argparse.ArgumentTypeError("a port from 1 to 65535")
    return value


def _unknown(config: Config, peer: str, known: list[str]) -> str:
    close = difflib.get_close_matches(peer, known, n=3, cutoff=0.6)
    hint = f"; is {' or '.join(close)} meant?" if close else ""
    return f"{os.path.join(config.tab_dir, 'hosts.tab')} has no usable line for {peer}{hint}"


def _via(config: Config, host: Host) -> str | None:
    via = via_of(config, host.id)
    return str(via) if via else None


def _document(config: Config, host: Host, report: Report) -> dict[str, object]:
    return {
        "peer": host.id,
        "own_id": config.host_id,
        "name": host.name,
        "address": host.address,
        "port": config.port,
        "via": _via(config, host),
        "verdict": report.verdict.value,
        "advice": report.advice(),
        "steps": [
            {
                "step": step.name,
                "verdict": step.verdict.value,
                "time_s": None if step.seconds is None else round(step.seconds, 6),
                "text": step.text,
                "remedy": step.remedy,
            }
            for step in report.steps
        ],
    }
