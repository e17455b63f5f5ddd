"""Owns the one table of all harnesses, and how a campaign's inputs are shared out among them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fuzz import (
    board,
    cipher,
    commands,
    configuration,
    dialogue,
    handover,
    lines,
    queue,
    relay,
    texts,
)
from tests.fuzz.harness import Harness

_MODULES = (lines, cipher, dialogue, relay, configuration, queue, texts, handover, board, commands)
HARNESSES: dict[str, Harness] = {harness.name: harness for module in _MODULES for harness in module.HARNESSES}


def shares(chosen: Sequence[Harness], inputs: int) -> list[tuple[Harness, int]]:
    """Return how many of the inputs each harness gets, by weight, one at least."""
    total = sum(harness.weight for harness in chosen)
    return [(harness, max(1, inputs * harness.weight // total)) for harness in chosen]
