"""Owns what a check has found: one thing, how bad it is, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is; the value is the word that is shown."""

    OK = "ok"
    WARNING = "warning"  # it works, and somebody should know
    ERROR = "error"  # a start, or a part of the work, fails


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing. check: the word for what was looked at; remedy: what to do, empty when it is in order."""

    check: str
    level: Level
    text: str
    remedy: str = ""

    def plain(self) -> dict[str, str]:
        """Return it for JSON."""
        return {"check": self.check, "level": self.level.value, "text": self.text, "remedy": self.remedy}
