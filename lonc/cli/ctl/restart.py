"""Restart lonc in place: new program and configuration, nobody is refused meanwhile.

HUP to the parent. It checks what is on disk first and goes on as it is when that cannot be used: then the reason
is told. The pid stays.
"""

from __future__ import annotations

import argparse
import signal

from lonc.cli.ctl.orders import Result, Scene, carry_out, wait_for
from lonc.cli.ctl.output import Output
from lonc.system.lock import is_alive

LIMIT_S = 60.0  # the check of what is on disk may take 20 s, twice
REFUSED = "Restart refused, the running one goes on: "
FAILED = ("The restart failed: ", "Cannot serve: ")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing but the explanation."""
    parser.epilog = (
        "exit codes: 0 the new self serves, 1 refused (the old one goes on) or failed, 2 usage or configuration,"
        " 3 not running."
    )


def run(options: argparse.Namespace, out: Output) -> int:
    """Restart the daemon and wait until the new self serves."""
    return carry_out(options, out, restart)


def restart(scene: Scene) -> Result:
    """Tell the parent to restart, and return how that went."""
    header = scene.header()
    before = header.restarts if header is not None else -1
    scene.tell_parent(signal.SIGHUP)

    def look() -> Result | None:
        refused = scene.log.said("PARENT", REFUSED, pid=scene.pid)
        if refused:
            return Result(False, f"restart refused, the running one goes on: {refused.partition(REFUSED)[2]}")
        failed = scene.log.said("PARENT", *FAILED, pid=scene.pid)
        if failed or not is_alive(scene.pid):
            return Result(False, f"the restart failed and lonc has ended: {failed or 'see its log'}")
        now = scene.header()
        if now is not None and now.restarts > before >= 0 and now.state == "serving":
            return Result(True, f"lonc has restarted in place (process {scene.pid})", {"restarts": now.restarts})
        if before < 0 and scene.log.said("PARENT", "Done starting initial servers", pid=scene.pid):
            return Result(True, f"lonc has restarted in place (process {scene.pid})")
        return None

    return wait_for(look, LIMIT_S) or Result(False, f"nothing was seen of a restart within {LIMIT_S:g} s")
