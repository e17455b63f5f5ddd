"""Owns the test's handles on a fake lond, which can be killed and come back at its address, and a bad line."""

from __future__ import annotations

import itertools
import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.process.fake import Fake
from tests.process.waiting import wait_until

# All peers of a site share londPort and differ in their address. Ports below the range from which the
# kernel takes the local ports of connections: a peer that is down would lose its port to one of them.
PORTS = range(21000, 31000)
_addresses = itertools.count(1)


def next_address() -> str:
    """Return an address of 127.0.0.0/8 that no other test of this or a parallel run uses."""
    number = next(_addresses)
    return f"127.{1 + os.getpid() % 254}.{number // 250 % 250}.{1 + number % 250}"


def free_port() -> int:
    """Return a port that nothing listens on at any address right now."""
    for _attempt in range(200):
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise AssertionError("no free port")


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a peer's log: connection is `<pid>.<number>`, kind one of `+ - d c e` (tests/fakes/lond.py)."""

    connection: str
    kind: str
    at: float
    text: str


class Proxy(Fake):
    """A bad line (tests/fakes/proxy.py) on address:port that leads to the same port of `to`."""

    module = "tests.fakes.proxy"

    def __init__(self, place: Path, name: str, address: str, port: int, to: str) -> None:
        super().__init__(place, f"{name}.proxy", address, port)
        self.to = to

    def options(self) -> list[str]:
        """Return where it leads."""
        return ["--to", f"{self.to}:{self.port}"]

    def start(self) -> Proxy:
        """Start the process and return when it listens; it passes everything on until an order says else."""
        self.launch()
        return self


class Peer(Fake):
    """A fake lond for one or several ids on address:port, with its files below `place`.

    `rules` (tests/fakes/misdeeds.py) hold for every start; script() replaces them also in a running process.
    """

    module = "tests.fakes.lond"

    def __init__(
        self, place: Path, ids: list[str], client: str, address: str, port: int, rules: tuple[str, ...] = ()
    ) -> None:
        """ids: its own, the first until `sethost` chooses. client: the id of the lonc that will connect."""
        super().__init__(place, f"{ids[0]}.peer", address, port)
        self.ids = ids
        self.client = client
        self.rules = list(rules)
        self.ask_back = ""  # UNIX socket of our own lonc, asked `ping` for every `pong`
        self.log_path = place / f"{ids[0]}.peer.log"

    def options(self) -> list[str]:
        """Return its ids, files and rules."""
        options = ["--client", self.client, "--log", str(self.log_path)]
        for name in self.ids:
            options += ["--id", name]
        for rule in self.rules:
            kind, _, rest = rule.partition(" ")
            options += [f"--{kind}", rest]
        return options + (["--ask-back", self.ask_back] if self.ask_back else [])

    def start(self) -> Peer:
        """Start the process and return when it listens. Raises AssertionError with what it said."""
        self.launch()
        return self

    def restart(self) -> Peer:
        """Kill the process and start it again on the same address; its data is gone, its log goes on."""
        self.kill()
        return self.start()

    def script(self, *rules: str) -> None:
        """Replace all rules, at once when the process runs, and for every later start."""
        self.rules = list(rules)
        if self.process is not None:
            self.order(rules=self.rules)

    def records(self, kinds: str = "+-dce") -> list[Record]:
        """Return the log of all starts of this peer, oldest first; kinds selects."""
        if not self.log_path.exists():
            return []
        lines = self.log_path.read_text("ascii").splitlines()
        found = [line.split("\t", 3) for line in lines]
        return [Record(c, k, float(at), text) for c, k, at, text in found if k in kinds]

    def executed(self) -> list[str]:
        """Return the executed request lines in order, encrypted ones in clear, without the dialogue."""
        return [record.text for record in self.records("ce")]

    def wait_executed(self, count: int, timeout_s: float = 10.0) -> list[str]:
        """Return the executed lines as soon as there are at least count of them."""
        wait_until(lambda: len(self.executed()) >= count, timeout_s, f"{count} requests at {self.ids[0]}")
        return self.executed()
