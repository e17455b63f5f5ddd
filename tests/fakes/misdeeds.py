"""Owns the script of a test peer: which line meets which misbehaviour, and how often.

A script is text, one rule a line (empty lines and `#` comments are passed over):

    at STEP=ACTION[:ARGUMENT][@WHICH]       a step of a connection's life
    on PATTERN=ACTION[:ARGUMENT][@WHICH]    a line that is no step: a request (encrypted ones in clear), `exit`

STEP is `connect` (just accepted, nothing read), `init`, `challenge` (the echo of ours), `sethost`, `version`,
`pong`, `ekey`, `ready` (the build key is on its way). PATTERN is a shell pattern (`put:*`, `*`, `?` for a
literal `=`) over the first 512 bytes of the line. WHICH counts the lines that match: `@3` the third only,
`@1-3` the first three, `@3-` from the third on; `@c3` and so on count on each connection by itself. The first
rule that matches and whose turn it is acts. ARGUMENT may hold `\\n`, `\\xNN` and `\\\\`.

The actions are in ACTIONS below with what they do; lond.py performs them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import translate

STEPS = ("connect", "init", "challenge", "sethost", "version", "pong", "ekey", "ready")
MATCHED_BYTES = 512  # a pattern sees no more of a line: lines may be 16 MiB long

# Not executed means: not carried out and not in the peer's log; the other side may send it again.
ACTIONS = {
    # the line is not executed
    "rst": "the connection is reset",
    "close": "the connection is closed in order",
    "stall": "neither this line nor any later one on this connection is answered",
    "skip": "this line is passed over, the next one is answered",
    "answer": "ARGUMENT is the answer",
    "answer-close": "ARGUMENT is the answer, then the connection is closed",
    "huge": "ARGUMENT bytes of `h` are the answer",
    "binary": "every byte but newline is the answer",
    # the line is executed, then
    "done-rst": "the connection is reset instead of the reply",
    "done-close": "the connection is closed instead of the reply",
    "done-stall": "nothing is ever answered again on this connection",
    "done-skip": "the reply is lost, the next line is answered",
    "last": "the reply is sent, then the connection is closed",
    "last-rst": "the reply is sent, then the connection is reset",
    "half": "only ARGUMENT bytes (half of them) of the reply are sent, then nothing any more",
    "half-rst": "the same, then the connection is reset",
    "half-close": "the same, then the connection is closed",
    "late": "the reply comes ARGUMENT ms late and holds up the connection",
    "gate": "the reply waits for the order `release` and holds up the connection",
    "drip": "the reply comes byte by byte, one every ARGUMENT ms, and so does all that follows",
    "slice": "the reply and all that follows go out in writes of ARGUMENT bytes",
    "twice": "the reply is sent twice in one write",
    "again": "the reply is sent, and once more ARGUMENT ms later",
    "hold": "the reply waits for the next one; both go out in one write",
    "glue": "the reply has no newline and so runs into the next",
    "empty": "an empty line is the reply",
    "extra": "the line ARGUMENT follows the reply in the same write",
    "before": "the line ARGUMENT stands before the reply in the same write",
    "reply": "ARGUMENT is the reply",
    "enc": "a broken frame is the reply: ARGUMENT is one of odd foreign short negative colon number empty",
    "wrong-key": "(ekey) a build key is sent that lond itself does not use",
    # steps `connect` and `ready`
    "say": "the line ARGUMENT is sent though nobody asked",
}
NEEDS_NUMBER = {"huge", "late", "drip", "slice", "again"}
BROKEN_FRAMES = {
    "odd": b"enc:5:0123456789abcde",
    "foreign": b"enc:5:0123456789abcdeg",
    "short": b"enc:50:0123456789abcdef",
    "negative": b"enc:-5:0123456789abcdef",
    "colon": b"enc:50123456789abcdef",
    "number": b"enc:five:0123456789abcdef",
    "empty": b"enc:",
}

_RULE = re.compile(r"(at|on)\s+(.+?)=([a-z-]+)(?::(.*?))?(?:@(c?)(\d+)(-(\d*))?)?", re.DOTALL)


@dataclass(slots=True)
class Rule:
    """One line of a script; `hits` counts the lines that matched its pattern, `acted` those it acted on."""

    text: str
    step: str
    pattern: re.Pattern[str] | None
    action: str
    argument: bytes
    per_connection: bool
    first: int
    last: int | None
    hits: int = 0
    acted: int = 0
    per: dict[int, int] = field(default_factory=dict)

    def turn(self, connection: int) -> bool:
        """Count one matching line of this connection and say whether this rule acts on it."""
        self.hits += 1
        self.per[connection] = self.per.get(connection, 0) + 1
        count = self.per[connection] if self.per_connection else self.hits
        return count >= self.first and (self.last is None or count <= self.last)

    def number(self, default: int) -> int:
        """Return the argument as a number; default when there is none."""
        return int(self.argument) if self.argument else default


def parse_rule(text: str) -> Rule:
    """Return the rule in text. Raises ValueError that names what is wrong."""
    found = _RULE.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"not a rule (at STEP=ACTION or on PATTERN=ACTION): {text!r}")
    kind, what, action, argument, per, first, span, last = found.groups()
    if kind == "at" and what not in STEPS:
        raise ValueError(f"unknown step {what!r}, known: {' '.join(STEPS)}")
    if action not in ACTIONS:
        raise ValueError(f"unknown action {action!r}, known: {' '.join(sorted(ACTIONS))}")
    raw = (argument or "").encode("latin-1", "strict").decode("unicode_escape").encode("latin-1")
    if action in NEEDS_NUMBER and not raw.isdigit():
        raise ValueError(f"{action} needs a number: {text!r}")
    if action == "enc" and raw.decode("latin-1") not in BROKEN_FRAMES:
        raise ValueError(f"unknown frame in {text!r}, known: {' '.join(BROKEN_FRAMES)}")
    low = int(first or 1)
    high = low if first and not span else int(last) if last else None
    pattern = re.compile(translate(what)) if kind == "on" else None
    return Rule(text.strip(), what if kind == "at" else "", pattern, action, raw, bool(per), low, high)


class Script:
    """The rules of one test peer, replaced as a whole (the counts begin anew)."""

    def __init__(self, lines: list[str]) -> None:
        meant = (line.strip() for line in lines)
        self.rules = [parse_rule(line) for line in meant if line and not line.startswith("#")]

    def at(self, step: str, connection: int) -> Rule | None:
        """Return the rule that acts on this step of this connection, None for good behaviour."""
        return self._choose([rule for rule in self.rules if rule.step == step], connection)

    def on(self, line: bytes, connection: int) -> Rule | None:
        """Return the rule that acts on this request line (in clear), None for good behaviour."""
        text = line[:MATCHED_BYTES].decode("latin-1")
        matching = [rule for rule in self.rules if rule.pattern is not None and rule.pattern.match(text)]
        return self._choose(matching, connection)

    @staticmethod
    def _choose(matching: list[Rule], connection: int) -> Rule | None:
        # every matching rule counts the line, also when an earlier one acts
        due = [rule for rule in matching if rule.turn(connection)]
        if not due:
            return None
        due[0].acted += 1
        return due[0]
