"""Several links per child: orders that concern all of them, and one client that asks more than its link takes."""

from __future__ import annotations

import signal

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import stays, wait_until
from tests.process.linked import Scene, scene, unanswered


def want(here: Scene, line: str) -> None:
    """Write this as the operator's wish and have it read."""
    (here.site.logs_dir / "lonc.wanted").write_text(line)
    here.site.signal(signal.SIGUSR1)


def test_a_paused_peer_has_no_link_at_all(make_site: MakeSite) -> None:
    with scene(make_site, loncGrace="20") as here:
        held = [*here.spread(3), here.hold(b"3")]
        want(here, "msul1\tpaused\n")
        assert [client.line() for client in held] == [b"con_lost"] * 3
        here.release()  # a peer that is held up does not look for an end of file
        wait_until(lambda: here.peer.stats()["open"] == 0, 5, "no connection")
        assert here.site.ask("msul1", b"echo:x") == b"con_lost"
        stays(lambda: here.peer.stats()["accepted"] == 3, 1.0, "nobody who dials")
        assert all(unanswered(client) for client in held)  # one line each
        want(here, "")
        here.site.wait_ready()
        here.open_gates()
        assert [client.ask(b"echo:again") for client in held] == [b"again"] * 3


def test_close_connection_exit_ends_all_links_and_the_child(make_site: MakeSite) -> None:
    with scene(make_site, loncRestartMin="0.05") as here:
        held = [*here.spread(3), here.hold(b"3")]
        child = here.site.child("msul1")
        last = here.ask(b"close_connection_exit")
        last.wait_closed()
        assert [client.line() for client in held] == [b"con_lost"] * 3
        wait_until(lambda: not procs.alive(child), 10, "its end")
        here.release()  # a peer that is held up does not look for an end of file
        wait_until(lambda: len(here.peer.records("-")) == 3, 5, "the end of three connections")
        here.site.wait_ready()
        assert here.site.child("msul1") != child
        assert here.site.ask("msul1", b"echo:x") == b"x"
        assert here.site.board("msul1").parent.attempts == 0


def test_a_line_that_nobody_asked_for_ends_that_link_alone(make_site: MakeSite) -> None:
    """Replies could no longer be told apart there; the others are not concerned."""
    with scene(make_site) as here:
        here.open_and_idle(3)
        first = here.hold(b"a")
        used = here.on()["echo:held a"]
        here.peer.order(say="something", only=1 + used % 3)
        wait_until(lambda: len(here.peer.records("-")) == 1, 5, "the end of one connection")
        assert here.peer.records("-")[0].connection.endswith(f".{1 + used % 3}")
        assert here.site.ask("msul1", b"echo:x") == b"x"
        here.release()
        assert first.line() == b"held a"
        assert here.site.board("msul1").child.con_lost == 0
        assert "DEAD" not in here.title()


def test_a_child_that_makes_room_at_a_restart_closes_every_link_in_order(make_site: MakeSite) -> None:
    with scene(make_site, loncHandover="0.2") as here:
        here.open_and_idle(3)
        child = here.site.child("msul1")
        here.site.signal(signal.SIGHUP)
        wait_until(lambda: not procs.alive(child), 15, "the end of the old child")
        here.site.wait_ready()
        ended = {record.connection for record in here.peer.records("-")}
        last = {record.connection: record.text for record in here.peer.records("d")}
        assert len(ended) == 3
        assert {last[connection] for connection in ended} == {"exit"}
        assert here.site.ask("msul1", b"echo:x") == b"x"


def test_a_client_that_asks_more_than_its_slow_link_takes_holds_only_itself_back(make_site: MakeSite) -> None:
    """Its requests stay together and wait for their link; those of others go by."""
    with scene(make_site, loncPipeline="4") as here:
        greedy = here.hold(b"1")
        here.wait_ready(2)
        greedy.send(*(b"echo:%d" % number for number in range(500)))
        wait_until(lambda: here.site.board("msul1").child.queued > 400, 10, "a long queue")
        for number in range(20):
            assert here.site.ask("msul1", b"echo:other %d" % number) == b"other %d" % number
        here.release()
        assert greedy.lines(501) == [b"held 1", *(b"%d" % number for number in range(500))]
        asked = [line for line in here.peer.executed() if "other" not in line]
        assert asked == ["echo:held 1", *(f"echo:{number}" for number in range(500))]
