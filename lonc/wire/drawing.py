"""Draws a table of transitions as a Mermaid state diagram, for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

State = TypeVar("State", bound=Enum)
Input = TypeVar("Input", bound=Enum)


def state_diagram(transitions: Mapping[tuple[State, Input], State], first: State) -> str:
    """Return the text of a Mermaid `stateDiagram-v2` that holds every transition, newline at its end.

    first: the state that a new machine is in. The order is that of the table, so that the same table
    always gives the same text; arrows between the same two states share one line.
    """
    arrows: dict[tuple[str, str], list[str]] = {}
    for (old, what), new in transitions.items():
        arrows.setdefault((old.name, new.name), []).append(what.name)
    lines = ["stateDiagram-v2", f"    [*] --> {first.name}"]
    lines += [f"    {old} --> {new}: {', '.join(names)}" for (old, new), names in arrows.items()]
    return "\n".join(lines) + "\n"
