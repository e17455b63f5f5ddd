"""Owns the commands about the server itself: load and userload."""

from __future__ import annotations

from lonc.lond.commands.model import Command

ROWS: tuple[Command, ...] = ()
