"""Owns clients that come at the moment at which a child on demand leaves, and what becomes of each of them.

A thread watches the parent's only child and notes when each of its children ended, exactly (a pidfd becomes
readable). From the last of these ends it is known how long a child stays after its last client, and clients come
in waves that begin around that moment: before it, and the child stays; while it leaves; just behind it.
"""

from __future__ import annotations

import os
import random
import select
import socket
import threading
import time
from collections import Counter
from pathlib import Path

EARLY_S, LATE_S = 0.003, 0.004  # a wave begins so long before the expected end at most, or behind it
WAVE_S = 0.01  # and lasts so long
NEAR_S = 0.003  # counted as `near`: so close to an end
THREADS = 4
CLIENT_TIMEOUT_S = 30.0


class Watcher:
    """Notes when each child of a parent that has one at a time was seen first and when it ended (monotonic)."""

    def __init__(self, parent: int) -> None:
        self.ends: list[float] = []
        self._children = Path(f"/proc/{parent}/task/{parent}/children")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _watch(self) -> None:
        last = ""  # not yet reaped it still stands there
        while not self._stop.is_set():
            pids = self._children.read_text().split()
            if not pids or pids[0] == last:
                time.sleep(0.0005)
                continue
            last = pids[0]
            try:
                fd = os.pidfd_open(int(pids[0]))
            except ProcessLookupError:
                continue
            try:
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                while not self._stop.is_set() and not poll.poll(200):
                    continue
                self.ends.append(time.monotonic())
            finally:
                os.close(fd)


class Waves:
    """Clients of one socket, each with a token of its own; what must not happen is counted by its name.

    tally: `right`, `hung_up` (those that left at once and asked nothing), and what is wrong: `refused` (connect),
    `con_lost`, `closed`, `wrong`, `late`. times: when each client that asked connected; answered_at: the latest
    reply.
    """

    def __init__(self, path: Path, clients: int, seed: int) -> None:
        self.tally: Counter[str] = Counter()
        self.times: list[float] = []
        self.longest_s = 0.0
        self.answered_at = time.monotonic()
        self._path = str(path)
        self._clients = clients
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._number = 0

    @property
    def asked(self) -> int:
        """Return how many clients have asked something."""
        return self.tally.total() - self.tally["hung_up"]

    @property
    def good(self) -> bool:
        """Return whether everyone who asked has the one right reply."""
        return self.tally["right"] == self.asked

    def come(self, around: float) -> None:
        """Have a wave of clients begin around this moment (monotonic); return when all are served."""
        first = around + self._dice.uniform(-EARLY_S, LATE_S)
        moments = [first, *sorted(first + self._dice.uniform(0.0, WAVE_S) for _ in range(self._clients - 1))]
        parts = [moments[part::THREADS] for part in range(THREADS)]
        threads = [threading.Thread(target=self._one_after_the_other, args=(part,)) for part in parts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(CLIENT_TIMEOUT_S * 2)
            assert not thread.is_alive(), f"a client hangs: {self.tally}"

    def _one_after_the_other(self, moments: list[float]) -> None:
        for moment in moments:
            time.sleep(max(0.0, moment - time.monotonic()))
            with self._lock:
                self._number += 1
                number, manner = self._number, self._dice.random()
            self._count(*self._ask(b"%d.%d" % (os.getpid(), number), manner))

    def _count(self, word: str, began: float) -> None:
        with self._lock:
            self.tally[word] += 1
            if word != "hung_up":
                self.times.append(began)
                self.answered_at = time.monotonic()
                self.longest_s = max(self.longest_s, self.answered_at - began)

    def _ask(self, token: bytes, manner: float) -> tuple[str, float]:
        """Be one client; one in ten says nothing and hangs up, some are slow, some end their side at once."""
        began = time.monotonic()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(CLIENT_TIMEOUT_S)
            try:
                client.connect(self._path)
            except OSError:
                return "refused", began
            if manner < 0.1:
                return "hung_up", began
            if manner < 0.2:
                time.sleep(0.002)
            try:
                client.sendall(b"echo:" + token + b"\n")
                if manner < 0.3:
                    client.shutdown(socket.SHUT_WR)
                with client.makefile("rb") as stream:
                    reply = stream.readline()
            except TimeoutError:
                return "late", began
            except OSError:
                return "closed", began
        words = {token + b"\n": "right", b"con_lost\n": "con_lost", b"": "closed"}
        return words.get(reply, "wrong"), began

    def near(self, ends: list[float]) -> int:
        """Return how many of those who asked came within NEAR_S of the end of a child."""
        ends, found, at = sorted(ends), 0, 0
        for moment in sorted(self.times):
            while at < len(ends) and ends[at] < moment - NEAR_S:
                at += 1
            found += at < len(ends) and ends[at] <= moment + NEAR_S
        return found
