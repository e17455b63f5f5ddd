"""Owns the cases for a lonc on escaped data and on words: what it passes on, and the one word that it says."""

from __future__ import annotations

from tests.conformance.lonc_stage import BOOK, CON_LOST, LoncStage
from tests.conformance.model import require

WORDS = (
    b"ok", b"found", b"not_found", b"not_home", b"refused", b"rejected", b"unknown_cmd", b"not_subscribed",
    b"directory", b"bye", b"error: no such file", b"no_such_host", b"con_delayed", b"self_reply",
)  # fmt: skip
case = BOOK.case


def passes(stage: LoncStage, reply: bytes) -> None:
    """Check that a client gets this reply, and the right one behind it."""
    stage.ready()
    client = stage.client()
    stage.exchange(client, stage.mark(), reply)
    stage.exchange(client, stage.mark(), b"the next")


@case("5.1", "Escaped data of a request passes as it is, in either case of its digits.")
def escaped_request(stage: LoncStage) -> None:
    """Check that nothing is decoded or written in another case."""
    stage.ready()
    stage.exchange(stage.client(), b"put:msu:joe:ns:k%3a%3D=v%0A%0a%25&%=%zz", b"ok")


@case("5.2", "Escaped data of a reply passes as it is.")
def escaped_reply(stage: LoncStage) -> None:
    """Check a reply with both cases."""
    passes(stage, b"a%20b=c%2Fd%2f&%0a=%0A")


@case("5.3", "Structure characters pass as they are.")
def structure(stage: LoncStage) -> None:
    """Check `:`, `&` and `=` where they mean nothing."""
    stage.ready()
    stage.exchange(stage.client(), b":&=::&&==", b"=&:")


@case("5.4", "Escaped data of an encrypted request passes as it is.")
def escaped_frame(stage: LoncStage) -> None:
    """Check that encryption changes nothing in the text."""
    stage.ready()
    client = stage.client()
    client.send(b"encrypt:auth:msu:joe:a%3a%3D%0A")
    heard = stage.heard()
    try:
        text = heard.link.cipher.text(heard.line)
    except ValueError:
        text = heard.line
    heard.link.send(b"authorized")
    client.expect(b"authorized")
    require(text == b"auth:msu:joe:a%3a%3D%0A", "the escaped text", text)


@case("6.1", "Without a link the answer is `con_lost`.")
def no_link(stage: LoncStage) -> None:
    """Check a lond that cannot be reached, for three requests of one client."""
    stage.ready()
    client = stage.client()
    client.limit_s += stage.target.grace_s
    stage.away()
    for _ in range(3):
        client.send(stage.mark())
        client.expect(CON_LOST)
    stage.back()
    stage.ready()


@case("6.2", "Words of lond, failures as well, reach the client as they are.")
def words(stage: LoncStage) -> None:
    """Check the fixed words."""
    stage.ready()
    client = stage.client()
    for word in WORDS:
        stage.exchange(client, stage.mark(), word)


@case("6.3", "An empty reply reaches the client as an empty line.", ours="D37")
def empty_reply(stage: LoncStage) -> None:
    """Check that lonc makes no `con_lost` of it."""
    passes(stage, b"")


@case("6.4", "The reply `0` is a reply.", ours="D37")
def zero(stage: LoncStage) -> None:
    """Check that it is not taken for nothing."""
    passes(stage, b"0")


@case("6.5", "A reply `con_lost` of lond's own is passed on, and the link stays.")
def foreign_con_lost(stage: LoncStage) -> None:
    """Check that the word alone loses no link."""
    link = stage.ready()
    client = stage.client()
    stage.exchange(client, stage.mark(), CON_LOST)
    after = stage.exchange(client, stage.mark(), b"the next")
    require(after in (link, *stage.links), "the next request on a link that was there", "a new link")


@case("6.6", "After a `con_lost` the same client's next request has its own reply.", ours="D33")
def after_con_lost(stage: LoncStage) -> None:
    """Check that the word does not stay in a buffer."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    stage.hear(mark).reset()
    client.expect(CON_LOST)
    stage.ready()
    stage.exchange(client, stage.mark(), b"the first reply")
    stage.exchange(client, stage.mark(), b"the second reply")
