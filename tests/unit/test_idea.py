"""IDEA: published known answers, and the wheel and plain Python against each other.

LONC_TEST_KEYS: how many random keys are tried (default 10,000).
"""

from __future__ import annotations

import os
import random
import sys

import pytest

from lonc.errors import CipherError
from lonc.wire import idea
from lonc.wire.idea import BlockCipher, PlainIdea, WheelIdea

ENGINES: list[type[BlockCipher]] = [PlainIdea, WheelIdea]

# Written down here a second time, from the publications: key, plain text, cipher text.
PUBLISHED = [
    ("0001 0002 0003 0004 0005 0006 0007 0008", "0000 0001 0002 0003", "11FB ED2B 0198 6DE5"),
    ("8000 0000 0000 0000 0000 0000 0000 0000", "0000 0000 0000 0000", "B1F5 F7F8 7901 370F"),
    ("2BD6 459F 82C5 B300 952C 4910 4881 FF48", "F129 A660 1EF6 2A47", "EA02 4714 AD5C 4D84"),
]


def test_the_self_test_has_all_published_answers() -> None:
    spelled = [tuple(text.replace(" ", "").lower() for text in row) for row in PUBLISHED]
    assert list(idea.KNOWN_ANSWERS) == spelled


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("key", "plain", "encrypted"), PUBLISHED)
def test_known_answers(engine: type[BlockCipher], key: str, plain: str, encrypted: str) -> None:
    cipher = engine(bytes.fromhex(key))
    assert cipher.encrypt(bytes.fromhex(plain)) == bytes.fromhex(encrypted)
    assert cipher.decrypt(bytes.fromhex(encrypted)) == bytes.fromhex(plain)


def test_random_keys_and_blocks_are_the_same_in_both() -> None:
    source = random.Random(1991)
    for _ in range(int(os.environ.get("LONC_TEST_KEYS", "10000"))):
        key, block = source.randbytes(16), source.randbytes(8)
        plain, wheel = PlainIdea(key), WheelIdea(key)
        encrypted = wheel.encrypt(block)
        assert plain.encrypt(block) == encrypted
        assert plain.decrypt(encrypted) == block
        assert wheel.decrypt(encrypted) == block


@pytest.mark.parametrize("word", [0x0000, 0x0001, 0x8000, 0xFFFF])
def test_words_at_the_edge_of_the_multiplication(word: int) -> None:
    # 0 stands for 65536 there: the one place where a plain version likes to go wrong
    key, block = word.to_bytes(2) * 8, word.to_bytes(2) * 4
    assert PlainIdea(key).encrypt(block) == WheelIdea(key).encrypt(block)
    assert PlainIdea(key).decrypt(block) == WheelIdea(key).decrypt(block)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_block_stands_for_itself(engine: type[BlockCipher]) -> None:
    cipher = engine(bytes(range(16)))
    blocks = [bytes([n]) * 8 for n in (1, 2, 1)]
    together = cipher.encrypt(b"".join(blocks))
    assert together == b"".join(map(cipher.encrypt, blocks))  # and a second use of the cipher changes nothing
    assert together[:8] == together[16:]
    assert cipher.decrypt(together) == b"".join(blocks)
    assert cipher.encrypt(b"") == cipher.decrypt(b"") == b""


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_key_has_sixteen_bytes(engine: type[BlockCipher], size: int) -> None:
    with pytest.raises(CipherError, match="16 bytes"):
        engine(bytes(size))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 7, 9])
def test_a_block_has_eight_bytes(engine: type[BlockCipher], size: int) -> None:
    cipher = engine(bytes(16))
    with pytest.raises(CipherError, match="8 bytes"):
        cipher.encrypt(bytes(size))
    with pytest.raises(CipherError, match="8 bytes"):
        cipher.decrypt(bytes(size))


def test_the_wheel_is_used_where_it_is() -> None:
    assert idea.ENGINE == "cryptography"
    assert idea.Idea is WheelIdea
    loaded = idea._load_wheel()
    assert loaded is not None
    encrypt, decrypt = loaded(bytes(range(16)))
    assert encrypt(bytes(24)) == PlainIdea(bytes(range(16))).encrypt(bytes(24))
    assert decrypt(bytes(24)) == PlainIdea(bytes(range(16))).decrypt(bytes(24))


def test_self_test_is_content_and_finds_a_wrong_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    idea.self_test()
    # A multiplication that forgets what 0 stands for is right for nearly all blocks.
    monkeypatch.setattr(idea, "_multiply", lambda x, y: x * y % 65537 & 0xFFFF)
    with pytest.raises(CipherError, match="IDEA by python gives wrong answers"):
        idea.self_test()


def test_self_test_finds_a_wheel_that_only_decrypts_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WheelIdea, "decrypt", lambda _self, blocks: blocks)
    with pytest.raises(CipherError, match="IDEA by cryptography"):
        idea.self_test()


def test_without_the_wheel_plain_python_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.decrepit.ciphers.algorithms", None)
    assert idea._load_wheel() is None
    monkeypatch.setattr(idea, "_wheel", None)
    idea.self_test()
    with pytest.raises(CipherError, match=r"^the cryptography wheel offers no IDEA here$"):
        WheelIdea(bytes(16))


def test_a_wheel_without_idea_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.ciphers import Cipher

    def refuse(_self: object) -> None:
        raise UnsupportedAlgorithm("no legacy algorithms")

    monkeypatch.setattr(Cipher, "encryptor", refuse)
    assert idea._load_wheel() is None
