"""USR2 to the parent: hosts.tab is read again, with real children, links and messages (lonc.md 2 and 9.13).

What the parent does with its children one by one is tested with stand-ins (test_parent_restart.py); names that are
resolved again at each redial: test_resolving.py.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Entry, Peer, Site, stays, wait_until
from tests.process.linked import unanswered
from tests.process.messages import empty, put, texts
from tests.process.peer import next_address

GATE = "on echo:held*=gate"
QUICK = {"loncGrace": "0.3", "loncHandover": "0.1", "loncRestartMin": "0.05", "loncMaxAttempts": "0"}


def read_again(site: Site, *entries: Entry) -> str:
    """Have this table read; return what the log then says of it."""
    said = "hosts.tab read again"
    before = site.log_text().count(said)
    site.write_hosts(entries)
    site.signal(signal.SIGUSR2)
    site.wait_log(said, count=before + 1)
    return [line.message for line in site.log("PARENT") if said in line.message][-1]


def reported(site: Site, pid: int) -> int:
    """Return how many blocks of the status file are of this process."""
    text = site.status_path.read_text() if site.status_path.exists() else ""
    return sum(line.startswith(f"{pid}\t") for line in text.splitlines())


def elsewhere(site: Site, peer: str, *rules: str) -> tuple[Peer, Entry]:
    """Return a running peer of this id at another address, and its entry."""
    entry = replace(site.entry(peer), address=next_address())
    other = Peer(site.root, [peer], site.own_id, entry.address, site.port, rules)
    other.log_path = site.root / f"{peer}.moved.log"
    other.control_path = site.root / f"{peer}.moved.ctl"
    site.peers[f"{peer} moved"] = other.start()
    return other, entry


# --------------------------------------------------------------------------------- who vanished, and came back


def test_the_child_of_a_vanished_host_finishes_what_is_in_flight_and_ends(make_site: MakeSite) -> None:
    site = make_site(["gone1", "kept1"], settings=QUICK)
    peer = site.peer("gone1", GATE)
    site.peer("kept1")
    site.start()
    site.wait_ready()
    gone, kept = site.entries
    child = site.child("gone1")
    with site.connect("gone1") as slow:
        slow.send(b"echo:held")
        peer.wait_executed(1)
        assert "0 new, 1 gone, 0 changed" in read_again(site, kept)
        wait_until(lambda: not site.socket_path("gone1").exists(), 5, "no socket")
        with pytest.raises(FileNotFoundError):
            site.connect("gone1")
        stays(lambda: procs.alive(child) and unanswered(slow), 0.7, "a child that waits for the reply")
        peer.order(release="held")
        assert slow.line() == b"held"
    wait_until(lambda: not procs.alive(child), 10, "its end")
    assert peer.records("d")[-1].text == "exit"
    message = site.delay("gone1", put(1))
    assert site.ask("kept1", b"echo:x") == b"x"
    stays(message.exists, 0.5, "a message of a host that nobody knows")
    assert "0 new, 0 gone" in read_again(site, kept)
    # and back again
    assert "1 new, 0 gone, 0 changed" in read_again(site, gone, kept)
    site.wait_ready("gone1")
    assert site.ask("gone1", b"echo:x") == b"x"
    assert site.child("gone1") != child
    empty(site)
    assert [line for line in peer.executed() if line.startswith("put:")] == texts(1)


def test_a_host_that_comes_back_while_its_old_child_still_works_is_served(make_site: MakeSite) -> None:
    """Nobody is dialed for it before the old child has gone, and clients of the new time wait for that."""
    site = make_site(["gone1", "kept1"], settings=QUICK)
    peer = site.peer("gone1", GATE)
    site.peer("kept1")
    site.start()
    site.wait_ready()
    gone, kept = site.entries
    child = site.child("gone1")
    with site.connect("gone1") as slow:
        slow.send(b"echo:held")
        peer.wait_executed(1)
        read_again(site, kept)
        read_again(site, gone, kept)
        with site.connect("gone1") as waiting:
            waiting.send(b"echo:waits")
            stays(lambda: procs.alive(child) and unanswered(waiting), 0.5, "a client that waits")
            assert peer.stats()["accepted"] == 1
            peer.order(release="held")
            assert slow.line() == b"held"
            assert waiting.line() == b"waits"
    assert not procs.alive(child)
    assert peer.stats()["accepted"] == 2


# ----------------------------------------------------------------------------------------------- who has moved


def test_the_old_child_of_a_changed_address_has_gone_before_the_new_one_flushes(make_site: MakeSite) -> None:
    site = make_site(["moves1"], settings=QUICK)
    old = site.peer("moves1", "on put:*=gate")
    for number in range(5):
        site.delay("moves1", put(number))
    site.start()
    old.wait_executed(1)
    child = site.child("moves1")
    new, entry = elsewhere(site, "moves1")
    assert "0 new, 0 gone, 1 changed" in read_again(site, entry)
    with site.connect("moves1") as client:
        client.send(b"echo:behind the messages")
        stays(lambda: procs.alive(child) and not new.records(), 0.7, "an old child, and nobody at the new address")
        old.script()
        old.order(release="")
        assert client.line() == b"behind the messages"
    wait_until(lambda: old.records("-"), 5, "the old peer's note that its link was closed")
    left = max(record.at for record in old.records("-"))
    assert new.records()[0].at >= left  # not even dialed before
    assert not procs.alive(child)
    executed = old.executed() + new.executed()
    assert [line for line in executed if line.startswith("put:")] == texts(*range(5))  # in order, once each
    assert executed[-1] == "echo:behind the messages"
    assert site.board("moves1").child.address == entry.address
    empty(site)


def test_a_changed_address_is_dialed_though_the_old_one_hangs(make_site: MakeSite) -> None:
    """The old child is in the middle of a connect that nobody answers: it does not finish that first."""
    site = make_site(["moves1"], settings=QUICK | {"loncConnectTimeout": "100"})
    site.peer("moves1").order(deaf=True)
    site.start()
    wait_until(lambda: site.board("moves1").child.state == "connecting", 10, "a connect that hangs")
    child = site.child("moves1")
    _new, entry = elsewhere(site, "moves1")
    read_again(site, entry)
    wait_until(lambda: not procs.alive(child), 10, "the end of the old child")
    site.wait_ready("moves1")
    assert site.ask("moves1", b"echo:x") == b"x"


# ------------------------------------------------------------------------------------------------- all others


def test_all_others_keep_child_and_link_and_report(make_site: MakeSite) -> None:
    """One is new, one is gone, one has moved, one changed in what nobody dials; requests are in flight."""
    site = make_site(["same1", "moves1", "gone1"], settings=QUICK)
    same, moves = site.peer("same1", GATE), site.peer("moves1")
    site.peer("gone1")
    site.start()
    site.wait_ready()
    pids = {name: site.child(name) for name in ("same1", "moves1", "gone1")}
    parent = site.pid()
    _moved, entry = elsewhere(site, "moves1")
    fresh = Entry("new1", next_address())
    site.entries.append(fresh)
    site.peer("new1")
    with site.connect("same1") as slow:
        slow.send(b"echo:held")
        same.wait_executed(1)
        renamed = replace(site.entry("same1"), domain="other", role="access", name="other.example")
        assert "1 new, 1 gone, 1 changed" in read_again(site, renamed, entry, fresh)
        wait_until(lambda: reported(site, pids["same1"]) >= 1, 5, "its report")
        wait_until(lambda: not procs.alive(pids["gone1"]) and not procs.alive(pids["moves1"]), 10, "two ends")
        site.wait_ready("moves1", "new1")
        assert unanswered(slow)
        same.order(release="held")
        assert slow.line() == b"held"
    assert site.child("same1") == pids["same1"]
    assert site.board("same1").child.links_opened == 1
    assert same.stats()["accepted"] == 1
    wait_until(lambda: moves.stats()["open"] == 0, 5, "no link to the old address")
    assert [site.ask(name, b"ping") for name in ("same1", "moves1", "new1")] == [b"same1", b"moves1", b"new1"]
    assert (site.pid(), len(site.children())) == (parent, 3)
    assert reported(site, pids["gone1"]) == 0


@pytest.mark.slow
def test_those_that_wait_redial_at_once(make_site: MakeSite) -> None:
    """An unchanged host in a long pause: its next dial would come later than the one that USR2 brings."""
    site = make_site(["away1"], settings=QUICK | {"loncRedialMax": "60"})
    peer = site.peer("away1")
    site.start()
    site.wait_ready()
    child = site.child("away1")
    peer.order(listen=False, end="rst")
    wait_until(lambda: site.board("away1").child.next_try > time.monotonic() + 3.5, 30, "a long pause")
    planned = site.board("away1").child.next_try
    peer.order(listen=True)
    assert "0 new, 0 gone, 0 changed" in read_again(site, *site.entries)
    site.wait_ready()
    assert peer.records("+")[-1].at < planned
    assert site.child("away1") == child
    assert site.ask("away1", b"echo:x") == b"x"


def test_a_given_up_host_is_tried_again(make_site: MakeSite) -> None:
    limits = {"loncMaxAttempts": "1", "loncRetryMin": "0.2", "loncRetryMax": "0.2"}
    site = make_site(["away1", "kept1"], settings=QUICK | limits)
    site.peer("kept1")
    site.start()
    site.wait_log("Skipped away1", 20)
    peer = site.peer("away1")
    read_again(site, *site.entries)
    site.wait_ready("away1")
    assert peer.stats()["accepted"] == 1
    assert site.ask("away1", b"echo:x") == b"x"


# ------------------------------------------------------------------------------------- a table that is no use


def no_file(site: Site) -> None:
    site.hosts_path.unlink()


def a_directory(site: Site) -> None:
    site.hosts_path.unlink()
    site.hosts_path.mkdir()


def nothing(site: Site) -> None:
    site.hosts_path.write_bytes(b"")


def comments_alone(site: Site) -> None:
    site.hosts_path.write_bytes(b"# the hosts of tomorrow\n\n^tables\n")


def garbage(site: Site) -> None:
    site.hosts_path.write_bytes(b"\x00\xff:::\n" * 50)


@pytest.mark.parametrize("spoil", [no_file, a_directory, nothing, comments_alone, garbage])
def test_a_table_that_cannot_be_used_changes_nothing_and_is_told(
    make_site: MakeSite, spoil: Callable[[Site], None]
) -> None:
    site = make_site(["msul1", "msul2"], settings=QUICK)
    peers = [site.peer("msul1", GATE), site.peer("msul2")]
    site.start()
    site.wait_ready()
    pids = site.children()
    with site.connect("msul1") as slow:
        slow.send(b"echo:held")
        peers[0].wait_executed(1)
        spoil(site)
        site.signal(signal.SIGUSR2)
        site.wait_log("CRITICAL: hosts.tab cannot be used, the old one stays:")
        assert unanswered(slow)
        peers[0].order(release="held")
        assert slow.line() == b"held"
    assert site.children() == pids
    assert [site.ask(name, b"ping") for name in ("msul1", "msul2")] == [b"msul1", b"msul2"]
    assert [peer.stats()["accepted"] for peer in peers] == [1, 1]
    # a good one is read as ever
    with contextlib.suppress(OSError):
        site.hosts_path.rmdir()
    assert "0 new, 1 gone, 0 changed" in read_again(site, site.entry("msul2"))
