"""The session key by Perl's packing rules, and `enc:` frames."""

from __future__ import annotations

import contextlib
import random

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import IDEA
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import ECB

from lonc.errors import CipherError
from lonc.wire.cipher import FrameCipher, pack_hex, session_key

KEY = bytes.fromhex("00010002000300040005000600070008")
CIPHER = FrameCipher(KEY)


def spelled_out_key(peer: str, own: str, build_key: str) -> bytes:
    """The rule of wire.md 3 once more, character by character."""
    names = (peer + own).upper()
    for first, last in (("G", "P"), ("Q", "Z")):
        for code in range(ord(first), ord(last) + 1):
            names = names.replace(chr(code), str(code - ord(first)))
    full = (names + build_key) * 3 + "0" * 32
    halves = []
    for character in full[:32]:
        code = ord(character)
        is_letter = "A" <= character <= "Z" or "a" <= character <= "z"
        halves.append(code + 9 & 15 if is_letter else code & 15)
    return bytes(high * 16 + low for high, low in zip(halves[0::2], halves[1::2], strict=True))


def test_a_key_worked_out_by_hand() -> None:
    # peer msul1 is 6 2 4 5 1, own ncsu1 is 7 C 2 4 1, the build key follows, then all of it again
    assert session_key(b"msul1", b"ncsu1", b"0123456789ABCDEF0123") == bytes.fromhex(
        "624517c241" + "0123456789abcdef0123" + "62"
    )


def test_dash_underscore_and_dot_count_by_their_code() -> None:
    assert session_key(b"a-b", b"c_d.e", b"0" * 24) == bytes.fromhex("adbcfdee" + "0" * 24)


def test_letters_beyond_f_in_the_build_key_count_as_perl_has_it() -> None:
    # the build key is not translated as the names are: g is (103 + 9) & 15 = 0, Z is (90 + 9) & 15 = 3
    assert session_key(b"a", b"b", b"gzGZxX" * 5)[:4] == bytes.fromhex("ab030311")


def test_small_letters_of_the_names_are_made_capitals_first() -> None:
    assert session_key(b"zaphod", b"msu", b"1" * 20) == session_key(b"ZAPHOD", b"MSU", b"1" * 20)


def test_names_of_thirty_two_characters_leave_no_room_for_the_build_key() -> None:
    names = (b"a123456789012345", b"b123456789012345")
    assert session_key(*names, b"1111") == session_key(*names, b"2222") == pack_hex(b"".join(names))
    assert session_key(names[0], names[1] + b"c", b"3333") == pack_hex(b"".join(names))
    assert session_key(names[0], names[1][:-1], b"1") != session_key(names[0], names[1][:-1], b"2")


def test_what_is_missing_is_the_digit_nought() -> None:
    assert session_key(b"a", b"b", b"1") == bytes.fromhex("ab1ab1ab1" + "0" * 23)
    assert session_key(b"", b"", b"") == bytes(16)


def test_bytes_above_127_are_no_letters() -> None:
    assert pack_hex(bytes([0xE4, 0xC1])) == b"\x41"


def test_an_odd_character_fills_the_high_half() -> None:
    assert pack_hex(b"abc") == b"\xab\xc0"


def test_random_names_and_build_keys() -> None:
    source = random.Random(3)
    letters = "abcxyzABCXYZ0189-_.ghijklmnopqrstuvwGHIJKLMNOPQRSTUVW"
    for _ in range(2000):
        peer, own = ("".join(source.choices(letters, k=source.randint(1, 24))) for _ in range(2))
        build_key = "".join(source.choices("0123456789ABCDEF", k=source.randint(1, 30)))
        assert session_key(peer.encode(), own.encode(), build_key.encode()) == spelled_out_key(
            peer, own, build_key
        )


# --- frames -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "blocks"), [(0, 1), (1, 1), (7, 1), (8, 2), (9, 2), (15, 2), (16, 3)])
def test_a_frame_has_a_block_more_than_fit(size: int, blocks: int) -> None:
    command = b"abcdefghijklmnopqrst"[:size]
    frame = CIPHER.encode(command)
    word, digits, text = frame.split(b":")
    assert (word, digits, len(text)) == (b"enc", b"%d" % size, 16 * blocks)
    assert text == text.lower()
    wheel = Cipher(IDEA(KEY), ECB()).decryptor()
    assert wheel.update(bytes.fromhex(text.decode())) == command.ljust(8 * blocks, b" ")
    assert CIPHER.decode(frame) == command


def test_a_golden_frame() -> None:
    # one block of the published example, and the block of blanks behind it
    frame = CIPHER.encode(bytes.fromhex("0000000100020003"))
    assert frame.startswith(b"enc:8:11fbed2b01986de5")
    assert frame == b"enc:8:11fbed2b01986de5" + CIPHER.encode(b"")[len(b"enc:0:") :]


def test_sixteen_mebibytes() -> None:
    command = b"encrypt me " * 1525201 + b"12345"
    assert len(command) == 16 << 20
    frame = CIPHER.encode(command)
    assert frame.startswith(b"enc:16777216:")
    assert len(frame) == 13 + 2 * (16 << 20) + 16
    assert CIPHER.decode(frame) == command


def test_both_cases_and_more_blocks_than_needed_are_taken() -> None:
    word, digits, text = CIPHER.encode(b"ping").split(b":")
    assert CIPHER.decode(b":".join((word, digits, text.upper()))) == b"ping"
    assert CIPHER.decode(b":".join((word, digits, text + b"00" * 8))) == b"ping"
    assert CIPHER.decode(b"enc:0:") == b""
    assert CIPHER.decode(b":".join((word, b"004", text))) == b"ping"
    assert CIPHER.decode(b":".join((word, b"000000000004", text))) == b"ping"


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (b"", "enc:LEN:HEX"),
        (b"enc:", "enc:LEN:HEX"),
        (b"enc:8", "enc:LEN:HEX"),
        (b"ENC:0:", "enc:LEN:HEX"),
        (b"encx:0:", "enc:LEN:HEX"),
        (b"enc::00", "not a length"),
        (b"enc:-1:0011223344556677", "not a length"),
        (b"enc:+1:0011223344556677", "not a length"),
        (b"enc:1_0:0011223344556677", "not a length"),
        (b"enc: 1:0011223344556677", "not a length"),
        (b"enc:0x1:0011223344556677", "not a length"),
        (b"enc:\xb2:0011223344556677", "not a length"),
        (b"enc:" + b"9" * 5000 + b":0011223344556677", "not a length"),
        (b"enc:1:001122334455667", "odd"),
        (b"enc:1:001122334455667g", "foreign"),
        (b"enc:1:00 1122334455667", "foreign"),
        (b"enc:1:0011223344556677\r", "odd"),
        (b"enc:1:0011:2233", "foreign"),
        (b"enc:0000000000001:0011223344556677", "not a length"),
        (b"enc:1:00112233445566", "whole blocks"),
        (b"enc:1:", "cover LEN"),
        (b"enc:9:0011223344556677", "cover LEN"),
    ],
)
def test_a_frame_that_cannot_be_decoded_is_refused_and_not_quoted(frame: bytes, why: str) -> None:
    with pytest.raises(CipherError, match=why) as caught:
        CIPHER.decode(frame)
    assert str(caught.value) in {
        "a frame is enc:LEN:HEX",
        "LEN is not a length",
        "HEX is odd or holds a foreign character",
        "HEX is not whole blocks that cover LEN",
    }


def test_a_text_that_would_be_two_lines_is_refused() -> None:
    frame = CIPHER.encode(b"ok\nok")
    with pytest.raises(CipherError, match=r"^the text holds a newline$"):
        CIPHER.decode(frame)
    shorter = frame.replace(b"enc:5:", b"enc:2:")
    assert CIPHER.decode(shorter) == b"ok"  # what lies behind LEN is filling, whatever it is


def test_every_single_byte_mutation_is_decoded_or_refused() -> None:
    source = random.Random(14)
    for _ in range(10):
        frame = CIPHER.encode(source.randbytes(source.randint(0, 20)).replace(b"\n", b""))
        for at in range(len(frame)):
            mutated = frame[:at] + bytes([source.randrange(256)]) + frame[at + 1 :]
            with contextlib.suppress(CipherError):  # refused is right too; nothing else may come out
                assert b"\n" not in CIPHER.decode(mutated)


def test_a_wrong_key_length_is_refused() -> None:
    with pytest.raises(CipherError):
        FrameCipher(b"short")
