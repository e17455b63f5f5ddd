"""Mixed faults with twenty peers, for a minute; hours of it: `python -m tests.soak --hours 8` (fault row 24).

LONC_TEST_SOAK_S says how long (default 60). The judgement of the meters is tested here as well.
"""

from __future__ import annotations

import dataclasses
import os
import random

import pytest

from tests.conftest import MakeSite
from tests.history.world import SETTINGS
from tests.proof.tally import Tally
from tests.soak import meters
from tests.soak.meters import Sample
from tests.soak.run import Soak, hosts

SECONDS = float(os.environ.get("LONC_TEST_SOAK_S") or 60)
AT_REST = Sample(10_000, 8_000, 50, 12, 20, 21, 9, 20)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the descriptors and the memory that are metered")
@pytest.mark.timeout(600 + 2 * SECONDS)
def test_a_soak(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(hosts(), settings=SETTINGS)
    verdict = Soak(site, SECONDS, random.randrange(1 << 30), print).run()
    tally.add(inputs=verdict.inputs, faults=verdict.faults, violations=len(verdict.violations))
    print(f"seed {verdict.seed}: {verdict.inputs} inputs, {dict(verdict.kinds)}")
    assert not verdict.violations, f"seed {verdict.seed}: " + "\n".join(verdict.violations)
    assert len(verdict.kinds) > 1
    assert len(verdict.samples) > 1


def test_no_growth_is_no_leak() -> None:
    wavering = [dataclasses.replace(AT_REST, parent_kib=10_000 + 300 * (number % 2)) for number in range(16)]
    assert meters.leaks(wavering) == []
    early = [dataclasses.replace(AT_REST, parent_descriptors=40 + min(number, 4)) for number in range(16)]
    assert meters.leaks(early) == []  # what the beginning needs is no leak


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Sample)])
def test_a_leak_is_found(name: str) -> None:
    step = 100 if name.endswith("_kib") else 1
    growing = [dataclasses.replace(AT_REST, **{name: 1000 + number * step}) for number in range(16)]
    found = meters.leaks(growing)
    assert len(found) == 1
    assert found[0].startswith(f"{name} has grown by")
