"""Links to lond itself: the dialogue, order under any split, who is known, and clients that behave badly."""

from __future__ import annotations

import random
import signal
import time

import pytest

from tests.process import procs
from tests.process.conftest import MakeLond
from tests.process.harness import Entry
from tests.process.lond_site import Dialed, LondSite
from tests.process.peer import next_address
from tests.process.waiting import wait_until

REQUESTS = 1000


def gather(client: Dialed, count: int) -> list[bytes | None]:
    return client.lines(count, 30)


@pytest.mark.parametrize("cut", [1, 7, 1000, 100000], ids=lambda cut: f"{cut}-bytes")
def test_replies_keep_the_order_of_requests_in_any_split(lond: LondSite, cut: int) -> None:
    lond.start()
    lond.add_user()
    chance = random.Random(cut)
    wanted: list[bytes] = []
    lines: list[bytes] = []
    for number in range(REQUESTS if cut > 1 else 100):
        kind = chance.choice(("put", "get", "ping", "nothing", "sethost", "empty"))
        lines.append({
            "put": b"put:msu:joe:order:k%d=v%d" % (number, number), "get": b"get:msu:joe:order:none&k%d" % number,
            "ping": b"ping", "nothing": b"nothing%d" % number, "sethost": b"sethost:srv1", "empty": b"",
        }[kind])  # fmt: skip
        wanted.append({
            "put": b"ok", "get": b"&", "ping": b"srv1", "nothing": b"unknown_cmd", "sethost": b"ok",
            "empty": b"unknown_cmd",
        }[kind])  # fmt: skip
    data = b"".join(line + b"\n" for line in lines)
    with lond.link() as client:
        for at in range(0, len(data), cut):
            client.send_raw(data[at : at + cut])
        assert gather(client, len(wanted)) == wanted
        assert client.ask(b"exit") == b"bye"
        client.wait_closed()


def test_a_client_that_half_closes_gets_its_replies(lond: LondSite) -> None:
    lond.start()
    lond.add_user()
    with lond.link() as client:
        client.send_raw(b"put:msu:joe:half:k=v\nping\n" * 300 + b"dropped: no newline")
        client.half_close()
        assert gather(client, 600) == [b"ok", b"srv1"] * 300
        assert client.line() is None
    with lond.link() as client:
        client.send(b"pong", b"ping")
        client.half_close()
        assert gather(client, 2) == [b"srv1:con_lost", b"srv1"]
        assert client.line() is None


def test_the_first_lines_must_be_the_right_ones(lond: LondSite) -> None:
    lond.start()
    for lines in ([b"hello"], [b""], [b"init", b"wrong"], [b"init", b"init"], [b"x" * 40000000]):
        with lond.dial() as client:
            client.send_raw(b"\n".join(lines) + b"\n")
            assert b"refused" in (client.line(), client.line())
            assert client.line() is None
    lond.wait_log("Link of own1 (127.0.0.1) ended: wrong opening dialogue")
    for first in (b"init:ssl", b" init\r"):
        with lond.dial() as client:
            challenge = client.ask(first)
            assert challenge
            assert client.ask(challenge) == b"ok"
            assert client.ask(b"ping") == b"srv1"
    assert lond.log_text().count("wrong opening dialogue") == 1, "one warning in ten minutes"


def test_challenges_and_keys_are_new_for_each_link(lond: LondSite) -> None:
    lond.start()
    seen = set()
    for _ in range(5):
        with lond.dial() as client:
            challenge = client.ask(b"init")
            assert challenge
            assert client.ask(challenge) == b"ok"
            build_key = client.ask(b"ekey")
            assert build_key
            assert 20 <= len(build_key) <= 30
            assert set(build_key) <= set(b"0123456789ABCDEF")
            seen |= {challenge, build_key}
    assert len(seen) == 10


def test_strangers_are_refused_and_told_once(lond: LondSite) -> None:
    lond.start()
    stranger, other = next_address(), next_address()
    for source in (stranger,) * 20 + (other,):
        with lond.dial(source) as client:
            assert client.line() == b"refused"
            client.wait_closed()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    lond.wait_log(f"Unknown client refused: {other} is in no line of hosts.tab")
    warnings = [line for line in lond.log() if "Unknown client" in line.message]
    assert len(warnings) == 2
    assert sum(stranger in line.message for line in warnings) == 1
    assert all("WARNING" in line.message for line in warnings)


def test_of_several_ids_with_one_address_the_last_is_the_client(make_lond: MakeLond) -> None:
    shared = next_address()
    lond = make_lond([Entry("first", shared), Entry("second", shared), Entry("third", next_address())])
    lond.start()
    lond.add_user()
    with lond.link(shared) as client:
        lond.wait_serving(1, "second")
        client.agree("srv1", "second")
        assert client.ask_encrypted(b"eget:msu:joe:ns:k") == b""


def test_sethost_chooses_among_our_own_ids_and_changes_the_key(make_lond: MakeLond) -> None:
    lond = make_lond(["far1"], own=[Entry("srv2")])
    lond.start()
    lond.add_user()
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
        assert client.ask(b"sethost:far1") == b"unable_to_set"
        assert client.ask(b"sethost:srv2") == b"ok"
        assert client.ask(b"ping") == b"srv2"
        client.agree("srv2", "own1")
        assert client.ask_encrypted(b"put:msu:joe:ns:k=v") == b"ok"
        client.send(b"ping", b"sethost:srv1", b"ping", b"sethost:nobody", b"ping", b"sethost:srv2", b"ping")
        assert gather(client, 7) == [b"srv2", b"ok", b"srv1", b"unable_to_set", b"srv1", b"ok", b"srv2"]
        # The key belongs to the id that was chosen when it was agreed on: with another one nothing can be read.
        assert client.ask(b"sethost:srv1") == b"ok"
        client.agree("srv2", "own1")
        assert client.ask_encrypted(b"eget:msu:joe:ns:k") != b"v"
        client.agree("srv1", "own1")
        assert client.ask_encrypted(b"eget:msu:joe:ns:k") == b"v"


def test_encryption_without_a_key_and_broken_frames_have_their_answers(lond: LondSite) -> None:
    lond.start()
    with lond.link() as client:
        assert client.ask(b"enc:4:0011223344556677") == b"error:no_key"
        client.agree("srv1", "own1")
        for frame in (b"enc:", b"enc:x:00", b"enc:4:0", b"enc:4:zz11223344556677", b"enc:999:0011223344556677"):
            reply = client.ask(frame)
            assert reply
            assert reply.startswith(b"error:"), frame
        assert client.ask(b"ping") == b"srv1"
    assert "0011223344" not in lond.log_text()


def test_ten_links_from_each_of_three_servers_never_wait(make_lond: MakeLond) -> None:
    servers = [next_address() for _ in range(3)]
    lond = make_lond([Entry(f"far{number}", address) for number, address in enumerate(servers)])
    lond.start()
    for _round in range(2):
        links = []
        for address in servers * 10:
            links.append(lond.link(address))  # each is served while all before it stay open
            assert links[-1].ask(b"ping") == b"srv1"
        lond.wait_serving(30)
        wait_until(lambda: len(lond.workers()) >= 32, 20, "two idle workers besides")
        for link in links[::2]:  # and half of them come again at once
            link.close()
        again = [lond.link(address) for address in servers * 5]
        assert [link.ask(b"ping") for link in again] == [b"srv1"] * 15
        for link in (*links, *again):
            link.close()
        lond.wait_serving(0)
    assert "ABNORMAL" not in lond.log_text()
    assert "WARNING" not in lond.log_text()


def test_slow_openings_and_strangers_keep_nobody_out(make_lond: MakeLond) -> None:
    slow = next_address()
    lond = make_lond([Entry("slow1", slow)], settings={"londInitTimeout": "1.5", "londMaxWorkers": "12"})
    lond.start()
    dripping = [lond.dial(slow) for _ in range(40)]  # more than there can be workers
    strangers = [lond.dial(next_address()) for _ in range(40)]
    for client in dripping:
        client.send_raw(b"i")
    with lond.link() as client:  # comes in behind all of them
        assert client.ask(b"ping") == b"srv1"
    for client in dripping:
        client.wait_closed(40)
        client.close()
    for client in strangers:
        assert client.line(20) == b"refused"
        client.close()
    lond.wait_log("Link of slow1", 20)
    assert "no opening dialogue in time" in lond.log_text()


def test_an_open_link_may_be_silent(make_lond: MakeLond) -> None:
    lond = make_lond(settings={"londInitTimeout": "0.3"})
    lond.start()
    with lond.link() as client:
        time.sleep(0.7)
        assert client.ask(b"ping") == b"srv1"


def test_a_client_that_does_not_read_harms_nobody(lond: LondSite) -> None:
    lond.start()
    lond.add_user()
    value = b"x" * (1 << 20)
    with lond.link() as greedy, lond.link() as client:
        assert greedy.ask(b"put:msu:joe:big:k=" + value, 30) == b"ok"
        (pid, *_) = lond.wait_serving(2)
        greedy.send(*[b"get:msu:joe:big:k"] * 300)  # 300 MiB of replies
        began = time.monotonic()
        for _ in range(20):
            assert client.ask(b"get:msu:joe:big:none") == b""
        assert time.monotonic() - began < 60
        largest = max(memory_mib(worker) for worker in lond.serving())
        assert largest < 200, f"{largest} MiB"
        for _ in range(300):  # and it gets everything when it reads again
            assert greedy.line(60) == value
        assert procs.alive(pid)


def memory_mib(pid: int) -> int:
    """Return what a process has of its own and with others, in MiB."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) // 1024


def test_a_long_command_and_one_that_is_longer(lond: LondSite) -> None:
    lond.start()
    lond.add_user()
    limit = 16777216
    head = b"put:msu:joe:long:k="
    with lond.link() as client:
        assert client.ask(head + b"v" * (limit - len(head)), 60) == b"ok"
        reply = client.ask(b"get:msu:joe:long:k", 60)
        assert reply
        assert len(reply) == limit - len(head)
        client.send(head + b"v" * (limit - len(head) + 1), b"ping")
        assert client.line(60) == b"error: request longer than %d bytes" % limit
        assert client.line(60) == b"srv1"


def test_nothing_of_a_request_is_told(lond: LondSite) -> None:
    lond.start()
    lond.add_user()
    with lond.link() as client:
        client.agree("srv1", "own1")
        client.ask(b"put:msu:joe:secretspace:secretkey=secretvalue")
        client.ask(b"secretword:secretvalue")
        client.ask_encrypted(b"auth:msu:joe:secretpassword")
        client.ask_encrypted(b"auth:secretpassword")
        lond.signal(signal.SIGUSR1)
        lond.wait_log("Going to check on the children")
        wait_until(lambda: lond.status_path.exists() and "w2\t" in lond.status_path.read_text(), 20, "the status")
        assert lond.grep_secrets("secretspace", "secretkey", "secretvalue", "secretword", "secretpassword") == []
