"""Owns the cases for a lonc on links that are lost: who gets `con_lost`, and that nothing is sent twice."""

from __future__ import annotations

import contextlib

from tests.conformance.lonc_stage import BOOK, CON_LOST, LoncStage
from tests.conformance.model import MismatchError, require, shown

UNASKED_S = 0.1
case = BOOK.case


@case("8.1", "A link lost with a request under way: its client gets `con_lost`, once.")
def lost_in_flight(stage: LoncStage) -> None:
    """Check that one request has one answer."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    stage.hear(mark).close()
    client.expect(CON_LOST)
    client.fill(UNASKED_S)
    client.nothing_yet("it has its answer")


@case("8.2", "The same when the connection is reset.")
def reset_in_flight(stage: LoncStage) -> None:
    """Check RST in place of the end of file."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    stage.hear(mark).reset()
    client.expect(CON_LOST)


@case("8.3", "What has been sent once is not sent again on a new link.")
def never_twice(stage: LoncStage) -> None:
    """Check that the next thing heard is another request."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    stage.hear(mark).close()
    client.expect(CON_LOST)
    stage.ready(never=mark)


@case("8.4", "Of several requests under way on a lost link each gets one `con_lost`.", ours="D30")
def all_in_flight(stage: LoncStage) -> None:
    """Check several clients, one of them with several requests."""
    stage.ready()
    clients = [stage.client() for _ in range(8)]
    for client in clients:
        client.send(stage.mark(), stage.mark())
    links = [stage.heard().link for _ in range(16)]
    for link in links:
        link.close()
    for client in clients:
        client.expect(CON_LOST)
        client.expect(CON_LOST)


@case("8.5", "Replies that came before the link was lost are delivered; only the rest is `con_lost`.", ours="D30")
def some_answered(stage: LoncStage) -> None:
    """Check two replies of three, and the end of file in the same moment."""
    stage.ready()
    client, marks = stage.client(), [stage.mark() for _ in range(3)]
    client.send(*marks)
    links = [stage.hear(mark) for mark in marks]
    if any(link is not links[0] for link in links):
        raise MismatchError("one client's requests on one link", "several links")
    links[0].send(b"first", b"second")
    links[0].close()
    client.expect(b"first")
    client.expect(b"second")
    client.expect(CON_LOST)


@case("8.6", "A reply without its newline at the end of the connection is no reply.")
def half_reply(stage: LoncStage) -> None:
    """Check that the client gets `con_lost` and nothing of the half."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    link.raw(b"half of a reply")
    link.close()
    client.expect(CON_LOST)


@case("8.7", "A lost link is dialed again.")
def dialed_again(stage: LoncStage) -> None:
    """Check that requests are answered afterwards, three times over."""
    for _ in range(3):
        stage.ready()
        stage.hang_up()
    stage.ready()


@case("8.8", "A link that lond closes while nothing is under way is dialed again before anybody asks.", ours="D25")
def idle_end(stage: LoncStage) -> None:
    """Check that the end is noticed without a request."""
    stage.ready()
    stage.hang_up()
    stage.join(stage.dialed().dialogue())


@case("8.9", "A lond that comes back after it could not be reached is found.")
def comes_back(stage: LoncStage) -> None:
    """Check a dial that was refused."""
    stage.ready()
    stage.away()
    client = stage.client()
    client.limit_s += stage.target.grace_s
    client.send(stage.mark())
    client.expect(CON_LOST)
    stage.back()
    stage.ready()


@case("8.10", "A request that comes while there is no link waits for the grace, and goes when the link is ready.",
      ours="D23", needs=("patient",))  # fmt: skip
def grace(stage: LoncStage) -> None:
    """Check a request made during the dialogue."""
    stage.ready()
    link = stage.redialed().until(b"ekey")
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    client.fill(UNASKED_S)
    client.nothing_yet("the grace runs")
    link.send(link.build_key)
    stage.join(link)
    stage.hear(mark).send(b"ok")
    client.expect(b"ok")


@case("8.11", "A line that nobody asked for ends the link: later replies might be somebody else's.", ours="D59")
def unasked(stage: LoncStage) -> None:
    """Check a line on an idle link."""
    link = stage.ready()
    stage.drop(link)
    link.send(b"nobody asked")
    link.end()
    stage.ready()


@case("8.12", "A reply too many ends the link, and nobody gets it.", ours="D59")
def one_reply_too_many(stage: LoncStage) -> None:
    """Check two replies to one request."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    stage.drop(link)
    link.raw(b"the reply\none too many\n")
    answer = client.line("the reply")
    require(answer in (b"the reply", CON_LOST), "the reply, or con_lost", shown(answer))
    link.end()
    stage.ready()
    stage.exchange(stage.client(), stage.mark(), b"another")


@case("8.13", "The beginning of a line that nobody asked for ends the link as well.", ours="D59")
def unasked_beginning(stage: LoncStage) -> None:
    """Check some bytes without a newline."""
    link = stage.ready()
    stage.drop(link)
    link.raw(b"nob")
    link.end()
    stage.ready()


@case("8.14", "A request that has no answer in time is `con_lost`; its link is closed and carries no other.",
      ours="D26", needs=("request_timeout_s",))  # fmt: skip
def timed_out(stage: LoncStage) -> None:
    """Check that a late reply cannot reach anybody."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.limit_s += 2 * stage.target.request_timeout_s
    client.send(mark)
    link = stage.hear(mark)
    link.limit_s += 2 * stage.target.request_timeout_s
    client.expect(CON_LOST)
    stage.drop(link)
    link.end()
    stage.ready()


@case("8.15", "Everything under way on a link on which a request timed out is `con_lost`.", ours="D26",
      needs=("request_timeout_s",))  # fmt: skip
def timed_out_others(stage: LoncStage) -> None:
    """Check three clients on one link."""
    stage.ready()
    clients = [stage.client() for _ in range(3)]
    for client in clients:
        client.limit_s += 2 * stage.target.request_timeout_s
        client.send(stage.mark())
    for _ in clients:
        stage.heard()
    for client in clients:
        client.expect(CON_LOST)
    stage.ready()


@case("8.16", "The limit runs to the end of a reply, however slowly it drips.", ours="D26",
      needs=("request_timeout_s",))  # fmt: skip
def dripping(stage: LoncStage) -> None:
    """Check a reply that never ends, a byte at a time."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    stage.drop(link)
    for _ in range(200 + round(20 * stage.target.request_timeout_s)):
        if link.fill(0.1):
            break
        with contextlib.suppress(MismatchError):  # closed since the look: the next one sees it
            link.raw(b".")
    require(link.eof, "that the link is closed", "a link that drips on")
    client.expect(CON_LOST)
    stage.ready()
