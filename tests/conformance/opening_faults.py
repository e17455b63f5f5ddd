"""Owns the cases for a lonc on dialogues that fail: which answers end the link, and that it dials again."""

from __future__ import annotations

from tests.conformance.lonc_stage import BOOK, Link, LoncStage
from tests.conformance.model import MismatchError, expect

case = BOOK.case


def fails(stage: LoncStage, link: Link) -> None:
    """Check that this link is closed, and that a later one is usable."""
    link.end()
    stage.ready()


def after(stage: LoncStage, word: bytes, answer: bytes) -> None:
    """Check that this answer to this row fails the link."""
    link = stage.redialed().until(word)
    link.send(answer)
    fails(stage, link)


def hangs(stage: LoncStage, word: bytes) -> None:
    """Check that a link whose lond falls silent at this row is given up within the limit of a step."""
    for _attempt in range(5):  # the limit may be so short that we ourselves are too slow on the way there
        link = stage.redialed()
        try:
            link.until(word)
            break
        except MismatchError:
            if not link.eof:
                raise
    link.limit_s += 2 * stage.target.init_timeout_s
    fails(stage, link)


@case("2.31", "`refused` in place of a challenge fails the link; it is dialed again.")
def refused(stage: LoncStage) -> None:
    """Check a lond that does not know us."""
    after(stage, b"init", b"refused")


@case("2.32", "`bye` in place of a challenge fails the link; it is dialed again.")
def bye(stage: LoncStage) -> None:
    """Check a lond that sends us away."""
    after(stage, b"init", b"bye")


@case("2.33", "Anything but `ok` to the echo of the challenge fails the link.")
def not_ok(stage: LoncStage) -> None:
    """Check the answer to row 2."""
    link = stage.redialed()
    link.hear("init")
    link.send(link.challenge)
    expect(link.hear("the challenge"), link.challenge)
    link.send(b"not ok")
    fails(stage, link)


@case("2.34", "An empty build key fails the link.")
def empty_build_key(stage: LoncStage) -> None:
    """Check an empty answer to row 6."""
    after(stage, b"ekey", b"")


@case("2.35", "A failure word in place of the build key fails the link.", ours="D27")
def failure_for_build_key(stage: LoncStage) -> None:
    """Check that `unknown_cmd` makes no key."""
    after(stage, b"ekey", b"unknown_cmd")


@case("2.36", "A build key with other characters than digits and letters fails the link.", ours="D59")
def foreign_build_key(stage: LoncStage) -> None:
    """Check a key with a colon and a blank."""
    after(stage, b"ekey", b"01234567:89 ABCDEF")


@case("2.37", "A lond that closes in place of the build key is dialed again.")
def closed_at_key(stage: LoncStage) -> None:
    """Check the end of file at row 6."""
    stage.redialed().until(b"ekey").close()
    stage.ready()


@case("2.38", "A lond that closes after `init` is dialed again.")
def closed_at_init(stage: LoncStage) -> None:
    """Check the end of file at row 1."""
    stage.redialed().until(b"init").close()
    stage.ready()


@case("2.39", "A lond that resets the connection as soon as it is made is dialed again.")
def reset_at_once(stage: LoncStage) -> None:
    """Check a reset before the first row."""
    stage.redialed().reset()
    stage.ready()


@case("2.40", "A line that nobody asked for, before the first row's answer or with another answer, ends the link.",
      ours="D27")  # fmt: skip
def one_line_too_many(stage: LoncStage) -> None:
    """Check two answers to one row."""
    link = stage.redialed().until(b"version")
    link.raw(b"version:conformance\nversion:again\n")
    fails(stage, link)


@case("2.41", "A lond that says nothing at all is given up within the limit of a step, and dialed again.",
      needs=("init_timeout_s",))  # fmt: skip
def silent_lond(stage: LoncStage) -> None:
    """Check that a dialogue cannot hang for ever."""
    hangs(stage, b"init")


@case("2.42", "A lond that falls silent before the build key is given up within the limit of a step.",
      needs=("init_timeout_s",))  # fmt: skip
def silent_at_key(stage: LoncStage) -> None:
    """Check the last row as well: an older lonc waits for it for ever."""
    hangs(stage, b"ekey")
