"""HUP and USR2 under load: the program in place of itself, and a table that changes, with nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.process import procs
from tests.process.conftest import MakeLond, MakePair
from tests.process.harness import Entry
from tests.process.lond_site import LONC, LondSite, Pair
from tests.process.peer import next_address
from tests.process.restarting import descriptors
from tests.process.waiting import TREE, stays, wait_until

RESTART_S = 40.0


class Puts:
    """Clients of lonc that put without pause, each after the answer to the one before."""

    def __init__(self, pair: Pair, clients: int = 4) -> None:
        self.tally: Counter[bytes | None] = Counter()
        self.kept: set[bytes] = set()  # keys whose `put` was answered `ok`
        self.errors: list[str] = []
        self._pair = pair
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._live, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Puts:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        assert not any(thread.is_alive() for thread in self._threads), "a client hangs"

    def _live(self, number: int) -> None:
        try:
            with self._pair.lonc.connect("srv1", 60) as client:
                count = 0
                while not self._stop.is_set():
                    count += 1
                    key = b"c%d_%d" % (number, count)
                    reply = client.ask(b"put:msu:joe:load:" + key + b"=" + key, 60)
                    with self._lock:
                        self.tally[reply] += 1
                        if reply == b"ok":
                            self.kept.add(key)
        except Exception as error:  # noqa: BLE001 - shown by the assertion of the test
            self.errors.append(repr(error))

    def wait_more(self, count: int) -> None:
        """Return when so many more requests have been answered."""
        before = self.tally.total()
        wait_until(lambda: self.tally.total() >= before + count or self.errors, 60, f"{count} more answers")

    def all_kept(self) -> list[bytes]:
        """Return the keys that were answered `ok` and are not there; nothing is the right answer."""
        missing = []
        keys = sorted(self.kept)
        for at in range(0, len(keys), 500):
            part = keys[at : at + 500]
            reply = self._pair.ask(b"get:msu:joe:load:" + b"&".join(part), 60)
            assert reply is not None
            missing += [key for key, value in zip(part, reply.split(b"&"), strict=True) if key != value]
        return missing


def own_descriptors(lond: LondSite) -> int:
    """Return how many descriptors the parent has, but for one socket for each worker."""
    return len(descriptors(lond.pid())) - len(lond.children())


def restart(lond: LondSite) -> None:
    """Send HUP and return when the new self serves."""
    done = lond.log_text().count("]: Restarted")
    lond.signal(signal.SIGHUP)
    lond.wait_log("]: Restarted", RESTART_S, count=done + 1)


def test_five_restarts_under_load_lose_nothing(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    parent, lock = pair.lond.pid(), os.stat(pair.lond.logs_dir / "lond.lock").st_ino
    restart(pair.lond)
    before = own_descriptors(pair.lond)
    with Puts(pair) as puts:
        for _ in range(5):
            puts.wait_more(50)
            restart(pair.lond)
        puts.wait_more(50)
    assert puts.errors == []
    assert set(puts.tally) == {b"ok"}, puts.tally
    assert puts.all_kept() == []
    assert pair.lond.pid() == parent
    assert os.stat(pair.lond.logs_dir / "lond.lock").st_ino == lock
    wait_until(lambda: own_descriptors(pair.lond) == before, 20, f"as many descriptors as before: {before}")
    assert pair.lond.title(parent).startswith("lond: Parent keeping the pool")
    assert "con_lost" not in str(puts.tally)
    wait_until(lambda: len(pair.lond.workers()) >= 3, 20, "one worker at work and two idle ones")


def test_a_broken_configuration_or_program_keeps_the_old_one(make_lond: MakeLond) -> None:
    lond = make_lond()
    tree = lond.root / "tree"
    shutil.copytree(TREE / "lonc", tree / "lonc", ignore=shutil.ignore_patterns("__pycache__"))
    program = tree / "lond"
    program.write_text(
        f"import sys\nsys.path[0] = {str(tree)!r}\nfrom lonc.lond.cli import main\nsys.exit(main())\n"
    )
    lond.command = lambda *arguments: [  # type: ignore[method-assign]  # its own copy of the program
        sys.executable, str(program), "--conf-dir", str(lond.conf_dir), *arguments,
    ]  # fmt: skip
    lond.start()
    client = lond.link()
    refused = "Restart refused, the running one goes on: exit code"
    spoiled: list[tuple[Path, str]] = [
        (lond.conf_dir / "loncapa.conf", "PerlSetVar londIdleWorkers none\n"),
        (lond.hosts_path, "nonsense\n"),
        (tree / "lonc" / "lond" / "daemon.py", "raise ImportError('half a release')\n"),
    ]
    for number, (path, text) in enumerate(spoiled, 1):
        good = path.read_text()
        path.write_text(text)
        lond.signal(signal.SIGHUP)
        lond.wait_log(refused, RESTART_S, count=number)
        path.write_text(good)
        assert client.ask(b"ping") == b"srv1", "the link lives on"
    assert "half a release" in lond.log_text()
    restart(lond)
    client.wait_closed()
    with lond.link() as another:
        assert another.ask(b"ping") == b"srv1"


def test_many_restarts_at_once_are_few(make_lond: MakeLond) -> None:
    lond = make_lond()
    lond.start()
    with lond.link() as client:
        for _ in range(30):
            lond.signal(signal.SIGHUP)
        assert client.ask(b"ping") == b"srv1"
    lond.wait_log("]: Restarted", RESTART_S)
    lond.stop()


def test_what_changed_on_disk_holds_after_a_restart(make_lond: MakeLond) -> None:
    lond = make_lond()
    parent = lond.start()
    other = next_address()
    lond.write_config(londListen=other, londIdleWorkers="4")
    restart(lond)
    lond.address = other
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    wait_until(lambda: len(lond.workers()) >= 4, 20, "four idle workers")
    assert lond.pid() == parent


def test_a_table_read_again_lets_go_whom_it_no_longer_names(make_lond: MakeLond) -> None:
    going, staying, coming = next_address(), next_address(), next_address()
    lond = make_lond([Entry("going", going), Entry("staying", staying)])
    lond.start()
    first, second = lond.link(going), lond.link(staying)
    assert first.ask(b"ping") == second.ask(b"ping") == b"srv1"
    entries = [entry for entry in lond.entries if entry.id != "going"] + [Entry("coming", coming)]
    lond.write_hosts(entries)
    first.send(b"ping")
    lond.signal(signal.SIGUSR2)
    lond.wait_log("hosts.tab read again: 1 new, 1 gone, 0 changed")
    assert first.line() == b"srv1", "what is in hand is finished"
    first.wait_closed()
    assert second.ask(b"ping") == b"srv1"
    with lond.link(coming) as third:
        assert third.ask(b"ping") == b"srv1"
    with lond.dial(going) as stranger:
        assert stranger.line() == b"refused"
    for text in ("", "broken\n"):
        lond.hosts_path.write_text(text)
        before = lond.log_text().count("hosts.tab cannot be used, the old one stays")
        lond.signal(signal.SIGUSR2)
        lond.wait_log("hosts.tab cannot be used, the old one stays", count=before + 1)
    assert second.ask(b"ping") == b"srv1"
    with lond.link() as client:
        assert client.ask(b"ping") == b"srv1"
    stays(lambda: second.ask(b"ping") == b"srv1", 0.2, "the link of one who stays")


def test_storms_of_signals_end_in_order(make_lonc_and_lond: MakePair) -> None:
    pair = make_lonc_and_lond()
    pair.start()
    lond = pair.lond
    parent = lond.pid()
    with Puts(pair, 2) as puts:
        for round_ in range(60):
            signum = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)[round_ % 3]
            procs.send(parent, signum)
            time.sleep(0.02)
        lond.wait_log("]: Restarted", RESTART_S)
        puts.wait_more(20)
    assert puts.errors == []
    assert set(puts.tally) == {b"ok"}, puts.tally
    assert lond.pid() == parent
    assert LONC in {entry.id for entry in lond.entries}
    family = [parent, *procs.descendants(parent)]
    procs.send(parent, signal.SIGHUP)
    procs.send(parent, signal.SIGTERM)
    wait_until(lambda: not any(procs.alive(pid) for pid in family), 40, "the end")
    assert not lond.pid_path.exists()
