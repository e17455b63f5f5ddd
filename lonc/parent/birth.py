"""The fork: what is done once before the first, around each one, and how a child leaves.

Everything a child will need is imported, tried and then frozen before the first fork, so that children share
those pages and their collector never touches them (memory: hotpath.md). A child leaves by os._exit: it must
never return into the parent's code, nor run what the parent registered for its own end.
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the resolver would import it in every child
import faulthandler
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable

from lonc.config import Config
from lonc.errors import ExitCode
from lonc.parent import packing, rehearsal
from lonc.system import allocator, signals, titles
from lonc.system.logs import Log, Severity
from lonc.wire import idea


def warm_up(config: Config) -> None:
    """Rehearse what children will do, then freeze what is loaded; call it once, after everything is imported.

    Takes some 60 ms. What each part of it saves a child stands in doc/performance.md.
    """
    idea.self_test()  # loads the wheel's library, and no daemon starts with a cipher that is wrong
    with contextlib.suppress(OSError):  # loads the resolver's own modules (nss) into the shared memory
        socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
    # Its tables and its stack of 32 KiB are made by the first registration, and stay.
    faulthandler.register(signal.SIGTRAP, file=2)
    faulthandler.unregister(signal.SIGTRAP)
    if rehearsal.rehearse(config, 1):
        gc.collect()
        packing.fill_gaps()
        packing.move_together(lambda: rehearsal.rehearse(config, 1))
        rehearsal.rehearse(config)
    titles.set_title("lonc: Parent starting")
    gc.collect()
    packing.fill_gaps()
    gc.freeze()
    allocator.give_back()  # the road is walked once, for children that will need it


def fork_child(live: Callable[[], int], log: Log, peer: str) -> int:
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
            _live_and_leave(live, log, peer)
    finally:
        signals.restore(mask)
    return pid


def _live_and_leave(live: Callable[[], int], log: Log, peer: str) -> None:
    code = int(ExitCode.CRASHED)
    try:
        code = int(live())
    except BaseException as error:  # noqa: BLE001 - the last frame of this process: told, and the code is not 0
        tell_abnormal_exit(log.for_process(peer), peer, error)
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
        sys.stderr.write(f"lonc: {os.getpid()} {who} ABNORMAL EXIT: {kind}\n{stack}")
