"""No password anywhere but in the delayed files: every road that a request can take, with all logging on (A8).

Domain and user have one letter each, so that lonnet's way of naming delayed files (the first 16 word characters
of the command) puts a good part of the password into the name: that part must not be told either.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Peer, Site, wait_until

WORDS = ("auth", "passwd", "makeuser", "changeuserauth")
# Not a regular file: then the daemon writes its stderr to logs/lonc_errors, where grep_secrets looks.
STDERR = ("/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh")
FRAGMENT = 8  # characters of a password that nobody may see; all of it is 24
SETTINGS = {
    "loncGrace": "0.2",
    "loncRequestTimeout": "0.6",
    "loncDelayedTimeout": "0.6",
    "loncDelayedScan": "0.2",
    "loncMaxLine": "1024",
    "loncClientBuffer": "4096",
    "loncMaxAttempts": "0",
    "loncRestartMin": "0.05",
}


class Secrets:
    """Makes commands with passwords and remembers each of them."""

    def __init__(self) -> None:
        self.all: list[str] = []

    def new(self) -> str:
        """Return a new password: letters and digits, so that no escaping hides it."""
        self.all.append(f"Q{os.urandom(12).hex()}"[:24])
        return self.all[-1]

    def command(self, word: str, sealed: bool) -> bytes:
        """Return a command of this word with a new password, to be encrypted or not."""
        more = {"passwd": ":" + self.new(), "makeuser": ":internal", "changeuserauth": ":internal"}.get(word, "")
        prefix = "encrypt:" if sealed else ""
        return f"{prefix}{word}:d:u{more}:{self.new()}:x%20y".encode()

    def commands(self) -> Iterator[bytes]:
        """Yield one command of every kind."""
        for word in WORDS:
            for sealed in (True, False):
                yield self.command(word, sealed)

    def assert_hidden(self, site: Site) -> None:
        """Fail if one of them, or a good part of one, stands anywhere where A8 forbids it."""
        assert self.all
        assert site.grep_secrets(*[secret[:FRAGMENT] for secret in self.all]) == []


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def site(make_site: MakeSite) -> Site:
    """Return a site with short time limits."""
    return make_site(["msul1"], settings=SETTINGS)


def log_everything(site: Site) -> int:
    """Switch transaction and debug logging on; return the child's pid."""
    child = site.child("msul1")
    before = site.log_text()
    site.signal(signal.SIGUSR2, child)
    site.signal(signal.SIGINT, child)
    site.wait_log("Transaction logging on", count=before.count("Transaction logging on") + 1)
    site.wait_log("Debug on", count=before.count("Debug on") + 1)
    return child


def begin(site: Site, *rules: str) -> Peer:
    peer = site.peer("msul1", *rules)
    site.start(wrapper=STDERR)
    site.wait_ready()
    log_everything(site)
    return peer


def report(site: Site) -> None:
    """Have everybody report, so that status file, title and scoreboard are as telling as they get."""
    site.signal(signal.SIGUSR1)
    wait_until(lambda: site.status_path.exists() and "State: " in site.status_path.read_text(), 10, "a status")


def ask_all(site: Site, secrets: Secrets) -> list[bytes | None]:
    replies = []
    for command in secrets.commands():
        with site.connect("msul1") as client:
            replies.append(client.ask(command))
    return replies


def test_live(site: Site, secrets: Secrets) -> None:
    peer = begin(site)
    replies = ask_all(site, secrets)
    assert replies[:2] == [b"authorized", b"refused"]
    assert len(peer.executed()) == len(replies)
    for word in WORDS:
        site.wait_log(f"SUCCESS: encrypt:{word} (")
        site.wait_log(f"SUCCESS: {word} (")
    report(site)
    secrets.assert_hidden(site)


@pytest.mark.parametrize(
    "rule", ["stall", "done-rst", "half-close:3", "twice", "empty", "enc:odd", "glue", "huge:5000"]
)
def test_timed_out_cut_off_and_garbled(site: Site, secrets: Secrets, rule: str) -> None:
    begin(site, f"on *Q*={rule}")
    for command in list(secrets.commands())[:4]:
        with site.connect("msul1") as client:
            client.ask(command, 20)
        report(site)
    if rule == "stall":
        site.wait_log("Timeout: encrypt:auth (")
        site.wait_log("Timeout: auth (")
    secrets.assert_hidden(site)


def test_a_peer_that_says_it_back(site: Site, secrets: Secrets) -> None:
    secret = secrets.new()
    rules = (f"on auth*=reply:error: bad {secret}", f"on passwd*=extra:{secret}", f"on makeuser*=before:{secret}")
    begin(site, *rules, f"on changeuserauth*=reply:enc:9:{secret}")
    ask_all(site, secrets)
    for word in WORDS:
        site.delay("msul1", secrets.command(word, sealed=True))
    site.wait_log("moved to rejected/", 20)
    site.wait_log("a reply that nobody asked for", 20)
    report(site)
    secrets.assert_hidden(site)


def test_clients_that_leave_or_break_off(site: Site, secrets: Secrets) -> None:
    begin(site, "on *=late:300")
    for command in secrets.commands():
        with site.connect("msul1") as client:
            client.send(command)  # and away
        with site.connect("msul1") as client:
            client.send_raw(command)  # no newline: no request
        with site.connect("msul1") as client:
            reply = client.ask(command + b"x" * 2000)
            assert reply == b"error: request longer than 1024 bytes"
    report(site)
    secrets.assert_hidden(site)


def test_no_link(site: Site, secrets: Secrets) -> None:
    """A dial that fails again and again, requests that wait and are lost."""
    peer = begin(site)
    peer.kill()
    wait_until(lambda: not site.ready("msul1"), 5, "the link's loss")
    assert set(ask_all(site, secrets)) == {b"con_lost"}
    report(site)
    secrets.assert_hidden(site)


def test_delayed_rejected_bad_and_unanswered(site: Site, secrets: Secrets) -> None:
    """Delayed messages on all their ways; their files are the exception, their names in the log are not."""
    peer = site.peer("msul1", "on makeuser*=stall")
    for command in secrets.commands():
        site.delay("msul1", command)
    bad = site.delay("msul1", secrets.command("auth", sealed=False))
    bad.write_bytes(bad.read_bytes() * 2)
    link = site.delay("msul1", secrets.command("passwd", sealed=False))
    link.rename(site.root / "elsewhere")
    link.symlink_to(site.root / "elsewhere")
    foreign = site.delay("nobody", secrets.command("passwd", sealed=False))
    os.utime(bad, (1, 1))
    site.start(wrapper=STDERR)
    site.wait_ready()
    log_everything(site)
    site.wait_log("stayed unanswered on 3 links", 40, count=2)
    wait_until(lambda: len(site.waiting()) == 4, 20, "two that are not answered, a link, and nobody's")
    wait_until((site.delayed_dir / "corrupt" / bad.name).exists, 10, "the bad one")
    assert foreign.exists()
    assert len(peer.executed()) == 6
    rejected = site.delayed_dir / "rejected"
    assert len([path for path in rejected.iterdir() if path.suffix != ".reply"]) >= 3
    for text in ("set aside in corrupt", "is a symbolic link", "not in the table: it stays", "moved to rejected/"):
        site.wait_log(text)
    # six messages were answered; what stands in the permanent log of each is its word, and what is no secret
    wait_until(lambda: len(site.perm_log()) == 6, 10, "six records")
    commands = [":".join(record[3:-3]) for record in site.perm_log()]
    plain = ["auth:d:u:***", "changeuserauth:d:u:***", "passwd:d:u:***"]
    assert sorted(commands) == sorted([*plain, "encrypt:auth", "encrypt:changeuserauth", "encrypt:passwd"])
    report(site)
    secrets.assert_hidden(site)


def test_a_message_that_may_have_been_sent_twice_is_told_without_its_secret(site: Site, secrets: Secrets) -> None:
    peer = site.peer("msul1", "on *=late:400")
    site.delay("msul1", secrets.command("auth", sealed=False))
    site.start(wrapper=STDERR)
    peer.wait_executed(1)
    site.signal(signal.SIGKILL, site.child("msul1"))
    site.wait_log("may have been sent already before a crash")
    secrets.assert_hidden(site)


# --- crashes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signum", [signal.SIGQUIT, signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTRAP]
)
def test_a_child_killed_with_a_password_in_hand(site: Site, secrets: Secrets, signum: int) -> None:
    peer = begin(site, "on *=late:300")
    child = site.child("msul1")
    with site.connect("msul1") as client:
        client.send(*secrets.commands())
        peer.wait_executed(1)
        site.signal(signum, child)
        if signum != signal.SIGTRAP:  # that is no end: it writes its stack, as a stuck one is told to
            while client.line() is not None:
                pass
    if signum != signal.SIGTRAP:
        wait_until(lambda: not procs.alive(child), 10, "its end")
        site.wait_ready()
    report(site)
    secrets.assert_hidden(site)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
def test_an_error_of_our_own_with_a_password_in_hand(site: Site, secrets: Secrets) -> None:
    """A system call fails as it never should: the child ends by an exception and tells nothing of the request."""
    begin(site, "on *=late:300")
    child = site.child("msul1")
    with site.connect("msul1") as client:
        client.send(*secrets.commands())
        wait_until(lambda: site.board("msul1").child.in_flight > 0, 5, "requests in flight")
        command = ["strace", "-qq", "-o", "/dev/null", "-p", str(child), "-e", "inject=epoll_wait:error=EBADF"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        if procs.alive(child):
            pytest.skip(f"strace may not attach here: {done.stderr.strip()}")
        assert client.line(10) is None
    site.wait_log(f"{child} msul1 ABNORMAL EXIT: OSError at ")
    assert "ABNORMAL EXIT: OSError" in (site.logs_dir / "lonc_errors").read_text()  # with the stack
    site.wait_ready()
    report(site)
    secrets.assert_hidden(site)


def test_no_core_can_be_written(site: Site) -> None:
    site.peer("msul1")
    pid = site.start(wrapper=STDERR)
    site.wait_ready()
    for process in (pid, site.child("msul1")):
        with open(f"/proc/{process}/limits", encoding="ascii") as limits:
            core = next(line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
