"""Several links per child: what is lost with one of them, and what the others never hear of."""

from __future__ import annotations

import signal
import time

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import stays, wait_until
from tests.process.linked import Scene, scene, unanswered


def lose(here: Scene, number: int, how: str = "rst") -> None:
    """End one connection at the peer, while nothing new can be connected."""
    here.peer.order(listen=False)
    here.peer.order(end=how, only=number)


def counted(here: Scene, requests: int, con_lost: int) -> None:
    """Return when the scoreboard has counted exactly so many."""

    def look() -> tuple[int, int, int]:
        shown = here.site.board("msul1").child
        return shown.requests, shown.con_lost, shown.in_flight

    wait_until(lambda: look() == (requests, con_lost, 0), 5, f"{requests} requests, {con_lost} con_lost")


@pytest.mark.parametrize("how", ["rst", "close"])
def test_a_lost_link_costs_only_what_was_in_flight_on_it(make_site: MakeSite, how: str) -> None:
    """Nobody can be dialed meanwhile and there is no grace: an outage would be con_lost for everybody."""
    with scene(make_site) as here:
        first, second = here.spread(3)
        third = here.hold(b"3")
        first.send(b"encrypt:echo:more of the first", b"echo:and more")
        beside = here.ask(b"echo:beside")
        wait_until(lambda: here.site.board("msul1").child.in_flight == 6, 10, "six in flight")
        lose(here, 1, how)
        lines = first.lines(3)
        assert lines == [b"con_lost"] * 3
        for number in range(20):  # on what is left, behind what is held back there: nobody is refused
            here.ask(b"echo:later %d" % number)
        stays(lambda: "DEAD" not in here.title() and here.site.ready("msul1"), 0.5, "a living peer")
        assert all(unanswered(client) for client in (second, third, *here.clients[-20:]))
        here.open_gates()
        assert [second.line(), third.line(), beside.line()] == [b"held 2", b"held 3", b"beside"]
        assert [client.line() for client in here.clients[-20:]] == [b"later %d" % number for number in range(20)]
        counted(here, 26, 3)
        assert unanswered(first)  # each of its requests had one line
        first.send(b"echo:again")
        assert first.line() == b"again"
        executed = here.peer.executed()
        assert len(executed) == len(set(executed))  # nothing was sent a second time
        assert here.site.log_text().count("Link to msul1 lost") == 1


def test_a_lost_idle_link_costs_nobody_anything(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        here.open_and_idle(3)
        for number in (1, 2):
            lose(here, number)
            wait_until(lambda left=3 - number: here.states() == ["Idle"] * left, 10, "one link less")  # type: ignore[misc]  # a default argument
            assert here.site.ask("msul1", b"echo:x") == b"x"
        assert "DEAD" not in here.title()
        assert here.site.board("msul1").child.con_lost == 0
        lose(here, 3)  # the last one: that is an outage, and no grace
        wait_until(lambda: ">>> DEAD !!!! <<<" in here.title(), 5, "the title of a dead peer")
        assert here.site.ask("msul1", b"echo:x") == b"con_lost"
        here.peer.order(listen=True)
        here.site.wait_ready()
        assert here.site.ask("msul1", b"echo:x") == b"x"


def test_all_links_lost_at_once_are_one_outage(make_site: MakeSite) -> None:
    """What was sent is lost, once each; what comes in the grace waits, and one link is dialed for it."""
    with scene(make_site, loncGrace="30") as here:
        held = [*here.spread(3), here.hold(b"3")]
        here.peer.order(listen=False)
        here.peer.order(end="rst")
        assert [client.line() for client in held] == [b"con_lost"] * 3
        wait_until(lambda: not here.site.ready("msul1"), 5, "the outage")
        waiting = [here.ask(b"echo:%d" % number) for number in range(10)]
        wait_until(lambda: here.site.board("msul1").child.queued == 10, 5, "ten that wait")
        assert "DEAD" not in here.title()
        here.peer.order(listen=True)
        assert [client.line() for client in waiting] == [b"%d" % number for number in range(10)]
        counted(here, 13, 3)
        assert all(unanswered(client) for client in held)


def test_requests_that_wait_for_a_full_window_are_not_lost_with_its_link(make_site: MakeSite) -> None:
    with scene(make_site, loncPipeline="1", loncMaxConnections="2") as here:
        first = here.hold(b"1")
        second = here.hold(b"2")
        waiting = [here.ask(b"echo:%d" % number) for number in range(8)]
        wait_until(lambda: here.site.board("msul1").child.queued == 8, 10, "eight in the queue")
        lose(here, 1)
        assert first.line() == b"con_lost"
        assert all(unanswered(client) for client in waiting)
        here.open_gates()
        assert second.line() == b"held 2"
        assert [client.line() for client in waiting] == [b"%d" % number for number in range(8)]
        counted(here, 10, 1)


def test_a_request_without_an_answer_costs_only_its_own_link(make_site: MakeSite) -> None:
    """loncRequestTimeout on one of two links: that one goes, the other's request has its own time."""
    with scene(make_site, "on echo:never=stall", loncRequestTimeout="1.5", loncMaxConnections="2") as here:
        never = here.ask(b"echo:never", b"echo:behind it")
        here.wait_ready(2)
        for number in range(50):
            assert here.site.ask("msul1", b"echo:%d" % number) == b"%d" % number
        assert never.lines(2) == [b"con_lost"] * 2
        wait_until(lambda: here.peer.records("-"), 5, "the end of its link")
        assert [record.connection[-2:] for record in here.peer.records("-")] == [".1"]
        assert here.site.ask("msul1", b"echo:after") == b"after"
        assert "DEAD" not in here.title()
        counted(here, 53, 2)
        assert here.site.log_text().count("Timeout: ") == 1


# ------------------------------------------------------------------------- a further link that cannot be had


def dials_within_three_seconds(here: Scene) -> int:
    """Return how often the peer was connected to, once it has been two times."""
    wait_until(lambda: here.peer.stats()["accepted"] >= 3, 15, "two further connections")
    accepted, began = here.peer.stats()["accepted"], time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3, 10, "three seconds")
    return int(here.peer.stats()["accepted"] - accepted)


@pytest.mark.parametrize(
    "rule", ["init=answer-close:refused@2-", "connect=rst@2-", "ekey=close@2-", "ekey=stall@2-"]
)
def test_a_peer_that_allows_one_link_only_harms_nobody(make_site: MakeSite, rule: str) -> None:
    """The wish for more stands all the time: dialed with pauses, told at most once, and no outage."""
    with scene(make_site, f"at {rule}", loncInitTimeout="0.5") as here:
        slow = here.hold(b"slow")
        waiting = [here.ask(b"echo:%d" % number) for number in range(10)]
        assert dials_within_three_seconds(here) <= 8
        assert here.site.ready("msul1")
        assert "Connection count: " in here.title()
        assert all(unanswered(client) for client in (slow, *waiting))
        here.release()
        assert slow.line() == b"held slow"
        assert [client.line() for client in waiting] == [b"%d" % number for number in range(10)]
        counted(here, 11, 0)
        warnings = [line.message for line in here.site.log("msul1") if "WARNING" in line.message]
        # told once; again only when it fails at another place, as a reset may
        assert len(warnings) == 1 or "connect=" in rule
        assert "CRITICAL" not in here.site.log_text()
        assert len({record.connection for record in here.peer.records("c")}) == 1


def test_a_peer_that_ends_every_further_link_is_not_dialed_in_a_loop(make_site: MakeSite) -> None:
    """READY and reset at once: as for the only link, pauses all the same."""
    with scene(make_site, "at ready=rst@2-") as here:
        slow = here.hold(b"slow")
        assert dials_within_three_seconds(here) <= 8
        assert here.site.ready("msul1")
        assert "DEAD" not in here.title()
        here.release()
        assert slow.line() == b"held slow"
        counted(here, 1, 0)


def test_further_links_come_as_soon_as_the_peer_allows_them(make_site: MakeSite) -> None:
    with scene(make_site, "at init=answer-close:refused@2-") as here:
        here.hold(b"slow")
        wait_until(lambda: here.peer.stats()["accepted"] >= 3, 15, "two that were refused")
        here.peer.script(here.peer.rules[-1])
        wait_until(lambda: here.peer.records("d")[-1].text == "ekey", 20, "a link that came to its end")
        here.wait_ready(2)
        assert here.site.ask("msul1", b"echo:x") == b"x"
        assert here.peer.stats()["gated"] == 1
        assert here.site.board("msul1").child.con_lost == 0


# ----------------------------------------------------------------------------------------------------- the end


def test_term_says_exit_on_every_link(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        here.open_and_idle(3)
        assert here.site.stop() < 12
        wait_until(lambda: here.peer.stats()["open"] == 0, 5, "no connection")
        last = {record.connection: record.text for record in here.peer.records("d")}
        assert list(last.values()) == ["exit"] * 3


def test_term_waits_for_what_is_in_flight_on_every_link(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        held = [*here.spread(3), here.hold(b"3")]
        child = here.site.child("msul1")
        here.site.signal(signal.SIGTERM)
        stays(lambda: procs.alive(child) and all(unanswered(client) for client in held), 0.5, "a child that waits")
        for number in (2, 1, 3):
            here.release(b"%d" % number)
            assert held[number - 1].line() == b"held %d" % number
        wait_until(lambda: not procs.alive(child), 12, "its end")
        wait_until(lambda: here.peer.stats()["open"] == 0, 5, "no connection")
        last = {record.connection: record.text for record in here.peer.records("d")}
        assert list(last.values()) == ["exit"] * 3
        assert "CRITICAL" not in here.site.log_text()


def test_term_does_not_wait_for_a_link_that_never_answers(make_site: MakeSite) -> None:
    with scene(make_site, loncStopTimeout="3") as here:
        held = here.hold(b"for ever")
        here.wait_ready(2)
        assert here.site.stop() < 12
        assert held.line() == b"con_lost"
        last = {record.connection.partition(".")[2]: record.text for record in here.peer.records("d")}
        assert last["2"] == "exit"  # the other link did end in order
