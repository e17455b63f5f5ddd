"""A line that delays, slices, cuts, swallows, spoils and doubles, one direction at a time (rows 2, 3, 5, 23).

Whatever it does: nobody crashes, each request has exactly one line, and the link is good again when the line is.
Where the line loses or delays bytes but does not change them, that line is the request's own reply or con_lost.
With changed or doubled bytes it may be any text: replies carry no number, and a newline more or less is a reply
more or less (then the link is closed as soon as that shows).

LONC_TEST_SEEDS says how many seeds each fault is tried with in each direction (default 2).
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.conftest import MakeSite
from tests.process.harness import Client, Proxy, Site, wait_until
from tests.proof.tally import Tally

SEEDS = int(os.environ.get("LONC_TEST_SEEDS") or 2)
CLIENTS = 6
REQUESTS = 25  # of each client, all in one write
WAIT_S = 30.0  # for a line; the limits below make it come in 2 s
SETTINGS = {
    "loncRequestTimeout": "1", "loncInitTimeout": "1", "loncGrace": "0.2", "loncRedialMax": "0.1",
    "loncMaxAttempts": "0",
}  # fmt: skip
Order = dict[str, int | list[int]]
CHANGING = {"corrupt", "corrupt_about", "duplicate"}
FAULTS: dict[str, Callable[[random.Random], Order]] = {
    "latency": lambda chance: {"latency_ms": [0, chance.randrange(1, 30)]},
    "slices": lambda chance: {"slice": [1, chance.choice((1, 5, 100))]},
    "cut": lambda chance: {"cut": chance.choice((chance.randrange(90), chance.randrange(90, 2000)))},
    "reset": lambda chance: {"reset": chance.choice((chance.randrange(90), chance.randrange(90, 2000)))},
    "swallow": lambda chance: {"swallow": chance.choice((chance.randrange(90), chance.randrange(90, 2000)))},
    "corrupt": lambda chance: {chance.choice(("corrupt", "corrupt_about")): chance.choice((7, 150, 1500))},
    "duplicate": lambda chance: {"duplicate": chance.randrange(1, 5)},
}


def requests(chance: random.Random, client: int) -> list[tuple[bytes, bytes]]:
    """Return what a client asks, each with its right reply; no two replies of a test are alike."""
    found = []
    for number in range(REQUESTS):
        token = b"c%d-%d-%016x-%s" % (client, number, chance.getrandbits(64), b"x" * chance.choice((0, 3, 200)))
        found.append((chance.choice((b"echo:", b"encrypt:eecho:")) + token, token))
    return found


def ask_all(site: Site, chance: random.Random) -> list[tuple[bytes, bytes | None]]:
    """Have all clients ask everything at once; return the right reply and the one that came, for each request."""
    wanted = [requests(chance, number) for number in range(CLIENTS)]
    clients: list[Client] = [site.connect("msul1") for _ in wanted]
    try:
        for client, asked in zip(clients, wanted, strict=True):
            client.send(*(line for line, _token in asked))
        return [
            (token, client.line(WAIT_S))
            for client, asked in zip(clients, wanted, strict=True)
            for _line, token in asked
        ]
    finally:
        for client in clients:
            client.close()


def recovers(site: Site, proxy: Proxy, way: str) -> None:
    """The line is good again: so is the link, at once or as soon as the last one has been given up."""
    proxy.order(**{way: {}})
    fresh = (b"good again %d" % number for number in range(1 << 30))

    def look() -> bool:
        word = next(fresh)
        return all(site.ask("msul1", kind + word, WAIT_S) == word for kind in (b"echo:", b"encrypt:eecho:"))

    wait_until(look, WAIT_S, "a good link")


@pytest.mark.timeout(120 + 60 * SEEDS)
@pytest.mark.parametrize("way", ["up", "down"])
def test_each_request_has_one_line_whatever_the_line_does(make_site: MakeSite, tally: Tally, way: str) -> None:
    site = make_site(settings=SETTINGS)
    proxy = site.proxy("msul1")
    site.peer("msul1")
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    kept: dict[str, int] = {}
    for fault, make in FAULTS.items():
        for seed in range(SEEDS):
            chance = random.Random(f"{way} {fault} {seed}")
            order = make(chance)
            proxy.order(seed=seed, **{way: order})
            began = time.monotonic()
            answers = ask_all(site, chance)
            lost = sum(reply == b"con_lost" for _token, reply in answers)
            wrong = [(token, reply) for token, reply in answers if reply not in (token, b"con_lost")]
            missing = [token for token, reply in answers if reply is None]
            strict = not CHANGING.intersection(order)
            breaches = len(missing) + (len(wrong) if strict else 0)
            tally.add(inputs=len(answers), faults=1, violations=breaches)
            what = f"{way} {order} (seed {seed}): {lost} of {len(answers)} lost, {len(wrong)} others"
            print(f"{what}, {time.monotonic() - began:.1f} s")
            assert not missing, what
            assert not (strict and wrong), (what, wrong[:3])
            kept[fault] = kept.get(fault, 0) + len(answers) - lost
            recovers(site, proxy, way)
            assert site.child("msul1") == child
    # all of it, but that a busy machine may be slower than a limit
    assert kept["latency"] > 0
    assert kept["slices"] > 0
    assert "ABNORMAL EXIT" not in site.log_text()
    assert site.error_text() == ""
