"""Owns an installation of lond in a temporary directory, clients that dial it, and lonc with lond behind it.

A LondSite is a Site whose daemon is lond: start, stop, signal, log and cleanup mean lond's. It stands alone, or
beside a Site whose lonc has the same files. Clients of a test come from addresses of 127.0.0.0/8, since an address
is what lond knows them by.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence

from lonc.config import load_config
from lonc.lond.store import Owner, open_store
from lonc.wire.cipher import FrameCipher, session_key
from tests.process.client import Client
from tests.process.harness import TREE, Entry, Site
from tests.process.peer import next_address
from tests.process.waiting import wait_until

OWN = "srv1"
LONC = "own1"  # the client that comes from 127.0.0.1, as lonc does
DOMAIN = b"msu"
USER = b"joe"


class Dialed(Client):
    """A client's link to lond itself: lines, without lonc between."""

    def __init__(self, to: tuple[str, int], source: str, timeout_s: float = 20.0) -> None:
        """Connect from this address, and say nothing yet."""
        self.socket = socket.socket()
        self.socket.settimeout(timeout_s)
        self._rest = bytearray()
        self.cipher: FrameCipher | None = None
        try:
            self.socket.bind((source, 0))
            self.socket.connect(to)
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> Dialed:
        return self

    def greet(self) -> Dialed:
        """Go through the first two rows of the dialogue."""
        challenge = self.ask(b"init", 20)
        assert challenge, "no challenge"
        assert self.ask(challenge, 20) == b"ok"
        return self

    def agree(self, peer: str, own: str) -> bytes:
        """Ask for a build key, agree on the key with it, and return it. peer: the id that lond has for us now."""
        build_key = self.ask(b"ekey", 20)
        assert build_key
        self.cipher = FrameCipher(session_key(peer.encode(), own.encode(), build_key))
        return build_key

    def ask_encrypted(self, line: bytes) -> bytes | None:
        """Send a command as an `enc:` frame and return the reply, decoded if it is one."""
        assert self.cipher
        reply = self.ask(self.cipher.encode(line), 20)
        return self.cipher.decode(reply) if reply and reply.startswith(b"enc:") else reply


class LondSite(Site):
    """An installation whose daemon is lond; clients: ids, or entries, of those who may dial."""

    def __init__(
        self,
        clients: Sequence[str | Entry] = (),
        *,
        own_id: str = OWN,
        own: Sequence[Entry] = (),
        settings: Mapping[str, str] | None = None,
        beside: Site | None = None,
    ) -> None:
        """own: further entries on our own address. beside: a site whose lonc is on the same machine."""
        if beside is not None:
            self.__dict__.update(beside.__dict__)
            self.foreground = None
            self.address = self.entry(self.own_id).address
        else:
            self.address = next_address()
            hosts = [Entry(own_id, self.address), Entry(LONC, "127.0.0.1"), *clients]
            more = [Entry(entry.id, self.address, entry.domain) for entry in own]
            super().__init__([*hosts, *more], own_id=own_id, settings=settings)
        self.write_config(londListen=self.address)
        self.log_path = self.logs_dir / "lond.log"
        self.pid_path = self.logs_dir / "lond.pid"
        self.scoreboard_path = self.logs_dir / "lond.scoreboard"
        self.status_path = self.root / "html" / "lon-status" / "londstatus.txt"
        (self.root / "html" / "res").mkdir(exist_ok=True)

    def command(self, *arguments: str) -> list[str]:
        """Return the command that starts this site's lond."""
        return [sys.executable, str(TREE / "bin" / "lond"), "--conf-dir", str(self.conf_dir), *arguments]

    def error_text(self) -> str:
        """Return what starting commands and the daemon itself wrote to stderr."""
        files = [self.error_path, self.logs_dir / "lond_errors"]
        return "".join(path.read_text("utf-8", "replace") for path in files if path.exists())

    def add_user(self, name: bytes = USER, info: bytes = b"internal:") -> None:
        """Make an account in the store, past lond."""
        store = open_store(load_config(str(self.conf_dir)))
        try:
            assert store.create_account(Owner(DOMAIN, name), info)
        finally:
            store.close()

    def dial(self, source: str = "127.0.0.1") -> Dialed:
        """Return a client's connection from this address; nothing is said yet."""
        return Dialed((self.address, self.port), source)

    def link(self, source: str = "127.0.0.1") -> Dialed:
        """Return a client's link that is open for commands."""
        return self.dial(source).greet()

    def workers(self) -> list[int]:
        """Return the pids of living workers."""
        return [pid for pid in self.children() if self.title(pid).startswith("lond: w")]

    def serving(self, client: str = "") -> list[int]:
        """Return the pids of workers that have a link, by their titles."""
        return [pid for pid in self.workers() if f" serving {client}" in self.title(pid)]

    def wait_serving(self, count: int, client: str = "") -> list[int]:
        """Return those workers when there are exactly so many."""
        wait_until(lambda: len(self.serving(client)) == count, 20, f"{count} workers with a link")
        return self.serving(client)


class Pair:
    """lonc on one machine and lond on another: two installations that share londPort."""

    def __init__(self, lonc: Site, lond: LondSite) -> None:
        self.lonc = lonc
        self.lond = lond

    def start(self) -> None:
        """Start both and return when their link is ready."""
        self.lond.add_user()
        self.lond.start()
        self.lonc.start()
        self.lonc.wait_ready(timeout_s=30)

    def ask(self, line: bytes, timeout_s: float = 30.0) -> bytes | None:
        """Return lond's reply to one request through lonc's socket."""
        return self.lonc.ask(self.lond.own_id, line, timeout_s)


def make_pair(settings: Mapping[str, str] | None = None, lond_settings: Mapping[str, str] | None = None) -> Pair:
    """Return a pair of which nothing runs yet."""
    lond = LondSite(settings=lond_settings)
    # The redial of a link that lond has let go must come in time whatever else the machine is doing.
    patient = {"loncGrace": "30", "loncMaxAttempts": "0", "loncRedialMax": "0.5"}
    lonc = Site([Entry(lond.own_id, lond.address)], own_id=LONC, settings=patient | dict(settings or {}))
    lonc.port = lond.port
    lonc.write_config(londPort=str(lond.port))
    return Pair(lonc, lond)
