"""Owns the running of one input under a limit: what it raised, and whether it took too long.

The limit is one of processor time, so that a busy machine makes no hang; a run that only waits has a longer one of
the clock. Signals end it, so an endless loop is found with its input.
"""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

LIMIT_S = 1.0  # of processor time
WAIT_S = 20.0  # of the clock


class Hang(BaseException):
    """An input took longer than its limit. No harness may catch it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that breaks a rule. kind: the error's name and the innermost place of ours; told: the traceback."""

    data: bytes
    kind: str
    told: str


@contextmanager
def limits() -> Iterator[None]:
    """Have the signals of the limits end what they meet; outside the main thread there are no limits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(number: int, _frame: FrameType | None) -> None:
        raise Hang(f"{signal.Signals(number).name}: more than {LIMIT_S:g} s of work or {WAIT_S:g} s of waiting")

    before = {number: signal.signal(number, over) for number in (signal.SIGPROF, signal.SIGALRM)}
    try:
        yield
    finally:
        _disarm()
        for number, handler in before.items():
            signal.signal(number, handler)


def _disarm() -> None:
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


def attempt(function: Callable[[bytes], None], data: bytes, limit_s: float = LIMIT_S) -> Finding | None:
    """Return what is wrong with an input, None when all is well. Within limits() a hang ends as well."""
    try:
        signal.setitimer(signal.ITIMER_REAL, WAIT_S)
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            function(data)
        finally:
            _disarm()
    except (Exception, Hang) as error:  # noqa: BLE001 - every error is a finding: it is reported, not swallowed
        return Finding(data, _kind(error), "".join(traceback.format_exception(error)))
    return None


def _kind(error: BaseException) -> str:
    if isinstance(error, Hang):
        return "Hang"
    frames = traceback.extract_tb(error.__traceback__)
    found = [type(error).__name__]
    for tree in ("/lonc/", "/tests/"):
        places = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in frames if tree in f.filename]
        found += [place for place in places if not place.startswith(("harness.py", "watch.py"))][-1:]
    return " ".join(found)


def smaller(function: Callable[[bytes], None], finding: Finding, tries: int = 400) -> Finding:
    """Return a finding of the same kind with less data, as far as leaving out parts brings it."""
    if finding.kind == "Hang":
        return finding  # each try would take as long again
    best, part = finding, max(1, len(finding.data) // 2)
    while tries > 0 and part:
        at = 0
        while at < len(best.data) and tries > 0:
            tries -= 1
            found = attempt(function, best.data[:at] + best.data[at + part :])
            if found is not None and found.kind == finding.kind:
                best = found
            else:
                at += part
        part //= 2
    return best
