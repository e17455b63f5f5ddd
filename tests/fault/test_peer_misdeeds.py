"""Fault rows 2, 4, 5, 13 and 14: what a peer may do wrong, and what must hold all the same.

Requests go one after the other (loncPipeline 1) where a wrong reply could not be told from a right one
otherwise: replies carry no number, so with several in flight a peer that answers one of them twice is
believed until its next reply. A client's every request has exactly one line, its own or con_lost.
"""

from __future__ import annotations

import pytest

from tests.conftest import MakeSite
from tests.fakes.misdeeds import BROKEN_FRAMES
from tests.process.harness import Site, wait_until
from tests.proof.tally import Tally

DIALOGUE = ["connect", "init", "challenge", "sethost", "version", "pong", "ekey", "ready"]
LOCK_STEP = {"loncPipeline": "1", "loncRequestTimeout": "1", "loncGrace": "10"}
READY_S = 20.0


def start(site: Site) -> None:
    site.start()
    site.wait_ready(timeout_s=READY_S)


def check_alive(site: Site, child: int) -> None:
    """The same child serves on, plainly and encrypted, and nothing in the log is a crash."""
    assert site.ask("msul1", b"ping") == b"msul1"
    assert site.ask("msul1", b"encrypt:eecho:fine") == b"fine"
    assert site.child("msul1") == child
    assert "ABNORMAL EXIT" not in site.log_text()
    assert site.error_text() == ""


# --- the dialogue ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["rst", "close"])
def test_every_step_of_the_dialogue_cut_twice(make_site: MakeSite, tally: Tally, how: str) -> None:
    """Eight peers, each ends its first two links at another step; every link stands in the end."""
    names = [f"p{step}1" for step in DIALOGUE]
    site = make_site(names)
    for name, step in zip(names, DIALOGUE, strict=True):
        site.peer(name, f"at {step}={how}@1-2")
    start(site)
    for name in names:
        assert site.ask(name, b"encrypt:eecho:" + name.encode()) == name.encode()
        assert site.peers[name].stats()["accepted"] == 3
        tally.add(inputs=1, faults=2)
    assert site.log_text().count("Attempting to start child") == len(names)


@pytest.mark.parametrize("action", ["stall", "half:0", "drip:300"])
def test_every_step_of_the_dialogue_has_its_time_limit(make_site: MakeSite, action: str) -> None:
    """A step that is not answered, or so slowly that it never ends, costs loncInitTimeout, not the peer."""
    steps = DIALOGUE[1:-1] if action != "half:0" else ["init"]
    names = [f"p{step}1" for step in steps if not (action.startswith("drip") and step in ("challenge", "sethost"))]
    site = make_site(names, settings={"loncInitTimeout": "0.6"})
    for name in names:
        site.peer(name, f"at {name[1:-1]}={action}@1")
    start(site)
    for name in names:
        assert site.peers[name].stats()["accepted"] >= 2
        assert any("Timed out during init" in line.message for line in site.log(name))
        assert any("WARNING: Init failed" in line.message for line in site.log(name))


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("at init=answer-close:refused@1-2", "Init reply: >refused<"),
        ("at init=answer:bye@1-2", "Init reply: >bye<"),
        ("at challenge=answer:not ok@1-2", "Init reply: >not ok<"),
        ("at challenge=answer:@1-2", "Init reply: ><"),
        ("at challenge=answer:ok \\x1b[31m<b>\\x00@1-2", "Init reply: >ok \\x1b[31m&lt;b&gt;\\x00<"),
        ("at init=huge:70000@1-2", "more than 65536 bytes"),
        ("at init=extra:again@1-2", "more than one answer"),
        ("at connect=say:hello@1-2", ""),
        ("at version=twice@1-2", "more than one answer"),
        ("at ekey=answer:@1-2", "no build key"),
        ("at ekey=answer:error: none@1-2", "no build key"),
        ("at ekey=answer:refused@1-2", "no build key"),
        ("at ekey=extra:junk@1-2", "more than one answer"),
        ("at ekey=huge:70000@1-2", "more than 65536 bytes"),
    ],
)
def test_an_answer_of_the_dialogue_that_cannot_be_used(site: Site, rule: str, told: str) -> None:
    peer = site.peer("msul1", rule)
    start(site)
    assert peer.stats()["accepted"] == 3
    assert told in site.log_text()
    assert "\x1b" not in site.log_text()
    check_alive(site, site.child("msul1"))


@pytest.mark.parametrize(
    "rule",
    [
        "at init=binary", "at init=huge:60000", "at init=answer:", "at sethost=answer:unable_to_set",
        "at version=answer:unknown_cmd", "at version=binary", "at pong=answer:msul1:con_lost", "at pong=binary",
        "at pong=empty", "at sethost=huge:60000",
    ],
)  # fmt: skip
def test_an_odd_answer_that_harms_nobody(site: Site, rule: str) -> None:
    """A challenge is echoed whatever it is; rows 3 to 5 may be answered as the peer likes."""
    peer = site.peer("msul1", rule)
    start(site)
    assert peer.stats()["accepted"] == 1
    check_alive(site, site.child("msul1"))


def test_a_peer_with_another_key_harms_only_what_is_encrypted(site: Site) -> None:
    site.peer("msul1", "at ekey=wrong-key")
    start(site)
    child = site.child("msul1")
    with site.connect("msul1") as client:
        client.send(b"echo:1", b"encrypt:echo:2", b"eecho:three times as long", b"echo:4")
        lines = client.lines(4)
    assert lines[0] == b"1"
    assert lines[1] != b"2"
    assert lines[2] != b"three times as long"
    assert lines[3] == b"4"
    assert site.child("msul1") == child
    assert site.board("msul1").child.links_opened == 1


# --- replies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    ["rst", "close", "done-rst", "half-rst:3", "half-close:3", "half:3", "stall", "done-stall", "skip",
     "done-skip", "twice", "extra:junk", "before:junk", "glue"],
)  # fmt: skip
def test_a_reply_gone_wrong_costs_con_lost_and_the_link(make_site: MakeSite, action: str) -> None:
    """One client has con_lost, the link is a new one, and no reply meets anybody else."""
    site = make_site(settings=LOCK_STEP)
    site.peer("msul1", f"on echo:bad*={action}@1")
    start(site)
    child = site.child("msul1")
    with site.connect("msul1") as one, site.connect("msul1") as two:
        one.send(b"echo:before", b"echo:bad-one", b"echo:after")
        assert one.line() == b"before"
        two.send(b"echo:two")
        assert one.lines(2) == [b"con_lost", b"after"]
        assert two.line() == b"two"
        assert one.ask(b"echo:bad-again") == b"bad-again"
    assert site.board("msul1").child.links_opened == 2
    check_alive(site, child)


@pytest.mark.parametrize("action", ["last", "last-rst"])
def test_a_peer_that_leaves_after_its_reply_costs_nobody_anything(make_site: MakeSite, action: str) -> None:
    site = make_site(settings=LOCK_STEP)
    site.peer("msul1", f"on echo:bye*={action}@1")
    start(site)
    replies = []
    with site.connect("msul1") as client:
        replies.append(client.ask(b"echo:bye"))
        wait_until(lambda: site.board("msul1").child.links_opened == 2, 10, "the next link")
        replies.append(client.ask(b"echo:next"))
    assert replies[1] == b"next"
    # a reset may overtake the reply in the kernel: then nobody has seen it
    assert replies[0] == b"bye" or (action == "last-rst" and replies[0] == b"con_lost")


@pytest.mark.parametrize("action", ["late:700", "drip:20", "slice:1", "hold@c1", "empty"])
def test_a_slow_or_strange_reply_is_a_reply(make_site: MakeSite, action: str) -> None:
    site = make_site(settings={"loncRequestTimeout": "10"})
    site.peer("msul1", f"on echo:odd*={action}" + ("" if "@" in action else "@1"))
    start(site)
    with site.connect("msul1") as one, site.connect("msul1") as two:
        one.send(b"echo:odd-one", b"echo:after")
        two.send(b"echo:two", b"encrypt:eecho:three")
        assert one.lines(2) == [b"" if action == "empty" else b"odd-one", b"after"]
        assert two.lines(2) == [b"two", b"three"]
    assert site.board("msul1").child.links_opened == 1


@pytest.mark.parametrize("said", ["a line nobody asked for", "con_lost", ""])
def test_a_line_on_an_idle_link_ends_it(site: Site, said: str) -> None:
    peer = site.peer("msul1")
    start(site)
    peer.order(say=said)
    wait_until(lambda: site.board("msul1").child.links_opened == 2, 10, "the next link")
    assert "a reply that nobody asked for" in site.log_text()
    check_alive(site, site.child("msul1"))


def test_a_second_copy_that_comes_later_ends_the_link(site: Site) -> None:
    site.peer("msul1", "on echo:bad*=again:150@1")
    start(site)
    with site.connect("msul1") as client:
        assert client.ask(b"echo:bad") == b"bad"
        wait_until(lambda: site.board("msul1").child.links_opened == 2, 10, "the next link")
        assert client.ask(b"echo:next") == b"next"


# --- frames ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", sorted(BROKEN_FRAMES))
def test_a_frame_that_cannot_be_decoded_costs_its_client_con_lost_and_nothing_else(site: Site, frame: str) -> None:
    site.peer("msul1", f"on *bad*=enc:{frame}")
    start(site)
    child = site.child("msul1")
    with site.connect("msul1") as one, site.connect("msul1") as two:
        one.send(b"echo:1", b"encrypt:echo:bad", b"echo:bad2", b"encrypt:eecho:2")
        two.send(b"echo:3", b"echo:4")
        assert one.lines(4) == [b"1", b"con_lost", b"con_lost", b"2"]
        assert two.lines(2) == [b"3", b"4"]
    assert site.board("msul1").child.links_opened == 1
    site.wait_log("WARNING: An enc: reply could not be decoded")
    assert "0123456789abcde" not in site.log_text()
    check_alive(site, child)


@pytest.mark.parametrize(
    "frame",
    ["enc:0:0000000000000000", "enc:99999999999999999999:00", "enc:1:00", "enc: 1:0000000000000000", "enc"],
)
def test_other_frames_of_the_peer(site: Site, frame: str) -> None:
    site.peer("msul1", f"on echo:bad=reply:{frame}")
    start(site)
    with site.connect("msul1") as client:
        line = client.ask(b"echo:bad")
        assert line in ({"enc:0:0000000000000000": b"", "enc": b"enc"}.get(frame), b"con_lost")
        assert client.ask(b"echo:next") == b"next"
    assert site.board("msul1").child.links_opened == 1


# --- tiny segments ---------------------------------------------------------------------------------------


def test_one_byte_segments_both_ways_from_the_first_byte(site: Site) -> None:
    proxy = site.proxy("msul1")
    site.peer("msul1")
    proxy.order(slice=1)
    start(site)
    with site.connect("msul1") as one, site.connect("msul1") as two:
        for number in range(20):
            one.send(b"echo:one-%d" % number, b"encrypt:eecho:secret-%d" % number)
            two.send(b"echo:" + b"y" * (100 + number))
        for number in range(20):
            assert one.lines(2, 20) == [b"one-%d" % number, b"secret-%d" % number]
            assert two.line(20) == b"y" * (100 + number)
    assert site.board("msul1").child.links_opened == 1


@pytest.mark.parametrize("size", [3, 1000])
def test_long_lines_in_small_segments(site: Site, size: int) -> None:
    proxy = site.proxy("msul1")
    site.peer("msul1")
    start(site)
    proxy.order(slice=size)
    text = b"0123456789" * (size * 1500 // 10)
    with site.connect("msul1") as client:
        assert client.ask(b"echo:" + text, 30) == text
        assert client.ask(b"encrypt:eecho:" + text[:2000], 30) == text[:2000]
        assert client.ask(b"echo:", 10) == b""
    assert site.board("msul1").child.links_opened == 1


def test_one_flipped_bit_is_never_a_crash(site: Site, tally: Tally) -> None:
    """Row 23 in small: a bit of the dialogue or of a reply; the child lives, later requests are right."""
    proxy = site.proxy("msul1")
    site.peer("msul1")
    site.write_config(loncRequestTimeout="1", loncInitTimeout="1")
    start(site)
    child = site.child("msul1")
    for position in (0, 3, 7, 20, 60, 90):
        proxy.order(flip=position)
        with site.connect("msul1") as client:
            assert client.ask(b"echo:abcdefghij", 10) is not None
            client.ask(b"encrypt:eecho:abcdefghij", 10)
        tally.add(inputs=2, faults=1)
    proxy.order(flip=-1)
    wait_until(lambda: site.ask("msul1", b"echo:x") == b"x", 15, "a link that works")
    check_alive(site, child)
