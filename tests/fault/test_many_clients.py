"""Row 11: very many clients at once, and a storm of connects; everybody has all replies, nothing is left behind.

LONC_TEST_CROWD says how many clients at once (default 1500; the row: 10000), LONC_TEST_STORM how many connects a
second (default 500; the row: 5000). More than the process may hold wait in the backlog, which is no error.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from tests.bench.kit import Kit, Stub, load
from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Entry, Site, wait_until
from tests.proof.tally import Tally

CROWD = int(os.environ.get("LONC_TEST_CROWD") or 1500)
STORM = int(os.environ.get("LONC_TEST_STORM") or 500)
STORM_S = 2
CHECKED = ("-v", "-r", "echo:a@", "-T", "120")  # every reply holds its request's own token
pytestmark = [pytest.mark.timing, pytest.mark.timeout(300)]


@pytest.fixture
def served(make_site: MakeSite, kit: Kit) -> Iterator[Site]:
    """A daemon that takes as many clients as it has descriptors for, with one quick peer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < CROWD + 1000:
        pytest.skip(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    site = make_site([Entry("msul1", "127.0.0.1")], settings={"loncMaxClients": "100000"})
    with Stub(kit, port=site.port, own_id="msul1"):
        site.start()
        site.wait_ready()
        yield site
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def check_left(site: Site, child: int, descriptors: int) -> None:
    """The same child serves on, and has nothing of them any more."""
    assert site.child("msul1") == child
    assert site.ask("msul1", b"echo:x") == b"x"
    wait_until(lambda: memory.descriptors(child) <= descriptors, 20, "descriptors given back")
    assert site.board("msul1").child.con_lost == 0
    assert "ABNORMAL EXIT" not in site.log_text()


def test_very_many_clients_at_once(served: Site, kit: Kit, tally: Tally) -> None:
    child = served.child("msul1")
    before = memory.descriptors(child)
    where = str(served.socket_path("msul1"))
    count = CROWD * 5
    found = load(kit, "-u", where, "-c", str(CROWD), "-n", str(count), *CHECKED, timeout_s=250)
    print(f"\n{found.line}")
    tally.add(inputs=count, faults=CROWD, violations=int(found.figures["mismatches"]))
    assert found.good, (found.line, found.errors)
    assert found.figures["requests"] == count
    check_left(served, child, before)


def test_a_storm_of_connects(served: Site, kit: Kit, tally: Tally) -> None:
    """A connection for each request, so many due each second, whether or not the last ones have been served."""
    child = served.child("msul1")
    before = memory.descriptors(child)
    where = str(served.socket_path("msul1"))
    rate = ("-k", "1", "-R", str(STORM), "-t", str(STORM_S))
    found = load(kit, "-u", where, "-c", "500", *rate, *CHECKED, timeout_s=250)
    print(f"\n{found.line}")
    tally.add(inputs=int(found.figures["requests"]), faults=1, violations=int(found.figures["mismatches"]))
    assert found.good, (found.line, found.errors)
    assert found.figures["requests"] > STORM
    check_left(served, child, before)
