"""Clients of every kind: idle, slow, gone, half-closed, too many, foreign; none costs another anything."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.bench.kit import Kit, Load, Stub, load
from tests.conftest import MakeSite
from tests.process import memory
from tests.process.harness import Client, Entry, Site, stays, wait_until
from tests.process.memory import KIB, MIB

IDLE = 1000
LORISES = 100
NOBODY = 65534


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Let this process hold as many descriptors as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < IDLE + LORISES + 500:
        pytest.skip(f"only {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def connected(site: Site, count: int) -> list[Client]:
    return [site.connect("msul1") for _ in range(count)]


def close(clients: list[Client]) -> None:
    for client in clients:
        client.close()


def clients_seen(site: Site, count: int) -> None:
    wait_until(lambda: site.board("msul1").child.clients == count, 10, f"{count} clients on the scoreboard")


# --- half-closed ----------------------------------------------------------------------------------------


def test_printf_into_nc(talking: Site) -> None:
    """`printf 'ping\\n' | nc -U`: the end of file comes before the reply, and the reply comes all the same."""
    if shutil.which("nc") is None:
        pytest.skip("no nc here")
    command = ["nc", "-U", "-N", str(talking.socket_path("msul1"))]
    for words, answer in ((b"ping\n", b"msul1\n"), (b"sleep:300\necho:b\n", b"ok\nb\n"), (b"echo:cut", b"")):
        done = subprocess.run(command, input=words, capture_output=True, timeout=10, check=False)
        assert done.stdout == answer


def test_a_half_closed_client_has_all_its_replies_and_then_the_end(talking: Site) -> None:
    with talking.connect("msul1") as client:
        client.send(b"echo:a", b"size:%d" % MIB, b"sleep:100", b"echo:z")
        client.send_raw(b"echo:without newline")  # is no request
        client.half_close()
        assert client.lines(4) == [b"a", b"x" * MIB, b"ok", b"z"]
        client.wait_closed()
    assert len(talking.peers["msul1"].executed()) == 4


def test_a_client_that_only_says_goodbye_is_let_go(talking: Site) -> None:
    with talking.connect("msul1") as client:
        client.half_close()
        client.wait_closed()
    clients_seen_after_a_request(talking)


def clients_seen_after_a_request(site: Site) -> None:
    """Nobody is left but who asks now."""
    with site.connect("msul1") as client:
        assert client.ask(b"echo:x") == b"x"
        clients_seen(site, 1)


# --- gone -----------------------------------------------------------------------------------------------


def test_clients_that_hang_up_at_any_moment_cost_nobody_a_reply(talking: Site) -> None:
    """Whoever goes leaves replies behind that are read and dropped; nobody else gets them."""
    random.seed(7)
    with talking.connect("msul1") as stayer:
        for number in range(300):
            with talking.connect("msul1") as leaver:
                leaver.send_raw(b"echo:secret of %d\nsize:300000\nech" % number)
                if number % 3 == 0:
                    leaver.half_close()
                if number % 5 == 0:
                    leaver.line()
            assert stayer.ask(b"echo:%d" % number) == b"%d" % number
    clients_seen_after_a_request(talking)
    assert talking.board("msul1").child.links_opened == 1


def test_a_slow_reply_is_shown_on_the_scoreboard_when_it_has_come(talking: Site) -> None:
    with talking.connect("msul1") as client:
        client.send(b"sleep:500")
        wait_until(lambda: talking.board("msul1").child.in_flight == 1, 2, "the request on the scoreboard")
        assert client.line() == b"ok"
        wait_until(lambda: talking.board("msul1").child.replies == 1, 2, "the reply on the scoreboard")
        assert talking.board("msul1").child.in_flight == 0


# --- many, and slow -------------------------------------------------------------------------------------


def measure(site: Site, kit: Kit, label: str) -> Load:
    """Send 400 requests a second for 3 s from 8 clients; late ones count from when they were due."""
    where = str(site.socket_path("msul1"))
    found = load(kit, "-u", where, "-c", "8", "-s", "32", "-R", "400", "-t", "3", "-l", label)
    print(f"\n{found.line}")
    assert found.good, (found.line, found.errors)
    return found


@contextlib.contextmanager
def one_byte_a_turn(lorises: list[Client]) -> Iterator[list[bytes]]:
    """Have each of them write a byte of a request that never ends, ten times a second, all the while."""
    over = threading.Event()
    written: list[bytes] = []

    def drip() -> None:
        while not over.wait(0.1):
            for loris in lorises:
                loris.send_raw(b"x")
            written.append(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield written
    finally:
        over.set()
        thread.join(10)


@pytest.mark.timing
@pytest.mark.usefixtures("descriptors")
def test_a_thousand_idle_and_a_hundred_slow_clients_change_nothing(make_site: MakeSite, kit: Kit) -> None:
    site = make_site([Entry("msul1", "127.0.0.1")])
    with Stub(kit, port=site.port, own_id="msul1"):
        site.start()
        site.wait_ready()
        child = site.child("msul1")
        alone = measure(site, kit, "alone")
        before = memory.resident(child)
        crowd = connected(site, IDLE + LORISES)
        try:
            for client in crowd[:LORISES]:
                client.send_raw(b"echo:")
            clients_seen_after_the_crowd(site)
            with one_byte_a_turn(crowd[:LORISES]) as written:
                beside = measure(site, kit, "beside")
            each = (memory.resident(child) - before) / len(crowd)
            print(f"{each / KIB:.1f} KiB a client")
            assert len(written) > 5
            # P11: delays no other by more than 10 ms
            assert beside.figures["p50"] < alone.figures["p50"] + 10_000
            assert each < 64 * KIB
            for client in (crowd[0], crowd[-1]):  # and they are served when they come round to asking
                client.send_raw(b"\necho:y\n")
            assert crowd[-1].lines(2) == [b"unknown_cmd", b"y"]
            assert crowd[0].lines(2) == [b"x" * len(written), b"y"]
        finally:
            close(crowd)


def clients_seen_after_the_crowd(site: Site) -> None:
    assert site.ask("msul1", b"echo:x") == b"x"
    wait_until(lambda: site.board("msul1").child.clients >= IDLE + LORISES, 10, "the crowd on the scoreboard")


# --- no descriptors left (fault row 7) ------------------------------------------------------------------


def leave_descriptors(child: int, count: int) -> None:
    """Let a process open so many descriptors more than it has."""
    highest = max(int(name) for name in os.listdir(f"/proc/{child}/fd"))
    _soft, hard = resource.prlimit(child, resource.RLIMIT_NOFILE)
    resource.prlimit(child, resource.RLIMIT_NOFILE, (highest + 1 + count, hard))


def answered(client: Client, line: bytes) -> bool:
    """Return whether the answer to an echo is there; at once."""
    with contextlib.suppress(TimeoutError):
        return client.line(0.01) == line
    return False


def share_while_asking(child: int, clients: list[Client], seconds: float) -> float:
    """Have each client ask ten times a second; return which part of a processor the child has used."""
    began, used = time.monotonic(), memory.cpu_s(child)
    while time.monotonic() < began + seconds:
        assert [client.ask(b"echo:2") for client in clients] == [b"2"] * len(clients)
        time.sleep(0.1)
    return (memory.cpu_s(child) - used) / (time.monotonic() - began)


@pytest.mark.timing
@pytest.mark.parametrize("way_out", ["clients hang up", "the limit is raised"])
def test_no_descriptor_left(talking: Site, way_out: str) -> None:
    """P26: existing clients go on, next to no processor time, and new ones are served within 2 s of the end."""
    child = talking.child("msul1")
    old = resource.prlimit(child, resource.RLIMIT_NOFILE)
    existing = connected(talking, 5)
    assert [client.ask(b"echo:1") for client in existing] == [b"1"] * 5
    leave_descriptors(child, 3)
    newcomers = connected(talking, 10)
    try:
        for client in newcomers:
            client.send(b"echo:new")
        # the log cannot be opened either, so the scoreboard has to tell
        wait_until(lambda: talking.board("msul1").child.clients >= 8, 5, "three of the newcomers served")
        served = [client for client in newcomers if answered(client, b"new")]
        waiting = [client for client in newcomers if client not in served]
        assert 1 <= len(served) <= 3
        share = share_while_asking(child, existing, 3)
        print(f"\nwithout descriptors: {100 * share:.1f} % of a processor, {len(waiting)} clients waiting")
        assert share < 0.05
        assert not any(answered(client, b"new") for client in waiting)
        free = time.monotonic()
        if way_out == "clients hang up":
            close([*served, *existing])
            assert [client.line(2) for client in waiting[:3]] == [b"new"] * 3
            close(waiting[:3])
            assert [client.line(2) for client in waiting[3:6]] == [b"new"] * 3
        else:
            resource.prlimit(child, resource.RLIMIT_NOFILE, old)
            assert [client.line(2) for client in waiting] == [b"new"] * len(waiting)
        print(f"served {time.monotonic() - free:.2f} s after descriptors were free")
        resource.prlimit(child, resource.RLIMIT_NOFILE, old)
        assert talking.ask("msul1", b"echo:x") == b"x"
        assert talking.child("msul1") == child
        assert talking.board("msul1").child.links_opened == 1
    finally:
        close([*existing, *newcomers])


def test_clients_leave_descriptors_for_link_and_log(make_site: MakeSite) -> None:
    """The limit is reached by clients alone: a lost link comes back all the same, and the log tells of it."""
    site = make_site(["msul1"])
    peer = site.peer("msul1")
    site.start(wrapper=["prlimit", "--nofile=64:64"])
    site.wait_ready()
    child = site.child("msul1")
    crowd = connected(site, 80)
    try:
        for client in crowd:
            client.send(b"echo:new")
        wait_until(lambda: site.board("msul1").child.clients >= 20, 5, "clients on the scoreboard")
        stays(lambda: memory.descriptors(child) < 60, 0.5, "descriptors left")
        assert crowd[0].line() == b"new"
        peer.restart()
        wait_until(lambda: site.board("msul1").child.links_opened == 2, 10, "the second link")
        assert crowd[0].ask(b"echo:x") == b"x"
        assert site.board("msul1").child.lost_lines == 0
        assert site.log_text().count("msul1 online") == 2
        close(crowd[:60])
        assert crowd[-1].line() == b"new"
    finally:
        close(crowd)


def test_more_clients_than_allowed_wait_and_are_served(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncMaxClients": "4"})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    first = connected(site, 4)
    late = connected(site, 3)
    try:
        assert [client.ask(b"echo:1") for client in first] == [b"1"] * 4
        for client in late:
            client.send(b"echo:2")
        stays(lambda: not any(answered(client, b"2") for client in late), 0.3, "the late ones waiting")
        close(first[:3])
        assert [client.line() for client in late] == [b"2"] * 3
    finally:
        close([*first, *late])


# --- strangers ------------------------------------------------------------------------------------------


def _become_and_ask(uid: int, path: str) -> bytes:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(5)
        sock.connect(path)
        with contextlib.suppress(OSError):
            sock.sendall(b"echo:x\n")
        try:
            return sock.recv(100) or b"closed"
        except ConnectionResetError:
            return b"closed"


def ask_as(uid: int, path: str) -> bytes:
    """Return what a process of this user reads after asking: `closed` when that was the end, empty on a mishap."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # no exception may leave this branch: the test would run twice
        try:
            os.write(write, _become_and_ask(uid, path))
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        found = stream.read()
    os.waitpid(pid, 0)
    return found


@pytest.mark.root
@pytest.mark.parametrize("allowed", ["", "nobody"])
def test_who_may_ask_is_decided_by_the_kernels_word(make_site: MakeSite, allowed: str) -> None:
    """Even with every permission on the files open: SO_PEERCRED decides, and loncAllowUsers adds to it."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    site = make_site(["msul1"], settings={"loncAllowUsers": allowed} if allowed else {})
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.root.chmod(0o755)
    site.sock_dir.chmod(0o755)
    site.socket_path("msul1").chmod(0o666)
    where = str(site.socket_path("msul1"))
    assert ask_as(NOBODY, where) == (b"x\n" if allowed else b"closed")
    assert ask_as(0, where) == b"x\n"
    refused = [line.message for line in site.log("msul1") if "may not use this socket" in line.message]
    assert len(refused) == (0 if allowed else 1)
    assert all("WARNING" in text and f"user id {NOBODY}" in text for text in refused)
    assert len(site.peers["msul1"].executed()) == (2 if allowed else 1)
