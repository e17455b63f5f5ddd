"""A time server on a pool of workers: three always idle, each serves one client at a time, ten in its life.

    python doc/examples/timeserver.py 127.0.0.1 7000 /tmp/timeserver.log
    printf 'time\n' | nc 127.0.0.1 7000

TERM ends it in order, USR2 writes what it knows of its workers to the log, TTIN and TTOU change its size.
"""

import sys
import time

from lonc.loop import Loop
from lonc.pool import Channel, Pool, PoolRules, Worker, listen_tcp
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles
from lonc.system.logs import Log

PATIENCE_S = 30.0  # a client that says nothing for so long is sent away


class Asking:  # one client
    def __init__(self, channel: Channel) -> None:
        self.channel, self.rest = channel, b""  # rest: a line that has not come wholly
        self.deadline: float | None = channel.loop.now + PATIENCE_S

    def received(self, data: bytes) -> None:
        self.deadline = self.channel.loop.now + PATIENCE_S
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.channel.send(time.strftime("%F %T\n").encode() if line == b"time" else b"ask for the time\n")
        if len(self.rest) > 100:
            self.channel.close()

    def due(self, now: float) -> None:
        self.channel.close()

    def ended(self) -> None: ...


class TimeService:  # what a worker does; one with a data base opens it in begin(), closes it in end()
    def begin(self, worker: Worker) -> None: ...
    def reload(self) -> None: ...
    def end(self) -> None: ...

    def connected(self, channel: Channel) -> Asking:
        return Asking(channel)

    def report(self) -> list[str]:
        return ["knows the time"]


host, port, path = sys.argv[1:]
clock = SystemClock()
log = Log(path, files=SystemFiles(), clock=clock, who="timeserver")
rules, listener = PoolRules("timeserver", idle=3, most=50, connections=10), listen_tcp(host, int(port))
pool = Pool([listener], TimeService(), rules, loop=Loop(clock), log=log, clock=clock)
pool.start()
sys.exit(pool.keep())
