"""What a daemon goes on with after a restart in place: what is on the disk, else what its former self had.

The files were checked a moment before exec, but one may be half-written just then, and by now there is no old self
to go back to (P22).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lonc.config.apache import load_config
from lonc.config.hosts import load_hosts
from lonc.config.model import Config, Host, HostTable
from lonc.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a resumed daemon goes on with. troubles: why not all of it is what stands on disk now."""

    config: Config
    table: HostTable
    troubles: tuple[str, ...]


def load_or_former(conf_dir: str, former: Config | None, hosts: Sequence[Host]) -> Loaded:
    """Return configuration and table as they are on disk, or those of the former self where they are unusable.

    former: None where the former self's cannot be used by this release; hosts: its table, perhaps empty. Raises
    ConfigError when neither can be had.
    """
    troubles: list[str] = []
    config = _config(conf_dir, former, troubles)
    try:
        table = load_hosts(config)
    except ConfigError as error:
        if not hosts:
            raise
        table = HostTable(tuple(hosts), path=config.hosts_path)
        troubles.append(f"hosts.tab became unusable during the restart, the former one goes on: {error}")
    return Loaded(config, table, tuple(troubles))


def _config(conf_dir: str, former: Config | None, troubles: list[str]) -> Config:
    try:
        config = load_config(conf_dir)
    except ConfigError as error:
        if former is None:
            raise
        text = "The configuration became unusable during the restart, the former one goes on:"
        troubles.append(f"{text} {error}")
        return former
    if former is None or former.logs_dir == config.logs_dir:
        return config
    # The lock, the pid file and the scoreboard lie there: another place is another daemon.
    text = f"lonDaemons cannot change from {former.daemons_dir} to {config.daemons_dir} by a restart"
    troubles.append(f"{text}, only by an end and a start: the former configuration goes on")
    return former
