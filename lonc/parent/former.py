"""The configuration and table of the former self, carried over a restart for the case that the new ones fail.

They were checked a moment before exec, but a file may be half-written just then, and by now there is no old self
to go back to. So the notes of the hand-over hold both as plain values, and the new self falls back on them
and says so (P22). A value is taken only if it has the type that this release gives it; a setting that the
former self did not know has its default.
"""

from __future__ import annotations

from dataclasses import dataclass

from lonc.config import Config, Host, HostTable, load_config, load_hosts
from lonc.config.plain import config_of
from lonc.errors import ConfigError, StartError
from lonc.parent.handover import Notes, peek_notes


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a resumed daemon goes on with. troubles: why not all of it is what stands on disk now."""

    config: Config
    table: HostTable
    troubles: tuple[str, ...]


def load_or_keep(conf_dir: str, notes_fd: int) -> Loaded:
    """Return configuration and table as they are on disk, or those of the former self where they are unusable.

    Raises ConfigError when neither can be had.
    """
    try:
        notes = peek_notes(notes_fd)
    except StartError:
        notes = None  # whoever takes the hand-over over will say so
    troubles: list[str] = []
    config = _config(conf_dir, notes, troubles)
    try:
        table = load_hosts(config)
    except ConfigError as error:
        if notes is None or not notes.hosts:
            raise
        table = HostTable(tuple(Host(*words) for words in notes.hosts), path=config.hosts_path)
        troubles.append(f"hosts.tab became unusable during the restart, the former one goes on: {error}")
    return Loaded(config, table, tuple(troubles))


def _config(conf_dir: str, notes: Notes | None, troubles: list[str]) -> Config:
    former = config_of(notes.settings) if notes is not None else None
    try:
        config = load_config(conf_dir)
    except ConfigError as error:
        if former is None:
            raise
        text = "The configuration became unusable during the restart, the former one goes on:"
        troubles.append(f"{text} {error}")
        return former
    if former is None or former.lock_path == config.lock_path:
        return config
    # The lock, the pid file and the scoreboard lie there: another place is another daemon.
    text = f"lonDaemons cannot change from {former.daemons_dir} to {config.daemons_dir} by a restart"
    troubles.append(f"{text}, only by an end and a start: the former configuration goes on")
    return former
