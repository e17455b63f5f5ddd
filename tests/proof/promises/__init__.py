"""Owns the table of promises: for each the tests that prove it, and the removals that prove the tests.

A removal is carried out by tests/proof/removal.py. The promises P1 to P31 are those that the documents name;
the lines that begin with T are the threats that a test can show.
"""

from __future__ import annotations

from tests.proof.promises import delayed, processes, requests, surroundings, threats
from tests.proof.promises.model import Edit, Promise, Removal

__all__ = ["PROMISES", "Edit", "Promise", "Removal"]

PROMISES: tuple[Promise, ...] = (
    *delayed.PROMISES,
    *requests.PROMISES,
    *processes.PROMISES,
    *surroundings.PROMISES,
    *threats.PROMISES,
)
