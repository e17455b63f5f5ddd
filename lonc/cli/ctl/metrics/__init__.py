"""Print, serve or write metrics in Prometheus's text format.

Without an option they are printed once. Every collection reads the scoreboard and lists the delayed directory; the
daemon has no part in it and is not slowed down.
"""

from __future__ import annotations

import argparse
import os

from prometheus_client import CollectorRegistry, generate_latest

from lonc.cli.ctl.metrics.families import SnapshotCollector, families
from lonc.cli.ctl.metrics.serving import CannotServe, serve
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.snapshot import Snapshot, take
from lonc.cli.ctl.verbs import Exit, config_of
from lonc.system.files import SystemFiles, replace_file

TEXT_MODE = 0o644  # node_exporter runs as another user

_EPILOG = """\
exit codes: 0 done (also when lonc does not run: lonc_up is 0 then), 1 not written or not served, 2 usage or
configuration.
With --json: the families as one JSON document instead.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.epilog = _EPILOG
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--serve", metavar="WHERE", help="serve over HTTP, until it is ended: unix:PATH or 127.0.0.1:PORT (0: any)"
    )
    ways.add_argument(
        "--textfile", metavar="FILE", help="write FILE.prom, replaced by rename, for node_exporter's directory"
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """Print, serve or write; return the exit code."""
    config = config_of(options)

    def now() -> Snapshot:
        return take(config)

    registry = CollectorRegistry(auto_describe=False)  # its own: nothing of this process is told
    registry.register(SnapshotCollector(now))
    if options.serve is not None:
        return _serve(options.serve, registry, out)
    if options.textfile is not None:
        return _write(options.textfile, registry, out)
    if out.as_json:
        out.json(as_json(now()))
    else:
        out.stream.write(generate_latest(registry).decode("utf-8"))
    return Exit.DONE


def _serve(where: str, registry: CollectorRegistry, out: Output) -> int:
    def ready(address: str) -> None:
        out.say(f"metrics are served at {address}, path /metrics")
        out.json({"serving": address})
        out.stream.flush()

    try:
        serve(where, registry, ready)
    except CannotServe as error:
        out.complain(str(error))
        return Exit.FAILED
    return Exit.DONE


def _write(path: str, registry: CollectorRegistry, out: Output) -> int:
    if not path.endswith(".prom"):
        out.complain(f"{path}: node_exporter reads names that end in .prom only")
        return Exit.USAGE
    os.umask(0o022)
    try:
        replace_file(SystemFiles(), os.path.abspath(path), generate_latest(registry), TEXT_MODE, sync=False)
    except OSError as error:
        out.complain(f"{path}: {error.strerror}")
        return Exit.FAILED
    out.json({"textfile": os.path.abspath(path)})
    return Exit.DONE


def as_json(snapshot: Snapshot) -> dict[str, object]:
    """Return the families as a document: name, type, help and samples of each."""
    found = []
    for family in families(snapshot):
        samples = [{"name": s.name, "labels": s.labels, "value": s.value} for s in family.samples]
        found.append({"name": family.name, "type": family.type, "help": family.documentation, "samples": samples})
    return {"families": found}
