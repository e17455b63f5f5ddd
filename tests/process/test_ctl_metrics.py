"""loncctl metrics as Prometheus and node_exporter meet it: over HTTP to this machine alone, and as a file."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.conftest import MakeSite
from tests.process.loncctl import command, run
from tests.process.made_network import MadeNetwork
from tests.process.waiting import TREE, wait_until

LIMIT_S = 30.0


@pytest.fixture
def network() -> Iterator[MadeNetwork]:
    """Return a network of three peers that are up."""
    with MadeNetwork(3, even=True) as made:
        yield made


class Serving:
    """A running `loncctl metrics --serve`; ended by TERM at the end of the block."""

    def __init__(self, network: MadeNetwork, where: str) -> None:
        self.process = subprocess.Popen(
            command(network.site, "metrics", "--serve", where), stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> str:
        """Return the address that it tells."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "metrics are served at " in line
        return line.split(" at ")[1].split(",")[0]

    def __exit__(self, *_error: object) -> None:
        """End it; it ends in order."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(LIMIT_S) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=LIMIT_S)
        self._path = path

    def connect(self) -> None:
        """Connect to the UNIX socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LIMIT_S)
        self.sock.connect(self._path)


def _connection(address: str) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _Unix(address.removeprefix("unix:"))
    host, _, port = address.rpartition(":")
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=LIMIT_S)


def _scrape(address: str) -> dict[str, float]:
    """Return name and labels of every series with its value."""
    connection = _connection(address)
    connection.request("GET", "/metrics")
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return _series(text)


def _series(text: str) -> dict[str, float]:
    samples = [sample for family in parse(text) for sample in family.samples]
    return {f"{sample.name}{sorted(sample.labels.items())}": sample.value for sample in samples}


REQUESTS = "lonc_peer_requests_total[('peer', 'p0000')]"


@pytest.mark.parametrize("where", ["127.0.0.1:0", "[::1]:0", "unix"])
def test_every_scrape_shows_the_moment(network: MadeNetwork, where: str) -> None:
    path = network.site.root / "metrics"
    with Serving(network, f"unix:{path}" if where == "unix" else where) as address:
        before = _scrape(address)
        assert before["lonc_up[]"] == 1
        network.turn("p0000", 25)
        assert _scrape(address)[REQUESTS] == before[REQUESTS] + 25
        if where == "unix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


def test_a_silent_client_does_not_keep_others_away(network: MadeNetwork) -> None:
    with Serving(network, "127.0.0.1:0") as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), LIMIT_S):
            assert _scrape(address)["lonc_up[]"] == 1  # after the silent one was dropped


@pytest.mark.parametrize("where", ["0.0.0.0:0", "[::]:0", "192.0.2.1:9663", "example.org:80", "everywhere"])
def test_other_places_are_refused_with_a_reason(network: MadeNetwork, where: str) -> None:
    done = run(network.site, "metrics", "--serve", where)
    assert done.returncode == 1
    assert "127.0.0.1:PORT" in done.stderr


def test_a_stale_socket_is_replaced_and_anything_else_is_not(network: MadeNetwork) -> None:
    path = network.site.root / "metrics"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    with Serving(network, f"unix:{path}") as address:
        assert _scrape(address)["lonc_up[]"] == 1
        second = run(network.site, "metrics", "--serve", f"unix:{path}")
        assert second.returncode == 1
        assert "another process serves there" in second.stderr
        assert _scrape(address)["lonc_up[]"] == 1
    path.write_text("mine")
    refused = run(network.site, "metrics", "--serve", f"unix:{path}")
    assert refused.returncode == 1
    assert "is no socket" in refused.stderr
    assert path.read_text() == "mine"
    long = run(network.site, "metrics", "--serve", f"unix:/tmp/{'x' * 120}")
    assert "longer than 107 bytes" in long.stderr


def test_the_text_file_is_replaced_whole(network: MadeNetwork, tmp_path: Path) -> None:
    path = tmp_path / "lonc.prom"
    assert run(network.site, "metrics", "--textfile", str(path)).returncode == 0
    inode = path.stat().st_ino
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    network.turn("p0000", 7)
    before = _series(path.read_text())
    assert run(network.site, "metrics", "--textfile", str(path)).returncode == 0
    assert _series(path.read_text())[REQUESTS] == before[REQUESTS] + 7
    assert path.stat().st_ino != inode
    assert [entry.name for entry in tmp_path.iterdir()] == ["lonc.prom"]
    wrong = run(network.site, "metrics", "--textfile", str(tmp_path / "lonc.txt"))
    assert wrong.returncode == 2
    assert "end in .prom" in wrong.stderr
    gone = run(network.site, "metrics", "--textfile", str(tmp_path / "no" / "lonc.prom"))
    assert gone.returncode == 1
    both = run(network.site, "metrics", "--textfile", str(path), "--serve", "127.0.0.1:0")
    assert both.returncode == 2


def test_json_is_one_document(network: MadeNetwork) -> None:
    done = run(network.site, "metrics", "--json")
    assert done.returncode == 0
    schema = json.loads((TREE / "doc" / "schema" / "metrics.json").read_text())
    jsonschema.validate(json.loads(done.stdout), schema, jsonschema.Draft202012Validator)


def test_of_a_running_lonc_the_requests_are_counted_and_none_is_shown(make_site: MakeSite) -> None:
    site = make_site()
    site.peer("msul1")
    down = run(site, "metrics")
    assert down.returncode == 0
    assert _series(down.stdout)["lonc_up[]"] == 0
    site.start()
    site.wait_ready("msul1")
    secret = "sup3rs3cr3t"
    for _ in range(3):
        site.ask("msul1", f"put:msu:{secret}:pw={secret}".encode())

    def counted() -> bool:
        found = _series(run(site, "metrics").stdout)
        return found.get("lonc_peer_replies_total[('peer', 'msul1')]", 0) >= 3

    wait_until(counted, LIMIT_S, "three replies on the board")
    text = run(site, "metrics").stdout
    found = _series(text)
    assert found["lonc_peer_up[('peer', 'msul1')]"] == 1
    assert found["lonc_peer_state[('peer', 'msul1'), ('state', 'up')]"] == 1
    assert found["lonc_peer_latency_seconds_count[('peer', 'msul1')]"] >= 3
    assert 0 <= time.time() - found["lonc_start_time_seconds[]"] < 600
    for verb in (["page"], ["top", "--once"], ["top", "--json"]):
        assert secret not in run(site, *verb).stdout
    assert secret not in text
    for name in ("lonc.html", "lonc.json"):
        assert secret not in (site.status_path.parent / name).read_text()
