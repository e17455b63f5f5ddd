"""Owns the test's handle on one fake process: start, orders through its control socket, end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.process import procs
from tests.process.waiting import TREE


class Fake:
    """A process of tests/fakes on address:port, with its files below `place`, named after `name`."""

    module = ""

    def __init__(self, place: Path, name: str, address: str, port: int) -> None:
        self.name = name
        self.address = address
        self.port = port
        self.error_path = place / f"{name}.err"
        self.control_path = place / f"{name}.ctl"
        self.process: subprocess.Popen[bytes] | None = None

    def options(self) -> list[str]:
        """Return the options of this kind of fake, read at each start."""
        return []

    @property
    def pid(self) -> int:
        """The pid of the running process."""
        assert self.process is not None, f"{self.name} does not run"
        return self.process.pid

    def launch(self) -> None:
        """Start the process and return when it listens. Raises AssertionError with what it said."""
        assert self.process is None, f"{self.name} runs already"
        self.control_path.unlink(missing_ok=True)
        command = [sys.executable, "-m", self.module, "--with-parent", "--address", self.address]
        command += ["--port", str(self.port), "--control", str(self.control_path), *self.options()]
        with self.error_path.open("ab") as errors:
            self.process = subprocess.Popen(
                command, cwd=TREE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        if not self.process.stdout.readline().startswith(b"listening"):
            self.process.wait(10)
            self.kill()

    def kill(self) -> None:
        """End the process by SIGKILL: the kernel closes its connections. Nothing when it does not run.

        Raises AssertionError when it had ended by itself: a fake that breaks proves nothing.
        """
        if self.process is None:
            return
        status = self.process.poll()
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        assert status is None, f"{self.name} had ended with {status}: {self.error_path.read_text()}"

    def signal(self, signum: int) -> None:
        """Send a signal; SIGSTOP makes a peer that accepts and never answers, SIGCONT brings it back."""
        procs.send(self.pid, signum)

    def order(self, **order: Any) -> dict[str, Any]:
        """Send one order to the control socket and return its answer. Raises AssertionError on an error."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.control_path))
            sock.sendall(json.dumps(order).encode() + b"\n")
            with sock.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline())
        if os.geteuid() and "deaf" in order and "Operation not permitted" in answer.get("error", ""):
            pytest.skip("only root may attach a socket filter here, which is how a line is cut")
        assert "error" not in answer, f"{self.name}: {answer['error']}"
        return answer

    def stats(self) -> dict[str, Any]:
        """Return the counters of the running process, as its module documents them."""
        return self.order(stats=True)
