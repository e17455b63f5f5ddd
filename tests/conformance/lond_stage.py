"""Owns the stage for a lond: the suite dials it as the lonc of a server that it knows by its address."""

from __future__ import annotations

import itertools
import os
import socket
from dataclasses import dataclass

from tests.conformance.cipher import Cipher, key_of
from tests.conformance.model import LOND, Book, MismatchError, require, shown
from tests.conformance.wire import Wire


@dataclass(slots=True)
class LondTarget:
    """A lond under test and what is known about it."""

    address: str
    port: int
    own: bytes  # the id that our address belongs to in its table
    peer: bytes  # its own id
    second: bytes = b""  # another id of its own
    source: str = ""  # address to come from
    stranger: str = ""  # address that is in no table
    user: bytes = b""  # DOMAIN:NAME of a user at home there, whose namespace nohist_conformance may be written to
    max_line: int = 0  # bytes of its longest command
    limit_s: float = 10.0

    def has(self, need: str) -> bool:
        """Return whether this is known."""
        return bool(getattr(self, need))


class Call(Wire):
    """A connection to lond. cipher: set by agree()."""

    cipher: Cipher

    def __init__(self, sock: socket.socket, target: LondTarget) -> None:
        super().__init__(sock, target.limit_s)
        self.target = target

    def ask(self, request: bytes) -> bytes:
        """Send one request and return its reply."""
        self.send(request)
        return self.line(f"a reply to {request[:40]!r}")

    def greet(self) -> Call:
        """Go through the first two rows of the dialogue."""
        challenge = self.ask(b"init")
        require(challenge not in (b"refused", b"bye"), "a challenge (is our address in its table?)", challenge)
        self.send(challenge)
        self.expect(b"ok")
        return self

    def agree(self, peer: bytes = b"") -> bytes:
        """Ask for a build key, make the key with it, and return it. peer: the id that lond has chosen."""
        build_key = self.ask(b"ekey")
        self.cipher = Cipher(key_of(peer or self.target.peer, self.target.own, build_key))
        return build_key

    def secret(self, command: bytes) -> bytes:
        """Send a command as a frame and return the reply as it came."""
        return self.ask(self.cipher.frame(command))

    def opened(self, reply: bytes) -> bytes:
        """Return the text of a reply that must be a frame."""
        try:
            return self.cipher.text(reply)
        except ValueError as error:
            raise MismatchError("a frame that this connection's key opens", f"{shown(reply)}: {error}") from error


class LondStage:
    """The suite in front of a lond; end_case() closes what a case has left open."""

    def __init__(self, target: LondTarget) -> None:
        self.target = target
        self._calls: list[Call] = []
        self._marks = itertools.count(1)

    def call(self, source: str = "") -> Call:
        """Connect and say nothing yet."""
        family = socket.AF_INET6 if ":" in self.target.address else socket.AF_INET
        sock = socket.socket(family)
        sock.settimeout(self.target.limit_s)
        try:
            if source or self.target.source:
                sock.bind((source or self.target.source, 0))
            sock.connect((self.target.address, self.target.port))
        except OSError as error:
            sock.close()
            raise MismatchError("a connection", str(error)) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._calls.append(Call(sock, self.target))
        return self._calls[-1]

    def link(self) -> Call:
        """Return a connection that is open for requests, without a key."""
        return self.call().greet()

    def keyed(self) -> Call:
        """Return a connection through the whole dialogue, `pong` left out: it may be slow."""
        call = self.link()
        call.send(b"sethost:" + self.target.peer)
        call.expect(b"ok")
        call.agree()
        return call

    def mark(self) -> bytes:
        """Return a word that is no command and like no other of this run."""
        return b"conformance%d_%d" % (os.getpid(), next(self._marks))

    def end_case(self, clean: bool = True) -> None:
        """Close what is open, clean or not."""
        for call in self._calls:
            call.close()
        self._calls.clear()

    def close(self) -> None:
        """Close everything."""
        self.end_case()


BOOK: Book[LondStage] = Book(LOND)
