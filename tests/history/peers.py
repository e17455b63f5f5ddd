"""Owns the peers of a campaign: a few processes of many londs each, whose journals outlive them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fakes.crowd import address_of, name_of
from tests.history.model import Executed
from tests.process.harness import TREE, Entry


def entries(count: int) -> list[Entry]:
    """Return the hosts of so many peers, for a site."""
    return [Entry(name_of(number), address_of(number)) for number in range(count)]


def token_of(line: str) -> str:
    """Return the token in an executed line: an echo's text, a put's last value; "" for all else."""
    if line.startswith("echo:"):
        return line[5:]
    return line.rpartition("=")[2] if line.startswith("put:") else ""


class Londs:
    """Peers 0 to `groups` times `each` less 1; a group is one process (tests/fakes/crowd.py)."""

    def __init__(self, place: Path, port: int, groups: int, each: int, late: str = "0") -> None:
        self.groups = groups
        self.each = each
        self._place = place
        self._port = port
        self._late = late
        self._running: list[subprocess.Popen[bytes] | None] = [None] * groups
        self._read = [0] * groups  # bytes of each journal that were returned

    def names(self, group: int) -> tuple[str, ...]:
        """Return the peers of a group."""
        return tuple(name_of(group * self.each + number) for number in range(self.each))

    def _journal(self, group: int) -> Path:
        return self._place / f"journal{group}"

    def pid(self, group: int) -> int:
        """Return the pid of a group's running process."""
        process = self._running[group]
        assert process is not None
        return process.pid

    def start(self, *groups: int) -> None:
        """Start these groups, all of them without any, and return when they listen."""
        chosen = groups or tuple(range(self.groups))
        for group in chosen:
            command = [sys.executable, "-m", "tests.fakes.crowd", str(self._port), str(self.each)]
            command += ["--first", str(group * self.each), "--journal", str(self._journal(group))]
            self._running[group] = subprocess.Popen(
                [*command, "--late", self._late], cwd=TREE, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        for group in chosen:
            process = self._running[group]
            assert process is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n", f"the peers of group {group} do not listen"

    def kill(self, group: int) -> None:
        """End a group by SIGKILL; its journal stays."""
        process = self._running[group]
        if process is None:
            return
        process.kill()
        process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()
        self._running[group] = None

    def reset(self, number: int) -> None:
        """Reset every connection of one peer."""
        process = self._running[number // self.each]
        assert process is not None
        assert process.stdin is not None
        process.stdin.write(b"reset %d\n" % number)
        process.stdin.flush()

    def stop(self) -> None:
        """End all groups."""
        for group in range(self.groups):
            self.kill(group)

    def executed(self) -> list[Executed]:
        """Return what was executed since the last call, in the order of each peer."""
        found: list[Executed] = []
        for group in range(self.groups):
            found += self._more(group)
        return found

    def _more(self, group: int) -> list[Executed]:
        path = self._journal(group)
        if not path.exists():
            return []
        with path.open("rb") as stream:
            stream.seek(self._read[group])
            data = stream.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._read[group] += len(whole)
        found = []
        for line in whole.decode("latin-1").splitlines():
            link, at, peer, text = line.split("\t", 3)
            if token := token_of(text):
                found.append(Executed(float(at), peer, token, link))
        return found
