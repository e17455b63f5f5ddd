"""One child's wiring: sockets and timers in, `relay` and `link` out."""

from __future__ import annotations

import faulthandler
import signal

from lonc.child.child import Child
from lonc.child.context import ChildContext
from lonc.child.orders import ORDERS
from lonc.errors import ExitCode
from lonc.system import signals

__all__ = ["Child", "ChildContext", "run"]


def run(context: ChildContext) -> ExitCode:
    """Serve one peer until the end, in a freshly forked process in which all signals are blocked.

    Handlers are this child's own before the first signal can come in. An error that is nobody's is the
    caller's to tell (ABNORMAL EXIT) and to turn into an exit code.
    """
    if context.dump_fd >= 0:
        # The parent asks a stuck child for its stack before it kills it (P19).
        faulthandler.register(signal.SIGTRAP, file=context.dump_fd, all_threads=True)
    child = Child(context)
    child.loop.catch(signals.CHILD_SIGNALS, lambda signum: ORDERS[signum](child))
    signals.restore(())
    child.begin()
    return child.serve()
