"""HUP of the real daemon with real children: the hand-over, what is broken stays out, every moment is survived.

Acceptance A6; promises P21, P22, P24. Under load: test_restart_load.py.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import SITES, MakeSite
from tests.process import procs
from tests.process.harness import TREE, Site, wait_until
from tests.process.restarting import CopySite, descriptors, gone, restart, restarts, wait_restarts


@pytest.fixture
def copied(request: pytest.FixtureRequest, make_site: MakeSite) -> CopySite:
    """A site with a program of its own; ended like every other."""
    site = CopySite()
    request.node.stash.setdefault(SITES, []).append(site)
    return site


@pytest.fixture
def served(site: Site) -> Site:
    """A daemon with one peer, its link ready."""
    site.peer("msul1")
    site.start()
    site.wait_ready()
    return site


# ------------------------------------------------------------------------------------------- the hand-over


def test_a_write_after_the_hand_over_fails_and_what_was_written_before_is_answered(site: Site) -> None:
    """The moment of house.md 3 in slow motion: written before, answered; half a line, dropped; after, EPIPE."""
    site.peer("msul1", "on echo:slow=late:1500")
    site.start()
    site.wait_ready()
    with site.connect("msul1") as busy, site.connect("msul1") as idle, site.connect("msul1") as half:
        busy.send(b"echo:slow")
        half.send_raw(b"echo:one\necho:tw")
        assert half.line() == b"one"
        site.signal(signal.SIGHUP)
        site.wait_log("children hand over to new ones")
        busy.send(b"echo:fast")
        idle.wait_closed()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            idle.send(b"echo:late")
        half.wait_closed()
        assert busy.lines(2) == [b"slow", b"fast"]
        busy.wait_closed()
    assert site.ask("msul1", b"echo:new") == b"new"


def test_requests_longer_than_the_stop_time_are_con_lost_and_nothing_else(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncStopTimeout": "2"})
    site.peer("msul1", "on echo:never=stall@1")
    site.start()
    site.wait_ready()
    first = site.child("msul1")
    with site.connect("msul1") as client:
        client.send(b"echo:never")
        site.signal(signal.SIGHUP)
        assert client.line() == b"con_lost"
        client.wait_closed()
    wait_until(lambda: not procs.alive(first), 5, "the end of the old child")
    assert site.ask("msul1", b"echo:new") == b"new"
    assert "killed" not in site.log_text()


def test_clients_that_come_during_the_hand_over_wait_and_are_served(site: Site) -> None:
    site.peer("msul1", "on echo:slow=late:1200")
    site.start()
    site.wait_ready()
    first = site.child("msul1")
    with site.connect("msul1") as busy:
        busy.send(b"echo:slow")
        site.signal(signal.SIGHUP)
        site.wait_log("children hand over to new ones")
        waiting = [site.connect("msul1") for _ in range(20)]
        for number, client in enumerate(waiting):
            client.send(b"echo:%d" % number)
        assert busy.line() == b"slow"
        for number, client in enumerate(waiting):
            assert client.line() == b"%d" % number
            client.close()
    wait_until(lambda: not procs.alive(first), 10, "the end of the old child")
    assert site.ask("msul1", b"echo:new") == b"new"


# ------------------------------------------------------------------------------------------------- refused


def breaking(site: CopySite, how: str) -> None:
    """Break the configuration, the table, or the package on disk."""
    if how == "configuration":
        site.write_config(loncGrace="soon")
    elif how == "table":
        site.hosts_path.write_bytes(b"\0\xff" * 100)
    elif how == "child/connection.py":  # it can be loaded; the first client ends each child
        path = site.tree / "lonc" / how
        path.write_text(path.read_text().replace("_UCRED.unpack(", "_UNKNOWN.unpack("))
    else:
        path = site.tree / "lonc" / how
        path.write_text(path.read_text() + "\nthis is no Python\n")


BREAKS = {
    "configuration": "loncGrace",
    "table": "hosts.tab",
    "cli/daemon.py": "SyntaxError",
    "parent/flock.py": "SyntaxError",
    "child/child.py": "SyntaxError",
    "wire/idea.py": "SyntaxError",
    "child/connection.py": "a child of this program cannot serve: NameError in lonc/child/connection.py, line",
}


@pytest.mark.parametrize("how", list(BREAKS))
def test_hup_to_something_broken_keeps_the_old_one_serving(copied: CopySite, how: str) -> None:
    site = copied
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    child, before = site.child("msul1"), descriptors(pid)
    old = (site.tree / "lonc" / how).read_text() if how.endswith(".py") else ""
    breaking(site, how)
    site.signal(signal.SIGHUP)
    site.wait_log("CRITICAL: Restart refused, the running one goes on:", 30)
    assert BREAKS[how] in site.log("PARENT")[-1].message
    assert site.ask("msul1", b"echo:x") == b"x"
    assert (site.pid(), site.children()) == (pid, [child])
    assert descriptors(pid) == before
    if old:
        (site.tree / "lonc" / how).write_text(old)
    site.write_config(loncGrace="2")
    site.write_hosts()
    restart(site)
    assert site.pid() == pid
    assert site.child("msul1") != child
    assert site.stop() < 12


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("hosts.tab", "", "hosts.tab became unusable during the restart, the former one goes on"),
        ("hosts.tab", "msul1:msu", "hosts.tab became unusable during the restart, the former one goes on"),
        ("loncapa.conf", "PerlSetVar loncGrace soon\n", "The configuration became unusable during the restart"),
        ("loncapa.conf", "PerlSetVar lonDaemons /nowhere\n", "lonDaemons cannot change"),
    ],
)
def test_what_breaks_between_check_and_exec_is_fallen_back_from(
    copied: CopySite, name: str, text: str, told: str
) -> None:
    site = copied
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    child = site.child("msul1")
    site.in_gap(name, text)
    restart(site)
    assert f"CRITICAL: Going on in spite of: {told}" in site.log_text()
    assert site.pid() == pid
    assert site.child("msul1") != child
    assert site.ask("msul1", b"echo:x") == b"x"
    site.write_config()
    site.write_hosts()
    restart(site)
    assert site.log_text().count(told) == 1
    assert site.stop() < 12


def test_a_removed_lock_file_is_made_again_and_the_restart_goes_on(served: Site) -> None:
    pid = served.pid()
    lock = served.logs_dir / "lonc.lock"
    lock.unlink()
    restart(served)
    assert f"WARNING: {lock} had been removed" in served.log_text()
    assert lock.read_text() == f"{pid}\n"
    done = served.run()
    assert done.returncode == 1
    assert f"process {pid} holds {lock}" in done.stderr
    assert served.ask("msul1", b"echo:x") == b"x"


def test_killall_finds_the_parent_in_the_middle_of_a_restart(copied: CopySite) -> None:
    """The new self has the short name before it imports anything: held up there, TERM to all ends all."""
    site = copied
    site.program = site.tree / "bin" / "lonc"
    site.program.parent.mkdir()
    shutil.copy(TREE / "bin" / "lonc", site.program)
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    reached, package = site.root / "reached", site.tree / "lonc" / "__init__.py"
    waiting = f"open({str(reached)!r}, 'w').close(); time.sleep(1.5)"
    package.write_text(package.read_text() + f"\nimport sys, time\nif '--resume' in sys.argv: {waiting}\n")
    site.signal(signal.SIGHUP)
    wait_until(reached.exists, 20, "the new self")
    family = [one for one in [pid, *procs.descendants(pid)] if short_name(one) == "lonc"]
    assert len(family) == 2
    for one in family:
        procs.send(one, signal.SIGTERM)
    wait_until(lambda: gone(family), 15, "the end of all")
    wait_until(lambda: site.processes() == [site.peers["msul1"].pid], 5, "nobody left")
    assert not site.pid_path.exists()
    assert not site.socket_path("msul1").exists()


def short_name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_removed_logs_directory_ends_nothing(served: Site) -> None:
    """The lock cannot be proved then, so the old self goes on; with the directory back, HUP mends all."""
    pid, child = served.pid(), served.child("msul1")
    shutil.move(served.logs_dir, served.root / "moved")
    served.signal(signal.SIGHUP, pid)
    wait_until(lambda: len(procs.descendants(pid)) == 2, 10, "the check")
    wait_until(lambda: len(procs.descendants(pid)) == 1, 20, "its end")
    assert served.ask("msul1", b"echo:x") == b"x"
    assert procs.alive(child)
    served.logs_dir.mkdir()
    served.signal(signal.SIGHUP, pid)
    served.wait_log("children hand over to new ones", 20)
    wait_until(served.pid_path.exists, 5, "the pid file")
    wait_until(lambda: not procs.alive(child), 10, "the end of the old child")
    served.wait_ready()
    assert served.pid() == pid
    assert served.run().returncode == 1  # the lock is held, in its new file
    assert served.ask("msul1", b"echo:x") == b"x"


def test_a_removed_pid_file_is_written_again(served: Site) -> None:
    pid = served.pid()
    served.pid_path.unlink()
    served.signal(signal.SIGHUP, pid)
    wait_until(served.pid_path.exists, 20, "the pid file")
    assert served.pid() == pid


# ------------------------------------------------------------------------------------ in every moment


@pytest.mark.parametrize("step", ["init", "sethost", "ekey"])
def test_hup_while_a_child_is_in_its_dialogue(make_site: MakeSite, step: str) -> None:
    site = make_site(["msul1", "msul2"], settings={"loncGrace": "20"})
    site.peer("msul1", f"at {step}=stall@1")
    site.peer("msul2")
    pid = site.start()
    site.wait_ready("msul2")
    first = site.child("msul1")
    assert not site.ready("msul1")
    site.signal(signal.SIGHUP)
    wait_until(lambda: not procs.alive(first), 15, "the end of a child without clients")
    site.wait_ready()
    assert site.ask("msul1", b"echo:x") == b"x"
    assert site.pid() == pid


@pytest.mark.parametrize("delayed", [False, True])
def test_hup_in_the_dialogue_with_a_client_that_waits(make_site: MakeSite, delayed: bool) -> None:
    """Its request was taken by the old child, so the old child answers it as soon as its link is there.

    A delayed message goes before it, as ever.
    """
    site = make_site(["msul1"], settings={"loncGrace": "20"})
    peer = site.peer("msul1", "at ekey=late:2500@1")
    if delayed:
        site.delay("msul1", b"put:msu:u:ns:a=1")
    site.start()
    with site.connect("msul1") as client:
        client.send(b"echo:patient")
        first = site.child("msul1")
        site.signal(signal.SIGHUP)
        site.wait_log("children hand over to new ones")
        assert client.line(20) == b"patient"
        client.wait_closed()
    wait_until(lambda: not procs.alive(first), 15, "the end of the old child")
    assert site.ask("msul1", b"echo:x") == b"x"
    assert peer.executed() == ["put:msu:u:ns:a=1"] * delayed + ["echo:patient", "echo:x"]


def calm(site: Site) -> bool:
    """Return whether for 0.7 s nothing is under way: no restart, no check, every link ready."""
    number, deadline = restarts(site), time.monotonic() + 0.7
    while time.monotonic() < deadline:
        settled = len(site.children()) == len(site.entries) and all(site.ready(one.id) for one in site.entries)
        if not settled or restarts(site) != number:
            return False
    return True


def test_hup_during_hup_and_a_thousand_in_a_second(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2", "msul3"])
    for entry in site.entries:
        site.peer(entry.id)
    pid = site.start()
    site.wait_ready()
    restart(site)
    before = descriptors(pid), [descriptors(child) for child in site.children()]
    with site.connect("msul1") as client:  # it keeps the hand-over going while the next ones come
        for number in (2, 3, 4):
            site.signal(signal.SIGHUP)
            wait_restarts(site, number)
        client.wait_closed()
    began = time.monotonic()
    for _ in range(1000):
        procs.send(pid, signal.SIGHUP)
        time.sleep(0.0005)
    print(f"\n1,000 HUPs in {time.monotonic() - began:.2f} s")
    wait_restarts(site, 5)

    wait_until(lambda: calm(site), 30, "three children with links and no further restart")
    assert (descriptors(pid), [descriptors(child) for child in site.children()]) == before
    assert site.pid() == pid
    for entry in site.entries:
        assert site.ask(entry.id, b"echo:x") == b"x"
    assert site.stop() < 12


@pytest.mark.parametrize("delay_ms", [0, 30, 100, 170, 250, 350, 500])
def test_term_during_hup_wins(served: Site, delay_ms: int) -> None:
    pid = served.pid()
    family = [pid, *procs.descendants(pid)]
    served.signal(signal.SIGHUP)
    time.sleep(delay_ms / 1000)  # into another moment of the restart each time
    family += procs.descendants(pid)
    assert served.stop() < 12
    assert not [one for one in family if procs.alive(one)]
    assert not served.pid_path.exists()
    assert not served.socket_path("msul1").exists()
    wait_until(lambda: served.processes() == [served.peers["msul1"].pid], 5, "nobody left")


def test_usr1_and_usr2_in_every_moment_of_a_restart_are_carried_out(served: Site) -> None:
    pid = served.pid()
    for number, delay_ms in enumerate((0, 40, 120, 180, 240, 300, 400)):
        calls = served.log_text().count("Going to check on the children")
        served.signal(signal.SIGHUP)
        time.sleep(delay_ms / 1000)
        served.signal(signal.SIGUSR1)
        served.signal(signal.SIGUSR2)
        served.wait_log("Going to check on the children", 20, count=calls + 1)
        wait_restarts(served, number + 1)
        served.wait_ready()
    assert served.ask("msul1", b"echo:x") == b"x"
    assert (served.pid(), len(served.children())) == (pid, 1)
    assert "ABNORMAL" not in served.log_text()
    assert served.stop() < 12
