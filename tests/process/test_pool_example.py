"""The example of doc/pool.md does what it says, and is as short as it is said to be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.process.procs import descendants, end
from tests.process.waiting import TREE, wait_until

EXAMPLE = TREE / "doc" / "examples" / "timeserver.py"


def test_it_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) < 60


def ask(port: int, text: bytes) -> list[bytes]:
    """Return the answers to some lines."""
    with socket.create_connection(("127.0.0.1", port), 30) as client, client.makefile("rb") as stream:
        client.sendall(text)
        return [stream.readline() for _ in range(text.count(b"\n"))]


def accepted(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_the_example_serves(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"
    command = [sys.executable, str(EXAMPLE), "127.0.0.1", str(port), str(log)]
    server = subprocess.Popen(command, cwd=TREE, env={**os.environ, "PYTHONPATH": str(TREE)})
    try:
        wait_until(lambda: accepted(port), 40, "the server listening")
        for _ in range(12):  # more than one worker serves in its life
            answers = ask(port, b"time\nwhat\n")
            assert len(answers[0]) == len("2026-11-21 09:00:00\n")
            assert answers[1] == b"ask for the time\n"
        assert ask(port, b"x" * 1000) == []
        wait_until(lambda: len(descendants(server.pid)) >= 3, 40, "three idle workers")
        server.send_signal(signal.SIGUSR2)
        wait_until(lambda: log.exists() and "serving, listens on 127.0.0.1" in log.read_text(), 40, "the state")
        server.send_signal(signal.SIGTERM)
        assert server.wait(40) == 0
    finally:
        left = descendants(server.pid)
        server.kill()
        server.wait(40)
        end(left)
