"""The fixed words: what is a failure, what of a request may be shown, escaping."""

from __future__ import annotations

import pytest

from lonc.wire import words

# Each word as it travels, once more. A word is spelled like its name but for those with a colon, and one.
SPELLED = """
init sethost: version: ping pong ekey exit encrypt: enc: ok bye refused rejected unknown_cmd unable_to_set error:
con_lost con_delayed con_failed no_such_host self_reply found not_found not_home authorized non_authorized
unknown_user pwchange_failure auth_mode_error already_exists not_right_domain directory not_subscribed no_such_dir
empty
"""


def test_the_words_as_they_travel() -> None:
    spelled = {word.rstrip(":").upper(): word.encode() for word in SPELLED.split()}
    spelled["CLOSE_EXIT"] = b"close_connection_exit"
    assert {name: word for name, word in vars(words).items() if isinstance(word, bytes)} == spelled


@pytest.mark.parametrize(
    ("reply", "failed"),
    [
        (b"error", True),
        (b"error: no such thing", True),
        (b"refused", True),
        (b"rejected", True),
        (b"unknown_cmd", True),
        (b"con_lost", True),
        (b"no_such_host", True),
        (b"ok", False),
        (b"", False),
        (b"0", False),
        (b"not_found", False),
        (b"con_delayed", False),
        (b" error", False),
        (b"ERROR", False),
        (b"err", False),
    ],
)
def test_failure_is_what_the_reply_begins_with(reply: bytes, failed: bool) -> None:
    assert words.is_failure(reply) is failed


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"ping", "ping (4 bytes)"),
        (b"auth:msu:albert:secret", "auth (22 bytes)"),
        (b"encrypt:auth:msu:albert:secret", "encrypt:auth (30 bytes)"),
        (b"encrypt:", "encrypt: (8 bytes)"),
        (b"encrypt", "encrypt (7 bytes)"),
        (b"", " (0 bytes)"),
        (b":x", " (2 bytes)"),
        (b"a b\x1b\xff<:x", "a%20b%1b%ff%3c (8 bytes)"),
        (b"w" * 32, "w" * 32 + " (32 bytes)"),
        (b"w" * 32 + b":x", "w" * 32 + " (34 bytes)"),
        (b"w" * 33, "w" * 32 + "... (33 bytes)"),
        (b"w" * 33 + b":x", "w" * 32 + "... (35 bytes)"),
        (b"w" * 60 + b":x", "w" * 32 + "... (62 bytes)"),
        (b":" + b"x" * 60, " (61 bytes)"),
        (b"encrypt:" + b"w" * 33, "encrypt:" + "w" * 32 + "... (41 bytes)"),
    ],
)
def test_nothing_but_the_word_and_the_length_is_shown(line: bytes, text: str) -> None:
    assert words.command_word(line) == text


def test_the_length_of_a_line_that_is_held_in_part_is_given() -> None:
    assert words.command_word(b"put:msu:albert:x", 70000) == "put (70000 bytes)"


def test_escape_leaves_word_characters_alone_and_comes_back() -> None:
    assert words.escape(b"aZ09_ -.%:&=\n\xe4") == b"aZ09_%20%2d%2e%25%3a%26%3d%0a%e4"
    every = bytes(range(256))
    assert words.unescape(words.escape(every)) == every


def test_unescape_takes_both_cases_and_leaves_what_is_no_escape() -> None:
    assert words.unescape(b"%2d%2D%zz%4%") == b"--%zz%4%"
