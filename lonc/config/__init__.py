"""Owns everything that is read once at the start: the settings and the table of hosts.

`settings` is the one table of what may be set; `apache` reads the Apache-style files by it, `hosts` reads
hosts.tab, `model` has the frozen results, `sample` writes the commented sample file from the same table,
`masking` says what of the address of a store may be shown,
`via` where a peer is dialed in place of what hosts.tab says.
Everything is checked here, at the border, and all that is wrong is reported together (ConfigError), so
that nobody behind it ever meets a missing, foreign or impossible value.
Source: spec files.md 1 and 2.
"""

from __future__ import annotations

from lonc.config.apache import (
    DEFAULT_CONF_DIR,
    ENV_CONF_DIR,
    FILE_NAMES,
    Given,
    find_conf_dir,
    load_config,
    load_with_origins,
)
from lonc.config.hosts import load_hosts
from lonc.config.masking import masked
from lonc.config.model import SOCKET_PATH_LIMIT, Config, Host, HostTable, valid_id
from lonc.config.settings import BY_NAME, SETTINGS, Setting
from lonc.config.via import Place, is_local, tunnels_of, via_of

__all__ = [
    "BY_NAME",
    "DEFAULT_CONF_DIR",
    "ENV_CONF_DIR",
    "FILE_NAMES",
    "SETTINGS",
    "SOCKET_PATH_LIMIT",
    "Config",
    "Given",
    "Host",
    "HostTable",
    "Place",
    "Setting",
    "find_conf_dir",
    "is_local",
    "load_config",
    "load_hosts",
    "load_with_origins",
    "masked",
    "tunnels_of",
    "valid_id",
    "via_of",
]
