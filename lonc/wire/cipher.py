"""The session key of a link and the coding of `enc:` frames (spec wire.md 3 and 4).

The key is made of public names and of a build key that travels in clear: it hides nothing from anybody who
listens to the link. That is the old network's weakness, and it is kept because both ends must agree.
"""

from __future__ import annotations

from binascii import Error as HexError
from binascii import hexlify, unhexlify
from typing import Final

from lonc.errors import CipherError
from lonc.wire.idea import BLOCK_BYTES, Idea
from lonc.wire.words import ENC

KEY_CHARS: Final = 32  # two characters make a byte of the key
_LENGTH_DIGITS: Final = 12  # of LEN; no line is ever so long, and int() of a huge number takes time

# Letters G..P and Q..Z become 0..9; A..F stay, they are hex digits.
_LETTERS: Final = bytes.maketrans(b"GHIJKLMNOPQRSTUVWXYZ", b"01234567890123456789")


def session_key(peer: bytes, own: bytes, build_key: bytes) -> bytes:
    """Return the 16 bytes of the key for one connection.

    peer: the id that the client named by `sethost`, own: the client's id, build_key: the answer to `ekey`
    without its newline. What is missing to 32 characters is the digit 0. When the two ids together have 32
    characters or more, the key is the same for every connection. Source: spec wire.md 3.
    """
    names = (peer + own).upper().translate(_LETTERS)
    return pack_hex(((names + build_key) * 3)[:KEY_CHARS].ljust(KEY_CHARS, b"0"))


def pack_hex(text: bytes) -> bytes:
    """Return text packed two characters per byte, high half first, as Perl's pack "H" does.

    It takes every character: an ASCII letter counts (code + 9) & 15, anything else code & 15. An odd last
    character fills the high half of its byte, the low half is 0.
    """
    halves = [(code + 9) & 15 if chr(code).isalpha() and code < 128 else code & 15 for code in text]
    if len(halves) % 2:
        halves.append(0)
    return bytes(high << 4 | low for high, low in zip(halves[::2], halves[1::2], strict=True))


class FrameCipher:
    """Codes and decodes the `enc:` frames of one connection."""

    def __init__(self, key: bytes) -> None:
        """key: 16 bytes, as from session_key. Raises CipherError for another length."""
        self._idea = Idea(key)

    def encode(self, command: bytes) -> bytes:
        """Return `enc:LEN:HEX` for a command, without newline.

        The text is filled up with blanks to LEN // 8 + 1 blocks, so that a length that 8 divides, 0 too,
        carries one block of blanks alone.
        """
        size = len(command)
        blocks = command + b" " * (BLOCK_BYTES - size % BLOCK_BYTES)
        return b"enc:%d:%s" % (size, hexlify(self._idea.encrypt(blocks)))

    def decode(self, frame: bytes) -> bytes:
        """Return the text of an `enc:LEN:HEX` frame: one line, whatever bytes it holds.

        Both cases of HEX and any number of blocks that covers LEN are taken. Raises CipherError, which
        never quotes the frame, for anything else, and for a text that holds a newline: it would be two
        lines to whoever gets it, and everything behind it one off.
        """
        parts = frame.split(b":", 2)  # one copy of a HEX that may have 32 MiB, where partition makes two
        if len(parts) != 3 or parts[0] + b":" != ENC:
            raise CipherError("a frame is enc:LEN:HEX")
        _, digits, text = parts
        if not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
            raise CipherError("LEN is not a length")
        try:
            blocks = unhexlify(text)
        except HexError as error:
            raise CipherError("HEX is odd or holds a foreign character") from error
        size = int(digits)
        if len(blocks) % BLOCK_BYTES or size > len(blocks):
            raise CipherError("HEX is not whole blocks that cover LEN")
        plain = self._idea.decrypt(blocks)[:size]
        if b"\n" in plain:
            raise CipherError("the text holds a newline")
        return plain
