"""Links for the tests of the link: made, and brought into a state."""

from __future__ import annotations

from lonc import __version__
from lonc.wire.link import Link, LinkEvent, Moved

BUILD_KEY = b"0123456789ABCDEF0123"
ANSWERS = (b"challenge 42", b"ok", b"ok", b"version:1.42", b"msul1:ncsu1", BUILD_KEY)


def make_link(*, pong: bool = True, pong_delay_s: float = 0.0, reply_limit: int = 1 << 20) -> Link:
    return Link(
        b"ncsu1",
        b"msul1",
        f"lonc-{__version__}".encode(),
        init_timeout_s=60.0,
        connect_timeout_s=5.0,
        pong=pong,
        pong_delay_s=pong_delay_s,
        reply_limit=reply_limit,
    )


def say(link: Link, now: float = 0.0) -> bytes:
    """Take what is due and have it sent."""
    line = link.outgoing()
    link.sent(now)
    return line


def talk(link: Link, *answers: bytes) -> list[LinkEvent]:
    """Dial, and answer so many requests; the next request is out afterwards."""
    link.dial(0.0)
    events = link.connected(0.0)
    say(link)
    for answer in answers:
        events += link.receive(answer + b"\n", 0.0)
        say(link)
    return events


def link_in(state: str) -> Link:
    link = make_link()
    if state == "CONNECTING":
        link.dial(0.0)
    elif state != "DOWN":
        talk(link, *ANSWERS[: {"GREETING": 0, "KEYING": 5}.get(state, 6)])
        if state == "CLOSING":
            link.close(0.0)
    assert link.state.name == state
    return link


def without_moves(events: list[LinkEvent]) -> list[LinkEvent]:
    return [event for event in events if not isinstance(event, Moved)]
