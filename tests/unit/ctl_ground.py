"""An installation for verbs of loncctl without a daemon's processes: this test's own process holds the lock.

Everything a verb reads is there and is written by the code that the daemon uses: configuration, table, scoreboard,
log, delayed directory. Verbs that signal must not be run against it: the signals would reach the test.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lonc.cli.ctl.main import main
from lonc.config import Config, load_config
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.lock import DaemonLock, write_pid_file
from lonc.system.logs import Log
from lonc.system.scoreboard import ChildRecord, HeaderRecord, ParentRecord, Scoreboard


class Ground:
    """One installation below a directory; peers: ids of the table, each at an address of its own."""

    def __init__(self, place: Path, peers: Sequence[str] = ("msul1",), **settings: str) -> None:
        self.place = place
        self.conf_dir = place / "conf"
        for folder in ("conf", "perl/logs", "sockets/delayed", "tabs", "html/lon-status", "users", "ids"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        given = {
            "lonHostID": "own1", "lonDaemons": f"{place}/perl", "lonSockDir": f"{place}/sockets",
            "lonTabDir": f"{place}/tabs", "lonDocRoot": f"{place}/html", "lonUsersDir": f"{place}/users",
            "lonIDsDir": f"{place}/ids",
        } | settings  # fmt: skip
        text = "".join(f"PerlSetVar {name} {value}\n" for name, value in given.items())
        (self.conf_dir / "loncapa.conf").write_text(text)
        lines = [f"{peer}:msu:library:{peer}.example:127.0.9.{n}\n" for n, peer in enumerate(["own1", *peers], 1)]
        (place / "tabs" / "hosts.tab").write_text("".join(lines))
        self.config: Config = load_config(str(self.conf_dir))
        self.delayed = Path(self.config.delayed_dir)
        self.log = Log(self.config.log_path, files=SystemFiles(), clock=SystemClock(), who="msul1")

    def address(self, peer: str) -> str:
        """Return the address of a peer in the table."""
        for line in Path(self.config.hosts_path).read_text().splitlines():
            if line.startswith(f"{peer}:"):
                return line.split(":")[4]
        raise KeyError(peer)

    @contextlib.contextmanager
    def alive(self, *, header: HeaderRecord | None = None, **children: ChildRecord) -> Iterator[Scoreboard]:
        """Be the daemon: hold the lock, have pid file and scoreboard; children: by peer, pid 0 becomes ours.

        A peer that is not named has a child whose link is ready.
        """
        files = SystemFiles()
        lock = DaemonLock.acquire(self.config.lock_path, files)
        write_pid_file(files, self.config.pid_path, os.getpid())
        peers = [line.partition(":")[0] for line in Path(self.config.hosts_path).read_text().splitlines()]
        board = Scoreboard.create(self.config.scoreboard_path, peers)
        try:
            now = time.time()
            record = header or HeaderRecord(started=now - 7200, state="serving")
            record.pid = os.getpid()
            board.write_header(record)
            for peer in dict.fromkeys(peers):
                self.put(board, peer, children.get(peer) or self.ready(peer))
            yield board
        finally:
            board.close()
            lock.close()

    def ready(self, peer: str) -> ChildRecord:
        """Return what a child says whose link is ready."""
        now = time.time()
        return ChildRecord(
            state="ready", step="Idle", since=now - 600, address=self.address(peer), version="1.5", links=1,
            requests=10, replies=10,
        )  # fmt: skip

    def put(self, board: Scoreboard, peer: str, child: ChildRecord, *, parent: ParentRecord | None = None) -> None:
        """Write both parts of a peer's slot; without a parent's part it is up, with that child."""
        slot = board.add(peer)
        child.pid = child.pid or os.getpid()
        child.beat = child.beat or time.monotonic()
        board.write_child(slot, child)
        up = ParentRecord(peer=peer, pid=child.pid, state="up", since=time.time() - 600)
        board.write_parent(slot, parent or up)

    def message(self, name: str, text: bytes, kind: str = "") -> Path:
        """Put a file into the delayed directory, or into rejected, corrupt or held below it."""
        folder = self.delayed / kind if kind else self.delayed
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        path.write_bytes(text)
        return path

    def run(self, *words: str) -> tuple[int, str, str]:
        """Run loncctl in this process; return the exit code, what went to stdout, and what to stderr."""
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            code = main([*words, "--conf-dir", str(self.conf_dir)])
        return code, out.getvalue(), errors.getvalue()
