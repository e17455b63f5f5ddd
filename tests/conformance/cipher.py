"""Owns the suite's own way to the key and the frames of a link, written from the specification alone.

It shares nothing with the program under test, so that an error would have to be made twice, in the same way. It is
plain and slow: a frame of a few KiB takes milliseconds.
"""

from __future__ import annotations

import re
from typing import Final

BLOCK: Final = 8
KEY_CHARACTERS: Final = 32
_FRAME: Final = re.compile(rb"enc:(\d{1,9}):((?:[0-9A-Fa-f]{16})*)")


def folded(peer: bytes, own: bytes) -> bytes:
    """Return both ids as the characters that go into the key: upper case, G to P and Q to Z as digits."""
    out = bytearray()
    for code in (peer + own).upper():
        if ord("G") <= code <= ord("P"):
            out.append(code - ord("G") + ord("0"))
        elif ord("Q") <= code <= ord("Z"):
            out.append(code - ord("Q") + ord("0"))
        else:
            out.append(code)
    return bytes(out)


def key_of(peer: bytes, own: bytes, build_key: bytes) -> bytes:
    """Return the 16 bytes of the key; build_key without its newline, or with it to show what that would do."""
    names = folded(peer, own)
    text = (names + build_key + names + build_key + names + build_key)[:KEY_CHARACTERS]
    text += b"0" * (KEY_CHARACTERS - len(text))
    digits = [_nibble(code) for code in text]
    return bytes(digits[at] * 16 + digits[at + 1] for at in range(0, KEY_CHARACTERS, 2))


def _nibble(code: int) -> int:
    """Return the four bits that Perl's pack "H" takes from a character."""
    letter = ord("A") <= code <= ord("Z") or ord("a") <= code <= ord("z")
    return (code + 9) % 16 if letter else code % 16


# --- IDEA: eight rounds of three group operations on words of 16 bits ---------------------------------------


def _times(left: int, right: int) -> int:
    """Multiply modulo 65537, where the word 0 stands for 65536."""
    return (left or 65536) * (right or 65536) % 65537 % 65536


def _inverse(word: int) -> int:
    return pow(word or 65536, -1, 65537) % 65536


def _encryption_keys(key: bytes) -> list[int]:
    """Return the 52 subkeys: eight words of the key, which turns left by 25 bits after each eight."""
    number = int.from_bytes(key, "big")
    words: list[int] = []
    while len(words) < 52:
        words += [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
        number = (number << 25 | number >> 103) & (1 << 128) - 1
    return words[:52]


def _decryption_keys(forward: list[int]) -> list[int]:
    """Return the subkeys that undo the others: each round's from the end, inverted."""
    backward = []
    for round_ in range(9):
        at = 48 - 6 * round_
        first, second, third, fourth = forward[at : at + 4]
        if round_ not in (0, 8):
            second, third = third, second
        backward += [_inverse(first), -second % 65536, -third % 65536, _inverse(fourth)]
        if round_ < 8:
            backward += forward[at - 2 : at]
    return backward


def _block(block: bytes, keys: list[int]) -> bytes:
    a, b, c, d = (int.from_bytes(block[at : at + 2], "big") for at in range(0, 8, 2))
    for at in range(0, 48, 6):
        a, b = _times(a, keys[at]), (b + keys[at + 1]) % 65536
        c, d = (c + keys[at + 2]) % 65536, _times(d, keys[at + 3])
        left = _times(a ^ c, keys[at + 4])
        right = _times(((b ^ d) + left) % 65536, keys[at + 5])
        left = (left + right) % 65536
        a, b, c, d = a ^ right, c ^ right, b ^ left, d ^ left
    words = (_times(a, keys[48]), (c + keys[49]) % 65536, (b + keys[50]) % 65536, _times(d, keys[51]))
    return b"".join(word.to_bytes(2, "big") for word in words)


class Cipher:
    """The key of one connection and what can be done with it."""

    def __init__(self, key: bytes) -> None:
        self._forward = _encryption_keys(key)
        self._backward = _decryption_keys(self._forward)

    def encrypt(self, data: bytes) -> bytes:
        """Return whole blocks, each enciphered by itself."""
        return b"".join(_block(data[at : at + BLOCK], self._forward) for at in range(0, len(data), BLOCK))

    def decrypt(self, data: bytes) -> bytes:
        """Return the text of whole blocks."""
        return b"".join(_block(data[at : at + BLOCK], self._backward) for at in range(0, len(data), BLOCK))

    def frame(self, text: bytes, more_blocks: int = 0) -> bytes:
        """Return `enc:LEN:HEX` for a text, lower case, with so many blocks of blanks more than usual."""
        size = len(text)
        blocks = text + b" " * (BLOCK * (size // BLOCK + 1 + more_blocks) - size)
        return b"enc:%d:%s" % (size, self.encrypt(blocks).hex().encode())

    def whole(self, frame: bytes) -> tuple[int, bytes]:
        """Return LEN and all that the blocks hold. Raises ValueError on what is no frame of whole blocks."""
        found = _FRAME.fullmatch(frame)
        if found is None:
            raise ValueError("no frame")
        return int(found[1]), self.decrypt(bytes.fromhex(found[2].decode("ascii")))

    def text(self, frame: bytes) -> bytes:
        """Return the text of a frame, cut to LEN. Raises ValueError when the blocks do not cover it."""
        size, blocks = self.whole(frame)
        if size > len(blocks):
            raise ValueError("LEN is longer than the blocks")
        return blocks[:size]
