"""Owns the files of a test's installation: what is written before a start and read behind it."""

from __future__ import annotations

import os
import pwd
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lonc.errors import ScoreboardError
from lonc.system.scoreboard import NO_SLOT, ChildRecord, ParentRecord, Scoreboard
from tests.process.peer import free_port, next_address
from tests.process.waiting import wait_until

# `<time> (<pid>) [<who>] [<time>: <status>]: <message>` (spec files.md 3)
_LOG_LINE = re.compile(r"(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}) \((\d+)\) \[(.*?)\] \[(.*?)\]: (.*)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One host of a site's hosts.tab. address "": a peer's own address is chosen; host name may be resolved."""

    id: str
    address: str = ""
    domain: str = "msu"
    role: str = "library"
    name: str = "peer.example"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of lonc.log; message as it stands there, with the tags of its severity."""

    time: str
    pid: int
    who: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The two parts of a peer's slot of the scoreboard (lonc/system/scoreboard/records.py)."""

    parent: ParentRecord
    child: ChildRecord


class Installation:
    """The files of one installation of lonc, in a short temporary directory.

    hosts: ids, or entries where more than the id matters. own_id stands in the table only when it is among them.
    """

    def __init__(
        self,
        hosts: Sequence[str | Entry] = ("msul1",),
        *,
        own_id: str = "own1",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        # a short path: socket names below it must fit into 107 bytes
        self.root = Path(tempfile.mkdtemp(prefix="lonc-", dir="/tmp"))
        self.conf_dir = self.root / "conf"
        self.daemons_dir = self.root / "daemons"
        self.logs_dir = self.daemons_dir / "logs"
        self.sock_dir = self.root / "sockets"
        self.delayed_dir = self.sock_dir / "delayed"
        self.hosts_path = self.root / "tabs" / "hosts.tab"
        self.status_path = self.root / "html" / "lon-status" / "loncstatus.txt"
        self.log_path = self.logs_dir / "lonc.log"
        self.perm_log_path = self.logs_dir / "lonnet.perm.log"
        self.pid_path = self.logs_dir / "lonc.pid"
        self.scoreboard_path = self.logs_dir / "lonc.scoreboard"
        self.error_path = self.root / "stderr"
        self.own_id = own_id
        self.port = free_port()
        self.entries = [entry if isinstance(entry, Entry) else Entry(entry) for entry in hosts]
        self.entries = [
            entry if entry.address else Entry(entry.id, next_address(), entry.domain, entry.role, entry.name)
            for entry in self.entries
        ]
        self.delayed_count = 0
        for place in (self.conf_dir, self.logs_dir, self.hosts_path.parent, self.status_path.parent):
            place.mkdir(parents=True)
        for place in (self.root / "users", self.root / "ids", self.sock_dir, self.delayed_dir):
            place.mkdir(mode=0o700)
        self.settings = self._defaults() | dict(settings or {})
        self.write_config()
        self.write_hosts()

    # --- files ----------------------------------------------------------------------------------------

    def _defaults(self) -> dict[str, str]:
        return {
            "lonHostID": self.own_id,
            "lonDaemons": str(self.daemons_dir),
            "lonSockDir": str(self.sock_dir),
            "lonTabDir": str(self.hosts_path.parent),
            "lonDocRoot": str(self.root / "html"),
            "lonUsersDir": str(self.root / "users"),
            "lonIDsDir": str(self.root / "ids"),
            "londPort": str(self.port),
            "lonAdmEMail": "root@localhost",
            "lonSysEMail": "root@localhost",
            "lonRole": "library",
            "lonDefDomain": "msu",
            "loncUser": pwd.getpwuid(os.geteuid()).pw_name,
        }

    def write_config(self, **changed: str) -> None:
        """Write both configuration files, with these settings changed for good."""
        self.settings.update(changed)
        lines = [f"PerlSetVar {name} {value}\n" for name, value in self.settings.items()]
        (self.conf_dir / "loncapa_apache.conf").write_text("# of the test's site\n" + "".join(lines))
        (self.conf_dir / "loncapa.conf").write_text("# nothing\n")

    def write_hosts(self, entries: Iterable[Entry] | None = None) -> None:
        """Write hosts.tab, with these entries from now on."""
        self.entries = list(entries) if entries is not None else self.entries
        lines = [f"{e.id}:{e.domain}:{e.role}:{e.name}:{e.address}\n" for e in self.entries]
        self.hosts_path.write_text("".join(lines))

    def entry(self, peer: str) -> Entry:
        """Return the table's entry of a peer."""
        return next(entry for entry in self.entries if entry.id == peer)

    def socket_path(self, peer: str) -> Path:
        """Return where clients of this peer connect."""
        return self.sock_dir / peer

    def delayed(self, name: str, text: bytes, age_s: float = 60.0) -> Path:
        """Put a file of this name into the delayed directory, all at once, its mtime age_s ago."""
        temporary = self.delayed_dir / f".{name[:100]}.tmp"
        temporary.write_bytes(text)
        temporary.chmod(0o600)
        when = time.time() - age_s
        os.utime(temporary, (when, when))
        return temporary.rename(self.delayed_dir / name)

    def delay(self, peer: str, command: bytes, age_s: float = 60.0) -> Path:
        """Put one delayed command for a peer as lonnet does; later ones sort behind earlier ones of one age."""
        self.delayed_count += 1
        words = re.sub(r"\W", "", command.decode("latin-1"), flags=re.ASCII)[:16]
        name = f"{int(time.time() - age_s)}.{self.delayed_count}.{os.getpid()}.{words}.{peer}"
        return self.delayed(name, command + b"\n", age_s)

    def waiting(self) -> list[str]:
        """Return the names of the delayed messages on disk, temporary ones and directories left out."""
        found = [path for path in self.delayed_dir.iterdir() if not path.name.startswith(".")]
        return sorted(path.name for path in found if not path.is_dir())

    # --- what it says ---------------------------------------------------------------------------------

    def log_text(self) -> str:
        """Return the whole log, empty when there is none."""
        return self.log_path.read_text("utf-8", "replace") if self.log_path.exists() else ""

    def log(self, who: str = "") -> list[LogLine]:
        """Return the lines of the log, of all or of this peer (PARENT, SHELL). A malformed line is an error."""
        found = []
        for line in self.log_text().splitlines():
            match = _LOG_LINE.fullmatch(line)
            assert match, f"malformed log line: {line!r}"
            found.append(LogLine(match[1], int(match[2]), match[3], match[4], match[5]))
        return [line for line in found if who in ("", line.who)]

    def wait_log(self, text: str, timeout_s: float = 10.0, *, count: int = 1) -> None:
        """Return when the log holds this text so many times."""
        wait_until(lambda: self.log_text().count(text) >= count, timeout_s, f"{text!r} in the log")

    def perm_log(self, kind: str = "") -> list[list[str]]:
        """Return the permanent log's records, split at colons: time, kind, peer, command..., local time."""
        text = self.perm_log_path.read_text("utf-8", "replace") if self.perm_log_path.exists() else ""
        records = [line.split(":") for line in text.splitlines()]
        return [record for record in records if kind in ("", record[1])]

    def board(self, peer: str) -> Shown:
        """Return what the scoreboard tells about a peer: empty records while it tells nothing of it."""
        try:
            board = Scoreboard.open_reader(str(self.scoreboard_path))
        except (ScoreboardError, OSError):  # not there yet, or just being replaced
            return Shown(ParentRecord(), ChildRecord())
        try:
            slot = board.peers().get(peer, NO_SLOT)
            return Shown(board.read_parent(slot) or ParentRecord(), board.read_child(slot) or ChildRecord())
        finally:
            board.close()

    def error_text(self) -> str:
        """Return what starting commands and a foreground daemon wrote to stderr, and the daemon's own file."""
        files = [self.error_path, self.logs_dir / "lonc_errors"]
        return "".join(path.read_text("utf-8", "replace") for path in files if path.exists())
