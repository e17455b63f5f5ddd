"""Several links per child: when another one opens, which one a request takes, and whose order is kept."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict

import pytest

from tests.conftest import MakeSite
from tests.process.crowd import talk
from tests.process.harness import stays, wait_until
from tests.process.linked import NEVER_MS, Scene, scene, unanswered


def in_flight(here: Scene, count: int) -> None:
    """Return when so many requests are in flight on all links together."""
    wait_until(lambda: here.site.board("msul1").child.in_flight == count, 10, f"{count} requests in flight")


# ------------------------------------------------------------------------------------ when another one opens


def test_one_link_is_enough_as_long_as_replies_come(make_site: MakeSite) -> None:
    with scene(make_site, loncSpreadAfter=NEVER_MS, loncMaxConnections="10") as here:
        tally = talk(here.site.socket_path("msul1"), 16, 3000, batch=lambda: random.randint(1, 9))
        assert tally.good, str(tally)
        assert here.peer.stats()["accepted"] == 1
        assert here.site.board("msul1").child.links_opened == 1


def test_a_request_that_stays_unanswered_opens_another_link_for_the_others(make_site: MakeSite) -> None:
    with scene(make_site, loncMaxConnections="2") as here:
        slow = here.hold(b"slow")
        here.wait_ready(2)
        for number in range(20):
            assert here.site.ask("msul1", b"echo:%d" % number) == b"%d" % number
        assert unanswered(slow)
        here.release()
        assert slow.line() == b"held slow"
        where = here.on()
        assert {where[f"echo:{number}"] for number in range(20)} == {2}
        assert where["echo:held slow"] == 1
        here.harmless()


def test_no_other_link_opens_before_its_time(make_site: MakeSite) -> None:
    """The next one waits on the same link; the measure is loncSpreadAfter, not the request itself."""
    with scene(make_site, loncSpreadAfter="2500") as here:
        slow = here.hold(b"slow")
        behind = here.ask(b"echo:behind")
        stays(lambda: here.peer.stats()["accepted"] == 1, 0.5, "one link")
        wait_until(lambda: here.peer.stats()["accepted"] == 2, 10, "another link")
        sent = next(record.at for record in here.peer.records("c"))
        opened = [record.at for record in here.peer.records("+")][1]
        assert opened - sent > 1.0  # less what a loaded machine may need to carry the request out
        assert unanswered(behind)
        here.release()
        assert [slow.line(), behind.line()] == [b"held slow", b"behind"]
        assert here.on()["echo:behind"] == 1


def test_a_full_window_opens_another_link(make_site: MakeSite) -> None:
    with scene(make_site, loncSpreadAfter=NEVER_MS, loncPipeline="2") as here:
        first = here.hold(b"1")
        assert here.peer.stats()["accepted"] == 1
        second = here.ask(b"echo:second")
        third = here.ask(b"echo:third")
        assert third.line() == b"third"
        assert unanswered(first)
        assert unanswered(second)
        here.release()
        assert [first.line(), second.line()] == [b"held 1", b"second"]
        assert here.on() == {"echo:held 1": 1, "echo:second": 1, "echo:third": 2}
        here.harmless()


@pytest.mark.parametrize("most", [1, 2, 5])
def test_never_more_links_than_allowed(make_site: MakeSite, most: int) -> None:
    """Every link is slow and its window full, and clients queue up: that is all there may be."""
    with scene(make_site, loncMaxConnections=str(most), loncPipeline="1") as here:
        clients = [here.ask(b"echo:held %d" % number) for number in range(3 * most)]
        wait_until(lambda: here.peer.stats()["gated"] == most, 10, f"{most} slow links")
        stays(lambda: here.peer.stats()["accepted"] == most, 1.0, f"{most} links")
        assert f"Connection count: {most} " in here.title()
        here.open_gates()
        assert [client.line() for client in clients] == [b"held %d" % number for number in range(3 * most)]
        assert here.peer.stats()["accepted"] == most
        here.harmless()


# ----------------------------------------------------------------------------------- which one a request takes


def test_a_request_goes_to_the_link_with_the_fewest_in_flight(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        first, second = here.spread(3)
        third = here.hold(b"3")
        where = here.on()
        assert [where[f"echo:held {number}"] for number in (1, 2, 3)] == [1, 2, 3]
        extras = []
        for number in range(6):
            extras.append(here.ask(b"echo:extra %d" % number))
            in_flight(here, 4 + number)
        here.release(b"2")  # link 2 has none in flight any more, the others three each
        assert second.line() == b"held 2"
        in_flight(here, 6)
        more = [here.hold(b"4")]
        for number in (5, 6):
            more.append(here.ask(b"echo:held %d" % number))
            in_flight(here, 6 + len(more))
        here.open_gates()
        assert [client.line() for client in more] == [b"held 4", b"held 5", b"held 6"]
        assert [client.line() for client in (first, third)] == [b"held 1", b"held 3"]
        assert [client.line() for client in extras] == [b"extra %d" % number for number in range(6)]
        where = here.on()
        assert Counter(where[f"echo:extra {number}"] for number in range(6)) == {1: 2, 2: 2, 3: 2}
        assert {where[f"echo:held {number}"] for number in (4, 5, 6)} == {2}
        here.harmless()


# -------------------------------------------------------------------------------------------- whose order is kept


def test_a_client_with_unanswered_requests_stays_on_their_link(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        client = here.hold(b"1")
        here.wait_ready(2)
        client.send(b"echo:2", b"encrypt:echo:3")
        assert here.site.ask("msul1", b"echo:another") == b"another"
        in_flight(here, 3)
        stays(lambda: "echo:2" not in here.peer.executed(), 0.3, "the second behind the first")
        here.release()
        assert client.lines(3) == [b"held 1", b"2", b"3"]
        assert here.on() == {"echo:held 1": 1, "echo:another": 2, "echo:2": 1, "echo:3": 1}


def test_what_a_client_asks_at_once_stays_together(make_site: MakeSite) -> None:
    """Links are free, windows of two are not enough for five: they reach lond one after the other all the same."""
    with scene(make_site, loncPipeline="2") as here:
        here.open_and_idle(3)
        client = here.ask(*(b"put:msu:u:ns:a=%d" % number for number in range(5)), b"get:msu:u:ns:a")
        assert client.lines(6) == [b"ok"] * 5 + [b"4"]
        puts = [line for line in here.peer.executed() if line.startswith("put:")]
        assert puts == [f"put:msu:u:ns:a={number}" for number in range(5)]


def test_every_client_has_its_order_whatever_links_do(make_site: MakeSite) -> None:
    """Twelve clients with up to six requests at once over four links of which some dawdle now and then."""
    with scene(make_site, "on *7=late:15", "on *e=late:5", loncMaxConnections="4", loncSpreadAfter="1") as here:
        tally = talk(here.site.socket_path("msul1"), 12, 4000, batch=lambda: random.randint(1, 6))
        assert tally.good, str(tally)  # every reply was that of the request at its place
        asked: dict[str, list[int]] = defaultdict(list)
        links: dict[str, set[str]] = defaultdict(set)
        for record in here.peer.records("c"):
            found = re.fullmatch(r"echo:(\d+)\.(\d+)\.\w+", record.text)
            assert found is not None
            asked[found[1]].append(int(found[2]))
            links[found[1]].add(record.connection)
        assert sum(len(numbers) for numbers in asked.values()) == 4000
        for numbers in asked.values():
            assert numbers == sorted(numbers)  # lond carried them out as they were asked
        assert max(len(used) for used in links.values()) > 1  # and clients did change links
        assert len({used for several in links.values() for used in several}) == 4
        here.harmless()
