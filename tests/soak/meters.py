"""Owns what is measured during a soak, and its judgement: growth from the second to the last quarter."""

from __future__ import annotations

import os
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tests.process.harness import Site

MEMORY_GROWTH = 0.05
ENOUGH = 8  # samples; fewer say nothing about the growth of memory
MEMORIES = ("parent_kib", "child_kib")


@dataclass(frozen=True, slots=True)
class Sample:
    """What a daemon at rest has. Memory is what is no file's, in KiB; the child's is the median of all."""

    parent_kib: int
    child_kib: int
    parent_descriptors: int
    most_descriptors: int  # of one child
    children: int
    threads: int
    files_in_logs: int
    files_in_delayed: int


def anonymous_kib(pid: int) -> int:
    """Return the memory of a process that is no file's, in KiB, shared with others or not."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Anonymous:"))


def _files(place: Path, rotated: tuple[str, ...] = ()) -> int:
    """Return how many files there are, without those whose names begin so: there are as many as the soak keeps."""
    names = [name for _at, _directories, found in os.walk(place) for name in found]
    return sum(not name.startswith(rotated) for name in names) if rotated else len(names)


def take(site: Site) -> Sample:
    """Return a sample of a daemon that is at rest. psutil.Error, OSError: it was not."""
    parent, children = site.pid(), site.children()
    return Sample(
        parent_kib=anonymous_kib(parent),
        child_kib=int(statistics.median(map(anonymous_kib, children))),
        parent_descriptors=len(os.listdir(f"/proc/{parent}/fd")),
        most_descriptors=max(len(os.listdir(f"/proc/{pid}/fd")) for pid in children),
        children=len(children),
        threads=sum(psutil.Process(pid).num_threads() for pid in (parent, *children)),
        files_in_logs=_files(site.logs_dir, (site.log_path.name, site.perm_log_path.name)),
        files_in_delayed=_files(site.delayed_dir),
    )


def quarters(samples: list[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return the samples of the second and of the last quarter; both hold at least one of two."""
    size = max(1, len(samples) // 4)
    return samples[size : 2 * size], samples[-size:]


def growth(samples: list[Sample]) -> dict[str, float]:
    """Return for each meter how much it has grown from the second to the last quarter, as a share of the former.

    Memory by medians; counts by the most that was seen in either, so that what comes and goes is no growth.
    """
    second, last = quarters(samples)
    found = {}
    for name in asdict(samples[0]):
        measure = statistics.median if name in MEMORIES else max
        before, after = (measure(asdict(one)[name] for one in part) for part in (second, last))
        found[name] = after / before - 1 if before else float(after)
    return found


def leaks(samples: list[Sample]) -> list[str]:
    """Return what has leaked, as sentences. Fewer than two samples tell nothing."""
    if len(samples) < 2:
        return []
    found = []
    for name, grown in growth(samples).items():
        least = MEMORY_GROWTH if name in MEMORIES else 0.0
        if grown > least and (name not in MEMORIES or len(samples) >= ENOUGH):
            second, last = quarters(samples)
            shown = [[asdict(one)[name] for one in part] for part in (second, last)]
            found.append(f"{name} has grown by {grown:.1%}: {shown[0]} -> {shown[1]}")
    return found
