"""The suite stands alone, its own cipher is right, and doc/conformance.md shows all of its sentences."""

from __future__ import annotations

import ast
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lonc.wire import cipher as ours
from tests.conformance import tables
from tests.conformance.__main__ import main
from tests.conformance.cipher import Cipher, folded, key_of
from tests.conformance.model import SECTIONS, Book
from tests.process.waiting import TREE

HERE = Path(__file__).resolve().parent
CASE_FILES = {"framing", "dialogue", "opening_faults", "keys", "frames", "passing", "clients", "outages", "delays"}
ALONE = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("test_"))

# Key, text and cipher text as published with the cipher.
PUBLISHED = [
    ("00010002000300040005000600070008", "0000000100020003", "11fbed2b01986de5"),
    ("80000000000000000000000000000000", "0000000000000000", "b1f5f7f87901370f"),
    ("2bd6459f82c5b300952c49104881ff48", "f129a6601ef62a47", "ea024714ad5c4d84"),
]
# Worked out by hand from the rules in doc/protocol.md: MSUL1OWN1 becomes 6 2 4 5 1 8 6 7 1.
KEYS = [
    (b"msul1", b"own1", b"0123456789ABCDEF0123456", "62451867 10123456 789ABCDE F0123456"),
    (b"msul1", b"own1", b"7", "62451867 17624518 67176245 18671700"),
    (b"a-b_c.d", b"x", b"12345678901234567890", "ADBFCED7 12345678 90123456 7890ADBF"),
    (b"m" * 16, b"z" * 16, b"anything", "66666666 66666666 99999999 99999999"),
    (b"p", b"z", b"GHgh%", "99010159 90101599 01015000 00000000"),
]


@pytest.mark.parametrize(("key", "text", "encrypted"), PUBLISHED)
def test_the_cipher_is_the_published_one(key: str, text: str, encrypted: str) -> None:
    cipher = Cipher(bytes.fromhex(key))
    assert cipher.encrypt(bytes.fromhex(text)).hex() == encrypted
    assert cipher.decrypt(bytes.fromhex(encrypted)).hex() == text


@pytest.mark.parametrize(("peer", "own", "build_key", "key"), KEYS)
def test_the_key_is_the_one_worked_out_by_hand(peer: bytes, own: bytes, build_key: bytes, key: str) -> None:
    assert key_of(peer, own, build_key) == bytes.fromhex(key)


def test_folded_ids_keep_a_to_f() -> None:
    assert folded(b"abcdefghijklm", b"nopqrstuvwxyz") == b"ABCDEF0123456" + b"7890123456789"


def test_two_programs_written_apart_agree() -> None:
    source = random.Random(1530)
    letters = b"abcXYZgGpPqQzZ019-_."
    for _ in range(300):
        peer, own, build_key = (bytes(source.choices(letters, k=source.randrange(1, 30))) for _ in range(3))
        key = key_of(peer, own, build_key)
        assert key == ours.session_key(peer, own, build_key)
        text = source.randbytes(source.randrange(40)).replace(b"\n", b"")
        mine, theirs = Cipher(key), ours.FrameCipher(key)
        assert mine.frame(text) == theirs.encode(text)
        assert mine.text(theirs.encode(text)) == theirs.decode(mine.frame(text)) == text


@pytest.mark.parametrize("path", ALONE, ids=lambda path: path.stem)
def test_the_suite_shares_nothing_with_the_program(path: Path) -> None:
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    foreign = [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]
    assert all(name.startswith("tests.conformance") for name in foreign)


def test_the_suite_needs_no_package() -> None:
    command = [sys.executable, "-S", "-m", "tests.conformance", "--list", "4.1"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("   4.1 lonc `encrypt:CMD` goes to lond")


def test_every_file_of_cases_is_in_the_table() -> None:
    written = {path.stem for path in ALONE if "case = BOOK.case" in path.read_text("utf-8")}
    assert written == {file.__name__.rpartition(".")[2] for file in tables.FILES}
    assert written >= CASE_FILES


def test_sentences_are_numbered_once_and_known() -> None:
    numbers = [case.number for case in tables.ALL_CASES]
    assert len(set(numbers)) == len(numbers)
    for case in tables.ALL_CASES:
        assert case.section in SECTIONS
        assert (case.order[1] > 50) == (case.who == "lond"), case.number
        assert re.fullmatch(r"[`A-Z].*\.", case.sentence), case.number
        assert case.run.__doc__
        assert set(case.needs) <= set(tables.OPTIONS)


def test_what_is_ours_stands_among_the_deviations() -> None:
    text = (TREE / "doc" / "DEVIATIONS.md").read_text("utf-8")
    for case in tables.ALL_CASES:
        assert not case.ours or f"**{case.ours}." in text, case.number


def test_a_number_is_given_once() -> None:
    book: Book[object] = Book("lonc")
    book.case("1.1", "One.")(print)
    with pytest.raises(ValueError, match=r"two cases 1\.1"):
        book.case("1.1", "Another.")(print)


def test_the_document_shows_all_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tables.DOCUMENT.read_text("utf-8")
    assert tables.renewed(text) == text, "out of date; python -m tests.conformance --write"
    stale = tmp_path / "conformance.md"
    stale.write_text(f"before\n{tables.BEGIN}old\n{tables.END}behind\n")
    monkeypatch.setattr(tables, "DOCUMENT", stale)
    assert main(["--write"]) == 0
    assert stale.read_text().startswith(f"before\n{tables.BEGIN}\n### 1. Transport and framing\n")
    assert stale.read_text().endswith(f"{tables.END}behind\n")
    with pytest.raises(ValueError, match="no place"):
        tables.renewed("nothing")


def test_the_document_names_every_option() -> None:
    text = tables.DOCUMENT.read_text("utf-8").partition(tables.BEGIN)[0]
    for option in tables.OPTIONS.values():
        assert option in text
