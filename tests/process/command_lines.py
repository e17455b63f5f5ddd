"""Owns what every engine must answer alike: commands carried out in a process that has the engine.

    python -m tests.process.command_lines ENGINE    ENGINE: sqlite, gdbm, or the address of a PostgreSQL server

Says how many there were and, line by line, what is not as it must be.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
from pathlib import Path

from tests.unit.command_stage import GOOD, Stage

BIG = b"x" * 300000
# Nothing that could be packed: an index of PostgreSQL holds 2,704 bytes, packed or not.
NOISE = b"".join(hashlib.sha256(b"%d" % number).hexdigest().encode() for number in range(40))
LONG_DOMAIN, LONG_USER, LONG_SPACE, LONG_KEY = NOISE[:64], NOISE[64:192], NOISE[192:320], NOISE[320:2320]
LONGEST = b":".join((LONG_DOMAIN, LONG_USER, LONG_SPACE))
ODD = b"%00%0A%25%FF%C3%A9"
# After the good ones: what differs most from engine to engine, each with its whole reply.
LINES = [
    (b"put:home:anna:odd:" + ODD + b"=" + ODD + b"&B=1&a=2&_=3&b%2e=4&b%2E=5&empty=", b"ok"),
    (b"keys:home:anna:odd", ODD + b"&B&_&a&b%2E&b%2e&empty"),
    (b"get:home:anna:odd:empty&" + ODD + b"&a&a&none&b%2e&B", b"&" + ODD + b"&2&2&&4&1"),
    (b"dump:home:anna:odd:^b:2-2", b"b%2e=4"),
    (b"dump:home:anna:odd:%5En", b""),
    (b"newput:home:anna:odd:x=1&empty=1", b"error: a key exists already, nothing was stored"),
    (b"inc:home:anna:odd:a=1&" + ODD + b"=1", b"error: a value is no number, nothing was changed"),
    (b"get:home:anna:odd:a&x", b"2&"),
    (b"del:home:anna:odd:" + ODD + b"&none&B", b"ok"),
    (b"keys:home:anna:odd", b"_&a&b%2E&b%2e&empty"),
    (b"put:home:anna:odd:big=" + BIG + b"&" + b"k" * 2000 + b"=1", b"ok"),
    (b"get:home:anna:odd:" + b"k" * 2000 + b"&big", b"1&" + BIG),
    (b"put:" + LONGEST + b":" + LONG_KEY + b"=1", b"ok"),
    (b"keys:" + LONGEST, LONG_KEY),
    (b"store:home:anna:nohist_r:rec%2f:a=1", b"ok"),
    (b"store:home:anna:nohist_r:rec%2f:b=", b"ok"),
    (
        b"restore:home:anna:nohist_r:rec%2f",
        b"version=2&1:keys=a:timestamp&1:a=1&1:timestamp=1700000000&2:keys=b:timestamp&2:b=&2:timestamp=1700000000",
    ),
    (b"restore:home:anna:nohist_r:rec%2F", b"version=0"),
    (b"keys:home:anna:none", b""),
    (b"put:second:anna:n:a=1", b"error: not_home: this user is not at home on this server"),
    (b"home:second:anna", b"not_found"),
    (b"idget:second:1", b""),
    (b"makeuser:second:anna:internal:x", b"ok"),
    (b"put:second:anna:notes:a=9", b"ok"),
    (b"get:home:anna:notes:a", b"3"),  # of the other anna
    (b"auth:second:anna:x", b"authorized"),
]


def main(engine: str) -> int:
    """Carry everything out; return 0 when all is as it must be, and say what is not."""
    wrong = []
    with tempfile.TemporaryDirectory() as root:
        stage = Stage(Path(root), engine=engine)
        stage.account(b"home", b"anna", b"unix:")
        stage.account(LONG_DOMAIN, LONG_USER, b"unix:")
        for line, begin in GOOD:
            reply = stage.ask(line, encrypted=True).line
            if not reply.startswith(begin.encode()):
                wrong.append(f"{line}: {reply[:200]!r}")
        for number, (given, expected) in enumerate(LINES):
            reply = stage.ask(given, encrypted=True).line
            if reply != expected:
                wrong.append(f"{number} {given[:60]!r}: {reply[:200]!r}")
        stage.store.close()
        wrong += [line for line in stage.log.splitlines() if "CRITICAL" in line]
    sys.stdout.write("\n".join([f"{len(GOOD) + len(LINES)} commands", *wrong]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
