"""Owns the test's handle on a fake lond: one process that can be killed and come back at the same address."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.process import procs
from tests.process.waiting import TREE, wait_until

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


class Peer:
    """A fake lond for one or several ids on address:port, with its files below `place`.

    `rules` (tests/fakes/misdeeds.py) hold for every start; script() replaces them also in a running process.
    """

    def __init__(
        self, place: Path, ids: list[str], client: str, address: str, port: int, rules: tuple[str, ...] = ()
    ) -> None:
        """ids: its own, the first until `sethost` chooses. client: the id of the lonc that will connect."""
        self.ids = ids
        self.client = client
        self.address = address
        self.port = port
        self.rules = list(rules)
        self.ask_back = ""
        self.log_path = place / f"{ids[0]}.peer.log"
        self.error_path = place / f"{ids[0]}.peer.err"
        self.control_path = place / f"{ids[0]}.ctl"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The pid of the running process."""
        assert self.process is not None, f"peer {self.ids[0]} does not run"
        return self.process.pid

    def start(self) -> Peer:
        """Start the process and return when it listens. Raises AssertionError with what it said."""
        assert self.process is None, f"peer {self.ids[0]} runs already"
        self.control_path.unlink(missing_ok=True)
        command = [sys.executable, "-m", "tests.fakes.lond", "--with-parent", "--address", self.address]
        command += ["--port", str(self.port), "--client", self.client]
        command += ["--log", str(self.log_path), "--control", str(self.control_path)]
        for name in self.ids:
            command += ["--id", name]
        for rule in self.rules:
            kind, _, rest = rule.partition(" ")
            command += [f"--{kind}", rest]
        if self.ask_back:
            command += ["--ask-back", self.ask_back]
        with self.error_path.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        if not first.startswith(b"listening"):
            self.process.wait(10)
            self.kill()
        return self

    def kill(self) -> None:
        """End the process by SIGKILL: the kernel closes its connections. Nothing when it does not run.

        Raises AssertionError when it had ended by itself: a test peer that breaks proves nothing.
        """
        if self.process is None:
            return
        status = self.process.poll()
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        assert status is None, f"peer {self.ids[0]} had ended with {status}: {self.error_path.read_text()}"

    def restart(self) -> Peer:
        """Kill the process and start it again on the same address; its data is gone, its log goes on."""
        self.kill()
        return self.start()

    def signal(self, signum: int) -> None:
        """Send a signal; SIGSTOP makes a peer that accepts and never answers, SIGCONT brings it back."""
        procs.send(self.pid, signum)

    def order(self, **order: Any) -> dict[str, Any]:
        """Send one order to the control socket and return its answer. Raises AssertionError on an error."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.control_path))
            sock.sendall(json.dumps(order).encode() + b"\n")
            with sock.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline())
        assert "error" not in answer, f"peer {self.ids[0]}: {answer['error']}"
        return answer

    def script(self, *rules: str) -> None:
        """Replace all rules, at once when the process runs, and for every later start."""
        self.rules = list(rules)
        if self.process is not None:
            self.order(rules=self.rules)

    def stats(self) -> dict[str, Any]:
        """Return the counters of the running process (tests/fakes/lond.py)."""
        return self.order(stats=True)

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
