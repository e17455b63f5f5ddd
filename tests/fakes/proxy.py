"""A line between two ends that is as bad as wanted: a TCP proxy that slices, slows, swallows or flips a bit.

    python -m tests.fakes.proxy --address 127.0.0.2 --port 5663 --to 127.0.0.3:5663 --control SOCKET

The first output line is `listening ADDRESS:PORT`. Until told otherwise it passes everything on. Orders come
through the control socket, one JSON object a line, and hold for the open connections too:

    {"slice": N}          pass on at most N bytes in one write (0: as they come)
    {"pause_ms": N}       wait so long between two writes
    {"swallow": true}     read and drop everything, both ways; the connections stay open (a half-open link)
    {"block": true}       read nothing more: buffers fill up to the sender
    {"deaf": true}        the line to the client is cut: nothing that it sends is acknowledged
    {"flip": N}           flip the lowest bit of the Nth byte from now on, counted over both ways; once
    {"end": "rst"}        end every connection with a reset ("close": in order)
    {"kill_ms": N}        about every N ms cut one connection, drawn by lot, anywhere in what it carries next, one
                          way or the other, by a reset or in order (0: no more)
    {"up": {...}}         what is done to the bytes from the client, {"down": {...}} to it: see way.py
    {"buffers": N}        kernel buffers of N bytes (the least it allows) for the connections to come
    {"seed": N}           begin anew with what is drawn by lot
    {"stats": true}       pid, open, accepted, killed, used (connections that carried USED_BYTES), bytes

An end of file is passed on only when what stood before it is through. Chance is that of `--seed`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import heapq
import itertools
import os
import random
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable

from tests.fakes.control import answer_orders
from tests.fakes.cut import set_deaf
from tests.fakes.way import Cut, Spoiling, Way

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
RECV_BYTES = 65536
HELD_BYTES = 1 << 20  # of one direction; beyond it the sender waits
USED_BYTES = 4096  # upwards; the opening dialogue is a tenth of it
PR_SET_PDEATHSIG = 1


class Proxy:
    """The proxy: one selectors loop without threads."""

    def __init__(self, options: argparse.Namespace) -> None:
        host, _, port = options.to.rpartition(":")
        self.to = (host, int(port))
        self.slice = self.pause_ms = 0
        self.flip = -1
        self.swallow = self.block = False
        self.kill_ms = 0
        self.kill_at = 0.0
        self.accepted = self.killed = self.used = 0
        self.bytes = {"up": 0, "down": 0}
        self.buffers = 0
        self.chance = random.Random(options.seed)
        self.spoiling = {"up": Spoiling(), "down": Spoiling()}
        self.pairs: list[tuple[Way, Way]] = []
        self.timers: list[tuple[float, int]] = []
        self.order = itertools.count()
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((options.address, options.port))
        self.listener.listen(1024)
        self.selector.register(self.listener, READ, lambda _mask: self._accept())
        if options.control:
            control = socket.socket(socket.AF_UNIX)
            control.bind(options.control)
            control.listen(16)
            self.selector.register(control, READ, lambda _mask: answer_orders(control, self._obey))

    def _accept(self) -> None:
        near, _address = self.listener.accept()
        far = socket.socket()
        self._shrink(far)
        try:
            far.settimeout(5)
            far.connect(self.to)  # on the same machine: at once or refused
        except OSError:
            far.close()
            self._end(near, "rst")
            return
        self.accepted += 1
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up, down = Way(near, far, "up"), Way(far, near, "down")
        self.pairs.append((up, down))
        self._watch(up, down)

    def _shrink(self, sock: socket.socket) -> None:
        """Give a socket, and those that it accepts, the wanted buffers."""
        if self.buffers:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.buffers)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.buffers)

    def _watch(self, up: Way, down: Way) -> None:
        """Wait for what either socket of a pair can do next."""
        now = time.monotonic()
        for way in (up, down):
            if due_at := way.take_due(now):
                heapq.heappush(self.timers, (due_at, next(self.order)))
        for reading, writing in ((up, down), (down, up)):
            sock = reading.source
            wants_read = not reading.ended and not self.block and reading.waiting() < HELD_BYTES
            wants_write = bool(writing.held) and writing.next_at <= now
            if writing.held and not wants_write:
                heapq.heappush(self.timers, (writing.next_at, next(self.order)))
            wanted = (READ if wants_read else 0) | (WRITE if wants_write else 0)
            known = self.selector.get_map().get(sock)
            if known is None and wanted:
                self.selector.register(sock, wanted, self._serve(up, down, sock))
            elif known is not None and not wanted:
                self.selector.unregister(sock)
            elif known is not None and known.events != wanted:
                self.selector.modify(sock, wanted, known.data)

    def _serve(self, up: Way, down: Way, sock: socket.socket) -> Callable[[int], None]:
        def serve(mask: int) -> None:
            reading, writing = (up, down) if sock is up.source else (down, up)
            if (up, down) not in self.pairs:
                return
            try:
                if mask & WRITE:
                    self._write(writing)
                if mask & READ:
                    self._read(reading)
                self._pass_end(reading)
                self._pass_end(writing)
            except BlockingIOError:
                pass
            except Cut as how:
                self.killed += 1
                self._drop(up, down, str(how))
                return
            except OSError:
                self._drop(up, down, "rst")
                return
            if up.told and down.told:
                self._drop(up, down, "close")
            else:
                self._watch(up, down)

        return serve

    def _read(self, way: Way) -> None:
        data = bytearray(way.source.recv(RECV_BYTES))
        way.ended = not data
        self.bytes[way.name] += len(data)
        used, way.carried = way.carried > USED_BYTES, way.carried + len(data)
        self.used += way.name == "up" and way.carried > USED_BYTES and not used
        if way.doomed and data:
            way.target.send(way.held + data[: self.chance.randrange(len(data))])
            raise Cut(self.chance.choice(("rst", "close")))
        if 0 <= self.flip < len(data):
            data[self.flip] ^= 1
        self.flip = max(-1, self.flip - len(data))
        if not self.swallow:
            way.add(bytes(data), self.spoiling[way.name], self.chance, time.monotonic())

    def _write(self, way: Way) -> None:
        sent = way.target.send(way.portion(self.spoiling[way.name], self.slice, self.chance))
        del way.held[:sent]
        way.next_at = time.monotonic() + self.pause_ms / 1000

    def _pass_end(self, way: Way) -> None:
        if way.ended and not way.waiting() and not way.told and not self.swallow:
            way.told = True
            way.target.shutdown(socket.SHUT_WR)

    def _drop(self, up: Way, down: Way, how: str) -> None:
        self.pairs.remove((up, down))
        for sock in (up.source, down.source):
            if sock in self.selector.get_map():
                self.selector.unregister(sock)
            self._end(sock, how)

    def _kill(self) -> None:
        """Doom one connection, and say when the next one is due."""
        self.kill_at = time.monotonic() + self.chance.uniform(0, self.kill_ms / 500)
        left = [pair for pair in self.pairs if not (pair[0].doomed or pair[1].doomed)]
        if left:
            self.chance.choice(self.chance.choice(left)).doomed = True

    @staticmethod
    def _end(sock: socket.socket, how: str) -> None:
        if how == "rst":
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def _obey(self, orders: dict[str, object]) -> dict[str, object]:
        """Carry out one line of orders and return the answer."""
        known = {"slice", "pause_ms", "swallow", "block", "flip", "kill_ms", "buffers"}
        others = {"deaf", "down", "end", "seed", "stats", "up"}
        if set(orders) - known - others:
            return {"error": f"unknown order, known: {' '.join(sorted(known | others))}"}
        try:
            self._spoil({name: orders[name] for name in ("up", "down") if name in orders})
        except ValueError as error:
            return {"error": f"unknown order: {error}"}
        for up, _down in self.pairs if "deaf" in orders else []:
            set_deaf(up.source, bool(orders["deaf"]))
        for name in known & set(orders):
            setattr(self, name, orders[name])
        self._shrink(self.listener)
        if "seed" in orders:
            self.chance.seed(str(orders["seed"]))
        for up, down in list(self.pairs):
            if "end" in orders:
                self._drop(up, down, str(orders["end"]))
            else:
                self._watch(up, down)
        counts = {"accepted": self.accepted, "killed": self.killed, "used": self.used}
        return {"pid": os.getpid(), "open": len(self.pairs), **counts, **self.bytes}

    def _spoil(self, wanted: dict[str, object]) -> None:
        """Have each named direction spoilt in this way and in no other; counts of bytes begin anew."""
        found = {name: Spoiling.of(dict(orders)) for name, orders in wanted.items()}  # type: ignore[call-overload]  # JSON
        self.spoiling |= found
        for way in itertools.chain.from_iterable(self.pairs):
            way.since = 0 if way.name in found else way.since

    def run(self) -> None:
        """Pass on until a signal ends the process."""
        while True:
            due_at = [self.timers[0][0]] if self.timers else []
            due_at += [self.kill_at] if self.kill_ms else []
            wait_s = max(0.0, min(due_at) - time.monotonic()) if due_at else None
            for key, mask in self.selector.select(wait_s):
                key.data(mask)
            if self.kill_ms and self.kill_at <= time.monotonic():
                self._kill()
            due = False
            while self.timers and self.timers[0][0] <= time.monotonic():
                heapq.heappop(self.timers)
                due = True
            for up, down in self.pairs if due else []:
                self._watch(up, down)


def main() -> int:
    """Run the proxy named by the command line."""
    parser = argparse.ArgumentParser(prog="tests.fakes.proxy", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--to", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--control")
    parser.add_argument("--seed", type=int, default=None, help="of all that is drawn by lot")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    options = parser.parse_args()
    if options.with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    proxy = Proxy(options)
    print(f"listening {options.address}:{proxy.listener.getsockname()[1]}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        proxy.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
