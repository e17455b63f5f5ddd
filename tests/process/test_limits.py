"""Long lines and replies, and what is too long: for one client only, whole or not at all, in bounded memory."""

from __future__ import annotations

import contextlib
import os

import pytest

from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Client, Site, wait_until
from tests.process.memory import KIB, MIB

LIMIT = 16777216  # the default of loncMaxLine
REFUSAL = b"error: request longer than 16777216 bytes"
SIZES = [KIB, MIB, LIMIT]


def text(size: int) -> bytes:
    """Return a text without newline whose every part is different, so that a lost or doubled piece shows."""
    return os.urandom(size).replace(b"\n", b"\x00")


def one_link(site: Site) -> None:
    """The link has seen nothing of all that."""
    assert site.ask("msul1", b"echo:still here") == b"still here"
    assert site.board("msul1").child.links_opened == 1


# --- what passes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_line_of_this_size_passes(talking: Site, size: int) -> None:
    sent = text(size - len(b"echo:"))
    with talking.connect("msul1") as client:
        assert client.ask(b"echo:" + sent, 30) == sent
        assert client.ask(b"echo:next", 30) == b"next"
    one_link(talking)


@pytest.mark.parametrize("size", [*SIZES, 64 * MIB])  # 64 MiB is loncClientBuffer, and passes too
def test_a_reply_of_this_size_passes(talking: Site, size: int) -> None:
    with talking.connect("msul1") as client:
        client.send(b"size:%d" % size, b"echo:behind it")
        assert client.line(60) == b"x" * size
        assert client.line(10) == b"behind it"
    one_link(talking)


@pytest.mark.parametrize("size", SIZES)
def test_lines_and_replies_of_this_size_pass_encrypted(talking: Site, size: int) -> None:
    sent = text(size - len(b"eecho:"))
    with talking.connect("msul1") as client:
        assert client.ask(b"encrypt:eecho:" + sent, 30) == sent
        assert client.ask(b"encrypt:echo:next", 30) == b"next"
    one_link(talking)


def test_long_lines_of_several_clients_cross_unharmed(talking: Site) -> None:
    """Three at once, and short ones between: each reply is whole and goes where it belongs."""
    texts = [text(5 * MIB) for _ in range(3)]
    clients = [talking.connect("msul1") for _ in texts]
    try:
        for client in clients:
            client.socket.settimeout(30)
        for part in range(0, 5 * MIB, MIB):  # a piece of each in turn: three unfinished lines at a time
            for client, sent in zip(clients, texts, strict=True):
                client.send_raw((b"" if part else b"echo:") + sent[part : part + MIB])
            assert talking.ask("msul1", b"echo:%d" % part) == b"%d" % part
        for client in clients:
            client.send_raw(b"\n")
        assert [client.line(30) for client in clients] == texts
    finally:
        for client in clients:
            client.close()
    one_link(talking)


# --- a request that is too long -------------------------------------------------------------------------


def refused(client: Client, data: bytes) -> None:
    """Write as much of data as is taken; the refusal comes, then the end of file."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        client.send_raw(data)
    assert client.line() == REFUSAL
    client.wait_closed()


@pytest.mark.parametrize("prefix", [b"echo:", b"encrypt:echo:"])
def test_one_byte_more_is_refused_for_that_client_alone(talking: Site, prefix: bytes) -> None:
    # `encrypt:` itself does not count: the limit is the command's (spec wire.md 4)
    command = prefix.removeprefix(b"encrypt:")
    fits = text(LIMIT - len(command))
    with talking.connect("msul1") as bystander, talking.connect("msul1") as client:
        assert bystander.ask(b"echo:before") == b"before"
        assert client.ask(prefix + fits, 30) == fits
        refused(client, prefix + fits + b"x\n")
        assert bystander.ask(b"echo:after") == b"after"
    assert len(talking.peers["msul1"].executed()) == 3
    one_link(talking)
    wait_until(lambda: talking.board("msul1").child.rejected == 1, 5, "the refusal on the scoreboard")


@pytest.mark.parametrize("size", [LIMIT + 9, 3 * LIMIT])
def test_a_line_without_end_is_refused_before_its_newline(talking: Site, size: int) -> None:
    child = talking.child("msul1")
    began = memory.forget_peak(child)
    with talking.connect("msul1") as bystander, talking.connect("msul1") as client:
        client.socket.settimeout(30)
        refused(client, b"x" * size)
        assert bystander.ask(b"echo:after") == b"after"
    grown = memory.peak(child) - began
    print(f"\n{size} bytes without newline: {grown / MIB:.1f} MiB more at the peak")
    assert grown < LIMIT + 16 * MIB
    one_link(talking)


def test_what_was_asked_before_the_long_line_is_answered_before_the_refusal(talking: Site) -> None:
    with talking.connect("msul1") as client:
        client.send(b"sleep:300", b"echo:second")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send_raw(b"x" * (LIMIT + 9))
        assert client.lines(3) == [b"ok", b"second", REFUSAL]
        client.wait_closed()
    one_link(talking)


# --- a reply that is too long ---------------------------------------------------------------------------


def small(make_site: MakeSite, *rules: str, **settings: str) -> Site:
    """A daemon that keeps replies of 1 MiB."""
    site = make_site(["msul1"], settings={"loncClientBuffer": str(MIB), **settings})
    site.peer("msul1", *rules)
    site.start()
    site.wait_ready()
    return site


def test_a_reply_above_the_buffer_costs_only_its_own_client(make_site: MakeSite) -> None:
    site = small(make_site)
    with site.connect("msul1") as greedy, site.connect("msul1") as other:
        assert greedy.ask(b"size:%d" % MIB) == b"x" * MIB
        greedy.send(b"size:%d" % (MIB + 1), b"echo:of the greedy")
        other.send(b"echo:of the other", b"size:%d" % MIB)
        assert greedy.lines(2) == [b"con_lost", b"of the greedy"]
        assert other.lines(2) == [b"of the other", b"x" * MIB]
    site.wait_log("A reply of more than 1048576 bytes")  # the client is told first
    lines = [line.message for line in site.log("msul1") if "A reply of more than 1048576 bytes" in line.message]
    assert len(lines) == 1
    assert "WARNING" in lines[0]
    one_link(site)


def test_an_encrypted_reply_above_the_buffer_is_lost_in_the_same_way(make_site: MakeSite) -> None:
    site = small(make_site)
    with site.connect("msul1") as client:
        client.send(b"encrypt:eecho:" + b"y" * MIB, b"encrypt:eecho:next")
        assert client.lines(2) == [b"con_lost", b"next"]
    one_link(site)


def test_a_reply_without_measure_takes_no_memory(make_site: MakeSite) -> None:
    site = small(make_site, "on get:*=huge:100000000")
    child = site.child("msul1")
    began = memory.forget_peak(child)
    assert site.ask("msul1", b"get:it", 30) == b"con_lost"
    grown = memory.peak(child) - began
    print(f"\na reply of 95 MiB, 1 MiB allowed: {grown / MIB:.1f} MiB more at the peak")
    assert grown < 8 * MIB
    one_link(site)


# --- a reply that is cut --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["half-rst", "half-close"])
@pytest.mark.parametrize("size", [100, 700_000])
def test_a_peer_that_dies_in_the_middle_of_a_reply(make_site: MakeSite, how: str, size: int) -> None:
    """Part of the reply has come: the client must not see any of it."""
    site = make_site(["msul1"])
    site.peer("msul1", f"on size:*={how}:{size - 1}@1")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client, site.connect("msul1") as other:
        client.send(b"size:%d" % size, b"echo:behind it")
        assert client.line() == b"con_lost"
        assert client.line() in (b"con_lost", b"behind it")  # in flight then, or not sent yet
        assert other.ask(b"size:%d" % size) == b"x" * size
        assert client.ask(b"echo:again") == b"again"
    assert site.board("msul1").child.links_opened == 2


def test_a_reply_that_stops_in_the_middle_ends_at_its_time_limit(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncRequestTimeout": "0.5"})
    site.peer("msul1", "on size:*=half:500000@1")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as client:
        assert client.ask(b"size:1000000") == b"con_lost"
        assert client.ask(b"size:1000000") == b"x" * 1000000


def test_a_peer_killed_in_the_middle_of_sixteen_mebibytes(site: Site) -> None:
    peer = site.peer("msul1", "on size:*=half:8000000@1")  # half of it, and there it stands
    site.start()
    site.wait_ready()
    with site.connect("msul1") as bystander, site.connect("msul1") as client:

        def much_came() -> bool:
            bystander.send(b"echo:behind it")  # something new to count: the scoreboard is written again
            return site.board("msul1").child.bytes_in > MIB

        client.send(b"size:%d" % LIMIT)
        wait_until(much_came, 30, "a part of the reply")
        peer.script()
        peer.restart()
        assert client.line() == b"con_lost"
        assert client.ask(b"size:%d" % LIMIT, 30) == b"x" * LIMIT


# --- memory ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", [b"echo:", b"encrypt:eecho:"])
def test_memory_stays_bounded_through_long_lines(make_site: MakeSite, word: bytes) -> None:
    """Long lines one after another: the peak is that of one, and the next upkeep gives it back."""
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.5"})  # upkeep comes as often; else every 15 s
    site.peer("msul1")
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    sent = text(LIMIT - 16)
    began = memory.forget_peak(child)
    peaks = []
    with site.connect("msul1") as client:
        for _ in range(5):
            memory.forget_peak(child)
            assert client.ask(word + sent, 30) == sent
            peaks.append((memory.peak(child) - began) / MIB)
    one_link(site)  # and by then the client is gone
    shown = " ".join(f"{one:.1f}" for one in peaks)
    print(f"\n{word.decode()} 16 MiB: MiB more at the peak of each: {shown}; left {more(child, began):.1f}")
    # in clear: the line itself; encrypted: line, blocks, frame, and the frame of the reply, some of them twice
    assert max(peaks) < (12 if word.startswith(b"encrypt:") else 2) * LIMIT / MIB
    wait_until(lambda: more(child, began) < LIMIT / MIB / 4, 10, "memory given back")


def more(child: int, began: int) -> float:
    """Return by how many MiB a process is greater than it was."""
    return (memory.resident(child) - began) / MIB
