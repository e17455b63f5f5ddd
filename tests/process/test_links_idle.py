"""Several links per child: links that nobody needs any more, and what is shown of all of them."""

from __future__ import annotations

import itertools
import signal
import time

from tests.conftest import MakeSite
from tests.process.harness import stays, wait_until
from tests.process.linked import NEVER_MS, Scene, scene, unanswered

IDLE_S = 2.0


def farewells(here: Scene) -> dict[int, float]:
    """Return when the peer heard `exit` on which connection."""
    heard = [record for record in here.peer.records("d") if record.text == "exit"]
    return {int(record.connection.partition(".")[2]): record.at for record in heard}


# --------------------------------------------------------------------------------------- closed when idle


def test_idle_links_are_closed_one_per_second_and_the_last_one_kept(make_site: MakeSite) -> None:
    with scene(make_site, loncMaxConnections="4", loncIdleTimeout=str(IDLE_S)) as here:
        held = here.spread(4)
        assert farewells(here) == {}
        released = time.monotonic()
        here.release()
        assert [client.line() for client in held] == [b"held 1", b"held 2", b"held 3"]
        wait_until(lambda: here.peer.stats()["open"] == 1, 15, "one link")
        at = sorted(farewells(here).values())
        assert len(at) == 3
        # one second, less what a loaded machine makes of it
        assert at[1] - released > IDLE_S  # one of them had been idle before
        assert all(later - earlier > 0.5 for earlier, later in itertools.pairwise(at))
        stays(lambda: here.peer.stats()["open"] == 1, 2 * IDLE_S + 1, "the last one")
        assert here.states() == ["Idle"]
        assert "Connection count: 1 " in here.title()
        for client in held:
            assert client.ask(b"echo:again") == b"again"
        assert here.peer.stats()["accepted"] == 4
        here.harmless()


def test_a_link_with_a_request_in_flight_is_not_idle(make_site: MakeSite) -> None:
    """However long it takes; and what was closed is opened again when it is needed, not before."""
    with scene(make_site, loncIdleTimeout=str(IDLE_S)) as here:
        slow, _second = here.spread(3)
        here.release(b"2")
        wait_until(lambda: farewells(here), 15, "an idle link less")
        stays(lambda: unanswered(slow), 2 * IDLE_S + 1, "a link that waits for its reply")
        # one idle link is kept beside it: closed, it would have to be opened again for the next request
        assert here.peer.stats()["open"] == 2
        assert list(farewells(here)) == [3] or list(farewells(here)) == [2]
        assert here.peer.stats()["accepted"] == 3
        more = here.hold(b"3")
        here.wait_ready(3)
        here.release()
        assert [slow.line(), more.line()] == [b"held 1", b"held 3"]
        here.harmless()


def test_links_that_are_used_now_and_then_are_not_idle(make_site: MakeSite) -> None:
    with scene(make_site, loncIdleTimeout="3", loncMaxConnections="2") as here:
        here.open_and_idle(2)
        began = time.monotonic()
        while time.monotonic() - began < 5:
            first, second = here.client(), here.client()
            first.send(b"echo:held a")  # one on each
            second.send(b"echo:held b")
            wait_until(lambda: here.peer.stats()["gated"] == 2, 10, "a request on each link")
            here.release()
            assert [first.line(), second.line()] == [b"held a", b"held b"]
        assert here.peer.stats()["accepted"] == 2
        assert farewells(here) == {}


# ------------------------------------------------------------------------------------------------- shown


def test_title_status_and_scoreboard_tell_of_every_link(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        assert "Connection count: 1 " in here.title()
        assert here.states() == ["Idle"]
        held = here.hold(b"1")
        here.wait_ready(2)
        assert "Connection count: 2 " in here.title()
        here.wait_states(["ReceivingReply", "Idle"])
        second = here.hold(b"2")
        here.wait_ready(3)
        assert "Connection count: 3 " in here.title()
        here.wait_states(["ReceivingReply", "ReceivingReply", "Idle"])
        here.release(b"1")
        assert held.line() == b"held 1"
        here.wait_states(["ReceivingReply", "Idle", "Idle"])
        here.peer.order(end="rst", only=3)
        here.wait_states(["ReceivingReply", "Idle"])
        assert "Connection count: 2 " in here.title()
        here.release()
        assert second.line() == b"held 2"
        here.wait_states(["Idle", "Idle"])


def test_a_link_that_stands_in_its_dialogue_is_shown_there(make_site: MakeSite) -> None:
    with scene(make_site, "at version=stall@2-", loncMaxConnections="2") as here:
        here.hold(b"1")
        here.wait_states(["ReceivingReply", "ReadingVersionString"])
        assert "Connection count: 2 " in here.title()
        assert here.site.ready("msul1")
        assert here.site.board("msul1").child.state == "ready"


def test_the_scoreboard_has_the_sums_of_all_links(make_site: MakeSite) -> None:
    with scene(make_site) as here:
        held = [*here.spread(3), here.hold(b"3")]
        queued = [here.ask(b"echo:%d" % number) for number in range(6)]
        wait_until(lambda: here.site.board("msul1").child.in_flight == 9, 10, "nine in flight")
        assert here.site.board("msul1").child.links_opened == 3
        here.release()
        assert [client.line() for client in (*held, *queued)] == (
            [b"held 1", b"held 2", b"held 3", *(b"%d" % number for number in range(6))]
        )
        wait_until(lambda: here.site.board("msul1").child.replies == 9, 5, "nine replies")
        shown = here.site.board("msul1").child
        assert (shown.requests, shown.in_flight, shown.queued, shown.con_lost) == (9, 0, 0, 0)
        assert sum(shown.latency_us) == 9
        # every byte of every link: the peer has them all in its log
        said = [record.text for record in here.peer.records("dc")]
        assert shown.bytes_out == sum(len(line) + 1 for line in said)
        here.peer.order(end="close", only=1)  # what a link has carried stays counted when it is gone
        here.wait_ready(2)
        wait_until(lambda: here.site.board("msul1").child.bytes_out == shown.bytes_out, 5, "the sum")
        assert here.site.board("msul1").child.bytes_in == shown.bytes_in
        assert here.site.board("msul1").child.replies == 9


def test_debug_and_transactions_tell_of_every_link_and_can_be_switched(make_site: MakeSite) -> None:
    """INT raises and lowers the level, USR2 toggles the transactions, masked; for later links too."""
    with scene(make_site, loncMaxConnections="4") as here:
        child = here.site.child("msul1")
        here.site.signal(signal.SIGINT, child)
        here.site.wait_log("Debug on")
        here.site.signal(signal.SIGUSR2, child)
        here.site.wait_log("Transaction logging on")
        held = here.spread(3)
        third = here.ask(b"encrypt:auth:msu:u:Secret17")
        assert third.line() == b"authorized"
        here.release()
        assert [client.line() for client in held] == [b"held 1", b"held 2"]
        here.site.wait_log("answered after", count=3)
        text = here.site.log_text()
        assert text.count("keying -&gt; ready") + text.count("keying -> ready") == 2
        assert "encrypt:auth" in text
        assert "Secret17" not in text
        assert "held 1" not in text
        here.site.signal(signal.SIGINT, child)
        here.site.wait_log("Debug off")
        here.site.signal(signal.SIGUSR2, child)
        here.site.wait_log("Transaction logging off")
        before = here.site.log_text()
        here.hold(b"4")
        here.hold(b"5")
        here.hold(b"6")
        here.wait_ready(4)
        here.release()
        assert [client.line() for client in here.clients[-3:]] == [b"held 4", b"held 5", b"held 6"]
        new = here.site.log_text().removeprefix(before)
        assert "answered after" not in new
        assert "ready" not in new


# -------------------------------------------------------------------------------------------- encrypted


def test_every_link_has_its_own_key(make_site: MakeSite) -> None:
    """Replies in frames come back by the key of the link that carried the request, whichever that is."""
    with scene(make_site, loncSpreadAfter=NEVER_MS, loncPipeline="4", loncMaxConnections="4") as here:
        here.peer.script("on *=late:1")
        clients = [here.client() for _ in range(40)]
        for turn in range(5):
            for number, client in enumerate(clients):
                client.send(b"encrypt:eecho:%d.%d" % (turn, number), b"encrypt:echo:in clear %d" % number)
            for number, client in enumerate(clients):
                assert client.lines(2) == [b"%d.%d" % (turn, number), b"in clear %d" % number]
        used = {record.connection for record in here.peer.records("e")}
        assert len(used) == 4
        assert not here.peer.records("c")
        assert "could not be decoded" not in here.site.log_text()
        here.harmless()
