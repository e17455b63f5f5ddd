"""Stores where nothing may be written, on a disk that is full, and with a file system that ends half way."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.process.store_engines import python_for

HEAD = """
import os, resource, sys
from lonc.lond.store import Owner, StoreError
from tests.process.store_checks import Ground
where, engine = sys.argv[1:]
ann, new = Owner(b"msu", b"ann"), Owner(b"osu", b"new")
store = Ground(engine, where).open()
def put(owner, value=b"1"):
    with store.writing(owner, b"ns", b"P:1:a") as space:
        space.put(b"a", value)
def fails(call, *arguments):
    try:
        call(*arguments)
    except StoreError as error:
        print(error)
    else:
        raise AssertionError("it did not fail")
put(ann)
"""
# Root may do anything, so root becomes somebody else first; the files are that user's own.
UNWRITABLE = """
for folder, _folders, files in os.walk(where, topdown=False):
    for name in files:
        os.chmod(os.path.join(folder, name), 0o400)
        os.getuid() or os.chown(os.path.join(folder, name), 65534, 65534)
    os.chmod(folder, 0o500)
    os.getuid() or os.chown(folder, 65534, 65534)
store.close()
if os.getuid() == 0:
    os.chmod(os.path.dirname(where), 0o711)
    os.seteuid(65534)
fails(put, ann)
fails(put, new)
fails(store.create_account, new, b"internal:x")
fails(store.activity, new, b"1:x")
fails(store.activity, ann, b"1:x")
"""
FULL = """
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (1, 3_000, 100_000, 400_000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    fails(put, ann, b"2" * 1_000_000)
    fails(put, new, b"2" * 1_000_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert store.get_many(ann, b"ns", [b"a"]) == [b"1"]
    assert store.get_many(new, b"ns", [b"a"]) == [None]
put(ann, b"2" * 1_000_000)
put(new, b"3")
assert store.get_many(ann, b"ns", [b"a"]) == [b"2" * 1_000_000]
"""


def carried_out(engine: str, program: str, place: Path) -> list[str]:
    """Return the errors that a program met."""
    python, environment = python_for(engine)
    done = subprocess.run(
        [python, "-c", HEAD + program, str(place), engine],
        env={**environment, "PYTHONPATH": environment.get("PYTHONPATH", "") or "."},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("engine", ["sqlite", "gdbm"])
def test_directories_that_cannot_be_written(engine: str, tmp_path: Path) -> None:
    place = tmp_path / "lonUsers"
    said = carried_out(engine, UNWRITABLE, place)
    assert len(said) == 5
    assert all("ermission denied" in line or "readonly" in line for line in said), said
    assert all("lonUsers/" not in line for line in said), said


@pytest.mark.parametrize("engine", ["sqlite", "gdbm"])
def test_a_full_disk_costs_only_the_change(engine: str, tmp_path: Path) -> None:
    said = carried_out(engine, FULL, tmp_path / "lonUsers")
    assert len(said) == 8
    assert all("cannot be used" in line for line in said), said
    assert all("lonUsers/" not in line for line in said), said
