"""Several links per child and delayed messages: one link, in order, before anything else (lonc.md 5)."""

from __future__ import annotations

import signal

from tests.conftest import MakeSite
from tests.process.harness import stays, wait_until
from tests.process.linked import Scene, scene, unanswered
from tests.process.messages import empty, put, texts

HOLD_PUTS = "on put:*=gate"
SLOW_SCAN = {"loncDelayedScan": "3600"}  # looked at when a test says so


def look(here: Scene) -> None:
    """Have the child look into the directory."""
    here.site.signal(signal.SIGUSR1, here.site.child("msul1"))


def delay(here: Scene, count: int) -> list[str]:
    """Put so many messages into the directory; return them as the peer's log will have them."""
    for number in range(count):
        here.site.delay("msul1", put(number))
    return texts(*range(count))


def in_order_on_one_link(here: Scene, messages: list[str]) -> int:
    """Fail unless the peer carried these out once each, in order, on one connection; return its number."""
    found = [record for record in here.peer.records("c") if record.text.startswith("put:")]
    assert [record.text for record in found] == messages
    used = {record.connection for record in found}
    assert len(used) == 1
    return int(used.pop().partition(".")[2])


def test_messages_go_over_one_link_and_clients_of_all_links_wait(make_site: MakeSite) -> None:
    with scene(make_site, **SLOW_SCAN) as here:
        here.open_and_idle(3)
        here.peer.script(HOLD_PUTS)
        messages = delay(here, 20)
        look(here)
        here.peer.wait_executed(3)  # two to open the links, and the first message
        clients = [here.ask(b"echo:client %d" % number) for number in range(12)]
        wait_until(lambda: here.site.board("msul1").child.queued == 12, 10, "twelve that wait")
        for number in range(1, 20):  # each of them is held back in its turn: nobody passes by
            here.peer.order(release=messages[number - 1])
            wait_until(lambda text=messages[number]: text in here.peer.executed(), 10, "the next message")  # type: ignore[misc]  # a default argument
            assert all(unanswered(client) for client in clients)
        here.peer.script()
        here.peer.order(release="")
        assert [client.line() for client in clients] == [b"client %d" % number for number in range(12)]
        in_order_on_one_link(here, messages)
        executed = here.peer.executed()
        assert executed.index(messages[-1]) < min(executed.index(f"echo:client {number}") for number in range(12))
        empty(here.site)
        here.harmless()


def test_messages_wait_for_what_is_in_flight_on_every_link(make_site: MakeSite) -> None:
    """An old write must not overtake an older request on another link."""
    with scene(make_site, **SLOW_SCAN) as here:
        first, second = here.spread(3)
        messages = delay(here, 3)
        look(here)
        wait_until(lambda: here.site.board("msul1").child.delayed == 3, 10, "messages that were seen")
        late = here.ask(b"echo:late")
        stays(lambda: here.peer.executed() == ["echo:held 1", "echo:held 2"], 0.5, "nothing new")
        here.release(b"1")  # the first link is free, and the third, but not the second
        assert first.line() == b"held 1"
        stays(lambda: here.peer.executed() == ["echo:held 1", "echo:held 2"], 0.5, "nothing new")
        here.release(b"2")
        assert [second.line(), late.line()] == [b"held 2", b"late"]
        in_order_on_one_link(here, messages)
        assert here.peer.executed()[-1] == "echo:late"
        empty(here.site)
        here.harmless()


def test_a_message_lost_with_its_link_is_sent_again_before_any_client(make_site: MakeSite) -> None:
    """The other links stay; the message goes over one of them, and nothing passes it."""
    with scene(make_site, **SLOW_SCAN) as here:
        here.open_and_idle(3)
        here.peer.script(HOLD_PUTS)
        messages = delay(here, 3)
        look(here)
        here.peer.wait_executed(3)
        clients = [here.ask(b"echo:client %d" % number) for number in range(5)]
        wait_until(lambda: here.site.board("msul1").child.queued == 5, 10, "five that wait")
        used = here.on()[messages[0]]
        here.peer.script()
        here.peer.order(listen=False)
        here.peer.order(end="rst", only=used)
        assert [client.line() for client in clients] == [b"client %d" % number for number in range(5)]
        executed = here.peer.executed()[2:]
        assert executed[:4] == [messages[0], *messages]
        again = {record.connection for record in here.peer.records("c")[3:6]}
        assert len(again) == 1
        assert not again.pop().endswith(f".{used}")
        empty(here.site)
        assert here.site.board("msul1").child.con_lost == 0
        assert "DEAD" not in here.title()


def test_a_further_link_that_opens_in_the_middle_of_messages_changes_nothing(make_site: MakeSite) -> None:
    with scene(make_site, **SLOW_SCAN) as here:
        held = here.hold(b"1")
        here.wait_ready(2)
        here.release()
        assert held.line() == b"held 1"
        here.peer.script(HOLD_PUTS)
        messages = delay(here, 5)
        look(here)
        here.peer.wait_executed(2)
        here.peer.order(end="rst", only=2 if here.on()[messages[0]] == 1 else 1)  # the other one is lost
        client = here.ask(b"echo:client")
        stays(lambda: unanswered(client) and len(here.peer.executed()) == 2, 0.5, "nothing new")
        here.peer.script()
        here.peer.order(release="")
        assert client.line() == b"client"
        in_order_on_one_link(here, messages)
        empty(here.site)
        assert here.site.board("msul1").child.con_lost == 0


def test_messages_of_the_first_moment_come_before_clients_on_any_link(make_site: MakeSite) -> None:
    """They lie there when the daemon starts, and the first of them is slow: clients wait, on any link."""
    site = make_site(settings={"loncMaxConnections": "4", "loncSpreadAfter": "0", "loncGrace": "20"} | SLOW_SCAN)
    here = Scene(site, HOLD_PUTS)
    messages = delay(here, 5)
    site.start()
    here.peer.wait_executed(1, 20)
    clients = [here.ask(b"echo:client %d" % number) for number in range(8)]
    wait_until(lambda: site.board("msul1").child.queued == 8, 10, "eight that wait")
    assert here.peer.executed() == messages[:1]
    here.peer.script()
    here.peer.order(release="")
    assert [client.line() for client in clients] == [b"client %d" % number for number in range(8)]
    in_order_on_one_link(here, messages)
    assert here.peer.executed()[:5] == messages
    empty(site)
    for client in clients:
        client.close()
