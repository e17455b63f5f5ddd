"""Row 12 from end to end: every kind of line a client may send, in one connection after another (P9, P12, P13).

Whatever the bytes: each complete line has one reply, its own, and another client beside it notices nothing. Lines
of 16 MiB and what is longer are in tests/process/test_limits.py.
"""

from __future__ import annotations

import random

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Client, Site
from tests.proof.tally import Tally

HIGH = bytes(range(128, 256))
CONTROL = bytes(number for number in range(32) if number != 10)
LINES = {
    "NUL": b"echo:\0\0a\0",
    "all but newline": b"echo:" + CONTROL + bytes(range(32, 256)),
    "high bytes": b"echo:" + HIGH,
    "broken UTF-8": b"echo:\xc3\x28\xff\xfe\xf0\x9f",
    "CR before the newline": b"echo:with CR\r",
    "CR alone": b"echo:\r",
    "CR within": b"echo:a\rb",
    "blanks around": b"echo:  a  ",
    "tabs": b"echo:\t\t",
    "escapes of a terminal": b"echo:\x1b[31mred\x1b]0;title\x07",
    "what looks like HTML": b"echo:<script>alert(1)</script>&amp;",
    "what looks like a reply": b"echo:con_lost",
    "colons": b"echo::::",
    "empty text": b"echo:",
    "a line of the size of a read": b"echo:" + b"x" * (65536 - 6),
    "one byte more than a read": b"echo:" + b"x" * (65536 - 5),
}
# Lines that the peer answers in its own way: with anything but nothing.
OTHERS = {
    "nothing": b"", "one blank": b" ", "blanks": b"    ", "CR LF alone": b"\r", "NUL alone": b"\0",
    "unknown": b"nonsense", "high bytes alone": HIGH, "a colon": b":", "encrypt: with nothing": b"encrypt:",
    "encrypt: with blanks": b"encrypt:   ", "encrypt: twice": b"encrypt:encrypt:ping", "a frame": b"enc:5:00",
    "a reply that is a frame": b"echo:enc:5:0123456789abcdef",
    "init": b"init", "the word exit in a line": b"exitx", "a shell": b"$(reboot)`id`;|&",
}  # fmt: skip


@pytest.fixture
def talking(make_site: MakeSite) -> Site:
    site = make_site(settings={"loncRequestTimeout": "20"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


def beside(other: Client, number: int) -> None:
    """Another client has its own reply meanwhile."""
    word = b"beside %d" % number
    assert other.ask(b"echo:" + word, 20) == word


def test_every_kind_of_line_has_its_own_reply(talking: Site, tally: Tally) -> None:
    child = talking.child("msul1")
    with talking.connect("msul1") as other:
        for number, (kind, line) in enumerate(LINES.items()):
            wanted = line.partition(b":")[2]
            with talking.connect("msul1") as client:
                client.send(b"echo:before", line, b"encrypt:e" + line, b"echo:behind")
                found = client.lines(4, 20)
            assert found == [b"before", wanted, wanted, b"behind"], kind
            beside(other, number)
            tally.add(inputs=5, faults=1)
        for number, (kind, line) in enumerate(OTHERS.items()):
            with talking.connect("msul1") as client:
                client.send(b"echo:before", line, b"echo:behind")
                found = client.lines(3, 20)
            assert found[0::2] == [b"before", b"behind"], (kind, found)
            assert found[1] is not None, kind
            beside(other, number)
            tally.add(inputs=4, faults=1)
    assert talking.child("msul1") == child
    assert talking.board("msul1").child.links_opened == 1
    assert "\x1b" not in talking.log_text()


def test_lines_without_their_newline_are_no_requests(talking: Site, tally: Tally) -> None:
    """Whoever goes in the middle of a line has asked nothing, and nobody gets the rest of it."""
    with talking.connect("msul1") as other:
        before = len(talking.peers["msul1"].executed())
        for number, line in enumerate([*LINES.values(), *OTHERS.values()]):
            with talking.connect("msul1") as client:
                client.send_raw(line)
                if number % 2:
                    client.half_close()
                    client.wait_closed()
            beside(other, number)
            tally.add(inputs=2, faults=1)
        executed = talking.peers["msul1"].executed()[before:]
    assert executed == [f"echo:beside {number}" for number in range(len(LINES) + len(OTHERS))]


def test_the_whole_corpus_cut_anywhere(talking: Site, tally: Tally) -> None:
    """All lines in one connection, in writes of any size: the same replies in the same order."""
    chance = random.Random(12)
    lines = list(LINES.values()) * 2
    chance.shuffle(lines)
    data = b"".join(line + b"\n" for line in lines)
    with talking.connect("msul1", 30) as client:
        at = 0
        while at < len(data):
            size = chance.choice((1, 2, 7, 100, 5000, 70000))
            client.send_raw(data[at : at + size])
            at += size
        assert client.lines(len(lines), 30) == [line.partition(b":")[2] for line in lines]
    tally.add(inputs=len(lines), faults=1)
