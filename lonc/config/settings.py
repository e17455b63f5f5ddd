"""Owns the one table of settings: name, field of Config, kind, unit, default, range and meaning.

Reading, the texts of errors, the listings and the sample file are all derived from SETTINGS, so none of
them can drift from another. A `Kind` turns one word of a file into a value or says what is allowed.
The names `lonc...` are ours; the others are the originals' (spec files.md 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lonc.config.model import ID_ALLOWED, valid_id
from lonc.config.via import TUNNELS_ALLOWED, VIA_ALLOWED, parse_tunnels, parse_via

Value = str | int | float | bool | tuple[str, ...]

# Bounded lengths: no setting needs more, and int() of a very long word is an error of its own.
_WHOLE = re.compile(r"[0-9]{1,15}", re.ASCII)
_NUMBER = re.compile(r"(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})", re.ASCII)
_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?", re.ASCII)
DAY_S: Final = 86400
_UNITS: Final = {"s": "seconds", "ms": "milliseconds", "bytes": "bytes"}


@dataclass(frozen=True, slots=True)
class Setting:
    """One name that may be set.

    field: the attribute of Config. unit: s, ms, bytes or ''. default None: must be given. low and high:
    the range of numbers, both ends allowed. needs: settings, by name, of which one at least must
    differ from its default, or this one has no effect.
    """

    name: str
    field: str
    kind: Kind
    default: Value | None
    meaning: str
    unit: str = ""
    low: float = 0
    high: float = 0
    needs: tuple[str, ...] = ()

    def allowed(self) -> str:
        """Return in words what a value may be, e.g. `a number of seconds from 0 to 60`."""
        return self.kind.allowed(self)

    def parse(self, word: str) -> Value:
        """Return the value that word means; '' is a name without a value. Raises ValueError otherwise."""
        return self.kind.parse(self, word)

    def default_text(self) -> str:
        """Return the default as it would stand in a file; '' when there is none."""
        return "" if self.default is None else show(self.default)


@dataclass(frozen=True, slots=True)
class Kind:
    """How values of one kind are read and described."""

    parse: Callable[[Setting, str], Value]
    allowed: Callable[[Setting], str]


def show(value: Value) -> str:
    """Return a value as it is written in a file: on/off, numbers without exponent, lists with commas."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _in_range(setting: Setting, value: float) -> None:
    if not setting.low <= value <= setting.high:
        raise ValueError(value)


def _parse_number(setting: Setting, word: str) -> Value:
    if not _NUMBER.fullmatch(word):  # so no sign, exponent, `nan`, `inf` or `1_000`
        raise ValueError(word)
    value = float(word)
    _in_range(setting, value)
    return value


def _parse_whole(setting: Setting, word: str) -> Value:
    if not _WHOLE.fullmatch(word):
        raise ValueError(word)
    value = int(word)
    _in_range(setting, value)
    return value


def _parse_switch(_setting: Setting, word: str) -> Value:
    return {"on": True, "off": False}[word.lower()] if word.lower() in ("on", "off") else _refuse(word)


def _refuse(word: str) -> Value:
    raise ValueError(word)


def _parse_path(_setting: Setting, word: str) -> Value:
    printable = all(ord(char) >= 32 and ord(char) != 127 for char in word)
    return word if word and printable else _refuse(word)


def _parse_text(_setting: Setting, word: str) -> Value:
    return word


def _parse_id(_setting: Setting, word: str) -> Value:
    return word if valid_id(word) else _refuse(word)


def _parse_user(_setting: Setting, word: str) -> Value:
    return word if _USER.fullmatch(word) else _refuse(word)


def _parse_users(_setting: Setting, word: str) -> Value:
    if not word:
        return ()
    names = tuple(word.split(","))
    return names if all(_USER.fullmatch(name) for name in names) else _refuse(word)


def _parse_store(_setting: Setting, word: str) -> Value:
    known = word in ("sqlite", "gdbm") or word.startswith(("postgresql://", "postgres://"))
    return word if known else _refuse(word)


def _parse_address(_setting: Setting, word: str) -> Value:
    return word if word == "*" or _ADDRESS.fullmatch(word) else _refuse(word)


def _parse_via(_setting: Setting, word: str) -> Value:
    return parse_via(word)


def _parse_tunnels(_setting: Setting, word: str) -> Value:
    return parse_tunnels(word)


def _range(kind: str) -> Callable[[Setting], str]:
    def text(setting: Setting) -> str:
        unit = f" of {_UNITS[setting.unit]}" if setting.unit else ""
        return f"{kind}{unit} from {show(setting.low)} to {show(setting.high)}"

    return text


def _says(text: str) -> Callable[[Setting], str]:
    return lambda _setting: text


NUMBER = Kind(_parse_number, _range("a number"))
WHOLE = Kind(_parse_whole, _range("a whole number"))
SWITCH = Kind(_parse_switch, _says("on or off"))
PATH = Kind(_parse_path, _says("a path without blanks or control characters"))
TEXT = Kind(_parse_text, _says("any word"))
ID = Kind(_parse_id, _says(ID_ALLOWED))
USER = Kind(_parse_user, _says("the name of a user"))
STORE = Kind(_parse_store, _says("sqlite, gdbm, or an address that begins postgresql://"))
ADDRESS = Kind(_parse_address, _says("an IPv4 or IPv6 address of this machine, or * for any"))
VIA = Kind(_parse_via, _says(VIA_ALLOWED))
TUNNELS = Kind(_parse_tunnels, _says(TUNNELS_ALLOWED))
USERS = Kind(_parse_users, _says("names of users with commas and no blanks between them, or nothing"))


def _seconds(name: str, field: str, default: float, low: float, high: float, meaning: str,
             needs: tuple[str, ...] = ()) -> Setting:  # fmt: skip
    return Setting(name, field, NUMBER, float(default), meaning, "s", low, high, needs)


def _number(name: str, field: str, default: float, low: float, high: float, meaning: str) -> Setting:
    return Setting(name, field, NUMBER, float(default), meaning, "", low, high)


def _count(name: str, field: str, default: int, low: int, high: int, meaning: str,
           unit: str = "", needs: tuple[str, ...] = ()) -> Setting:  # fmt: skip
    return Setting(name, field, WHOLE, default, meaning, unit, low, high, needs)


def _switch(name: str, field: str, default: bool, meaning: str) -> Setting:
    return Setting(name, field, SWITCH, default, meaning)


ORIGINAL: Final = (
    Setting("lonHostID", "host_id", ID, None, "id of this server; must be given"),
    Setting("lonDaemons", "daemons_dir", PATH, "/home/httpd/perl", "holds logs/"),
    Setting("lonSockDir", "sock_dir", PATH, "/home/httpd/sockets", "UNIX sockets and delayed/"),
    Setting("lonTabDir", "tab_dir", PATH, "/home/httpd/lonTabs", "holds hosts.tab"),
    Setting("lonDocRoot", "doc_root", PATH, "/home/httpd/html", "holds lon-status/"),
    Setting("lonUsersDir", "users_dir", PATH, "/home/httpd/lonUsers", "users' data (the server's)"),
    Setting("lonIDsDir", "ids_dir", PATH, "/home/httpd/lonIDs", "session files (the server's)"),
    _count("londPort", "port", 5663, 1, 65535, "TCP port of every lond"),
    Setting("lonAdmEMail", "admin_mail", TEXT, "", "who is told by mail"),
    Setting("lonSysEMail", "sys_mail", TEXT, "", "who is told as well"),
    Setting("lonRole", "role", TEXT, "", "library or access"),
    Setting("lonDefDomain", "default_domain", TEXT, "", "default domain"),
    _number("lonLoadLim", "load_limit", 2.0, 0.01, 1000, "load that counts as full (the server's)"),
    _number("lonUserLoadLim", "user_load_limit", 0, 0, 1e6, "sessions that count as full; 0: no limit (likewise)"),
    _seconds("lonExpire", "expire_s", DAY_S, 0, 3650 * DAY_S, "disuse after which a copy is dropped (likewise)"),
)

OURS: Final = (
    Setting("loncUser", "user", USER, "www", "user that lonc must be started as"),
    Setting("loncAllowUsers", "allow_users", USERS, (),
            "users besides our own and root who may use the sockets"),
    _count("loncMaxAttempts", "max_attempts", 5, 0, 100000,
           "restarts of a peer's child before the peer is given up; 0: no limit"),
    _seconds("loncRetryMin", "retry_min_s", 120, 0, DAY_S, "shortest outage after which a child gives up"),
    _seconds("loncRetryMax", "retry_max_s", 360, 0, DAY_S, "longest outage after which a child gives up"),
    _seconds("loncRestartMin", "restart_min_s", 1, 0.01, 3600, "least time between starts of one child"),
    _seconds("loncRedialMax", "redial_max_s", 15, 0.05, 3600, "longest pause between two dials"),
    _seconds("loncGrace", "grace_s", 2, 0, 60, "how long requests wait for a lost link"),
    _seconds("loncRequestTimeout", "request_timeout_s", 300, 0.1, DAY_S, "limit of one request"),
    _seconds("loncDelayedTimeout", "delayed_timeout_s", 60, 0.1, DAY_S, "limit of one delayed message"),
    _seconds("loncInitTimeout", "init_timeout_s", 60, 0.1, 3600, "limit of each step of the dialogue"),
    _seconds("loncConnectTimeout", "connect_timeout_s", 5, 0.1, 300, "limit of resolving and connecting"),
    _switch("loncPong", "pong", True, "say pong in the opening dialogue"),
    _seconds("loncPongDelay", "pong_delay_s", 0, 0, 60, "pause before pong; the original has 5"),
    Setting("loncSourceAddress", "source_address", ADDRESS, "*",
            "address that links come from, which is what peers know this server by"),
    Setting("loncVia", "via", VIA, (), "where peers are dialed in place of what hosts.tab says: ends of tunnels"),
    _count("loncPipeline", "pipeline", 256, 1, 65536, "requests in flight on a link; 1: one after the other"),
    _count("loncDelayedPipeline", "delayed_pipeline", 1, 1, 1024, "delayed messages in flight"),
    _count("loncMaxConnections", "max_connections", 1, 1, 64, "links per peer"),
    _count("loncSpreadAfter", "spread_after_ms", 20, 0, 60000,
           "wait of a request after which another link is opened", "ms",
           needs=("loncMaxConnections",)),
    _seconds("loncIdleTimeout", "idle_timeout_s", 3600, 0.1, 7 * DAY_S,
             "idle time after which a link is closed, the last one only on demand",
             needs=("loncMaxConnections", "loncOnDemand")),
    _switch("loncOnDemand", "on_demand", False, "start children, and open links, only when somebody asks"),
    _seconds("loncDelayedScan", "delayed_scan_s", 15, 0.1, 3600, "time between looks at delayed/"),
    _switch("loncDeleteOnAnyReply", "delete_on_any_reply", False,
            "delete a delayed message after any reply, as the original does"),
    _seconds("loncDebugFor", "debug_for_s", 3600, 1, 7 * DAY_S, "how long debug logging stays on"),
    _seconds("loncStableAfter", "stable_after_s", 300, 0, DAY_S, "ready time that forgets attempts"),
    _seconds("loncStopTimeout", "stop_timeout_s", 10, 2, 600, "time children have to end"),
    _seconds("loncHandover", "handover_s", 1, 0, 60, "time a restart gives clients to hang up"),
    _count("loncMaxLine", "max_line_bytes", 16777216, 1024, 1 << 30, "longest request", "bytes"),
    _count("loncClientBuffer", "client_buffer_bytes", 67108864, 1024, 1 << 32,
           "longest reply, and the most that may wait for one client", "bytes"),
    _count("loncMaxClients", "max_clients", 4096, 1, 1000000, "clients of one peer at once"),
    _switch("loncJsonLog", "json_log", False, "write each message to logs/lonc.json.log as well, as JSON"),
    _switch("loncLogIds", "log_ids", False, "put its id behind each message that the originals do not have"),
    _switch("loncPage", "page", False, "have the status page lon-status/lonc.html written while lonc runs"),
    _seconds("loncLinkKeepalive", "keepalive_s", 60, 1, DAY_S, "within this a dead link is found"),
)  # fmt: skip

SERVER: Final = (
    Setting("londListen", "listen", ADDRESS, "*", "address that lond listens on"),
    Setting("londVia", "server_via", TUNNELS, (),
            "clients that come out of tunnels on this machine, and the address of each"),
    Setting("londStore", "store", STORE, "sqlite", "where lond keeps users' data"),
    _count("londIdleWorkers", "idle_workers", 2, 1, 1000, "workers without a link that are kept ready"),
    _count("londMaxWorkers", "max_workers", 256, 2, 10000, "workers at most, so links served at once"),
    _count("londWorkerLinks", "worker_links", 1000, 0, 1000000,
           "links after which a worker is replaced; 0: no limit, 1: the original"),
    _seconds("londInitTimeout", "server_init_timeout_s", 60, 0.1, 3600, "limit of a client's opening dialogue"),
    _seconds("londPongTimeout", "pong_timeout_s", 10, 0.1, 300, "limit of asking a client back"),
    _seconds("londRegexpTimeout", "regexp_timeout_s", 5, 0.01, 300, "limit of matching one dump's expression"),
    _seconds("londBabysit", "babysit_s", 30, 0.1, 3600, "time between looks at the workers"),
    _seconds("londRogueCpu", "rogue_cpu_s", 600, 0.1, DAY_S,
             "CPU time without a sign of life that makes a worker a rogue"),
    _seconds("londStopTimeout", "server_stop_timeout_s", 10, 1, 600, "time workers have to finish their work"),
    _seconds("londLinkKeepalive", "server_keepalive_s", 60, 1, DAY_S, "within this a dead client is found"),
    _count("londMaxCommand", "max_command_bytes", 16777216, 1024, 1 << 30, "longest command", "bytes"),
)  # fmt: skip

SETTINGS: Final = ORIGINAL + OURS + SERVER
BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
