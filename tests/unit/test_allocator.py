"""Memory that the C library keeps although it is free: it goes back to the system. In processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.processes import TREE

# 32 MiB in pieces too small to be mapped one by one, freed but for a few of them that hold the places between.
KEPT = """
import json, os
from lonc.system.allocator import give_back
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
began = resident()
pieces = [b"x" * 65536 for _ in range(512)]
full = resident()
del pieces[:-1]
free = resident()
done = give_back()
print(json.dumps([done, give_back(), *[size - began for size in (full, free, resident())]]))
"""
# As on a system whose C library has no such function, or that lets nobody call it.
WITHOUT = """
import json, sys, types
class Library:
    def __init__(self, name):
        {trouble}
sys.modules["ctypes"] = {module}
from lonc.system.allocator import give_back
print(json.dumps([give_back()]))
"""
MIB = 1 << 20


def run(program: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30, cwd=TREE
    )
    result = json.loads(done.stdout)
    assert isinstance(result, list)
    return result


def test_what_is_free_is_given_back_wherever_it_lies() -> None:
    done, again, full, free, left = run(KEPT)
    if not done:
        pytest.skip("this C library has no malloc_trim")
    assert again
    assert full > 30 * MIB
    assert free > 30 * MIB, "the last piece holds them all"
    assert left < 4 * MIB


@pytest.mark.parametrize(
    ("trouble", "module"),
    [
        ("pass", "types.SimpleNamespace(CDLL=Library)"),
        ("raise OSError", "types.SimpleNamespace(CDLL=Library)"),
        ("raise MemoryError", "types.SimpleNamespace(CDLL=Library)"),
        ("pass", "None"),  # cannot be imported
    ],
)
def test_without_it_nothing_happens(trouble: str, module: str) -> None:
    assert run(WITHOUT.format(trouble=trouble, module=module)) == [False]
