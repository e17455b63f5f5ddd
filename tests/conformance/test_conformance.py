"""Our own lonc and lond keep every sentence of the protocol that the suite has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from tests.conformance import tables
from tests.conformance.lonc_stage import LoncStage, LoncTarget
from tests.conformance.lond_stage import LondStage, LondTarget
from tests.conformance.model import Case
from tests.conformance.runner import FAILED, SKIPPED, Outcome, run_all
from tests.conftest import SITES, MakeSite
from tests.process.harness import Entry, Site
from tests.process.lond_site import LondSite
from tests.proof.tally import Tally

PEER, OWN = "msul1", "own1"
MAX_LINE, MAX_REPLY = 65536, 2 << 20
# Waits are as long as a slow machine may need; a sentence that holds is through at once.
LIMIT_S, REDIAL_S = 40.0, 60.0
QUICK = {"loncRedialMax": "0.05", "loncRestartMin": "0.05", "loncMaxAttempts": "0"}
USUAL = QUICK | {"loncGrace": "0.3", "loncMaxLine": str(MAX_LINE), "loncClientBuffer": str(MAX_REPLY)}
SHORT = QUICK | {"loncGrace": "30", "loncRequestTimeout": "0.7", "loncInitTimeout": "0.7"}
PATIENT = QUICK | {"loncGrace": "60"}
OF_LIMITS = ["2.41", "2.42", "8.14", "8.15", "8.16"]
OF_GRACE = ["2.19", "8.10"]
OF_IDS = ["3.7", "3.8"]
# Ids with punctuation, short ones, and such as fill the key by themselves; what then cannot be judged.
IDS = {"a-b_c.D": ["3.4", "3.8"], "z": ["3.7", "3.8"], "p" * 28: ["3.2", "3.3", "3.4", "3.7"]}

MakeStage = Callable[..., LoncStage]


@pytest.fixture
def make_stage() -> Iterator[MakeStage]:
    """Return what makes the stage for one peer of a site; every stage is closed after the test."""
    stages: list[LoncStage] = []

    def make(site: Site, peer: str = PEER, **known: float | str) -> LoncStage:
        target = LoncTarget(
            str(site.socket_path(peer)), site.entry(peer).address, site.port, OWN.encode(), peer.encode()
        )
        for name, value in ({"limit_s": LIMIT_S, "redial_s": REDIAL_S} | known).items():
            setattr(target, name, value)
        stages.append(LoncStage(target))
        return stages[-1]

    yield make
    for stage in stages:
        stage.close()


def judge(outcomes: Sequence[Outcome], not_judged: Sequence[str], tally: Tally) -> None:
    """Check that all sentences hold but those that cannot be judged here."""
    failed = [f"{one.number}: expected {one.expected}, got {one.got}" for one in outcomes if one.state == FAILED]
    tally.add(inputs=len(outcomes), violations=len(failed))
    assert not failed
    assert [one.number for one in outcomes if one.state == SKIPPED] == list(not_judged)


def numbered(*numbers: str) -> list[Case[LoncStage]]:
    """Return these cases for a lonc."""
    return tables.chosen(tables.LONC_CASES, numbers)


def test_our_lonc_keeps_every_sentence(make_site: MakeSite, make_stage: MakeStage, tally: Tally) -> None:
    site = make_site([PEER], settings=USUAL)
    known = {"grace_s": 0.3, "max_line": MAX_LINE, "max_reply": MAX_REPLY, "delayed": str(site.delayed_dir)}
    stage = make_stage(site, **known)
    site.start()
    cases = [case for case in tables.LONC_CASES if case.number not in OF_LIMITS + OF_GRACE]
    judge(run_all(cases, stage), OF_IDS, tally)


def test_our_lonc_keeps_the_sentences_on_limits(make_site: MakeSite, make_stage: MakeStage, tally: Tally) -> None:
    site = make_site([PEER], settings=SHORT)
    stage = make_stage(site, grace_s=30.0, request_timeout_s=0.7, init_timeout_s=0.7)
    stage.target.wake = site.start()
    judge(run_all(numbered(*OF_LIMITS), stage), [], tally)


def test_our_lonc_has_a_key_for_any_ids_and_lets_requests_wait(
    make_site: MakeSite, make_stage: MakeStage, tally: Tally
) -> None:
    site = make_site(list(IDS), settings=PATIENT)
    stages = {peer: make_stage(site, peer, grace_s=60.0) for peer in IDS}
    site.start()
    for peer, not_judged in IDS.items():
        judge(run_all(numbered("3", "4.1", "4.9"), stages[peer]), not_judged, tally)
    judge(run_all(numbered(*OF_GRACE), stages["z"]), [], tally)


def test_our_lond_keeps_every_sentence(request: pytest.FixtureRequest, tally: Tally) -> None:
    site = LondSite(own=[Entry("srv2", "taken from the site")], settings={"londMaxCommand": str(MAX_LINE)})
    request.node.stash[SITES] = [site]
    try:
        site.add_user()
        site.start()
        known = LondTarget(site.address, site.port, OWN.encode(), site.own_id.encode(), limit_s=LIMIT_S)
        known.second, known.user, known.stranger = b"srv2", b"msu:joe", "127.0.0.99"
        known.max_line = MAX_LINE
        judge(run_all(tables.LOND_CASES, LondStage(known)), [], tally)
    finally:
        site.cleanup()
