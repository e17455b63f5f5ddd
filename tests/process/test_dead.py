"""A peer that is away for longer than the grace: its child lives, dials on, and says con_lost at once.

"At once" is proved by what the child does between reading a request and writing its answer: nothing that waits.
The times are printed: `bin/test tests/process/test_dead.py -s`.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Client, Peer, Site, stays, wait_until
from tests.process.linked import scene

DEAD = ">>> DEAD !!!! <<<"
ROUNDS = 60
SETTINGS = {"loncGrace": "0.3", "loncMaxAttempts": "0", "loncRedialMax": "0.2", "loncRestartMin": "0.05"}


def dead(site: Site) -> bool:
    return DEAD in site.title(site.child("msul1"))


def wait_dead(site: Site) -> None:
    wait_until(lambda: dead(site), 10, "the title of a dead peer")


# Where its dialing may stand while a request comes: what the peer does, and what the scoreboard then shows.
MOMENTS: dict[str, tuple[Callable[[Peer], object], str]] = {
    "between two dials": (lambda peer: peer.order(listen=False), "down"),
    "a connect that nobody answers": (lambda peer: peer.order(deaf=True), "connecting"),
    "a dialogue that nobody answers": (lambda peer: peer.script("at sethost=stall"), "greeting"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_con_lost_at_once_wherever_the_dial_stands(make_site: MakeSite, moment: str) -> None:
    """Beside an echo of another peer, which makes the longer way to the peer and back."""
    long = {"loncConnectTimeout": "60", "loncInitTimeout": "60"}
    site = make_site(["msul1", "msul2"], settings=SETTINGS | long)
    peer, _other = site.peer("msul1"), site.peer("msul2")
    site.start()
    site.wait_ready()
    change, state = MOMENTS[moment]
    change(peer)
    peer.order(end="rst")
    wait_dead(site)
    wait_until(lambda: site.board("msul1").child.state == state, 10, f"a link that is {state}")
    lost, echoed = [], []
    for number in range(ROUNDS):
        began = time.perf_counter()
        assert site.ask("msul1", b"echo:%d" % number) == b"con_lost"
        between = time.perf_counter()
        assert site.ask("msul2", b"echo:%d" % number) == b"%d" % number
        lost.append(between - began)
        echoed.append(time.perf_counter() - between)
    print(
        f"\n{moment}: con_lost after {statistics.median(lost) * 1e6:.0f} us, at most {max(lost) * 1e6:.0f} us, "
        f"connect included; an echo of another peer {statistics.median(echoed) * 1e6:.0f} us"
    )
    assert statistics.median(lost) < 2 * statistics.median(echoed)
    assert site.board("msul1").child.queued == 0


@pytest.mark.skipif(not procs.strace_works(), reason="strace cannot trace here")
def test_nothing_stands_between_request_and_con_lost(make_site: MakeSite) -> None:
    """The system calls of the child: a request read is answered before the loop waits again."""
    site = make_site(settings=SETTINGS)
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    peer.order(listen=False, end="rst")
    wait_dead(site)
    trace = site.root / "trace"
    child = site.child("msul1")
    command = ["strace", "-qq", "-ttt", "-o", str(trace), "-e", "trace=network,desc", "-p", str(child)]
    strace = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        wait_until(lambda: procs.traced_by(strace.pid, child) or strace.poll() is not None, 10, "a tracer")
        if strace.poll() is not None:
            pytest.skip("strace may not attach here")
        for number in range(ROUNDS):
            assert site.ask("msul1", b"echo:%d" % number) == b"con_lost"
    finally:
        strace.terminate()
        strace.communicate(timeout=10)
    times = read_to_answer(trace)
    assert len(times) == ROUNDS
    middle, most = statistics.median(times) * 1e6, max(times) * 1e6
    print(f"\nread to con_lost: {middle:.0f} us, at most {most:.0f} us, traced")


def read_to_answer(trace: Path) -> list[float]:
    """Return for each request the seconds from its read to the end of its answer; a wait between is an error."""
    times, read_at = [], 0.0
    for line in trace.read_text().splitlines():
        at = float(line.split()[0])
        if re.search(r' recv\w*\(\d+, "echo:', line):
            read_at = at
        elif re.search(r' send\w*\(\d+, "con_lost\\n"', line):
            assert read_at, f"an answer to nothing: {line}"
            times.append(at - read_at)
            read_at = 0.0
        elif "epoll_" in line and "epoll_ctl" not in line:
            assert not read_at, f"the loop waits before it answers: {line}"
    return times


def until_answered(client: Client) -> list[bytes | None]:
    """Return the replies to `ping` up to the first from the peer."""
    replies: list[bytes | None] = []

    def ask() -> bool:
        replies.append(client.ask(b"ping"))
        return replies[-1] == b"msul1"

    wait_until(ask, 10, "an answer of the peer")
    return replies


def test_con_lost_until_a_redial_succeeds_and_never_after(make_site: MakeSite) -> None:
    site = make_site(settings=SETTINGS)
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    for _ in range(3):
        opened = site.board("msul1").child.links_opened
        peer.order(listen=False, end="rst")
        wait_dead(site)
        with site.connect("msul1") as client:
            assert [client.ask(b"echo:%d" % number) for number in range(10)] == [b"con_lost"] * 10
            peer.order(listen=True)
            answers = until_answered(client)
            assert set(answers[:-1]) <= {b"con_lost"}
            assert [client.ask(b"echo:%d" % number) for number in range(10)] == [b"%d" % n for n in range(10)]
        assert site.board("msul1").child.links_opened == opened + 1
        wait_until(lambda: not dead(site), 5, "the title of a peer that is back")
    assert site.child("msul1") == child


# ------------------------------------------------------------------------------------------ given up or not


def test_without_a_limit_a_dead_peer_is_dialed_for_ever_by_the_same_child(make_site: MakeSite) -> None:
    """Many more failed dials than any count of attempts, each further than the last; nobody gives up."""
    site = make_site(settings=SETTINGS | {"loncRetryMin": "0.1", "loncRetryMax": "0.1", "loncRedialMax": "0.05"})
    steps = ("connect=rst", "init=answer-close:refused", "challenge=answer:no", "ekey=close")
    peer = site.peer("msul1", f"at {steps[0]}")
    site.start()
    child = site.child("msul1")
    for step in steps:
        peer.script(f"at {step}")
        seen = peer.stats()["accepted"]
        wait_until(lambda least=seen + 10: peer.stats()["accepted"] >= least, 20, "ten more dials")  # type: ignore[misc]  # a default argument
        wait_dead(site)
        assert site.ask("msul1", b"echo:x") == b"con_lost"
        assert site.child("msul1") == child
    shown = site.board("msul1")
    assert (shown.parent.attempts, shown.parent.state) == (0, "up")
    text = site.log_text()
    assert text.count("Attempting to start child") == 1
    assert "Giving up" not in text
    assert "Skipped" not in text
    peer.script()
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.child("msul1") == child


@pytest.mark.parametrize("most", [1, 3])
def test_with_a_limit_every_attempt_counts_once_however_many_dials_and_links(
    make_site: MakeSite, most: int
) -> None:
    """The original counts a failure twice: here four lost links are no attempt, and a child's dials are one."""
    limits = {"loncMaxAttempts": str(most), "loncRetryMin": "0.6", "loncRetryMax": "0.6", "loncRestartMin": "0.05"}
    with scene(make_site, loncMaxConnections="4", loncRedialMax="0.05", **limits) as here:
        site, peer = here.site, here.peer
        here.open_and_idle(4)
        peer.script("at init=answer-close:refused")
        before = peer.stats()["accepted"]
        peer.order(end="rst")
        wait_until(lambda: site.board("msul1").parent.state == "given up", 30, "msul1 given up")
        said = [line.message for line in site.log("PARENT") if "Trying to reconnect" in line.message]
        numbers = range(1, most + 1)
        assert said == [f"Trying to reconnect for msul1 ({number} of {most} attempts)" for number in numbers]
        assert site.log_text().count("Giving up on msul1") == most + 1  # the first start is no attempt
        assert peer.stats()["accepted"] - before > 2 * (most + 1)  # every child has dialed more than once
        assert site.board("msul1").parent.attempts == most
        assert not site.socket_path("msul1").exists()
        stays(lambda: not site.children(), 0.5, "no child")


def test_attempts_are_not_used_up_by_links_lost_again_and_again(make_site: MakeSite) -> None:
    """All links of a living child, many times: the count stays at 0, and so does the word of it."""
    with scene(make_site, loncMaxAttempts="1", loncRedialMax="0.05", loncGrace="20") as here:
        child = here.site.child("msul1")
        for _ in range(6):
            here.peer.order(end="rst")
            here.site.wait_ready()
            assert here.site.ask("msul1", b"echo:x") == b"x"
        assert here.site.child("msul1") == child
        assert here.site.board("msul1").parent.attempts == 0
        assert "Retries remaining: 1 " in here.title()
        assert "Trying to reconnect" not in here.site.log_text()
