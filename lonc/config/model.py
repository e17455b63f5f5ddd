"""Owns the frozen results of reading: Config, Host and HostTable, and the rule for ids.

Units are in the names. Paths are absolute `str`, undecodable bytes kept as surrogates (as os.fsdecode
does), because the daemon changes to `/` and executes itself again from there.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

SOCKET_PATH_LIMIT = 107  # bytes; sun_path has 108 with its closing NUL (unix(7))
ID_LIMIT = 64
ID_ALLOWED = (
    f"an id of 1 to {ID_LIMIT} letters, digits, `_`, `.` and `-`, that starts with neither `.` nor `-` "
    "and is not `delayed`"
)
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", re.ASCII)


def valid_id(text: str) -> bool:
    """Return whether text may be the id of a host: it becomes a file name in lonSockDir (files.md 2)."""
    return len(text) <= ID_LIMIT and text != "delayed" and _ID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Host:
    """One line of hosts.tab. `address` is an IPv4 or IPv6 address without brackets; '' = resolve `name`.

    protocol: `https` where a newer table says so in place of the address, else `http`. It is nothing to a link.
    """

    id: str
    domain: str
    role: str
    name: str
    address: str
    protocol: str = field(default="http", compare=False)


@dataclass(frozen=True, slots=True)
class HostTable:
    """The usable hosts in the order of the file, our own id included.

    warnings: what was passed over and why, one text each, without the severity word, bounded in number.
    refused: hosts that cannot be served because their socket path is too long; each has its warning.
    """

    hosts: tuple[Host, ...]
    warnings: tuple[str, ...] = ()
    refused: tuple[Host, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked; the meaning, unit and range of each stands in `settings.SETTINGS`."""

    conf_dir: str
    host_id: str
    daemons_dir: str
    sock_dir: str
    tab_dir: str
    doc_root: str
    users_dir: str
    ids_dir: str
    port: int
    admin_mail: str
    sys_mail: str
    role: str
    default_domain: str
    user: str
    allow_users: tuple[str, ...]
    max_attempts: int
    retry_min_s: float
    retry_max_s: float
    restart_min_s: float
    redial_max_s: float
    grace_s: float
    request_timeout_s: float
    delayed_timeout_s: float
    init_timeout_s: float
    connect_timeout_s: float
    pong: bool
    pong_delay_s: float
    source_address: str
    via: tuple[str, ...]
    pipeline: int
    delayed_pipeline: int
    max_connections: int
    spread_after_ms: int
    idle_timeout_s: float
    on_demand: bool
    delayed_scan_s: float
    delete_on_any_reply: bool
    debug_for_s: float
    stable_after_s: float
    stop_timeout_s: float
    handover_s: float
    max_line_bytes: int
    client_buffer_bytes: int
    max_clients: int
    json_log: bool
    log_ids: bool
    page: bool
    keepalive_s: float
    # Those of the server, lond.
    load_limit: float
    user_load_limit: float
    expire_s: float
    listen: str
    server_via: tuple[str, ...]
    store: str
    idle_workers: int
    max_workers: int
    worker_links: int
    server_init_timeout_s: float
    pong_timeout_s: float
    regexp_timeout_s: float
    babysit_s: float
    rogue_cpu_s: float
    server_stop_timeout_s: float
    server_keepalive_s: float
    max_command_bytes: int
    # Not settings: what was read, and what of it has no effect; where loncVia and londVia were given.
    sources: tuple[str, ...] = ()
    given: int = 0
    warnings: tuple[str, ...] = ()
    via_places: tuple[str, ...] = ()

    @property
    def logs_dir(self) -> str:
        """Where log, permanent log, pid file, lock and scoreboard live."""
        return os.path.join(self.daemons_dir, "logs")

    @property
    def log_path(self) -> str:
        """The log (files.md 3)."""
        return os.path.join(self.logs_dir, "lonc.log")

    @property
    def json_log_path(self) -> str:
        """The log as JSON, while loncJsonLog is on."""
        return os.path.join(self.logs_dir, "lonc.json.log")

    @property
    def perm_log_path(self) -> str:
        """The permanent log (files.md 4)."""
        return os.path.join(self.logs_dir, "lonnet.perm.log")

    @property
    def pid_path(self) -> str:
        """The pid file (files.md 7)."""
        return os.path.join(self.logs_dir, "lonc.pid")

    @property
    def lock_path(self) -> str:
        """The file whose lock makes a process the daemon (files.md 7)."""
        return os.path.join(self.logs_dir, "lonc.lock")

    @property
    def scoreboard_path(self) -> str:
        """The shared state of parent and children (house.md 4)."""
        return os.path.join(self.logs_dir, "lonc.scoreboard")

    @property
    def wanted_path(self) -> str:
        """The operator's lasting wishes (files.md 7)."""
        return os.path.join(self.logs_dir, "lonc.wanted")

    @property
    def errors_path(self) -> str:
        """Where stderr goes when nobody redirected it; the watchdog uses the same name."""
        return os.path.join(self.logs_dir, "lonc_errors")

    def server_path(self, suffix: str) -> str:
        """Return a file of lond's in logs/; suffix: `.log`, `.pid`, `.lock`, `.scoreboard` or `_errors`."""
        return os.path.join(self.logs_dir, "lond" + suffix)

    @property
    def server_status_path(self) -> str:
        """The status file of lond (lond.md 1)."""
        return os.path.join(self.doc_root, "lon-status", "londstatus.txt")

    @property
    def keys_path(self) -> str:
        """The keys that seal delayed messages of `encrypt:` commands; made on first use, mode 0600."""
        return os.path.join(self.logs_dir, "lonc.keys")

    @property
    def resources_dir(self) -> str:
        """The root of the resources that servers copy from each other."""
        return os.path.join(self.doc_root, "res")

    @property
    def tmp_dir(self) -> str:
        """Where lond keeps what `tmpput` brings."""
        return os.path.join(self.daemons_dir, "tmp")

    @property
    def status_path(self) -> str:
        """The status file that USR1 asks for (files.md 5)."""
        return os.path.join(self.doc_root, "lon-status", "loncstatus.txt")

    @property
    def page_path(self) -> str:
        """The status page; its data lies beside it under the same name with .json."""
        return os.path.join(self.doc_root, "lon-status", "lonc.html")

    @property
    def delayed_dir(self) -> str:
        """The delayed messages of all peers (files.md 8)."""
        return os.path.join(self.sock_dir, "delayed")

    @property
    def hosts_path(self) -> str:
        """The table of hosts (files.md 2)."""
        return os.path.join(self.tab_dir, "hosts.tab")

    def socket_path(self, host_id: str) -> str:
        """Return the path of the UNIX socket that serves host_id."""
        return os.path.join(self.sock_dir, host_id)
