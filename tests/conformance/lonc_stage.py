"""Owns the stage for a lonc: the suite listens as the lond it dials, and connects to its socket as clients do.

Everything happens in one thread and in the order of the case: a case says what a client sends, waits for the line
that this brings to lond's side, answers it, and looks at what the client gets. A lonc may have several links; the
stage reads from all of them and takes new ones at any time.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.cipher import Cipher, key_of
from tests.conformance.model import LONC, Book, MismatchError, UnfitError, expect, shown
from tests.conformance.wire import Wire, readable

BACKLOG = 256
CON_LOST = b"con_lost"


@dataclass(slots=True)
class LoncTarget:
    """A lonc under test and what is known about it; what stands here must be true of its configuration."""

    path: str  # its socket for the peer
    address: str  # where it believes that this peer's lond is
    port: int
    own: bytes  # its own id
    peer: bytes
    limit_s: float = 10.0  # of each step of a case
    redial_s: float = 20.0  # within which it has dialed anew after a loss
    grace_s: float = 2.0  # 0: it answers con_lost at once
    request_timeout_s: float = 0.0  # 0: not known, or too long to wait for
    init_timeout_s: float = 0.0
    max_line: int = 0
    max_reply: int = 0
    long_bytes: int = 1 << 20  # of a reply that must pass
    delayed: str = ""  # the directory of delayed messages
    wake: int = 0  # process that gets USR1 where a new dial is waited for
    many: int = 64  # clients, and requests, where many are meant

    @property
    def patient(self) -> bool:
        """Return whether a case can see that something waits for the grace, or does not."""
        return self.grace_s >= 5

    def has(self, need: str) -> bool:
        """Return whether this is known."""
        return bool(getattr(self, need))


class Link(Wire):
    """A connection that lonc has dialed, from our side. said: its lines of the dialogue, in order."""

    def __init__(self, sock: socket.socket, target: LoncTarget) -> None:
        super().__init__(sock, target.limit_s)
        self.target = target
        self.said: list[bytes] = []
        self.challenge = b"challenge-" + os.urandom(6).hex().encode()
        self.build_key = os.urandom(12).hex().upper().encode()
        self._cipher: Cipher | None = None

    @property
    def cipher(self) -> Cipher:
        """The key of this connection, as the specification makes it."""
        if self._cipher is None:
            self._cipher = Cipher(key_of(self.target.peer, self.target.own, self.build_key))
        return self._cipher

    def hear(self, what: str) -> bytes:
        """Read the next line of the dialogue."""
        self.said.append(self.line(what))
        return self.said[-1]

    def usual(self, line: bytes) -> bytes:
        """Return what a lond answers to a line of the dialogue behind its first two rows."""
        word = line.partition(b":")[0]
        answers = {
            b"sethost": b"ok",
            b"version": b"version:conformance",
            b"pong": self.target.peer + b":" + self.target.own,
            b"ekey": self.build_key,
        }
        if word not in answers:
            raise MismatchError("a line of the dialogue", shown(line))
        return answers[word]

    def greet(self) -> Link:
        """Go through the first two rows."""
        expect(self.hear("init").partition(b":")[0], b"init")
        self.send(self.challenge)
        expect(self.hear("the challenge"), self.challenge)
        self.send(b"ok")
        return self

    def dialogue(self, answer: Callable[[bytes], bytes] | None = None) -> Link:
        """Go through all rows up to the build key; answer: what is said to the rows behind the first two."""
        if not self.said:
            self.greet()
        while self.said[-1] != b"ekey":
            line = self.hear("a line of the dialogue")
            self.send((answer or self.usual)(line))
        return self

    def until(self, word: bytes) -> Link:
        """Go through the dialogue until this word has been said, and leave that row unanswered."""
        if word == b"init":
            expect(self.hear("init").partition(b":")[0], b"init")
            return self
        self.greet()
        for _row in range(8):
            line = self.hear(f"{word.decode()} in the dialogue")
            if line.partition(b":")[0] == word:
                return self
            if line == b"ekey":
                raise UnfitError(f"it never says {word.decode()}")
            self.send(self.usual(line))
        raise MismatchError(word.decode(), "eight other rows")


@dataclass(slots=True)
class Heard:
    """A request that came to lond's side, and the link it came on."""

    link: Link
    line: bytes


class LoncStage:
    """The suite around a lonc. Cases call it; end_case() tidies up behind each, close() behind all."""

    def __init__(self, target: LoncTarget) -> None:
        """Listen. Raises OSError when the address cannot be had."""
        self.target = target
        self.links: list[Link] = []
        self.wires: list[Wire] = []
        self.files: list[Path] = []
        self.listener: socket.socket | None = None
        self._marks = itertools.count(1)
        self._nudged_at = time.monotonic()
        self.back()

    # --- clients --------------------------------------------------------------------------------------------

    def client(self) -> Wire:
        """Connect to lonc's socket, which is waited for."""
        deadline = time.monotonic() + self.target.redial_s
        while True:
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(self.target.limit_s)
            try:
                sock.connect(self.target.path)
            except OSError as error:
                sock.close()
                if time.monotonic() > deadline:
                    raise MismatchError("a connection to its socket", str(error)) from error
                self._pump(0.02)
            else:
                self.wires.append(Wire(sock, self.target.limit_s))
                return self.wires[-1]

    def mark(self) -> bytes:
        """Return a request that is like no other of this run."""
        return b"conformance:%d:%d" % (os.getpid(), next(self._marks))

    # --- lond's side ----------------------------------------------------------------------------------------

    def away(self) -> None:
        """End all links and refuse new ones."""
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        self.hang_up()

    def back(self) -> None:
        """Accept links, again."""
        if self.listener is None:
            family = socket.AF_INET6 if ":" in self.target.address else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.target.address, self.target.port))
            self.listener.listen(BACKLOG)
            self.listener.setblocking(False)

    def hang_up(self) -> None:
        """End all links, those that have not been accepted yet as well."""
        while (link := self._accept()) is not None:
            link.close()
        for link in self.links:
            link.close()
        self.links.clear()

    def drop(self, link: Link) -> None:
        """Leave a link to the case, or to nobody: its lines are not read any more by heard()."""
        if link in self.links:
            self.links.remove(link)

    def dialed(self) -> Link:
        """Return the next connection that lonc opens, with nothing read from it."""
        deadline = time.monotonic() + self.target.redial_s
        self.nudge()
        while time.monotonic() < deadline:
            link = self._accept()
            if link is None:
                readable([self.listener.fileno()] if self.listener else [], 0.1)
                continue
            if not self._stale(link):
                self.wires.append(link)
                return link
        raise MismatchError("that it dials", f"no connection within {self.target.redial_s:g} s")

    def redialed(self) -> Link:
        """End all links and return the next connection, with nothing read from it."""
        self.hang_up()
        return self.dialed()

    def nudge(self) -> None:
        """Tell lonc to dial now, where a process for that is known."""
        if self.target.wake:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.target.wake, signal.SIGUSR1)

    def join(self, link: Link) -> Link:
        """Take a link whose dialogue is done among those that heard() reads."""
        self.links.append(link)
        return link

    def heard(self, what: str = "a request") -> Heard:
        """Return the next request on any link; new connections get a usual dialogue meanwhile."""
        deadline = time.monotonic() + max(self.target.limit_s, self.target.redial_s)
        while True:
            found = self._next()
            if found is not None:
                return found
            left = deadline - time.monotonic()
            if left <= 0:
                raise MismatchError(what, "nothing on any link in time")
            self._pump(left)

    def hear(self, *allowed: bytes) -> Link:
        """Return the link on which the next request comes, which must be one of these."""
        heard = self.heard(" or ".join(map(shown, allowed)))
        expect(heard.line, *allowed)
        return heard.link

    def ready(self, never: bytes = b"") -> Link:
        """Return a link over which a request has just gone both ways, so that nothing else is on its way.

        never: a request that must not be heard before.
        """
        deadline = time.monotonic() + self.target.redial_s
        while time.monotonic() < deadline:
            asking, mark = self.client(), self.mark()
            asking.send(mark)
            link = self.answered(asking, mark, never)
            asking.close()
            if link is not None:
                return link
            self._pump(0.05)
        raise MismatchError("a usable link", f"none within {self.target.redial_s:g} s")

    def answered(self, asking: Wire, mark: bytes, never: bytes = b"") -> Link | None:
        """Answer requests until the mark has its answer, and return its link; None when its client had another."""
        answering = None
        deadline = time.monotonic() + self.target.redial_s
        while time.monotonic() < deadline:
            answer = asking.taken()
            if answer is not None or asking.eof:
                return answering if answer == b"got " + mark else None
            heard = self._next()
            if heard is None:
                self._pump(0.5, asking)
                continue
            if never and heard.line == never:
                raise MismatchError(f"that {shown(never)} is sent once", "it came again")
            heard.link.send(b"got " + heard.line)
            if heard.line == mark:
                answering = heard.link
        return None

    def heard_or_lost(self, client: Wire) -> Heard | None:
        """Return the next request; None when this client has been told that there is no link."""
        deadline = time.monotonic() + self.target.redial_s
        while time.monotonic() < deadline:
            answer = client.taken()
            if answer is not None or client.eof:
                expect(answer if answer is not None else b"", CON_LOST)
                return None
            found = self._next()
            if found is not None:
                return found
            self._pump(0.5, client)
        raise MismatchError("a request, or con_lost", "neither in time")

    def exchange(self, client: Wire, request: bytes, reply: bytes, got: bytes | None = None) -> Link:
        """Send a request, find it unchanged at lond, answer it, and find the answer (or got) at the client."""
        client.send(request)
        link = self.hear(request)
        link.send(reply)
        client.expect(reply if got is None else got)
        return link

    # --- the end --------------------------------------------------------------------------------------------

    def end_case(self, clean: bool = True) -> None:
        """Close what the case has left open; after a clean case a usable link stays for the next one."""
        if not clean:
            self.hang_up()
        for wire in self.wires:
            if wire not in self.links:
                wire.close()
        self.wires.clear()
        for path in self.files:
            path.unlink(missing_ok=True)
        self.files.clear()
        self.back()

    def close(self) -> None:
        """Close everything."""
        self.end_case()
        self.away()

    # --- inside ---------------------------------------------------------------------------------------------

    def _accept(self) -> Link | None:
        if self.listener is None:
            return None
        try:
            sock, _address = self.listener.accept()
        except OSError:
            return None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Link(sock, self.target)

    @staticmethod
    def _stale(link: Link) -> bool:
        """Return whether the other end has given up already: it dialed while nobody was here to answer."""
        link.fill(0.0)
        if link.eof:
            link.close()
        return link.eof

    def _welcome(self) -> None:
        """Take a new connection through the dialogue; one that breaks off is forgotten."""
        link = self._accept()
        if link is not None:
            try:
                self.join(link.dialogue())
            except MismatchError:
                link.close()

    def _next(self) -> Heard | None:
        """Return a request that is here already."""
        for link in list(self.links):
            line = link.taken()
            if line is not None:
                return Heard(link, line)
            if link.eof:
                link.close()
                self.links.remove(link)
        return None

    def _pump(self, wait_s: float, *others: Wire) -> None:
        """Wait so long for something on links, on others, or a new connection, and take what is there."""
        if not self.links and time.monotonic() > self._nudged_at + 1:
            self._nudged_at = time.monotonic()
            self.nudge()
        open_ = [wire for wire in (*self.links, *others) if not wire.eof]
        listening = [self.listener.fileno()] if self.listener else []
        ready = readable([wire.fileno() for wire in open_] + listening, min(wait_s, 1.0))
        for wire in open_:
            if wire.fileno() in ready:
                wire.fill(0.0)
        if ready.intersection(listening):
            self._welcome()


BOOK: Book[LoncStage] = Book(LONC)
