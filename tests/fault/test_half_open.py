"""Fault row 3: a link whose other end is gone without a word, idle and with data in flight (P28).

A cut line is a filter on the peer's sockets that has its kernel drop everything before TCP sees it, so
that nothing is acknowledged any more; it needs no privileges. A swallowing proxy is the other kind: its
kernel acknowledges all, so only the time limit of a request can tell.
"""

from __future__ import annotations

import signal
import socket
import threading
import time

from tests.conftest import MakeSite
from tests.process.harness import Site, wait_until

KEEPALIVE_S = 3
SLACK_S = 2.0


def ready_site(make_site: MakeSite, **settings: str) -> Site:
    site = make_site(settings={"loncLinkKeepalive": str(KEEPALIVE_S), "loncGrace": "0.2"} | settings)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


def probes_are_bounded() -> bool:
    """Return whether this kernel knows TCP_RTO_MAX_MS."""
    with socket.socket() as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, 44, 1000)
        except OSError:
            return False
    return True


def wait_lost(site: Site) -> float:
    """Return how long it takes until the link is seen to be lost."""
    began = time.monotonic()
    wait_until(lambda: not site.ready("msul1"), KEEPALIVE_S + 10, "the lost link")
    return time.monotonic() - began


def wait_back(site: Site) -> float:
    """Mend the line and return how long it takes until the link is back."""
    site.peers["msul1"].order(deaf=False)
    began = time.monotonic()
    site.wait_ready()
    return time.monotonic() - began


def test_an_idle_link_whose_line_is_cut(make_site: MakeSite) -> None:
    site = ready_site(make_site)
    # until all is acknowledged: what this peer sends again would be a sign of life
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 0.5, 5, "a link without anything on its way")
    site.peers["msul1"].order(deaf=True)
    lost = wait_lost(site)
    assert "lost: Connection timed out" in site.log_text()
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    back = wait_back(site)
    print(f"found after {lost:.1f} s, back {back:.1f} s after the line")
    assert lost < KEEPALIVE_S + SLACK_S
    assert back < 2 + SLACK_S
    assert site.ask("msul1", b"echo:x") == b"x"


def test_a_link_with_requests_in_flight_whose_line_is_cut(make_site: MakeSite) -> None:
    """Not after loncRequestTimeout, which is 300 s here."""
    site = ready_site(make_site)
    site.peers["msul1"].order(deaf=True)
    began = time.monotonic()
    with site.connect("msul1") as one, site.connect("msul1") as two:
        one.send(b"echo:1", b"encrypt:echo:2")
        two.send(b"echo:3")
        assert one.lines(2, 20) == [b"con_lost", b"con_lost"]
        assert two.line(20) == b"con_lost"
    lost = time.monotonic() - began
    print(f"con_lost after {lost:.1f} s")
    assert lost < KEEPALIVE_S + SLACK_S
    wait_back(site)


def test_a_connect_that_nobody_answers_has_its_limit(make_site: MakeSite) -> None:
    site = make_site(settings={"loncConnectTimeout": "0.7", "loncGrace": "0.2", "loncRedialMax": "2"})
    peer = site.peer("msul1")
    peer.order(deaf=True)
    site.start()
    site.wait_log("WARNING: Couldn't connect to msul1 (1 secs): no connection within 0.7 s")
    assert site.ask("msul1", b"echo:x") == b"con_lost"
    assert wait_back(site) < 2 + SLACK_S


def test_a_hung_connect_is_followed_by_the_next_one_without_a_pause(make_site: MakeSite) -> None:
    """With the usual 5 s per connect the peer is back within 2 s all the same: SYNs go 0, 1 and 3 s into each."""
    site = make_site(settings={"loncGrace": "0.2"})
    peer = site.peer("msul1")
    peer.order(deaf=True)
    site.start()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 4.5, 10, "the end of the first connect")
    back = wait_back(site)
    print(f"back {back:.1f} s after the line")
    assert back < 2 + SLACK_S


def test_a_proxy_that_swallows_is_found_by_the_request(make_site: MakeSite) -> None:
    site = make_site(settings={"loncRequestTimeout": "1", "loncGrace": "5", "loncInitTimeout": "1"})
    proxy = site.proxy("msul1")
    site.peer("msul1")
    site.start()
    site.wait_ready()
    proxy.order(swallow=True)
    began = time.monotonic()
    with site.connect("msul1") as client:
        client.send(b"echo:1", b"echo:2")
        assert client.lines(2) == [b"con_lost", b"con_lost"]
        assert 0.9 < time.monotonic() - began < 1 + SLACK_S
        # the next link is swallowed in its dialogue
        site.wait_log("Timed out during init", 10)
        proxy.order(swallow=False)
        site.wait_ready()
        assert client.ask(b"echo:3") == b"3"


def test_a_peer_that_lives_but_does_not_read_for_long_keeps_its_link(make_site: MakeSite) -> None:
    """A slow request is lond's right for loncRequestTimeout, also when more waits behind it than the kernels hold.

    That closes its window, which TCP_USER_TIMEOUT alone takes for a dead link.
    """
    site = ready_site(make_site, loncLinkKeepalive="2")
    peer = site.peers["msul1"]
    peer.signal(signal.SIGSTOP)
    clients = [site.connect("msul1") for _ in range(40)]
    texts = [b"%02d" % number + b"x" * 250_000 for number in range(len(clients))]
    pairs = zip(clients, texts, strict=True)
    senders = [threading.Thread(target=client.send, args=(b"echo:" + text,)) for client, text in pairs]
    for sender in senders:
        sender.start()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 6, 10, "six seconds")
    assert site.ready("msul1")
    peer.signal(signal.SIGCONT)
    for sender in senders:
        sender.join(20)
    assert [client.line(20) for client in clients] == texts
    assert site.board("msul1").child.links_opened == 1
    for client in clients:
        client.close()


def test_a_line_that_is_cut_while_the_window_is_closed(make_site: MakeSite) -> None:
    """The worst of both: found all the same, by probes that nobody answers."""
    site = make_site(settings={"loncLinkKeepalive": "2", "loncGrace": "0.2"})
    proxy = site.proxy("msul1")
    site.peer("msul1")
    site.start()
    site.wait_ready()
    proxy.order(block=True)
    clients = [site.connect("msul1") for _ in range(40)]
    senders = [threading.Thread(target=client.send, args=(b"echo:" + b"x" * 250_000,)) for client in clients]
    for sender in senders:
        sender.start()
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 3, 10, "a window closed for longer than the limit")
    assert site.ready("msul1")
    proxy.order(deaf=True)
    began = time.monotonic()
    # kernels before 6.15 send these probes ever more seldom: there it takes longer
    limit_s = 2 + 2 * SLACK_S if probes_are_bounded() else 60.0
    wait_until(lambda: not site.ready("msul1"), limit_s, "the lost link")
    print(f"found after {time.monotonic() - began:.1f} s")
    for sender in senders:
        sender.join(20)
    assert {client.line(20) for client in clients} == {b"con_lost"}
    for client in clients:
        client.close()
