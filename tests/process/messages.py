"""Owns the numbered messages that tests of the delayed directory send: text, what the peer sees, and the end."""

from __future__ import annotations

from tests.process.harness import Site, wait_until


def put(number: int) -> bytes:
    """Return the message of this number."""
    return b"put:msu:u:ns:a=%d" % number


def texts(*numbers: int) -> list[str]:
    """Return these messages as a peer's log of executed lines has them."""
    return [put(number).decode() for number in numbers]


def empty(site: Site, timeout_s: float = 20.0) -> None:
    """Return when no message waits on disk any more."""
    wait_until(lambda: not site.waiting(), timeout_s, "an empty directory")


def records(site: Site, kind: str, count: int) -> list[list[str]]:
    """Return the permanent log's records of a kind as soon as there are so many: the file goes before them."""
    wait_until(lambda: len(site.perm_log(kind)) >= count, 10, f"{count} records {kind}")
    found = site.perm_log(kind)
    assert len(found) == count
    return found
