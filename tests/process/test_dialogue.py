"""The opening dialogue between servers that ask each other back: nobody waits for the other's `pong`."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, wait_until
from tests.process.peer import next_address

GRACE_S = 12
SETTINGS = {"loncGrace": str(GRACE_S), "loncInitTimeout": "30"}


def pair(make_site: MakeSite, *rules: str) -> tuple[Site, Site]:
    """Return two servers, a1 and b1; the lond of each asks its own lonc back for every `pong`."""
    a = make_site(["b1"], own_id="a1", settings=SETTINGS)
    b = make_site(["a1"], own_id="b1", settings=SETTINGS)
    for here, there, other in ((a, b, "b1"), (b, a, "a1")):
        lond = here.peer(other, *rules, start=False)  # the lond of the other server, at its address
        lond.ask_back = str(there.socket_path(here.own_id))
        lond.start()
    return a, b


def start_together(*sites: Site) -> float:
    """Start several daemons at the same time; return when their starting commands were through (monotonic)."""
    nowhere = subprocess.DEVNULL
    starting = [
        subprocess.Popen(site.command(), stdin=nowhere, stdout=nowhere, stderr=nowhere) for site in sites
    ]
    for process in starting:
        assert process.wait(30) == 0
    return time.monotonic()


def pongs(site: Site) -> list[str]:
    """Return what the log tells of answers to `pong`."""
    return [line.message for line in site.log() if line.message.startswith("Pong reply")]


@pytest.mark.parametrize("rules", [(), ("at ekey=late:800",)], ids=["at once", "each in its dialogue"])
def test_two_servers_that_start_together_lose_no_grace(make_site: MakeSite, rules: tuple[str, ...]) -> None:
    a, b = pair(make_site, *rules)
    began = start_together(a, b)
    a.wait_ready(timeout_s=GRACE_S)
    b.wait_ready(timeout_s=GRACE_S)
    print(f"both ready {time.monotonic() - began:.2f} s after the start")
    assert time.monotonic() - began < GRACE_S / 2
    assert pongs(a)[0] in ("Pong reply: >b1:con_lost<", "Pong reply: >b1:b1<", "Pong reply: >b1:a1<")
    assert len(pongs(a)) == len(pongs(b)) == 1
    assert a.ask("b1", b"ping") == b"b1"
    assert b.ask("a1", b"ping") == b"a1"


def test_the_first_of_two_needs_the_other_only_for_its_answer(make_site: MakeSite) -> None:
    """a1 is up before b1's lonc exists; b1's own pong then really finds the way back."""
    a, b = pair(make_site)
    a.start()
    a.wait_ready(timeout_s=GRACE_S / 2)
    assert pongs(a) == ["Pong reply: >b1:con_lost<"]
    b.start()
    b.wait_ready(timeout_s=GRACE_S / 2)
    assert pongs(b) == ["Pong reply: >a1:b1<"]


def test_the_link_to_our_own_id(make_site: MakeSite) -> None:
    site = make_site(["own1", "msul1"], settings=SETTINGS)
    own = site.peer("own1", start=False)
    own.ask_back = str(site.socket_path("own1"))
    own.start()
    site.peer("msul1")
    site.start()
    began = time.monotonic()
    site.wait_ready(timeout_s=GRACE_S)
    print(f"ready {time.monotonic() - began:.2f} s after the start")
    assert time.monotonic() - began < GRACE_S / 2
    assert "Pong reply: >own1:con_lost<" in pongs(site)
    assert site.ask("own1", b"ping") == b"own1"
    assert site.ask("own1", b"encrypt:echo:to myself") == b"to myself"


def test_a_ping_is_never_held_back_while_our_own_pong_is_out(make_site: MakeSite) -> None:
    site = make_site(settings=SETTINGS)
    site.peer("msul1", "at pong=late:2500")
    site.start()
    wait_until(lambda: site.board("msul1").child.step == "ReceivingPong", 10, "the pong that is out")
    with site.connect("msul1") as other:
        other.send(b"echo:waits")
        began = time.monotonic()
        for _ in range(5):
            assert site.ask("msul1", b"ping") == b"con_lost"
        assert time.monotonic() - began < 1
        assert not site.ready("msul1")
        assert other.line() == b"waits"  # within the grace, as soon as the link is ready
    assert site.ask("msul1", b"ping") == b"msul1"


def test_a_ping_gets_con_lost_at_once_without_a_peer(make_site: MakeSite) -> None:
    site = make_site(settings=SETTINGS)
    site.start()
    began = time.monotonic()
    with site.connect("msul1") as client:
        client.send(b"ping", b"ping")
        assert client.lines(2) == [b"con_lost", b"con_lost"]
    assert time.monotonic() - began < GRACE_S / 3


def test_without_pong_and_with_its_pause(make_site: MakeSite) -> None:
    quiet = make_site(settings={"loncPong": "off"})
    slow = make_site(settings={"loncPongDelay": "1.5"})
    peers = {site: site.peer("msul1") for site in (quiet, slow)}
    for site in (quiet, slow):
        site.start()
        site.wait_ready()
    words = [record.text.partition(":")[0] for record in peers[quiet].records("d")]
    assert words[2:] == ["sethost", "version", "ekey"]
    at = {record.text.partition(":")[0]: record.at for record in peers[slow].records("d")}
    assert at["pong"] - at["version"] >= 1.4


def test_one_lond_that_plays_several_ids(make_site: MakeSite) -> None:
    """Several ids of one table share an address: `sethost` chooses, and the key is that of the chosen one."""
    address = next_address()
    site = make_site([Entry("m1", address), Entry("m2", address), Entry("m3", address)])
    site.peer("m1", more_ids=["m2", "m3"])
    site.start()
    site.wait_ready()
    for name in (b"m1", b"m2", b"m3"):
        assert site.ask(name.decode(), b"ping") == name
        assert site.ask(name.decode(), b"encrypt:eecho:for " + name) == b"for " + name
