"""Owns everything that one run has found, and what came of every goal. No processes, no files."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.bench.cases import Case, Goal
from tests.bench.idle import Idea1KiB, Memory
from tests.bench.messages import COUNT, Delayed
from tests.bench.ondemand import OnDemand
from tests.bench.scan import MANY, PEERS, Listing
from tests.bench.sums import Samples, Verdict, judge, verdict

FILES_GOAL = 2.5
DEMAND_GOAL_MIB = 60.0
USS_GOAL_MIB, PSS_GOAL_MIB = 1.5, 2.5
GOAL_PEERS = 100  # at which the memory of a child is judged
KIB = 1024

FILES_WHY = (
    "a message is more than list, read and unlink: it is looked at before and after, noted for a successor, and "
    "told in two logs"
)
CORES_WHY = f"{FILES_WHY}; and the wire from core to core costs a wake-up of each side"
LISTING_WHY = "names are listed, sorted and compared in Python"
MEMORY_WHY = (
    "Python counts references inside its objects, so a child that runs writes to pages it shares with its parent"
)


@dataclass(slots=True)
class Results:
    """Everything that one run has found. machine: lines about where and when."""

    machine: list[str]
    cases: list[Case]
    growth: list[Case]
    samples: Samples
    skipped: dict[str, str] = field(default_factory=dict)  # what could not be had here, and why
    failed: dict[str, str] = field(default_factory=dict)  # what went wrong, and how
    idea: Idea1KiB | None = None
    delayed: Delayed | None = None
    listing: Listing | None = None
    on_demand: OnDemand | None = None
    memory: list[Memory] = field(default_factory=list)
    lond: list[Case] = field(default_factory=list)  # their samples stand among the others
    complete: bool = True  # everything was wanted: goals without figures are told as not measured


def verdicts(results: Results) -> list[Verdict]:
    """Return what came of every goal, in the order of the tables."""
    found = [one for case in results.cases for one in judge(case, results.samples)]
    return [*found, *_files(results), *_memory(results)]


def _at_most(case: str, text: str, limit: float, found: float | None, why: str) -> Verdict:
    return verdict(case, Goal("", "", limit, above=False, text=text, why=why), found)


def files_alone(own: Delayed) -> float:
    """Return what wire and files alone cost, both ends of the wire on one core, in ms: what the goal is about."""
    return own.wire_near + own.files


def _files(results: Results) -> list[Verdict]:
    found = []
    own, seen = results.delayed, results.listing
    if own or results.complete:
        case = f"{COUNT:,} delayed files"
        spent = own.daemon_without_syncs if own else 0.0
        near = spent / files_alone(own) if own else None
        far = spent / (own.wire_far + own.files) if own else None
        found.append(_at_most(case, "lonc : wire + files alone, time", FILES_GOAL, near, FILES_WHY))
        found.append(_at_most(case, "lonc : wire between cores + files alone, time", FILES_GOAL, far, CORES_WHY))
    if seen or results.complete:
        case = f"{MANY:,} delayed files"
        seconds = seen.all_ms / 1000 if seen else None
        found.append(_at_most(case, f"{MANY:,} files listed, s", 1.0, seconds, LISTING_WHY))
        scan = f"idle scans of {PEERS:,} children, % of a core"
        found.append(_at_most(case, scan, 1.0, seen.look_share * 100 if seen else None, LISTING_WHY))
    return found


def _memory(results: Results) -> list[Verdict]:
    if not results.memory and not results.complete:
        return []
    judged = next((one for one in results.memory if one.peers == GOAL_PEERS and one.wheel), None)
    case = f"{GOAL_PEERS} peers"
    uss, pss = (judged.uss / KIB, judged.pss / KIB) if judged else (None, None)
    own = results.on_demand
    total = own.totals[0] / KIB if own else None
    return [
        _at_most(case, "USS of an idle child, MiB", USS_GOAL_MIB, uss, MEMORY_WHY),
        _at_most(case, "PSS of an idle child, MiB", PSS_GOAL_MIB, pss, MEMORY_WHY),
        _at_most("1,000 peers on demand", "PSS of all on demand, MiB", DEMAND_GOAL_MIB, total, MEMORY_WHY),
    ]
