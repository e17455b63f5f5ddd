"""Owns one connection of a test peer: lines in, the rule that meets each of them, replies out.

Lines are taken one at a time, as the real lond does: while one is held up (`sleep`, `late`, a ping asked
back) the later ones wait. The dialogue and the frames are those of lonc.wire.server; what it would send is
only the default, which the rule of misdeeds.py may replace, spoil, delay or swallow.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING

from lonc.wire.lines import LineBuffer, whole
from lonc.wire.server import AskPong, Closed, Request, Send
from tests.fakes.misdeeds import BROKEN_FRAMES, Rule

if TYPE_CHECKING:
    from tests.fakes.lond import Lond

LINE_LIMIT = 48 * 1024 * 1024  # an `enc:` line is a little more than twice as long as its 16 MiB of text
RECV_BYTES = 65536
STEP_WORDS = {b"sethost", b"version", b"pong", b"ekey"}
NOT_EXECUTED = {"rst", "close", "stall", "skip", "answer", "answer-close", "huge", "binary"}
BINARY = bytes(range(256)).replace(b"\n", b"")
OTHER_KEY = b"0123456789ABCDEF0123"


class Connection:
    """One client of the test peer; `number` counts from 1 in this process."""

    def __init__(self, host: Lond, sock: socket.socket, number: int) -> None:
        self.host = host
        self.sock = sock
        self.number = number
        self.session = host.new_session()
        self.lines = LineBuffer(LINE_LIMIT)
        self.backlog: deque[bytes] = deque()
        self.seen = 0  # lines taken; the first is `init`, the second the echo of the challenge
        self.busy = False  # a line is being carried out
        self.mute = False  # nothing is ever answered again
        self.ended = False  # the client has sent its end of file
        self.closed = False
        self.end = ""  # "close" or "rst" as soon as everything is sent
        self.out = bytearray()
        self.kept = b""  # a reply that waits for the next one
        self.line = b""  # the request that was executed last
        self.gated: bytes | None = None  # its reply, which waits for release()
        self.slice = 0  # bytes per write, 0: as many as go
        self.drip_s = 0.0  # pause between two slices
        self.pausing = False
        self.challenge = b""  # as the session made it, and as the client was told it
        self.told = b""

    # --- input ----------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Act on a rule for the step `connect`."""
        self._step("connect")

    def on_readable(self) -> None:
        """Read what has come and take as many lines as may be taken now."""
        try:
            data = self.sock.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"reading: {error.strerror}")
            return
        if not data:
            self.ended = True
            self.host.watch(self)
        self.backlog += [whole(line) if line is not None else b"?" for line in self.lines.feed(data)]
        self.host.deepest = max(self.host.deepest, len(self.backlog))
        self.advance()

    def advance(self) -> None:
        """Take the waiting lines in order, until one is held up."""
        while self.backlog and not (self.busy or self.mute or self.end or self.closed):
            self._take(self.backlog.popleft())
        if self.ended and not self.busy and not self.out and not self.closed:
            self.close("end of file")

    def _take(self, line: bytes) -> None:
        """Let the session see one line and do what it or a rule wants."""
        self.seen += 1
        step = self._name_step(line)
        fed = self.challenge if step == "challenge" and line == self.told else line
        default, request, asked, leave = b"", None, False, False
        for event in self.session.receive(fed + b"\n"):
            if isinstance(event, Send):
                default += event.data
            elif isinstance(event, Request):
                request = event
            elif isinstance(event, AskPong):
                asked = True
            elif isinstance(event, Closed):
                leave = True
        script, text = self.host.script, request.line if request else line
        rule = script.at(step, self.number) if step else script.on(text, self.number)
        if step == "init" and default:
            self.challenge = self.told = default.rstrip(b"\n")
        if rule is not None and rule.action in NOT_EXECUTED:
            self._refuse(rule, step)
        elif request is not None:
            self._execute(request, rule)
        else:
            self.host.record(self, "d", line)
            if asked:
                self._ask_back(rule)
            else:
                self._deliver(rule, default)
            if leave:
                self.finish("close")
        if step == "ekey":
            self._step("ready")

    def _name_step(self, line: bytes) -> str:
        if self.seen <= 2:
            return ("init", "challenge")[self.seen - 1]
        word = line.partition(b":")[0]
        return word.decode() if word in STEP_WORDS else ""

    def _step(self, name: str) -> None:
        """Act on a rule for a step that is no line: `connect` or `ready`."""
        rule = self.host.script.at(name, self.number)
        if rule is None:
            return
        match rule.action:
            case "say":
                self.send(rule.argument + b"\n")
            case "slice" | "drip":
                self._deliver(rule, b"")
            case _:
                self._refuse(rule, name)

    # --- carrying out ---------------------------------------------------------------------------------

    def _execute(self, request: Request, rule: Rule | None) -> None:
        self.line = request.line
        self.host.record(self, "e" if request.encrypted else "c", request.line)
        outcome = self.host.store.execute(request.line, self.session.host_id, request.encrypted)
        if outcome.wait_s:
            self.busy = True
            reply = self.session.answer(outcome.reply, outcome.sealed)
            self.host.later(outcome.wait_s, lambda: self._resume(rule, reply))
        else:
            self._deliver(rule, self.session.answer(outcome.reply, outcome.sealed))

    def _ask_back(self, rule: Rule | None) -> None:
        """Answer `pong`: with the ping of our own lonc where there is one, else as if it had worked."""
        if self.host.can_ask_back():
            self.busy = True
            self.host.ask_back(lambda answer: self._resume(rule, self.session.answer_pong(answer)))
        else:
            self._deliver(rule, self.session.answer_pong(self.session.client_id))

    def _resume(self, rule: Rule | None, reply: bytes) -> None:
        """Go on with a line that was held up; nothing when the connection is gone."""
        if self.closed:
            return
        self.busy = False
        self._deliver(rule, reply)
        self.advance()

    def _refuse(self, rule: Rule, step: str) -> None:
        """Do one of the actions that leave a line unexecuted."""
        answer = rule.argument
        match rule.action:
            case "huge":
                answer = b"h" * rule.number(0)
            case "binary":
                answer = BINARY
        match rule.action:
            case "rst" | "close":
                self.finish(rule.action)
            case "stall":
                self.mute = True
            case "skip":
                pass
            case _:
                if step == "init":
                    self.told = answer
                self.send(answer + b"\n")
                if rule.action == "answer-close":
                    self.finish("close")

    # --- output ---------------------------------------------------------------------------------------

    def _deliver(self, rule: Rule | None, reply: bytes) -> None:
        """Send a reply (with its newline) as the rule says."""
        if rule is None:
            self.send(reply)
            return
        size = rule.number(len(reply) // 2) if rule.action.startswith("half") else 0
        match rule.action:
            case "done-rst" | "done-close":
                self.finish(rule.action.removeprefix("done-"))
            case "done-stall":
                self.mute = True
            case "done-skip":
                pass
            case "last" | "last-rst":
                self.send(reply)
                self.finish("rst" if rule.action == "last-rst" else "close")
            case "half" | "half-rst" | "half-close":
                self.send(reply[:size])
                self.mute = rule.action == "half"
                if not self.mute:
                    self.finish(rule.action.removeprefix("half-"))
            case "late":
                self.busy = True
                self.host.later(rule.number(0) / 1000, lambda: self._late(reply))
            case "gate":
                self.busy = True
                self.gated = reply
            case "again":
                self.send(reply)
                self.host.later(rule.number(0) / 1000, lambda: self.send(reply))
            case "hold":
                self.kept += reply
            case _:
                self._deliver_changed(rule, reply)

    def _deliver_changed(self, rule: Rule, reply: bytes) -> None:
        argument = rule.argument + b"\n"
        match rule.action:
            case "drip":
                self.slice, self.drip_s = 1, rule.number(0) / 1000
            case "slice":
                self.slice = max(1, rule.number(1))
            case "twice":
                reply += reply
            case "glue":
                reply = reply[:-1]
            case "empty":
                reply = b"\n"
            case "extra":
                reply += argument
            case "before":
                reply = argument + reply
            case "reply":
                reply = argument
            case "enc":
                reply = BROKEN_FRAMES[rule.argument.decode()] + b"\n"
            case "wrong-key":
                reply = OTHER_KEY + b"\n"
            case _:
                raise AssertionError(f"no such action here: {rule.text}")
        self.send(reply)

    def release(self, text: bytes) -> None:
        """Send the reply that a `gate` holds back, if its request holds this text, and go on."""
        if self.gated is not None and text in self.line:
            reply, self.gated = self.gated, None
            self._late(reply)

    def _late(self, reply: bytes) -> None:
        if self.closed:
            return
        self.busy = False
        self.send(reply)
        self.advance()

    def send(self, data: bytes) -> None:
        """Queue bytes behind those that wait, and send what the kernel takes."""
        if self.closed or self.mute or not data:
            return
        self.out += self.kept + data
        self.kept = b""
        self.flush()

    def flush(self) -> None:
        """Send what may be sent now: one slice in slow motion, else everything."""
        while self.out and not self.closed and not self.pausing:
            chunk = self.out[: self.slice] if self.slice else self.out
            try:
                sent = self.sock.send(chunk)
            except BlockingIOError:
                break
            except OSError as error:
                self.close(f"writing: {error.strerror}")
                return
            del self.out[:sent]
            if self.slice and self.out:
                # one slice a turn: the next goes out when the other side has had its chance to read
                self.pausing = True
                self.host.later(self.drip_s, self._go_on)
        if not self.out and self.end:
            self.close(self.end)
        elif not self.closed:
            self.host.watch(self)

    def _go_on(self) -> None:
        self.pausing = False
        if not self.closed:
            self.flush()
            self.advance()

    def finish(self, how: str) -> None:
        """Close ("close" or "rst") as soon as everything is sent; no further line is taken."""
        self.end = how
        if not self.out:
            self.close(how)

    def close(self, reason: str) -> None:
        """Close at once; the reason `rst` resets the connection. Closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        if reason == "rst":
            with contextlib.suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.host.forget(self, reason)
        self.sock.close()
