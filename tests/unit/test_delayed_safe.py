"""A message that is said to be kept: its text, then its name, are on the disk, whatever is cut off next (P2)."""

from __future__ import annotations

import os
from pathlib import Path

from lonc.delayed.sealing import Keys
from lonc.delayed.store import MessageStore
from lonc.system.files import SystemFiles
from tests.unit.delayed_ground import Ground


class NotingFiles(SystemFiles):
    """The machine's calls; `done` says what each of them has put on the disk, or named, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def fsync(self, fd: int) -> None:
        """Sync, and note what."""
        super().fsync(fd)
        self.done.append(f"on disk: {Path(os.readlink(f'/proc/self/fd/{fd}')).name}")

    def rename(self, src: str, dst: str) -> None:
        """Rename, and note the new name."""
        super().rename(src, dst)
        self.done.append(f"named: {Path(dst).name}")


def test_what_is_said_to_be_kept_is_on_the_disk_with_its_name(tmp_path: Path) -> None:
    ground, files = Ground(tmp_path), NotingFiles()
    keys = Keys(str(tmp_path / "keys"), files=files, clock=ground.clock)
    store = MessageStore(str(ground.path), keys, files=files, clock=ground.clock)
    for number in range(2):
        files.done.clear()
        name = store.put(b"put:msu:u:ns:a=%d" % number, "p1")
        steps = [f"on disk: .new-{name}~", f"named: {name}", "on disk: delayed"]
        assert files.done[-3:] == steps
    assert (ground.path / name).read_bytes() == b"put:msu:u:ns:a=1\n"


def test_the_name_of_a_directory_that_was_made_is_on_the_disk_as_well(tmp_path: Path) -> None:
    ground, files = Ground(tmp_path), NotingFiles()
    ground.path.rmdir()
    keys = Keys(str(tmp_path / "keys"), files=files, clock=ground.clock)
    MessageStore(str(ground.path), keys, files=files, clock=ground.clock).put(b"put:a", "p1")
    assert files.done[0] == f"on disk: {tmp_path.name}"
