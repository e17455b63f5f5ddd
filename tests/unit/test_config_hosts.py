"""hosts.tab (spec files.md 2): every form of line, and that one bad line costs only itself."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.config import Config, Host, HostTable, load_config, load_hosts
from lonc.config.hosts import WARNING_LIMIT
from lonc.errors import ConfigError

ME = "me:dom:library:localhost:127.0.0.1\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "loncapa.conf").write_text("PerlSetVar lonHostID me\nPerlSetVar lonTabDir .\n")
    return load_config(str(tmp_path))


def read(config: Config, text: str | bytes) -> HostTable:
    Path(config.hosts_path).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_hosts(config)


def told(config: Config, table: HostTable) -> list[str]:
    return [text.removeprefix(config.hosts_path) for text in table.warnings]


def test_classic_and_newer_lines(config: Config) -> None:
    text = (
        "# comment\n\n  # indented comment\n^sponsor:name.server:http\n" + ME
        + "msul1:msu:library:zaphod.lite.msu.edu:35.8.63.51\n"
        "a.b:d:access:h.example:https:example.org\n"
        "six:d:access:h6.example:[2001:db8::1]:x\r\n"
        "v4x:d:library:h:10.0.0.1  \t\r\n"
        "http1:d:library:h.example:http\r\n"
    )  # fmt: skip
    table = read(config, text)
    assert table.warnings == ()
    assert table.path == config.hosts_path
    assert table.hosts == (
        Host("me", "dom", "library", "localhost", "127.0.0.1"),
        Host("msul1", "msu", "library", "zaphod.lite.msu.edu", "35.8.63.51"),
        Host("a.b", "d", "access", "h.example", ""),
        Host("six", "d", "access", "h6.example", "2001:db8::1"),
        Host("v4x", "d", "library", "h", "10.0.0.1"),
        Host("http1", "d", "library", "h.example", ""),
    )
    assert [host.protocol for host in table.hosts] == ["http", "http", "https", "http", "http", "http"]


def test_a_line_without_address_is_skipped_in_silence(config: Config) -> None:
    table = read(config, ME + "x:d:library:h\nx:d:library:h:\nx:d:library:h:  \r\nx:d:library:h::e.org\n")
    assert [host.id for host in table.hosts] == ["me"]
    assert table.warnings == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("junk", "1 of at least 4 fields"),
        ("a:b:c", "3 of at least 4 fields"),
        (".a:d:library:h:1.2.3.4", "'.a' is not an id"),
        ("-a:d:library:h:1.2.3.4", "'-a' is not an id"),
        ("a/b:d:library:h:1.2.3.4", "'a/b' is not an id"),
        ("delayed:d:library:h:1.2.3.4", "'delayed' is not an id"),
        (f"{'x' * 65}:d:library:h:1.2.3.4", "is not an id"),
        (":d:library:h:1.2.3.4", "'' is not an id"),
        ("a:d:library:h:1.2.3", "'1.2.3' is not an IPv4"),
        ("a:d:library:h:1.2.3.256", "'1.2.3.256' is not an IPv4"),
        ("a:d:library:h:host.example", "'host.example' is not an IPv4"),
        ("a:d:library:h:2001:db8::1", "'2001' is not an IPv4"),
        ("a:d:library:h:[1.2.3.4]", "'1.2.3.4' is not an IPv4"),
        ("a:d:library:h:[::1%lo]", "'::1%lo' is not an IPv4"),
        ("a:d:library:h:HTTP", "'HTTP' is not an IPv4"),
        ("a:d:library::https", "'' is no name to resolve"),
        ("a:d:library:-h:http", "'-h' is no name to resolve"),
        ("a:d:library:h h:http", "'h h' is no name to resolve"),
    ],
)
def test_malformed_lines_are_told_and_cost_only_themselves(config: Config, line: str, why: str) -> None:
    table = read(config, f"{line}\n{ME}")
    assert [host.id for host in table.hosts] == ["me"]
    (text,) = told(config, table)
    assert text.startswith(":1: malformed line passed over: ")
    assert why in text


def test_of_a_duplicated_id_the_later_line_wins(config: Config) -> None:
    table = read(config, "x:d:library:h:1.1.1.1\n" + ME + "x:d:library:h:2.2.2.2\nx:d:library:h:\n")
    assert {host.id: host.address for host in table.hosts} == {"x": "2.2.2.2", "me": "127.0.0.1"}
    assert told(config, table) == [":3: x stands already in line 1; this one wins"]


def test_ids_may_share_an_address(config: Config) -> None:
    assert len(read(config, ME + "x:d:library:h:127.0.0.1\n").hosts) == 2


def test_a_socket_path_that_is_too_long_refuses_that_host_alone(config: Config) -> None:
    config = replace(config, sock_dir="/" + "s" * 99)  # with the slash behind it 101 bytes
    table = read(config, ME + "sixsix:d:library:h:1.1.1.1\nseven77:d:library:h:1.1.1.2\n")
    assert [host.id for host in table.hosts] == ["me", "sixsix"]
    assert [host.id for host in table.refused] == ["seven77"]
    (text,) = table.warnings
    assert "seven77 is refused: its socket path" in text
    assert "is 1 bytes longer than the 107" in text


def test_our_own_id_missing_is_told(config: Config) -> None:
    table = read(config, "x:d:library:h:1.1.1.1\n")
    assert told(config, table) == [": our own id me is not in the table"]


@pytest.mark.parametrize("text", ["", "# only\n", "\n\n", "junk\n", "x:d:library:h:\n", "^a:b:c:d:1.1.1.1\n"])
def test_no_usable_host_is_an_error(config: Config, text: str) -> None:
    with pytest.raises(ConfigError, match=r"hosts\.tab: no usable host"):
        read(config, text)


def test_no_usable_host_says_why(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"no usable host; line 1: malformed line passed over: 1 of at least 4"):
        read(config, "junk\n")


def test_missing_fifo_directory(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"hosts\.tab: cannot be read: No such file"):
        load_hosts(config)
    os.mkfifo(config.hosts_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_hosts(config)


def test_binary_junk_is_survived_and_bounded(config: Config) -> None:
    noise = random.Random(1).randbytes(300_000).replace(b"^", b"\n").replace(b"#", b"\n")
    ends = b"\nx\x1b:d\xff:r\x00:\xe9:1.1.1.1\ny:\xff\x1b:r:\xe9:1.1.1.1"
    table = read(config, ME.encode() + noise + ends)
    assert [host.id for host in table.hosts] == ["me", "y"]
    assert len(table.warnings) == WARNING_LIMIT + 1
    assert table.warnings[-1].endswith("more lines like these were passed over")
    assert all(text.isascii() and text.isprintable() for text in table.warnings)
    host = table.hosts[1]
    assert (host.domain, host.name) == ("\\\\xff\\x1b", "\\xe9")


def test_a_hundred_thousand_lines(config: Config) -> None:
    lines = (f"h{i}:d:library:h{i}.example:10.{i >> 16}.{(i >> 8) & 255}.{i & 255}\n" for i in range(100_000))
    text = ME + "".join(lines)
    before = time.process_time()
    table = read(config, text)
    assert time.process_time() - before < 2.0
    assert len(table.hosts) == 100_001


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_half_written_table_never_crashes(config: Config, cut: int) -> None:
    table = read(config, ME + "x1:dom:library:h.example:[2001:db8::1]:e.org\n"[:cut])
    assert table.hosts[0].id == "me"
