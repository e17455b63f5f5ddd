"""Read hosts.tab again: new peers start, vanished ones stop, those whose address changed move.

USR2 to the parent. With --dry-run nothing is sent: what would happen is told, by the daemon's own comparison.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Collection

from lonc.cli.ctl.orders import Result, Scene, carry_out, wait_for
from lonc.cli.ctl.output import Output
from lonc.config import HostTable, load_hosts
from lonc.errors import ConfigError
from lonc.parent.compare import Changes, compare, dialed
from lonc.system.scoreboard.layout import dials_text

HEARD_S = 20.0
MARGIN_S = 5.0
SHOWN = 20  # ids in a sentence
READ = "hosts.tab read again: "
REFUSED = "hosts.tab cannot be used, the old one stays: "


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add --dry-run."""
    parser.add_argument("--dry-run", action="store_true", help="tell what would start, stop and move")
    parser.epilog = (
        "exit codes: 0 done (or told), 1 the table cannot be used or a child has not followed, 2 usage or"
        " configuration, 3 not running."
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """Have the table read again, or tell what that would do."""
    return carry_out(options, out, dry_run if options.dry_run else rehash)


def dry_run(scene: Scene) -> Result:
    """Return what reading the table again would do."""
    try:
        table = load_hosts(scene.config)
    except ConfigError as error:
        text = f"the table cannot be used, the old one would stay: {error}"
        return Result(False, text, _facts(None, True))
    changes = _changes(scene, table)
    if changes is None:
        text = "the scoreboard cannot be read, so it is not known what is served"
        return Result(False, text, _facts(None, True))
    lines = [
        *_sentence("would start", changes.new),
        *_sentence("would stop", changes.gone),
        *_sentence("would move to another address", changes.changed),
        *_sentence("would be replaced (an id ends like theirs)", {*changes.replaced} - {*changes.changed}),
        f"{len(changes.kept)} would keep child and link",
        *(f"note: {warning}" for warning in table.warnings),
    ]
    return Result(True, "\n".join(lines), _facts(changes, True) | {"warnings": list(table.warnings)})


def rehash(scene: Scene) -> Result:
    """Have the table read again, wait for its children, and return what has changed."""
    try:
        changes = _changes(scene, load_hosts(scene.config))
    except ConfigError:
        changes = None  # the daemon says why
    before = scene.slots()
    scene.tell_parent(signal.SIGUSR2)
    said = wait_for(lambda: scene.log.said("PARENT", READ, REFUSED, pid=scene.pid), HEARD_S)
    if REFUSED in said:
        return Result(False, said, _facts(None, False))
    if not said and changes is None:
        return Result(False, f"lonc has not read the table within {HEARD_S:g} s", _facts(None, False))
    pids = {name: slot.child_pid for name, slot in before.items()}

    def waiting() -> list[str]:
        slots = scene.slots()
        if changes is None:
            return []
        gone = [name for name in changes.gone if name in slots]
        absent = [name for name in changes.new if name not in slots]
        replaced = [name for name in changes.replaced if pids[name] and name in slots]
        return [*gone, *absent, *(name for name in replaced if slots[name].child_pid == pids[name])]

    limit_s = scene.config.stop_timeout_s + MARGIN_S
    wait_for(lambda: not waiting(), limit_s)
    late = waiting()
    if late:
        text = f"{said}; not done within {limit_s:g} s: {', '.join(late[:SHOWN])}"
        return Result(False, text, _facts(changes, False))
    return Result(True, said or "the table was read again", _facts(changes, False))


def _changes(scene: Scene, table: HostTable) -> Changes | None:
    """Return the difference between what is served and a table; None when it is not known what is served."""
    slots = scene.slots()
    if not slots and scene.header() is None:
        return None
    # One that is leaving has no entry in the table that is served any more.
    before = {name: slot.parent.dials for name, slot in slots.items() if slot.parent.dials}
    return compare(before, {host.id: dials_text(dialed(host)) for host in table.hosts})


def _facts(changes: Changes | None, dry: bool) -> dict[str, object]:
    return {
        "dry_run": dry,
        "start": list(changes.new) if changes else [],
        "stop": list(changes.gone) if changes else [],
        "move": list(changes.changed) if changes else [],
        "replace": list(changes.replaced) if changes else [],
        "keep": len(changes.kept) if changes else 0,
    }


def _sentence(what: str, names: Collection[str]) -> list[str]:
    found = sorted(names)
    if not found:
        return []
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return [f"{len(found)} {what}: {', '.join(found[:SHOWN])}{more}"]
