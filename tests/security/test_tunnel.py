"""loncVia and londVia: a link through a TLS tunnel, from the real lonc to the real lond.

Both ends of the tunnel verify each other, and somebody listens on the line between them: what he hears is TLS.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import ctl_run
from tests.process.conftest import MakePair
from tests.process.harness import Entry
from tests.process.lond_site import Pair
from tests.process.peer import next_address
from tests.process.test_ctl_doctor import doctor
from tests.process.waiting import stays, wait_until
from tests.proof.tally import Tally
from tests.security.tunnel import Authority, Relay

SECRET = b"s3cr3tvalue"
CLEAR = (SECRET, b"init", b"sethost", b"ekey", b"version", b"enc:", b"put:", b"srv1", b"ping")
FAR, NEAR = "far.example", "near.example"


class Tunnel:
    """Three relays: the end at lonc, the line between, the end at lond. comes_from: the address that lond sees."""

    def __init__(self, place: Path, pair: Pair, comes_from: str, *, stranger: bool = False) -> None:
        """stranger: the near end has a certificate of somebody else's authority."""
        ours = Authority(place, "ours")
        client = Authority(place, "theirs") if stranger else ours
        to = (pair.lond.address, pair.lond.port)
        accepts = ours.context(FAR, server=True)
        self.far = Relay((next_address(), 0), to, source=comes_from, accepts=accepts)
        self.line = Relay((next_address(), 0), self.far.at)
        dials = client.context(NEAR, server=False, trusts=ours)
        self.near = Relay((next_address(), 0), self.line.at, dials=dials, name=FAR)

    def close(self) -> None:
        """End all three."""
        for relay in (self.near, self.line, self.far):
            relay.close()


def heard(data: bytes) -> list[bytes]:
    """Return what of the dialogue and of the requests stands in clear in what a listener heard."""
    return [word for word in CLEAR if word in data]


def use(pair: Pair) -> None:
    """Store and read a value, in clear and by an `encrypt:` command: ids and key are right."""
    assert pair.ask(b"ping") == b"srv1"
    assert pair.ask(b"put:msu:joe:ns:key=" + SECRET) == b"ok"
    assert pair.ask(b"get:msu:joe:ns:key") == SECRET
    assert pair.ask(b"encrypt:put:msu:joe:ns:other=" + SECRET) == b"ok"
    assert pair.ask(b"encrypt:eget:msu:joe:ns:other") == SECRET


def linked_at(pair: Pair, address: str) -> bool:
    """Return whether lonc has a ready link to this address."""
    return pair.lonc.board("srv1").child.address == address and pair.lonc.ready("srv1")


@pytest.fixture
def source() -> str:
    """Return the address that the tunnel comes from at lond."""
    return next_address()


@pytest.fixture
def pair(make_lonc_and_lond: MakePair, source: str) -> Pair:
    """Return lonc and lond, where lond knows the tunnel of lonc, and nobody by his own address."""
    made = make_lonc_and_lond(lond_settings={"londVia": f"own1={source}"})
    lond = made.lond
    # own1 itself stands in the table at an address that it never comes from
    lond.write_hosts([*(entry for entry in lond.entries if entry.id != "own1"), Entry("own1", next_address())])
    return made


@pytest.fixture
def tunnel(pair: Pair, source: str, tmp_path: Path) -> Iterator[Tunnel]:
    """Return a tunnel from lonc to lond, which runs."""
    made = Tunnel(tmp_path, pair, source)
    yield made
    made.close()


def test_through_a_tunnel_a_listener_hears_nothing(pair: Pair, tunnel: Tunnel, tally: Tally) -> None:
    pair.lonc.write_config(loncVia=f"srv1={tunnel.near}")
    pair.start()
    use(pair)
    assert pair.lonc.board("srv1").child.address == tunnel.near.at[0]
    assert tunnel.line.seen[:2] == b"\x16\x03", "a handshake of TLS"
    assert len(tunnel.line.seen) > 2000, "what the listener heard"
    assert heard(bytes(tunnel.line.seen)) == []
    assert set(heard(bytes(tunnel.near.seen))) == set(CLEAR), "behind the tunnel's own end all of it is there"
    tally.add(inputs=len(tunnel.line.seen))


def test_without_tls_the_same_listener_hears_all_of_it(pair: Pair, source: str) -> None:
    lond = (pair.lond.address, pair.lond.port)
    with contextlib.closing(Relay((next_address(), 0), lond, source=source)) as line:
        pair.lonc.write_config(loncVia=f"srv1={line}")
        pair.start()
        use(pair)
        assert set(heard(bytes(line.seen))) == set(CLEAR)


def test_a_stranger_comes_through_neither_end(pair: Pair, source: str, tmp_path: Path) -> None:
    with contextlib.closing(Tunnel(tmp_path, pair, source, stranger=True)) as tunnel:
        pair.lonc.write_config(loncVia=f"srv1={tunnel.near}", loncGrace="0.1")
        pair.lond.start()
        pair.lonc.start()
        wait_until(lambda: tunnel.far.refusals, 30, "a certificate that is refused")
        stays(lambda: not pair.lonc.ready("srv1"), 1.0, "no link")
        assert pair.ask(b"ping") == b"con_lost"
        assert heard(bytes(tunnel.line.seen)) == []


def test_lond_refuses_what_comes_out_of_a_tunnel_that_it_does_not_know(
    pair: Pair, tunnel: Tunnel, source: str
) -> None:
    pair.lond.write_config(londVia="")
    pair.lonc.write_config(loncVia=f"srv1={tunnel.near}", loncGrace="0.1")
    pair.lond.start()
    pair.lonc.start()
    pair.lonc.wait_log("Init reply: >refused<", 30)
    found = doctor(pair.lonc, peer="srv1")
    assert found.verdict("line") == "ok"
    assert f"dialed at {tunnel.near}, by loncVia" in found.text("line")
    assert "have londVia there name own1" in found.text("init")
    pair.lond.write_config(londVia=f"own1={source}")
    pair.lond.signal(signal.SIGHUP)
    pair.lonc.wait_ready("srv1", timeout_s=40)
    assert pair.ask(b"ping") == b"srv1"


def test_hup_takes_up_a_tunnel_and_leaves_it(pair: Pair, tunnel: Tunnel, source: str) -> None:
    plain = pair.lond.address
    pair.lonc.write_config(loncSourceAddress=source)
    pair.start()
    assert pair.lonc.board("srv1").child.address == plain
    assert not tunnel.line.seen
    pair.lonc.write_config(loncVia=f"srv1={tunnel.near}")
    for address in (tunnel.near.at[0], plain):
        pair.lonc.signal(signal.SIGHUP)
        wait_until(partial(linked_at, pair, address), 40, "a link the other way")
        assert pair.ask(b"ping") == b"srv1"
        pair.lonc.write_config(loncVia="")
    assert heard(bytes(tunnel.line.seen)) == []


def test_what_the_operator_is_shown(make_site: MakeSite) -> None:
    site = make_site(["msul1", "own1"])
    via = next_address()
    with contextlib.closing(Relay((via, 0), (site.entry("msul1").address, site.port))) as near:
        site.peer("msul1")
        site.write_config(loncVia=f"msul1={near}")
        site.start()
        site.wait_ready("msul1")
        shown = ctl_run.document(site, "status")
        assert next(peer for peer in shown["peers"] if peer["id"] == "msul1")["via"] == str(near)
        assert "address_changed" not in str(shown["findings"])
        found = doctor(site)
        assert found.document["via"] == str(near)
        assert f"{near.at[0]} port {near.at[1]}, by loncVia" in found.text("connect")
    wait_until(lambda: not site.ready("msul1"), 20, "a link that is lost with the tunnel")
    assert f"it is dialed at {near} (loncVia)" in ctl_run.wait_finding(site, "refused", "msul1")
    assert f"{near} (loncVia)" in ctl_run.loncctl(site, "status", "msul1").out
    assert "look at the tunnel first" in doctor(site, "--limit", "2").text("connect")


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("loncVia", "msul2=127.0.0.1:7001", "loncVia has 'msul2=127.0.0.1:7001'; only ids with a usable line in"),
        ("londVia", "msul2=127.0.0.1", "londVia has 'msul2=127.0.0.1'; only ids with a usable line in"),
        ("loncVia", "msul1=127.0.0.1:7001 own1=127.0.0.1:7002", "with commas and no blanks between them"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_nothing_starts(
    make_site: MakeSite, setting: str, value: str, said: str
) -> None:
    site = make_site(["msul1", "own1"])
    site.write_config(**{setting: value})
    done = site.run()
    assert done.returncode == 2
    assert said in done.stderr
    lines = (site.conf_dir / "loncapa_apache.conf").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if setting in text)
    assert f"loncapa_apache.conf:{line}: {setting}" in done.stderr


def test_a_table_that_lacks_a_peer_of_a_tunnel_is_not_taken(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"])
    site.peer("msul1")
    site.peer("msul2")
    site.write_config(loncVia=f"msul2={site.entry('msul2').address}:{site.port}")
    site.start()
    site.wait_ready("msul1", "msul2")
    site.write_hosts([site.entry("msul1")])
    site.signal(signal.SIGUSR2)
    site.wait_log("hosts.tab cannot be used, the old one stays")
    assert site.ask("msul2", b"ping") == b"msul2"
