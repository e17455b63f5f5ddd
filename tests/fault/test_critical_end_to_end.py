"""Writers of critical messages killed at random while the daemon delivers: what was acknowledged arrives (P2)."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from lonc.lonnet.answers import Status
from lonc.lonnet.network import Network
from tests.conftest import MakeSite
from tests.process.harness import Site, wait_until
from tests.process.messages import empty

WRITERS = 8


def writer(site: Site, who: int, out: int) -> None:
    """Send numbered messages until killed; tell of each that was acknowledged, and of one that was not."""
    network = Network(conf_dir=str(site.conf_dir), retry_pause_s=0.0, wake_wait_s=0.05)
    number = 0
    while True:
        command = b"echo:%d-%d" % (who, number)
        status = network.critical(b"encrypt:" + command if number % 2 else command, "msul1").status
        assert status in (Status.OK, Status.DELAYED)
        os.write(out, command + b"\n")
        number += 1


def start_writer(site: Site, who: int, out: int) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            writer(site, who, out)
        finally:
            os._exit(1)
    return pid


@pytest.mark.slow
def test_what_was_acknowledged_arrives(make_site: MakeSite) -> None:
    site = make_site(settings={"loncGrace": "0", "loncDelayedScan": "1"})
    site.start()
    reading, writing = os.pipe()
    chance = random.Random(3)
    for who in range(WRITERS):
        pids = [start_writer(site, 2 * who + n, writing) for n in range(2)]
        if who == WRITERS - 2:
            site.peer("msul1")  # the last ones meet a peer that comes back
        time.sleep(chance.uniform(0.05, 0.5))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "a writer got an answer that is none"
    os.close(writing)
    with os.fdopen(reading, "rb") as told:
        acknowledged = told.read().decode().splitlines()
    print(f"{len(acknowledged)} acknowledged")
    assert acknowledged
    empty(site, 60)
    wait_until(lambda: set(acknowledged) <= set(site.peers["msul1"].executed()), 30, "all that was acknowledged")
    left = [name for name in os.listdir(site.delayed_dir) if not name.startswith((".new-", ".lock-"))]
    assert left == []
