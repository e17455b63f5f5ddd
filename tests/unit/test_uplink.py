"""The link of a child over a real socket: which reply may be whose, and where a dial ends."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lonc.child.resolver import Resolver
from lonc.child.uplink import Uplink
from lonc.config import Host, load_config
from lonc.loop import Loop
from lonc.relay import Client, Relay
from lonc.system.clock import SystemClock
from lonc.wire.lines import whole
from lonc.wire.link import LinkState, Note
from tests.unit.links import ANSWERS


class Ground:
    """An uplink, what its owner was told, and the other end, played by the test."""

    def __init__(self, conf_dir: Path) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5)
        port = self.listener.getsockname()[1]
        (conf_dir / "loncapa_apache.conf").write_text(
            f"PerlSetVar lonHostID own1\nPerlSetVar londPort {port}\nPerlSetVar loncConnectTimeout 5\n"
        )
        (conf_dir / "loncapa.conf").write_text("")
        config = load_config(str(conf_dir))
        self.loop = Loop(SystemClock())
        self.relay = Relay(
            pipeline=8, request_timeout_s=60, delayed_timeout_s=60, grace_s=60, max_line_bytes=1 << 24,
            client_buffer_bytes=1 << 24, now=self.loop.now,
        )  # fmt: skip
        self.told: list[str] = []
        self.addresses: list[tuple[int, str]] = [(int(socket.AF_INET), "127.0.0.1")]
        self.uplink = Uplink(
            self, config, Host("msul1", "msu", "library", "peer.test", ""), b"lonc-1", loop=self.loop,
            relay=self.relay, resolver=Resolver(self.loop, lambda _name: self.addresses),
        )  # fmt: skip
        self.peer: socket.socket | None = None

    def link_deadline(self) -> None:
        pass

    def link_moved(self, uplink: Uplink, old: LinkState, new: LinkState) -> None:
        pass

    def link_note(self, uplink: Uplink, note: Note) -> None:
        pass

    def link_ready(self, uplink: Uplink, version: str) -> None:
        self.told.append(f"ready {version}")
        self.relay.thaw(self.loop.now)

    def link_lost(self, uplink: Uplink, reason: str, detail: str, was_ready: bool) -> None:
        self.told.append(f"lost {reason}{' while ready' if was_ready else ''}")

    def link_farewell(self, uplink: Uplink, answer: str) -> None:
        self.told.append(f"farewell {answer}")

    def turn(self) -> None:
        """One turn of a child's loop, without its clients' side."""
        self.loop.turn(time.monotonic() + 0.2)
        self.uplink.push()

    def make_ready(self) -> socket.socket:
        """Dial, and answer the dialogue; return the other end."""
        self.uplink.dial()
        deadline = time.monotonic() + 5
        while self.uplink.state is not LinkState.GREETING:
            assert time.monotonic() < deadline
            self.turn()
        self.turn()
        self.peer, _ = self.listener.accept()
        for answer in ANSWERS:
            self.peer.recv(4096)
            self.peer.sendall(answer + b"\n")
            self.turn()
        assert self.told[-1].startswith("ready")
        return self.peer

    def close(self) -> None:
        self.uplink.close("ending", "the test is over")
        self.loop.close()
        self.listener.close()
        if self.peer is not None:
            self.peer.close()


class Asker(Client):
    """A client without a socket."""

    def attend(self) -> None:
        raise AssertionError("nobody sends here")


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    made = Ground(tmp_path)
    yield made
    made.close()


def test_a_reply_to_a_request_that_was_sent(ground: Ground) -> None:
    peer, client = ground.make_ready(), Asker(1000)
    ground.relay.client_data(client, b"echo:1\n", ground.loop.now)
    ground.turn()
    assert peer.recv(100) == b"echo:1\n"
    peer.sendall(b"1\n")
    ground.turn()
    assert client.box.first() == b"1\n"
    assert ground.told == ["ready 1.42"]


def test_a_line_that_came_before_its_request_was_sent_is_nobodys_reply(ground: Ground) -> None:
    """Both in one turn: the request is handed over, the line lies in the kernel, nothing was sent yet."""
    peer, client = ground.make_ready(), Asker(1000)
    peer.sendall(b"of somebody else\n")
    ground.relay.client_data(client, b"echo:1\n", ground.loop.now)
    ground.loop.turn(time.monotonic() + 0.2)
    assert ground.told == ["ready 1.42", "lost out_of_step while ready"]
    assert not client.box
    assert [whole(line) for _, _, _, line in ground.relay.queue] == [b"echo:1"]
    assert peer.recv(100) == b""


def test_more_replies_than_were_asked_for(ground: Ground) -> None:
    peer, client = ground.make_ready(), Asker(1000)
    ground.relay.client_data(client, b"echo:1\n", ground.loop.now)
    ground.turn()
    peer.sendall(b"1\n2\n")
    ground.turn()
    assert ground.told[-1] == "lost out_of_step while ready"
    assert client.box.first() == b"con_lost\n"


def test_the_beginning_of_a_line_that_nobody_waits_for(ground: Ground) -> None:
    """It would become part of the next reply."""
    peer = ground.make_ready()
    peer.sendall(b"half a li")
    ground.turn()
    assert ground.told[-1] == "lost out_of_step while ready"


def test_a_closed_dial_tries_no_further_address(ground: Ground) -> None:
    ground.addresses = [(int(socket.AF_INET), f"127.0.0.{number}") for number in (1, 2, 3)]
    ground.uplink.dial()
    deadline = time.monotonic() + 5
    while ground.uplink.link.state is LinkState.DOWN:
        assert time.monotonic() < deadline
        ground.loop.turn(time.monotonic() + 0.1)
    ground.uplink.close("paused", "paused by the operator")
    assert ground.uplink.state is LinkState.DOWN
    assert ground.told == ["lost paused"]


def test_a_dial_closed_during_its_look_up_stays_closed(ground: Ground) -> None:
    ground.uplink.dial()
    assert ground.uplink.step == "Resolving"
    ground.uplink.close("paused", "paused by the operator")
    assert ground.uplink.state is LinkState.DOWN
    ground.loop.turn(time.monotonic() + 0.5)  # its answer comes
    assert ground.uplink.state is LinkState.DOWN
    assert ground.told == []
    assert ground.uplink.deadline is None
    ground.make_ready()


def test_a_closed_link_is_closed_once(ground: Ground) -> None:
    ground.make_ready()
    ground.uplink.close("timeout", "too late")
    ground.uplink.close("timeout", "too late")
    assert ground.told == ["ready 1.42", "lost timeout while ready"]
