"""Owns an installation whose parent is real and whose children are stand-ins (stub_parent.py)."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.process import procs
from tests.process.harness import Site
from tests.process.waiting import wait_until

STUB = Path(__file__).with_name("stub_parent.py")
QUICK = {"loncStopTimeout": "3", "loncRestartMin": "0.05"}


class ParentSite(Site):
    """A site that is started as a child of the test, and asked through its stand-in children."""

    def __init__(self, hosts: Sequence[str] = ("p1", "p2", "p3"), **settings: str) -> None:
        super().__init__(hosts, settings=QUICK | settings)
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, wrapper: Sequence[str] = (), *, wait: bool = True) -> subprocess.Popen[bytes]:
        """Start the parent and return it when it serves."""
        command = [*wrapper, sys.executable, str(STUB), "--conf-dir", str(self.conf_dir)]
        (self.root / "ready").unlink(missing_ok=True)
        with open(self.error_path, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )
        if wait:
            process = self.process
            wait_until(
                lambda: (self.root / "ready").exists() or process.poll() is not None, 15, "a parent that serves"
            )
            assert process.poll() is None, self.error_text()
        return self.process

    def set_mode(self, text: str, peer: str = "") -> None:
        """Say what children are to do from now on."""
        (self.root / (f"mode-{peer}" if peer else "mode")).write_text(text)

    def who(self, peer: str) -> int:
        """Return the pid of the child that answers for a peer; OSError when nobody can be connected."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.socket_path(peer)))
            answer = client.makefile("rb").readline().split()
        assert answer[:1] == [peer.encode()], answer
        return int(answer[1])

    def refused(self, peer: str) -> bool:
        """Return whether a client cannot even connect."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.socket_path(peer)))
            except OSError:
                return True
        return False

    def births(self, peer: str) -> list[list[str]]:
        """Return the stand-ins that were born for a peer: pid, attempts, monotonic time."""
        path = self.root / "births"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split()[1:] for line in lines if line.split()[0] == peer]

    def finish(self, signum: int = signal.SIGTERM, timeout_s: float = 10.0) -> int:
        """End the parent by a signal and return its exit code; nothing of it is left."""
        assert self.process is not None
        family = procs.descendants(self.process.pid)
        self.process.send_signal(signum)
        code = self.process.wait(timeout_s)
        wait_until(lambda: not any(procs.alive(pid) for pid in family), 5, "the end of all children")
        return code

    def cleanup(self) -> None:
        """End everything, by pid."""
        if self.process is not None:
            procs.end([*procs.descendants(self.process.pid), self.process.pid])
            self.process.wait(10)
        super().cleanup()

    def descriptors(self) -> list[str]:
        """Return what the parent has open for more than a moment, without the numbers of pipes and sockets."""
        seen: list[list[str]] = [[], ["nothing yet"]]
        for _ in range(20):  # a log line or an import may have a file open just now
            if seen[-1] == seen[-2]:
                break
            time.sleep(0.05)
            seen.append(self._open_now())
        return seen[-1]

    def _open_now(self) -> list[str]:
        assert self.process is not None
        place = Path(f"/proc/{self.process.pid}/fd")
        found = []
        for name in os.listdir(place):
            with contextlib.suppress(OSError):
                found.append(os.readlink(place / name).partition("[")[0])
        return sorted(found)


@contextlib.contextmanager
def parent_site(hosts: Sequence[str] = ("p1", "p2", "p3"), **settings: str) -> Iterator[ParentSite]:
    """Give a site, not yet begun, and clean up behind it; a failure shows what it said."""
    site = ParentSite(hosts, **settings)
    try:
        yield site
    except BaseException:
        print(site.report())
        raise
    finally:
        site.cleanup()
