"""Text from outside as it is shown: one printable line, no markup, never longer than asked (P31)."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.system.shown import clean, cut_bytes, printable

ANYTHING = st.text(st.characters(), max_size=60) | st.binary(max_size=60)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("ok", "ok"),
        (b"ok", "ok"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#39;"),
        ("a\nb\r\tc\0", r"a\x0ab\x0d\x09c\x00"),
        ("\x1b[2J\x7f\x9b", r"\x1b[2J\x7f\x9b"),
        (b"\xff\xfe ok", r"\xff\xfe ok"),
        ("\udcff\ud800", r"\xff\ud800"),
        ("Zürich", "Zürich"),
        ("\u202e\u2028\U000e0001", r"\u202e\u2028\U000e0001"),
    ],
)
def test_clean(text: str | bytes, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("ab<defg", 6, "ab..."),  # never half an entity
        ("\x1b" * 9, 11, r"\x1b\x1b..."),
        ("abcdef", 2, ".."),
        ("abcdef", 0, ""),
        (b"\xc3\xbc" * 9, 5, "üü..."),
        ("ab c" * 3, 6, "ab ..."),
    ],
)
def test_clean_cuts_with_an_ellipsis(text: str | bytes, limit: int, shown: str) -> None:
    assert clean(text, limit) == shown


def test_printable_leaves_markup_alone() -> None:
    assert printable("<a & 'b'>\x1b") == "<a & 'b'>\\x1b"
    assert printable("abc def ghi", 8) == "abc d..."


@given(ANYTHING, st.integers(0, 80))
def test_whatever_comes_is_one_printable_bounded_line_without_markup(text: str | bytes, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert not re.search(r"[<>\"']|&(?!(lt|gt|amp|quot|#39);)", shown)
    assert printable(text, limit).isprintable()
    assert len(printable(text, limit)) <= limit
    shown.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=40))
def test_printable_text_can_be_had_back(text: str) -> None:
    assert html.unescape(clean(text)) == text or "&" in text
    assert printable(text) == text


def test_huge_text_costs_no_more_than_its_limit() -> None:
    assert len(clean(b"<" * 50_000_000, 100)) <= 100


@given(st.text(max_size=40), st.integers(0, 40))
def test_cut_bytes_never_cuts_a_character(text: str, limit: int) -> None:
    cut = cut_bytes(text, limit)
    assert len(cut) <= limit
    whole = text.encode("utf-8", "backslashreplace")
    assert whole.startswith(cut)
    assert cut.decode() in whole.decode()
    assert len(whole) <= limit or limit - len(cut) < 4
