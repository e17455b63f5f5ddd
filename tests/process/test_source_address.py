"""Links come from the address that the configuration names, since peers know a server by it (lond.md 1)."""

from __future__ import annotations

import psutil

from tests.conftest import MakeSite
from tests.process.harness import Site, wait_until
from tests.process.peer import next_address


def came_from(site: Site, peer: str) -> set[str]:
    """Return the addresses that established connections to a peer come from."""
    to = (site.entry(peer).address, site.port)
    links = [link for link in psutil.net_connections("tcp") if link.status == psutil.CONN_ESTABLISHED]
    return {link.laddr.ip for link in links if link.laddr and tuple(link.raddr) == to}


def test_a_link_comes_from_the_address_that_was_chosen(make_site: MakeSite) -> None:
    source = next_address()
    site = make_site(["msul1"], settings={"loncSourceAddress": source})
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    assert came_from(site, "msul1") == {source}


def test_an_address_of_another_machine_is_told_and_the_peer_is_dialed_on(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncSourceAddress": "192.0.2.1", "loncGrace": "0.1"})
    site.peer("msul1")
    site.start()
    told = "Couldn't connect to msul1"
    wait_until(lambda: any(told in line.message for line in site.log()), 20.0, told)
    line = next(line.message for line in site.log() if told in line.message)
    assert "Cannot assign requested address" in line
    assert site.ask("msul1", b"ping") == b"con_lost"


def test_one_of_the_other_family_is_for_peers_of_that_family_only(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncSourceAddress": "::1"})
    site.peer("msul1")
    site.start()
    site.wait_ready("msul1")
    assert site.ask("msul1", b"ping") == b"msul1"
