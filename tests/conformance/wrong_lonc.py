"""Owns a small lonc of the classic kind, one request at a time, with faults to be switched on.

    python -m tests.conformance.wrong_lonc SOCKET ADDRESS:PORT OWN PEER FILE

It proves that the suite can fail. The faults stand in the file and are read anew for each link.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from tests.conformance.cipher import Cipher, key_of

FAULTS = {
    "strip": "blanks around a request are lost",
    "ascii": "bytes above 127 are lost",
    "skip-empty": "an empty request is passed over",
    "send-rest": "an unfinished line at the end of a client is sent",
    "echo-refusal": "a refusal is echoed as if it were a challenge",
    "mangle-challenge": "the challenge is echoed with its blanks squeezed",
    "hasty": "sethost is said without waiting for the answer to the echo",
    "any-ok": "whatever answers the echo is taken for ok",
    "need-sethost": "an older lond without sethost is not accepted",
    "any-key": "an empty build key is taken",
    "newline-key": "the newline of the build key is in the key",
    "swapped-key": "the ids stand in the key the other way round",
    "upper-hex": "digits of frames are upper case",
    "few-blocks": "a frame has no block of blanks",
    "clip": "blanks at the end of a decoded reply are lost",
    "all-encrypted": "every request is encrypted",
    "raw-frames": "replies that are frames are not decoded",
    "unescape": "%20 of a request becomes a blank",
    "zero": "the reply 0 is taken for none",
    "silent-loss": "a request lost with its link has no answer",
    "send-again": "a request lost with its link is sent on the next one",
    "half-reply": "half a reply is handed on when the link is lost",
}
PR_SET_PDEATHSIG = 1
REDIAL_S = 0.02


class LinkLostError(Exception):
    """The link has ended; half: what of a reply was there."""

    def __init__(self, half: bytes = b"") -> None:
        super().__init__("lost")
        self.half = half


class WrongLonc:
    """Everything of it."""

    def __init__(self, path: str, lond: str, own: str, peer: str, faults_path: str) -> None:
        address, _, port = lond.rpartition(":")
        self.to = (address, int(port))
        self.own, self.peer = own.encode(), peer.encode()
        self.faults_path = Path(faults_path)
        self.faults: set[str] = set()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(256)
        self.link: socket.socket | None = None
        self.rest = b""
        self.clients: dict[socket.socket, bytes] = {}
        self.again: bytes | None = None

    # --- the link -------------------------------------------------------------------------------------------

    def reply(self) -> bytes:
        """Return the next line of lond."""
        assert self.link
        while b"\n" not in self.rest:
            try:
                data = self.link.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                half, self.rest = self.rest, b""
                raise LinkLostError(half)
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def ask(self, line: bytes) -> bytes:
        """Send a line and return its answer."""
        assert self.link
        try:
            self.link.sendall(line + b"\n")
        except OSError as error:
            raise LinkLostError from error
        return self.reply()

    def dial(self) -> None:
        """Connect and go through the dialogue. Raises LinkLostError."""
        self.link, self.rest = socket.socket(), b""
        try:
            self.link.connect(self.to)
        except OSError as error:
            raise LinkLostError from error
        # behind the connect: a link that was made before the file was written is never one with the new faults
        self.faults = set(self.faults_path.read_text().split())
        challenge = self.ask(b"init")
        if challenge in (b"refused", b"bye") and "echo-refusal" not in self.faults:
            raise LinkLostError
        if "mangle-challenge" in self.faults:
            challenge = b" ".join(challenge.split())
        if "hasty" in self.faults:
            self.link.sendall(challenge + b"\nsethost:" + self.peer + b"\n")
        verdict = self.reply() if "hasty" in self.faults else self.ask(challenge)
        if verdict != b"ok" and "any-ok" not in self.faults:
            raise LinkLostError
        chosen = self.reply() if "hasty" in self.faults else self.ask(b"sethost:" + self.peer)
        if chosen != b"ok" and "need-sethost" in self.faults:
            raise LinkLostError
        self.ask(b"version:wrong")
        self.ask(b"pong")
        build_key = self.ask(b"ekey")
        if not build_key and "any-key" not in self.faults:
            raise LinkLostError
        ids = (self.own, self.peer) if "swapped-key" in self.faults else (self.peer, self.own)
        self.cipher = Cipher(key_of(*ids, build_key + (b"\n" if "newline-key" in self.faults else b"")))

    def take_unasked(self, link: socket.socket) -> None:
        """Read what comes while no request is under way."""
        try:
            data = link.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.rest += data
        if not data:
            self.lose()

    def lose(self) -> None:
        """Close what is left of the link."""
        if self.link is not None:
            self.link.close()
        self.link = None

    # --- requests -------------------------------------------------------------------------------------------

    def outgoing(self, line: bytes) -> bytes:
        """Return a client's line as it goes to lond."""
        if "strip" in self.faults:
            line = line.strip()
        if "ascii" in self.faults:
            line = bytes(code for code in line if code < 128)
        if "unescape" in self.faults:
            line = line.replace(b"%20", b" ").replace(b"%25", b"%")
        if not line.startswith(b"encrypt:") and "all-encrypted" not in self.faults:
            return line
        frame = self.cipher.frame(line.removeprefix(b"encrypt:"), -1 if "few-blocks" in self.faults else 0)
        head, length, digits = frame.split(b":")
        return b":".join((head, length, digits.upper() if "upper-hex" in self.faults else digits))

    def incoming(self, reply: bytes) -> bytes:
        """Return lond's line as it goes to the client."""
        if reply == b"0" and "zero" in self.faults:
            return b"con_lost"
        if not reply.startswith(b"enc:") or "raw-frames" in self.faults:
            return reply
        try:
            text = self.cipher.text(reply)
        except ValueError:
            return b"con_lost"
        return text.rstrip() if "clip" in self.faults else text

    def serve(self, line: bytes) -> bytes | None:
        """Return the answer to one request of a client, None for none."""
        if not line and "skip-empty" in self.faults:
            return None
        if self.link is None:
            return b"con_lost"
        try:
            return self.incoming(self.ask(self.outgoing(line)))
        except LinkLostError as lost:
            self.lose()
            self.again = line if "send-again" in self.faults else None
            if lost.half and "half-reply" in self.faults:
                return lost.half
            return None if "silent-loss" in self.faults else b"con_lost"

    # --- the loop -------------------------------------------------------------------------------------------

    def hear(self, client: socket.socket) -> None:
        """Read from a client and answer what it has asked."""
        try:
            data = client.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        lines = (self.clients[client] + data).split(b"\n")
        self.clients[client] = lines.pop()
        if not data:
            if self.clients[client] and "send-rest" in self.faults:
                lines = [self.clients[client]]
            del self.clients[client]
        for line in lines:
            answer = self.serve(line)
            if answer is not None:
                with contextlib.suppress(OSError):
                    client.sendall(answer + b"\n")
        if not data:
            client.close()

    def run(self) -> None:
        """Serve until somebody ends it."""
        while True:
            if self.link is None:
                try:
                    self.dial()
                    if self.again is not None:
                        self.ask(self.outgoing(self.again))
                        self.again = None
                except LinkLostError:
                    self.lose()
                    time.sleep(REDIAL_S)
            watched: list[socket.socket] = [self.listener, *self.clients, *([self.link] if self.link else [])]
            for one in select.select(watched, [], [], REDIAL_S if self.link is None else 1.0)[0]:
                if one is self.listener:
                    self.clients[self.listener.accept()[0]] = b""
                elif one is self.link:  # nobody has asked: it is the end, or what must not be
                    self.take_unasked(one)
                elif one in self.clients:
                    self.hear(one)


def main() -> None:
    """Run with what the command line says; end with the process that started it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit(1)
    path, lond, own, peer, faults_path = sys.argv[1:]
    WrongLonc(path, lond, own, peer, faults_path).run()


if __name__ == "__main__":
    main()
