"""Owns a real PostgreSQL server for tests: in a directory of its own under /tmp, as a user without rights.

The programs are looked for in PATH and where Debian has them; where there are none, the tests that need a
server are skipped with MISSING. One server serves all tests of a process (`server()`), started by the first
that asks; a test that kills its server makes one of its own.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg

from tests.process.waiting import wait_until

MISSING = "PostgreSQL's programs are missing (Debian: apt-get install postgresql)"
ROLE = "lond"
_SETTINGS = {
    "listen_addresses": "",  # a UNIX socket only: no port to be taken
    "shared_buffers": "16MB",
    "max_connections": "40",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_messages": "warning",
}
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def find_programs() -> Path | None:
    """Return the directory with initdb and postgres, the newest there is; None when there is none."""
    places = [Path(place) for place in os.environ.get("PATH", "").split(os.pathsep) if place]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for place in [*places, *debian]:
        if os.access(place / "initdb", os.X_OK) and os.access(place / "postgres", os.X_OK):
            return place
    return None


def _version(place: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in place.parent.name.split(".") if part.isdecimal())


def _unprivileged() -> tuple[int, int] | None:
    """Return whom the server runs as: PostgreSQL refuses root; None: as ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise AssertionError("there is neither a user postgres nor nobody")


class Postgres:
    """One server with one empty database; it ends with the process that started it, at the latest."""

    def __init__(self, settings: dict[str, str] | None = None) -> None:
        self._settings = {**_SETTINGS, **(settings or {})}
        programs = find_programs()
        assert programs is not None, MISSING
        self._programs = programs
        self.root = Path(tempfile.mkdtemp(prefix="lonc-pg-", dir="/tmp"))
        self._ids = _unprivileged()
        if self._ids:
            os.chown(self.root, *self._ids)
        self._process: subprocess.Popen[bytes] | None = None
        made = self._run(
            "initdb", "-D", str(self.root / "data"), "-U", ROLE, "--auth=trust", "--no-locale", "-E", "UTF8", "-N"
        )
        assert made.wait(120) == 0, self.report()
        self.start()

    @property
    def url(self) -> str:
        """What londStore would be."""
        return f"postgresql://{ROLE}:sesame@/postgres?host={self.root}"

    @property
    def pid(self) -> int:
        """The postmaster's."""
        assert self._process is not None
        return self._process.pid

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        user, group = self._ids or (None, None)
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.root,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                user=user,
                group=group,
                extra_groups=[] if self._ids else None,
                start_new_session=True,
                preexec_fn=_end_with_the_parent,  # noqa: PLW1509 - no threads here
            )

    def start(self) -> None:
        """Start the server and return when it serves."""
        settings = [part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")]
        data = str(self.root / "data")
        self._process = self._run("postgres", "-D", data, "-c", f"unix_socket_directories={self.root}", *settings)
        wait_until(self.serves, 60, "PostgreSQL serves")

    def serves(self) -> bool:
        """Return whether the server takes connections now; fails when it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, self.report()
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self, pid: int = 0) -> None:
        """Kill the postmaster, and return when all of it is gone; or one process of it."""
        if pid:
            os.kill(pid, signal.SIGKILL)
            return
        assert self._process is not None
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False)
        self._process.kill()
        self._process.wait(60)
        left = [Path("/proc", child) for child in children.stdout.split()]
        # They find out themselves, but a new server does not wait for them.
        wait_until(lambda: not any(one.exists() for one in left), 60, "PostgreSQL's processes end")

    def backends(self) -> list[int]:
        """Return the pids of the processes that serve connections, but the one that is asked."""
        with psycopg.connect(self.url, autocommit=True) as link:
            found = link.execute(
                """select pid from pg_stat_activity
                   where backend_type = 'client backend' and pid <> pg_backend_pid()"""
            )
            return [int(row[0]) for row in found]

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Return the rows of a statement, [] where it has none."""
        with psycopg.connect(self.url, autocommit=True) as link:
            cursor = link.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def report(self) -> str:
        """Return the server's own words."""
        return (self.root / "log").read_text("utf-8", "replace")[-4000:]

    def end(self) -> None:
        """End the server and remove its directory."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(60)
        shutil.rmtree(self.root, ignore_errors=True)


def _end_with_the_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


@functools.cache
def server() -> Postgres:
    """Return the server that all tests of this process share; it ends with the process."""
    made = Postgres()
    atexit.register(made.end)
    return made


def empty(postgres: Postgres) -> str:
    """Return the address of the shared database with nothing of a store in it."""
    for table in ("data", "account", "journal", "activity", "schema"):
        postgres.execute(f"drop table if exists lond_{table}")
    return postgres.url
