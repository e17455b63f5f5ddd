"""Owns the cases for a lonc on lines: what is a request, what is a reply, and which belongs to which."""

from __future__ import annotations

from tests.conformance.lonc_stage import BOOK, LoncStage
from tests.conformance.model import expect

ALL_BYTES = bytes(code for code in range(256) if code != 10)
case = BOOK.case


@case("1.1", "A line of a client goes to lond as one line, and lond's line comes back as its reply.")
def one_line(stage: LoncStage) -> None:
    """Check one exchange."""
    stage.ready()
    stage.exchange(stage.client(), stage.mark(), b"a reply")


@case("1.2", "Requests of two clients have each its own reply.")
def own_replies(stage: LoncStage) -> None:
    """Check that replies are matched to requests by their order alone."""
    stage.ready()
    clients = [(stage.client(), stage.mark()) for _ in range(2)]
    for client, mark in clients:
        client.send(mark)
    for _ in clients:
        heard = stage.heard()
        heard.link.send(b"for " + heard.line)
    for client, mark in clients:
        client.expect(b"for " + mark)


@case("1.3", "Every byte but the newline reaches lond as it was sent: NUL, controls, and those above 127.")
def bytes_to_lond(stage: LoncStage) -> None:
    """Check all byte values in a request."""
    stage.ready()
    stage.exchange(stage.client(), b"bytes:" + ALL_BYTES, b"ok")


@case("1.4", "Every byte but the newline reaches the client as lond sent it.")
def bytes_to_client(stage: LoncStage) -> None:
    """Check all byte values in a reply."""
    stage.ready()
    stage.exchange(stage.client(), stage.mark(), b"bytes:" + ALL_BYTES)


@case("1.5", "A carriage return is a byte like any other and ends no line.")
def carriage_return(stage: LoncStage) -> None:
    """Check CR at the end and in the middle, both ways."""
    stage.ready()
    client = stage.client()
    stage.exchange(client, stage.mark() + b"\r", b"a reply\r")
    stage.exchange(client, b"one\rtwo:" + stage.mark(), b"three\rfour")


@case("1.6", "Blanks and tabs at the beginning and at the end of a line stay.")
def outer_blanks(stage: LoncStage) -> None:
    """Check that nothing is trimmed."""
    stage.ready()
    stage.exchange(stage.client(), b" \t" + stage.mark() + b" \t ", b"\t a reply \t")


@case("1.7", "An empty line is a request with a reply of its own, and the next reply belongs to the next request.")
def empty_line(stage: LoncStage) -> None:
    """Check that an empty request is neither dropped nor answered by lonc."""
    stage.ready()
    client = stage.client()
    stage.exchange(client, b"", b"unknown_cmd")
    stage.exchange(client, stage.mark(), b"the next")


@case("1.8", "A line of blanks alone is a request like any other.")
def line_of_blanks(stage: LoncStage) -> None:
    """Check that blanks are not taken for nothing."""
    stage.ready()
    stage.exchange(stage.client(), b"   ", b"unknown_cmd")


@case("1.9", "What a client leaves without a newline when it ends is no request.")
def unfinished_line(stage: LoncStage) -> None:
    """Check that the rest of a client that closes never reaches lond."""
    stage.ready()
    leaving = stage.client()
    leaving.raw(b"unfinished:" + stage.mark())
    leaving.close()
    for _ in range(2):
        stage.exchange(stage.client(), stage.mark(), b"ok")


@case("1.10", "A complete line before an unfinished one is a request all the same.")
def complete_before_unfinished(stage: LoncStage) -> None:
    """Check that only the rest is dropped."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.raw(mark + b"\nunfinished:" + stage.mark())
    stage.hear(mark).send(b"ok")
    client.expect(b"ok")
    client.close()
    for _ in range(2):
        stage.exchange(stage.client(), stage.mark(), b"ok")


@case("1.11", "A reply may be very long.")
def long_reply(stage: LoncStage) -> None:
    """Check a reply of long_bytes."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    reply = (b"0123456789abcde&" * (stage.target.long_bytes // 16 + 1))[: stage.target.long_bytes]
    client.send(mark)
    stage.hear(mark).send(reply)
    expect(client.line("a long reply"), reply)


@case("1.12", "A request may be longer than any buffer on its way.")
def long_request(stage: LoncStage) -> None:
    """Check a request of 256 KiB, or half of what this lonc allows."""
    stage.ready()
    size = min(1 << 18, stage.target.max_line // 2) if stage.target.max_line else 1 << 18
    stage.exchange(stage.client(), b"put:" + stage.mark() + b":" + b"x" * size, b"ok")


@case("1.13", "A reply that arrives in pieces is one reply.")
def reply_in_pieces(stage: LoncStage) -> None:
    """Check a reply that comes byte by byte, the newline last."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    for code in b"in pieces\n":
        link.raw(bytes([code]))
    client.expect(b"in pieces")


@case("1.14", "A request that a client writes in pieces is one request.")
def request_in_pieces(stage: LoncStage) -> None:
    """Check a request that comes byte by byte while another client asks."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.raw(mark[:3])
    stage.exchange(stage.client(), stage.mark(), b"meanwhile")
    for code in mark[3:]:
        client.raw(bytes([code]))
    client.raw(b"\n")
    stage.hear(mark).send(b"ok")
    client.expect(b"ok")


@case("1.15", "Two replies that arrive together are two replies.", ours="D30")
def two_replies_at_once(stage: LoncStage) -> None:
    """Check two replies in one segment, the second of them followed by a request."""
    link = stage.ready()
    client, marks = stage.client(), [stage.mark(), stage.mark()]
    client.send(*marks)
    for mark in marks:
        link = stage.hear(mark)
    link.raw(b"first\nsecond\n")
    client.expect(b"first")
    client.expect(b"second")


@case("1.16", "Several requests of one client are written before the first reply is there.", ours="D30")
def pipelined(stage: LoncStage) -> None:
    """Check that all lines of one write reach lond while it answers none, and the order of the replies."""
    stage.ready()
    client, marks = stage.client(), [stage.mark() for _ in range(stage.target.many)]
    client.send(*marks)
    links = [stage.hear(mark) for mark in marks]
    for link, mark in zip(links, marks, strict=True):
        link.send(b"for " + mark)
    for mark in marks:
        client.expect(b"for " + mark)


@case("1.17", "Requests of many clients are under way at the same time.", ours="D30")
def many_under_way(stage: LoncStage) -> None:
    """Check that lond hears all of them before it answers any."""
    stage.ready()
    asked = {stage.mark(): stage.client() for _ in range(stage.target.many)}
    for mark, client in asked.items():
        client.send(mark)
    heard = [stage.heard() for _ in asked]
    for one in heard:
        one.link.send(b"for " + one.line)
    for mark, client in asked.items():
        client.expect(b"for " + mark)


@case("1.18", "The lines that a client writes at once are carried out and answered in their order.")
def in_order(stage: LoncStage) -> None:
    """Check twenty lines, each answered as it comes."""
    stage.ready()
    client, marks = stage.client(), [stage.mark() for _ in range(20)]
    client.send(*marks)
    for mark in marks:
        stage.hear(mark).send(b"for " + mark)
    for mark in marks:
        client.expect(b"for " + mark)
