"""Owns the cases for a lonc on `encrypt:` requests and on replies that are frames."""

from __future__ import annotations

import re

from tests.conformance.cipher import BLOCK
from tests.conformance.lonc_stage import BOOK, CON_LOST, Link, LoncStage
from tests.conformance.model import MismatchError, expect, require, shown
from tests.conformance.wire import Wire

LENGTHS = (1, 7, 8, 9, 15, 16, 17, 100)
case = BOOK.case


def framed(stage: LoncStage, client: Wire, command: bytes) -> tuple[Link, bytes]:
    """Have a client send an encrypted command; return where it was heard, and its line."""
    client.send(b"encrypt:" + command)
    heard = stage.heard("a frame")
    require(heard.line.startswith(b"enc:"), "a line that begins `enc:`", heard.line)
    return heard.link, heard.line


def opened(link: Link, frame: bytes) -> bytes:
    """Return all that the blocks of a frame hold."""
    try:
        return link.cipher.whole(frame)[1]
    except ValueError as error:
        raise MismatchError("enc:LEN: and whole blocks in hex", shown(frame)) from error


def check_frames(stage: LoncStage, *commands: bytes) -> None:
    """Check LEN, the number of blocks and the text of each command."""
    stage.ready()
    client = stage.client()
    for command in commands:
        link, frame = framed(stage, client, command)
        link.send(b"ok")
        client.expect(b"ok")
        require(frame.startswith(b"enc:%d:" % len(command)), f"LEN {len(command)}", frame)
        blanks = b" " * (BLOCK * (len(command) // BLOCK + 1) - len(command))
        expect(opened(link, frame), command + blanks)


def answered(
    stage: LoncStage, text: bytes, *, more_blocks: int = 0, upper: bool = False, mixed: bool = False
) -> None:
    """Answer an encrypted request by a frame of this text and find the text at the client."""
    stage.ready()
    client = stage.client()
    link, _frame = framed(stage, client, b"eget:" + stage.mark())
    head, length, digits = link.cipher.frame(text, more_blocks).split(b":")
    if upper or mixed:
        digits = digits.upper() if upper else digits[:9].upper() + digits[9:]
    link.send(b":".join((head, length, digits)))
    client.expect(text)


def undecodable(stage: LoncStage, damage: bytes) -> None:
    """Check that a frame that is no frame costs its own client the reply, and nobody the link."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    link.send(damage)
    client.expect(CON_LOST)
    after = stage.exchange(client, stage.mark(), b"the next")
    require(after is link, "the next request on the same link", "another link")


@case("4.1", "`encrypt:CMD` goes to lond as `enc:LEN:HEX`, LEN being the number of bytes of CMD.")
def frame_form(stage: LoncStage) -> None:
    """Check the form of one frame."""
    stage.ready()
    client = stage.client()
    link, frame = framed(stage, client, b"auth:msu:joe:secret")
    link.send(b"ok")
    client.expect(b"ok")
    require(re.fullmatch(rb"enc:19:[0-9A-Fa-f]+", frame), "enc:19:HEX", frame)


@case("4.2", "A frame has LEN // 8 + 1 blocks of 16 digits, filled up with blanks.")
def block_count(stage: LoncStage) -> None:
    """Check lengths around the size of a block."""
    check_frames(stage, *(b"0123456789abcdef"[: size % 17].ljust(size, b"x") for size in LENGTHS))


@case("4.3", "The digits of a frame are lower case.")
def lower_case(stage: LoncStage) -> None:
    """Check all digits of a longer frame."""
    stage.ready()
    client = stage.client()
    link, frame = framed(stage, client, b"auth:" + b"a long text " * 20)
    link.send(b"ok")
    client.expect(b"ok")
    require(re.fullmatch(rb"enc:\d+:[0-9a-f]+", frame), "digits and a to f", frame)


@case("4.4", "`encrypt:` alone is a command of no bytes: LEN 0 and one block of blanks.")
def empty_command(stage: LoncStage) -> None:
    """Check LEN 0."""
    check_frames(stage, b"")


@case("4.5", "A command may hold any byte but the newline.")
def any_byte(stage: LoncStage) -> None:
    """Check all byte values in an encrypted command."""
    check_frames(stage, b"bytes:" + bytes(code for code in range(256) if code != 10))


@case("4.6", "Blanks at the end of a command are part of it.")
def trailing_blanks(stage: LoncStage) -> None:
    """Check that LEN counts them."""
    check_frames(stage, b"log:msu:joe:text   ")


@case("4.7", "Each block stands for itself: equal blocks look equal.")
def no_chain(stage: LoncStage) -> None:
    """Check a command of two equal blocks."""
    stage.ready()
    client = stage.client()
    link, frame = framed(stage, client, b"12345678" * 2)
    link.send(b"ok")
    client.expect(b"ok")
    digits = frame.split(b":")[2]
    require(digits[:16] == digits[16:32], "the first two blocks equal", frame)


@case("4.8", "A long command is one frame.")
def long_command(stage: LoncStage) -> None:
    """Check 3,001 bytes."""
    check_frames(stage, b"put:" + b"x" * 2997)


@case("4.9", "A reply that is a frame is handed to the client in clear.")
def reply_in_clear(stage: LoncStage) -> None:
    """Check a usual encrypted reply."""
    answered(stage, b"value%20one&value%20two")


@case("4.10", "The digits of a reply may be upper case.")
def reply_upper(stage: LoncStage) -> None:
    """Check a reply in upper case."""
    answered(stage, b"a reply in upper case", upper=True)


@case("4.11", "The digits of a reply may be of both cases at once.")
def reply_mixed(stage: LoncStage) -> None:
    """Check a reply in both."""
    answered(stage, b"a reply in both cases", mixed=True)


@case("4.12", "A reply may have more blocks than its LEN needs.")
def reply_more_blocks(stage: LoncStage) -> None:
    """Check three blocks too many."""
    answered(stage, b"short", more_blocks=3)


@case("4.13", "A reply may have just the blocks that cover LEN, without a block of blanks.")
def reply_exact(stage: LoncStage) -> None:
    """Check 16 bytes in two blocks."""
    answered(stage, b"sixteen bytes, 2", more_blocks=-1)


@case("4.14", "A decoded reply is cut to LEN: its own blanks stay, those of the last block go.")
def reply_cut(stage: LoncStage) -> None:
    """Check a text that ends in blanks."""
    answered(stage, b"ends in blanks  ")


@case("4.15", "A frame of LEN 0 is an empty reply.")
def reply_empty(stage: LoncStage) -> None:
    """Check the shortest reply."""
    answered(stage, b"")


@case("4.16", "A frame may answer a request that was sent in clear.")
def frame_for_clear(stage: LoncStage) -> None:
    """Check that the reply decides, not the request."""
    stage.ready()
    client, mark = stage.client(), stage.mark()
    client.send(mark)
    link = stage.hear(mark)
    link.send(link.cipher.frame(b"was a frame"))
    client.expect(b"was a frame")


@case("4.17", "A reply in clear may answer an encrypted request.")
def clear_for_frame(stage: LoncStage) -> None:
    """Check that only what begins `enc:` is decoded."""
    stage.ready()
    client = stage.client()
    link, _frame = framed(stage, client, b"passwd:" + stage.mark())
    link.send(b"encoded? no")
    client.expect(b"encoded? no")


@case("4.18", "Only lines that begin `encrypt:` are encrypted.")
def only_encrypt(stage: LoncStage) -> None:
    """Check lines that nearly begin so."""
    stage.ready()
    client = stage.client()
    for line in (b"Encrypt:x", b" encrypt:x", b"encrypt", b"encryptx:y", b"put:encrypt:x", b"ENCRYPT:x"):
        stage.exchange(client, line, b"in clear")


@case("4.19", "Encrypted requests keep their place among those in clear.")
def mixed_order(stage: LoncStage) -> None:
    """Check four lines of one client, every second one encrypted."""
    stage.ready()
    client = stage.client()
    client.send(b"one", b"encrypt:two", b"three", b"encrypt:four")
    for text in (b"one", b"two", b"three", b"four"):
        heard = stage.heard()
        if heard.line.startswith(b"enc:"):
            expect(opened(heard.link, heard.line).rstrip(), text)
        else:
            expect(heard.line, text)
        heard.link.send(b"for " + text)
    for text in (b"one", b"two", b"three", b"four"):
        client.expect(b"for " + text)


@case("4.20", "A reply whose LEN is no number is `con_lost` for its client; the link stays.", ours="D31")
def length_no_number(stage: LoncStage) -> None:
    """Check a word in place of LEN."""
    undecodable(stage, b"enc:five:0123456789abcdef")


@case("4.21", "A reply with an odd number of digits is `con_lost` for its client; the link stays.", ours="D31")
def digits_odd(stage: LoncStage) -> None:
    """Check 15 digits."""
    undecodable(stage, b"enc:5:0123456789abcde")


@case("4.22", "A reply with a foreign character among its digits is `con_lost` for its client; the link stays.",
      ours="D31")  # fmt: skip
def digits_foreign(stage: LoncStage) -> None:
    """Check a `g`."""
    undecodable(stage, b"enc:5:0123456789abcdeg")


@case("4.23", "A reply with fewer blocks than LEN needs is `con_lost` for its client; the link stays.", ours="D31")
def digits_short(stage: LoncStage) -> None:
    """Check one block for nine bytes."""
    undecodable(stage, b"enc:9:0123456789abcdef")


@case("4.24", "`enc:` without LEN and digits is `con_lost` for its client; the link stays.", ours="D31")
def frame_empty(stage: LoncStage) -> None:
    """Check nothing behind the word."""
    undecodable(stage, b"enc:")


@case("4.25", "A decoded reply that holds a newline is `con_lost`: it would be two replies.", ours="D59")
def newline_inside(stage: LoncStage) -> None:
    """Check a newline in the text of a frame."""
    link = stage.ready()
    undecodable(stage, link.cipher.frame(b"one\ntwo"))
