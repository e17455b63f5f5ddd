"""Signals: nothing is inherited, nothing is lost around a fork. Each case is a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from lonc.system.signals import CHILD_SIGNALS, PARENT_SIGNALS
from tests.unit.processes import TREE

SHOW = """
import signal, sys, os
from lonc.system.signals import *
before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
r, w = os.pipe(); os.set_blocking(w, False); signal.set_wakeup_fd(w)
{call}
mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
print(len(before), len(mask), signal.set_wakeup_fd(-1))
print([int(s) for s in signal.valid_signals() if signal.getsignal(s) is signal.SIG_IGN])
"""


def run(code: str, *, blocked: bool = False, ignored: bool = False) -> subprocess.CompletedProcess[str]:
    def prepare() -> None:
        if ignored:
            for number in (*PARENT_SIGNALS, signal.SIGALRM):
                signal.signal(number, signal.SIG_IGN)
        if blocked:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    return subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=30, preexec_fn=prepare,
        cwd=TREE,
    )  # fmt: skip


@pytest.mark.parametrize(("blocked", "ignored"), [(False, False), (True, False), (False, True), (True, True)])
def test_a_start_inherits_neither_mask_nor_ignored_signals(blocked: bool, ignored: bool) -> None:
    done = run(SHOW.format(call="reset_inherited()"), blocked=blocked, ignored=ignored)
    first, second = done.stdout.splitlines()
    before, after, wakeup = map(int, first.split())
    assert (before > 30) == blocked
    assert (after, wakeup) == (0, -1)
    assert second == str([int(signal.SIGPIPE), int(signal.SIGXFSZ)])


@pytest.mark.parametrize("number", [n for n in PARENT_SIGNALS if n != signal.SIGCHLD])
def test_under_nohup_every_signal_ends_a_process_again(number: signal.Signals) -> None:
    code = f"import os; from lonc.system.signals import *; reset_inherited(); os.kill(os.getpid(), {int(number)})"
    assert run(code, blocked=True, ignored=True).returncode == -number


def test_signals_of_a_restart_wait_until_handlers_are_in_place() -> None:
    code = """
import os, signal
from lonc.system.signals import *
reset_inherited(blocked=True)
os.kill(os.getpid(), signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *_: print("heard"))
print("ready", flush=True)
restore(())
print("end")
"""
    done = run(code)
    assert (done.returncode, done.stdout.split()) == (0, ["ready", "heard", "end"])


def test_block_all_blocks_and_restore_puts_back() -> None:
    code = """
import os, signal
from lonc.system.signals import *
signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1])
old = block_all()
assert old == {signal.SIGUSR1}, old
now = signal.pthread_sigmask(signal.SIG_BLOCK, ())
assert set(PARENT_SIGNALS) <= now and signal.SIGTRAP in now
assert not now & {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT}
restore(old)
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == {signal.SIGUSR1}
"""
    done = run(code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_has_neither_handlers_nor_wakeup_of_its_parent() -> None:
    code = """
import os, signal
from lonc.system.signals import *
r, w = os.pipe(); os.set_blocking(w, False); os.set_blocking(r, False)
signal.set_wakeup_fd(w)
signal.signal(signal.SIGTERM, lambda *_: None)
old = block_all()
pid = os.fork()
if not pid:
    reset_inherited()
    os.kill(os.getpid(), signal.SIGTERM)
    os._exit(0)
_, status = os.waitpid(pid, 0)
restore(old)
try:
    print("woken", os.read(r, 10))
except BlockingIOError:
    print(os.waitstatus_to_exitcode(status))
"""
    assert run(code).stdout == f"{-signal.SIGTERM}\n"


def test_the_tables_are_those_of_the_specification() -> None:
    assert set(PARENT_SIGNALS) - set(CHILD_SIGNALS) == {signal.SIGCHLD}
    assert {s.name for s in CHILD_SIGNALS} == {"SIGHUP", "SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGQUIT"}
