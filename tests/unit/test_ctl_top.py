"""loncctl top: rates of two moments, the order of rows, keys, and a table that fits a terminal of 80 columns."""

from __future__ import annotations

import io
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lonc.cli.ctl.rates import (
    GROUPS,
    Counts,
    Row,
    counts_of,
    quantile_s,
    rows,
    shown_age,
    shown_latency,
    shown_rate,
    sum_of,
)
from lonc.cli.ctl.snapshot import Life, Snapshot, take
from lonc.cli.ctl.top import screen as topscreen
from lonc.cli.ctl.top.table import COLUMNS, Looks, head_line, ordered
from lonc.config import Config, load_config
from lonc.system.scoreboard import LATENCY_BUCKETS, latency_bucket
from tests.process.made_network import KINDS, MadeNetwork

ROW = Row(
    peer="a", state="up", group="up", why="", since_s=10.0, requests_per_s=1.0, p50_s=0.001, p99_s=0.01,
    con_lost_per_s=0.0, clients=1, links=1, in_flight=0, queued=0, delayed=0, oldest_s=None,
)  # fmt: skip


@pytest.fixture
def network() -> Iterator[MadeNetwork]:
    """Return a network with every kind of peer."""
    with MadeNetwork(len(KINDS)) as made:
        yield made


def _config(network: MadeNetwork) -> Config:
    return load_config(str(network.site.conf_dir))


# --- rates ----------------------------------------------------------------------------------------------


def test_rates_are_those_of_the_time_between(network: MadeNetwork) -> None:
    before = counts_of(take(_config(network)))
    network.children["p0000"].con_lost += 4
    network.turn("p0000", 50)
    found = {row.peer: row for row in rows(take(_config(network)), before, 2.0)}
    assert found["p0000"].requests_per_s == 25
    assert found["p0000"].con_lost_per_s == 2
    assert 0 < (found["p0000"].p50_s or 0) <= (found["p0000"].p99_s or 0)
    assert (found["p0001"].requests_per_s, found["p0001"].p50_s) == (0, None)
    assert found["p0007"].requests_per_s is None  # given up: no child


def test_a_new_child_counts_from_its_beginning(network: MadeNetwork) -> None:
    before = {"p0000": Counts(1, 10**6, 10**6, (9,) * LATENCY_BUCKETS)}
    found = {row.peer: row for row in rows(take(_config(network)), before, 10.0)}
    assert found["p0000"].requests_per_s == 100
    assert found["p0001"].requests_per_s is None  # seen for the first time


def test_without_time_there_are_no_rates(network: MadeNetwork) -> None:
    snapshot = take(_config(network))
    assert all(row.requests_per_s is None for row in rows(snapshot, counts_of(snapshot), 0.0))


def test_each_kind_of_peer_has_its_state(network: MadeNetwork) -> None:
    found = {row.peer: (row.group, row.state) for row in rows(take(_config(network)), {}, 0.0)}
    expected = {
        "up": ("up", "up"), "down": ("down", "down"), "keying": ("trying", "keying"),
        "given up": ("given-up", "given up"),
        "backoff": ("down", "backoff"), "on demand": ("resting", "on demand"),
    }  # fmt: skip
    assert found == {name: expected[kind] for name, kind in network.kinds.items()}


def test_paused_stuck_and_unknown_are_told(network: MadeNetwork) -> None:
    (network.site.logs_dir / "lonc.wanted").write_text("p0000\tpaused\n")
    network.children["p0001"].beat = 1.0
    network.board.write_child(network.board.add("p0001"), network.children["p0001"])
    found = {row.peer: (row.group, row.state) for row in rows(take(_config(network)), {}, 0.0)}
    assert found["p0000"] == ("paused", "paused")
    assert found["p0001"] == ("unknown", "stuck")
    network.lock.close()
    assert {row.group for row in rows(take(_config(network)), {}, 0.0)} == {"unknown"}


@given(st.lists(st.floats(2e-6, 3.9), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    buckets = [0] * LATENCY_BUCKETS
    for value in values:
        buckets[latency_bucket(value)] += 1
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    found = quantile_s(buckets, share)
    assert found is not None
    assert latency_bucket(true) - 1 <= latency_bucket(found) <= latency_bucket(true) + 1


def test_quantiles_at_the_edges() -> None:
    assert quantile_s([0] * LATENCY_BUCKETS, 0.5) is None
    assert quantile_s([0] * (LATENCY_BUCKETS - 1) + [3], 0.5) == pytest.approx(4.194304)
    assert sum_of([None, None]) is None
    assert sum_of([None, 2.0]) == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.004, "0"), (0.05, "0.05"), (0.5, "0.5"), (3.44, "3.4"), (1234.4, "1234"),
     (12345, "12.3k")],
)  # fmt: skip
def test_rates_are_short(value: float | None, text: str) -> None:
    assert shown_rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.000085, "85us"),
        (0.0012, "1.2ms"),
        (0.34, "340ms"),
        (0.9999, "1.0s"),
        (1.5, "1.5s"),
        (9, ">4s"),
    ],
)
def test_latencies_are_short(value: float | None, text: str) -> None:
    assert shown_latency(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.4, "0s"), (59, "59s"), (60, "1m"), (250, "4m 10s"), (11100, "3h 5m"), (86400 * 12, "12d")],
)
def test_ages_are_short(value: float | None, text: str) -> None:
    assert shown_age(value) == text


@given(st.floats(0, 1e7), st.floats(0, 5), st.floats(0, 86400 * 999))
def test_no_number_is_wider_than_its_column(rate: float, latency: float, age: float) -> None:
    assert len(shown_rate(rate)) <= topscreen.WIDTH or rate >= 999_950
    assert len(shown_latency(latency)) <= topscreen.WIDTH
    assert len(shown_age(age)) <= topscreen.WIDTHS["oldest"] + (age >= 86400 * 100)


# --- order ----------------------------------------------------------------------------------------------


def _some_rows() -> list[Row]:
    chance = random.Random(2)
    return [
        replace(
            ROW, peer=f"p{i:02d}", group=GROUPS[i % len(GROUPS)],
            requests_per_s=chance.choice([None, 1.0, 2.0, 3.0]),
            p50_s=chance.random(), p99_s=chance.random(), con_lost_per_s=chance.random(), in_flight=i % 5,
            queued=i % 3, delayed=i % 7, oldest_s=chance.choice([None, 5.0, 9.0]),
        )
        for i in range(30)
    ]  # fmt: skip


@pytest.mark.parametrize("column", list(COLUMNS))
def test_every_column_sorts_both_ways(column: str) -> None:
    shown = _some_rows()
    key = COLUMNS[column][2]
    down, up = ordered(shown, column, invert=False), ordered(shown, column, invert=True)
    assert sorted(row.peer for row in down) == [row.peer for row in shown]
    assert [key(row) for row in down] == sorted(map(key, shown), reverse=True)
    assert [key(row) for row in up] == sorted(map(key, shown))


def test_peers_sort_by_name_and_the_worst_state_stands_first() -> None:
    shown = _some_rows()
    names = [row.peer for row in shown]
    assert [row.peer for row in ordered(shown[::-1], "peer", invert=False)] == names
    assert [row.peer for row in ordered(shown, "peer", invert=True)] == names[::-1]
    assert ordered(shown, "state", invert=False)[0].group == "given-up"
    assert [row.peer for row in ordered(shown, "queued", invert=False)][:2] == ["p02", "p05"]  # equal ones by name


# --- the terminal ----------------------------------------------------------------------------------------


def _screen(shown: list[Row], width: int = 80, height: int = 24) -> topscreen.Screen:
    snapshot = SimpleNamespace(config=SimpleNamespace(host_id="own1"), daemon=SimpleNamespace(life=Life.RUNNING))
    looks = cast(Looks, SimpleNamespace(snapshot=snapshot))
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    screen = topscreen.Screen(looks, "state", invert=False, console=console)
    screen.rows = shown
    return screen


def _lines(screen: topscreen.Screen) -> list[str]:
    console = screen._console
    with console.capture() as captured:
        console.print(screen.picture())
    return captured.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 8), (132, 50), (200, 24)])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    shown = [replace(row, peer=row.peer + "x" * 60, state="connecting") for row in _some_rows()]
    lines = _lines(_screen(shown, width, height))
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert all(title in lines[2] for title, *_rest in COLUMNS.values())


def test_a_name_cannot_act_on_the_terminal() -> None:
    text = "\n".join(_lines(_screen([replace(ROW, peer="a\x1b[2Jb", state="[bold]\x9b1m")])))
    assert "\x9b" not in text
    assert "a\\x1b[2Jb" in text
    assert "[bold]" in text


def test_keys_sort_invert_move_and_quit() -> None:
    screen = _screen(_some_rows())
    assert screen.press(">")
    assert screen.sort == "rate"
    assert screen.press("<")
    assert screen.press("<")
    assert screen.press("<")
    assert screen.sort == "oldest"  # round the end
    assert screen.press("i")
    assert screen.invert
    screen.press("j")
    assert screen.first == 1
    screen.press("G")
    assert screen.first == 30 - (24 - topscreen.AROUND_LINES)
    screen.press("k")
    screen.press("b")
    assert screen.first == 0
    assert screen.press("x")
    assert not screen.press("q")
    assert not screen.press("\x03")


def test_fewer_rows_than_before_are_still_seen() -> None:
    screen = _screen(_some_rows())
    screen.press("G")
    screen.rows = _some_rows()[:3]
    assert any("p00" in line for line in _lines(screen))


@pytest.mark.parametrize(
    ("sent", "keys"),
    [("q", ["q"]), ("\x1b[A\x1b[Bq", ["k", "j", "q"]), ("\x1b[5~ ", ["b", " "]), ("\x1bOC", [">"]), ("", [])],
)
def test_keys_are_read_from_what_a_terminal_sends(sent: str, keys: list[str]) -> None:
    assert topscreen.keys_of(sent) == keys


def test_the_head_line_says_everything(network: MadeNetwork) -> None:
    network.site.delay("p0003", b"put:x", age_s=7200)
    snapshot: Snapshot = take(_config(network))
    line = head_line(snapshot, rows(snapshot, counts_of(snapshot), 1.0))
    assert line.startswith("own1: 8 of 13 up, 0 req/s, 0 lost/s, 1 delayed, oldest 2h")
    assert len(line) <= 80
    network.lock.close()
    assert "(dead)" in head_line(take(_config(network)), [])
