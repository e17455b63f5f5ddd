"""Swaps names for links to somebody else's file, or for FIFOs, as fast as it can: a local attacker.

    python -m tests.security.attacker VICTIM KIND[,KIND...] NAME...

KIND is `link` (symbolic, to VICTIM), `hard` (a second name of VICTIM), `fifo`, `dangling` (symbolic, to a name
beside VICTIM that does not exist) or `directory` (symbolic, to the directory of VICTIM). Each NAME in turn gets
one of them, by rename, so that it never is without something; what was there before is gone. The first line
of output is `swapping`; it ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import select
import sys
import time
from pathlib import Path

PAUSE_S = 0.0005  # the daemon needs some of the processors as well


def make(kind: str, victim: Path, path: Path) -> None:
    """Put one kind of thing at a path that is free."""
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "dangling":
        path.symlink_to(victim.with_name("fresh"))
    elif kind == "directory":
        path.symlink_to(victim.parent)
    elif kind == "hard":
        os.link(victim, path)
    else:
        os.mkfifo(path)


def swap(kind: str, victim: Path, path: Path) -> None:
    """Give the name to something of this kind; now and then take it away altogether."""
    fresh = path.with_name(f".attack-{os.getpid()}~")
    with contextlib.suppress(OSError):
        fresh.unlink()
    with contextlib.suppress(OSError):
        make(kind, victim, fresh)
        if path.is_dir() and not path.is_symlink():
            path.rename(path.with_name(f".was-{time.monotonic_ns()}~"))
        fresh.rename(path)


def main() -> None:
    """Swap until nobody reads what we say."""
    victim = Path(sys.argv[1])
    kinds = sys.argv[2].split(",")
    names = [Path(name) for name in sys.argv[3:]]
    print("swapping", flush=True)
    count = 0
    for turn in itertools.count():
        for name in names:
            swap(random.choice(kinds), victim, name)
            count += 1
            time.sleep(PAUSE_S)
            if turn % 3 == 2:  # so that the other side makes its own, too
                with contextlib.suppress(OSError):
                    name.unlink()
                time.sleep(PAUSE_S)
        if select.select([sys.stdin], [], [], 0)[0]:
            print(count, flush=True)
            return


if __name__ == "__main__":
    main()
