"""A process that does one thing with a store.

    python -m tests.process.store_one ENGINE WHERE n       print the number that store_writer counts
    python -m tests.process.store_one ENGINE WHERE hold    change it, say `held`, not finishing before stdin ends
"""

from __future__ import annotations

import sys

from tests.process.store_checks import Ground
from tests.process.store_writer import OWNER, SPACE


def main(arguments: list[str]) -> int:
    """Do what the arguments say."""
    engine, where, what = arguments
    store = Ground(engine, where).open()
    if what == "n":
        value = store.get_many(OWNER, SPACE, [b"n"])[0]
        print(value.decode() if value is not None else "none")
        return 0
    with store.writing(OWNER, SPACE, b"P:1:n") as space:
        assert space.get(b"n")
        space.put(b"n", b"1000")
        print("held", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
