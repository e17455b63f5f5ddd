"""Ten faults, prepared for real: `loncctl status` alone tells why each happened, and what to do.

Each test makes the fault, then reads the sentence as a new user would: what, why, and `do:`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import MakeSite
from tests.process import procs
from tests.process.ctl_run import document, loncctl, wait_finding
from tests.process.harness import Client, Entry, Site, wait_until
from tests.process.peer import next_address
from tests.process.test_resolving import NAME, named_site

QUICK = {"loncGrace": "0.3", "loncRedialMax": "2", "loncDelayedScan": "0.3"}
CLIENTS = 12
DISK_KIB = 512


def _timeless(text: str) -> str:
    """Return a text without its spans of time, which go on between two looks."""
    return re.sub(r"\d+ (?:s|min|h|d)\b", "N", text)


def told(site: Site, sentence: str) -> None:
    """See that people are told the same, once, and that a watching program sees that all is not well."""
    done = loncctl(site, "status", "--healthy")
    what = _timeless(sentence).partition(";")[0]
    assert what in _timeless(done.out), done.out
    assert sentence.partition("; do: ")[2] in done.out
    assert done.code != 0
    assert done.errors == ""


def test_a_peer_that_refuses(make_site: MakeSite) -> None:
    site = make_site(["msul1", "msul2"], settings=QUICK)
    site.peer("msul2")
    site.start()
    for number in range(12):
        site.delay("msul1", b"put:x:%d" % number, age_s=10800)
    sentence = wait_finding(site, "refused", "msul1")
    assert sentence.startswith("msul1 down for ")
    assert f"connection refused: nothing listens on {site.entry('msul1').address} port {site.port}" in sentence
    assert "; 12 messages wait, oldest 3 h; " in sentence
    assert "next try in " in sentence or "being tried now" in sentence
    assert "do: start lond on peer.example" in sentence
    told(site, sentence)
    wait_until(lambda: "\nmsul2  ready" in loncctl(site, "status").out, 20, "msul2 in the table of the others")
    assert "\nmsul1 " not in loncctl(site, "status").out.partition("\n\n")[2]


def test_a_name_that_does_not_resolve(make_site: MakeSite) -> None:
    site, names, _address = named_site(make_site)
    site.start(env=names.env)
    sentence = wait_finding(site, "unresolved", "msul1")
    assert f"{NAME} does not resolve" in sentence
    assert f"do: `getent hosts {NAME}` must answer: mend DNS or /etc/hosts" in sentence
    told(site, sentence)


def test_a_wrong_key(make_site: MakeSite) -> None:
    """The dialogue gives a key that lond itself does not use: what is encrypted comes back as nonsense."""
    site = make_site(settings=QUICK)
    site.peer("msul1", "at ekey=wrong-key", "on *=enc:odd")
    site.start()
    site.wait_ready()
    site.ask("msul1", b"encrypt:auth:msu:smith:geheim")
    sentence = wait_finding(site, "key", "msul1")
    assert "encrypted replies of msul1 cannot be decoded" in sentence
    assert "do: `loncctl reconnect msul1` agrees on a new key" in sentence
    assert "geheim" not in loncctl(site, "status").out
    told(site, sentence)


def test_a_lond_that_gives_no_key(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1", "at ekey=answer:error no key for you")
    site.start()
    sentence = wait_finding(site, "key", "msul1")
    assert "no key could be agreed: no build key" in sentence
    assert "do: see lond.log on peer.example" in sentence


def test_a_lond_that_stalls_in_its_dialogue(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK | {"loncInitTimeout": "0.5"})
    site.peer("msul1", "at challenge=stall")
    site.start()
    sentence = wait_finding(site, "stalls", "msul1")
    assert "lond there accepts, but does not answer: Timed out during init" in sentence
    assert "do: lond on peer.example hangs or is overloaded" in sentence
    told(site, sentence)


def test_a_lond_that_stalls_at_a_request(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK | {"loncRequestTimeout": "60"})
    peer = site.peer("msul1")
    site.start()
    site.wait_ready()
    peer.signal(signal.SIGSTOP)
    site.write_config(loncRequestTimeout="1")  # what a stall is, loncctl reckons by the configuration
    with site.connect("msul1") as client:
        client.send(b"put:msu:smith:geheim")
        sentence = wait_finding(site, "stalls", "msul1")
        assert "the link is up, but lond has not answered for " in sentence
        assert "1 in flight" in sentence
        assert "do: lond on peer.example works on a long request or hangs" in sentence
        assert "geheim" not in sentence
        told(site, sentence)


# --- this machine ----------------------------------------------------------------------------------------------


@pytest.fixture
def mounted() -> Iterator[list[Path]]:
    """Unmount after the test what was put into the list."""
    places: list[Path] = []
    yield places
    for place in places:
        subprocess.run(["umount", "-l", str(place)], check=True)


def _small_disk(place: Path, mounted: list[Path]) -> bool:
    """Put a small file system on a directory; False where that cannot be."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k,mode=700", "lonc-test", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        return False
    mounted.append(place)
    return True


def test_a_full_disk(make_site: MakeSite, mounted: list[Path]) -> None:
    """A small file system that is filled; where none can be had, a limit on the size of files."""
    site = make_site(settings=QUICK)
    site.peer("msul1")
    real = _small_disk(site.logs_dir, mounted)
    if real:
        site.start()
        site.wait_ready()
        with (site.logs_dir / "hog").open("wb", buffering=0) as hog:
            for size in (4096, 1):
                try:
                    while hog.write(b"x" * size):
                        pass
                except OSError:
                    continue
    else:
        if shutil.which("prlimit") is None:
            pytest.skip("neither a small disk nor prlimit")
        site.log_path.write_bytes(b"x" * (1 << 17) + b"\n")
        site.start(wrapper=["prlimit", f"--fsize={1 << 17}"])
        site.wait_ready()
    site.signal(signal.SIGUSR2, site.child("msul1"))  # it logs each request
    with site.connect("msul1") as client:
        for _ in range(100):
            assert client.ask(b"echo:x") == b"x"  # and traffic goes on
    sentence = wait_finding(site, "disk_full")
    assert f"the disk of {site.logs_dir} is full" in sentence if real else "the disk is full" in sentence
    wait_until(lambda: "log cannot be written: " in wait_finding(site, "disk_full"), 30, "what the log suffers")
    assert "do: make room on that file system: nothing has to be restarted" in sentence
    told(site, sentence)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="no prlimit")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the limits of a process that is not dumpable")
def test_the_limit_of_file_descriptors(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    limit = 32 + CLIENTS
    site.start(wrapper=["prlimit", f"--nofile={limit}:{limit}"])
    site.wait_ready()
    clients: list[Client] = []
    try:
        for _ in range(CLIENTS):
            clients.append(site.connect("msul1"))
            clients[-1].ask(b"echo:x")
        sentence = wait_finding(site, "descriptors", "msul1")
        assert f"msul1 has {CLIENTS} clients, and the most it can serve at once are {CLIENTS}" in sentence
        assert f"its limit of open files is {limit}" in sentence
        assert "do: raise the limit of open files (`ulimit -n`, LimitNOFILE=)" in sentence
        told(site, sentence)
    finally:
        for client in clients:
            client.close()


def test_a_dead_parent_with_its_pid_file(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    pid = site.start()
    site.wait_ready()
    site.delay("msul1", b"put:x:1", age_s=7200)
    for child in site.kill():
        wait_until(lambda one=child: not procs.alive(one), 10, "the end of an orphan")  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
    sentence = wait_finding(site, "dead")
    assert f"lonc is dead: nobody holds {site.logs_dir}/lonc.lock" in sentence
    assert f"lonc.pid is there and names process {pid}" in sentence
    assert "1 message waits, oldest 2 h" in sentence
    assert "then start lonc" in sentence.partition("; do: ")[2]
    done = loncctl(site, "status")
    assert done.code == 1
    assert "lonc is dead" in done.out


# --- messages and the table --------------------------------------------------------------------------------------


def test_a_rejected_message(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1", "on put:*=reply:error no such user geheim")
    site.start()
    site.wait_ready()
    site.delay("msul1", b"put:msu:smith:geheim")
    sentence = wait_finding(site, "rejected", "msul1")
    assert sentence.startswith("msul1 has refused 1 message, oldest ")
    assert "do: `loncctl queue msul1` lists them with the answer" in sentence
    assert "geheim" not in loncctl(site, "status").out
    told(site, sentence)


def test_a_corrupt_file(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    site.delayed("1015574179.1.812.put.msul1", b"put:geheim\nput:geheim\n")
    sentence = wait_finding(site, "corrupt", "msul1")
    assert sentence.startswith("1 file for msul1, oldest ")
    assert "can be no message (corrupt)" in sentence
    assert "NAME.reason beside each says why" in sentence.partition("; do: ")[2]
    assert "geheim" not in loncctl(site, "status").out
    told(site, sentence)


def test_two_addresses_for_one_id(make_site: MakeSite) -> None:
    first, second = next_address(), next_address()
    site = make_site([Entry("msul1", first), Entry("msul1", second)], settings=QUICK)
    site.start()
    sentence = wait_finding(site, "two_addresses", "msul1")
    assert f"two addresses in hosts.tab: {first} in line 1 and {second} in line 2;" in sentence
    assert "do: find out which address msul1 has, remove the other line, then `loncctl rehash`" in sentence
    told(site, sentence)
    # the true one may be the first: the same run of the verb also says what happens at the one that is used
    wait_finding(site, "refused", "msul1")


def test_a_peer_that_does_not_know_us(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1", "at init=answer:refused")
    site.start()
    sentence = wait_finding(site, "not_known", "msul1")
    assert "it does not know our address" in sentence
    assert "its hosts.tab must have a line for own1" in sentence


def test_all_well_says_so(make_site: MakeSite) -> None:
    site = make_site(settings=QUICK)
    site.peer("msul1")
    site.start()
    site.wait_ready()
    done = loncctl(site, "status", "--healthy")
    assert done.code == 0, done.out
    assert document(site, "status")["healthy"] is True
