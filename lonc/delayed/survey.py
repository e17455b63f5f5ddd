"""Owns what a look at the directory comes to: one peer's files in order, and what is known of the odd ones.

Files out of the ordinary (young, empty, bad, unanswered, not to be removed) have a Watch; what to do with them
is computed from it at each look, so no look ever hands out again what the last one could do nothing with.
Ordinary ones are not even asked for their facts before they are read: their names say that they are old.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from lonc.delayed.listing import Listing
from lonc.delayed.moving import facts_of
from lonc.delayed.names import is_clean, is_usual, standard_order
from lonc.delayed.reading import why_bad
from lonc.delayed.results import Entry, Identity, Look, identity_of
from lonc.delayed.watch import Ages, Watch, first_seen
from lonc.system.clock import Clock
from lonc.system.files import Files

PARK_AFTER = 3  # links in a row without a reply (spec lonc.md 5)

# What is to be done with a file that only the look can do, if it can; the file is in no look in any case.
Chore = Callable[[Entry, Watch], None]


class Survey:
    """The files of one peer in sending order, with their Watches. All times are monotonic seconds."""

    def __init__(
        self, directory: str, listing: Listing, *, files: Files, clock: Clock, ages: Ages,
        max_line_bytes: int, retry_max_s: float, set_aside: Chore, settle: Chore,
    ) -> None:  # fmt: skip
        """set_aside moves a bad file to corrupt/, settle removes one that was answered before."""
        self.watched: dict[str, Watch] = {}
        self.trouble: str | None = None  # the last one with a single file since the last look
        self._prefix = os.path.join(directory, "")
        self._listing = listing
        self._files = files
        self._clock = clock
        self._ages = ages
        self._max_line_bytes = max_line_bytes
        self._retry_max_s = retry_max_s
        self._set_aside = set_aside
        self._settle = settle
        self._entries: list[Entry] = []
        self._links: list[str] = []
        self._told_links: set[str] = set()

    def look(self, now: float, *, force: bool) -> Look:
        """Return what may be sent, what waits, and the links not told yet; see Look. The rest is not filled in."""
        if self._listing.refresh(now, force=force):
            self._sort(now)
        ready: list[Entry] = []
        late: list[Entry] = []  # three times unanswered: tried again after the others
        young_until: float | None = None
        waiting = 0
        oldest: float | None = None
        for entry in self._entries:
            watch = self.watched.get(entry.name)
            if watch is not None:
                watch = self._again(entry, watch, now)
                if watch is None or watch.link or watch.bad or watch.answered:
                    continue
            waiting += 1
            if oldest is None:
                oldest = entry.time
            if watch is not None:
                if young_until is None:
                    young_until = watch.ends_run_until(now)
                if watch.empty or now < watch.skip_until:
                    continue
            if watch is not None and watch.unanswered >= PARK_AFTER:
                late.append(entry)
            elif young_until is None:
                ready.append(entry)
        if young_until is None:
            ready.extend(late)
        links, self._links = tuple(self._links), []
        return Look(tuple(ready), young_until, waiting, oldest, links=links)

    def meet(self, entry: Entry, now: float) -> Watch | None:
        """Return what is known of the file after asking for its facts, None when there is none.

        The Watch is kept only if it was kept before. OSError: as from lstat; the file is then passed over.
        """
        try:
            facts = facts_of(self._files, self._prefix + entry.name)
        except OSError as error:
            self.pass_over(entry, now, str(error))
            raise
        if facts is None:
            self.watched.pop(entry.name, None)
            return None
        watch = self.watched.get(entry.name)
        if watch is None:
            return self._first_seen(entry, facts, now)
        if watch.identity != identity_of(facts):
            watch = self.watched[entry.name] = self._first_seen(entry, facts, now)
        return watch

    def ordinary(self, entry: Entry, facts: os.stat_result) -> bool:
        """Return whether nothing about a file is worth a Watch: of the usual kind and size, old by its name."""
        return (
            entry.name not in self.watched
            and self._clock.wall() - entry.time - 1.0 >= self._ages.young_s
            and is_usual(entry.name)
            and facts.st_size > 0
            and not why_bad(facts.st_mode, facts.st_size, self._max_line_bytes)
        )

    def pass_over(self, entry: Entry, now: float, why: str) -> None:
        """Leave a file alone for as long as one unanswered: an error that says nothing about it met us there."""
        self.trouble = why
        watch = self.watched.get(entry.name) or Watch(Identity(0, 0, 0, 0), 0, now, now, now)
        watch.skip_until = now + self._retry_max_s
        self.watched[entry.name] = watch

    def known(self, entry: Entry, identity: Identity) -> Watch:
        """Return the Watch of a file that was read with this identity; it is kept from now on."""
        watch = self.watched.get(entry.name)
        if watch is None or watch.identity != identity:
            watch = self.watched[entry.name] = Watch(identity, stat.S_IFREG, 0.0, 0.0, 0.0)
        return watch

    def tell_link(self, name: str) -> None:
        """Have a symbolic link told with the next look, once."""
        if name not in self._told_links:
            self._told_links.add(name)
            self._links.append(name)

    def _first_seen(self, entry: Entry, facts: os.stat_result, now: float) -> Watch:
        standard = standard_order(entry.name) is not None
        watch = first_seen(entry, standard, facts, now, self._clock.wall(), self._ages)
        if not watch.link:
            watch.bad = why_bad(facts.st_mode, facts.st_size, self._max_line_bytes)
            if not is_clean(entry.name):
                watch.bad = "foreign characters in its name"
        return watch

    def _sort(self, now: float) -> None:
        """Take over a new listing; only files that the name does not prove old are asked for their facts."""
        young_from = self._clock.wall() - self._ages.young_s - 1.0
        entries: list[Entry] = []
        for name in self._listing.mine:
            order = standard_order(name)
            entry = Entry(order[0], order[1], name) if order is not None else Entry(0.0, 0, name)
            if order is None or order[0] > young_from:
                try:
                    watch = self.meet(entry, now)
                except OSError:
                    watch = self.watched[name]  # passed over; it keeps its place
                if watch is None:
                    continue
                self.watched[name] = watch
                if order is None:
                    entry = Entry(watch.identity.mtime_ns / 1e9, 0, name)
            entries.append(entry)
        entries.sort()
        self._entries = entries
        names = set(self._listing.mine)
        self.watched = {name: watch for name, watch in self.watched.items() if name in names}
        self._told_links &= names

    def _again(self, entry: Entry, watch: Watch, now: float) -> Watch | None:
        """Look at an odd file again and do what its time has come for; None when nothing is left there."""
        odd = watch.link or watch.bad or watch.empty or watch.answered or watch.unanswered
        if not odd and now >= watch.old_at:
            return watch
        try:
            met = self.meet(entry, now)
        except OSError:
            return watch
        if met is None:
            return None
        if met.link:
            self.tell_link(entry.name)
        elif met.answered:
            self._settle(entry, met)
        elif met.bad and now >= met.bare_old_at:
            self._set_aside(entry, met)
        elif met.empty and now >= met.empty_at:
            met.bad = "empty"
            self._set_aside(entry, met)
        return met
