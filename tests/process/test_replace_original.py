"""README's two recipes, as written there: into the place of the Perl daemon, and back.

The watchdog is a stand-in that does what loncron does with a daemon: read the pid file, look whether the
process lives, USR1, else remove the file, start the daemon's path without arguments with stderr to a file,
look again 2 s later. The original is one that idles under the same name, and forgets nothing it finds.
"""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Site, wait_until
from tests.process.waiting import TREE

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
WATCHDOG = """\
#!/bin/sh
# loncron's look at one daemon. $1: the directory of lonDaemons
cd "$1" || exit 1
if [ -e logs/lonc.pid ]; then
    read -r pid < logs/lonc.pid
    if kill -0 "$pid" 2>/dev/null; then
        kill -USR1 "$pid"
        echo "lonc at pid $pid responding"
        exit 0
    fi
    rm -f logs/lonc.pid
    echo "lonc at pid $pid not responding"
fi
./lonc 2>>logs/lonc_errors || echo "starter: status $?"
sleep 2
if [ -e logs/lonc.pid ]; then
    read -r pid < logs/lonc.pid
    if kill -0 "$pid" 2>/dev/null; then
        echo "lonc at pid $pid started"
        exit 0
    fi
fi
echo "give up on lonc"
exit 1
"""
# A daemon as the original is: in the background at once, a pid file, INT ends it and removes the file, no lock.
# It names itself lonc, as a Perl script does that was started by that path.
ORIGINAL = """\
#!{python}
import os, signal, sys, time
from setproctitle import setproctitle
os.chdir(os.path.dirname(os.path.abspath(sys.argv[0])))
if os.fork():
    os._exit(0)
os.setsid()
setproctitle("lonc: Parent keeping the flock")
with open("logs/lonc.pid", "w") as file:
    file.write(f"{{os.getpid()}}\\n")
def leave(*_):
    os.unlink("logs/lonc.pid")
    os._exit(0)
signal.signal(signal.SIGINT, leave)
signal.signal(signal.SIGUSR1, lambda *_: None)
while True:
    time.sleep(60)
"""


class Server:
    """A LON-CAPA server: its directories, its watchdog, and what stands at the daemon's path."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.home = site.daemons_dir
        self.daemon = self.home / "lonc"
        self.watchdog = site.root / "watchdog"
        self._script(self.watchdog, WATCHDOG)
        self._script(self.daemon, ORIGINAL.format(python=TREE / ".venv" / "bin" / "python3"))

    def _script(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)

    def watch(self) -> str:
        """Let the watchdog look once; return what it says."""
        return self._run([str(self.watchdog), str(self.home)], self.home)[1]

    def _run(self, command: list[str], cwd: Path) -> tuple[int, str]:
        """Return status and output of a command; the configuration directory is in its environment.

        The output goes to a file, since a daemon may keep what it was started with.
        """
        env = dict(os.environ) | {"LONCAPA_CONF_DIR": str(self.site.conf_dir), "LONC": str(TREE)}
        place = self.site.root / "said"
        with place.open("w") as out:
            done = subprocess.run(command, cwd=cwd, env=env, stdout=out, stderr=out, timeout=60, check=False)
        return done.returncode, place.read_text()

    def recipe(self, heading: str, *names: str) -> list[str]:
        """Return the commands of a part of the README, with this server's paths in place of the usual ones."""
        text = (TREE / "README.md").read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        found = re.findall(r"`([^`\n]+)`|^ {7}(\S.*)$", text, re.MULTILINE)
        commands = [self.here(inline or block) for inline, block in found]
        return [one for one in commands if one.startswith(names)]

    def here(self, text: str) -> str:
        """Return a text of the README for this server: its paths, and its user, who we are already."""
        text = text.replace("sudo -u www ", "").replace("/home/httpd/perl", str(self.home))
        text = text.replace("/home/httpd/sockets", str(self.site.sock_dir))
        text = text.replace("/home/httpd/html", str(self.site.root / "html"))
        return text.replace("/opt/lonc", str(TREE))

    def do(self, command: str, cwd: Path | None = None) -> str:
        """Carry out a command in a shell; it must succeed. Return its output."""
        status, said = self._run(["sh", "-c", command], cwd or self.home)
        assert status == 0, f"{command}: status {status}: {said}"
        return said


@pytest.fixture
def server(make_site: MakeSite) -> Server:
    site = make_site(["own1", "msul1"], settings={"loncHandover": "0.2", "loncDelayedScan": "0.5"})
    site.peer("own1")
    site.peer("msul1")
    return Server(site)


def put_in_place(server: Server) -> None:
    """Carry out README's recipe up to the starter."""
    wanted = (f"{TREE}/bin/lonc -t", "kill -INT", "mv ", "install ")
    for command in server.recipe("In place of the Perl daemon", *wanted):
        server.do(command)
        if command.startswith("kill"):
            wait_until(lambda: not server.site.pid_path.exists(), 10, "the original's end")


def test_in_place_of_the_original_and_back(server: Server) -> None:
    site = server.site
    started = server.watch()
    assert "started" in started, started
    original = site.pid()
    # too early: the original lives, and is respected
    refused = site.run()
    assert refused.returncode == 1
    assert str(original) in refused.stderr
    assert procs.alive(original)

    put_in_place(server)
    assert not procs.alive(original)
    assert (server.home / "lonc.perl").exists()

    # the watchdog starts ours, and is content with it at its next look
    started = server.watch()
    assert f"lonc at pid {site.pid()} started" in started, started
    site.wait_ready()
    _looks_as_the_readme_says(server)
    assert f"lonc at pid {site.pid()} responding" in server.watch()
    site.wait_log("Going to check on the children")
    assert (server.home / "logs" / "lonc_errors").read_text() == ""

    _back_to_the_original(server)


def _looks_as_the_readme_says(server: Server) -> None:
    """What the table of README's step 5 promises."""
    site = server.site
    title = server.do(f"ps -p $(cat {site.pid_path}) -o args=")
    assert title.startswith("lonc: Parent keeping the flock")
    family = [site.pid(), *site.children()]
    assert len(family) == len(site.entries) + 1
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in family}
    assert names == {"lonc"}
    found = {int(pid) for pid in server.do("pgrep -x lonc").split()}
    assert set(family) <= found
    assert sorted(path.name for path in site.sock_dir.iterdir()) == ["delayed", "msul1", "own1"]
    log = site.log_text()
    assert "Done starting initial servers" in log
    assert all(f"{entry.id} online" in log for entry in site.entries)
    assert "nothing is wrong" in server.do(f"{TREE}/bin/loncctl status")


def _back_to_the_original(server: Server) -> None:
    """README's way back, with something in every place that has to be looked at by hand."""
    site = server.site
    site.peers["msul1"].script("on put:*=reply:error: no")
    site.delay("msul1", b"put:msu:u:ns:a=1")

    def refused() -> list[Path]:  # the reply is there first, then the message
        found = site.delayed_dir / "rejected"
        return [path for path in found.glob("*") if path.suffix != ".reply"]

    rejected = wait_until(refused, 40, "the refused message set aside")[0]
    held = site.delayed_dir / "held"
    held.mkdir(mode=0o700)
    (held / f"{int(time.time())}.7.1.put.msul1").write_text("put:msu:u:ns:b=2\n")

    family = [site.pid(), *site.children()]
    commands = server.recipe("Going back to the Perl daemon", "kill ", "mv " + str(server.home))
    assert len(commands) == 2, commands
    server.do(commands[0])
    wait_until(lambda: not any(procs.alive(pid) for pid in family), 15, "the end of every process")
    assert not site.pid_path.exists()
    server.do(commands[1])
    assert "Parent keeping" in server.daemon.read_text()

    text = (TREE / "README.md").read_text("utf-8")
    loop = re.search(r"^ {7}for name in rejected.*?done$", text, re.MULTILINE | re.DOTALL)
    assert loop is not None
    server.do(loop[0], cwd=site.delayed_dir)
    assert (site.delayed_dir / rejected.name).read_bytes() == b"put:msu:u:ns:a=1\n"
    assert [name.rpartition(".")[2] for name in site.waiting()] == ["msul1", "msul1"]
    assert list(held.iterdir()) == []

    # what ours has left is no obstacle: the watchdog starts the original
    assert "started" in server.watch()
    os.kill(site.pid(), signal.SIGINT)


def test_killall_ends_all_of_it_and_the_watchdog_starts_it_again(server: Server) -> None:
    site = server.site
    server.do(shlex.join(["install", "-m", "755", str(TREE / "etc" / "lonDaemons-lonc"), str(server.daemon)]))
    assert "started" in server.watch()
    site.wait_ready()
    family = [site.pid(), *site.children()]
    for pid in family:  # as killall does, but only to our own
        procs.send(pid, signal.SIGTERM)
    began = time.monotonic()
    wait_until(lambda: not any(procs.alive(pid) for pid in family), 12, "the end of every process")
    assert time.monotonic() - began < 10
    assert not site.pid_path.exists()
    assert "started" in server.watch()
    site.wait_ready()


@pytest.fixture
def reaper() -> Iterator[None]:
    """Make this process the one that inherits orphans: not every container has an init that buries the dead.

    To `kill -0`, which is all that the watchdog knows, a zombie is a living process.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    yield
    libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.mark.usefixtures("reaper")
def test_killed_the_watchdog_finds_it_gone_and_starts_it(server: Server) -> None:
    site = server.site
    server.do(shlex.join(["install", "-m", "755", str(TREE / "etc" / "lonDaemons-lonc"), str(server.daemon)]))
    assert "started" in server.watch()
    pid = site.pid()
    procs.send(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    said = server.watch()
    assert "not responding" in said
    assert f"lonc at pid {site.pid()} started" in said
    site.wait_ready()
