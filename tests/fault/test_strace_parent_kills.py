"""Rows 1 and 20: the parent killed at any call of its start, of a restart, and of reading its table again.

Whatever it leaves, the next start needs no hand, there is one daemon, and a message that waited is delivered once,
or twice for a kill (P2, P3, P14 to P16, P20). LONC_TEST_STRACE as in stracing.py; not in a daily run: a minute.
"""

from __future__ import annotations

import dataclasses
import os
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
from tests.proof.tally import Tally

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(TIMEOUT_S),
    pytest.mark.skipif("LONC_TEST_STRACE" not in os.environ, reason="long: with LONC_TEST_STRACE=all or a number"),
]


def deadly(found: list[Fault]) -> list[Fault]:
    """Return a kill at each of these calls, once."""
    return sorted(
        {dataclasses.replace(fault, what="signal=KILL") for fault in found},
        key=lambda fault: (fault.kind, fault.number, fault.on_files),
    )


def check_next(site: Site, number: int, before: str) -> None:
    """After the kill: a start works, or somebody runs already; it serves, and the message that waited goes."""
    if not settles(lambda: serves(site)):
        detach(site)
        done = site.run()
        assert done.returncode == 0 or "already" in done.stderr, (before, done.stderr)
    wait_until(lambda: serves(site), LIMIT_S, f"service after {before}")
    site.signal(signal.SIGUSR1)
    line = f"put:msu:u:kill={number}"
    wait_until(lambda: line in site.peers["msul1"].executed(), LIMIT_S, f"the message after {before}")
    wait_until(lambda: not site.waiting(), LIMIT_S, f"an empty directory after {before}")
    assert site.peers["msul1"].executed().count(line) <= 2, before
    parents = [pid for pid in lonc_left(site) if "Parent" in site.title(pid)]
    assert parents == [site.pid()], (before, parents)


def test_a_parent_killed_at_any_call_of_its_start(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    site.peer("msul1")
    for number, fault in enumerate(sample(deadly(faults_of_a_start(site)))):
        clean(site)
        site.delay("msul1", b"put:msu:u:kill=%d" % number)
        done = site.run(wrapper=wrapper(*fault.options(site), output=site.root / "trace"), timeout_s=LIMIT_S)
        if done.returncode not in (0, -signal.SIGKILL, 128 + signal.SIGKILL):
            assert "killed by signal 9" in done.stderr, (fault, done.stderr)
        check_next(site, number, str(fault))
        tally.add(inputs=2, faults=1)
        site.stop()
        wait_until(lambda: not lonc_left(site), LIMIT_S, "nothing left")


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR2])
def test_a_parent_killed_at_any_call_of_a_signal(
    make_site: MakeSite, tally: Tally, signum: signal.Signals
) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    found = deadly(faults(site, lambda options, output: try_signal(site, signum, options, output)))
    killed = 0
    for number, fault in enumerate(sample(found)):
        site.delay("msul1", b"put:msu:u:kill=%d" % number)
        pid = site.pid()
        try_signal(site, signum, fault.options(site))
        killed += not procs.alive(pid)
        check_next(site, number, str(fault))
        tally.add(inputs=2, faults=1)
    assert killed > 0
    assert "ABNORMAL EXIT" not in site.log_text()
