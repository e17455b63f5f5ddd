"""Owns the commands about resources: sub, unsub, update, ls and stat."""

from __future__ import annotations

from lonc.lond.commands.model import Command

ROWS: tuple[Command, ...] = ()
