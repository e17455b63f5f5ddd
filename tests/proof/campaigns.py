"""Owns the campaigns: what one row of the fault matrix is not enough for, with the figure that is to be reached.

A campaign is a test that does as much as an environment variable says. The proof runs it in slices, each a step of
its own, so that an interrupted proof loses one slice at most; the counts of all slices are added up.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Campaign:
    """One campaign; counted: which count has to reach the goal, inputs or faults; seconds: of one slice, about."""

    name: str
    sentence: str
    tests: tuple[str, ...]
    sizes: dict[str, str]
    counted: str
    goal: int
    unit: str
    slices: int
    seconds: int


CAMPAIGNS = (
    Campaign(
        "kills",
        "children, parents, londs and links of 50 peers killed at random instants; no message lost",
        ("tests/fault/test_campaign_kills.py",),
        {"LONC_TEST_CAMPAIGN_KILLS": "2000"},
        "faults",
        20_000,
        "kills",
        slices=10,
        seconds=120,
    ),
    Campaign(
        "calls",
        "every system call of the flush path killed and made to fail; no message lost",
        ("tests/fault/test_strace_kills.py", "tests/fault/test_delayed_faults.py"),
        {"LONC_TEST_STRACE": "all"},
        "faults",
        1,
        "calls",
        slices=1,
        seconds=120,
    ),
    Campaign(
        "tokens",
        "unique tokens of many clients while links are killed; nobody gets another's reply",
        ("tests/process/test_links_tokens.py",),
        {"LONC_TEST_TOKENS": "5000000"},
        "inputs",
        10_000_000,
        "tokens",
        slices=2,
        seconds=90,
    ),
    Campaign(
        "fuzz",
        "mutated input of every kind; no crash, no hang over a second",
        ("tests/fuzz/test_fuzz.py",),
        {"LONC_TEST_FUZZ": "510000"},
        "inputs",
        1_000_000,
        "inputs",
        slices=2,
        seconds=180,
    ),
    Campaign(
        "machine",
        "relay, link and delayed queue together against a model, steps drawn by lot",
        ("tests/machine",),
        {"LONC_TEST_MACHINE_EXAMPLES": "2000"},
        "inputs",
        1,
        "steps",
        slices=1,
        seconds=180,
    ),
    Campaign(
        "starts",
        "50 daemons started at once, again and again; always exactly one runs",
        ("tests/process/test_starts.py::test_fifty_starts_at_once_leave_one_daemon",),
        {"LONC_TEST_START_ROUNDS": "50"},
        "inputs",
        10_000,
        "starts",
        slices=4,
        seconds=240,
    ),
    Campaign(
        "signals",
        "random signals to parent and children; a defined end state",
        ("tests/fault/test_campaign_signals.py",),
        {"LONC_TEST_SIGNALS": "10000"},
        "faults",
        10_000,
        "signals",
        slices=1,
        seconds=90,
    ),
)
