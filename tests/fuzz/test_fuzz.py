"""A campaign over every harness, its kept corpus first; and that a campaign finds what is wrong.

LONC_TEST_FUZZ: how many inputs, over all harnesses by weight (100,000); LONC_TEST_FUZZ_SEED: another seed makes
other inputs (1). What is found lies in build/fuzz/NAME/crash-*, and `python -m tests.fuzz NAME --replay FILE`
shows it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz import campaign
from tests.fuzz.__main__ import main
from tests.fuzz.harness import CORPUS, Broken, Harness, rule
from tests.fuzz.table import HARNESSES, shares
from tests.proof.tally import Tally

INPUTS = int(os.environ.get("LONC_TEST_FUZZ", "100000"))
SEED = int(os.environ.get("LONC_TEST_FUZZ_SEED", "1"))
SHARES = {harness.name: share for harness, share in shares(list(HARNESSES.values()), INPUTS)}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", HARNESSES)
def test_no_input_breaks_a_rule(name: str, tally: Tally) -> None:
    outcome = campaign.run(HARNESSES[name], SHARES[name], SEED)
    tally.add(inputs=outcome.inputs, violations=len(outcome.findings))
    print(outcome)
    assert not outcome.findings, "\n".join(f"{one.kind}: {one.data!r}\n{one.told}" for one in outcome.findings)
    assert outcome.inputs >= SHARES[name]


def test_the_kept_inputs_are_small_and_belong_to_a_harness() -> None:
    folders = {path.name for path in CORPUS.iterdir()} if CORPUS.is_dir() else set()
    assert folders <= set(HARNESSES)
    for harness in HARNESSES.values():
        kept = harness.kept()
        assert len(kept) <= 48
        assert all(path.stat().st_size <= max(harness.max_bytes, 4096) for path in kept)


# --- that a campaign can fail ---------------------------------------------------------------------------


def test_a_broken_rule_is_found_made_small_and_kept(tmp_path: Path) -> None:
    def odd(data: bytes) -> None:
        rule(b"ab" not in data, "there is an ab")

    outcome = campaign.run(Harness("odd", odd, 1, (b"a", b"b"), (b"xxxx",)), 20_000, 1, place=tmp_path)
    assert [(one.data, one.kind.split()[0]) for one in outcome.findings] == [(b"ab", Broken.__name__)]
    assert [path.read_bytes() for path in outcome.files] == [b"ab"]
    assert "there is an ab" in outcome.files[0].with_name(outcome.files[0].name + ".txt").read_text()


def test_an_endless_loop_is_found_with_its_input(tmp_path: Path) -> None:
    def loop(data: bytes) -> None:
        while data == b"for ever":
            pass

    outcome = campaign.run(Harness("loop", loop, 1, (), (b"", b"for ever")), 2, 1, place=tmp_path)
    assert [(one.data, one.kind) for one in outcome.findings] == [(b"for ever", "Hang")]


def test_the_same_seed_makes_the_same_inputs() -> None:
    seen: list[bytes] = []
    harness = Harness("all", seen.append, 1, (b"word",), (b"12 lines\nof text", b""))
    campaign.run(harness, 500, 7)
    first, seen[:] = seen[:], []
    campaign.run(harness, 500, 7)
    assert seen == first
    campaign.run(harness, 500, 8)
    assert seen[500:] != first
    assert len(set(first)) > 250


def test_the_command_ends_with_1_when_something_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(_data: bytes) -> None:
        raise ValueError("found")

    monkeypatch.setattr(campaign, "PLACE", tmp_path)
    assert main(["key", "--inputs", "50"]) == 0
    monkeypatch.setitem(HARNESSES, "key", Harness("key", never, 1))
    assert main(["key", "--inputs", "50"]) == 1
    assert "ValueError" in capsys.readouterr().out
    (crash,) = (path for path in (tmp_path / "key").iterdir() if path.suffix != ".txt")
    assert main(["key", "--replay", str(crash)]) == 1
