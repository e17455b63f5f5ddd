"""What is done once before the first fork; the fork itself is `system/forking`.

Everything a child will need is imported, tried and then frozen before the first fork, so that children share
those pages and their collector never touches them (memory: hotpath.md).
"""

from __future__ import annotations

import contextlib
import encodings.idna  # noqa: F401 - the resolver would import it in every child
import faulthandler
import gc
import signal
import socket

from lonc.config import Config
from lonc.parent import packing, rehearsal
from lonc.system import allocator, titles
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
