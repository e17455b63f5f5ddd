"""Delayed messages against the real daemon: once each, in order, first, and what becomes of every odd one (A5)."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Peer, Site, stays, wait_until
from tests.process.messages import empty, put, records, texts

MESSAGES = 1000


def bare_name(site: Site, number: int, age_s: float = 60.0, peer: str = "msul1") -> str:
    return f"{int(time.time() - age_s)}.{number}.{os.getpid()}.putmsuuns.{peer}"


# --- a thousand ---------------------------------------------------------------------------------------------


def test_a_thousand_messages_go_once_each_in_numeric_order(site: Site) -> None:
    # Sent in the order of (time, counter) as numbers: by name 10 stands before 9, and by listing order anything.
    times = [int(time.time()) - 5000 + number // 12 for number in range(MESSAGES)]
    for number in reversed(range(MESSAGES)):
        name = f"{times[number]}.{number % 12 + 1}.{os.getpid()}.putmsuuns.msul1"
        site.delayed(name, put(number) + b"\n")
    foreign = site.delayed(f"{times[0]}.1.1.put.nobody", b"put:x\n")
    peer = site.peer("msul1")
    site.start()
    # a client that asks as soon as the link is there stands behind all of them
    assert site.ask("msul1", b"echo:behind", 60) == b"behind"
    assert peer.executed() == [*texts(*range(MESSAGES)), "echo:behind"]
    wait_until(lambda: site.waiting() == [foreign.name], 5, "deleted files")
    told = records(site, "S", MESSAGES)
    assert len(site.perm_log()) == MESSAGES
    assert [":".join(record[2:8]) for record in told] == [f"msul1:{text}" for text in texts(*range(MESSAGES))]
    site.wait_log("Delayed put (", count=MESSAGES)
    wait_until(lambda: site.board("msul1").child.delayed_sent == MESSAGES, 5, "the count of messages")
    # nobody's file stays, and is told once
    assert site.log_text().count("is for a host that is not in the table") == 1
    site.stop()
    assert peer.executed()[:-1].count("exit") == 0
    assert len(set(peer.executed())) == MESSAGES + 1


# --- while the link is up -----------------------------------------------------------------------------------


def test_files_are_found_while_the_link_is_up(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    for number in range(3):
        site.delay("msul1", put(number))
        peer.wait_executed(number + 1)
    empty(site)
    assert peer.executed() == texts(0, 1, 2)
    assert peer.stats()["accepted"] == 1


def test_usr1_looks_at_once(site: Site) -> None:
    # Without it a look comes every 15 s: that each of four rounds hits one by chance has p = 0.002.
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    for number in range(4):
        site.delay("msul1", put(number))
        site.signal(signal.SIGUSR1, None if number % 2 else site.child("msul1"))
        peer.wait_executed(number + 1, 3)
    assert peer.executed() == texts(0, 1, 2, 3)


def test_clients_do_not_overtake(make_site: MakeSite) -> None:
    """What a client asks while messages wait or are on their way stands behind all of them."""
    site = make_site(["msul1"], settings={"loncDelayedScan": "3600"})
    peer = site.peer("msul1", "on put:*=late:20", "on echo:held=gate")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as early, site.connect("msul1") as late:
        early.send(b"echo:held", b"echo:early")
        peer.wait_executed(1)
        for number in range(20):
            site.delay("msul1", put(number))
        site.signal(signal.SIGUSR1, site.child("msul1"))  # one look, when all are there
        # those in flight are let home, then messages; a request that comes meanwhile waits
        wait_until(lambda: site.board("msul1").child.delayed == 20, 10, "messages that were seen")
        late.send(b"echo:late")
        wait_until(lambda: site.board("msul1").child.queued == 1, 10, "a request that waits")
        peer.order(release="echo:held")
        assert early.lines(2) == [b"held", b"early"]
        assert late.line(20) == b"late"
    asked = peer.executed()
    assert asked == ["echo:held", "echo:early", *texts(*range(20)), "echo:late"]


def test_messages_that_come_during_a_flush_are_part_of_it(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "3600"})
    peer = site.peer("msul1", "on put:*=late:300")
    for number in range(3):
        site.delay("msul1", put(number))
    site.start()
    peer.wait_executed(1)
    site.delay("msul1", put(3))
    # the look at the end of the run finds it: no wait for the next scan
    wait_until(lambda: len(peer.executed()) == 4, 6, "the fourth message")
    assert peer.executed() == texts(0, 1, 2, 3)
    empty(site)


# --- young, replaced ----------------------------------------------------------------------------------------


def test_a_young_file_waits_and_keeps_its_place(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    born = time.monotonic()
    young = site.delay("msul1", put(1), age_s=0)
    # its name puts it behind the young one, its date says that it is old
    behind = site.delayed(bare_name(site, 900, -1), put(2) + b"\n")
    wait_until(lambda: site.board("msul1").child.delayed == 2, 5, "messages that were seen")
    with site.connect("msul1") as client:
        client.send(b"echo:after")
        assert peer.executed() == []
        peer.wait_executed(3, 12)
        sent_after = {r.text: r.at - born for r in peer.records("ce")}
        assert client.line() == b"after"
    assert peer.executed() == [*texts(1, 2), "echo:after"]
    assert sent_after[texts(1)[0]] >= 4.9, "younger than 5 s and touched"
    assert not young.exists()
    empty(site)
    assert not behind.exists()


def test_old_messages_before_a_young_one_do_not_wait(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    peer = site.peer("msul1")
    site.delay("msul1", put(1))
    site.delay("msul1", put(2), age_s=0)
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client:
        wait_until(lambda: peer.executed() == texts(1), 4, "the old one alone")
        client.send(b"echo:x")
        assert client.line(12) == b"x"
    assert peer.executed() == [*texts(1, 2), "echo:x"]


@pytest.mark.slow
def test_young_messages_one_after_the_other_hold_a_client_five_seconds_at_most(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.1"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    done = threading.Event()

    def write() -> None:
        for number in range(20):
            site.delay("msul1", put(number), age_s=0)
            if done.wait(0.8):
                return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: site.board("msul1").child.delayed > 0, 5, "a message that was seen")
        with site.connect("msul1") as client:
            for number in range(3):
                began = time.monotonic()
                assert client.ask(b"echo:%d" % number, 20) == b"%d" % number
                waited = time.monotonic() - began
                assert waited < 7.5, f"a client waited {waited:.1f} s for young messages"
    finally:
        done.set()
        writer.join()
    assert peer.executed()[0] == texts(0)[0]


def test_a_file_replaced_while_in_flight_is_sent_too(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    peer = site.peer("msul1", "on put:*=late:2000@1")  # long enough to replace it on a loaded machine
    first = site.delay("msul1", put(1))
    site.delay("msul1", put(3))
    site.start()
    peer.wait_executed(1)
    site.delayed(first.name, put(2) + b"\n", age_s=30)
    assert peer.wait_executed(3) == texts(1, 3, 2) or peer.executed() == texts(1, 2, 3)
    empty(site)
    records(site, "S", 3)
    site.wait_log("was replaced meanwhile: the new one is sent too")


def test_a_file_removed_while_in_flight_is_no_trouble(site: Site) -> None:
    peer = site.peer("msul1", "on put:*=late:500@1")
    first = site.delay("msul1", put(1))
    site.delay("msul1", put(2))
    site.start()
    peer.wait_executed(1)
    first.unlink()
    assert peer.wait_executed(2) == texts(1, 2)
    empty(site)


# --- failures and bad files ---------------------------------------------------------------------------------


REPLIES = ["error: no such user", "refused", "rejected", "unknown_cmd", "con_lost", "no_such_host"]


def test_failure_replies_go_to_rejected(site: Site) -> None:
    rules = [f"on put:r{number}:*=reply:{reply}" for number, reply in enumerate(REPLIES)]
    peer = site.peer("msul1", *rules)
    files = {}
    for number, reply in enumerate(REPLIES):
        files[site.delay("msul1", b"put:r%d:u:ns:a=1" % number)] = reply
        site.delay("msul1", put(number))
    twin = site.delayed_dir / "rejected" / next(iter(files)).name
    twin.parent.mkdir(mode=0o700)
    twin.write_text("an older one of this name\n")
    site.start()
    empty(site)
    assert len(peer.executed()) == 2 * len(REPLIES)
    for number, (path, reply) in enumerate(files.items()):
        name = path.name + "-2" if path.name == twin.name else path.name
        assert (twin.parent / name).read_bytes() == b"put:r%d:u:ns:a=1\n" % number
        assert (twin.parent / f"{name}.reply").read_text() == reply + "\n"
        assert (twin.parent / name).stat().st_mode & 0o777 == 0o600
        assert (twin.parent / f"{name}.reply").stat().st_mode & 0o777 == 0o600
    assert twin.read_text() == "an older one of this name\n"
    refused = [":".join(record[3:5]) for record in records(site, "F", len(REPLIES))]
    assert refused == [f"put:r{number}" for number in range(len(REPLIES))]
    records(site, "S", len(REPLIES))
    assert site.log_text().count("WARNING: Delayed put (") == len(REPLIES)


def test_delete_on_any_reply(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDeleteOnAnyReply": "on"})
    peer = site.peer("msul1", "on put:*=reply:error: no")
    site.delay("msul1", put(1))
    site.start()
    empty(site)
    assert peer.executed() == texts(1)
    assert not (site.delayed_dir / "rejected").exists()
    records(site, "S", 1)


def bad_files(site: Site) -> dict[str, str]:
    """Make one file of each bad kind between good ones; return name -> a part of its reason."""
    reasons = {}
    two = site.delayed(bare_name(site, 101), b"put:a\nput:b\n")
    reasons[two.name] = "more than one line"
    long = site.delayed(bare_name(site, 102), b"x" * 2000 + b"\n")
    reasons[long.name] = "2001 bytes"
    hollow = site.delayed(bare_name(site, 103), b"", age_s=120)
    reasons[hollow.name] = "empty"
    odd = site.delayed(bare_name(site, 104).replace("putmsuuns", "pu t\x1b"), b"put:a\n")
    reasons[odd.name] = "foreign characters"
    directory = site.delayed_dir / bare_name(site, 105)
    directory.mkdir()
    reasons[directory.name] = "a directory"
    fifo = site.delayed_dir / bare_name(site, 106)
    os.mkfifo(fifo)
    reasons[fifo.name] = "a FIFO"
    for path in (directory, fifo):
        os.utime(path, (time.time() - 60, time.time() - 60))
    return reasons


def test_bad_files_go_to_corrupt_and_stop_nobody(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncMaxLine": "1024", "loncDelayedScan": "0.3"})
    peer = site.peer("msul1")
    secret = site.root / "secret"
    secret.write_text("put:never:sent\n")
    link = site.delayed_dir / bare_name(site, 107)
    link.symlink_to(secret)
    reasons = bad_files(site)
    for number in range(3):
        site.delay("msul1", put(number))
    bare = site.delayed(bare_name(site, 200), put(3))  # without its newline: a message like any other
    site.start()
    assert peer.wait_executed(4) == texts(0, 1, 2, 3)
    corrupt = site.delayed_dir / "corrupt"
    wait_until(lambda: all((corrupt / name).exists() for name in reasons), 15, "bad files set aside")
    for name, reason in reasons.items():
        assert reason in (corrupt / f"{name}.reason").read_text()
    # a file goes when its reply has come, which is after the peer has carried it out, and its log line is next
    wait_until(lambda: site.waiting() == [link.name], 5, "the link alone")
    assert not bare.exists()
    assert link.is_symlink()
    assert corrupt.stat().st_mode & 0o777 == 0o700
    site.wait_log("Delayed put (", count=4)
    site.wait_log("set aside in corrupt", count=len(reasons))
    assert site.log_text().count("set aside in corrupt") == len(reasons)
    site.wait_log("is a symbolic link: left alone")
    # nothing is told again, nothing is sent again
    before = site.log_text()
    site.signal(signal.SIGUSR1, site.child("msul1"))
    stays(lambda: peer.executed() == texts(0, 1, 2, 3), 1, "nothing more")
    assert site.log_text() == before


def test_other_directories_of_the_queue_are_not_touched(site: Site) -> None:
    peer: Peer = site.peer("msul1")
    held = site.delayed_dir / "held"
    held.mkdir(mode=0o700)
    (held / bare_name(site, 1)).write_bytes(put(1) + b"\n")
    hidden = site.delayed_dir / f".{bare_name(site, 2)}"
    hidden.write_bytes(put(2) + b"\n")
    site.delay("msul1", put(3))
    site.start()
    site.wait_ready()
    empty(site)
    assert peer.executed() == texts(3)
    assert len(list(held.iterdir())) == 1
    assert hidden.exists()
