"""A program around a pool, for tests: `python -m tests.process.pool_program OPTIONS`, OPTIONS being JSON.

It prints where it listens and serves until it is told to end. A client is greeted with `<worker> <pid>`; each line
it sends is an order to its worker (ORDERS), anything else comes back as it was.
    rules   of the pool        unix    path instead of a port of 127.0.0.1        log   path
    chld    "deaf": nobody hears of a death; "stolen": somebody else waits for the dead
    forks   [errno, how often] what the first forks fail with
    accept  [errno, how often] what the first accepts of each worker fail with
    cannot  the service cannot begin
HUP has the babysitter look, WINCH calls shutdown().
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections import deque
from typing import Any, ClassVar

from lonc.errors import LoncError
from lonc.loop import Loop
from lonc.pool import Channel, Pool, PoolRules, Worker, listen_tcp, listen_unix
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log


def spin() -> None:
    """Compute without end."""
    while True:
        pass


def spin_deaf() -> None:
    """Compute without end and catch whatever a signal raises, but die of a second one."""
    caught = 0
    while True:
        try:
            spin()
        except BaseException:  # noqa: BLE001 - what this is for
            caught += 1


def spin_blocked() -> None:
    """Compute without end where no signal is heard, as inside a library's C code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    spin()


def nap() -> None:
    """Compute until INT has come, then sleep until USR1 has; both do nothing else."""
    held = (signal.SIGINT, signal.SIGUSR1)
    signal.pthread_sigmask(signal.SIG_BLOCK, held)
    while signal.SIGINT not in signal.sigpending():
        pass
    for signum in reversed(held):
        signal.sigwait({signum})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)


class Talk:
    """One client."""

    def __init__(self, channel: Channel, worker: Worker) -> None:
        self.deadline: float | None = None
        self.channel, self.worker = channel, worker
        self.late = b""
        self.lines: deque[bytes] = deque()
        channel.send(b"%s %d %s\n" % (worker.name.encode(), os.getpid(), channel.address.encode()))

    def received(self, data: bytes) -> None:
        """Do what each line says, later where the client does not read its answers."""
        self.lines += data.splitlines()
        self.go_on()

    def go_on(self) -> None:
        """Do what waits, as long as there is room for answers."""
        while self.lines:
            if self.channel.full:
                self.worker.log.write("asked for much")
                self.channel.on_room = self.go_on
                return
            line = self.lines.popleft()
            word, _, rest = line.partition(b" ")
            if word == b"spin":
                {b"": spin, b"deaf": spin_deaf, b"blocked": spin_blocked}[rest]()
            elif word == b"nap":
                nap()
                self.channel.send(b"slept\n")
            elif word == b"busy":  # works for so many ms of CPU, and says that it lives
                self._work(int(rest))
            elif word == b"crash":
                raise RuntimeError("as ordered")
            elif word == b"word":
                self.worker.tell(rest)
            elif word == b"late":
                self.deadline, self.late = self.channel.loop.now + 0.2, rest
            elif word == b"big":
                self.channel.send(b"x" * int(rest) + b"\n")
            elif word == b"bye":
                self.channel.send(b"bye\n")
                self.channel.close()
            else:
                self.channel.send(line + b"\n")

    def _work(self, milliseconds: int) -> None:
        began = os.times().user
        while os.times().user - began < milliseconds / 1000:
            self.worker.beat()
        self.channel.send(b"done\n")

    def due(self, now: float) -> None:
        """Answer late."""
        self.deadline = None
        self.channel.send(b"late %s %d\n" % (self.late, now >= 0.0))

    def ended(self) -> None:
        """Tell it."""
        self.worker.log.write("a client has ended")


class Talker:
    """The service."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.cannot = options.get("cannot", False)

    def begin(self, worker: Worker) -> None:
        """Tell the parent."""
        if self.cannot:
            raise LoncError("as ordered")
        self.worker = worker
        worker.tell(b"begun")

    def connected(self, channel: Channel) -> Talk | None:
        """Take everybody."""
        return Talk(channel, self.worker)

    def reload(self) -> None:
        """Tell it."""
        self.worker.log.write("told to reload")

    def report(self) -> list[str]:
        """Return one line."""
        return [f"served by {self.worker.name}"]

    def end(self) -> None:
        """Tell it."""
        self.worker.log.write("told to end")


def fail_forks(number: int, times: int) -> None:
    """Have the first forks fail."""
    fork, left = os.fork, [number] * times

    def failing() -> int:
        if left:
            raise OSError(left[-1], os.strerror(left.pop()))
        return fork()

    os.fork = failing


class FailingListener(socket.socket):
    """A listener whose first accepts fail."""

    failures: ClassVar[list[int]] = []

    def accept(self) -> tuple[socket.socket, Any]:
        """Fail, or accept."""
        if self.failures:
            raise OSError(self.failures[-1], os.strerror(self.failures.pop()))
        return super().accept()


def main() -> int:
    """Run the pool."""
    options = json.loads(sys.argv[1])
    clock = SystemClock()
    log = Log(options["log"], files=SystemFiles(), clock=clock, who="PARENT")
    listener = listen_unix(options["unix"]) if "unix" in options else listen_tcp("127.0.0.1", 0)
    if "accept" in options:
        listener = FailingListener(fileno=listener.detach())
        number, times = options["accept"]
        FailingListener.failures += [number] * times
    rules = PoolRules(**{"program": "pooltest", **options.get("rules", {})})
    pool = Pool([listener], Talker(options), rules, loop=Loop(clock), log=log, board=None, clock=clock)
    pool.on_word = lambda name, word: log.write(f"word of {name}: {word.decode()}")
    pool.signals[signal.SIGHUP] = pool.look
    pool.signals[signal.SIGWINCH] = pool.shutdown
    pool.signals[signal.SIGURG] = pool.reload_workers
    if options.get("chld") == "deaf":
        pool.signals[signal.SIGCHLD] = lambda: None
    elif options.get("chld") == "stolen":
        pool.signals[signal.SIGCHLD] = lambda: os.waitpid(-1, os.WNOHANG)
    if "forks" in options:
        fail_forks(*options["forks"])
    address = json.dumps(listener.getsockname())
    pool.start()
    print(address, flush=True)
    return pool.keep()


if __name__ == "__main__":
    sys.exit(main())
