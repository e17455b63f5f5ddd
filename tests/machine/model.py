"""Owns what must hold, whatever happened: the model of messages and of clients' requests, and their checks."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tests.machine.lond import LIMIT, Lond, reply_to
from tests.machine.process import REQUEST_S, Caller, Process

REFUSAL = b"error: request longer than %d bytes" % LIMIT
YOUNG_S = 5.0 - 1e-3  # dates of files are rounded


@dataclass(slots=True)
class Stored:
    """A delayed message as its writer knows it. spared: it was removed, replaced or cut, and may be lost."""

    line: bytes
    name: str
    at: float
    spared: bool = False
    answered: bool = False  # its whole reply has reached lonc, and is a line
    unanswered: int = 0


@dataclass(slots=True)
class Asked:
    """A whole line that a client wrote, and when lonc had read it."""

    line: bytes
    at: float


@dataclass(slots=True)
class Conversation:
    """What one client asked of one process. unread: the part of a line that lonc has."""

    caller: Caller
    asked: list[Asked] = field(default_factory=list)
    unread: bytes = b""
    refused: bool = False
    checked: int = 0  # answers that were compared

    def read(self, data: bytes, now: float) -> None:
        """Note what lonc has read of it now."""
        if self.refused:
            return
        *lines, self.unread = (self.unread + data).split(b"\n")
        for line in lines:
            self.asked.append(Asked(line, now))
            if len(line) - 8 * line.startswith(b"encrypt:") > LIMIT:
                self.refused = True
                return
        if len(self.unread) > LIMIT + 8:
            self.asked.append(Asked(self.unread, now))
            self.refused = True

    def check(self, process: Process) -> None:
        """Compare what it has heard: its own answers, in its order, or con_lost with a reason (P8, P9)."""
        heard = self.caller.heard.split(b"\n")[:-1]
        assert len(heard) <= len(self.asked), f"{len(self.asked)} requests and {len(heard)} answers"
        for asked, answer in zip(self.asked[self.checked :], heard[self.checked :], strict=False):
            if len(asked.line) - 8 * asked.line.startswith(b"encrypt:") > LIMIT:
                assert answer == REFUSAL, answer
            elif answer == b"con_lost":
                late = process.now - asked.at >= 2 * REQUEST_S
                assert late or any(at >= asked.at for at in process.excuses), f"{asked} lost without a reason"
            else:
                assert answer == reply_to(asked.line.removeprefix(b"encrypt:")), f"{asked} was answered {answer!r}"
        self.checked = len(heard)

    def check_deeds(self, lond: Lond) -> None:
        """See that lond has carried out each of its requests once at most, in the order in which it asked."""
        lines = [asked.line.removeprefix(b"encrypt:") for asked in self.asked]
        place = {line: n for n, line in enumerate(lines) if b":" in line}
        done = [place[deed.line] for deed in lond.deeds if deed.line in place]
        assert done == sorted(set(done)), f"{[self.asked[n] for n in done]} were carried out in this order"

    def check_age(self, now: float) -> None:
        """See that nothing waits longer than it may (P9)."""
        if self.caller.gone:
            return
        for asked in self.asked[self.caller.turn :]:
            assert now - asked.at <= 2 * REQUEST_S + 1, f"{asked} still waits at {now}"


class Messages:
    """The delayed messages and their directory."""

    def __init__(self, place: Path, lond: Lond) -> None:
        self.place = place
        self.lond = lond
        self.stored: list[Stored] = []
        self._deeds = 0  # looked at

    def waiting(self) -> list[Stored]:
        """Return the messages that still lie where they were put, unchanged."""
        names = set(os.listdir(self.place))
        return [one for one in self.stored if not one.spared and one.name in names]

    def of(self, line: bytes) -> Stored | None:
        """Return the message with this line."""
        return next((one for one in self.stored if one.line == line), None)

    def answered(self, line: bytes) -> None:
        """Note that the whole reply to a command has reached lonc."""
        one = self.of(line)
        if one is not None and reply_to(line):
            one.answered = True
        elif one is not None:
            one.unanswered += 1  # an empty line is no answer

    def check(self) -> None:
        """See that nothing is lost, deleted too early, or sent out of order (P1, P2, P4, P5)."""
        names = set(os.listdir(self.place))
        rejected = self._contents("rejected")
        for one in self.stored:
            if one.spared or one.name in names:
                continue
            assert one.answered, f"{one} was deleted without a reply"
            kept = not one.line.startswith(b"r:") or one.line + b"\n" in rejected
            assert kept, f"{one} was refused, and is lost"
        for deed in self.lond.deeds[self._deeds :]:
            self._check_order(deed.line)
        self._deeds = len(self.lond.deeds)

    def check_age(self, line: bytes, now: float) -> None:
        """See that a message that is on its way is none that its writer may still be at (P5)."""
        one = self.of(line)
        assert one is None or now >= one.at + YOUNG_S, f"{one} was sent at {now}"

    def _contents(self, folder: str) -> list[bytes]:
        place = self.place / folder
        return [path.read_bytes() for path in place.iterdir()] if place.is_dir() else []

    def _check_order(self, line: bytes) -> None:
        one = self.of(line)
        if one is None:
            return
        for other in self.stored[: self.stored.index(one)]:
            early = other.answered or other.spared or other.unanswered >= 3
            assert early, f"{one} was sent before {other}"
