"""Owns the cases for a lonc on delayed messages: when they go, in which order, what becomes of the file."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.conformance.lonc_stage import BOOK, Link, LoncStage
from tests.conformance.model import MismatchError, expect, require, shown

AGE_S = 60  # a message older than a few seconds is complete, and is sent
NEEDS = ("delayed",)
FAILURES = (b"error: no", b"refused", b"rejected", b"unknown_cmd", b"con_lost", b"no_such_host")
case = BOOK.case


def delay(stage: LoncStage, command: bytes, number: int = 1, peer: bytes = b"", newline: bytes = b"\n") -> Path:
    """Put a message for the peer into the directory, all at once; number: its counter within the second."""
    place = Path(stage.target.delayed)
    name = f"{int(time.time()) - AGE_S}.{number}.{os.getpid()}.conformance.{(peer or stage.target.peer).decode()}"
    temporary = place / f".{name}.tmp"
    temporary.write_bytes(command + newline)
    os.utime(temporary, (time.time() - AGE_S,) * 2)
    temporary.rename(place / name)
    stage.files.append(place / name)
    return place / name


def at_key(stage: LoncStage) -> Link:
    """Return a new link that waits for its build key: what is delayed now is sent when it is ready."""
    stage.ready()
    return stage.redialed().until(b"ekey")


def opens(stage: LoncStage, link: Link) -> None:
    """Give the link its build key."""
    link.send(link.build_key)
    stage.join(link)


def gone(stage: LoncStage, path: Path) -> None:
    """Wait until a file is no longer there."""
    deadline = time.monotonic() + stage.target.limit_s
    while path.exists():
        if time.monotonic() > deadline:
            raise MismatchError("that the file is deleted", "it is still there")
        time.sleep(0.01)


@case("9.1", "A delayed message is sent when a link has become ready, and its file is deleted after the reply.",
      ours="D38", needs=NEEDS)  # fmt: skip
def sent(stage: LoncStage) -> None:
    """Check one message."""
    link, mark = at_key(stage), stage.mark()
    path = delay(stage, mark)
    opens(stage, link)
    heard = stage.hear(mark)
    require(path.exists(), "the file until there is a reply", "no file")
    heard.send(b"ok")
    gone(stage, path)


@case("9.2", "A message without a newline is sent as one with it.", ours="D38", needs=NEEDS)
def no_newline(stage: LoncStage) -> None:
    """Check a file that ends in its last byte."""
    link, mark = at_key(stage), stage.mark()
    path = delay(stage, mark, newline=b"")
    opens(stage, link)
    stage.hear(mark).send(b"ok")
    gone(stage, path)


@case("9.3", "Delayed messages go before the requests of clients.", ours="D39", needs=NEEDS)
def before_clients(stage: LoncStage) -> None:
    """Check a request that was made before the link was ready."""
    link, late, early = at_key(stage), stage.mark(), stage.mark()
    path = delay(stage, early)
    client = stage.client()
    client.send(late)
    opens(stage, link)
    stage.hear(early).send(b"ok")
    gone(stage, path)
    stage.answered(client, late)


@case("9.4", "Messages go in the order of time and counter, as numbers.", ours="D39", needs=NEEDS)
def numeric_order(stage: LoncStage) -> None:
    """Check counters 9, 10 and 100."""
    link = at_key(stage)
    marks = {number: stage.mark() for number in (100, 9, 10)}
    paths = [delay(stage, mark, number) for number, mark in marks.items()]
    opens(stage, link)
    for number in sorted(marks):
        stage.hear(marks[number]).send(b"ok")
    for path in paths:
        gone(stage, path)


@case("9.5", "A message whose link is lost before the reply stays, and is sent on the next link.", ours="D38",
      needs=NEEDS)  # fmt: skip
def lost_before_reply(stage: LoncStage) -> None:
    """Check the end of file in place of a reply."""
    link, mark = at_key(stage), stage.mark()
    path = delay(stage, mark)
    opens(stage, link)
    stage.hear(mark).close()
    stage.hear(mark).send(b"ok")
    gone(stage, path)


@case("9.6", "An empty line is no reply to a message: it is sent again on the next link.", ours="D41", needs=NEEDS)
def empty_reply(stage: LoncStage) -> None:
    """Check that the file stays and the link is closed."""
    link, mark = at_key(stage), stage.mark()
    path = delay(stage, mark)
    opens(stage, link)
    first = stage.hear(mark)
    first.send(b"")
    stage.drop(first)
    first.end()
    require(path.exists(), "the file", "no file")
    stage.hear(mark).send(b"ok")
    gone(stage, path)


@case("9.7", "A message whose reply is a failure word is not deleted but set aside in `rejected`.", ours="D40",
      needs=NEEDS)  # fmt: skip
def rejected(stage: LoncStage) -> None:
    """Check all words that mean failure, each as the beginning of a line."""
    link = at_key(stage)
    marks = [stage.mark() for _ in FAILURES]
    paths = [delay(stage, mark, number) for number, mark in enumerate(marks, 1)]
    opens(stage, link)
    for mark, word in zip(marks, FAILURES, strict=True):
        stage.hear(mark).send(word)
    for path, word in zip(paths, FAILURES, strict=True):
        gone(stage, path)
        kept = path.parent / "rejected" / path.name
        require(kept.exists(), f"the file in rejected/ after {word.decode()}", "no file")
        stage.files += path.parent.glob(f"rejected/*{path.name}*")


@case("9.8", "A message that begins `encrypt:` goes as a frame.", ours="D38", needs=NEEDS)
def encrypted(stage: LoncStage) -> None:
    """Check the text of the frame."""
    link, mark = at_key(stage), stage.mark()
    path = delay(stage, b"encrypt:" + mark)
    opens(stage, link)
    heard = stage.heard("a frame")
    try:
        text = heard.link.cipher.text(heard.line)
    except ValueError as error:
        raise MismatchError("a frame", shown(heard.line)) from error
    heard.link.send(b"ok")
    gone(stage, path)
    expect(text, mark)


@case("9.9", "No empty line follows an encrypted message: the next reply belongs to the next request.", ours="D46",
      needs=NEEDS)  # fmt: skip
def nothing_behind(stage: LoncStage) -> None:
    """Check the request that follows."""
    link = at_key(stage)
    path = delay(stage, b"encrypt:" + stage.mark())
    opens(stage, link)
    stage.heard("a frame").link.send(b"ok")
    gone(stage, path)
    stage.exchange(stage.client(), stage.mark(), b"the next")


@case("9.10", "Messages for other peers are left alone.", needs=NEEDS)
def of_others(stage: LoncStage) -> None:
    """Check a message for a peer that is in no table."""
    link, mark = at_key(stage), stage.mark()
    other = delay(stage, stage.mark(), 1, b"no-such-peer")
    path = delay(stage, mark, 2)
    opens(stage, link)
    stage.hear(mark).send(b"ok")
    gone(stage, path)
    require(other.exists(), "the other peer's file", "no file")


@case("9.11", "Of a message only a whole line is sent: a file of several lines is set aside, not sent in part.",
      ours="D42", needs=NEEDS)  # fmt: skip
def several_lines(stage: LoncStage) -> None:
    """Check that the message behind it is the first that lond hears."""
    link, mark = at_key(stage), stage.mark()
    strange = delay(stage, b"one\ntwo", 1)
    path = delay(stage, mark, 2)
    opens(stage, link)
    stage.hear(mark).send(b"ok")
    gone(stage, path)
    gone(stage, strange)
    stage.files += strange.parent.glob(f"corrupt/*{strange.name}*")


@case("9.12", "Any other reply is a success, whatever it says: the file is deleted.", ours="D38", needs=NEEDS)
def other_replies(stage: LoncStage) -> None:
    """Check words that only sound like failures."""
    link, replies = at_key(stage), (b"not_found", b"0", b"directory", b"con_delayed", b"bye")
    marks = [stage.mark() for _ in replies]
    paths = [delay(stage, mark, number) for number, mark in enumerate(marks, 1)]
    opens(stage, link)
    for mark, reply in zip(marks, replies, strict=True):
        stage.hear(mark).send(reply)
    for path in paths:
        gone(stage, path)
        kept = path.parent / "rejected" / path.name
        require(not kept.exists(), "no file in rejected/", kept.name)
