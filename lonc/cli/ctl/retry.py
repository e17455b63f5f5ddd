"""Dial every peer that is away now, and start those that were given up.

USR1 to the parent: attempts begin anew, pauses end, every child reports into the status file.
"""

from __future__ import annotations

import argparse
import signal

from lonc.cli.ctl.orders import Result, Scene, Slot, carry_out, wait_for
from lonc.cli.ctl.output import Output

HEARD_S = 10.0
DIALED_S = 3.0  # then most of those that can be reached are
AT_WORK = ("starting", "connecting", "greeting", "keying", "backoff")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing but the explanation."""
    parser.epilog = (
        "exit codes: 0 every peer is being tried, 1 the daemon has not acted, 2 usage or configuration,"
        " 3 not running."
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """Call everybody and wait for what comes of it."""
    return carry_out(options, out, retry)


def retry(scene: Scene) -> Result:
    """Call everybody, and return who is ready then."""
    before = scene.slots()
    revived = sorted(name for name, slot in before.items() if slot.parent.state == "given up")
    away = sorted(name for name, slot in before.items() if not slot.ready)
    scene.tell_parent(signal.SIGUSR1)
    if not wait_for(lambda: _heard(scene, revived), HEARD_S):
        return Result(False, f"lonc has not acted within {HEARD_S:g} s: is its loop stuck, or the log full?")
    wait_for(lambda: all(_settled(scene.slots().get(name)) for name in away), DIALED_S)
    slots = scene.slots()
    ready = [name for name in away if name in slots and slots[name].ready]
    still = [name for name in away if name not in ready]
    facts: dict[str, object] = {"were_away": away, "started_again": revived, "ready": ready, "still_away": still}
    if not away:
        return Result(True, f"all {len(before)} peers were called; none was away", facts)
    text = f"all {len(before)} peers were called; of {len(away)} that were away {len(ready)} are ready"
    more = f"; still away: {', '.join(still[:10])}{'...' if len(still) > 10 else ''}" if still else ""
    return Result(True, text + more, facts)


def _heard(scene: Scene, revived: list[str]) -> bool:
    """Return whether the parent has acted: by its log, or where that cannot be written by those it started."""
    if scene.log.said("PARENT", "Going to check on the children", pid=scene.pid):
        return True
    slots = scene.slots()
    return bool(revived) and all(slots[name].parent.state != "given up" for name in revived if name in slots)


def _settled(slot: Slot | None) -> bool:
    """Return whether a peer is ready, or its dial has failed again."""
    return slot is None or slot.ready or slot.state not in AT_WORK
