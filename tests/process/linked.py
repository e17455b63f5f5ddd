"""Owns the scene of tests with several links: a daemon, one peer that holds replies back until told, and clients.

A request `echo:held...` is carried out at once and answered only after release(): a link that is as slow as the
test wants, without a clock. What the peer carried out on which connection says how lonc spread its requests.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Iterator

from tests.conftest import MakeSite
from tests.process.client import Client
from tests.process.harness import Peer, Site, wait_until

HELD = b"echo:held "
GATE = "on echo:held*=gate"
NEVER_MS = "60000"  # loncSpreadAfter: no request of a test waits so long
# No grace: the least outage would show as con_lost.
SETTINGS = {"loncMaxConnections": "3", "loncSpreadAfter": "20", "loncGrace": "0", "loncMaxAttempts": "0"}
READY = ("Idle", "SendingRequest", "ReceivingReply")


class Scene:
    """One daemon with one peer, msul1, and the clients that a test has made."""

    def __init__(self, site: Site, *rules: str) -> None:
        self.site = site
        self.peer: Peer = site.peer("msul1", *rules)
        self.clients: list[Client] = []

    def client(self) -> Client:
        """Return a new client; it is closed with the scene."""
        self.clients.append(self.site.connect("msul1"))
        return self.clients[-1]

    def ask(self, *lines: bytes) -> Client:
        """Return a new client that has sent these lines."""
        client = self.client()
        client.send(*lines)
        return client

    def hold(self, name: bytes, client: Client | None = None) -> Client:
        """Return the client (a new one) of a request that has come to the peer and is held back there."""
        client = client or self.client()
        client.send(HELD + name)
        line = (HELD + name).decode()
        wait_until(lambda: line in self.peer.executed(), 10, f"{line} at the peer")
        return client

    def release(self, name: bytes = b"") -> None:
        """Let the peer answer what it holds back under this name, all of it without one."""
        self.peer.order(release=(HELD + name).decode())

    def open_gates(self) -> None:
        """Let the peer answer everything from now on."""
        self.peer.script(*(rule for rule in self.peer.rules if rule != GATE))
        self.release()

    def spread(self, count: int) -> list[Client]:
        """Return when so many links are READY, by requests `1`, `2`... that are held back on all but the last."""
        held = []
        for number in range(1, count):
            held.append(self.hold(b"%d" % number))
            self.wait_ready(number + 1)
        return held

    def open_and_idle(self, count: int) -> None:
        """Return when so many links are READY and nothing is in flight on any."""
        held = self.spread(count)
        self.release()
        for number, client in enumerate(held, 1):
            assert client.line() == b"held %d" % number
        self.wait_states(["Idle"] * count)

    # --- what it shows --------------------------------------------------------------------------------

    def states(self) -> list[str]:
        """Return the state of each link by a status block that the child appends now."""
        pid = self.site.child("msul1")
        before = len(self._blocks(pid))
        self.site.signal(signal.SIGUSR1, pid)
        return wait_until(lambda: self._blocks(pid)[before:], 10, "a status block")[-1]

    def _blocks(self, pid: int) -> list[list[str]]:
        path = self.site.status_path
        text = path.read_text() if path.exists() else ""
        found: list[list[str]] = []
        for block in re.split(r"^(?=\d+\t)", text, flags=re.MULTILINE):
            if block.startswith(f"{pid}\tmsul1\t") and "\nActive connection statuses: \n" in block:
                lines = block.partition("\nActive connection statuses: \n")[2].splitlines()
                states = [line.partition(" State: ")[2] for line in lines if line.startswith("Connection ")]
                assert lines == [f"Connection {i} State: {state}" for i, state in enumerate(states, 1)]
                found.append(states)
        return found

    def wait_ready(self, count: int) -> None:
        """Return when exactly so many links are READY."""
        wait_until(lambda: sum(state in READY for state in self.states()) == count, 10, f"{count} READY links")

    def wait_states(self, states: list[str]) -> None:
        """Return when the links are in these states, in any order."""
        wait_until(lambda: sorted(self.states()) == sorted(states), 10, f"links that are {states}")

    def on(self) -> dict[str, int]:
        """Return for each line that the peer has carried out, dialogue excepted, the number of its connection."""
        return {record.text: int(record.connection.partition(".")[2]) for record in self.peer.records("ce")}

    def title(self) -> str:
        """Return the child's title."""
        return self.site.title(self.site.child("msul1"))

    def harmless(self) -> None:
        """Fail when anything was lost, told as a loss, or dead."""
        shown = self.site.board("msul1").child
        assert (shown.state, shown.con_lost) == ("ready", 0)
        assert "CRITICAL" not in self.site.log_text()
        assert "DEAD" not in self.title()


def unanswered(client: Client) -> bool:
    """Return whether nothing has come for this client, and its connection stands."""
    client.socket.setblocking(False)
    try:
        return client.socket.recv(1) is None
    except BlockingIOError:
        return True


@contextlib.contextmanager
def scene(make_site: MakeSite, *rules: str, **settings: str) -> Iterator[Scene]:
    """Give a scene whose first link is READY; GATE holds besides these rules."""
    made = Scene(make_site(settings=SETTINGS | settings), *rules, GATE)
    try:
        made.site.start()
        made.site.wait_ready()
        yield made
    finally:
        for client in made.clients:
            client.close()
