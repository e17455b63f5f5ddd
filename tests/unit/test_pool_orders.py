"""A worker's signals: what the first and the second one mean, and when two count as one."""

from __future__ import annotations

import os
import signal
import time

import pytest

from lonc.pool.orders import LeaveNow, Orders

TERM, INT, USR1 = signal.SIGTERM, signal.SIGINT, signal.SIGUSR1


class Ended(BaseException):
    """The process would have ended here."""


class Signals:
    """A worker's orders under a clock of ours; what each signal leads to, as one word."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        patch.setattr(time, "monotonic", lambda: self.now)
        patch.setattr(os, "_exit", self._exit)
        self.orders = Orders()

    def _exit(self, code: int) -> None:
        raise Ended(code)

    def come(self, signum: int) -> str:
        try:
            if signum == TERM:
                self.orders._on_term(signum, None)
            elif signum == INT:
                self.orders._on_int(signum, None)
            else:
                self.orders._in_turn(signum)
        except LeaveNow:
            return "leave"
        except Ended:
            return "end"
        return ""


@pytest.mark.parametrize(
    "play",
    [
        [(TERM, 0.0, ""), (TERM, 0.1, ""), (TERM, 1.0, "leave"), (TERM, 1.0, "end")],
        [(INT, 0.0, "leave"), (INT, 0.1, ""), (TERM, 0.1, ""), (INT, 1.0, "end")],
        [(TERM, 0.0, ""), (INT, 0.1, "leave"), (TERM, 1.0, "end")],
        [(INT, 0.0, "leave"), (TERM, 1.0, "end")],
        [(USR1, 0.0, ""), (USR1, 1.0, ""), (TERM, 1.0, "")],
    ],
)
def test_a_second_one_is_harder_when_it_is_another_one(
    monkeypatch: pytest.MonkeyPatch, play: list[tuple[int, float, str]]
) -> None:
    signals = Signals(monkeypatch)
    for signum, later, what in play:
        signals.now += later
        assert signals.come(signum) == what


def test_what_the_loop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(monkeypatch)
    signals.come(USR1)
    signals.come(TERM)
    assert (signals.orders.report, signals.orders.drain, signals.orders.now) == (True, True, False)


def test_nothing_is_raised_on_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    signals = Signals(monkeypatch)
    signals.orders.leaving()
    assert signals.come(INT) == ""
    assert signals.orders.now
    signals.now += 1.0
    assert signals.come(INT) == "end"
