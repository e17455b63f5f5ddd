"""The harness itself: it finds what belongs to a site, ends it, sees secrets, and reports failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lonc.config import load_config, load_hosts
from tests.conftest import MakeSite
from tests.process import procs
from tests.process.harness import Entry, Site, stays, wait_until

# Leaves its starter as a daemon does and holds on to the site in one way only.
ORPHAN = """
import mmap, os, socket, sys, time
if os.fork():
    os._exit(0)
os.setsid()
how, root = sys.argv[1:]
if how == "file":
    kept = open(root + "/kept", "w")
elif how == "map":
    with open(root + "/mapped", "wb+") as stream:
        stream.truncate(4096)
        kept = mmap.mmap(stream.fileno(), 4096)
elif how == "socket":
    kept = socket.socket(socket.AF_UNIX)
    kept.bind(root + "/bound")
else:
    os.chdir(root)
time.sleep(60)
"""


def orphan(site: Site, how: str) -> int:
    null = subprocess.DEVNULL
    subprocess.run([sys.executable, "-c", ORPHAN, how, str(site.root)], stdout=null, stderr=null, check=True)
    return wait_until(site.processes, 5, "the orphan")[0]


@pytest.mark.parametrize("how", ["file", "map", "socket", "directory"])
def test_an_orphan_is_found_and_ended(make_site: MakeSite, how: str) -> None:
    site, other = make_site(), make_site()
    pid = orphan(site, how)
    assert site.processes() == [pid]
    assert other.processes() == []
    site.cleanup()
    assert not procs.alive(pid)
    assert not site.root.exists()


def test_a_child_that_forks_while_it_is_ended(make_site: MakeSite) -> None:
    site = make_site()
    script = f"cd {site.root}; while :; do (sleep 30 &); sleep 0.02; done"
    with subprocess.Popen(["/bin/sh", "-c", script]) as shell:
        wait_until(lambda: len(site.processes()) > 3, 5, "some processes")
        assert procs.end_all(site.root) == []
        shell.wait(5)
    assert site.processes() == []


def test_the_files_of_a_site_are_a_good_configuration(make_site: MakeSite) -> None:
    site = make_site([Entry("msul1"), Entry("msul2", "127.0.0.1")], settings={"loncGrace": "0.25"})
    config = load_config(str(site.conf_dir))
    assert (config.host_id, config.port, config.grace_s) == ("own1", site.port, 0.25)
    assert config.log_path == str(site.log_path)
    assert config.perm_log_path == str(site.perm_log_path)
    assert config.pid_path == str(site.pid_path)
    assert config.scoreboard_path == str(site.scoreboard_path)
    assert config.status_path == str(site.status_path)
    assert config.delayed_dir == str(site.delayed_dir)
    assert config.socket_path("msul1") == str(site.socket_path("msul1"))
    hosts = load_hosts(config).hosts
    assert [host.id for host in hosts] == ["msul1", "msul2"]
    assert [host.address for host in hosts] == [site.entry("msul1").address, "127.0.0.1"]


def test_delayed_files_are_old_private_and_in_order(site: Site) -> None:
    first, second = site.delay("msul1", b"put:a:b"), site.delay("msul1", b"encrypt:put:c")
    assert first.name.split(".")[1:] == ["1", str(os.getpid()), "putab", "msul1"]
    assert second.name.split(".")[3:] == ["encryptputc", "msul1"]
    assert first.read_bytes() == b"put:a:b\n"
    assert first.stat().st_mode & 0o777 == 0o600
    assert time.time() - first.stat().st_mtime > 55
    assert site.waiting() == sorted([first.name, second.name])


def test_secrets_are_seen_wherever_they_stand(site: Site) -> None:
    secret = f"pw{os.urandom(8).hex()}"
    site.peer("msul1")
    assert site.grep_secrets(secret) == []
    site.delay("msul1", f"encrypt:auth:msu:u:{secret}".encode())
    assert site.grep_secrets(secret) == []
    for path in (site.log_path, site.logs_dir / "lonc.log.1", site.status_path, site.error_path):
        path.write_text(f"x {secret} y")
    with subprocess.Popen(["/bin/sleep", "30"], cwd=site.root, env={"PASSWORD": secret}) as sleeper:
        found = site.grep_secrets(secret)
        sleeper.kill()
    assert len(found) == 5
    assert f"/proc/{sleeper.pid}/environ: {secret}" in found


def test_a_peer_that_breaks_is_told(make_site: MakeSite) -> None:
    site = make_site()
    peer = site.peer("msul1")
    peer.signal(signal.SIGTERM)
    wait_until(lambda: not procs.alive(peer.pid), 5, "its end")
    with pytest.raises(AssertionError, match=r"msul1\.peer had ended"):
        site.cleanup()


def test_waiting_is_bounded_and_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"not within 0.05 s: the moon \(last seen: 0\)"):
        wait_until(lambda: 0, 0.05, "the moon")
    with pytest.raises(AssertionError, match=r"did not stay so for 0.05 s: the sun"):
        stays(lambda: False, 0.05, "the sun")
    stays(lambda: True, 0.02, "the sky")


FAILING = """
def test_fails(make_site):
    site = make_site()
    site.log_path.write_text("the log of the site")
    assert False
"""


def test_a_failing_test_shows_the_logs(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    tree = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", f"--rootdir={tmp_path}", "-c", os.devnull]
    done = subprocess.run(
        [*command, str(tmp_path)], cwd=tree, capture_output=True, text=True, timeout=60, check=False
    )
    assert "1 failed" in done.stdout
    assert "the log of the site" in done.stdout
