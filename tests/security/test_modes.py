"""Every file that lonc makes has its final mode, whatever umask the starter had; what stands too open is told."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from tests.conftest import MakeSite
from tests.process.harness import TREE, Site
from tests.process.loncctl import run
from tests.process.waiting import wait_until
from tests.proof.tally import Tally

# Relative to the site's root; doc/operations.md, Files. What ends in `*` is every file of a directory.
MODES = {
    "daemons/logs/lonc.pid": 0o644,
    "daemons/logs/lonc.lock": 0o600,
    "daemons/logs/lonc.log": 0o640,
    "daemons/logs/lonc.json.log": 0o640,
    "daemons/logs/lonc_errors": 0o640,
    "daemons/logs/lonnet.perm.log": 0o640,
    "daemons/logs/lonnet.log": 0o640,
    "daemons/logs/lonc.scoreboard": 0o640,
    "daemons/logs/lonc.wanted": 0o640,
    "daemons/logs/lonc.trace-msul1": 0o600,
    "daemons/logs/lonc.keys": 0o600,
    "html/lon-status/loncstatus.txt": 0o644,
    "html/lon-status/lonc.html": 0o644,
    "html/lon-status/lonc.json": 0o644,
    "sockets": 0o700,
    "sockets/msul1": 0o660,
    "sockets/delayed": 0o700,
    "sockets/delayed/.lock-msul1": 0o600,
    "sockets/delayed/rejected": 0o700,
    "sockets/delayed/rejected/*": 0o600,
    "sockets/delayed/corrupt": 0o700,
    "sockets/delayed/corrupt/*": 0o600,
}
KEEP = """
import sys
from lonc.lonnet.network import Network
network = Network(conf_dir=sys.argv[1], retry_pause_s=0.05)
for command in (b"encrypt:passwd:msu:jane:a:b", b"put:refused"):
    print(network.critical(command, "msul1").status)
"""


def mode(path: Path) -> int:
    """Return the permission bits of what stands at a path."""
    return stat.S_IMODE(path.lstat().st_mode)


def under(mask: str) -> list[str]:
    """Return what starts a command with this umask."""
    return ["sh", "-c", f'umask {mask}; exec "$@"', "sh"]


def keep_messages(site: Site, mask: str) -> None:
    """Have the client library keep two messages, one of them sealed; it makes delayed/ and the key."""
    command = [*under(mask), sys.executable, "-c", KEEP, str(site.conf_dir)]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.lower().count("delayed") == 2, done
    for path in site.delayed_dir.iterdir():
        assert mode(path) == (0o700 if path.is_dir() else 0o600), path.name


def two_in(directory: Path) -> bool:
    """Return whether a directory is there and holds two files."""
    return directory.is_dir() and len(os.listdir(directory)) == 2


def start_bare(site: Site, mask: str) -> None:
    """Start without the directories that the daemon can make, and with a stderr that is no file: it makes one."""
    site.delayed_dir.rmdir()
    site.sock_dir.rmdir()
    site.start(wrapper=["sh", "-c", f'umask {mask}; "$@" 2>&1 | cat; exit 0', "sh"])


def make_all(site: Site, mask: str) -> None:
    """Have every file of MODES made."""
    start_bare(site, mask)
    keep_messages(site, mask)
    site.delayed("1.2.3.two.msul1", b"two\nlines\n")
    site.peer("msul1", "on put:refused*=answer:refused")
    site.wait_ready("msul1", timeout_s=40)
    for name in ("rejected", "corrupt"):
        wait_until(partial(two_in, site.delayed_dir / name), 40, f"a message in {name}")
    site.signal(signal.SIGUSR1)
    traced = run(site, "trace", "msul1", "--for", "0.5s")
    assert traced.returncode == 0, traced.stderr
    for path in (site.status_path, site.status_path.with_name("lonc.html")):
        wait_until(path.exists, 40, path.name)


def wrong_modes(site: Site, names: Iterable[str]) -> list[str]:
    """Return what of these names of MODES has another mode, or is not there."""
    wrong = []
    for name in names:
        paths = sorted(site.root.glob(name)) if name.endswith("*") else [site.root / name]
        assert paths, name
        wrong += [f"{path.name}: {mode(path):04o}" for path in paths if mode(path) != MODES[name]]
    return wrong


def test_no_file_is_more_open_than_it_shall_be_though_the_starter_has_no_umask(
    make_site: MakeSite, tally: Tally
) -> None:
    site = make_site(["msul1"], settings={"loncJsonLog": "on", "loncPage": "on", "loncDelayedScan": "0.2"})
    make_all(site, "000")
    assert wrong_modes(site, MODES) == []
    known = {site.root / name for name in MODES}
    made = [path for place in (site.logs_dir, site.sock_dir, site.status_path.parent) for path in place.rglob("*")]
    unknown = [path for path in made if path not in known and path.parent.name not in ("rejected", "corrupt")]
    assert [path.name for path in unknown if mode(path) & 0o027] == [], "what stands in no table is no more open"
    tally.add(inputs=len(MODES))


def test_every_file_can_be_used_though_the_starters_umask_is_all(make_site: MakeSite, tally: Tally) -> None:
    site = make_site(["msul1"], settings={"loncJsonLog": "on"})
    site.peer("msul1")
    start_bare(site, "0777")
    site.wait_ready("msul1", timeout_s=40)
    site.signal(signal.SIGUSR1)
    wait_until(site.status_path.exists, 20, "the status file")
    names = [name for name in MODES if (site.root / name).exists() and not (site.root / name).is_dir()]
    assert {"daemons/logs/lonc.log", "daemons/logs/lonc_errors", "daemons/logs/lonc.scoreboard"} <= set(names)
    assert wrong_modes(site, names) == []
    tally.add(inputs=len(names))


def test_directories_that_are_too_open_are_kept_and_told(make_site: MakeSite) -> None:
    site = make_site(["msul1"], settings={"loncDelayedScan": "0.2"})
    site.peer("msul1")
    site.sock_dir.chmod(0o755)
    site.delayed_dir.chmod(0o777)
    site.start()
    site.wait_ready()
    site.delay("msul1", b"put:a")
    site.wait_log(f"{site.sock_dir} can be entered by every user of this machine (mode 0755)")
    site.wait_log("can be entered by others (mode 0777): it should be 0700", 30)
    assert (mode(site.sock_dir), mode(site.delayed_dir)) == (0o755, 0o777), "an administrator's choice is kept"
    assert mode(site.socket_path("msul1")) == 0o660
    site.peers["msul1"].wait_executed(1, 30)
