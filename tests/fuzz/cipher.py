"""Owns the harnesses of `enc:` frames: coding and decoding against a second reading of the spec, and the keys."""

from __future__ import annotations

import random
import re

from lonc.errors import CipherError
from lonc.wire.cipher import FrameCipher, pack_hex, session_key
from lonc.wire.idea import PlainIdea
from tests.fuzz.choices import Choices
from tests.fuzz.harness import Harness, rule

KEY = bytes.fromhex("00010002000300040005000600070008")
CIPHER, PLAIN = FrameCipher(KEY), PlainIdea(KEY)
_FRAME = re.compile(rb"enc:([0-9]{1,12}):((?:[0-9A-Fa-f]{16})*)", re.DOTALL)
_COMPARED = 200  # bytes: the plain version is slow


def encode(data: bytes) -> None:
    """Every command has a frame of the right form, which decodes to it, in both cases, with more blocks too."""
    frame = CIPHER.encode(data)
    word, digits, text = frame.split(b":")
    rule(word == b"enc" and digits == b"%d" % len(data), "the head of the frame is wrong")
    rule(len(text) == 16 * (len(data) // 8 + 1) and text == text.lower(), "the digits of the frame are wrong")
    for one in (frame, b":".join((word, digits, text.upper())), frame + b"00" * 8):
        try:
            rule(CIPHER.decode(one) == data, "another text came back")
        except CipherError:
            rule(b"\n" in data, "a frame of ours was refused")
        else:
            rule(b"\n" not in data, "a text of two lines was taken")
    if len(data) <= _COMPARED:
        blocks = data + b" " * (8 - len(data) % 8)
        rule(PLAIN.encrypt(blocks).hex().encode() == text, "the two versions of the cipher differ")


def decode(data: bytes) -> None:
    """Any line: the text that the spec gives it, or CipherError, which never quotes the frame."""
    form = _FRAME.fullmatch(data)
    expected = None
    if form is not None and int(form[1]) <= len(form[2]) // 2:
        text = PLAIN.decrypt(bytes.fromhex(form[2].decode()))[: int(form[1])]
        expected = None if b"\n" in text else text
    try:
        got = CIPHER.decode(data)
    except CipherError as error:
        rule(expected is None, "a good frame was refused")
        rule(len(str(error)) < 60, "the frame may be quoted")
    else:
        rule(got == expected, "another text than the spec's")


def key(data: bytes) -> None:
    """Any three names make a key of 16 bytes, by the rule spelled out."""
    choices = Choices(data)
    peer, own, build = choices.line(), choices.line(), choices.rest()
    got = session_key(peer, own, build)
    table = {ord("G") + i: str(i) for i in range(10)} | {ord("Q") + i: str(i) for i in range(10)}
    names = (peer + own).decode("latin-1")
    names = "".join(chr(ord(c) - 32) if "a" <= c <= "z" else c for c in names).translate(table)
    full = ((names + build.decode("latin-1")) * 3)[:32].ljust(32, "0")
    halves = [(ord(c) + 9) & 15 if c.isascii() and c.isalpha() else ord(c) & 15 for c in full]
    rule(got == bytes(halves[i] * 16 + halves[i + 1] for i in range(0, 32, 2)), "another key")
    rule(len(pack_hex(data)) == (len(data) + 1) // 2, "packed to another length")


def _valid(count: int) -> tuple[bytes, ...]:
    """Return valid frames: their single-byte mutations are a row of the fault matrix."""
    source = random.Random(14)
    sizes = [0, 1, 7, 8, 9, 15, 16, 17, *(source.randrange(30) for _ in range(count - 8))]
    return tuple(CIPHER.encode(source.randbytes(size).replace(b"\n", b"")) for size in sizes)


_BAD = (
    b"enc:1:001122334455667", b"enc:1:001122334455667g", b"enc:9:0011223344556677", b"enc:-1:0011223344556677",
    b"enc:10011223344556677", b"enc:", b"enc:0:", b"enc:0", b"enc::00", b"enc:1_0:0011223344556677", b"ENC:0:",
    b"enc:1:00 1122334455667", b"enc:1:0011223344556677\r", b"enc:+1:0011223344556677",
    b"enc:0x1:0011223344556677",
    b"enc:\xb2:0011223344556677", CIPHER.encode(b"ok\nok"), b"enc:" + b"9" * 5000 + b":00",
)  # fmt: skip
HARNESSES = (
    Harness("encode", encode, 100, (b"\n", b" " * 8, b"encrypt:"), (b"", b"12345678", b"auth:d:u:p", b"x" * 4000)),
    Harness("decode", decode, 190, (b"enc:", b":", b"00" * 8, b"-", b"g", b"0x"), (*_valid(50), *_BAD), 1024),
    Harness("key", key, 70, (b"\n", b"msul1", b"0123456789ABCDEF0123", b"-_."), (b"msul1\nncsu1\n0123",
        b"\n\n"), 200),
)
