"""Unique tokens through ten links that are killed at random: every request has exactly one line, and its own.

LONC_TEST_TOKENS says how many (default 300,000); LONC_TEST_KILL_MS how often a link is killed, in ms on average. A
third as many go through a line that has other faults besides, at intervals: slices, latency, swallowed bytes, and
children that are killed. What came of it is printed: `bin/test tests/process/test_links_tokens.py -s`.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.bench.kit import Kit, Load, Stub, load
from tests.conftest import MakeSite
from tests.process import procs
from tests.process.crowd import talk
from tests.process.harness import Proxy, Site, wait_until
from tests.proof.tally import Tally

pytestmark = pytest.mark.timeout(3600)

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


def run_all(kit: Kit, socket: str, tokens: int, beside: Callable[[], object]) -> dict[str, Load]:
    """Have every kind of client ask its share at the same time; return what each found.

    beside is called five times a second meanwhile.
    """
    found: dict[str, Load] = {}

    def run(kind: str, share: float, arguments: tuple[str, ...]) -> None:
        count = str(int(tokens * share))
        found[kind] = load(kit, "-u", socket, "-n", count, "-T", "120", "-v", *arguments, timeout_s=3500)

    threads = [threading.Thread(target=run, args=kind) for kind in KINDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)
            beside()
    return found


@contextlib.contextmanager
def bad_line(site: Site, kit: Kit) -> Iterator[Proxy]:
    """Give a line to a quick peer that kills a connection every now and then; it is a good one at the end."""
    line = Proxy(site.root, "msul1", site.entry("msul1").address, site.port, "127.0.0.1")
    site.proxies["msul1"] = line.start()
    with Stub(kit, port=site.port, own_id="msul1"):
        site.start()
        site.wait_ready()
        line.order(kill_ms=KILL_MS)
        yield line
        line.order(kill_ms=0)
        # an outage in the end is over when one link is back
        wait_until(lambda: site.ask("msul1", b"echo:last", 60) == b"last", 60, "a link in the end")


def sums_of(found: dict[str, Load], tokens: int) -> dict[str, int]:
    """Print what each kind found; return the sums of their figures, and `asked`."""
    for kind, one in found.items():
        print(f"\n{kind}: {one.line}")
    sums = {name: int(sum(one.figures[name] for one in found.values())) for name in found["encrypted"].figures}
    return sums | {"asked": sum(int(tokens * share) for _kind, share, _arguments in KINDS)}


@pytest.mark.timing
def test_tokens_never_cross_whatever_links_die(make_site: MakeSite, kit: Kit, tally: Tally) -> None:
    site = make_site(settings=SETTINGS)
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, line.stats()["open"])

    with bad_line(site, kit) as line:
        began = time.monotonic()
        found = run_all(kit, str(site.socket_path("msul1")), TOKENS, look)
        seconds = time.monotonic() - began
    sums, stats = sums_of(found, TOKENS), line.stats()
    asked, lost, killed = sums["asked"], sums["con_lost"], stats["killed"]
    tally.add(inputs=asked, faults=killed, violations=sums["mismatches"])
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


# ------------------------------------------------------------------------------------------ faults of every kind

# The time limits that end what a swallowed byte leaves behind are short, so that it does not take long.
FAULTY = SETTINGS | {
    "loncRequestTimeout": "2",
    "loncInitTimeout": "1",
    "loncConnectTimeout": "1",
    "loncRestartMin": "0.01",
}
GOOD: dict[str, object] = {"up": {}, "down": {}}
REST = 8  # steps of a fifth of a second between two faults, at the most
# What is done to the line, and for how many steps. Swallowed bytes are a gap in what comes behind them, which no
# TCP ever has: so every connection is reset before anything comes through again.
FAULTS: dict[str, tuple[dict[str, object], int, dict[str, object]]] = {
    "slices": ({"up": {"slice": [1, 60]}, "down": {"slice": [1, 40]}}, 1, GOOD),
    "latency": ({"up": {"latency_ms": [0, 8]}, "down": {"latency_ms": [0, 15]}}, 2, GOOD),
    "silence": ({"swallow": True}, 14, {"swallow": False, "end": "rst"}),
    "resets": ({"end": "rst"}, 1, {}),
}


def trouble(site: Site, line: Proxy, seen: Counter[str], chance: random.Random) -> Iterator[None]:
    """Inject one fault after the other, each for its time, with a pause behind it; each turn is a step of time."""
    while True:
        for kind in chance.sample([*FAULTS, "child"], len(FAULTS) + 1):
            seen[kind] += 1
            if kind == "child":
                pid = site.board("msul1").child.pid
                assert pid in site.children() or not procs.alive(pid)
                procs.send(pid, signal.SIGKILL)
            else:
                orders, steps, ended = FAULTS[kind]
                line.order(**orders)
                for _ in range(steps):
                    yield
                line.order(**ended)
            for _ in range(chance.randint(2, REST)):
                yield


@pytest.mark.slow
def test_tokens_never_cross_under_faults_of_every_kind(make_site: MakeSite, kit: Kit, tally: Tally) -> None:
    """A killed child closes its clients; every other request has one line, its own or con_lost."""
    tokens, seed = TOKENS // 3, random.randrange(1 << 30)
    site = make_site(settings=FAULTY)
    seen: Counter[str] = Counter()
    with bad_line(site, kit) as line:
        began = time.monotonic()
        steps = trouble(site, line, seen, random.Random(seed))
        sums: Counter[str] = Counter()
        while not sums or set(seen) != {*FAULTS, "child"}:  # on a quick machine one round may be over too soon
            found = run_all(kit, str(site.socket_path("msul1")), tokens, lambda: next(steps))
            sums.update(sums_of(found, tokens))
            assert sums["mismatches"] == 0, f"seed {seed}: {[one.errors for one in found.values()]}"
        line.order(swallow=False, end="rst", **GOOD)
        seconds = time.monotonic() - began
    stats = line.stats()
    faults = stats["killed"] + sum(seen.values())
    tally.add(inputs=sums["asked"], faults=faults)
    print(
        f"seed {seed}: {sums['asked']} tokens in {seconds:.0f} s, {stats['killed']} links killed, {dict(seen)}, "
        f"{sums['con_lost']} con_lost, {sums['errors']} closed, {sums['mismatches']} mismatches"
    )
    assert sums["requests"] + sums["con_lost"] + sums["errors"] == sums["asked"]
    clients = 200 + 16 * 8 + 8 * 30 + 16 + 8  # requests that one killed child may leave without a line
    assert sums["errors"] <= seen["child"] * clients
    assert "ABNORMAL" not in site.log_text()


def test_a_reply_that_comes_twice_costs_the_link_and_meets_nobody(make_site: MakeSite, tally: Tally) -> None:
    """Of replies that carry no number only the lock-step can tell; the same with one that nobody asked for."""
    site = make_site(settings={"loncPipeline": "1", "loncGrace": "20", "loncRedialMax": "0.05"})
    rules = [f"on echo:*7.*={action}" for action in ("twice@1-41", "extra:x.1.2@60-100")]
    peer = site.peer("msul1", *rules)
    site.start()
    site.wait_ready()
    asked = max(1500, TOKENS // 200)
    came = talk(site.socket_path("msul1"), 20, asked, timeout_s=100 + asked / 100)
    opened = site.board("msul1").child.links_opened
    acted = sum(rule[2] for rule in peer.stats()["rules"])
    tally.add(inputs=came.asked, faults=acted, violations=came.wrong_count)
    print(f"\n{acted} replies twice or with a line behind them, {opened} links: {came}")
    assert came.wrong_count == came.closed == 0, str(came)
    assert came.right + came.con_lost == came.asked
    assert came.con_lost <= acted
    assert acted > 50
    assert opened == acted + 1
