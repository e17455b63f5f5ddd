"""What the settings loncLogIds and loncJsonLog add to a log: an id behind a message, and each message as JSON.

Imported only when one of them is on, by the parent before its first fork: children share the catalogue with it.
"""

from __future__ import annotations

import json
import os
from datetime import datetime

from lonc.catalogue import find
from lonc.system.clock import Clock
from lonc.system.files import Files
from lonc.system.logs.append import LineFile, reason_of
from lonc.system.logs.line import MESSAGE_LIMIT, Severity
from lonc.system.shown import printable

MODE = 0o640  # as of the log itself


class Extras:
    """ids: put ids behind messages. json_path: where JSON goes, empty for nowhere."""

    def __init__(self, files: Files, clock: Clock, *, ids: bool, json_path: str) -> None:
        self._clock = clock
        self._ids = ids
        self._file = LineFile(files, json_path, MODE) if json_path else None
        find("")  # compiles the patterns: once, for all processes to come

    def marked(self, text: str) -> str:
        """Return a message with its id behind it, unless the originals have the same message or it is unknown."""
        found = find(text) if self._ids else None
        return f"{text} ({found.message.id})" if found and not found.message.original else text

    def write(self, who: str, severity: Severity, text: str) -> str:
        """Write one message as a JSON object on a line of its own; return why that failed, empty when it did not.

        time: ISO 8601 with the zone; id: null when the message is in no table.
        """
        if self._file is None:
            return ""
        found = find(text)
        wall = self._clock.wall()
        line = {
            "time": datetime.fromtimestamp(wall).astimezone().isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "who": who,
            "severity": severity.word,
            "id": found.message.id if found else None,
            "message": printable(text, MESSAGE_LIMIT),
        }
        try:
            self._file.append(json.dumps(line).encode("ascii") + b"\n")
        except OSError as error:
            return reason_of(error)
        return ""
