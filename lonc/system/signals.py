"""Owns which signals reach whom after a start, an exec and a fork: only what is set here, nothing inherited.

The mask and ignored signals survive exec: started under nohup, in the background of a shell, or by a
careless supervisor, a daemon would never hear HUP, INT or TERM (spec lonc.md 1). So both are set, never
assumed. Around a fork everything is blocked until the child has handlers of its own (house.md 5.8), or a
signal for the parent would run in a child that still has the parent's tables (lonc.md 9.14).
"""

from __future__ import annotations

import signal
from collections.abc import Iterable

# The tables of spec lonc.md 2; CHLD is the parent's wake-up for reaping.
PARENT_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
    signal.SIGCHLD,
)
CHILD_SIGNALS = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
)
# A write to a closed socket, or to a file at its size limit, must be an error of that call and nothing more.
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
# Faults of the program itself: blocked they would only lose the stack that faulthandler prints.
_FAULTS = frozenset((signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT))

Mask = set[signal.Signals | int]


def reset_inherited(*, blocked: bool = False) -> None:
    """Give each signal that lonc handles, or finds ignored, its default; empty mask; no wake-up fd.

    PIPE and XFSZ are ignored afterwards. Must run in the main thread; used at the start, after exec, and in
    a forked child before it sets handlers of its own.
    blocked: leave everything blocked instead of the empty mask, for a process that must not lose what came
    during its start: it sets its handlers and then calls restore(set()).
    """
    if blocked:
        block_all()
    # The wake-up descriptor of a parent would make its child's signals wake the parent.
    signal.set_wakeup_fd(-1)
    for number in sorted(signal.valid_signals()):
        if number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        elif number in PARENT_SIGNALS or signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if not blocked:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def block_all() -> Mask:
    """Block every signal but faults of the program itself; return the mask that was in force before."""
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _FAULTS))


def restore(mask: Iterable[int]) -> None:
    """Put a mask from block_all back (or an empty one); what was blocked and pending is delivered now."""
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
