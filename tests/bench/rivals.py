"""Owns the ways that a request can go from the load to the stub, each a running process or none at all.

Every way takes the options of uxload that lead to it from `target`, and tells the process whose processor
time counts by `pid` (0: none, or several). All of them run at once and wait; one at a time is asked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.bench.kit import Kit, KitMissing, Stub, build_ceiling, load
from tests.process import procs
from tests.process.harness import Entry, Site, wait_until

PEER = "msul1"
DIRECT, SOCAT, HAPROXY, CEILING = "direct", "socat", "HAProxy", "C ceiling"
HAPROXY_LARGE = "HAProxy, 128 KiB"  # buffers that serve it best where replies are long; by default 16 KiB
WINDOW_1, LONC, WINDOW_4096 = "lonc, window 1", "lonc", "lonc, window 4096"
LINKS_10 = "lonc, 10 links"
# Instances of their own where many clients come: their memory is measured, and nothing else has used it.
CROWD_LONC, CROWD_HAPROXY, CROWD_CEILING = "lonc (crowd)", "HAProxy (crowd)", "C ceiling (crowd)"
CROWDS = (CROWD_LONC, CROWD_HAPROXY, CROWD_CEILING)
SETTINGS: dict[str, dict[str, str]] = {
    WINDOW_1: {"loncPipeline": "1"},
    LONC: {},
    LINKS_10: {"loncMaxConnections": "10"},
    WINDOW_4096: {"loncPipeline": "4096"},
    CROWD_LONC: {"loncMaxClients": "20000"},
}
LINKS = {LINKS_10: 10}  # opened before anything is measured; else one
OPENING = ("-c", "64", "-R", "100", "-r", "sleep:150", "-t", "0.6", "-T", "30")
OPENINGS = 5

HAPROXY_CONF = """\
global
    nbthread 1
    maxconn {connections}
    tune.bufsize {buffer}
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen bench
    bind unix@{socket} backlog 4096
    server stub 127.0.0.1:{port}
"""


class Missing(Exception):
    """A way cannot be had here; the text says why."""


class Cores:
    """Which core the load and the stub run on, and which the daemon: the same one where there is only one."""

    def __init__(self) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.load = cores[0]
        self.daemon = cores[-1]

    def pin(self, *pids: int) -> None:
        """Put processes that carry requests on the daemon's core; children they fork later follow."""
        for pid in pids:
            os.sched_setaffinity(pid, {self.daemon})

    def load_wrapper(self) -> list[str]:
        """Return what stands before the command of the load."""
        return ["taskset", "-c", str(self.load)]


class Program:
    """A rival that listens on a UNIX socket: started in a directory of its own, pinned, and always ended."""

    def __init__(self, cores: Cores, command: Callable[[Path, Path], Sequence[str]]) -> None:
        """command(directory, socket path): what to run; the directory is short, and gone at the end."""
        self.root = Path(tempfile.mkdtemp(prefix="rival-", dir="/tmp"))
        self.socket = self.root / "s"
        with (self.root / "errors").open("wb") as errors:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cores.daemon), *command(self.root, self.socket)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
            )  # fmt: skip
        try:
            wait_until(self._up, 10, "the rival's socket")
        except BaseException:
            self.close()
            raise

    def _up(self) -> bool:
        if self.process.poll() is not None:
            text = (self.root / "errors").read_text("utf-8", "replace")
            raise Missing(f"ended with {self.process.returncode}: {text.strip()[-300:]}")
        return self.socket.exists()

    @property
    def pid(self) -> int:
        """Return the process that carries the requests (taskset has become it)."""
        return self.process.pid

    def target(self) -> list[str]:
        """Return uxload's options for this way."""
        return ["-u", str(self.socket)]

    def close(self) -> None:
        """End the process and what it has forked, and remove its directory."""
        procs.end([*procs.descendants(self.process.pid), self.process.pid])
        self.process.wait(10)
        shutil.rmtree(self.root, ignore_errors=True)


class Daemon:
    """lonc with one peer, the stub; its child is the process that counts."""

    def __init__(self, cores: Cores, port: int, settings: Mapping[str, str]) -> None:
        self.site = Site([Entry(PEER, "127.0.0.1")], settings=dict(settings) | {"londPort": str(port)})
        try:
            self.site.start()
            self.site.wait_ready(PEER)
            self.pid = self.site.child(PEER)
            cores.pin(self.site.pid(), self.pid)
        except BaseException:
            self.close()
            raise

    def target(self) -> list[str]:
        """Return uxload's options for this way."""
        return ["-u", str(self.site.socket_path(PEER))]

    def links(self) -> int:
        """Return how many links the child has, by its title."""
        return int(self.site.title(self.pid).partition("Connection count: ")[2].split()[0])

    def open_links(self, kit: Kit, wanted: int) -> None:
        """Have the child open so many links, by requests that come one by one and take long. Raises Missing."""
        opened = self.links()
        for _ in range(OPENINGS):
            before = opened
            if opened < wanted:
                found = load(kit, *self.target(), *OPENING)
                assert found.good, found.line
                opened = self.links()
            if opened in (before, wanted):
                break
        if opened < wanted:
            raise Missing(f"only {opened} of {wanted} links were opened")

    def close(self) -> None:
        """End the daemon and remove its files."""
        self.site.cleanup()


class Direct:
    """No relay: each client of the load has its own TCP connection to the stub."""

    pid = 0

    def __init__(self, port: int) -> None:
        self.port = port

    def target(self) -> list[str]:
        """Return uxload's options for this way."""
        return ["-p", str(self.port), "-i", PEER]

    def close(self) -> None:
        """End nothing."""


Way = Program | Daemon | Direct


class Rivals:
    """The stub and every way to it; each is started when it is first wanted."""

    def __init__(self, kit: Kit, cores: Cores, descriptors: int) -> None:
        """descriptors: how many each process may have open; HAProxy needs two for each client."""
        self.cores = cores
        self._kit = kit
        self._descriptors = descriptors
        self._stack = ExitStack()
        self._ways: dict[str, Way] = {}
        self._absent: dict[str, str] = {}
        self.stub = self._stack.enter_context(Stub(kit, own_id=PEER))
        os.sched_setaffinity(self.stub.process.pid, {cores.load})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def absent(self) -> dict[str, str]:
        """Return the ways that were wanted and cannot be had, with the reason."""
        return dict(self._absent)

    def way(self, name: str) -> Way | None:
        """Return a running way; None when it cannot be had here (then it is in `absent`)."""
        if name in self._absent:
            return None
        if name not in self._ways:
            try:
                self._ways[name] = made = self._start(name)
            except (Missing, KitMissing) as reason:
                self._absent[name] = str(reason)
                return None
            self._stack.callback(made.close)
        return self._ways[name]

    def _start(self, name: str) -> Way:
        if name == DIRECT:
            return Direct(self.stub.port)
        if name in SETTINGS:
            return self._daemon(name)
        if name in (CEILING, CROWD_CEILING):
            ceiling = str(build_ceiling())
            return Program(self.cores, lambda _root, socket: [ceiling, str(socket), str(self.stub.port)])
        if name == SOCAT:
            return Program(self.cores, self._socat)
        buffer = (128 if name == HAPROXY_LARGE else 16) * 1024
        return Program(self.cores, lambda root, socket: self._haproxy(root, socket, buffer))

    def _daemon(self, name: str) -> Daemon:
        made = Daemon(self.cores, self.stub.port, SETTINGS[name])
        try:
            made.open_links(self._kit, LINKS.get(name, 1))
        except BaseException:
            made.close()
            raise
        return made

    def _socat(self, _root: Path, socket: Path) -> list[str]:
        program = _found("socat")
        return [program, f"UNIX-LISTEN:{socket},fork", f"TCP:127.0.0.1:{self.stub.port},nodelay"]

    def _haproxy(self, root: Path, socket: Path, buffer: int) -> list[str]:
        program = _found("haproxy")
        conf = root / "haproxy.cfg"
        connections = (self._descriptors - 100) // 2
        port = self.stub.port
        conf.write_text(HAPROXY_CONF.format(connections=connections, buffer=buffer, socket=socket, port=port))
        return [program, "-db", "-q", "-f", str(conf)]


def _found(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise Missing(f"{program} is not installed (Debian: apt-get install {program})")
    return path
