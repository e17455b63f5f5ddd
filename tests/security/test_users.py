"""Who may use the sockets, and how much of them: the daemon's user, root, loncAllowUsers; half of all places."""

from __future__ import annotations

import pytest

from tests.conftest import MakeSite
from tests.process.waiting import wait_until
from tests.proof.tally import Tally
from tests.security.others import NOBODY, Holder, let_in, needs_root

PLACES = 12


@pytest.mark.root
def test_a_user_who_is_allowed_takes_no_more_than_half_of_the_places(make_site: MakeSite, tally: Tally) -> None:
    needs_root()
    site = make_site(["msul1"], settings={"loncAllowUsers": "nobody", "loncMaxClients": str(PLACES)})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    let_in(site)
    greedy = Holder(site.socket_path("msul1"), PLACES)
    try:
        assert greedy.answers() == ["served"] * (PLACES // 2) + ["closed"] * (PLACES // 2)
        own = [site.connect("msul1") for _ in range(PLACES // 2)]
        for client in own:
            assert client.ask(b"echo:y") == b"y", "the web server's own always find a place"
            client.close()
        told = [line.message for line in site.log("msul1") if "half of all places" in line.message]
        assert f"Closed a client: user id {NOBODY} has half of all places already" in told[0]
    finally:
        greedy.end()
    again = Holder(site.socket_path("msul1"), 1)
    try:
        wait_until(lambda: site.board("msul1").child.clients <= 1, 20, "places that are free again")
        assert again.answers() == ["served"]
    finally:
        again.end()
    tally.add(inputs=2 * PLACES)


@pytest.mark.root
def test_a_stranger_is_told_of_with_process_and_user_and_reaches_nobody(make_site: MakeSite, tally: Tally) -> None:
    needs_root()
    site = make_site(["msul1"])
    site.peer("msul1")
    site.start()
    site.wait_ready()
    let_in(site)
    strangers = Holder(site.socket_path("msul1"), 5)
    try:
        assert strangers.answers() == ["closed"] * 5
    finally:
        strangers.end()
    assert site.peers["msul1"].executed() == []
    told = [line.message for line in site.log("msul1") if "may not use this socket" in line.message]
    assert f"of user id {NOBODY} may not use this socket" in told[0]
    assert site.ask("msul1", b"echo:z") == b"z"
    tally.add(inputs=6)
