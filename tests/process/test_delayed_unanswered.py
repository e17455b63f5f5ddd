"""Delayed messages whose reply does not come: kept, tried again, and soon in nobody's way (A5)."""

from __future__ import annotations

import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Site, stays, wait_until
from tests.process.messages import empty, put, records, texts


def wait_passed_over(site: Site) -> None:
    site.wait_log("stayed unanswered on 3 links", 30)


@pytest.mark.parametrize("how", ["stall", "close", "rst", "empty", "done-stall"])
def test_a_message_never_answered_stops_holding_clients_back_after_three_links(
    make_site: MakeSite, how: str
) -> None:
    site = make_site(["msul1"], settings={"loncDelayedTimeout": "0.4", "loncDelayedScan": "0.2"})
    peer = site.peer("msul1", f"on put:bad*={how}")
    bad = site.delay("msul1", b"put:bad:u:ns:a=1")
    for number in range(3):
        site.delay("msul1", put(number))
    site.start()
    with site.connect("msul1") as client:
        # Links come and go, but the request was never in flight: it must be served, not lost.
        assert client.ask(b"echo:served", 30) == b"served"
        assert client.ask(b"echo:again", 30) == b"again"
    wait_passed_over(site)
    sent = [record for record in peer.records("ce") if not record.text.startswith("put:bad")]
    assert [record.text for record in sent] == [*texts(0, 1, 2), "echo:served", "echo:again"]
    assert site.waiting() == [bad.name]
    assert site.board("msul1").child.links_opened == 4
    assert site.log_text().count("stayed unanswered on 3 links") == 1
    # it is not tried again before loncRetryMax (360 s): the link stays
    opened = peer.stats()["accepted"]
    stays(lambda: peer.stats()["accepted"] == opened, 1.5, "the link")


def test_it_is_tried_again_after_the_others(make_site: MakeSite) -> None:
    settings = {"loncDelayedTimeout": "0.3", "loncDelayedScan": "0.2", "loncRetryMin": "3", "loncRetryMax": "3"}
    site = make_site(["msul1"], settings=settings)
    peer = site.peer("msul1", "on put:bad*=stall@1-3")
    site.delay("msul1", b"put:bad:u:ns:a=1")
    site.delay("msul1", put(1))
    site.start()
    wait_passed_over(site)
    assert peer.wait_executed(1) == texts(1)
    # now it is answered, and gone
    assert peer.wait_executed(2, 15) == [*texts(1), "put:bad:u:ns:a=1"]
    empty(site)


def test_trying_it_again_holds_clients_back_for_the_grace_only(make_site: MakeSite) -> None:
    settings = {"loncDelayedTimeout": "3", "loncDelayedScan": "0.2", "loncGrace": "0.3"}
    site = make_site(["msul1"], settings=settings | {"loncRetryMin": "1.5", "loncRetryMax": "1.5"})
    peer = site.peer("msul1", "on put:bad*=done-close@1-3", "on put:bad*=done-stall")
    site.delay("msul1", b"put:bad:u:ns:a=1")
    site.start()
    wait_passed_over(site)
    site.wait_ready()
    tries, longest = 0, 0.0
    with site.connect("msul1") as client:
        while tries < 6:  # three of them since it is passed over
            began = time.monotonic()
            assert client.ask(b"echo:x", 20) == b"x"
            longest = max(longest, time.monotonic() - began)
            tries = peer.executed().count("put:bad:u:ns:a=1")
    assert longest < 2.5, f"a client waited {longest:.1f} s"
    # where nobody waits it has its whole time
    opened = site.board("msul1").child.links_opened
    wait_until(lambda: peer.executed().count("put:bad:u:ns:a=1") > tries, 15, "another try")
    stays(lambda: site.board("msul1").child.links_opened <= opened + 1, 1.5, "the link")


def test_a_link_lost_in_the_middle_sends_the_message_again(site: Site) -> None:
    peer = site.peer("msul1", "on *a=1=done-rst@1")
    for number in range(3):
        site.delay("msul1", put(number))
    site.start()
    empty(site)
    assert peer.executed() == texts(0, 1, 1, 2)
    assert [record[7] for record in records(site, "S", 3)] == ["a=0", "a=1", "a=2"]


def test_a_reply_in_time_counts_though_the_link_dies_behind_it(site: Site) -> None:
    peer = site.peer("msul1", "on *a=1=last-rst@1")
    for number in range(3):
        site.delay("msul1", put(number))
    site.start()
    empty(site)
    executed = peer.executed()
    # a reset may overtake the reply inside the kernel: then the message is sent again, as it must be
    assert executed in (texts(0, 1, 2), texts(0, 1, 1, 2))
