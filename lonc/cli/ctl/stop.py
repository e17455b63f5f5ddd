"""End lonc in order: what is in flight is finished, every peer is told, and nothing is left.

TERM to the parent; the end of all its processes is waited for.
"""

from __future__ import annotations

import argparse
import signal

import psutil

from lonc.cli.ctl.orders import Result, Scene, carry_out, wait_for
from lonc.cli.ctl.output import Output
from lonc.system.lock import is_alive

MARGIN_S = 8.0  # the parent leaves what cannot be killed behind after 5 s more than loncStopTimeout


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing but the explanation."""
    parser.epilog = "exit codes: 0 ended, 1 something is left of it, 2 usage or configuration, 3 not running."


def run(options: argparse.Namespace, out: Output) -> int:
    """End the daemon and wait for it."""
    return carry_out(options, out, stop)


def stop(scene: Scene) -> Result:
    """Tell the parent to end, and return what is left of it."""
    family = [scene.pid, *_children(scene.pid)]
    scene.tell_parent(signal.SIGTERM)
    limit_s = scene.config.stop_timeout_s + MARGIN_S
    wait_for(lambda: not any(map(is_alive, family)), limit_s)
    left = [pid for pid in family if is_alive(pid)]
    if left:
        pids = " ".join(map(str, left))
        return Result(False, f"not ended within {limit_s:g} s: process {pids} is left", {"left": left})
    return Result(True, f"lonc has ended (process {scene.pid} and {len(family) - 1} children)", {"left": []})


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []
