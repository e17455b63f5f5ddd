"""Row 21, zombies: a parent that could not reap for a while. Row 5, tiny buffers of the kernel at both ends.

The daemon's own buffers are made small by a sitecustomize that every new link of it meets, and that tells so.
"""

from __future__ import annotations

import signal
import time

import psutil

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.proof.tally import Tally

SMALL = 2048  # bytes; the kernel makes it its least
HOOK = f"""
import os, socket
class Small(socket.socket):
    def connect_ex(self, address):
        if self.family == socket.AF_INET:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                self.setsockopt(socket.SOL_SOCKET, option, {SMALL})
            with open(os.environ["TEST_SMALL"], "a") as told:
                told.write(f"{{self.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)}}\\n")
        return super().connect_ex(address)
socket.socket = Small
"""
ROUNDS = 3


def is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_zombies_are_reaped_and_replaced_as_soon_as_the_parent_can(make_site: MakeSite, tally: Tally) -> None:
    """The parent is stopped while all its children die: none of it is missed, and nothing of it stays."""
    names = ["msul1", "msul2", "msul3"]
    site = make_site(names, settings={"loncMaxAttempts": "0", "loncRestartMin": "0.01"})
    for name in names:
        site.peer(name)
    pid = site.start()
    site.wait_ready()
    for _round in range(ROUNDS):
        children = site.children()
        assert len(children) == len(names)
        site.signal(signal.SIGSTOP)
        for child in children:
            procs.send(child, signal.SIGKILL)
        wait_until(lambda: all(map(is_zombie, children)), 20, "zombies")  # noqa: B023 - called at once
        site.signal(signal.SIGCONT)
        wait_until(lambda: not any(map(is_zombie, children)), 20, "no zombie")  # noqa: B023 - called at once
        site.wait_ready()
        assert not set(children) & set(site.children())
        for name in names:
            assert site.ask(name, b"echo:x") == b"x"
        tally.add(inputs=len(names), faults=len(names))
    assert site.pid() == pid
    assert not [one for one in psutil.Process(pid).children() if is_zombie(one.pid)]


def small_daemon(make_site: MakeSite) -> Site:
    """Return a site whose daemon, line and peer all have the smallest buffers that the kernel allows."""
    site = make_site(settings={"loncRequestTimeout": "60"})
    proxy = site.proxy("msul1")
    proxy.order(buffers=SMALL)
    site.peer("msul1")
    hook = site.root / "hook"
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    told = hook / "told"
    site.start(env={"PYTHONPATH": str(hook), "TEST_SMALL": str(told)})
    site.wait_ready()
    assert all(int(line) <= 3 * SMALL for line in told.read_text().splitlines())
    return site


def test_tiny_buffers_at_both_ends(make_site: MakeSite, tally: Tally) -> None:
    """Long lines both ways at once cross through them whole; others are served meanwhile."""
    site = small_daemon(make_site)
    text = b"0123456789" * 20_000
    with site.connect("msul1") as one, site.connect("msul1") as two, site.connect("msul1") as three:
        for number in range(3):
            one.send(b"echo:" + text, b"encrypt:eecho:" + text[:5000], b"size:300000")
            two.send(*(b"echo:%d-%d" % (number, at) for at in range(50)))
            assert three.ask(b"echo:" + text[: 1000 * number], 60) == text[: 1000 * number]
            assert one.lines(3, 60) == [text, text[:5000], b"x" * 300_000]
            assert two.lines(50, 60) == [b"%d-%d" % (number, at) for at in range(50)]
            tally.add(inputs=54, faults=1)
    shown = site.board("msul1").child
    assert (shown.links_opened, shown.con_lost) == (1, 0)
    began = time.monotonic()
    site.proxies["msul1"].order(down={"slice": [1, 9]}, up={"slice": [1, 9]})
    assert site.ask("msul1", b"echo:" + text[:20_000], 60) == text[:20_000]
    print(f"\n20,000 bytes there and back in slices: {time.monotonic() - began:.1f} s")
