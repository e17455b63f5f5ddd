"""A program that is the real parent with a stand-in for its children: what is tested here is the parent alone.

    stub_parent.py --conf-dir DIR [-t | --resume FD]

The stand-in does as the file `mode` (or `mode-<peer>`) in the installation's root says: `serve` (the default;
each client gets `<peer> <pid>` and is closed), `deaf` (serves, ignores TERM), `idle S` (serves, leaves as idle
after S seconds without a client), `exit N`, `raise`, `spin` (its loop never turns), `stable N` (as if a link had
been ready for 400 s, then exit N).
With a file `broken` the check `-t` fails, with `hang` it never ends.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import signal
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lonc.child import ChildContext
from lonc.config import load_config, load_hosts
from lonc.errors import ExitCode, LoncError
from lonc.loop import Loop
from lonc.parent import serve, watchman
from lonc.system import check, signals
from lonc.system.daemonize import Start
from lonc.system.scoreboard import ChildRecord
from lonc.system.titles import set_title


class Stub:
    """One stand-in child."""

    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self.name = context.host.id
        self.root = Path(context.config.conf_dir).parent
        self.code: int | None = None
        self.loop = Loop(context.clock)
        self.asked_at = self.loop.now

    def mode(self) -> list[str]:
        """Return the words of what this child is to do."""
        for name in (f"mode-{self.name}", "mode"):
            if (self.root / name).exists():
                return (self.root / name).read_text().split()
        return ["serve"]

    def run(self) -> int:
        """Do it."""
        set_title(f"lonc: {self.name} stub")
        with open(self.root / "births", "a") as file:
            file.write(f"{self.name} {os.getpid()} {self.context.attempts} {time.monotonic()}\n")
        mode = self.mode()
        if mode[0] == "exit":
            return int(mode[1])
        if mode[0] == "raise":
            raise RuntimeError("a secret password")
        if mode[0] == "stable":
            record = ChildRecord(pid=os.getpid(), longest_ready_s=400.0)
            self.context.board.write_child(self.context.slot, record)
            return int(mode[1])
        if mode[0] == "spin":
            faulthandler.register(signal.SIGTRAP, file=self.context.dump_fd, all_threads=True)
            signals.restore(())
            self.spin_for_ever()
        return self.serve(deaf=mode[0] == "deaf", idle_s=float(mode[1]) if len(mode) > 1 else 1e9)

    def spin_for_ever(self) -> None:
        """Never turn the loop."""
        while True:
            time.monotonic()

    def serve(self, *, deaf: bool, idle_s: float) -> int:
        """Serve clients until told to leave."""
        self.loop.catch(signals.CHILD_SIGNALS, lambda signum: self.on_signal(signum, deaf))
        signals.restore(())
        self.loop.watch(self.context.listener, self.on_client)
        self.loop.watch(self.context.lifeline_fd, self.on_orphaned)
        self.asked_at = self.loop.now
        while self.code is None:
            self.context.board.beat(self.context.slot, self.loop.now)
            self.loop.turn(min(self.loop.now + 0.2, self.asked_at + idle_s))
            if self.code is None and self.loop.now >= self.asked_at + idle_s:
                return int(ExitCode.IDLE)
        return self.code

    def on_signal(self, signum: int, deaf: bool) -> None:
        """Note USR1 in a file, leave on TERM."""
        if signum == signal.SIGUSR1:
            with open(self.root / "called", "a") as file:
                file.write(f"{self.name} {os.getpid()}\n")
        elif signum == signal.SIGTERM and not deaf:
            self.code = 0

    def on_orphaned(self, _mask: int) -> None:
        """The parent is gone."""
        self.code = 13

    def on_client(self, _mask: int) -> None:
        """Answer one client and close it."""
        try:
            client, _ = self.context.listener.accept()
        except BlockingIOError:
            return
        self.asked_at = self.loop.now
        with client, contextlib.suppress(OSError):  # a client that only looked whether it can connect
            client.settimeout(2)
            client.sendall(f"{self.name} {os.getpid()}\n".encode())
            client.shutdown(socket.SHUT_WR)


def run_stub(context: ChildContext) -> int:
    """Be one stand-in child; the exit code."""
    return Stub(context).run()


def main() -> int:
    """Check, or be the parent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", action="store_true")
    parser.add_argument("--conf-dir", required=True)
    parser.add_argument("--resume", type=int)
    options = parser.parse_args()
    root = Path(options.conf_dir).parent
    if options.t:
        if (root / "hang").exists():
            time.sleep(60)
        if (root / "broken").exists():
            sys.exit("line one\n<broken> as ordered")
        load_config(options.conf_dir)
        return 0
    signals.reset_inherited(blocked=True)
    if (root / "quick").exists():  # stuck after 1 s, so that a test need not wait for 30
        watchman.CHECK_S, watchman.STUCK_S = 0.2, 1.0
        check.CHECK_TIMEOUT_S = 1.0
    config = load_config(options.conf_dir)
    argv = (sys.executable, str(Path(__file__).resolve()), "--conf-dir", options.conf_dir)

    pipe = os.pipe()  # as the starting command has one; its numbers are free again when it is told

    def ready(failure: str | None) -> None:
        for fd in pipe:
            os.close(fd)
        (root / "ready").write_text(f"{os.getpid()} {failure}")

    try:
        return serve(Start(config, load_hosts(config), argv, False, ready, options.resume), run_stub)
    except LoncError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
