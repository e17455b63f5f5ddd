"""Where each setting comes from, and that no password of a store's address is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from lonc.config import load_config, load_with_origins, masked
from lonc.errors import ConfigError


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("sqlite", "sqlite"),
        ("postgresql://u:secret@db.msu.edu:5432/lond", "postgresql://u:***@db.msu.edu:5432/lond"),
        ("postgresql://u@[::1]:5432/lond", "postgresql://u@[::1]:5432/lond"),
        ("postgres:///lond?host=/run&password=secret&sslmode=require",
         "postgres:///lond?host=/run&password=***&sslmode=require"),
        ("postgresql://a:1,b:2/lond", "postgresql://a:1,b:2/lond"),
        ("postgresql://u:se@cret@db/lond", "postgresql://***"),
        ("postgresql://u:se/cret@db/lond", "postgresql://***"),
        ("postgresql://u:se?cret@db/lond", "postgresql://***"),
        ("postgresql://u:secret", "postgresql://***"),
        ("mysql://u:secret@db/lond", "mysql://u:***@db/lond"),
        ("postgresql:u:secret@db", "postgresql:***"),
        ("u:secret@db", "u:***"),
        ("password=secret", "***"),
    ],
)  # fmt: skip
def test_the_address_of_a_store_is_shown_without_its_password(word: str, shown: str) -> None:
    assert masked(word) == shown


@given(some.text(some.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_no_password_survives_whatever_its_characters(tail: str) -> None:
    secret = "s3cr3t" + tail
    for word in (f"postgresql://u:{secret}@db/lond", f"postgres://db/lond?password={secret}", f"x:u:{secret}@db"):
        assert "s3cr3t" not in masked(word)


@pytest.mark.parametrize(
    "line",
    [
        "londStore mysql://u:s3cr3t@db/lond",
        "londStore u:s3cr3t@db",
        "londStor postgresql://u:s3cr3t@db/lond",
        "londstore postgresql://u:s3@cr3t@db/lond",
    ],
)
def test_an_error_about_the_store_does_not_quote_its_password(tmp_path: Path, line: str) -> None:
    (tmp_path / "loncapa.conf").write_text(f"PerlSetVar lonHostID own1\nPerlSetVar {line}\n")
    with pytest.raises(ConfigError) as caught:
        load_config(str(tmp_path))
    assert ":2: " in str(caught.value)
    assert "s3" not in str(caught.value)
    assert "cr3t" not in str(caught.value)


def test_the_line_that_counts_and_those_it_wins_over_are_known(tmp_path: Path) -> None:
    first, second = tmp_path / "loncapa_apache.conf", tmp_path / "loncapa.conf"
    first.write_text("PerlSetVar lonHostID own1\nPerlSetVar londPort 1\nPerlSetVar londPort 2\n")
    second.write_text("# mine\nPerlSetVar londPort 3\n")
    config, given_by_name = load_with_origins(str(tmp_path))
    assert config.port == 3
    at = given_by_name["londPort"]
    assert (at.value, at.path, at.line) == (3, str(second), 2)
    assert at.earlier == ((str(first), 2), (str(first), 3))
    assert "loncGrace" not in given_by_name
