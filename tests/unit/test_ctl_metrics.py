"""What loncctl metrics tells is what the official parsers accept; what rules and board ask for exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from lonc.cli.ctl.metrics import as_json
from lonc.cli.ctl.metrics.families import SnapshotCollector, families
from lonc.cli.ctl.metrics.serving import CannotServe, loopback
from lonc.cli.ctl.rates import GROUPS
from lonc.cli.ctl.snapshot import Snapshot, take
from lonc.config import load_config
from tests.process.made_network import MadeNetwork

TREE = Path(__file__).resolve().parents[2]
MONITORING = TREE / "etc" / "monitoring"
LABELS = {"peer", "state", "le", "version"}
NAME = re.compile(r"\blonc_[a-z0-9_]+")


@pytest.fixture(scope="module")
def snapshot() -> Iterator[Snapshot]:
    """Return a snapshot of a network with every kind of peer and some messages."""
    with MadeNetwork(14) as network:
        network.turn_all()
        network.site.delay("p0003", b"put:x", age_s=500)
        yield take(load_config(str(network.site.conf_dir)))


@pytest.fixture(scope="module")
def text(snapshot: Snapshot) -> str:
    """Return the exposition of that snapshot."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(lambda: snapshot))
    return generate_latest(registry).decode()


@pytest.fixture(scope="module")
def told(text: str) -> dict[str, Metric]:
    """Return the families as the official parser reads them."""
    return {family.name: family for family in parse(text)}


def _series(text: str) -> list[str]:
    return [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]


def _names(text: str) -> set[str]:
    """Return the names as they stand in queries: with _total, _bucket and the like."""
    return {series.partition("{")[0] for series in _series(text)}


def test_the_official_parser_reads_every_line(text: str, told: dict[str, Metric]) -> None:
    assert sum(len(family.samples) for family in told.values()) == len(_series(text))
    assert all(family.type in ("gauge", "counter", "histogram") for family in told.values())


def test_no_series_comes_twice(text: str) -> None:
    assert [series for series, count in Counter(_series(text)).items() if count > 1] == []


def test_every_family_has_help_and_type_before_its_series(text: str) -> None:
    helped, typed = set(), set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, about = line[7:].split(" ", 1)
            assert len(about) > 10
            helped.add(name)
        elif line.startswith("# TYPE "):
            typed.add(line.split()[2])
        else:
            name = re.split(r"[{ ]", line)[0]
            family = re.sub(r"_(bucket|count|sum)$", "", name)
            assert {name, family} & helped
            assert {name, family} & typed


def test_names_and_labels_are_as_promised(told: dict[str, Metric], text: str) -> None:
    for family in told.values():
        assert family.name.startswith("lonc_")
        names = {sample.name for sample in family.samples}
        if family.type == "counter":
            assert all(name.endswith("_total") for name in names)
        else:
            assert not any(name.endswith("_total") for name in names)
        for sample in family.samples:
            assert set(sample.labels) <= LABELS
            assert ("le" in sample.labels) == sample.name.endswith("_bucket")
            assert ("version" in sample.labels) == (sample.name == "lonc_build_info")
            assert sample.name.startswith("lonc_peer_") == ("peer" in sample.labels)
            assert ("state" in sample.labels) == (sample.name == "lonc_peer_state")
    assert not re.search(r"_(ms|us|kb|mb|minutes|percent)\b", text)


def test_openmetrics_is_accepted_as_well(snapshot: Snapshot) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(SnapshotCollector(lambda: snapshot))
    exposed = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]  # the library's own
    found = {family.name for family in parse_openmetrics(exposed)}  # type: ignore[no-untyped-call]  # likewise
    assert {"lonc_up", "lonc_peer_requests", "lonc_peer_latency_seconds"} <= found


def test_each_peer_is_in_one_state(told: dict[str, Metric], snapshot: Snapshot) -> None:
    samples = told["lonc_peer_state"].samples
    assert len(samples) == len(GROUPS) * len(snapshot.peers)
    chosen = Counter(sample.labels["peer"] for sample in samples if sample.value == 1)
    assert chosen == Counter({peer.id: 1 for peer in snapshot.peers})


def test_the_histogram_is_cumulative_and_holds_every_reply(told: dict[str, Metric], snapshot: Snapshot) -> None:
    samples = told["lonc_peer_latency_seconds"].samples
    buckets = [
        sample for sample in samples if sample.name.endswith("_bucket") and sample.labels["peer"] == "p0000"
    ]
    values = [sample.value for sample in buckets]
    limits = [float(sample.labels["le"]) for sample in buckets]
    assert values == sorted(values)
    assert limits == sorted(limits)
    peer = snapshot.peer("p0000")
    assert peer is not None
    assert peer.live is not None
    assert values[-1] == sum(peer.live.latency_us) > 0
    sums = [sample.value for sample in samples if sample.name.endswith("_sum")]
    assert all(total >= 0 for total in sums)


def test_values_are_those_of_the_board(told: dict[str, Metric]) -> None:
    def value(family: str, peer: str = "") -> float | None:
        found = [s.value for s in told[family].samples if s.labels.get("peer", "") == peer]
        return found[0] if found else None

    assert value("lonc_up") == 1
    assert value("lonc_peer_up", "p0000") == 1
    assert value("lonc_peer_up", "p0003") == 0
    assert value("lonc_peer_con_lost", "p0000") == 10
    assert value("lonc_peer_received_bytes", "p0000") == 50_000
    assert value("lonc_peer_requests", "p0007") is None  # no child lives
    assert value("lonc_peer_attempts", "p0007") == 3
    assert value("lonc_peer_delayed_messages", "p0003") == 1
    assert 490 < (value("lonc_peer_delayed_oldest_age_seconds", "p0003") or 0) < 900
    assert value("lonc_peer_delayed_oldest_age_seconds", "p0000") == 0


def test_the_document_lists_exactly_what_is_told(text: str) -> None:
    rows = re.findall(r"^\| (`lonc_.*?) \|", (TREE / "doc" / "loncctl-pages.md").read_text(), re.MULTILINE)
    listed = {name for row in rows for name in NAME.findall(row)}
    assert listed == {re.sub(r"_(bucket|count|sum)$", "", name) for name in _names(text)}


def test_alert_rules_name_existing_metrics(text: str) -> None:
    rules = (MONITORING / "alerts.yml").read_text()
    expressions = re.findall(r"^ +expr: (.*)$", rules, re.MULTILINE)
    alerts = re.findall(r"- alert: (\w+)$", rules, re.MULTILINE)
    assert len(expressions) == len(alerts) == len(set(alerts)) > 15
    assert rules.count("severity:") == rules.count("summary:") == rules.count("description:") == len(alerts)
    for expression in expressions:
        assert set(NAME.findall(expression)), expression
        assert set(NAME.findall(expression)) <= _names(text), expression
        _states_exist(expression)


def test_the_board_shows_existing_metrics(text: str) -> None:
    board = json.loads((MONITORING / "lonc-dashboard.json").read_text())
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    expressions += [entry["expr"] for entry in board["annotations"]["list"]]
    expressions += [entry["definition"] for entry in board["templating"]["list"] if entry["type"] == "query"]
    assert len(expressions) > 15
    for expression in expressions:
        assert set(NAME.findall(expression)), expression
        assert set(NAME.findall(expression)) <= _names(text), expression
        _states_exist(expression)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in board["panels"])


def _states_exist(expression: str) -> None:
    for words in re.findall(r'state=~?"([^"$]*)"', expression):
        assert set(words.split("|")) <= set(GROUPS), expression


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_accepts_metrics_and_rules(text: str) -> None:
    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False, timeout=60
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
    rules = ["promtool", "check", "rules", str(MONITORING / "alerts.yml")]
    checked = subprocess.run(rules, capture_output=True, text=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_json_fits_its_schema(snapshot: Snapshot) -> None:
    schema = json.loads((TREE / "doc" / "schema" / "metrics.json").read_text())
    document = json.loads(json.dumps(as_json(snapshot), allow_nan=False))
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)


def test_without_a_daemon_up_is_0_and_messages_are_still_counted() -> None:
    network = MadeNetwork(3)
    with network:
        network.site.delay("p0001", b"put:x")
        network.lock.close()
        found = {family.name: family for family in families(take(load_config(str(network.site.conf_dir))))}
    assert found["lonc_up"].samples[0].value == 0
    assert sum(sample.value for sample in found["lonc_peer_delayed_messages"].samples) == 1
    assert "lonc_peer_requests" not in found


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [("127.0.0.1:9663", "127.0.0.1", 9663), ("127.8.9.1:0", "127.8.9.1", 0), ("[::1]:9663", "::1", 9663),
     ("localhost:80", "127.0.0.1", 80)],
)  # fmt: skip
def test_addresses_of_the_loopback_are_served(where: str, host: str, port: int) -> None:
    assert loopback(where) == (host, port)


@pytest.mark.parametrize(
    "where", ["0.0.0.0:9663", "10.0.0.1:9663", "[::]:9663", ":9663", "9663", "example.org:80", "127.0.0.1:x",
              "127.0.0.1:70000", "*:80", "127.0.0.1", ""],
)  # fmt: skip
def test_other_addresses_are_refused_with_a_reason(where: str) -> None:
    with pytest.raises(CannotServe, match=r"loopback|neither"):
        loopback(where)
