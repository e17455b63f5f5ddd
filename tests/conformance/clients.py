"""Owns the cases for a lonc on its clients: that what one does costs the others nothing."""

from __future__ import annotations

from tests.conformance.lonc_stage import BOOK, CON_LOST, LoncStage
from tests.conformance.model import expect, require

case = BOOK.case


@case("7.1", "A client that hangs up before its reply takes it along; the next reply goes to who asked for it.")
def hang_up(stage: LoncStage) -> None:
    """Check that the order of replies survives a client."""
    stage.ready()
    leaving, staying, mark = stage.client(), stage.client(), stage.mark()
    leaving.send(mark)
    link = stage.hear(mark)
    leaving.close()
    staying.send(stage.mark())
    link.send(b"for who has left")
    stage.heard().link.send(b"for who stays")
    staying.expect(b"for who stays")


@case("7.2", "A client that hangs up with many requests under way costs nobody anything.", ours="D30")
def hang_up_many(stage: LoncStage) -> None:
    """Check a client that leaves in the middle of its replies."""
    stage.ready()
    leaving, marks = stage.client(), [stage.mark() for _ in range(stage.target.many)]
    leaving.send(*marks)
    links = [stage.hear(mark) for mark in marks]
    links[0].send(b"first")
    leaving.expect(b"first")
    leaving.close()
    for link in links[1:]:
        link.send(b"nobody's")
    stage.exchange(stage.client(), stage.mark(), b"the next")


@case("7.3", "A client that ends what it sends and stays to read gets its replies, then the end.", ours="D32")
def half_close(stage: LoncStage) -> None:
    """Check two complete lines and the end of file behind them."""
    stage.ready()
    client, marks = stage.client(), [stage.mark(), stage.mark()]
    client.send(*marks)
    client.half_close()
    for mark in marks:
        stage.hear(mark).send(b"for " + mark)
    for mark in marks:
        client.expect(b"for " + mark)
    client.end()


@case("7.4", "A client that ends what it sends before it has asked anything is closed.")
def half_close_empty(stage: LoncStage) -> None:
    """Check the end of file without a line."""
    stage.ready()
    client = stage.client()
    client.half_close()
    client.end()
    stage.exchange(stage.client(), stage.mark(), b"ok")


@case("7.5", "Many clients may be connected at once, and each is served.", ours="D35")
def many_clients(stage: LoncStage) -> None:
    """Check that all can connect before one asks."""
    stage.ready()
    for client in [stage.client() for _ in range(stage.target.many)]:
        stage.exchange(client, stage.mark(), b"ok")


@case("7.6", "A client that says nothing, or half a line, keeps nobody waiting.")
def idle_clients(stage: LoncStage) -> None:
    """Check a silent client and an unfinished one beside a third."""
    stage.ready()
    stage.client()
    stage.client().raw(b"half a line")
    stage.exchange(stage.client(), stage.mark(), b"ok")


@case("7.7", "A client that does not read its replies keeps nobody waiting.", ours="D33")
def unread(stage: LoncStage) -> None:
    """Check more replies than the kernel holds for one client, beside another."""
    stage.ready()
    lazy, marks, reply = stage.client(), [stage.mark() for _ in range(4)], b"r" * (1 << 19)
    lazy.send(*marks)
    links = [stage.hear(mark) for mark in marks]
    for link in links:
        link.send(reply)
    stage.exchange(stage.client(), stage.mark(), b"meanwhile")
    for _ in marks:
        expect(lazy.line("the replies"), reply)


@case("7.8", "No part of a reply reaches its client before all of it is there.", ours="D26")
def whole_replies(stage: LoncStage) -> None:
    """Check that a reply that breaks off leaves no half line behind."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    link.raw(b"half of a rep")
    client.fill(0.1)
    client.nothing_yet("half of the reply is here")
    link.reset()
    client.expect(CON_LOST)


@case("7.9", "`ping` and the other words of the dialogue are ordinary requests on a link that is ready.")
def dialogue_words(stage: LoncStage) -> None:
    """Check that lonc keeps none of them for itself."""
    stage.ready()
    client = stage.client()
    for word in (b"ping", b"pong", b"version:x", b"load", b"enc", b"init"):
        stage.exchange(client, word, b"for " + word)


@case("7.10", "`exit` of a client goes to lond, and its `bye` to the client.")
def client_exit(stage: LoncStage) -> None:
    """Check the word that the original's parent says through the child's socket."""
    stage.ready()
    stage.exchange(stage.client(), b"exit", b"bye")


@case("7.11", "`close_connection_exit` ends child and link; its sender gets no line, only the end.", ours="D34")
def close_connection_exit(stage: LoncStage) -> None:
    """Check that the peer is served by a new child afterwards."""
    link = stage.ready()
    stage.drop(link)
    client = stage.client()
    client.send(b"close_connection_exit")
    client.end()
    if link.fill(link.limit_s) and link.rest:  # it may say good-bye
        require(link.line("exit") == b"exit", "exit, or nothing", "another line")
        link.send(b"bye")
    link.end()
    stage.ready()


@case("7.12", "A line that only begins like `close_connection_exit` is a request like any other.")
def nearly_exit(stage: LoncStage) -> None:
    """Check two such lines."""
    stage.ready()
    client = stage.client()
    stage.exchange(client, b"close_connection_exits", b"unknown_cmd")
    stage.exchange(client, b"close_connection_exit:", b"unknown_cmd")


@case("7.13", "A request above the limit is an error for its client alone, which is closed.", ours="D31",
      needs=("max_line",))  # fmt: skip
def long_line(stage: LoncStage) -> None:
    """Check one byte too many, and that nothing of it reaches lond."""
    stage.ready()
    other, client = stage.client(), stage.client()
    client.raw(b"x" * (stage.target.max_line + 1) + b"\n")
    answer = client.line("an error")
    require(answer.startswith(b"error: request longer than"), "error: request longer than ...", answer)
    client.end()
    stage.exchange(other, stage.mark(), b"ok")


@case("7.14", "A request of just the limit is sent.", ours="D31", needs=("max_line",))
def longest_line(stage: LoncStage) -> None:
    """Check the longest request."""
    stage.ready()
    stage.exchange(stage.client(), b"x" * stage.target.max_line, b"ok")


@case("7.15", "An endless line without a newline is refused, too.", ours="D31", needs=("max_line",))
def endless_line(stage: LoncStage) -> None:
    """Check that no memory can be filled by one line."""
    stage.ready()
    client = stage.client()
    client.raw(b"x" * (stage.target.max_line + 65536))
    answer = client.line("an error")
    require(answer.startswith(b"error: request longer than"), "error: request longer than ...", answer)
    stage.exchange(stage.client(), stage.mark(), b"ok")


@case("7.16", "A reply above the limit is `con_lost` for its client alone; the link stays.", ours="D31",
      needs=("max_reply",))  # fmt: skip
def too_long_reply(stage: LoncStage) -> None:
    """Check that it is swallowed up to its newline."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    link.send(b"r" * (stage.target.max_reply + 4096))
    client.expect(CON_LOST)
    after = stage.exchange(stage.client(), stage.mark(), b"the next")
    require(after is link, "the next request on the same link", "another link")


@case("7.17", "A long `encrypt:` line is measured as its command, not as its frame.", ours="D31",
      needs=("max_line",))  # fmt: skip
def long_frame(stage: LoncStage) -> None:
    """Check a command whose frame is longer than the limit."""
    stage.ready()
    client, command = stage.client(), b"x" * (stage.target.max_line * 3 // 4)
    client.send(b"encrypt:" + command)
    heard = stage.heard()
    heard.link.send(b"ok")
    client.expect(b"ok")
    require(heard.line.startswith(b"enc:%d:" % len(command)), f"enc:{len(command)}:", heard.line)
