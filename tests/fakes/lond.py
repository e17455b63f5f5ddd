"""A test peer: a real process that speaks lond's side, well or as badly as its script says.

    python -m tests.fakes.lond --port 0 --id msul1 --at ekey=rst --on 'put:*=stall@2' --log FILE --control SOCKET

The first output line is `listening ADDRESS:PORT`. Rules come from --at, --on and --script FILE (misdeeds.py)
and are changed at run time through the control socket: one JSON object a line, one JSON object back.

    {"rules": ["at ekey=rst", ...]}   replace all rules; connections that are stalled stay so
    {"stats": true}                   counters: pid, open, accepted, executed, deepest, gated, rules
    {"end": "rst" | "close"}          end every connection
    {"say": "text"}                   send a line nobody asked for on every connection
    {"release": "text"}               send the replies that `gate` holds back for requests with this text in them
    {"only": N, ...}                  these three concern the Nth connection alone
    {"listen": true | false}          take the address again, or give it up (connects are refused)
    {"deaf": true | false}            the kernel drops whatever comes for it, unacknowledged: the cable is cut

The log (--log) gets a line per event, appended before any answer goes out:
`<pid>.<connection> TAB <kind> TAB <monotonic seconds> TAB <text>`; kind `+` accepted, `-` closed (text: why),
`d` a line of the dialogue, `c` a request executed, `e` one that came encrypted (text in clear). What is not
printable ASCII stands as \\xNN; a text is cut at 400 characters.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import heapq
import itertools
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lonc.wire.server import ServerSession
from tests.fakes.commands import Store
from tests.fakes.connection import Connection
from tests.fakes.control import answer_orders
from tests.fakes.cut import set_deaf
from tests.fakes.misdeeds import Script

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
SHOWN_CHARACTERS = 400
BACKLOG = 4096
PR_SET_PDEATHSIG = 1


def shown(line: bytes) -> str:
    """Return a line as one printable ASCII text without tabs, cut at SHOWN_CHARACTERS."""
    text = line[:SHOWN_CHARACTERS].decode("latin-1").encode("unicode_escape").decode("ascii")
    return text if len(line) <= SHOWN_CHARACTERS else f"{text}...({len(line)} bytes)"


class Lond:
    """The server: one selectors loop without threads; timers are a heap of (monotonic time, call)."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.script = Script(rules_of(options))
        self.store = Store()
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.accepted = self.executed = self.deepest = 0
        self.log_fd = -1
        if options.log:
            self.log_fd = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.listener: socket.socket | None = None
        self.port: int = options.port
        self.listen(True)
        if options.control:
            control = socket.socket(socket.AF_UNIX)
            control.bind(options.control)
            control.listen(16)
            self.selector.register(control, READ, lambda _mask: answer_orders(control, self._obey))

    # --- what connections ask for ---------------------------------------------------------------------

    def new_session(self) -> ServerSession:
        """Return lond's side of a new connection."""
        ids = [name.encode() for name in self.options.id]
        return ServerSession(
            ids,
            self.options.client.encode(),
            challenge=os.urandom(8).hex().encode(),
            build_key=os.urandom(12).hex().upper().encode(),
            version=b"test-peer",
        )

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call in so many seconds."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.order), call))

    def record(self, connection: Connection, kind: str, text: bytes) -> None:
        """Append one line to the log; `c` and `e` count as executed."""
        self.executed += kind in "ce"
        if self.log_fd >= 0:
            where = f"{os.getpid()}.{connection.number}"
            os.write(self.log_fd, f"{where}\t{kind}\t{time.monotonic():.6f}\t{shown(text)}\n".encode())

    def watch(self, connection: Connection) -> None:
        """Wait for what this connection can do next."""
        waits_to_write = bool(connection.out) and not connection.pausing
        wanted = (0 if connection.ended else READ) | (WRITE if waits_to_write else 0)
        known = self.selector.get_map().get(connection.sock)
        if known is None:
            if wanted:
                self.selector.register(connection.sock, wanted, self._serve(connection))
        elif not wanted:
            self.selector.unregister(connection.sock)
        elif known.events != wanted:
            self.selector.modify(connection.sock, wanted, known.data)

    def forget(self, connection: Connection, reason: str) -> None:
        """Drop a connection that is about to close its socket."""
        self.connections.discard(connection)
        if connection.sock in self.selector.get_map():
            self.selector.unregister(connection.sock)
        self.record(connection, "-", reason.encode())

    @staticmethod
    def _serve(connection: Connection) -> Callable[[int], None]:
        def serve(mask: int) -> None:
            if mask & WRITE and not connection.closed:
                connection.flush()
                connection.advance()
            if mask & READ and not connection.closed:
                connection.on_readable()

        return serve

    # --- asking our own lonc, for `pong` --------------------------------------------------------------

    def can_ask_back(self) -> bool:
        """Return whether --ask-back names a socket; without one `pong` is answered at once."""
        return bool(self.options.ask_back)

    def ask_back(self, done: Callable[[bytes], None]) -> None:
        """Send `ping` to our own lonc and call done with its answer, `con_lost` when there is none in time."""
        sock = socket.socket(socket.AF_UNIX)
        sock.setblocking(False)
        got = bytearray()

        def finish(answer: bytes) -> None:
            if sock.fileno() >= 0:
                self.selector.unregister(sock)
                sock.close()
                done(answer)

        def read(_mask: int) -> None:
            try:
                data = sock.recv(4096)
            except OSError:
                data = b""
            got.extend(data)
            if not data or b"\n" in got:
                finish(bytes(got).partition(b"\n")[0] or b"con_lost")

        try:
            sock.connect(self.options.ask_back)
            sock.send(b"ping\n")
        except OSError:
            sock.close()
            done(b"con_lost")
            return
        self.selector.register(sock, READ, read)
        self.later(self.options.ask_back_timeout, lambda: finish(b"con_lost"))

    # --- the listener and the control socket ----------------------------------------------------------

    def listen(self, wanted: bool) -> None:
        """Take the address, the same port as before, or give it up."""
        if self.listener is not None and not wanted:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None
        elif self.listener is None and wanted:
            family = socket.AF_INET6 if ":" in self.options.address else socket.AF_INET
            self.listener = socket.socket(family)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.options.address, self.port))
            self.listener.listen(BACKLOG)
            self.listener.setblocking(False)
            self.port = self.listener.getsockname()[1]
            self.selector.register(self.listener, READ, self._accept)

    def _accept(self, _mask: int) -> None:
        while self.listener is not None:
            try:
                sock, _address = self.listener.accept()
            except OSError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.accepted += 1
            connection = Connection(self, sock, self.accepted)
            self.connections.add(connection)
            self.record(connection, "+", b"accepted")
            self.watch(connection)
            connection.begin()

    def _obey(self, order: dict[str, object]) -> dict[str, object]:
        """Carry out one order of the control socket and return its answer."""
        try:
            if "rules" in order:
                rules = order["rules"]
                assert isinstance(rules, list)
                self.script = Script(rules)
            if "listen" in order:
                self.listen(bool(order["listen"]))
            if "deaf" in order:
                for sock in [*([self.listener] if self.listener else []), *(c.sock for c in self.connections)]:
                    set_deaf(sock, bool(order["deaf"]))
            for connection in [one for one in self.connections if order.get("only", one.number) == one.number]:
                if "release" in order:
                    connection.release(str(order["release"]).encode("latin-1"))
                if "say" in order:
                    connection.send(str(order["say"]).encode("latin-1") + b"\n")
                if "end" in order:
                    connection.close(str(order["end"]))
        except (ValueError, OSError, AssertionError) as error:
            return {"error": str(error) or "malformed order"}
        return self.stats() if "stats" in order else {"ok": True}

    def stats(self) -> dict[str, object]:
        """Return the counters, and per rule its text, matching lines and lines acted on."""
        return {
            "pid": os.getpid(),
            "open": len(self.connections),
            "accepted": self.accepted,
            "executed": self.executed,
            "deepest": self.deepest,
            "gated": sum(connection.gated is not None for connection in self.connections),
            "rules": [[rule.text, rule.hits, rule.acted] for rule in self.script.rules],
        }

    # --- the loop -------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT ends the process."""
        while True:
            wait_s = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None
            for key, mask in self.selector.select(wait_s):
                key.data(mask)
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                heapq.heappop(self.timers)[2]()


def rules_of(options: argparse.Namespace) -> list[str]:
    """Return the rules of the command line, those of --script files last."""
    lines = [f"at {rule}" for rule in options.at] + [f"on {rule}" for rule in options.on]
    for name in options.script:
        lines += Path(name).read_text("utf-8").splitlines()
    return lines


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="tests.fakes.lond", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--address", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one")
    parser.add_argument("--id", action="append", help="own id, the first is the default; may be repeated")
    parser.add_argument("--client", default="own1", help="id of the one who connects (own1); part of the key")
    parser.add_argument("--at", action="append", default=[], metavar="STEP=ACTION")
    parser.add_argument("--on", action="append", default=[], metavar="PATTERN=ACTION")
    parser.add_argument("--script", action="append", default=[], metavar="FILE", help="file of rules")
    parser.add_argument("--log", help="file that gets a line per executed request")
    parser.add_argument("--control", help="path of the control socket")
    parser.add_argument("--ask-back", default="", help="UNIX socket asked `ping` for every `pong`")
    parser.add_argument("--ask-back-timeout", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process ends")
    options = parser.parse_args(arguments)
    options.id = options.id or ["msul1"]
    return options


def main() -> int:
    """Run the peer named by the command line; end status 2 when a rule is wrong."""
    options = parse_options(sys.argv[1:])
    if options.with_parent:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        lond = Lond(options)
    except ValueError as error:
        print(f"lond: {error}", file=sys.stderr)
        return 2
    print(f"listening {options.address}:{lond.port}", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        lond.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
