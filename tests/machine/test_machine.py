"""Everything that can happen to one child in any order, against a simple model: no reply to the wrong client, no
message lost, early, out of order or twice without a reason.

LONC_TEST_MACHINE_EXAMPLES: how many runs (200, always the same); with it they are random ones, of
LONC_TEST_MACHINE_STEPS steps (50). A failure prints its steps and what reproduces it; LONC_TEST_MACHINE_SHRINK=1
has fewer steps looked for, for five minutes at most.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from lonc.wire.lines import whole
from tests.fuzz.harness import empty, scratch
from tests.machine.lond import LIMIT, Lond
from tests.machine.model import Conversation, Messages, Stored
from tests.machine.process import Caller, Process, Wire
from tests.proof.tally import Tally
from tests.unit.delayed_ground import FakeClock

EXAMPLES = int(os.environ.get("LONC_TEST_MACHINE_EXAMPLES", "0"))
STEPS = int(os.environ.get("LONC_TEST_MACHINE_STEPS", "50"))
SHRINK = bool(os.environ.get("LONC_TEST_MACHINE_SHRINK"))
COUNTED = Tally()  # hypothesis makes the machines itself

small = st.integers(0, 4)
pieces = st.sampled_from([1, 3, 7, 12, *[1 << 16] * 8])
which = st.integers(0, 7)
PARTS = (b"q", b"half a li", b"\n", b"encrypt:", b"\0\xff\r", b"x" * (LIMIT + 9))
JUNK = (b"junk\n", b"ju", b"\n", b"a\nb\n", b"enc:1:00\n")


class Machine(RuleBasedStateMachine):
    """A child, its clients, its directory, and the lond of its peer."""

    def __init__(self) -> None:
        super().__init__()
        self.root = scratch("machine") if not _roots else _roots[0]
        _roots[:] = [self.root]
        empty(self.root)
        self.place = self.root / "delayed"
        self.place.mkdir(0o700)
        self.clock = FakeClock()
        self.lond = Lond()
        self.messages = Messages(self.place, self.lond)
        self.talks: list[Conversation] = []
        self.tokens = 0
        self.before: list[Conversation] = []  # with processes that were killed
        self.process = self._start()

    def _start(self) -> Process:
        return Process(str(self.place), str(self.root), self.clock, self._unanswered)

    def _unanswered(self, name: str) -> None:
        for one in self.messages.stored:
            one.unanswered += one.name == name

    def _token(self, word: str, pad: int = 0) -> bytes:
        self.tokens += 1
        return f"{word}:{self.tokens}".encode() + b"x" * pad

    @initialize(ready=st.sampled_from([True, True, True, False]))
    def begin(self, ready: bool) -> None:
        """Most runs begin with a link."""
        if ready:
            self._open_link(0, through=True)

    # --- what can happen: few rules with many ways, so that no run is without most of them --------------------

    @rule(
        way=st.sampled_from(["asks"] * 16 + ["part"] * 4 + ["reads"] * 3 + ["leaves", "vanishes"]), who=which,
        count=st.integers(1, 4), pad=st.sampled_from([0] * 16 + [5, 5, 5, LIMIT]), text=st.sampled_from(PARTS),
            size=pieces,
        room=st.sampled_from([0, 7, 1 << 20, 1 << 20]), encrypted=st.booleans(),
    )  # fmt: skip
    def a_client(
        self, way: str, who: int, count: int, pad: int, text: bytes, size: int, room: int, encrypted: bool
    ) -> None:
        """One of the clients does something; another one comes when there are too few."""
        if sum(not talk.caller.ended and not talk.caller.finishing for talk in self.talks) < 1 + who % 3:
            self._client_connects()
            who = len(self.talks) - 1
        if way == "asks":
            self._client_asks(who, count, pad, encrypted)
        elif way == "part":
            self._client_writes_a_part(who, text, size)
        elif way == "reads":
            self._client_reads(who, room)
        else:
            self._client_leaves(who, way == "vanishes")

    @rule(number=small, lines=st.sampled_from([1, 1, 2, 3, 9]), count=pieces)
    def lond_works(self, number: int, lines: int, count: int) -> None:
        """lond carries out some lines, and some bytes of its replies arrive."""
        self._lond_works(number, lines, count)
        self._lond_works(number + 1, lines if number > 2 else 0, count)

    @rule(
        way=st.sampled_from(["open"] * 16 + ["half", "half", "cut", "cut", "cut", "junk", "junk"] + ["slow"] * 5),
            number=small, flag=st.booleans(),
        text=st.sampled_from(JUNK), room=st.sampled_from([0, 9, 1 << 20, 1 << 20]),
    )  # fmt: skip
    def a_link(self, way: str, number: int, flag: bool, text: bytes, room: int) -> None:
        """Something happens to one of the two links."""
        if way in ("open", "half"):
            self._open_link(number, way == "open")
        elif way == "cut":
            self._link_is_cut(number, flag)
        elif way == "junk":
            self._lond_sends_junk(number, text)
        else:
            self._lond_is_slow(number, room)

    @rule(seconds=st.sampled_from([0.1, 1.0, 2.1, 5.0, 6.5, 6.5, 8.0, 11.0, 31.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        """The clock goes on; the child wakes up when it wants to."""
        self._pass(seconds)

    @rule(
        way=st.sampled_from(["m"] * 20 + ["r", "r", "e", "removed", "replaced", "replaced", "cut"]),
            count=st.integers(1, 3),
            number=which
    )
    def a_message(self, way: str, count: int, number: int) -> None:
        """Messages are stored, or one that waits or is on its way is changed by somebody."""
        if len(way) == 1 and not (self.process.sending and number % 3 == 0):
            self._message_is_stored(way, count)
        elif len(way) == 1:
            self._message_is_changed(1, "replaced")  # the one on its way
        elif self.messages.waiting():
            self._message_is_changed(number, way)

    @rule(count=st.integers(1, 3), seconds=st.sampled_from([0.1, 3.0, 6.9]), who=which)
    def messages_and_clients(self, count: int, seconds: float, who: int) -> None:
        """Messages grow old, are found, and clients ask while these are on their way."""
        self._pass(seconds)
        self._message_is_stored("m", count)
        self._pass(7.5)
        if not self.talks:
            self._client_connects()
        self._client_asks(who, 1, 0, False)

    @rule(seldom=st.sampled_from([*range(1, 12), 0]), reads_rest=st.booleans())
    def the_process(self, seldom: int, reads_rest: bool) -> None:
        """It is killed, and started again."""
        if seldom == 0:
            self._process_is_killed(reads_rest)

    # --- clients ------------------------------------------------------------------------------------------

    def _client_connects(self) -> None:
        """Another client comes."""
        self.talks.append(Conversation(Caller(self.process)))

    def _client_asks(self, who: int, count: int, pad: int, encrypted: bool) -> None:
        """A client writes some whole lines."""
        talk = self.talks[who % len(self.talks)]
        if not talk.caller.ended:
            for _ in range(count):
                talk.caller.written += b"encrypt:" * encrypted + self._token("q", pad) + b"\n"
            self._read(talk, 1 << 16)

    def _client_writes_a_part(self, who: int, text: bytes, count: int) -> None:
        """A client writes a part of a line; of all that it has written a part is read."""
        talk = self.talks[who % len(self.talks)]
        if not talk.caller.ended:
            talk.caller.written += text
        self._read(talk, count)

    def _read(self, talk: Conversation, count: int) -> None:
        before = talk.caller.written
        talk.caller.read(count)
        talk.read(before[: len(before) - len(talk.caller.written)], self.clock.mono)
        COUNTED.add(inputs=1)
        self._turn()

    def _client_leaves(self, who: int, vanishes: bool) -> None:
        """A client writes no more; one that has vanished reads no more either."""
        caller = self.talks[who % len(self.talks)].caller
        caller.ended, caller.vanished = True, caller.vanished or vanishes

    def _client_reads(self, who: int, room: int) -> None:
        """A client's kernel takes so much from now on."""
        caller = self.talks[who % len(self.talks)].caller
        caller.room = room
        if not caller.gone and caller.box:
            caller.attend()
        self._turn()

    # --- the link -----------------------------------------------------------------------------------------

    def _open_link(self, number: int, through: bool) -> None:
        """A link is dialed, one at a time; through: its dialogue goes well at once."""
        wires = self.process.wires
        wire = next((one for one in wires if one.session and not one.ready), wires[number % 2])
        if wire.session is None:
            wire.dial(self.lond)
            self._turn()
        for _ in range(8 if through and not wire.ready else 0):
            self._work(wire, 1, 1 << 16)

    def _lond_works(self, number: int, lines: int, count: int) -> None:
        """lond carries out some lines, and some bytes of its replies arrive."""
        self._work(self.process.wires[number % 2], lines, count)

    def _work(self, wire: Wire, lines: int, count: int) -> None:
        if wire.session is not None:
            wire.session.work(lines, self.clock.mono)
            session, begun = wire.session, wire.session.outbox[:count]
            whole = [command for command, _ in session.owed[: begun.count(b"\n")]]
            for command in whole:
                self.messages.answered(command)
            wire.read(count)
            self._turn()

    def _lond_is_slow(self, number: int, room: int) -> None:
        """The kernel takes only so much that lond has not read."""
        self.process.wires[number % 2].room = room
        self._turn()

    def _link_is_cut(self, number: int, reads_rest: bool) -> None:
        """The connection is gone; lond may have read what was on its way, or not."""
        wire = self.process.wires[number % 2]
        if wire.session is not None:
            if reads_rest:
                wire.session.work(100, self.clock.mono)
            COUNTED.add(faults=1)
            wire.fail("eof")
            self._turn()

    def _lond_sends_junk(self, number: int, text: bytes) -> None:
        """lond says what nobody asked for: the link ends."""
        wire = self.process.wires[number % 2]
        if wire.session is not None and wire.ready and not wire.lane.answerable:
            COUNTED.add(faults=1)
            wire.hear(text)
            self._turn()
            assert wire.session is None, "a reply that nobody asked for was taken"

    # --- time, messages, the process ----------------------------------------------------------------------

    def _pass(self, seconds: float) -> None:
        until = self.clock.mono + seconds
        for _ in range(2000):
            due = self.process.next_due()
            if due >= until:
                break
            self.clock.advance(max(due - self.clock.mono, 0.0))
            self._turn()
        else:
            raise AssertionError("the child wakes up without end")
        self.clock.advance(until - self.clock.mono)
        self._turn()

    def _message_is_stored(self, word: str, count: int) -> None:
        """A writer stores messages, as lonnet does."""
        for _ in range(count):
            line = self._token(word)
            name = f"{int(self.clock.wall())}.{self.tokens}.77.put.p1"
            self._lay(name, line + b"\n")
            self.messages.stored.append(Stored(line, name, self.clock.mono))

    def _lay(self, name: str, content: bytes) -> None:
        fresh = self.place / f".{name}"
        fresh.write_bytes(content)
        os.utime(fresh, (self.clock.wall(), self.clock.wall()))
        fresh.rename(self.place / name)

    def _message_is_changed(self, number: int, how: str) -> None:
        """Somebody removes, replaces or cuts a message that waits, or is on its way."""
        waiting = self.messages.waiting()
        on_its_way = [one for one in waiting if any(one.name == name for name in self.process.on_their_way())]
        one = on_its_way[0] if on_its_way and number % 2 else waiting[number % len(waiting)]
        one.spared = True
        path = self.place / one.name
        if how == "removed":
            path.unlink()
        elif how == "replaced":
            line = self._token("m")
            self._lay(one.name, line + b"\n")
            # It keeps its place by its name, which says that it is old as well; what it may be sent before and
            # after is not compared.
            self.messages.stored.insert(0, Stored(line, one.name, self.clock.mono - 5.0, unanswered=3))
        else:
            os.truncate(path, 1)
            os.utime(path, (self.clock.wall(), self.clock.wall()))

    def _process_is_killed(self, reads_rest: bool) -> None:
        """kill -9, and a new start: of what was on its way at most one message may be sent twice (P3)."""
        old, self.before = self.process, self.talks
        open_now = [wire.session for wire in old.wires if wire.session is not None]
        old.kill()
        for session in open_now:
            if reads_rest:
                session.work(100, self.clock.mono)
        numbers = {session.number for session in open_now}
        done = {deed.line for deed in self.lond.deeds if deed.connection in numbers}
        again = [one for one in self.messages.waiting() if one.line in done and not one.line.startswith(b"e:")]
        assert len(again) <= 1, f"{again} would all be sent twice"
        self.talks = []
        self.process = self._start()
        COUNTED.add(faults=1)
        self._turn()

    def _turn(self) -> None:
        self.process.turn()
        self.process.turn()  # what the first has found is begun in the next
        if self.process.sending:
            for wire in self.process.wires:
                callers = {entry[0] for entry in wire.lane.in_flight}
                assert callers <= {self.process.relay.delayed_client}, "a client's request beside delayed messages"
        on_their_way = [
            entry for wire in self.process.wires for entry in wire.lane.in_flight
            if entry[0] is self.process.relay.delayed_client
        ]  # fmt: skip
        assert len(on_their_way) <= 1, "more than one delayed message on its way"
        for entry in on_their_way:
            self.messages.check_age(whole(entry[3]), self.clock.mono)

    # --- what must hold -----------------------------------------------------------------------------------

    @invariant()
    def clients_hear_what_is_theirs(self) -> None:
        """Own answers only, in order, in time."""
        for talk in self.talks:
            talk.check(self.process)
            talk.check_age(self.clock.mono)
            talk.check_deeds(self.lond)

    @invariant()
    def messages_are_kept(self) -> None:
        """Nothing is lost, deleted early, or sent out of order."""
        self.messages.check()

    def teardown(self) -> None:
        """Let all be well for long enough: everything is answered and sent."""
        for talk in self.talks:
            talk.caller.room = 1 << 20
        for wire in self.process.wires:
            wire.room = 1 << 20
        # A message that has an empty reply ends three links before it is passed over.
        unanswerable = sum(one.line.startswith(b"e:") for one in self.messages.waiting())
        for _ in range(12 + 4 * unanswerable):
            self._settle()
            self._pass(13.0)
        self.clients_hear_what_is_theirs()
        self.messages_are_kept()
        for talk in self.talks:
            caller = talk.caller
            if not caller.vanished and not caller.written:
                assert caller.heard.count(b"\n") == len(talk.asked), f"{talk.asked} and {caller.heard!r}"
        left = [one for one in self.messages.waiting() if not one.line.startswith(b"e:")]
        assert not left, f"{left} are never sent"
        self.process.kill()

    def _settle(self) -> None:
        """Have a link that works until there is nothing more to do."""
        for _ in range(60):
            for talk in self.talks:
                if talk.caller.written or talk.caller.ended:
                    self._read(talk, 1 << 16)
                if not talk.caller.gone:
                    talk.caller.attend()
            self._open_link(0, through=True)
            for wire in self.process.wires:
                self._work(wire, 20, 1 << 16)
            if not any(wire.lane.in_flight or wire.lane.box for wire in self.process.wires):
                break


_roots: list[Path] = []


@pytest.mark.timeout(3600)
def test_whatever_happens_in_whatever_order(tally: Tally) -> None:
    COUNTED.inputs = COUNTED.faults = 0
    wanted = settings(
        max_examples=EXAMPLES or 200, stateful_step_count=STEPS, derandomize=not EXAMPLES, database=None,
        deadline=None, phases=[Phase.generate, *([Phase.shrink] if SHRINK else [])], print_blob=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(Machine, settings=wanted)
    tally.add(inputs=COUNTED.inputs, faults=COUNTED.faults)
