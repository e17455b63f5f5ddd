"""The configuration and table of the former self, carried over a restart for the case that the new ones fail.

The notes of the hand-over hold both as plain values. A value is taken only if it has the type that this release
gives it; a setting that the former self did not know has its default.
"""

from __future__ import annotations

from lonc.config import Host
from lonc.config.former import Loaded, load_or_former
from lonc.config.plain import config_of
from lonc.errors import StartError
from lonc.parent.handover import peek_notes


def load_or_keep(conf_dir: str, notes_fd: int) -> Loaded:
    """Return configuration and table as they are on disk, or those of the former self where they are unusable.

    Raises ConfigError when neither can be had.
    """
    try:
        notes = peek_notes(notes_fd)
    except StartError:  # whoever takes the hand-over over will say so
        return load_or_former(conf_dir, None, ())
    return load_or_former(conf_dir, config_of(notes.settings), [Host(*words) for words in notes.hosts])
