"""Owns which server is the right one: the home of a user, and a less loaded server than our own."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from lonc.config import Config, Host, valid_id
from lonc.lonnet.answers import Home, Reply
from lonc.lonnet.fields import Text, command, named, to_bytes

ABSENT_S: Final = 600.0  # so long nobody is asked again about a user that no server knows
CACHE_LIMIT: Final = 10_000  # users; a process that lives for months must not grow with every typing error
SPARE_FILES: Final = ("spare.tab", "spares.tab")
_FOUND, _NOT_FOUND = b"found", frozenset({b"not_found", b"not_home"})

Ask = Callable[[bytes, str], Reply]


class Homes:
    """Where users live, as the library servers of their domain say; safe for threads."""

    def __init__(
        self, ask: Ask, hosts: Callable[[], tuple[Host, ...]], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._hosts = hosts
        self._now = now
        self.after_fork()
        self._known: dict[tuple[bytes, bytes], tuple[str, float]] = {}  # host or "", and until when

    def after_fork(self) -> None:
        """Take a new lock: another thread may have held the old one at the fork."""
        self._lock = threading.Lock()

    def find(self, user: Text, domain: Text) -> Home:
        """Return the home of a user: the first library server of the domain that says `found`, in table order.

        Found ones are remembered as long as they are in the table, absent users for ABSENT_S (monotonic). When a
        server gave no clear answer (con_lost, refused) an absent user is uncertain, and not remembered.
        """
        key = (to_bytes(domain), to_bytes(user))
        libraries = [host.id for host in self._hosts() if _is_library_of(host, key[0])]
        with self._lock:
            host, until = self._known.get(key, ("", 0.0))
        if host in libraries or (not host and self._now() < until):
            return Home(host)
        certain = True
        for library in libraries:
            answer = self._ask(command(b"home", named(domain), named(user)), library).line
            if answer == _FOUND:
                self._remember(key, library, math.inf)
                return Home(library)
            certain = certain and answer in _NOT_FOUND
        if certain:
            self._remember(key, "", self._now() + ABSENT_S)
        return Home("", certain)

    def forget(self, user: Text, domain: Text) -> None:
        """Ask anew next time: the account was just made, or moved."""
        with self._lock:
            self._known.pop((to_bytes(domain), to_bytes(user)), None)

    def _remember(self, key: tuple[bytes, bytes], host: str, until: float) -> None:
        with self._lock:
            self._known.pop(key, None)
            while len(self._known) >= CACHE_LIMIT:
                del self._known[next(iter(self._known))]  # the oldest
            self._known[key] = (host, until)


def _is_library_of(host: Host, domain: bytes) -> bool:
    return host.role == "library" and host.domain.encode("utf-8", "surrogateescape") == domain


def read_spares(config: Config) -> list[tuple[str, str]]:
    """Return (id, class) of each line of spare.tab, or of spares.tab where there is no such file; class may be "".

    Comments, blank lines, what is no id, and files that are missing or cannot be read are passed over.
    """
    for name in SPARE_FILES:
        try:
            with open(os.path.join(config.tab_dir, name), encoding="utf-8", errors="replace") as file:
                lines = [line.partition("#")[0].strip() for line in file]
        except OSError:
            continue
        split = [line.partition(":") for line in lines]
        return [(host.strip(), kind.strip()) for host, _, kind in split if valid_id(host.strip())]
    return []


def spare_server(
    spares: Iterable[tuple[str, str]], ask: Ask, own_id: str, own_load: float | None, kind: str | None
) -> str | None:
    """Return the id of the least loaded spare that is less loaded than we are, None when none is.

    Loads are percents, the larger of `load` and `userload`; own_load None: our own server is asked, like the
    others. A server that does not answer both with numbers is passed over. kind: only those of this class.
    """
    best: str | None = None
    lowest = load_of(own_id, ask) if own_load is None else own_load
    if lowest is None:
        lowest = math.inf  # nobody knows how we are: whoever answers is better
    for host, its_kind in dict.fromkeys(spares):
        if host == own_id or kind not in (None, its_kind):
            continue
        load = load_of(host, ask)
        if load is not None and load < lowest:
            best, lowest = host, load
    return best


def load_of(host: str, ask: Ask) -> float | None:
    """Return the larger of a server's two loads in percent, None when it does not say."""
    loads = [_number(ask(word, host).line) for word in (b"load", b"userload")]
    return None if None in loads else max(load for load in loads if load is not None)


def _number(text: bytes) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0.0 else None
