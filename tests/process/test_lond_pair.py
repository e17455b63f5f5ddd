"""lonc and lond together, both real: what goes through the UNIX socket is stored, and comes back."""

from __future__ import annotations

import signal
import subprocess

from tests.process import procs
from tests.process.conftest import MakeLond, MakePair
from tests.process.harness import Entry, Site
from tests.process.lond_site import LondSite
from tests.process.peer import next_address
from tests.process.waiting import stays, wait_until


def test_what_is_put_comes_back(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    assert pair.ask(b"ping") == b"srv1"
    assert pair.ask(b"put:msu:joe:ns:key=value&other=%C3%A4") == b"ok"
    assert pair.ask(b"get:msu:joe:ns:other&none&key") == b"%C3%A4&&value"
    assert pair.ask(b"eget:msu:joe:ns:key") == b"value"
    assert pair.ask(b"encrypt:put:msu:joe:ns:secret=x") == b"ok"
    assert pair.ask(b"encrypt:eget:msu:joe:ns:secret") == b"x"
    assert pair.ask(b"encrypt:makeuser:msu:ann:internal:pass%20word") == b"ok"
    assert pair.ask(b"makeuser:msu:eve:internal:pass") == b"refused"
    assert pair.ask(b"encrypt:auth:msu:ann:pass%20word") == b"authorized"
    assert pair.ask(b"encrypt:auth:msu:ann:wrong") == b"non_authorized"
    assert pair.ask(b"pong", 40) == b"srv1:con_lost", "there is no lonc beside that lond"
    assert pair.lond.grep_secrets("pass%20word", "pass word") == []
    pair.lond.stop()
    pair.lond.start()
    assert pair.ask(b"get:msu:joe:ns:key&secret") == b"value&x"


def test_a_thousand_requests_of_many_clients_keep_their_replies(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    clients = [pair.lonc.connect("srv1") for _ in range(10)]
    for number, client in enumerate(clients):
        for round_ in range(50):
            client.send(b"put:msu:joe:c%d:k=v%d" % (number, round_), b"get:msu:joe:c%d:k" % number)
    for client in clients:
        assert client.lines(100, 60) == [word for round_ in range(50) for word in (b"ok", b"v%d" % round_)]
        client.close()


def both(make_lond: MakeLond, lond_sites: list[Site], peer: Entry, **settings: str) -> tuple[Site, LondSite]:
    """Return lonc and lond of one machine, whose only peer has no server."""
    common = {"loncRestartMin": "0.1", "loncRetryMin": "0.1", "loncRetryMax": "0.2", "loncRedialMax": "0.1"}
    lonc = Site([peer, Entry("srv1", next_address())], own_id="srv1", settings=common | settings)
    lond_sites.append(lonc)
    return lonc, make_lond(beside=lonc)


def test_a_client_that_connects_wakes_lonc(make_lond: MakeLond, lond_sites: list[Site]) -> None:
    source = next_address()
    lonc, lond = both(make_lond, lond_sites, Entry("far1", source), loncMaxAttempts="1", loncConnectTimeout="0.5")
    lond.start()
    lonc.start()
    lonc.wait_log("Skipped far1", 30)
    fake = lonc.peer("far1")
    stays(lambda: not fake.records("+"), 0.5, "nobody dials a peer that was given up")
    with lond.link(source) as client:
        assert client.ask(b"ping") == b"srv1"
        lonc.wait_ready("far1", timeout_s=30)
        called = lonc.log_text().count("Going to check on the children")
        assert called == 1
    for _ in range(3):  # once per client and minute
        with lond.link(source) as client:
            assert client.ask(b"ping") == b"srv1"
    assert lonc.log_text().count("Going to check on the children") == called
    with lond.link(source) as client:  # now there is a way back
        assert client.ask(b"pong", 30) == b"srv1:far1"


def test_our_own_lonc_and_other_processes_are_not_woken(make_lond: MakeLond, lond_sites: list[Site]) -> None:
    source = next_address()
    lonc, lond = both(make_lond, lond_sites, Entry("far1", source))
    with Sleeper() as stranger:
        lond.start()
        lonc.pid_path.write_text(f"{stranger.pid}\n")
        with lond.link(source) as client:
            assert client.ask(b"ping") == b"srv1"
        lond.wait_serving(0)
        assert stranger.alive, "a pid file alone proves nothing"
    lonc.pid_path.unlink()
    lonc.start()
    with lond.link(lond.address) as client:
        assert client.ask(b"ping") == b"srv1"
        lond.wait_serving(1, "srv1")
    stays(lambda: "Going to check" not in lonc.log_text(), 0.5, "our own id wakes nobody")


class Sleeper:
    """A process that USR1 would end."""

    def __enter__(self) -> Sleeper:
        self._process = subprocess.Popen(["sleep", "60"])
        self.pid = self._process.pid
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return procs.alive(self.pid)


def test_the_link_to_our_own_id(make_lond: MakeLond, lond_sites: list[Site]) -> None:
    lonc = Site([Entry("srv1", "127.0.0.1")], own_id="srv1")
    lond_sites.append(lonc)
    lond = make_lond(beside=lonc)
    lond.start()
    lond.add_user()
    lonc.start()
    lonc.wait_ready("srv1", timeout_s=30)
    assert lonc.ask("srv1", b"encrypt:put:msu:joe:ns:k=v", 30) == b"ok"
    assert lonc.ask("srv1", b"eget:msu:joe:ns:k", 30) == b"v"
    wait_until(lambda: "Pong reply: >srv1:" in lonc.log_text(), 20, "the pong")


def test_messages_kept_while_lond_is_away_arrive_once_it_is_back(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond(settings={"loncDelayedScan": "0.2", "loncGrace": "0.2"})
    pair.start()
    pair.lond.stop()
    wait_until(lambda: pair.ask(b"ping") == b"con_lost", 30, "the loss of the link")
    for number in range(5):
        pair.lonc.delay("srv1", b"put:msu:joe:late:k%d=v%d" % (number, number))
    pair.lonc.delay("srv1", b"encrypt:put:msu:joe:late:k5=v5")
    pair.lond.start()
    wait_until(lambda: pair.lonc.waiting() == [], 40, "the delivery")
    pair.lonc.wait_ready(timeout_s=30)
    keys = b"&".join(b"k%d" % number for number in range(6))
    assert pair.ask(b"get:msu:joe:late:" + keys) == b"&".join(b"v%d" % number for number in range(6))
