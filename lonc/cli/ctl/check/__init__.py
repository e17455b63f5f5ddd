"""Check what a start would stumble over: configuration, table, directories, limits, libraries, other daemons.

Nothing is changed and nobody is stopped, so it may be run at any time, also while the daemon works.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable

from lonc.cli.ctl import snapshot
from lonc.cli.ctl.check import daemons, limits, machine, messages, places
from lonc.cli.ctl.check.findings import Finding, Level
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.snapshot import Snapshot
from lonc.config import SETTINGS, Config, Given, find_conf_dir, load_hosts, load_with_origins
from lonc.errors import ConfigError

_EPILOG = """\
exit codes: 0 valid, 1 valid with warnings, 2 errors: a start, or a part of the work, would fail.
What concerns files is judged for loncUser, whoever runs this. lond's side is asked of `lond -t`, where lond is
configured (a setting londStore, londListen and so on) or has run in this place."""
_STYLES = {Level.WARNING: "yellow", Level.ERROR: "bold red"}

# In the order in which they are told. Each may be asked only when the table could be read.
_OF_SNAPSHOT: tuple[Callable[[Snapshot], list[Finding]], ...] = (
    places.directories,
    places.files,
    places.room,
    places.socket_paths,
    limits.descriptors,
    machine.user,
    messages.keys,
    messages.leftovers,
    daemons.lonc,
    daemons.lond_process,
    machine.dates,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add --lond and --no-lond."""
    parser.epilog = _EPILOG
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--lond", action="store_true", default=None, help="ask lond's own check in any case")
    which.add_argument("--no-lond", action="store_false", dest="lond", help="leave lond out")


def run(options: argparse.Namespace, out: Output) -> int:
    """Check all and return 0, 1 for warnings, 2 for errors."""
    conf_dir = find_conf_dir(options.conf_dir, os.environ)
    found: list[Finding] = []

    def tell(findings: list[Finding]) -> None:
        for finding in findings:
            found.append(finding)
            _show(out, finding)

    tell(machine.python())
    tell(machine.libraries())
    tell(machine.engine())
    tell(machine.clock())
    config, given = _configuration(conf_dir, tell)
    if config is not None:
        _installation(config, given, options.lond, tell)
    counts = Counter(finding.level for finding in found)
    verdict = _verdict(counts)
    out.say()
    out.say(verdict)
    out.json(
        {
            "conf_dir": conf_dir,
            "valid": not counts[Level.ERROR],
            "errors": counts[Level.ERROR],
            "warnings": counts[Level.WARNING],
            "checks": [finding.plain() for finding in found],
        }
    )
    return 2 if counts[Level.ERROR] else 1 if counts[Level.WARNING] else 0


def _configuration(
    conf_dir: str, tell: Callable[[list[Finding]], None]
) -> tuple[Config | None, dict[str, Given]]:  # fmt: skip
    try:
        config, given = load_with_origins(conf_dir)
    except ConfigError as error:
        tell([Finding("configuration", Level.ERROR, str(problem), "correct it") for problem in error.problems])
        return None, {}
    text = f"{', '.join(config.sources)}: {config.given} settings given, {len(SETTINGS) - config.given} by default"
    tell([Finding("configuration", Level.OK, text)])
    tell([Finding("configuration", Level.WARNING, text, "correct it") for text in config.warnings])
    return config, given


def _installation(
    config: Config, given: dict[str, Given], lond: bool | None, tell: Callable[[list[Finding]], None]
) -> None:
    told: list[str] = list(config.warnings)
    try:
        table = load_hosts(config)
    except ConfigError as error:
        tell([Finding("table", Level.ERROR, str(problem), "correct it") for problem in error.problems])
    else:
        tell([Finding("table", Level.OK, f"{table.path}: {len(table.hosts)} usable hosts")])
        tell([Finding("table", Level.WARNING, text, "correct the line") for text in table.warnings])
        told += table.warnings
    here = snapshot.take(config)
    for check in _OF_SNAPSHOT:
        tell(check(here))
    wanted = daemons.lond_is_configured(config, given) if lond is None else lond
    if wanted:
        tell(places.lond_directories(here))
        tell(daemons.lond_check(config, told))
    elif lond is None:
        tell([Finding("lond", Level.OK, "is not configured here, so its side was left out (--lond asks it)")])


def _show(out: Output, finding: Finding) -> None:
    out.say(f"{finding.level:<8} {finding.check:<14} {finding.text}", style=_STYLES.get(finding.level, ""))
    if finding.remedy:
        out.say(f"{'':8} {'':14} do: {finding.remedy}")


def _verdict(counts: Counter[Level]) -> str:
    errors, warnings = counts[Level.ERROR], counts[Level.WARNING]
    noted = f"{warnings} {'warning' if warnings == 1 else 'warnings'}"
    if errors:
        return f"not valid: {errors} {'error' if errors == 1 else 'errors'}, {noted}"
    return f"valid, with {noted}" if warnings else "valid"
