"""Owns the fork: what is done around each one, and how a child leaves.

A child leaves by os._exit: it must never return into the parent's code, nor run what the parent registered for
its own end.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable

from lonc.errors import ExitCode
from lonc.system import signals
from lonc.system.logs import Log, Severity


def fork_child(live: Callable[[], int], log: Log, who: str) -> int:
    """Return the pid of a new child that runs `live()` and exits with its result. Raises OSError from fork.

    live runs with all signals blocked and must set handlers of its own before it unblocks them. An error in
    it becomes one CRITICAL line, the stack on stderr and the code CRASHED.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signals.block_all()
    try:
        pid = os.fork()
        if pid == 0:
            _live_and_leave(live, log, who)
    finally:
        signals.restore(mask)
    return pid


def _live_and_leave(live: Callable[[], int], log: Log, who: str) -> None:
    code = int(ExitCode.CRASHED)
    try:
        code = int(live())
    except BaseException as error:  # noqa: BLE001 - the last frame of this process: told, and the code is not 0
        tell_abnormal_exit(log.for_process(who), who, error)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def tell_abnormal_exit(log: Log, who: str, error: BaseException) -> None:
    """Log the end of a process by an error that nobody expected: one line, the stack to stderr.

    Only the kind of the error and its place are told: its text may quote a request (P30).
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "nowhere"
    kind = type(error).__name__
    log.write(f"{os.getpid()} {who} ABNORMAL EXIT: {kind} at {place}", Severity.CRITICAL)
    stack = "".join(traceback.format_list(frames))
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{log.program}: {os.getpid()} {who} ABNORMAL EXIT: {kind}\n{stack}")
