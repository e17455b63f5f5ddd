"""Owns the commands that only the servers named in managers.tab may give: reinit and pushfile."""

from __future__ import annotations

from lonc.lond.commands.model import Command, Context

ROWS: tuple[Command, ...] = ()


def is_manager(_context: Context) -> bool:
    """Return whether the client that asks stands in managers.tab."""
    return False
