"""Owns the cases for a lond on the key and on `enc:` requests."""

from __future__ import annotations

import re

from tests.conformance.lond_stage import BOOK, Call, LondStage
from tests.conformance.model import UnfitError, expect, require

NEEDS_USER = ("user",)
case = BOOK.case


def understood(call: Call, frame: bytes, peer: bytes) -> None:
    """Check that a frame of `ping` is carried out."""
    reply = call.ask(frame)
    if reply.startswith(b"enc:"):
        reply = call.opened(reply)
    expect(reply, peer)


def wrong(stage: LondStage, frame: bytes) -> None:
    """Check that this frame is answered `error:`, and that the connection goes on."""
    link = stage.keyed()
    reply = link.ask(frame)
    require(reply.startswith(b"error:"), "a line that begins error:", reply)
    understood(link, link.cipher.frame(b"ping"), stage.target.peer)


@case("3.51", "The build key has 20 to 30 digits and letters from A to F.")
def build_key(stage: LondStage) -> None:
    """Check its form."""
    key = stage.link().ask(b"ekey")
    require(re.fullmatch(rb"[0-9A-Fa-f]{20,30}", key), "20 to 30 digits and letters A-F", key)


@case("3.52", "Every connection has a build key of its own.")
def new_key(stage: LondStage) -> None:
    """Check two connections."""
    first, second = (stage.link().ask(b"ekey") for _ in range(2))
    require(first != second, "two build keys", first)


@case("3.53", "Both ends make the same key: the server's id, the client's id, the build key without its newline.")
def same_key(stage: LondStage) -> None:
    """Check that lond understands a frame of ours."""
    link = stage.keyed()
    understood(link, link.cipher.frame(b"ping"), stage.target.peer)


@case("3.54", "A frame with another key is not understood.")
def other_key(stage: LondStage) -> None:
    """Check a frame made with the ids the other way round, on a connection that goes on."""
    link = stage.keyed()
    good = link.cipher
    link.agree(stage.target.peer + b"x")
    if link.cipher.frame(b"ping") == good.frame(b"ping"):
        raise UnfitError("the ids alone fill the key")
    reply = link.secret(b"ping")
    require(reply != stage.target.peer, "no answer to ping", reply)


@case("3.55", "The id that `sethost` has chosen is the one in the key.", needs=("second",))
def chosen_id(stage: LondStage) -> None:
    """Check a key with the server's second id."""
    link = stage.link()
    expect(link.ask(b"sethost:" + stage.target.second), b"ok")
    link.agree(stage.target.second)
    understood(link, link.cipher.frame(b"ping"), stage.target.second)


@case("3.56", "After a second `ekey` the key of its answer holds.")
def second_key(stage: LondStage) -> None:
    """Check a frame with the newer key."""
    link = stage.keyed()
    link.agree()
    understood(link, link.cipher.frame(b"ping"), stage.target.peer)


@case("4.51", "A frame is decoded, cut to LEN, and carried out.")
def decoded(stage: LondStage) -> None:
    """Check commands of lengths around the size of a block: each is unknown, none is an error."""
    link = stage.keyed()
    for size in (7, 8, 9, 15, 16, 17, 100):
        expect(link.secret(b"nonsense"[:7].ljust(size, b"x")), b"unknown_cmd")
    understood(link, link.cipher.frame(b"ping"), stage.target.peer)


@case("4.52", "The digits of a frame may be upper case.")
def upper_case(stage: LondStage) -> None:
    """Check the same frame in upper case."""
    link = stage.keyed()
    head, length, digits = link.cipher.frame(b"ping").split(b":")
    understood(link, b":".join((head, length, digits.upper())), stage.target.peer)


@case("4.53", "A frame may have more blocks than LEN needs.")
def more_blocks(stage: LondStage) -> None:
    """Check two blocks too many."""
    link = stage.keyed()
    understood(link, link.cipher.frame(b"ping", more_blocks=2), stage.target.peer)


@case("4.54", "A frame may have just the blocks that cover LEN.")
def exact_blocks(stage: LondStage) -> None:
    """Check a command of eight bytes in one block."""
    link = stage.keyed()
    expect(link.ask(link.cipher.frame(b"nonsense", more_blocks=-1)), b"unknown_cmd")


@case("4.55", "A frame of LEN 0 is an empty request, with a reply of its own.")
def length_zero(stage: LondStage) -> None:
    """Check the reply behind it."""
    link = stage.keyed()
    link.send(link.cipher.frame(b""), b"ping")
    link.line("a reply to the empty command")
    link.expect(stage.target.peer)


@case("4.56", "A frame whose LEN is no number is an error.")
def length_no_number(stage: LondStage) -> None:
    """Check a word in place of LEN."""
    wrong(stage, b"enc:five:0123456789abcdef")


@case("4.57", "A frame with an odd number of digits is an error.")
def digits_odd(stage: LondStage) -> None:
    """Check 15 digits."""
    wrong(stage, b"enc:5:0123456789abcde")


@case("4.58", "A frame with a foreign character among its digits is an error.")
def digits_foreign(stage: LondStage) -> None:
    """Check a `g`."""
    wrong(stage, b"enc:5:0123456789abcdeg")


@case("4.59", "A frame with fewer blocks than LEN needs is an error.")
def digits_short(stage: LondStage) -> None:
    """Check one block for nine bytes."""
    wrong(stage, b"enc:9:0123456789abcdef")


@case("4.60", "`enc:` without LEN and digits is an error.")
def empty_frame(stage: LondStage) -> None:
    """Check nothing behind the word."""
    wrong(stage, b"enc:")


@case("4.61", "A frame before there is a key is an error, and the connection goes on.")
def no_key(stage: LondStage) -> None:
    """Check a frame on a connection without ekey."""
    link = stage.link()
    own = link.ask(b"ping")
    reply = link.ask(b"enc:4:0123456789abcdef")
    require(reply.startswith(b"error:"), "a line that begins error:", reply)
    expect(link.ask(b"ping"), own)


@case("4.62", "The reply to an encrypted request is in clear, unless the command has encrypted replies.")
def clear_reply(stage: LondStage) -> None:
    """Check `ping`."""
    link = stage.keyed()
    expect(link.secret(b"ping"), stage.target.peer)


@case("4.63", "The reply of `eget` is a frame: lower case, LEN // 8 + 1 blocks, blanks behind the text.",
      needs=NEEDS_USER)  # fmt: skip
def frame_reply(stage: LondStage) -> None:
    """Check a value that fills a block, and one that does not."""
    link, place = stage.keyed(), stage.target.user + b":nohist_conformance"
    for value in (b"12345678", b"short"):
        expect(link.ask(b"put:" + place + b":k=" + value), b"ok")
        reply = link.ask(b"eget:" + place + b":k")
        blocks = len(value) // 8 + 1
        form = rb"enc:%d:[0-9a-f]{%d}" % (len(value), 16 * blocks)
        require(re.fullmatch(form, reply), f"{blocks} blocks", reply)
        expect(link.cipher.whole(reply)[1], value.ljust(8 * blocks))
    link.ask(b"del:" + place + b":k")


@case("4.64", "What comes encrypted is carried out like the same command in clear.", needs=NEEDS_USER)
def same_command(stage: LondStage) -> None:
    """Check a put as a frame and a get in clear."""
    link, place = stage.keyed(), stage.target.user + b":nohist_conformance"
    expect(link.secret(b"put:" + place + b":k=secret"), b"ok")
    expect(link.ask(b"get:" + place + b":k"), b"secret")
    expect(link.ask(b"del:" + place + b":k"), b"ok")
