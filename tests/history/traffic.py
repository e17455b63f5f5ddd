"""Owns the traffic of a campaign: clients that ask unique tokens and a writer of messages, all of it recorded."""

from __future__ import annotations

import os
import queue
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from lonc.delayed.sealing import Keys
from lonc.delayed.store import MessageStore
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from tests.history.model import Asked, Closed, Got, Left, Record, Stored, Unsent, Where
from tests.process.client import Client
from tests.process.harness import Site

PATIENCE_S = 60.0  # a client that waits longer counts as never answered
NAMES_KEPT = 50_000


class Recorder:
    """What the threads of a campaign saw, until it is taken."""

    def __init__(self) -> None:
        self._seen: queue.SimpleQueue[Record] = queue.SimpleQueue()

    def note(self, *records: Record) -> None:
        """Add these."""
        for record in records:
            self._seen.put(record)

    def take(self) -> list[Record]:
        """Return what was noted since the last call."""
        found = []
        while not self._seen.empty():
            found.append(self._seen.get())
        return found


class Worker(threading.Thread):
    """A thread that makes one step after the other until stop(); broken: the error that ended it before."""

    def __init__(self, step: Callable[[], None], pause_s: float) -> None:
        super().__init__(daemon=True)
        self.broken = ""
        self._step = step
        self._pause_s = pause_s
        self._end = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._steps = threading.Lock()  # held while a step is made

    def run(self) -> None:
        """Make steps, with a pause of random length between them."""
        chance = random.Random()
        try:
            while not self._end.wait(chance.uniform(0, 2 * self._pause_s)):
                with self._steps:
                    if self._go.is_set():
                        self._step()
        except Exception as error:  # noqa: BLE001 - shown by the campaign, which ends for it
            self.broken = repr(error)

    def pause(self) -> None:
        """Return when no step is being made, and none will be until go_on()."""
        self._go.clear()
        with self._steps:
            return

    def go_on(self) -> None:
        """Let it make steps again."""
        self._go.set()

    def stop(self) -> None:
        """Let it end after this step."""
        self._end.set()


class Asker:
    """One client: each step asks a few tokens of one peer and reads the replies, or sometimes hangs up first."""

    def __init__(self, site: Site, peers: Sequence[str], recorder: Recorder, name: str, slow_s: float = 0) -> None:
        self.name = name
        self._site = site
        self._peers = peers
        self._recorder = recorder
        self._slow_s = slow_s  # between a request and the reading of its reply
        self._chance = random.Random(name)
        self._connections = self._tokens = 0
        self._open: tuple[Client, Where] | None = None

    def step(self) -> None:
        """Ask once; whatever comes of it is recorded."""
        if self._open is None:
            peer = self._chance.choice(self._peers)
            self._connections += 1
            try:
                client = Client(self._site.socket_path(peer), PATIENCE_S)
            except OSError:  # nobody listens: the parent was killed just now
                return
            self._open = client, Where(self.name, self._connections, peer)
        client, where = self._open
        stays = self._talk(client, where)
        if not stays or self._chance.random() < 0.3:
            self.close()

    def _talk(self, client: Client, where: Where) -> bool:
        """Return whether the connection is good for more."""
        tokens = [self._token() for _ in range(self._chance.choice((1, 1, 1, 3)))]
        words = [self._chance.choice((b"echo:", b"echo:", b"echo:", b"encrypt:echo:")) for _ in tokens]
        now = time.monotonic()
        self._recorder.note(*(Asked(now, where, token) for token in tokens))
        try:
            client.send(*(word + token.encode() for word, token in zip(words, tokens, strict=True)))
        except OSError:
            self._recorder.note(*(Unsent(where, token) for token in tokens))
            return False
        if self._chance.random() < 0.03:
            return False  # a client that does not wait
        if self._slow_s:
            time.sleep(self._slow_s)
        for _ in tokens:
            reply = client.line(PATIENCE_S)
            now = time.monotonic()
            if reply is None:
                self._recorder.note(Closed(now, where))
                return False
            self._recorder.note(Got(now, where, reply.decode("latin-1")))
        return True

    def _token(self) -> str:
        self._tokens += 1
        return f"{self.name}.{self._tokens}.{self._chance.getrandbits(32):08x}"

    def close(self) -> None:
        """Hang up; not while a step is being made."""
        if self._open is not None:
            client, where = self._open
            client.close()
            self._recorder.note(Left(where))
            self._open = None


class Writer:
    """Stores numbered messages; peers in turn have all of theirs new, as the client library writes them, or old.

    New ones are sent when they are 5 s old; old ones bear a time long past in their names and are sent at once, so
    that there is always something to flush. names: of files, to their tokens, the latest NAMES_KEPT.
    """

    def __init__(self, site: Site, peers: Sequence[str], recorder: Recorder, most: int) -> None:
        """most: of one peer that may wait at once, by wait()."""
        self.names: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self.waiting: dict[str, int] = dict.fromkeys(peers, 0)
        self._site = site
        self._peers = peers
        self._recorder = recorder
        self._most = most
        self._counts = dict.fromkeys(peers, 0)
        self._began = int(time.time()) - 1_000_000
        self._chance = random.Random()
        files = SystemFiles()
        keys = Keys(str(site.logs_dir / "lonc.keys"), files=files, clock=SystemClock())
        self._store = MessageStore(str(site.delayed_dir), keys, files=files, clock=SystemClock())

    def step(self) -> None:
        """Store one message, unless enough of that peer's wait."""
        place = self._chance.randrange(len(self._peers))
        peer = self._peers[place]
        if self.waiting[peer] >= self._most:
            return
        number = self._counts[peer]
        self._counts[peer] += 1
        self.waiting[peer] += 1
        token = f"m.{peer}.{number}"
        text = f"put:msu:u:ns:a={token}".encode()
        # before it is there: it may be executed at once
        self._recorder.note(Stored(peer, token))
        if place % 3 == 0:
            name = self._store.put(text, peer)
        else:
            name = f"{self._began + number // 100}.{number % 100}.{os.getpid()}.put.{peer}"
            self._site.delayed(name, text + b"\n", 0.0)
        self.names[name] = (peer, token)
        if len(self.names) > NAMES_KEPT:
            self.names.popitem(last=False)
