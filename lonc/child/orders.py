"""What a child does on each signal (spec lonc.md 2, the table for children)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from lonc.errors import ExitCode
from lonc.system.logs import Severity

if TYPE_CHECKING:
    from lonc.child.child import Child


def _end_in_order(child: Child) -> None:
    child.drain(max(0.5, child.config.stop_timeout_s - 1.0))


def _toggle_debug(child: Child) -> None:
    if child.context.foreground:
        return  # the terminal sends INT to every process of its group; the parent acts for all
    child.report.loud.toggle_debug()


def _abnormal_exit(child: Child) -> None:
    child.log.write(f"{os.getpid()} {child.host.id} ABNORMAL EXIT on signal QUIT", Severity.CRITICAL)
    child.finish(ExitCode.CRASHED)


def _report(child: Child) -> None:
    child.attempts = 0  # the parent has just done the same (lonc.md 2)
    child.report.show_title()
    child.report.append_status()
    child.report.read_wishes()
    child.outage.redial_now()
    child.flush.look(child.loop.now, force=True)
    child.report.write_board()  # as new as the status block, whatever else goes on


def _toggle_transactions(child: Child) -> None:
    child.report.loud.toggle_transactions()


ORDERS: dict[int, Callable[[Child], None]] = {
    signal.SIGTERM: _end_in_order,
    signal.SIGINT: _toggle_debug,
    signal.SIGQUIT: _abnormal_exit,
    signal.SIGHUP: _report,
    signal.SIGUSR1: _report,
    signal.SIGUSR2: _toggle_transactions,
}
