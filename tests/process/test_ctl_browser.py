"""The status page in headless Chromium: no error, every peer in the table, pictures narrow, wide, light, dark.

The pictures are left in build/pages/ for people to look at.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from lonc.cli.ctl.page import document, html
from lonc.cli.ctl.page.history import History, samples_of, step_s
from lonc.cli.ctl.rates import counts_of, rows
from lonc.cli.ctl.snapshot import take
from lonc.config import load_config
from tests.process.made_network import MadeNetwork
from tests.process.waiting import TREE

OUTPUT = TREE / "build" / "pages"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
)  # fmt: skip
LIMIT_S = 100.0
SIZES = {"wide": (1280, 1600), "narrow": (390, 3000)}
SCHEMES = {"light": 1, "dark": 0}  # of preferredColorScheme
SHAPES = {13: ("wide-light", "wide-dark", "narrow-light", "narrow-dark"), 1000: ("wide-light", "narrow-dark")}

pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


def _run(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run the browser on a page to its end."""
    assert BROWSER is not None
    shutil.rmtree(profile, ignore_errors=True)
    return subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True, text=True, errors="replace", timeout=LIMIT_S, check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def _errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what the page has said on the console: errors, warnings, refusals of its policy."""
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def _made(count: int) -> str:
    """Return the page of so many peers with an hour of history."""
    with MadeNetwork(count) as network:
        for i in range(0, count, 7):
            network.site.delay(network.names[i], b"put:x", age_s=300 * (i + 1))
        before = counts_of(take(load_config(str(network.site.conf_dir))))
        network.turn_all()
        snapshot = take(load_config(str(network.site.conf_dir)))
        shown = rows(snapshot, before, 2.0)
        history = History()
        for i in range(samples_of(count)):
            share = 1 + 0.5 * ((i * 7919) % 13) / 13 + i / samples_of(count)
            sample = [
                replace(row, requests_per_s=row.requests_per_s and row.requests_per_s * share, p99_s=row.p99_s and
                        row.p99_s * (3 - share))
                for row in shown
            ]  # fmt: skip
            history.add(snapshot.at_wall - 3590 + i * step_s(count), sample, before)
        assert document(snapshot, shown, history)
        return html.page(snapshot, shown, history)


@pytest.fixture(scope="module", params=[13, 1000], ids=lambda count: f"{count} peers")
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    """Return the number of peers, and the file of their page."""
    path = tmp_path_factory.mktemp("page") / "lonc.html"
    path.write_text(_made(request.param), "utf-8")
    return request.param, path


def test_the_browser_finds_every_peer_and_no_fault(page: tuple[int, Path], tmp_path: Path) -> None:
    count, path = page
    began = time.monotonic()
    done = _run(path, tmp_path / "profile", "--dump-dom")
    print(f"{count} peers, {path.stat().st_size >> 10} KiB: shown in {time.monotonic() - began:.2f} s")
    assert path.stat().st_size < 3000 * count + 100_000
    assert _errors(done) == []
    table = done.stdout.partition('<table class="cards peers"')[2].partition("</table>")[0]
    found = re.findall(r'<th scope="row" role="rowheader">(p\d{4})</th>', table)
    assert sorted(found) == [f"p{i:04d}" for i in range(count)]
    assert "<script" not in done.stdout


def test_it_is_drawn_in_every_shape(page: tuple[int, Path], tmp_path: Path) -> None:
    count, path = page
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for shape in SHAPES[count]:
        size, scheme = shape.split("-")
        width, height = SIZES[size]
        picture = OUTPUT / f"{count}-{shape}.png"
        picture.unlink(missing_ok=True)
        done = _run(
            path, tmp_path / "profile", f"--window-size={width},{height}", f"--screenshot={picture}",
            f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        )  # fmt: skip
        assert _errors(done) == []
        data = picture.read_bytes()
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (width, height)
        assert len(data) > 20_000  # something is drawn


def test_a_fault_of_a_page_would_be_found(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    bad = '<img src="http://127.0.0.1:1/x.png" alt="from elsewhere"></body>'
    path.write_text(_made(3).replace("</body>", bad), "utf-8")
    assert _errors(_run(path, tmp_path / "profile", "--dump-dom"))
