"""Owns being somebody else: processes of other users that use the sockets, and how a test gets them."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.harness import Site

NOBODY = pwd.getpwnam("nobody").pw_uid
WAIT_S = 30.0

_HOLD = """
import socket, sys
held = []
for _ in range(int(sys.argv[2])):
    one = socket.socket(socket.AF_UNIX)
    one.settimeout(20)
    one.connect(sys.argv[1])
    try:
        one.sendall(b"echo:x\\n")
        answer = one.recv(100)
    except OSError:
        answer = b""
    held.append(one)
    print("served" if answer == b"x\\n" else "closed", flush=True)
sys.stdin.read()
"""


def needs_root() -> None:
    """Skip the test where it cannot become another user."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, to become another user")


def become(uid: int = NOBODY) -> list[str]:
    """Return what stands before a command that another user shall run."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]


def let_in(site: Site) -> None:
    """Open the site's directories and sockets to everybody, so that the kernel's word alone decides."""
    site.root.chmod(0o755)
    site.sock_dir.chmod(0o755)
    for entry in site.entries:
        if site.socket_path(entry.id).exists():
            site.socket_path(entry.id).chmod(0o666)


class Holder:
    """A process of another user that opens connections, asks on each once, and keeps them open."""

    def __init__(self, path: Path, count: int, uid: int = NOBODY) -> None:
        python = sys.executable if uid == os.geteuid() else "/usr/bin/python3"
        if not Path(python).exists():
            pytest.skip(f"needs {python}: another user may not run the tests' own Python")
        self._count = count
        command = [*([] if uid == os.geteuid() else become(uid)), python, "-I", "-c", _HOLD, str(path), str(count)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd="/")

    def answers(self) -> list[str]:
        """Return what came of each connection, in order: `served` or `closed`."""
        assert self._process.stdout is not None
        said = b""
        while said.count(b"\n") < self._count:
            poll = select.poll()  # whose descriptors may have any number
            poll.register(self._process.stdout, select.POLLIN)
            ready = poll.poll(WAIT_S * 1000)
            data = os.read(self._process.stdout.fileno(), 4096) if ready else b""
            assert data, f"only {said!r}"
            said += data
        return said.decode().split()

    def end(self) -> None:
        """Close all of it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
