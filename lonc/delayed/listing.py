"""Owns what names lie in the directory: when it is listed anew, which are ours, what is told of the rest."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection

from lonc.delayed.names import Owner
from lonc.system.clock import Clock
from lonc.system.files import Files


class Listing:
    """The names of one peer, as of the last listing (unsorted).

    Listing 10^5 names costs some 50 ms and 1,000 children may look at them: so it is done only when the
    directory's mtime changed, and once more when that change is settle_s old, because a second change within
    the same tick of a file system's clock changes no mtime. How old it is the wall clock says once, then the
    monotonic one (P27).
    """

    def __init__(
        self, directory: str, owner: Owner, files: Files, clock: Clock, settle_s: float, *, tells: bool
    ) -> None:
        """tells: whether this child speaks for the directory as a whole, its mode and what is nobody's in it."""
        self.mine: list[str] = []
        self.foreign: list[str] = []  # not told yet
        self.notes: list[str] = []  # not told yet
        self.problem: str | None = None  # the standing one
        self._directory = directory
        self._owner = owner
        self._files = files
        self._clock = clock
        self._settle_s = settle_s
        self._tells = tells
        self._seen: tuple[int, int, int] | None = None  # device, inode, mtime of the directory
        self._settled_at = 0.0
        self._listed_at: float | None = None
        self._told: set[str] = set()
        self._told_mode = -1

    def refresh(self, now: float, *, force: bool) -> bool:
        """List the directory if that can bring anything new; return whether it was listed."""
        try:
            # "/." because the directory may be a link that an administrator made
            facts = self._files.lstat(os.path.join(self._directory, "."))
            if not (self._due(facts, now) or force):
                return False
            names = self._files.listdir(self._directory)
        except FileNotFoundError:
            return self._none(None)  # lonnet makes it with its first message
        except OSError as error:
            return self._none(f"{self._directory} cannot be read: {error.strerror}")
        self._listed_at = now
        self.problem = None
        self.mine = [name for name in names if self._owner.mine(name)]
        if self._tells:
            self._tell(names, facts)
        return True

    def _due(self, facts: os.stat_result, now: float) -> bool:
        seen = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
        if seen != self._seen:
            self._seen = seen
            age = self._clock.wall() - facts.st_mtime
            self._settled_at = now + min(max(self._settle_s - age, 0.0), self._settle_s)
            return True
        return self._listed_at is None or self._listed_at < self._settled_at

    def _none(self, problem: str | None) -> bool:
        self.mine = []
        self._seen = None
        self._listed_at = None
        self.problem = problem
        return True

    def _tell(self, names: Collection[str], facts: os.stat_result) -> None:
        """Collect what concerns no peer in particular, each thing once."""
        foreign = {name for name in names if self._owner.nobodys(name)}
        self.foreign.extend(sorted(foreign - self._told))
        self._told = foreign
        mode = stat.S_IMODE(facts.st_mode)
        if mode & 0o007 and mode != self._told_mode:
            self.notes.append(f"{self._directory} can be entered by others (mode {mode:04o}): it should be 0700")
        self._told_mode = mode
