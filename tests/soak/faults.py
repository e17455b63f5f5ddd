"""Owns the faults of a soak: each is begun, lasts a while, and is ended by whoever began it.

A fault is a generator: it does its harm, yields how many seconds it lasts (never more than LONGEST_S), and mends
it. What a table may cost a client is recorded like a kill, what signals, stops and bad lines do is not: it must
cost nobody anything but time.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator

from tests.fakes.crowd import name_of
from tests.history.world import World
from tests.process import procs
from tests.process.harness import Proxy

LONGEST_S = 4.0  # far below the time limits of requests, so that a stall alone loses nothing
OLD_LOGS = 2  # rotated ones that are kept
Fault = Iterator[float]


class Ground:
    """What faults are done to: the world, and the bad lines in front of some of its peers, by number."""

    def __init__(self, world: World, lines: dict[int, Proxy], chance: random.Random) -> None:
        self.world = world
        self.site = world.site
        self.lines = lines
        self.chance = chance
        self.rotated = 0
        self.disk_is_small = False
        self.disk_is_full = False
        self.unseen = set(SHARES)  # kinds of faults that were not yet drawn

    def wait_s(self, least: float = 0.3) -> float:
        """Return how long a fault is to last."""
        return self.chance.uniform(least, LONGEST_S)

    def child(self) -> int:
        """Return the pid of any child, 0 when it is just not there."""
        return self.world.child(self.chance.choice(self.world.peers))


def kill_child(ground: Ground) -> Fault:
    """Kill a child, more often one that flushes."""
    ground.world.kill_child(ground.chance, ground.chance.random() < 0.7)
    yield 0.2


def kill_parent(ground: Ground) -> Fault:
    """Kill the parent, or half of the children with it, and start again."""
    ground.world.kill_parent(ground.chance, ground.chance.random() < 0.5)
    yield 1.0


def kill_londs(ground: Ground) -> Fault:
    """Kill a group of londs; they come back at once."""
    ground.world.kill_londs(ground.chance)
    yield 0.5


def reset_link(ground: Ground) -> Fault:
    """Have a lond reset its link."""
    ground.world.reset_link(ground.chance)
    yield 0.2


def _line(ground: Ground) -> tuple[str, Proxy]:
    number = ground.chance.choice(sorted(ground.lines))
    return name_of(number), ground.lines[number]


def bad_line(ground: Ground) -> Fault:
    """Slice and slow down what goes over a line, both ways."""
    name, line = _line(ground)
    ground.world.fault("bad line", [name])
    slices = [1, ground.chance.randint(2, 200)]
    line.order(up={"slice": slices}, down={"slice": slices, "latency_ms": [0, ground.chance.randint(1, 200)]})
    yield ground.wait_s()
    line.order(up={}, down={})


def cut_line(ground: Ground) -> Fault:
    """Cut a line, by a reset or in order."""
    name, line = _line(ground)
    ground.world.fault("link", [name], "cut")
    line.order(end=ground.chance.choice(("rst", "close")))
    yield 0.2


def silent_line(ground: Ground) -> Fault:
    """Swallow everything on a line; what follows a gap must never come through, so it ends with a reset."""
    name, line = _line(ground)
    ground.world.fault("link", [name], "silence")
    line.order(swallow=True)
    yield ground.wait_s(1.0)
    line.order(swallow=False, end="rst")


def stop_londs(ground: Ground) -> Fault:
    """Stop a group of londs for a while."""
    group = ground.chance.randrange(ground.world.londs.groups)
    pid = ground.world.londs.pid(group)
    ground.world.fault("stopped lond", ground.world.londs.names(group))
    procs.send(pid, signal.SIGSTOP)
    yield ground.wait_s()
    procs.send(pid, signal.SIGCONT)


def stop_child(ground: Ground) -> Fault:
    """Stop a child for a while."""
    pid = ground.child()
    if pid:
        ground.world.fault("stopped child", [])
        procs.send(pid, signal.SIGSTOP)
        yield ground.wait_s()
        procs.send(pid, signal.SIGCONT)


def rotate(ground: Ground) -> Fault:
    """Rename the logs, or delete them, as a rotation does; the oldest go."""
    ground.world.fault("rotation", [])
    ground.world.pump()  # what stands in a log that is about to go
    ground.rotated += 1
    for path in (ground.site.log_path, ground.site.perm_log_path):
        if path.exists():
            path.rename(path.with_name(f"{path.name}.{ground.rotated}"))
        path.with_name(f"{path.name}.{ground.rotated - OLD_LOGS}").unlink(missing_ok=True)
    yield 0.5


def fill_disk(ground: Ground) -> Fault:
    """Leave no byte on the disk of the logs for a while, where it is a small one of their own."""
    if not ground.disk_is_small:
        return
    ground.world.fault("full disk", [])
    path = ground.site.logs_dir / "filler"
    ground.disk_is_full = True
    try:
        with path.open("wb", buffering=0) as filler:
            while filler.write(bytes(4096)) == 4096:
                pass
    except OSError:
        yield ground.wait_s()
    finally:
        path.unlink()
        ground.disk_is_full = False


def signal_parent(ground: Ground) -> Fault:
    """Send the parent USR1, or USR2 with an unchanged table."""
    ground.world.fault("signal to the parent", [])
    ground.site.signal(ground.chance.choice((signal.SIGUSR1, signal.SIGUSR2)))
    yield 0.3


def signal_child(ground: Ground) -> Fault:
    """Send a child USR1, USR2 or HUP."""
    pid = ground.child()
    if pid:
        ground.world.fault("signal to a child", [])
        procs.send(pid, ground.chance.choice((signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)))
        yield 0.3


def hang_up(ground: Ground) -> Fault:
    """Restart in place."""
    ground.world.fault("HUP", [])
    ground.site.signal(signal.SIGHUP)
    yield ground.wait_s(1.5)


def change_table(ground: Ground) -> Fault:
    """Take a peer out of the table, and put it back."""
    everybody = list(ground.site.entries)
    if len(everybody) < len(ground.world.peers):
        return  # one is out of it already
    gone = ground.chance.choice(everybody)
    ground.world.fault("table", [gone.id])
    ground.site.write_hosts([entry for entry in everybody if entry != gone])
    ground.site.signal(signal.SIGUSR2)
    yield ground.wait_s(1.0)
    ground.site.write_hosts(everybody)
    ground.site.signal(signal.SIGUSR2)
    ground.world.fault("table", [gone.id], "table, back")


# Of a hundred: a start of a daemon or of londs costs much.
SHARES: dict[Callable[[Ground], Fault], int] = {
    kill_child: 22, reset_link: 8, bad_line: 10, cut_line: 8, silent_line: 5, stop_londs: 6, stop_child: 8,
    rotate: 4, fill_disk: 4, signal_parent: 6, signal_child: 8, change_table: 5, kill_londs: 2, hang_up: 3,
    kill_parent: 1,
}  # fmt: skip
# With these the parent is another one, or another program, behind: they pause while leaks are looked for.
RENEWING = (hang_up, kill_parent)
# Not on a full disk: no daemon starts there, and that a message was passed over would be told in a lost line.
LOGGED = (kill_parent, reset_link, cut_line, silent_line, kill_londs)


def draw(ground: Ground, *, renewing: bool) -> Fault:
    """Return the next fault, not begun: each kind once, then by shares; renewing: the parent may be renewed."""
    kinds = [kind for kind in SHARES if renewing or kind not in RENEWING]
    kinds = [kind for kind in kinds if not (ground.disk_is_full and kind in LOGGED)]
    unseen = [kind for kind in kinds if kind in ground.unseen]
    chosen = ground.chance.choices(unseen or kinds, [SHARES[kind] for kind in unseen or kinds])[0]
    ground.unseen.discard(chosen)
    return chosen(ground)
