"""Lock-step: with window 1 one message is on its way, and that one alone may be double after a kill (P3, P4)."""

from __future__ import annotations

import signal

from tests.process.harness import Site, stays, wait_until


def put(number: int) -> bytes:
    return b"put:msu:u:ns:a=%d" % number


def test_with_window_1_one_message_is_on_its_way_and_a_kill_doubles_that_one(site: Site) -> None:
    peer = site.peer("msul1", "on put:*=gate@1")
    for number in range(3):
        site.delay("msul1", put(number))
    site.start()
    peer.wait_executed(1)
    wait_until(lambda: site.board("msul1").child.in_flight == 1, 20, "one in flight")
    stays(lambda: site.board("msul1").child.in_flight == 1, 0.3, "one in flight")
    note = (site.delayed_dir / ".lock-msul1").read_text().partition("\n\n")[0]
    assert note.count("\t") == 1
    site.signal(signal.SIGKILL, site.child("msul1"))
    wait_until(lambda: not site.waiting(), 20, "an empty directory")
    texts = [put(number).decode() for number in range(3)]
    assert peer.executed() == [texts[0], *texts]
    assert site.log_text().count("may have been sent already before a crash") == 1
