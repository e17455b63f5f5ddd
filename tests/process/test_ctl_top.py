"""loncctl top on a terminal and without one; and what it, status and the page take with 1,000 peers."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import jsonschema
import psutil
import pytest

from tests.process.loncctl import command, run
from tests.process.made_network import MadeNetwork
from tests.process.waiting import TREE

LIMIT_S = 30.0
MANY = 1000
BOUND_S = 20.0  # far above what is promised (1 s): the machine may be busy


class Terminal:
    """A verb on a terminal of its own; used with `with`."""

    def __init__(self, network: MadeNetwork, *arguments: str, columns: int = 80, lines: int = 24) -> None:
        self._network = network
        self.main, side = pty.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.before = termios.tcgetattr(side)
        self.side = side
        # The two would count more than the size of the terminal itself.
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command(network.site, *arguments), stdin=side, stdout=side, stderr=side, start_new_session=True,
            env={**env, "TERM": "xterm-256color"},
        )  # fmt: skip
        self.seen = ""
        self._poll = select.poll()
        self._poll.register(self.main, select.POLLIN)

    def __enter__(self) -> Terminal:
        """Return it."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT_S)
        os.close(self.main)
        os.close(self.side)

    def until(self, look: Callable[[str], bool], what: str) -> None:
        """Read until what was shown is as wanted; the network goes on meanwhile."""
        deadline = time.monotonic() + LIMIT_S
        while not look(self.seen):
            assert time.monotonic() < deadline, f"{what}: {self.seen[-3000:]!r}"
            self._network.turn_all()
            if self._poll.poll(50):
                self.seen += os.read(self.main, 65536).decode("utf-8", "replace")

    def send(self, keys: str) -> None:
        """Press keys, and forget what was shown before."""
        self.seen = ""
        os.write(self.main, keys.encode())

    def ends(self) -> int:
        """Return the exit code, once it has one; what it still says is read."""
        self.until(lambda _seen: self.process.poll() is not None, "the end")
        return int(self.process.returncode)


def test_on_a_terminal_the_table_is_renewed_and_keys_work() -> None:
    with MadeNetwork(40) as network, Terminal(network, "top", "--interval", "0.2") as terminal:
        terminal.until(lambda seen: seen.count("own1: 25 of 40 up") > 2 and "req/s" in seen, "two tables")
        assert "p0007" in terminal.seen  # given up: the worst first
        assert "\x1b[?1049h" in terminal.seen  # a screen of its own, so that what was there comes back
        terminal.send("<")
        terminal.until(lambda seen: "\x1b[1;7mPEER" in seen or "\x1b[7mPEER" in seen, "sorted by name")
        terminal.send("G")
        terminal.until(lambda seen: "p0039" in seen, "the last one")
        terminal.send("q")
        assert terminal.ends() == 0
        assert "\x1b[?1049l" in terminal.seen
        assert termios.tcgetattr(terminal.side) == terminal.before


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_however_it_ends_the_terminal_is_as_it_was(signum: signal.Signals) -> None:
    with MadeNetwork(3) as network, Terminal(network, "top", "--interval", "0.2") as terminal:
        terminal.until(lambda seen: "p0000" in seen, "a table")
        terminal.process.send_signal(signum)
        assert terminal.ends() != 0
        assert termios.tcgetattr(terminal.side) == terminal.before
        assert "\x1b[?1049l" in terminal.seen


def test_a_changed_window_is_filled_at_once() -> None:
    with MadeNetwork(40) as network, Terminal(network, "top", "--interval", "3000") as terminal:
        terminal.until(lambda seen: "1-20 of 40" in seen, "a table of 24 lines")
        fcntl.ioctl(terminal.side, termios.TIOCSWINSZ, struct.pack("HHHH", 14, 60, 0, 0))
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.until(lambda seen: "1-10 of 40" in seen, "a table of 14 lines")
        terminal.send("q")
        assert terminal.ends() == 0


def test_without_a_terminal_lines_are_plain() -> None:
    with MadeNetwork(4) as network:
        done = run(network.site, "top", "--once")
        assert done.returncode == 0
        lines = done.stdout.splitlines()
        assert "own1: 3 of 4 up" in lines[0]
        assert lines[1].split()[:4] == ["PEER", "STATE", "REQ/S", "FLY"]
        assert lines[2].startswith("p0003")  # the worst first
        assert len(lines) == 6
        assert "\x1b" not in done.stdout
        twice = run(network.site, "top", "--count", "2", "--interval", "0.1", "--sort", "peer")
        assert twice.stdout.count("PEER") == 2
        assert twice.stdout.splitlines()[2].startswith("p0000")


def test_json_fits_its_schema_and_codes_are_as_told() -> None:
    schema = json.loads((TREE / "doc" / "schema" / "top.json").read_text())
    with MadeNetwork(13) as network:
        done = run(network.site, "top", "--json")
        assert done.returncode == 0
        document = json.loads(done.stdout)
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
        assert {row["peer"] for row in document["peers"]} == set(network.names)
        for wrong in (["--sort", "colour"], ["--interval", "0"], ["--interval", "soon"]):
            assert run(network.site, "top", "--once", *wrong).returncode == 2
        network.lock.close()
        stopped = run(network.site, "top", "--json")
        assert stopped.returncode == 3
        jsonschema.validate(json.loads(stopped.stdout), schema, jsonschema.Draft202012Validator)


def test_a_thousand_peers_take_little_time_and_nothing_of_lonc() -> None:
    """Readers write nothing that the daemon reads: its board and the delayed directory stay as they are."""
    with MadeNetwork(MANY) as network:
        network.turn_all()
        for i in range(0, MANY, 10):
            network.site.delay(network.names[i], b"put:x")
        board = network.site.scoreboard_path
        before = board.read_bytes(), board.stat().st_mtime_ns, sorted(network.site.delayed_dir.iterdir())
        for verb in (["status"], ["top", "--once"], ["page"], ["page"], ["metrics"]):
            began, cpu = time.monotonic(), _children_s()
            done = run(network.site, *verb)
            took, used = time.monotonic() - began, _children_s() - cpu
            assert done.returncode == 0, done.stderr
            print(f"{MANY} peers: {' '.join(verb):10}  {took:.2f} s, {used:.2f} s of CPU", file=sys.stderr)
            assert took < BOUND_S
        after = board.read_bytes(), board.stat().st_mtime_ns, sorted(network.site.delayed_dir.iterdir())
        assert after == before


def _children_s() -> float:
    times = psutil.Process().cpu_times()
    return float(times.children_user + times.children_system)
