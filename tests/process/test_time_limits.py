"""The time limit of a request (spec lonc.md 4): while it is the oldest on its link, and twice that in all."""

from __future__ import annotations

import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Client, Site, wait_until

SLACK_S = 1.5


def ready_site(make_site: MakeSite, limit_s: float, *rules: str, **settings: str) -> Site:
    site = make_site(settings={"loncRequestTimeout": str(limit_s), "loncGrace": "5"} | settings)
    site.peer("msul1", *rules)
    site.start()
    site.wait_ready()
    return site


def timed(client: Client, began: float) -> tuple[bytes | None, float]:
    """Return the next line and how long after `began` it came."""
    return client.line(20), time.monotonic() - began


def test_an_unanswered_request_costs_its_link_and_all_that_is_in_flight(make_site: MakeSite) -> None:
    site = ready_site(make_site, 1.0)
    with site.connect("msul1") as slow, site.connect("msul1") as other:
        began = time.monotonic()
        slow.send(b"sleep:20000")
        wait_until(lambda: site.board("msul1").child.in_flight == 1, 5, "the slow one in flight")
        other.send(b"echo:behind", b"encrypt:auth:msu:u:secret-word")
        line, seconds = timed(slow, began)
        assert line == b"con_lost"
        assert 0.9 < seconds < 1 + SLACK_S
        assert other.lines(2) == [b"con_lost", b"con_lost"]
        assert other.ask(b"echo:after") == b"after"  # the connection of the client lives on
        assert slow.ask(b"echo:after") == b"after"
    assert site.board("msul1").child.links_opened == 2
    assert "WARNING: Timeout: sleep" in site.log_text()
    assert "20000" not in site.log_text()
    assert site.grep_secrets("secret-word") == []


@pytest.mark.timing
@pytest.mark.parametrize("pipeline", ["256", "1"])
def test_the_limit_runs_only_while_a_request_is_the_oldest(make_site: MakeSite, pipeline: str) -> None:
    """Three that take 1.1 s each, one after the other: the last waits longer than the limit and has its reply."""
    site = ready_site(make_site, 2.0, loncPipeline=pipeline)
    clients = [site.connect("msul1") for _ in range(3)]
    began = time.monotonic()
    for client in clients:
        client.send(b"sleep:1100")
    found = [timed(client, began) for client in clients]
    assert [line for line, _ in found] == [b"ok"] * 3
    assert found[2][1] > 3.2
    assert site.board("msul1").child.links_opened == 1
    for client in clients:
        client.close()


@pytest.mark.timing
@pytest.mark.parametrize("pipeline", ["256", "1"])
def test_twice_the_limit_is_the_end_and_the_link_is_unharmed(make_site: MakeSite, pipeline: str) -> None:
    site = ready_site(make_site, 1.0, loncPipeline=pipeline)
    clients = [site.connect("msul1") for _ in range(5)]
    assert [client.ask(b"echo:1") for client in clients] == [b"1"] * 5  # accepted: heard in order from now on
    began = time.monotonic()
    for client in clients:
        client.send(b"sleep:750")
    found = [timed(client, began) for client in clients]
    assert [line for line, _ in found] == [b"ok", b"ok", b"con_lost", b"con_lost", b"con_lost"]
    for _, seconds in found[2:]:
        assert 1.9 < seconds < 2 + SLACK_S
    # replies of those who gave up come now, and meet nobody
    for number, client in enumerate(clients):
        assert client.ask(b"echo:%d" % number, 20) in (b"%d" % number, b"con_lost")
    assert all(client.ask(b"echo:%d" % number) == b"%d" % number for number, client in enumerate(clients))
    assert site.board("msul1").child.links_opened == 1
    for client in clients:
        client.close()


def test_a_reply_that_drips_has_one_limit_not_one_per_byte(make_site: MakeSite) -> None:
    site = ready_site(make_site, 1.0, "on size:*=drip:100@1")
    began = time.monotonic()
    with site.connect("msul1") as client:
        client.send(b"size:100")
        line, seconds = timed(client, began)  # part of a line before con_lost would be an AssertionError
        assert line == b"con_lost"
        assert 0.9 < seconds < 1 + SLACK_S
        assert client.ask(b"size:5") == b"xxxxx"


def test_a_reply_that_stops_in_the_middle_is_never_shown(make_site: MakeSite) -> None:
    site = ready_site(make_site, 1.0, "on size:*=half:50000@1")
    with site.connect("msul1") as client:
        assert client.ask(b"size:100000") == b"con_lost"
        assert client.ask(b"size:100000", 10) == b"x" * 100000


def test_many_quick_requests_under_a_small_limit_run_on(make_site: MakeSite) -> None:
    """The limit is no limit on how long a link may be busy."""
    site = ready_site(make_site, 0.5)
    began = time.monotonic()
    with site.connect("msul1") as one, site.connect("msul1") as two:
        rounds = 0
        while time.monotonic() - began < 2:
            for number, client in enumerate((one, two)):
                client.send(*(b"echo:%d.%d.%d" % (number, rounds, n) for n in range(20)))
            for number, client in enumerate((one, two)):
                assert client.lines(20) == [b"%d.%d.%d" % (number, rounds, n) for n in range(20)]
            rounds += 1
    assert site.board("msul1").child.links_opened == 1


def test_twice_the_limit_holds_for_who_waits_for_a_link(make_site: MakeSite) -> None:
    site = make_site(settings={"loncRequestTimeout": "0.5", "loncGrace": "30"})
    site.start()
    began = time.monotonic()
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert 0.9 < time.monotonic() - began < 1 + SLACK_S


def test_a_client_that_gave_up_leaves_no_reply_to_others(make_site: MakeSite) -> None:
    site = ready_site(make_site, 5.0)
    for number in range(5):
        with site.connect("msul1") as gone:
            gone.send(b"sleep:150", b"echo:for nobody")
        assert site.ask("msul1", b"echo:%d" % number) == b"%d" % number
    assert site.board("msul1").child.links_opened == 1
