"""Unique tokens through ten links that are killed at random: every request has exactly one line, and its own.

LONC_TEST_TOKENS says how many (default 300,000); LONC_TEST_KILL_MS how often a link is killed, in ms on average.
What came of it is printed: `bin/test tests/process/test_links_tokens.py -s`.
"""

from __future__ import annotations

import os
import threading
import time

import pytest

from tests.bench.kit import Kit, Load, Stub, load
from tests.conftest import MakeSite
from tests.process.harness import Proxy, wait_until

pytestmark = [pytest.mark.timing, pytest.mark.timeout(3600)]

TOKENS = int(os.environ.get("LONC_TEST_TOKENS") or 300_000)
KILL_MS = int(os.environ.get("LONC_TEST_KILL_MS") or 100)
LINKS = 10
WINDOW = 8  # small: far more is asked at once, so that all links are needed
SETTINGS = {
    "loncMaxConnections": str(LINKS),
    "loncPipeline": str(WINDOW),
    "loncSpreadAfter": "0",
    "loncGrace": "60",  # only a request that was on its way may be lost
    "loncMaxAttempts": "0",
    "loncRedialMax": "0.05",  # links that die young are dialed again soon, or there would never be ten
}
# Kind of client, its share of the tokens, and what it asks: tokens differ between the kinds by their first letter.
KINDS = (
    ("one at a time", 0.55, ("-c", "200", "-r", "echo:a@")),
    ("eight at once", 0.25, ("-c", "16", "-P", "8", "-r", "echo:b@")),
    ("more than a window", 0.1, ("-c", "8", "-P", "30", "-r", "echo:e@")),
    ("encrypted", 0.05, ("-c", "16", "-s", "40", "-r", "encrypt:c@")),
    ("one per connection", 0.05, ("-c", "8", "-k", "1", "-r", "echo:d@")),
)


def run_all(kit: Kit, socket: str, line: Proxy) -> tuple[dict[str, Load], int]:
    """Have every kind of client ask its share at the same time.

    Return what each found, and the largest number of links that were seen at once.
    """
    most = 0
    found: dict[str, Load] = {}

    def run(kind: str, share: float, arguments: tuple[str, ...]) -> None:
        count = str(int(TOKENS * share))
        found[kind] = load(kit, "-u", socket, "-n", count, "-T", "120", "-v", *arguments, timeout_s=3500)

    threads = [threading.Thread(target=run, args=kind) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
            most = max(most, line.stats()["open"])
    return found, most


def test_tokens_never_cross_whatever_links_die(make_site: MakeSite, kit: Kit) -> None:
    site = make_site(settings=SETTINGS)
    line = Proxy(site.root, "msul1", site.entry("msul1").address, site.port, "127.0.0.1")
    site.proxies["msul1"] = line.start()
    with Stub(kit, port=site.port, own_id="msul1"):
        site.start()
        site.wait_ready()
        line.order(kill_ms=KILL_MS)
        began = time.monotonic()
        found, most = run_all(kit, str(site.socket_path("msul1")), line)
        seconds = time.monotonic() - began
        line.order(kill_ms=0)
        # an outage in the end is over when one link is back
        wait_until(lambda: site.ask("msul1", b"echo:last", 60) == b"last", 60, "a link in the end")
    sums = {name: int(sum(one.figures[name] for one in found.values())) for name in found["encrypted"].figures}
    stats = line.stats()
    for kind, one in found.items():
        print(f"\n{kind}: {one.line}")
    asked = sum(int(TOKENS * share) for _kind, share, _arguments in KINDS)
    lost, killed = sums["con_lost"], stats["killed"]
    print(
        f"{asked} tokens in {seconds:.0f} s, {killed} links killed, {stats['used']} used, {most} at once, "
        f"{lost} con_lost, {sums['mismatches']} mismatches"
    )
    errors = [one.errors for one in found.values() if one.errors]
    assert sums["mismatches"] == sums["errors"] == 0, errors
    assert sums["requests"] + lost == asked  # one line for each: its own, or con_lost
    assert lost <= WINDOW * (killed + LINKS)  # no more than what was on the links that were killed
    assert killed > seconds * 1000 / KILL_MS / 10
    assert most == LINKS
    assert stats["used"] > LINKS
    shown = site.board("msul1").child
    assert shown.links_opened > killed / 2
    assert "ABNORMAL" not in site.log_text()
