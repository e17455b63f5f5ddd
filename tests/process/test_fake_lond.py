"""The test peer itself: the dialogue by hand, and every misbehaviour seen from the other end of a socket."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.wire.cipher import FrameCipher, session_key
from tests.fakes.misdeeds import ACTIONS, BROKEN_FRAMES, STEPS, Script, parse_rule
from tests.process.client import Client
from tests.process.peer import Peer, free_port, next_address
from tests.process.waiting import wait_until

PATIENCE_S = 5.0
SILENCE_S = 0.15  # what is not there after so long is taken for absent


class Caller:
    """lonc's side by hand: one TCP connection, line by line."""

    def __init__(self, peer: Peer) -> None:
        self.socket = socket.create_connection((peer.address, peer.port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, *lines: bytes) -> None:
        self.socket.sendall(b"".join(line + b"\n" for line in lines))

    def line(self) -> bytes:
        """Return the next line; raises EOFError at the end, ConnectionResetError on a reset."""
        while b"\n" not in self.rest:
            data = self.socket.recv(65536)
            if not data:
                raise EOFError(self.rest)
            self.rest += data
        found, _, self.rest = self.rest.partition(b"\n")
        return found

    def ask(self, line: bytes) -> bytes:
        self.send(line)
        return self.line()

    def greet(self) -> FrameCipher:
        """Hold the whole dialogue and return the cipher of this connection."""
        assert self.ask(self.ask(b"init")) == b"ok"
        assert self.ask(b"sethost:msul1") == b"ok"
        assert self.ask(b"version:by-hand") == b"version:test-peer"
        assert self.ask(b"pong") == b"msul1:own1"
        return FrameCipher(session_key(b"msul1", b"own1", self.ask(b"ekey")))

    def silent(self) -> bool:
        """Return whether nothing comes for SILENCE_S."""
        self.socket.settimeout(SILENCE_S)
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(PATIENCE_S)
        self.rest += data
        return False

    def ended(self) -> str:
        """Return `rst` or `close` when the connection has ended without another byte, else what came."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return "rst"
        return repr(data) if data else "close"


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a short temporary directory: UNIX socket paths have a limit."""
    with tempfile.TemporaryDirectory(prefix="lonc-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def peer(place: Path) -> Iterator[Peer]:
    made = Peer(place, ["msul1", "msul2"], "own1", next_address(), free_port()).start()
    yield made
    made.kill()


@contextlib.contextmanager
def calling(peer: Peer, *rules: str) -> Iterator[Caller]:
    if rules:
        peer.script(*rules)
    caller = Caller(peer)
    with contextlib.closing(caller.socket):
        yield caller


def test_dialogue_and_requests(peer: Peer) -> None:
    with calling(peer) as caller:
        cipher = caller.greet()
        assert caller.ask(b"ping") == b"msul1"
        assert caller.ask(b"echo:a:b\x00\xff") == b"a:b\x00\xff"
        assert caller.ask(b"size:70000") == b"x" * 70000
        assert caller.ask(cipher.encode(b"echo:secret")) == b"secret"
        assert cipher.decode(caller.ask(b"eecho:sealed")) == b"sealed"
        assert caller.ask(b"put:msu:u:ns:a=1&b=%20") == b"ok"
        assert caller.ask(b"get:msu:u:ns:b&c&a") == b"%20&&1"
        assert cipher.decode(caller.ask(b"eget:msu:u:ns:a")) == b"1"
        assert caller.ask(b"auth:msu:u:pw") == b"refused"
        assert caller.ask(cipher.encode(b"auth:msu:u:pw")) == b"authorized"
        assert caller.ask(b"") == b"unknown_cmd"
        assert caller.ask(b"nonsense") == b"unknown_cmd"
        assert caller.ask(b"sethost:msul2") == b"ok"
        assert caller.ask(b"ping") == b"msul2"
        assert caller.ask(b"exit") == b"bye"
        assert caller.ended() == "close"


def test_a_wrong_echo_is_refused(peer: Peer) -> None:
    with calling(peer) as caller:
        caller.ask(b"init")
        assert caller.ask(b"something else") == b"refused"
        assert caller.ended() == "close"


def test_requests_in_any_split(peer: Peer) -> None:
    with calling(peer) as caller:
        challenge = caller.ask(b"init")
        for byte in challenge + b"\nsethost:msul1\nechoing\necho:one\nec":
            caller.socket.sendall(bytes([byte]))
        caller.socket.sendall(b"ho:two\necho:three\n")
        replies = [caller.line() for _ in range(6)]
        assert replies == [b"ok", b"ok", b"unknown_cmd", b"one", b"two", b"three"]


def test_a_sleep_holds_up_its_own_connection_only(peer: Peer) -> None:
    with calling(peer) as slow, calling(peer) as quick:
        slow.greet()
        quick.greet()
        began = time.monotonic()
        slow.send(b"sleep:1500", b"echo:behind")
        assert quick.ask(b"echo:beside") == b"beside"
        assert time.monotonic() - began < 1.5
        assert [slow.line(), slow.line()] == [b"ok", b"behind"]
        assert time.monotonic() - began >= 1.5


def test_the_log_tells_what_was_executed(peer: Peer) -> None:
    with calling(peer, "on put:*=rst@2", "on get:*=done-rst") as caller:
        cipher = caller.greet()
        caller.ask(b"put:msu:u:ns:a=1")
        caller.ask(cipher.encode(b"echo:in\tclear"))
        caller.send(b"put:msu:u:ns:a=2")
        assert caller.ended() == "rst"
    with calling(peer) as caller:
        caller.greet()
        caller.send(b"get:msu:u:ns:a")
        assert caller.ended() == "rst"
    wait_until(lambda: len(peer.records("-")) == 2, PATIENCE_S, "both ends in the log")
    assert peer.executed() == ["put:msu:u:ns:a=1", "echo:in\\tclear", "get:msu:u:ns:a"]
    assert [record.kind for record in peer.records("ce")] == ["c", "e", "c"]
    assert [record.text for record in peer.records("-")] == ["rst", "rst"]
    first, second = {record.connection for record in peer.records("d")}
    assert first != second


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("action", ["rst", "close", "stall"])
def test_each_step_of_the_dialogue_can_fail(peer: Peer, step: str, action: str) -> None:
    peer.script(f"at {step}={action}")
    if (step, action) == ("connect", "rst"):
        # the reset may come before connect returns
        with pytest.raises(ConnectionResetError), calling(peer) as caller:
            caller.line()
        return
    with calling(peer) as caller:
        lines = {"sethost": b"sethost:msul1", "version": b"version:1", "ready": b"ekey"}
        before = STEPS[1 : STEPS.index(step)]
        challenge = b""
        for name in before:
            challenge = caller.ask(challenge if name == "challenge" else lines.get(name, name.encode()))
        if step not in ("connect", "ready"):
            caller.send(challenge if step == "challenge" else lines.get(step, step.encode()))
        if action == "stall":
            # a byte may already be on its way only for a step that answers before it stalls
            assert caller.silent()
        else:
            assert caller.ended() == action


@pytest.mark.parametrize(
    ("rules", "sent", "got"),
    [
        (["at init=answer:refused"], [b"init"], b"refused\n"),
        (["at init=answer-close:bye"], [b"init"], b"bye\n"),
        (["at init=huge:300000"], [b"init"], b"h" * 300000 + b"\n"),
        (["at init=binary"], [b"init"], bytes(range(256)).replace(b"\n", b"") + b"\n"),
        (["at init=answer:a\\x00b"], [b"init", b"a\x00b"], b"a\x00b\nok\n"),
        (["at init=late:50"], [b"init"], None),
        (["at connect=say:too early"], [], b"too early\n"),
    ],
)
def test_a_strange_greeting(peer: Peer, rules: list[str], sent: list[bytes], got: bytes | None) -> None:
    with calling(peer, *rules) as caller:
        caller.send(*sent)
        if got is None:
            assert len(caller.line()) == 16
        else:
            assert b"".join(caller.line() + b"\n" for _ in range(got.count(b"\n"))) == got


def test_not_ok_and_wrong_key(peer: Peer) -> None:
    with calling(peer, "at challenge=answer:not ok") as caller:
        assert caller.ask(caller.ask(b"init")) == b"not ok"
    with calling(peer, "at ekey=wrong-key") as caller:
        cipher = caller.greet()
        assert caller.ask(cipher.encode(b"echo:x")) != b"x"


@pytest.mark.parametrize(
    ("rule", "sent", "got"),
    [
        ("on echo:a=skip", [b"echo:a", b"echo:b"], b"b\n"),
        ("on echo:a=done-skip", [b"echo:a", b"echo:b"], b"b\n"),
        ("on echo:a=answer:x y=z", [b"echo:a"], b"x y=z\n"),
        ("on echo:a=reply:error: no", [b"echo:a"], b"error: no\n"),
        ("on echo:a=empty", [b"echo:a", b"echo:b"], b"\nb\n"),
        ("on echo:a=twice", [b"echo:a"], b"a\na\n"),
        ("on echo:a=again:30", [b"echo:a"], b"a\na\n"),
        ("on echo:a=late:30", [b"echo:a", b"echo:b"], b"a\nb\n"),
        ("on echo:a=hold", [b"echo:a", b"echo:b"], b"a\nb\n"),
        ("on echo:a=glue", [b"echo:a", b"echo:b"], b"ab\n"),
        ("on echo:a=extra:more", [b"echo:a"], b"a\nmore\n"),
        ("on echo:a=before:first", [b"echo:a"], b"first\na\n"),
        ("on echo:a=half:2", [b"echo:a", b"echo:b"], b"a\n"),
        ("on echo:abcd=slice:1", [b"echo:abcd", b"echo:ef"], b"abcd\nef\n"),
        ("on echo:abcd=drip:5", [b"echo:abcd"], b"abcd\n"),
        ("at ready=say:unasked", [], b"unasked\n"),
    ],
)
def test_a_strange_reply(peer: Peer, rule: str, sent: list[bytes], got: bytes) -> None:
    with calling(peer, rule) as caller:
        caller.greet()
        caller.send(*sent)
        assert b"".join(caller.line() + b"\n" for _ in range(got.count(b"\n"))) == got
        assert caller.silent()


@pytest.mark.parametrize(
    ("rule", "got", "end"),
    [
        ("rst", b"", "rst"),
        ("close", b"", "close"),
        ("done-close", b"", "close"),
        ("answer-close:x", b"x\n", "close"),
        ("last", b"abcdefgh\n", "close"),
        ("last-rst", b"abcdefgh\n", "rst"),
        ("half-close:3", b"abc", "close"),
        ("half-rst", b"abcd", "rst"),
        ("half:3", b"abc", ""),
        ("half", b"abcd", ""),
        ("stall", b"", ""),
        ("done-stall", b"", ""),
    ],
)
def test_a_reply_cut_short(peer: Peer, rule: str, got: bytes, end: str) -> None:
    with calling(peer, f"on echo:*={rule}") as caller:
        caller.greet()
        caller.send(b"echo:abcdefgh")
        seen = b""
        while len(seen) < len(got):
            seen += caller.socket.recv(len(got) - len(seen))
        assert seen == got
        assert caller.silent() if not end else caller.ended() == end


@pytest.mark.parametrize("name", BROKEN_FRAMES)
def test_broken_frames(peer: Peer, name: str) -> None:
    with calling(peer, f"on eecho:*=enc:{name}@1") as caller:
        cipher = caller.greet()
        assert caller.ask(b"eecho:x") == BROKEN_FRAMES[name]
        assert cipher.decode(caller.ask(b"eecho:x")) == b"x"


def test_which_of_the_matching_lines(peer: Peer) -> None:
    with calling(peer, "on *=answer:fourth@c4", "on echo:*=answer:early@1-2") as one, calling(peer) as two:
        one.greet()
        assert [one.ask(b"echo:x") for _ in range(5)] == [b"early", b"early", b"x", b"fourth", b"x"]
        two.greet()
        assert two.ask(b"ping") == b"msul1"
        assert peer.stats()["rules"][1] == ["on echo:*=answer:early@1-2", 5, 2]


def test_closing_after_the_nth_request(peer: Peer) -> None:
    with calling(peer, "on echo:*=last@c3") as caller:
        caller.greet()
        caller.send(*[b"echo:%d" % n for n in range(5)])
        assert [caller.line() for _ in range(3)] == [b"0", b"1", b"2"]
        # two requests were thrown away unread or unanswered: the kernel may say so with a reset
        assert caller.ended() in ("close", "rst")
    assert peer.executed() == ["echo:0", "echo:1", "echo:2"]


def test_orders_at_run_time(peer: Peer) -> None:
    with calling(peer) as caller:
        caller.greet()
        assert peer.stats()["open"] == 1
        peer.order(say="out of turn")
        assert caller.line() == b"out of turn"
        peer.script("on echo:*=answer:changed")
        assert caller.ask(b"echo:x") == b"changed"
        peer.order(end="rst")
        assert caller.ended() == "rst"
        peer.order(listen=False)
        with pytest.raises(ConnectionRefusedError):
            Caller(peer)
        peer.order(listen=True)
    with calling(peer) as caller:
        caller.greet()
    with pytest.raises(AssertionError, match="unknown action"):
        peer.script("at init=dance")


def test_a_restart_takes_the_same_port_and_rules(peer: Peer) -> None:
    peer.script("on echo:*=answer:ruled")
    with calling(peer) as caller:
        caller.greet()
        first = peer.pid
        peer.kill()
        assert caller.ended() in ("close", "rst")
        with pytest.raises(ConnectionRefusedError):
            Caller(peer)
        peer.start()
        assert peer.pid != first
    with calling(peer) as caller:
        caller.greet()
        assert caller.ask(b"echo:x") == b"ruled"


def test_pong_asks_our_own_lonc(peer: Peer, place: Path) -> None:
    peer.kill()
    peer.ask_back = str(place / "own")
    peer.start()
    with calling(peer) as caller:
        assert caller.ask(caller.ask(b"init")) == b"ok"
        assert caller.ask(b"pong") == b"msul1:con_lost"
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(peer.ask_back)
            own.listen()
            caller.send(b"pong", b"echo:behind")
            asked, _address = own.accept()
            with asked:
                assert asked.recv(100) == b"ping\n"
                assert caller.silent()
                asked.sendall(b"other\n")
        assert [caller.line(), caller.line()] == [b"msul1:other", b"behind"]


def test_wrong_rules_are_named() -> None:
    for rule in ("init=rst", "at lunch=rst", "on x=dance", "at init=late", "on x=enc:fancy", "at init"):
        with pytest.raises(ValueError, match=r"rule|step|action|number|frame"):
            parse_rule(rule)
    assert len(Script(["# a comment", "", " at init=rst "]).rules) == 1


def test_every_action_is_documented_and_tried_here() -> None:
    beside = Path(__file__).with_name("test_fake_links.py")
    text = Path(__file__).read_text() + beside.read_text()
    for action in ACTIONS:
        assert f"={action}" in text or f'("{action}' in text or f'"{action}"' in text, action


def test_the_client_of_the_harness_reads_lines(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "s"))
        listener.listen()
        with Client(place / "s") as client:
            served, _address = listener.accept()
            with served:
                client.send(b"a", b"b")
                assert served.recv(100) == b"a\nb\n"
                served.sendall(b"one\ntw")
                assert client.line() == b"one"
                with pytest.raises(TimeoutError):
                    client.line(0.05)
                served.sendall(b"o\n")
                assert client.line() == b"two"
            assert client.line() is None
    with pytest.raises(FileNotFoundError):
        Client(place / "nobody")
