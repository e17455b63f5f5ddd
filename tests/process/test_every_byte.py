"""Any byte but newline passes unchanged, both ways, at the beginning, in the middle and at the end (P13)."""

from __future__ import annotations

from tests.process.harness import Site

TEXTS = [bytes([number]) + b"x" + bytes([number]) * 2 + b"y" + bytes([number]) for number in range(256)]
TEXTS.remove(b"\nx\n\ny\n")
TEXTS += [b"", b" ", b"\r", b"\0", bytes(number for number in range(256) if number != 10), b"\xff" * 5000]


def test_every_byte_passes_both_ways_at_every_place(talking: Site) -> None:
    with talking.connect("msul1") as client:
        for text in TEXTS:
            assert client.ask(b"echo:" + text) == text
        client.send(*[b"echo:" + text for text in TEXTS])  # many lines in one write
        assert client.lines(len(TEXTS)) == TEXTS
        for text in TEXTS[:32]:  # a line in pieces, cut before and behind such a byte
            client.send_raw(b"echo:")
            client.send_raw(text[:1])
            client.send_raw(text[1:] + b"\n")
            assert client.line() == text
        for text in TEXTS[::5]:
            assert client.ask(b"encrypt:eecho:" + text) == text
