"""Debug and transaction lines: on and off by signals to one child, by themselves after a while, no secrets."""

from __future__ import annotations

import signal

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Site, wait_until


def begin(make_site: MakeSite, **settings: str) -> tuple[Site, int]:
    """Return a daemon of two peers and the pid of the first one's child."""
    site = make_site(["msul1", "msul2"], settings={"loncGrace": "0.3"} | settings)
    for name in ("msul1", "msul2"):
        site.peer(name)
    site.start()
    site.wait_ready()
    return site, site.child("msul1")


def told(site: Site, peer: str, text: str) -> list[str]:
    """Return the messages about a peer with this text in them."""
    return [line.message for line in site.log(peer) if text in line.message]


def test_transactions_of_one_child_are_logged_masked_until_told_again(make_site: MakeSite) -> None:
    site, child = begin(make_site)
    site.signal(signal.SIGUSR2, child)
    site.wait_log("Transaction logging on")
    for line in (b"encrypt:auth:msu:u:Secret17", b"put:msu:u:ns:key=Secret18", b"echo:Secret19"):
        for name in ("msul1", "msul2"):
            assert site.ask(name, line) is not None
    wait_until(lambda: len(told(site, "msul1", "answered after")) == 3, 5, "three transactions")
    words = [message.partition(" answered")[0] for message in told(site, "msul1", "answered after")]
    assert [word.rpartition(">")[2].rpartition("SUCCESS: ")[2].split()[0] for word in words] == [
        "encrypt:auth", "put", "echo",
    ]  # fmt: skip
    assert told(site, "msul2", "answered after") == []
    assert site.grep_secrets("Secret1") == []
    site.signal(signal.SIGUSR2, child)
    site.wait_log("Transaction logging off")
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.ask("msul1", b"echo:y") == b"y"
    assert len(told(site, "msul1", "answered after")) == 3
    assert site.child("msul1") == child


def test_the_debug_level_goes_up_and_down_at_run_time(make_site: MakeSite) -> None:
    """Raised, every state of the link is told; lowered, none."""
    site, child = begin(make_site)
    counts: list[str] = []
    for said in ("Debug on", "Debug off", "Debug on"):
        site.signal(signal.SIGINT, child)
        site.wait_log(said, count=1 + counts.count(said))
        before = len(told(site, "msul1", "Link "))
        online = len(told(site, "msul1", "online"))
        site.peers["msul1"].order(end="rst")
        wait_until(lambda least=online + 1: len(told(site, "msul1", "online")) >= least, 10, "a new link")  # type: ignore[misc]  # a default argument
        moved = [text for text in told(site, "msul1", "Link ")[before:] if "keying" in text]
        assert bool(moved) == (said == "Debug on")
        counts.append(said)
    assert told(site, "msul2", "keying") == []
    assert site.child("msul1") == child


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGUSR2])
def test_it_ends_by_itself(make_site: MakeSite, signum: int) -> None:
    site, child = begin(make_site, loncDebugFor="1")
    site.signal(signum, child)
    site.wait_log(" on")
    site.wait_log("Debug and transaction logging off again", 10)
    before = len(site.log("msul1"))
    assert site.ask("msul1", b"echo:x") == b"x"
    assert told(site, "msul1", "answered after") == []
    assert len(site.log("msul1")) == before
    site.signal(signum, child)  # and on again: it was off
    wait_until(lambda: len(told(site, "msul1", " on")) >= 2, 5, "a second time")
