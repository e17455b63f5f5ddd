"""Owns the cases for a lonc on the rows of its opening dialogue, where lond does its part."""

from __future__ import annotations

import re

from tests.conformance.lonc_stage import BOOK, CON_LOST, Link, LoncStage
from tests.conformance.model import MismatchError, UnfitError, expect, require, shown

SILENCE_S = 0.1  # in which a line that must not come would have come; waiting longer finds no more
case = BOOK.case


def silent(link: Link) -> None:
    """Check that nothing comes unasked."""
    link.fill(SILENCE_S)
    link.nothing_yet("the last line has no answer")


def usable(stage: LoncStage, link: Link) -> None:
    """Check that requests go over this link now."""
    stage.join(link)
    mark = stage.mark()
    for _attempt in range(50):  # con_lost is the right answer until lonc has seen the build key
        client = stage.client()
        client.send(mark)
        heard = stage.answered(client, mark)
        if heard is not None:
            require(heard is link, "the request on the new link", "another link")
            return
    raise MismatchError("a usable link", "con_lost for ever")


def opened(stage: LoncStage, *, challenge: bytes = b"") -> Link:
    """Return a new link through the whole dialogue, with this challenge."""
    link = stage.redialed()
    link.challenge = challenge or link.challenge
    return link.dialogue()


def said(link: Link, word: bytes) -> bytes:
    """Return the line of the dialogue that begins with this word. UnfitError when there was none."""
    lines = [line for line in link.said[2:] if line.partition(b":")[0] == word]
    if not lines:
        raise UnfitError(f"it never says {word.decode()}")
    return lines[0]


def goes_on(stage: LoncStage, word: bytes, answer: bytes) -> None:
    """Check that the link becomes usable though this row has this answer."""
    link = stage.redialed().until(word)
    link.send(answer)
    usable(stage, link.dialogue())


@case("2.1", "The first line on a new link is `init`.")
def first_line(stage: LoncStage) -> None:
    """Check the first row, byte for byte."""
    expect(stage.redialed().hear("init"), b"init")


@case("2.2", "The second line is the challenge, byte for byte.")
def echo(stage: LoncStage) -> None:
    """Check a challenge that somebody could be tempted to clean up."""
    usable(stage, opened(stage, challenge=b" \tChallenge%20:&=\x00\x80\xff 5,3 \r"))


@case("2.3", "A challenge may be any text, also one that looks like a word of the protocol.")
def odd_challenge(stage: LoncStage) -> None:
    """Check a challenge that is `ok`, and a long one."""
    usable(stage, opened(stage, challenge=b"ok"))
    usable(stage, opened(stage, challenge=b"c" * 1500))


@case("2.4", "`sethost:` names the id of the peer.")
def sethost(stage: LoncStage) -> None:
    """Check row 3."""
    expect(said(opened(stage), b"sethost"), b"sethost:" + stage.target.peer)


@case("2.5", "`version:` names our version in letters, digits, points and hyphens.", ours="D27")
def version(stage: LoncStage) -> None:
    """Check row 4."""
    line = said(opened(stage), b"version")
    require(re.fullmatch(rb"version:[A-Za-z0-9.-]+", line), "version: and letters, digits, `.`, `-`", line)


@case("2.6", "`pong` is said without an argument.")
def pong(stage: LoncStage) -> None:
    """Check row 5."""
    expect(said(opened(stage), b"pong"), b"pong")


@case("2.7", "`ekey` is said without an argument, and is the last line of the dialogue.")
def ekey(stage: LoncStage) -> None:
    """Check row 6."""
    link = opened(stage)
    expect(link.said[-1], b"ekey")
    silent(link)


@case("2.8", "The rows come in the order init, challenge, sethost, version, pong, ekey, each once.", ours="D27")
def rows(stage: LoncStage) -> None:
    """Check the words of the dialogue."""
    link = opened(stage)
    words = [line.partition(b":")[0] for line in link.said]
    right = [b"init", link.challenge, b"sethost", b"version", b"pong", b"ekey"]
    require(words == right, shown(b" ".join(right)), b" ".join(words))


@case("2.9", "A row is said only when the one before it has its answer.")
def one_at_a_time(stage: LoncStage) -> None:
    """Check that nothing follows a row that is not answered."""
    link = stage.redialed()
    link.hear("init")
    silent(link)
    link.send(link.challenge)
    expect(link.hear("the challenge"), link.challenge)
    silent(link)
    link.send(b"ok")
    while (line := link.hear("a row")) != b"ekey":
        silent(link)
        link.send(link.usual(line))
    silent(link)


@case("2.10", "No request goes out before the build key is there.")
def requests_wait(stage: LoncStage) -> None:
    """Check that a client's line does not mix with the dialogue; con_lost is right while there is no link."""
    link = stage.redialed().until(b"ekey")
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    silent(link)
    link.send(link.build_key)
    stage.join(link)
    stage.answered(client, mark)


@case("2.11", "An older lond that answers `sethost` with `unknown_cmd` has a usable link.")
def sethost_unknown(stage: LoncStage) -> None:
    """Check that the answer to row 3 decides nothing."""
    goes_on(stage, b"sethost", b"unknown_cmd")


@case("2.12", "A lond that answers `sethost` with `unable_to_set` has a usable link.")
def sethost_unable(stage: LoncStage) -> None:
    """Check the other answer to row 3."""
    goes_on(stage, b"sethost", b"unable_to_set")


@case("2.13", "A lond that does not know `version` has a usable link.")
def version_unknown(stage: LoncStage) -> None:
    """Check that the answer to row 4 decides nothing."""
    goes_on(stage, b"version", b"unknown_cmd")


@case("2.14", "What follows a colon behind lond's version does no harm.")
def version_remark(stage: LoncStage) -> None:
    """Check a version with a remark."""
    goes_on(stage, b"version", b"version:1.2.3:a remark: <b>&amp;</b>")


@case("2.15", "`P:con_lost` is a good answer to `pong`: the way back may be closed still.")
def pong_lost(stage: LoncStage) -> None:
    """Check that the way back decides nothing."""
    goes_on(stage, b"pong", stage.target.peer + b":con_lost")


@case("2.16", "A strange answer to `pong` does not end the link.")
def pong_strange(stage: LoncStage) -> None:
    """Check an answer of somebody else."""
    goes_on(stage, b"pong", b"somebody_else:hello")


@case("2.17", "A build key may be of any digits and letters.")
def build_key_letters(stage: LoncStage) -> None:
    """Check a build key with small letters and letters beyond F."""
    link = stage.redialed()
    link.build_key = b"0123456789abcdefghXYZ"
    usable(stage, link.dialogue())


@case("2.18", "Answers that arrive byte by byte are taken as lines.")
def slow_answers(stage: LoncStage) -> None:
    """Check a dialogue in single bytes."""
    link = stage.redialed()

    def drip(answer: bytes) -> None:
        for code in answer + b"\n":
            link.raw(bytes([code]))

    link.hear("init")
    drip(link.challenge)
    expect(link.hear("the challenge"), link.challenge)
    drip(b"ok")
    while (line := link.hear("a row")) != b"ekey":
        drip(link.usual(line))
    drip(link.build_key)
    usable(stage, link)


@case("2.19", "Before the link is ready a client's `ping` is `con_lost` at once, while other requests wait.",
      ours="D23", needs=("patient",))  # fmt: skip
def early_ping(stage: LoncStage) -> None:
    """Check that two servers which start together cannot wait for each other's ping."""
    link = stage.redialed().until(b"pong")
    waiting, mark = stage.client(), stage.mark()
    waiting.send(mark)
    pinging = stage.client()
    pinging.send(b"ping")
    pinging.expect(CON_LOST)
    waiting.nothing_yet("it was asked before the ping and has the grace")
    link.send(link.usual(b"pong"))
    stage.join(link.dialogue())
    stage.hear(mark).send(b"later")
    waiting.expect(b"later")
