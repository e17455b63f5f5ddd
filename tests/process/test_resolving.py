"""Names and addresses: what hosts.tab may hold, and a resolver that is slow, wrong, or changes its mind (row 17).

The daemon's resolver is replaced from outside, by a sitecustomize that reads a file at each look-up: lines
`name seconds address...`; a name that is not there goes to the real resolver. The real one is tried too.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Entry, Site, wait_until
from tests.process.peer import Peer, next_address

HOOK = '''
import os, pathlib, socket, time
real = socket.getaddrinfo
def getaddrinfo(host, port, *given, **named):
    for line in pathlib.Path(os.environ["TEST_NAMES"]).read_text().splitlines():
        name, seconds, *addresses = line.split()
        if name == host:
            with open(os.environ["TEST_NAMES"] + ".asked", "a") as asked:
                asked.write(f"{name}\\n")
            time.sleep(float(seconds))
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET6 if ":" in one else socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 0))
                    for one in addresses]
    return real(host, port, *given, **named)
socket.getaddrinfo = getaddrinfo
'''
SETTINGS = {"loncConnectTimeout": "0.6", "loncGrace": "0.3", "loncRedialMax": "2"}
NAME = "peer.test"


class Names:
    """The names that the daemon of a site sees."""

    def __init__(self, site: Site) -> None:
        self.place = site.root / "names"
        self.place.mkdir()
        (self.place / "sitecustomize.py").write_text(HOOK)
        self.file = self.place / "names"
        self.env = {"PYTHONPATH": str(self.place), "TEST_NAMES": str(self.file)}
        self.set()

    def set(self, *addresses: str, seconds: float = 0.0) -> None:
        """Have NAME resolve to these, none: not at all, after so long."""
        new = self.place / "new"
        new.write_text(f"{NAME} {seconds} {' '.join(addresses)}\n")
        new.rename(self.file)

    def asked(self) -> int:
        """Return how often NAME was looked up."""
        path = Path(f"{self.file}.asked")
        return path.read_text().count("\n") if path.exists() else 0


def named_site(make_site: MakeSite, **settings: str) -> tuple[Site, Names, str]:
    """Return a site whose host is known by NAME only, its names, and the address where its peer may listen."""
    site = make_site([Entry("msul1", "http", name=NAME)], settings=SETTINGS | settings)
    return site, Names(site), next_address()


def peer_at(site: Site, address: str, *rules: str, start: bool = True) -> Peer:
    """Return a peer for msul1 at an address that is not the table's."""
    made = Peer(site.root, ["msul1"], site.own_id, address, site.port, rules)
    site.peers["msul1"] = made
    return made.start() if start else made


# --- the table -------------------------------------------------------------------------------------------


def test_a_host_name_is_resolved_by_the_system(make_site: MakeSite) -> None:
    """`localhost` stands in /etc/hosts, perhaps as ::1 first; only 127.0.0.1 listens here."""
    newer = [Entry("msul1", "http", name="localhost"), Entry("msul2", "https:lite.msu.edu", name="localhost")]
    site = make_site(newer)
    peer = peer_at(site, "127.0.0.1", start=False)
    peer.ids = ["msul1", "msul2"]
    peer.start()
    site.start()
    site.wait_ready()
    for name in ("msul1", "msul2"):
        assert site.ask(name, b"ping") == name.encode()
        assert site.board(name).child.address == "127.0.0.1"


@pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="no IPv6 in this kernel")
def test_an_ipv6_address_in_brackets(make_site: MakeSite) -> None:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no ::1 on this machine")
    site = make_site([Entry("msul1", "[::1]"), Entry("msul2", "127.0.0.1")])
    peer_at(site, "::1")
    site.start()
    site.wait_ready("msul1")
    assert site.ask("msul1", b"encrypt:eecho:six") == b"six"
    assert site.board("msul1").child.address == "::1"
    assert not site.ready("msul2")  # the same port, another address


# --- the resolver ----------------------------------------------------------------------------------------


def test_a_name_that_does_not_resolve_and_then_does(make_site: MakeSite) -> None:
    site, names, address = named_site(make_site)
    peer_at(site, address)
    site.start(env=names.env)
    site.wait_log(f"WARNING: Couldn't connect to msul1 (0 secs): {NAME} does not resolve: ")
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert names.asked() >= 2  # at each dial anew
    names.set(address)
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"


def test_a_slow_resolver_costs_the_connect_limit_and_stops_nothing(make_site: MakeSite) -> None:
    """Longer than loncConnectTimeout: clients are answered meanwhile, and what it says late is of use."""
    site, names, address = named_site(make_site)
    peer_at(site, address)
    names.set(address, seconds=2.5)
    site.start(env=names.env)
    began = time.monotonic()
    site.wait_log(f"{NAME} does not resolve: no answer within 0.6 s")
    times = []
    while time.monotonic() - began < 1.5:  # the look-up still hangs
        asked = time.monotonic()
        assert site.ask("msul1", b"echo:x") == b"con_lost"
        times.append(time.monotonic() - asked)
    assert sorted(times)[len(times) // 2] < 0.05
    site.wait_ready()
    assert names.asked() <= 3  # one at a time
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.log_text().count("Attempting to start child") == 1


def test_when_the_resolver_fails_the_last_good_address_is_tried(make_site: MakeSite) -> None:
    site, names, address = named_site(make_site)
    peer = peer_at(site, address)
    names.set(address)
    site.start(env=names.env)
    site.wait_ready()
    for seconds in (0.0, 30.0):  # an error; a look-up that hangs, and then still hangs
        names.set(seconds=seconds)
        for _ in range(2):
            opened = site.board("msul1").child.links_opened
            peer.restart()
            wait_until(lambda least=opened: site.board("msul1").child.links_opened > least, 10, "the next link")  # type: ignore[misc]  # a default argument
            site.wait_ready()
            assert site.ask("msul1", b"ping") == b"msul1"
    assert site.stop() < 5  # a thread that hangs holds nobody back


def test_a_name_that_moves_is_found_at_its_new_address(make_site: MakeSite) -> None:
    site, names, address = named_site(make_site)
    old = peer_at(site, address)
    names.set(address)
    site.start(env=names.env)
    site.wait_ready()
    moved = next_address()
    names.set(moved)
    old.kill()
    peer_at(site, moved)
    wait_until(lambda: site.board("msul1").child.address == moved and site.ready("msul1"), 10, "the new address")
    assert site.ask("msul1", b"ping") == b"msul1"


@pytest.mark.parametrize("dead", ["refused", "cut", "no dialogue"])
def test_several_addresses_are_tried_in_turn(make_site: MakeSite, dead: str) -> None:
    site, names, address = named_site(make_site)
    bad = next_address()
    if dead != "refused":
        other = Peer(site.root, ["dead1"], site.own_id, bad, site.port, ("at init=answer-close:refused",))
        site.peers["dead1"] = other.start()
        other.order(deaf=dead == "cut")
    peer = peer_at(site, address)
    names.set(bad, next_address(), address)
    site.start(env=names.env)
    site.wait_ready()
    assert names.asked() == 1  # one dial, one look-up
    assert site.board("msul1").child.address == address
    assert site.ask("msul1", b"ping") == b"msul1"
    peer.restart()
    site.wait_ready()


def test_a_name_with_hundreds_of_dead_addresses_is_no_end(make_site: MakeSite) -> None:
    site, names, address = named_site(make_site)
    peer_at(site, address)
    # a connect to a multicast address fails within the call
    names.set(*(f"239.254.{number // 250}.{1 + number % 250}" for number in range(700)))
    site.start(env=names.env)
    site.wait_log("Couldn't connect to msul1")
    child = site.child("msul1")
    names.set(address)
    site.wait_ready()
    assert site.child("msul1") == child


def test_a_paused_peer_stays_so_whatever_addresses_are_left(make_site: MakeSite) -> None:
    site, names, address = named_site(make_site, loncConnectTimeout="5")
    peer = peer_at(site, address)
    cut = Peer(site.root, ["cut1"], site.own_id, next_address(), site.port)
    site.peers["cut1"] = cut.start()
    cut.order(deaf=True)
    names.set(cut.address, address)
    site.start(env=names.env)
    wait_until(lambda: site.board("msul1").child.address == cut.address, 10, "the first address under way")
    (site.logs_dir / "lonc.wanted").write_text("msul1\tpaused\n")
    site.signal(signal.SIGUSR1)
    site.wait_log("Paused by lonc.wanted")
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert peer.stats()["accepted"] == 0
    (site.logs_dir / "lonc.wanted").write_text("")
    cut.kill()
    site.signal(signal.SIGUSR1)
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
