"""Owns looking at what a process uses: memory, descriptors, processor time, wake-ups."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

KIB = 1024
MIB = 1 << 20


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise AssertionError(f"no {name} in the status of {pid}")


def resident(pid: int) -> int:
    """Return the memory that a process has now, in bytes."""
    return _status(pid, "VmRSS") * KIB


def peak(pid: int) -> int:
    """Return the most memory that a process has had since forget_peak(), in bytes."""
    return _status(pid, "VmHWM") * KIB


def forget_peak(pid: int) -> int:
    """Let the peak begin at what the process has now, and return that."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return resident(pid)


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used so far, in seconds."""
    used = psutil.Process(pid).cpu_times()
    return float(used.user + used.system)


def waits(pid: int) -> int:
    """Return how often a process has gone to sleep of its own accord; each is followed by one wake-up."""
    return _status(pid, "voluntary_ctxt_switches")
