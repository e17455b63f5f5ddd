"""The block cipher IDEA: 128-bit key, 64-bit blocks, each on its own (ECB, as the network uses it).

The `cryptography` wheel does the work where it offers IDEA; a plain Python version of the published
algorithm (X. Lai, J. Massey, 1991) does it where the wheel is missing or was built without it, a few
thousand times slower. The wheel is imported here and nowhere else, once, so that a process which forks
children has it in memory before. `self_test` holds both against published known answers.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol

from lonc.errors import CipherError

BLOCK_BYTES: Final = 8
KEY_BYTES: Final = 16

_ROUNDS: Final = 8
_BLOCK: Final = Struct(">4H")
_PRIME: Final = 65537  # multiplication is modulo this prime, with 0 standing for 65536

Transform = Callable[[bytes], bytes]

# key, plain text, cipher text: the designer's own example, then two of the NESSIE project's set.
KNOWN_ANSWERS: Final = (
    ("00010002000300040005000600070008", "0000000100020003", "11fbed2b01986de5"),
    ("80000000000000000000000000000000", "0000000000000000", "b1f5f7f87901370f"),
    ("2bd6459f82c5b300952c49104881ff48", "f129a6601ef62a47", "ea024714ad5c4d84"),
)


class BlockCipher(Protocol):
    """IDEA with one key; blocks are any number of whole blocks, also none."""

    engine: str

    def __init__(self, key: bytes) -> None:
        """key: 16 bytes. Raises CipherError for another length."""

    def encrypt(self, blocks: bytes) -> bytes:
        """Return as many bytes. Raises CipherError when the last block is not whole."""

    def decrypt(self, blocks: bytes) -> bytes:
        """Return as many bytes. Raises CipherError when the last block is not whole."""


def _check_key(key: bytes) -> None:
    if len(key) != KEY_BYTES:
        raise CipherError(f"a key has {KEY_BYTES} bytes")


def _check_blocks(blocks: bytes) -> None:
    if len(blocks) % BLOCK_BYTES:
        raise CipherError(f"a block has {BLOCK_BYTES} bytes")


def _load_wheel() -> Callable[[bytes], tuple[Transform, Transform]] | None:
    """Return what makes the wheel's encrypting and decrypting calls for a key; None without IDEA."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.decrepit.ciphers.algorithms import IDEA
        from cryptography.hazmat.primitives.ciphers import Cipher
        from cryptography.hazmat.primitives.ciphers.modes import ECB
    except ImportError:
        return None

    def calls(key: bytes) -> tuple[Transform, Transform]:
        # ECB keeps nothing between whole blocks, so one context of each kind serves a link's whole life.
        cipher = Cipher(IDEA(key), ECB())
        return cipher.encryptor().update, cipher.decryptor().update

    try:
        calls(bytes(KEY_BYTES))
    except UnsupportedAlgorithm:  # OpenSSL without its legacy algorithms
        return None
    return calls


_wheel: Final = _load_wheel()


class WheelIdea:
    """IDEA by the `cryptography` wheel; CipherError from the constructor when the wheel has none."""

    engine = "cryptography"
    __slots__ = ("_decrypt", "_encrypt")

    def __init__(self, key: bytes) -> None:
        _check_key(key)
        if _wheel is None:
            raise CipherError("the cryptography wheel offers no IDEA here")
        self._encrypt, self._decrypt = _wheel(key)

    def encrypt(self, blocks: bytes) -> bytes:
        """Return the encrypted blocks, by one call however many there are."""
        _check_blocks(blocks)
        return self._encrypt(blocks)

    def decrypt(self, blocks: bytes) -> bytes:
        """Return the decrypted blocks, by one call however many there are."""
        _check_blocks(blocks)
        return self._decrypt(blocks)


class PlainIdea:
    """IDEA in plain Python: some 20 us a block."""

    engine = "python"
    __slots__ = ("_decrypt_keys", "_encrypt_keys")

    def __init__(self, key: bytes) -> None:
        _check_key(key)
        self._encrypt_keys = _expand(key)
        self._decrypt_keys = _invert(self._encrypt_keys)

    def encrypt(self, blocks: bytes) -> bytes:
        """Return the encrypted blocks."""
        return _run(blocks, self._encrypt_keys)

    def decrypt(self, blocks: bytes) -> bytes:
        """Return the decrypted blocks."""
        return _run(blocks, self._decrypt_keys)


def _expand(key: bytes) -> list[int]:
    """Return the 52 subkeys: eight 16-bit words of the key, which is then rotated left by 25 bits, and so on."""
    bits = int.from_bytes(key)
    subkeys: list[int] = []
    while len(subkeys) < 6 * _ROUNDS + 4:
        subkeys += [bits >> shift & 0xFFFF for shift in range(112, -1, -16)]
        bits = (bits << 25 | bits >> 103) & (1 << 128) - 1
    return subkeys[: 6 * _ROUNDS + 4]


def _invert(subkeys: list[int]) -> list[int]:
    """Return the subkeys that undo the given ones: taken from the end, each replaced by its inverse.

    In all rounds but the outermost the two additive subkeys change places, because encrypting swaps the
    two middle words there.
    """
    inverse: list[int] = []
    for half in range(_ROUNDS, -1, -1):
        a, b, c, d = subkeys[6 * half : 6 * half + 4]
        first, second = (-b & 0xFFFF, -c & 0xFFFF)
        if 0 < half < _ROUNDS:
            first, second = second, first
        inverse += [_reciprocal(a), first, second, _reciprocal(d)]
        if half:
            inverse += subkeys[6 * half - 2 : 6 * half]
    return inverse


def _reciprocal(x: int) -> int:
    """Return the inverse of multiplication; 0 stands for 65536, which is its own inverse."""
    return pow(x or 65536, -1, _PRIME) & 0xFFFF


def _multiply(x: int, y: int) -> int:
    """Return x times y modulo 65537, with 0 standing for 65536 in all three."""
    return (x or 65536) * (y or 65536) % _PRIME & 0xFFFF


def _run(blocks: bytes, subkeys: list[int]) -> bytes:
    _check_blocks(blocks)
    return b"".join(_BLOCK.pack(*_run_block(words, subkeys)) for words in _BLOCK.iter_unpack(blocks))


def _run_block(words: tuple[int, ...], subkeys: list[int]) -> tuple[int, int, int, int]:
    """Return one block after eight rounds and the output transformation."""
    a, b, c, d = words
    for at in range(0, 6 * _ROUNDS, 6):
        k1, k2, k3, k4, k5, k6 = subkeys[at : at + 6]
        a, b = _multiply(a, k1), b + k2 & 0xFFFF
        c, d = c + k3 & 0xFFFF, _multiply(d, k4)
        t = _multiply(a ^ c, k5)
        u = _multiply((b ^ d) + t & 0xFFFF, k6)
        t = t + u & 0xFFFF
        a, b, c, d = a ^ u, c ^ u, b ^ t, d ^ t
    k1, k2, k3, k4 = subkeys[6 * _ROUNDS :]
    return _multiply(a, k1), c + k2 & 0xFFFF, b + k3 & 0xFFFF, _multiply(d, k4)


def self_test() -> None:
    """Hold every engine that is here against the known answers. Raises CipherError when one fails."""
    engines: tuple[type[BlockCipher], ...] = (PlainIdea,) if _wheel is None else (PlainIdea, WheelIdea)
    for engine in engines:
        for key, plain, encrypted in KNOWN_ANSWERS:
            cipher = engine(bytes.fromhex(key))
            there = cipher.encrypt(bytes.fromhex(plain)).hex() == encrypted
            back = cipher.decrypt(bytes.fromhex(encrypted)).hex() == plain
            if not there or not back:
                raise CipherError(f"IDEA by {engine.engine} gives wrong answers")


Idea: Final[type[BlockCipher]] = PlainIdea if _wheel is None else WheelIdea
ENGINE: Final = Idea.engine  # told by `-t` and at start: "cryptography", or "python", which is slow
