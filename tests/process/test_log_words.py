"""The words of the log against a golden list: scripts match those that the originals have, too (files.md 3).

golden_log.txt has one section a scenario, each line `WHO: MESSAGE` as it stands in the log, severity tag and all,
but with P for the peer, N for every number and ROOT for the site's directory. A scenario must say exactly these
lines (in any order and number: two processes write), so a changed word shows here before a script misses it. The
section `originals` is the list of files.md 3 as patterns; each of it must come in one of the scenarios.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site, wait_until

GOLDEN = Path(__file__).with_name("golden_log.txt")
NO_OWN_ID = "our own id own1 is not in the table"
SETTINGS = {"loncGrace": "0.2", "loncRestartMin": "0.1", "loncDelayedScan": "0.2", "loncRequestTimeout": "0.5"}
QUICKLY_TIRED = {"loncRetryMin": "0.4", "loncRetryMax": "0.4", "loncMaxAttempts": "2"}


def sections() -> dict[str, list[str]]:
    """Return the golden lines by section."""
    found: dict[str, list[str]] = {}
    for line in GOLDEN.read_text("utf-8").splitlines():
        if line.startswith("[") and line.endswith("]"):
            current = found.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            current.append(line)
    return found


def said(site: Site) -> set[str]:
    """Return what the log says, in the golden list's form."""
    found = set()
    for line in site.log():
        if NO_OWN_ID not in line.message:
            text = f"{line.who}: {line.message}".replace(str(site.root), "ROOT").replace("msul1", "P")
            found.add(re.sub(r"\d+(\.\d+)*", "N", re.sub(r"\bown1\b", "H", text)))
    return found


# --- the scenarios -------------------------------------------------------------------------------------------


def plain_life(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.stop()


def nobody_there_until_given_up_and_called_back(site: Site) -> None:
    site.write_config(**QUICKLY_TIRED)
    site.start()
    site.wait_log("Skipped", 20)
    site.signal(signal.SIGUSR1)
    site.wait_log("Restarting child for server")
    wait_until(lambda: site.log_text().count("Couldn't connect") == 4, 10, "the dials of four children")
    site.stop()


def init_refused(site: Site) -> None:
    site.peer("msul1", "at challenge=answer:no <b>way</b>@1")
    site.start()
    site.wait_ready()


def init_refused_at_once(site: Site) -> None:
    site.peer("msul1", "at init=answer-close:refused@1")
    site.start()
    site.wait_ready()


def init_not_answered(site: Site) -> None:
    site.write_config(loncInitTimeout="0.3")
    site.peer("msul1", "at sethost=stall@1")
    site.start()
    site.wait_ready()


def odd_answers_in_the_dialogue(site: Site) -> None:
    steps = {"sethost": "unknown_cmd", "version": "unknown_cmd", "pong": "msul1:con_lost"}
    site.peer("msul1", *(f"at {step}=answer:{answer}" for step, answer in steps.items()))
    site.start()
    site.wait_ready()


def delayed_messages(site: Site) -> None:
    peer = site.peer("msul1", "on put:bad*=reply:error: no such user", "on put:mute*=close")
    site.delay("msul1", b"put:good:u:ns:a=1")
    site.delay("msul1", b"encrypt:put:good:u:ns:a=1")
    site.delay("msul1", b"put:bad:u:ns:a=1")
    site.delay("msul1", b"put:mute:u:ns:a=1")
    site.start()
    peer.wait_executed(3)
    site.wait_log("on 3 links", 20)
    site.wait_ready()


def request_not_answered(site: Site) -> None:
    site.peer("msul1", "on *=stall@1")
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"encrypt:get:d:u:ns:key") == b"con_lost"
    site.wait_log("online", count=2)


def link_lost(site: Site) -> None:
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    peer.order(end="close")
    site.wait_log("online", count=2)


def close_connection(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    assert site.ask("msul1", b"close_connection_exit") is None
    site.wait_log("online", count=2)


def restart(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.signal(signal.SIGHUP)
    site.wait_log("online", 20, count=2)
    site.wait_log("Done starting initial servers", count=2)


def child_killed(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.signal(signal.SIGKILL, site.child("msul1"))
    site.wait_log("online", 20, count=2)


def child_quits(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.signal(signal.SIGQUIT, site.child("msul1"))
    site.wait_log("online", 20, count=2)


def parent_quits(site: Site) -> None:
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    site.signal(signal.SIGQUIT)
    wait_until(lambda: not procs.alive(pid), 20, "the parent's end")


def logging_of_transactions(site: Site) -> None:
    site.peer("msul1")
    site.start()
    site.wait_ready()
    child = site.child("msul1")
    for count in (1, 2):
        site.signal(signal.SIGUSR2, child)
        site.signal(signal.SIGINT, child)
        site.wait_log("Debug o", count=count)
        site.wait_log("Transaction logging o", count=count)
        assert site.ask("msul1", b"echo:x") == b"x"


SCENARIOS: list[Callable[[Site], None]] = [
    plain_life,
    nobody_there_until_given_up_and_called_back,
    init_refused,
    init_refused_at_once,
    init_not_answered,
    odd_answers_in_the_dialogue,
    delayed_messages,
    request_not_answered,
    link_lost,
    close_connection,
    restart,
    child_killed,
    child_quits,
    parent_quits,
    logging_of_transactions,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_log_has_the_golden_words(make_site: MakeSite, scenario: Callable[[Site], None]) -> None:
    site = make_site(["msul1"], settings=SETTINGS)
    scenario(site)
    golden = set(sections()[scenario.__name__])
    wait_until(lambda: said(site) >= golden, 5, f"the lines {sorted(golden - said(site))}")
    assert said(site) == golden


def test_every_event_of_the_originals_comes_in_a_scenario() -> None:
    found = sections()
    names = {scenario.__name__ for scenario in SCENARIOS}
    assert set(found) - {"originals"} == names
    messages = [line.partition(": ")[2] for name in names for line in found[name]]
    bare = [re.sub(r"<font [^>]*>[A-Z]+: |</font>", "", message) for message in messages]
    assert len(found["originals"]) == 21
    for words in found["originals"]:
        assert any(re.search(words, message) for message in bare), f"nobody says {words!r}"
