"""One link of a child: dialing, the socket under `wire.link`, and the one door out of it.

A dial is: resolve the name if there is one, then try its addresses in turn. What came of it, and of the
dialogue, reaches the owner by three calls: `ready`, `lost` and `farewell`. The socket is non-blocking from
its first moment; nothing here waits.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Protocol

from lonc.child.resolver import Address, Resolver, numeric
from lonc.child.tcp import LinkSocketWatch
from lonc.config import Config, Host, via_of
from lonc.loop import READ, WRITE, Loop
from lonc.relay import Relay
from lonc.wire.lines import Line
from lonc.wire.link import Farewell, Link, LinkEvent, LinkState, Lost, Moved, Note, Ready
from lonc.wire.outbox import Outbox

READ_BYTES = 64 * 1024  # above 128 KiB the allocator would map and unmap memory for each read
READS_PER_TURN = 16  # a MiB; then clients and other links have their turn
OUT_OF_STEP = "out_of_step"  # more replies than requests
SOCKET_ERROR = "socket_error"
ANY_ADDRESS = "*"  # of loncSourceAddress: the kernel chooses
NO_CONNECTION = "no_connection"  # nothing was said yet
UNRESOLVED = "unresolved"


class Owner(Protocol):
    """What the owner of a link is told."""

    def link_deadline(self) -> None:
        """The deadline of the link has changed."""

    def link_moved(self, uplink: Uplink, old: LinkState, new: LinkState) -> None:
        """The state of the link has changed."""

    def link_note(self, uplink: Uplink, note: Note) -> None:
        """Log what the dialogue has to tell."""

    def link_ready(self, uplink: Uplink, version: str) -> None:
        """The link is READY; nothing has been sent on it."""

    def link_lost(self, uplink: Uplink, reason: str, detail: str, was_ready: bool) -> None:
        """The link, or the dial, is over; the relay has been told."""

    def link_farewell(self, uplink: Uplink, answer: str) -> None:
        """The link was closed in order; lond said `answer`, perhaps nothing."""


class Uplink:
    """One link to the peer.

    lane: its part of the relay. address: numeric, the one in use or tried last; '' before the first; that of
    loncVia where the peer stands there.
    deadline: when tick() is due, None while no time limit runs.
    """

    def __init__(
        self, owner: Owner, config: Config, host: Host, version: bytes, *, loop: Loop, relay: Relay,
        resolver: Resolver,
    ) -> None:  # fmt: skip
        self.lane = relay.add_lane()
        self.address = ""
        self.deadline: float | None = None
        self.opened = 0  # links that became READY
        self.bytes_in = 0
        self.bytes_out = 0
        self.link = Link(
            config.host_id.encode(), host.id.encode(), version,
            init_timeout_s=config.init_timeout_s, connect_timeout_s=config.connect_timeout_s,
            pong=config.pong, pong_delay_s=config.pong_delay_s, reply_limit=config.client_buffer_bytes,
        )  # fmt: skip
        self._owner = owner
        self._config = config
        self._host = host
        self._via = via_of(config, host.id)
        self._loop = loop
        self._relay = relay
        self._resolver = resolver
        self._sock: socket.socket | None = None
        self._tcp: LinkSocketWatch | None = None
        self._watching = 0
        self._talk = Outbox()  # the dialogue's own bytes
        self._addresses: list[Address] = []  # of this dial, not tried yet
        self._good: list[Address] = []  # of the last look-up that brought any
        self._resolving = False
        self._was_ready = False  # the link that is being lost had been READY

    @property
    def state(self) -> LinkState:
        """Return the state of the link; CONNECTING also while its name is looked up."""
        return LinkState.CONNECTING if self._resolving else self.link.state

    @property
    def step(self) -> str:
        """Return the status word of this moment (files.md 5)."""
        return "Resolving" if self._resolving else self.link.step

    # --- dialing --------------------------------------------------------------------------------------

    def dial(self) -> None:
        """Begin a dial; its end is told by link_ready or link_lost. Only while the link is DOWN."""
        address = self._via.address if self._via else self._host.address
        given = numeric(address) if address else None
        if given is not None:
            self._try_all([given])
            return
        self._resolving = True
        self._set_deadline(self._loop.now + self._config.connect_timeout_s)
        try:
            asked = self._resolver.ask(self._host.name, self._resolved)
        except OSError as error:
            self._dial_known(error.strerror or "no look-up is possible")
            return
        if not asked and self._good:  # nobody waits for one that hangs while there is an address to try
            self._dial_known("")

    def _resolved(self, result: list[Address] | str) -> None:
        """Take what a look-up has brought; when its dial is over, it serves the next one."""
        if not isinstance(result, str):
            self._good = result
        if self._resolving:
            self._dial_known(result if isinstance(result, str) else "")

    def _dial_known(self, problem: str) -> None:
        """Try the addresses last known; without any this dial has failed because of `problem`."""
        self._resolving = False
        self._set_deadline(None)
        if self._good:
            self._try_all(list(self._good))
        else:
            self._owner.link_lost(self, UNRESOLVED, f"{self._host.name} does not resolve: {problem}", False)

    def _try_all(self, addresses: list[Address]) -> None:
        self._addresses = addresses
        self._try_next()

    def _try_next(self) -> None:
        family, self.address = self._addresses.pop(0)
        self._handle(self.link.dial(self._loop.now))
        try:
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._fail(NO_CONNECTION, os.strerror(error.errno or 0))
            return
        self._sock = sock
        self._tcp = LinkSocketWatch(sock, self._config.keepalive_s)
        code = self._connect(sock)
        if code in (0, errno.EINPROGRESS):
            self._watch(WRITE)
        else:
            self._fail(NO_CONNECTION, os.strerror(code))

    def _connect(self, sock: socket.socket) -> int:
        """Begin to connect, from loncSourceAddress where that is of the same family; return the errno, or 0."""
        if self._via is not None:  # the peer does not see where a tunnel is entered from
            return sock.connect_ex((self.address, self._via.port))
        source = self._config.source_address
        if source != ANY_ADDRESS and (":" in source) == (":" in self.address):
            try:
                sock.bind((source.strip("[]"), 0))
            except OSError as error:
                return error.errno or errno.EADDRNOTAVAIL
        return sock.connect_ex((self.address, self._config.port))

    def _connected(self, sock: socket.socket) -> None:
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(NO_CONNECTION, os.strerror(code))
        else:
            self._handle(self.link.connected(self._loop.now))

    # --- the socket -----------------------------------------------------------------------------------

    def _on_socket(self, mask: int) -> None:
        sock = self._sock
        assert sock is not None
        if self.link.state is LinkState.CONNECTING:
            self._connected(sock)
        elif mask & READ:
            self._read(sock)
        # Writing is done for all at the end of the turn: push().

    def _read(self, sock: socket.socket) -> None:
        """Read once, and on while reads come back full: a long reply need not take a turn for each piece."""
        for _ in range(READS_PER_TURN):
            try:
                data = sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(SOCKET_ERROR, os.strerror(error.errno or 0))
                return
            self.bytes_in += len(data)
            if self.link.state is not LinkState.READY:
                self._handle(self.link.receive(data, self._loop.now))
            elif not data:
                self._fail("eof", "the peer closed the link")
            else:
                self._take_replies(self.link.replies(data))
            if len(data) < READ_BYTES or self._sock is not sock:
                return

    def _take_replies(self, lines: list[Line | None]) -> None:
        """Hand replies on, unless there are more than requests that have wholly left: P8, nobody's reply is
        ever given to somebody who asked after it. The beginning of one that nobody can wait for counts too.
        """
        lane = self.lane
        if len(lines) > lane.answerable or (lines and not self._relay.replies(lane, lines, self._loop.now)):
            self._fail(OUT_OF_STEP, "a reply that nobody asked for")
        elif self.link.reply_buffer.partial and not lane.answerable:
            self._fail(OUT_OF_STEP, "part of a reply that nobody asked for")

    def push(self) -> None:
        """Give the kernel what is due: the dialogue's bytes, then requests. Called once per turn when due."""
        if self._sock is None or self.link.state is LinkState.CONNECTING:
            return
        due = self.link.outgoing()
        if due:
            self._talk.fresh.append(due)
        talking = bool(self._talk)
        box = self._talk if talking else self.lane.box
        if box and not self._send(self._sock, box):
            return
        if talking and not box:
            self.link.sent(self._loop.now)
            self._set_deadline(self.link.next_deadline())
        self._watch(READ | WRITE if box else READ)

    def _send(self, sock: socket.socket, box: Outbox) -> bool:
        """Send what the kernel takes of a box; return False when that ended the link."""
        try:
            if box.fresh and not box.held:
                data = box.first()
                sent = sock.send(data)
                self.bytes_out += sent
                if sent == len(data):
                    box.fresh.clear()
                else:
                    box.took(sent)
            else:
                self._send_backlog(sock, box)
        except BlockingIOError:
            box.took(0)
        except OSError as error:
            self._fail(SOCKET_ERROR, os.strerror(error.errno or 0))
            return False
        return True

    def _send_backlog(self, sock: socket.socket, box: Outbox) -> None:
        while chunks := box.batch():
            sent = sock.sendmsg(chunks)
            box.took(sent)
            self.bytes_out += sent
            if sent < sum(map(len, chunks)):
                return
        self._relay.pump(self._loop.now)  # what waited for room may come; it goes in the next turn's send

    def _watch(self, events: int) -> None:
        if events != self._watching:
            assert self._sock is not None
            self._loop.watch(self._sock, self._on_socket, events)
            self._watching = events

    # --- time and the end -----------------------------------------------------------------------------

    def tick(self) -> None:
        """A time limit of connecting or of the dialogue has passed."""
        if self._resolving:
            self._dial_known(f"no answer within {self._config.connect_timeout_s:g} s")
        else:
            self._handle(self.link.tick(self._loop.now))

    def look_after_peer(self) -> None:
        """End the link if its peer takes nothing and answers no probe either (child/tcp.py)."""
        if self._tcp is not None and not self._tcp.peer_lives():
            self._fail(SOCKET_ERROR, "the peer takes nothing and answers no probes")

    def farewell(self) -> None:
        """Say `exit` on a READY link with nothing in flight; link_farewell will follow."""
        self._relay.link_lost(self.lane, self._loop.now)
        self._handle(self.link.close(self._loop.now))

    def close(self, reason: str, detail: str) -> None:
        """End the link or the dial at once, for `reason` (a fixed word). No error when it is DOWN.

        A dial that is still at its look-up ends without a word; else link_lost, or link_farewell, is told.
        """
        self._addresses = []  # or the end of this one would be the beginning of the next
        if self._resolving:
            self._resolving = False
            self._set_deadline(None)
        self._fail(reason, detail)

    def _fail(self, reason: str, detail: str) -> None:
        """The one door out: end what is on this socket; a dial goes on to its next address."""
        if self.link.state is LinkState.DOWN:
            return
        # First the relay: it may need the key of this link to take back what was not sent.
        if self.link.state is LinkState.READY:
            self._was_ready = True
            self._relay.link_lost(self.lane, self._loop.now)
        self._handle(self.link.lost(reason, detail, self._loop.now))

    def _drop_socket(self) -> None:
        if self._sock is not None:
            self._loop.unwatch(self._sock)
            self._sock.close()
            self._sock = self._tcp = None
        self._watching = 0
        self._talk.clear()

    def _set_deadline(self, deadline: float | None) -> None:
        if deadline != self.deadline:
            self.deadline = deadline
            self._owner.link_deadline()

    def _handle(self, events: list[LinkEvent]) -> None:
        """Carry out what the link says has happened, in order."""
        self._set_deadline(self.link.next_deadline())
        for event in events:
            match event:
                case Note():
                    self._owner.link_note(self, event)
                case Ready():
                    self.opened += 1
                    self._addresses = []
                    frames = self.link.frames
                    self._relay.link_ready(self.lane, frames.encode, frames.decode, self._loop.now)
                    self._owner.link_ready(self, event.peer_version)
                case Lost():
                    self._drop_socket()
                    self._lost(event)
                case Farewell():
                    self._drop_socket()
                    self._owner.link_farewell(self, event.answer)
                case Moved():
                    self._owner.link_moved(self, event.old, event.new)

    def _lost(self, event: Lost) -> None:
        """Try the next address, or tell the owner that this dial is over."""
        was_ready, self._was_ready = self._was_ready, False
        if self._addresses and not was_ready:
            self._try_next()
        else:
            self._addresses = []
            self._owner.link_lost(self, event.reason, event.detail, was_ready)
