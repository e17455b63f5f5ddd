"""Owns the cases for a lond on lines: one reply for each request, in order."""

from __future__ import annotations

from tests.conformance.lond_stage import BOOK, LondStage
from tests.conformance.model import expect, require

UNASKED_S = 0.1
case = BOOK.case


@case("1.51", "Each request has one reply line.")
def one_reply(stage: LondStage) -> None:
    """Check that nothing follows a reply."""
    link = stage.link()
    link.ask(b"ping")
    link.fill(UNASKED_S)
    link.nothing_yet("the request has its reply")


@case("1.52", "The n-th reply answers the n-th request.")
def in_order(stage: LondStage) -> None:
    """Check requests that differ in their replies."""
    link = stage.link()
    own = link.ask(b"ping")
    for _ in range(3):
        expect(link.ask(stage.mark()), b"unknown_cmd")
        expect(link.ask(b"ping"), own)


@case("1.53", "Requests that are written before the first reply is read are all answered, in order.")
def pipelined(stage: LondStage) -> None:
    """Check sixty requests in one write."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(*[b"ping", stage.mark()] * 30)
    for _ in range(30):
        link.expect(own)
        link.expect(b"unknown_cmd")


@case("1.54", "An empty line is a request and has a reply of its own.")
def empty_line(stage: LondStage) -> None:
    """Check the reply behind it."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(b"", b"ping")
    link.line("a reply to the empty line")
    link.expect(own)


@case("1.55", "A request that arrives in pieces is one request.")
def in_pieces(stage: LondStage) -> None:
    """Check single bytes."""
    link = stage.link()
    own = link.ask(b"ping")
    for code in b"ping\n":
        link.raw(bytes([code]))
    link.expect(own)


@case("1.56", "A request may hold any byte but the newline; it is one request.")
def any_byte(stage: LondStage) -> None:
    """Check all byte values in an unknown command."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(stage.mark() + bytes(code for code in range(256) if code != 10), b"ping")
    expect(link.line("a reply"), b"unknown_cmd")
    link.expect(own)


@case("1.57", "A carriage return ends no line.")
def carriage_return(stage: LondStage) -> None:
    """Check CR in the middle and at the end."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(stage.mark() + b"\rping\r", b"ping")
    link.line("one reply")
    link.expect(own)


@case("1.58", "A line without its newline at the client's end of file has no reply.")
def unfinished(stage: LondStage) -> None:
    """Check half a request and the end of file."""
    link = stage.link()
    link.ask(b"ping")
    link.raw(b"ping")
    link.half_close()
    link.end()


@case("1.59", "A request may be long.")
def long_request(stage: LondStage) -> None:
    """Check 200,000 bytes of an unknown command, or half of what this lond allows."""
    size = min(200_000, stage.target.max_line // 2 or 200_000)
    expect(stage.link().ask(stage.mark() + b":" + b"x" * size), b"unknown_cmd")


@case("1.60", "Several connections of one client are served side by side.")
def side_by_side(stage: LondStage) -> None:
    """Check that none waits for the end of another."""
    links = [stage.link() for _ in range(3)]
    require(len({link.ask(b"ping") for link in reversed(links)}) == 1, "one id", "several")


@case("1.61", "A client that breaks off in the middle of a line costs the others nothing.")
def broken_off(stage: LondStage) -> None:
    """Check a reset."""
    staying, leaving = stage.link(), stage.link()
    own = staying.ask(b"ping")
    leaving.raw(b"pin")
    leaving.reset()
    expect(staying.ask(b"ping"), own)
    expect(stage.link().ask(b"ping"), own)


@case("1.62", "A client that ends what it sends gets the replies to its whole lines, then the end.")
def half_close(stage: LondStage) -> None:
    """Check three requests and the end of file behind them."""
    link = stage.link()
    link.send(b"ping", stage.mark(), b"ping")
    link.half_close()
    own = link.line("a reply to ping")
    link.expect(b"unknown_cmd")
    link.expect(own)
    link.end()


@case("1.63", "Replies to requests in one segment are each a line of their own.")
def one_segment(stage: LondStage) -> None:
    """Check three requests of which the last arrives in two pieces."""
    link = stage.link()
    link.raw(b"ping\nping\npi")
    own = link.line("a reply to ping")
    link.expect(own)
    link.raw(b"ng\n")
    link.expect(own)


@case("1.64", "A command above the limit is an error; the connection goes on.", ours="D85", needs=("max_line",))
def too_long(stage: LondStage) -> None:
    """Check that it keeps its place among the requests."""
    link = stage.link()
    own = link.ask(b"ping")
    link.send(b"x" * (stage.target.max_line + 1), b"ping")
    reply = link.line("an error")
    require(reply.startswith(b"error:"), "a line that begins error:", reply)
    link.expect(own)
