"""A process that writes to a store as fast as it can, to be killed; and one that looks what is left.

    python -m tests.process.store_writer ENGINE WHERE count N      add 1 to one key, N times
    python -m tests.process.store_writer ENGINE WHERE load NAME    write keys NAME-0, NAME-1, ... for ever
    python -m tests.process.store_writer ENGINE WHERE check        read acknowledged keys from stdin; tell problems

`load` writes the number of each key once it was acknowledged, as a line on stdout. Each of its changes is a key
of its own, the next value of a common counter, and a line in the journal: all three, or none, must be there.
An error is met by going on, so that the server of an engine may be killed as well.
"""

from __future__ import annotations

import os
import sys
import time

from lonc.lond.store import Owner, Store, StoreError
from tests.process.store_checks import Ground

OWNER = Owner(b"msu", b"load")
SPACE = b"load"
COUNTER = b"counter"


def count(store: Store, times: int) -> None:
    """Read, add, write; nobody else's addition may be lost."""
    for _ in range(times):
        with store.writing(OWNER, SPACE, b"P:1:n") as space:
            space.put(b"n", b"%d" % (int(space.get(b"n") or b"0") + 1))


def load(ground: Ground, name: bytes) -> None:
    """Write for ever."""
    store: Store | None = None
    number = 0
    while True:
        try:
            store = store or ground.open()
            write(store, b"%s-%d" % (name, number))
        except StoreError:
            time.sleep(0.02)  # the server is being started again
        else:
            os.write(1, b"%s-%d\n" % (name, number))
        number += 1
        time.sleep(0.003)  # a writer that never pauses would leave the lock to nobody else


def write(store: Store, key: bytes) -> None:
    """Make one change of three parts."""
    with store.writing(OWNER, SPACE, b"P:1:" + key) as space:
        value = int(space.get(COUNTER) or b"0") + 1
        space.put(COUNTER, b"%d" % value)
        space.put(key, b"x" * (value % 300))


def problems(ground: Ground, acknowledged: set[bytes]) -> list[str]:
    """Return what is lost, or there by half; the store is opened and written to as after any crash."""
    store = ground.open()
    write(store, b"look-%d" % time.time_ns())
    with store.reading(OWNER, SPACE) as space:
        found = dict(space.items())
    store.close()
    value = int(found.pop(COUNTER))
    lines = [line.removeprefix(b"P:1:") for line in ground.journal(OWNER, SPACE)]
    wrong = [f"lost: {key!r}" for key in sorted(acknowledged - found.keys())]
    if len(found) != value:
        wrong.append(f"{len(found)} keys, counter {value}")
    if sorted(lines) != sorted(found):
        wrong.append(f"journal and data differ: {sorted(set(lines) ^ found.keys())}")
    return wrong


def main(arguments: list[str]) -> int:
    """Do what the arguments say."""
    engine, where, what, *rest = arguments
    ground = Ground(engine, where)
    if what == "count":
        count(ground.open(), int(rest[0]))
    elif what == "load":
        load(ground, rest[0].encode())
    else:
        wrong = problems(ground, set(sys.stdin.buffer.read().split()))
        print("\n".join(wrong))
        return bool(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
