"""Failing system calls while the real daemon starts, restarts and reads its table (rows 6, 7, 19, 20, 22).

A run under strace counts the calls; then another of them fails at each trial. Whatever it is: the daemon serves,
or it refuses with a sentence and leaves nothing behind; a running one goes on. LONC_TEST_STRACE as in stracing.py.
"""

from __future__ import annotations

import re
import signal

import pytest

from tests.conftest import MakeSite
from tests.fault.strace_ground import (
    LIMIT_S,
    SETTINGS,
    Fault,
    clean,
    detach,
    faults,
    faults_of_a_start,
    lonc_left,
    serves,
    settles,
    try_signal,
)
from tests.fault.stracing import TIMEOUT_S, sample, wrapper
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.process.restarting import restart
from tests.proof.tally import Tally


def crashes(site: Site) -> list[str]:
    """Return what looks like a crash of the parent; a child that cannot work ends, is told and replaced."""
    lines = [*site.log_text().splitlines(), *site.error_text().splitlines()]
    return [line for line in lines if "PARENT ABNORMAL EXIT" in line or "EXIT while" in line]


# ------------------------------------------------------------------------------------------------ the start


def try_start(site: Site, fault: Fault) -> str:
    """Start with this fault; return what was wrong about what came of it, empty for nothing."""
    clean(site)
    done = site.run(wrapper=wrapper(*fault.options(site), output=site.root / "trace"), timeout_s=LIMIT_S)
    if done.returncode == 0:
        if not settles(lambda: serves(site)):
            detach(site)
            wait_until(lambda: serves(site), LIMIT_S, f"service after {fault}")
        site.stop()
    wait_until(lambda: not lonc_left(site), LIMIT_S, f"nothing left after {fault}")
    if done.returncode and not re.search(r"lonc: .{10}", done.stderr):
        return f"no reason was told: {done.stderr!r}"
    if site.pid_path.exists() or site.socket_path("msul1").exists():
        # what could not be looked at is not removed; it is in nobody's way
        site.start()
        wait_until(lambda: serves(site), LIMIT_S, f"service after {fault} and a start")
        site.stop()
    return "; ".join(crashes(site))


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
def test_a_start_with_any_failing_call_serves_or_says_why_not(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    site.peer("msul1")
    found = faults_of_a_start(site)
    assert len(found) > 40
    wrong = []
    for fault in sample(found, 3):
        trouble = try_start(site, fault)
        tally.add(inputs=1, faults=1, violations=bool(trouble))
        print(f"{fault}: {trouble or 'well'}")
        wrong += [f"{fault}: {trouble}"] if trouble else []
    assert not wrong, "\n".join(wrong)


# --------------------------------------------------------------------------------- a restart, and a new table


@pytest.mark.slow
@pytest.mark.timeout(TIMEOUT_S)
@pytest.mark.parametrize(("signum", "share"), [(signal.SIGHUP, 2), (signal.SIGUSR2, 2)])
def test_a_signal_with_any_failing_call_ends_no_daemon(
    make_site: MakeSite, tally: Tally, signum: signal.Signals, share: int
) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    found = faults(site, lambda options, output: try_signal(site, signum, options, output))
    assert len(found) > 10
    wrong, told = [], 0
    for fault in sample(found, share):
        try_signal(site, signum, fault.options(site))
        trouble = "" if procs.alive(pid) else f"it ended: {site.log_text()[-500:]}"
        trouble = trouble or "; ".join(crashes(site)[told:])
        told = len(crashes(site))
        tally.add(inputs=1, faults=1, violations=bool(trouble))
        print(f"{fault}: {trouble or 'well'}")
        wrong += [f"{fault}: {trouble}"] if trouble else []
        if not procs.alive(pid):
            wait_until(lambda: not lonc_left(site), LIMIT_S, "nothing left")
            pid = site.start()
            site.wait_ready()
    assert not wrong, "\n".join(wrong)
    restart(site)
    assert serves(site)
    assert site.pid() == pid
