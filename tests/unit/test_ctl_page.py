"""The status page: a bounded history that goes on, escaped text, readable colours, pictures with all in place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.cli.ctl.finding import Finding, Weight
from lonc.cli.ctl.page import document, html, svg
from lonc.cli.ctl.page import history as memory
from lonc.cli.ctl.page.history import History, load, samples_of, step_s
from lonc.cli.ctl.page.style import COLOURS, style_sheet
from lonc.cli.ctl.rates import GROUPS, Row, counts_of, rows
from lonc.cli.ctl.snapshot import Snapshot, take
from lonc.config import load_config
from tests.process.made_network import KINDS, SPITEFUL, MadeNetwork
from tests.unit.test_ctl_top import ROW

TREE = Path(__file__).resolve().parents[2]
NOW = 1_700_000_000.0
VOID = {"meta", "link", "br"}


class Seen(HTMLParser):
    """What a page holds; a tag that is closed wrongly, or never, is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        assert len({name for name, _value in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        """Check that it ends what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note it."""
        self.text.append(data)


@pytest.fixture(scope="module")
def snapshot() -> Iterator[Snapshot]:
    """Return a snapshot of a network with every kind of peer, and messages."""
    with MadeNetwork(len(KINDS)) as network:
        network.turn_all()
        for name in ("p0003", "p0007", "gone"):
            network.site.delay(name, b"put:x", age_s=500)
        yield take(load_config(str(network.site.conf_dir)))


def _rows(count: int, **changed: object) -> list[Row]:
    return [replace(ROW, peer=f"p{i}", **changed) for i in range(count)]  # type: ignore[arg-type]  # as Row checks


# --- history --------------------------------------------------------------------------------------------


def _fill(history: History, shown: list[Row], seconds: float, every: float, start: float = NOW) -> float:
    now = start
    while now < start + seconds:
        history.add(now, shown, {})
        now += every
    return now - every


@pytest.mark.parametrize("peers", [1, 111, 112, 1000, 2000])
def test_two_hours_leave_one_bounded_hour(peers: int) -> None:
    history = History()
    step = step_s(peers)
    last = _fill(history, _rows(peers), 2 * memory.SPAN_S, step)
    assert samples_of(peers) - 2 <= len(history.at) <= samples_of(peers) <= 360
    assert all(last - at <= memory.SPAN_S for at in history.at)
    assert len(history.peers) == peers
    assert all(len(values) == len(history.at) for curves in history.peers.values() for values in curves.values())
    assert peers * samples_of(peers) <= max(memory.ALL_SAMPLES, peers * memory.FEWEST_SAMPLES)


def test_runs_between_samples_take_none() -> None:
    history = History()
    _fill(history, _rows(1000), 600, 10.0)
    assert len(history.at) == int(600 / step_s(1000))


def test_more_peers_thin_what_is_kept_and_gone_ones_are_forgotten() -> None:
    history = History()
    last = _fill(history, _rows(5), 3600, 10.0)
    assert len(history.at) > 350
    history.add(last + 100, _rows(1000), {})
    assert len(history.at) <= samples_of(1000)
    assert history.at == sorted(history.at)
    gaps = [b - a for a, b in zip(history.at, history.at[1:], strict=False)]
    assert min(gaps) >= step_s(1000) - memory.EARLY_S
    assert history.peers["p999"]["rate"][:-1] == [None] * (len(history.at) - 1)
    history.add(last + 300, _rows(2), {})
    assert set(history.peers) == {"p0", "p1"}


def test_a_clock_that_was_set_back_begins_anew() -> None:
    history = History()
    _fill(history, _rows(1), 300, 10.0)
    history.add(NOW - 5000, _rows(1), {})
    assert history.at == []
    assert history.elapsed_s(NOW - 5000) == 0
    assert history.elapsed_s(NOW - 4000) == 1000
    assert history.elapsed_s(NOW + 5000) == 0  # too long ago to say anything about now


def test_a_history_comes_back_from_its_file(tmp_path: Path, snapshot: Snapshot) -> None:
    history = History()
    shown = rows(snapshot, {}, 0.0)
    _fill(history, shown, 300, 10.0)
    history.base = counts_of(snapshot)
    path = tmp_path / "lonc.json"
    path.write_bytes(document(snapshot, shown, history))
    again, why = load(str(path))
    assert why == ""
    assert again == history
    schema = json.loads((TREE / "doc" / "schema" / "lonc-page.json").read_text())
    jsonschema.validate(json.loads(path.read_bytes()), schema, jsonschema.Draft202012Validator)


def test_what_cannot_be_used_begins_a_new_history(tmp_path: Path, snapshot: Snapshot) -> None:
    path = tmp_path / "lonc.json"
    assert load(str(path)) == (History(), "")
    history = History()
    shown = rows(snapshot, {}, 0.0)
    _fill(history, shown, 100, 10.0)
    history.base = counts_of(snapshot)
    good = document(snapshot, shown, history)
    for bad in (
        b"", b"{", b"[]", b"null", b'{"format":2}', good[:-5], b"\xff\xfe", b"[" * 100_000,
        good.replace(b'"rate":[', b'"rate":[1,'), good.replace(b'"at":[', b'"at":[1e400,'),
        good.replace(b'"at":[', b'"at":[9e18,'), good.replace(b'"pid":', b'"pid":-'),
        good.replace(b'"latency_us":{', b'"latency_us":{"99":1,'), good.replace(b'"pid":', b'"pid":' + b"9" * 400),
    ):  # fmt: skip
        path.write_bytes(bad)
        found, why = load(str(path))
        assert (found, bool(why)) == (History(), True), bad[:60]
    path.unlink()
    os.mkfifo(path)
    assert load(str(path))[1]  # and it does not wait for a writer
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert load(str(path))[1]


# --- the page -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text(snapshot: Snapshot) -> str:
    """Return the page of that snapshot."""
    history = History()
    shown = rows(snapshot, counts_of(snapshot), 2.0)
    _fill(history, shown, 1800, 10.0, start=snapshot.at_wall - 1790)
    return html.page(snapshot, shown, history)


def test_the_page_is_whole_and_every_peer_is_in_its_table(text: str, snapshot: Snapshot) -> None:
    seen = Seen(text)
    ids = [attributes["id"] for _tag, attributes in seen.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for peer in snapshot.peers:
        assert re.search(rf'<tr role="row" id="p\d+"><th scope="row" role="rowheader">{peer.id}</th>', text)
    targets = [attributes["href"] for tag, attributes in seen.tags if tag in ("a", "use")]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)


def test_nothing_comes_from_elsewhere_and_nothing_runs(text: str) -> None:
    seen = Seen(text)
    assert not {"script", "iframe", "img", "object", "embed", "form"} & {tag for tag, _attributes in seen.tags}
    for tag, attributes in seen.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src"):
            assert attributes.get(name, "#")[:1] == "#" or attributes[name] in ("lonc.json", "data:,"), attributes
    assert "url(" not in text
    assert "@import" not in text
    assert not re.search(r"https?://", text)
    assert "default-src 'none'" in text


def test_texts_from_outside_are_shown_and_never_markup(text: str) -> None:
    assert "<script>alert" not in text
    assert SPITEFUL in "".join(Seen(text).text)


def test_pictures_have_words_and_headings_are_in_order(text: str) -> None:
    seen = Seen(text)
    for tag, attributes in seen.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes.get("aria-label")
    assert [tag for tag, _a in seen.tags if tag == "h1"] == ["h1"]
    assert 'lang="en"' in text
    cells = [attributes for tag, attributes in seen.tags if tag == "td" and attributes.get("role")]
    assert cells
    assert text.count("<main>") == text.count("</main>") == 1


def test_the_page_says_what_waits_and_what_is_wrong(text: str) -> None:
    shown = "".join(Seen(text).text)
    assert "p0007 given up" in shown
    assert "1 message waits, oldest 8 min" in shown
    assert "oldest 8m" in shown
    assert "ids that are not in the table" in shown
    assert "What is wrong" in shown


def test_a_page_without_a_daemon_says_so() -> None:
    with MadeNetwork(2) as network:
        network.lock.close()
        snapshot = take(load_config(str(network.site.conf_dir)))
        text = html.page(snapshot, rows(snapshot, {}, 0.0), History())
    assert "lonc is dead" in "".join(Seen(text).text)


def test_a_network_without_peers_has_a_page(snapshot: Snapshot) -> None:
    Seen(html.page(replace(snapshot, peers=()), [], History()))


@given(st.text(max_size=70), st.text(max_size=90), st.text(max_size=30))
def test_no_text_breaks_the_page(peer: str, why: str, state: str) -> None:
    row = replace(ROW, peer=peer, why=why, state=state, group="down", delayed=1, oldest_s=5.0)
    finding = Finding(peer, Weight.TROUBLE, "lost", why, state)
    plain = Finding("p", Weight.TROUBLE, "lost", "x", "y")
    parts = [html._peers([row], History(), NOW), html._network(peer, [row]), html._finding(finding, {})]
    usual = [html._peers([ROW], History(), NOW), html._network("own", [ROW]), html._finding(plain, {})]
    for part, other in zip(parts, usual, strict=True):
        assert {tag for tag, _a in Seen(part).tags} <= {tag for tag, _a in Seen(other).tags} | {"div", "code"}


def test_means_keep_what_is_known() -> None:
    assert html.means([1, 3, None, None, 5], 2) == [2, None, 5]
    assert html.means([], 0) == []


# --- pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 14, 15, 36, 37, 100, 1000, 4000])
def test_every_peer_has_a_place_of_its_own_inside_the_picture(count: int) -> None:
    spots, scale = svg.places(count)
    assert len(spots) == count
    assert all(abs(spot.x) < svg.CENTRE - 5 and abs(spot.y) < svg.CENTRE - 5 for spot in spots)
    assert all(spot.x**2 + spot.y**2 >= 80**2 for spot in spots)
    near = {(round(spot.x / 3), round(spot.y / 3)) for spot in spots}
    assert len(near) == count or scale < 0.6


def test_thousand_signs_do_not_overlap() -> None:
    spots, scale = svg.places(1000)
    least = min((a.x - b.x) ** 2 + (a.y - b.y) ** 2 for i, a in enumerate(spots) for b in spots[i + 1 : i + 130])
    assert least**0.5 >= 2 * 5.5 * scale


def test_every_group_has_shape_colour_and_word() -> None:
    assert set(svg._SHAPES) == set(GROUPS) == set(html.WORDS)
    assert len(set(svg._SHAPES.values())) == len(GROUPS)
    sheet = style_sheet()
    assert all(f".g-{group}{{color:var(--{group})}}" in sheet for group in GROUPS)


def test_curves_are_drawn_in_time_with_gaps() -> None:
    times = [NOW - 3600, NOW - 3590, NOW - 100, NOW - 90, NOW]
    drawn = svg.spark(
        times, [svg.Curve("rate", [0, 10, None, 5, 20])], now=NOW, span_s=3600, step_s=10, label='a "<b>'
    )
    assert drawn.count("M") == 3  # before the gap, behind it, and the last alone
    assert "M0 46h0" in drawn
    assert "M240 2h0" in drawn
    assert "a &quot;&lt;b&gt;" in drawn
    nothing = svg.spark([], [svg.Curve("rate", [])], now=NOW, span_s=3600, step_s=10, label="x")
    assert "no history" in nothing


# --- colours --------------------------------------------------------------------------------------------


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("ground", ["ground", "card"])
@pytest.mark.parametrize("name", [name for name in COLOURS if name not in ("ground", "card", "line")])
def test_texts_have_contrast_in_light_and_dark(name: str, ground: str) -> None:
    for i in range(2):
        assert _contrast(COLOURS[name][i], COLOURS[ground][i]) >= 4.5
