"""`loncctl check` over whole installations: what is in order, what is not, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from tests.conftest import MakeSite
from tests.process.harness import TREE, Entry, Site, wait_until

SCHEMA = json.loads((TREE / "doc" / "schema" / "check.json").read_text("utf-8"))
LIMIT_S = 60.0


@dataclass(frozen=True)
class Found:
    """What a check has brought; findings other than ok, as (check, level, text)."""

    code: int
    troubles: list[tuple[str, str, str]]
    said: str

    def only(self, check: str, level: str, text: str) -> None:
        """Assert that this is all that is wrong."""
        assert len(self.troubles) == 1, self.troubles
        assert self.troubles[0][:2] == (check, level)
        assert text in self.troubles[0][2]


def run(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the check as somebody would."""
    command = [sys.executable, str(TREE / "bin" / "loncctl"), "--conf-dir", str(site.conf_dir), "check", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def check(site: Site, *words: str) -> Found:
    """Return what a check finds; the document fits its schema, the exit code the document."""
    done = run(site, "--json", *words)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert done.returncode == (2 if document["errors"] else 1 if document["warnings"] else 0)
    troubles = [
        (one["check"], one["level"], f"{one['text']} do: {one['remedy']}")
        for one in document["checks"]
        if one["level"] != "ok"
    ]
    assert all(" do: " in text and not text.endswith(" do: ") for _, _, text in troubles)
    return Found(done.returncode, troubles, done.stdout)


@pytest.fixture
def place(make_site: MakeSite) -> Site:
    """Return an installation in order."""
    return make_site(("msul1", "own1"))


def test_an_installation_in_order_is_valid(place: Site) -> None:
    before = sorted(path for path in place.root.rglob("*"))
    assert check(place).troubles == []
    assert sorted(path for path in place.root.rglob("*")) == before
    done = run(place)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "valid"


def test_a_running_daemon_is_in_order(place: Site) -> None:
    place.peer("msul1")
    place.start()
    place.wait_ready("msul1")
    found = check(place)
    assert found.troubles == []
    assert f"runs, process {place.pid()}" in found.said


def test_all_mistakes_of_the_configuration_at_once(place: Site) -> None:
    place.write_config(loncGrace="-1", loncNothing="x", londStore="mysql://u:s3cr3t@db/x")
    found = check(place)
    assert found.code == 2
    texts = "\n".join(text for check, _, text in found.troubles if check == "configuration")
    for said in ("loncGrace is '-1'", "loncNothing", "londStore is 'mysql://u:***@db/x'"):
        assert said in texts
    assert "s3cr3t" not in found.said
    assert run(place).stdout.splitlines()[-1].startswith("not valid: 3 errors, 0 warnings")


def test_a_table_with_mistakes(place: Site) -> None:
    with place.hosts_path.open("a") as table:
        table.write("garbage\nmsul1:msu:library:x.example:127.9.9.9\n")
    found = check(place)
    assert (found.code, [level for _, level, _ in found.troubles]) == (1, ["warning", "warning"])
    assert run(place).stdout.splitlines()[-1] == "valid, with 2 warnings"
    place.hosts_path.write_text("# nobody\n")
    check(place).only("table", "error", "no usable host")


def test_paths_of_sockets_that_are_too_long(place: Site) -> None:
    place.write_hosts([*place.entries, Entry("x" * 64, "127.9.9.9")])
    deep = place.root / ("d" * 40)
    deep.mkdir(mode=0o700)
    place.write_config(lonSockDir=str(deep))
    found = check(place)
    assert ("socket paths", "error") in [trouble[:2] for trouble in found.troubles]


def test_directories_that_are_missing_or_open(place: Site) -> None:
    shutil.rmtree(place.logs_dir)
    check(place).only("directories", "error", f"{place.logs_dir} (logs/): no such file or directory")
    place.logs_dir.mkdir()
    place.sock_dir.chmod(0o701)
    check(place).only("directories", "warning", "any user of this machine can reach the sockets")
    place.sock_dir.chmod(0o700)
    place.delayed_dir.chmod(0o755)
    check(place).only("directories", "warning", f"chmod o-rwx {place.delayed_dir}")
    place.delayed_dir.chmod(0o700)
    place.status_path.parent.rmdir()
    check(place).only("directories", "warning", "lon-status")


def test_files_that_others_can_use(place: Site) -> None:
    keys = place.logs_dir / "lonc.keys"
    keys.touch(0o600)
    assert check(place).troubles == []
    keys.chmod(0o640)
    check(place).only("keys", "error", f"chmod 0600 {keys}")
    keys.chmod(0o600)
    place.log_path.touch()
    place.log_path.chmod(0o644)
    check(place).only("files", "warning", f"chmod 0640 {place.log_path}")


def test_messages_that_were_put_aside(place: Site) -> None:
    place.delay("msul1", b"put:x")
    assert check(place).troubles == []
    place.delay("gone9", b"put:x")
    check(place).only("delayed", "warning", "1 files in")
    for path in place.delayed_dir.iterdir():
        path.unlink()
    for kind in ("rejected", "corrupt", "held"):
        (place.delayed_dir / kind).mkdir(mode=0o700)
        (place.delayed_dir / kind / "1700000000.1.5.put.msul1").touch(0o600)
    found = check(place)
    assert [text.split(" do:")[0] for _, _, text in found.troubles] == [
        "1 messages are rejected", "1 messages are corrupt", "1 messages are held",
    ]  # fmt: skip
    for kind in ("rejected", "corrupt", "held"):
        shutil.rmtree(place.delayed_dir / kind)
    place.delayed(".new-1700000000.1.5.put.msul1~", b"half", age_s=7200)
    check(place).only("delayed", "warning", "1 unfinished messages")


def test_a_user_that_does_not_exist(place: Site) -> None:
    place.write_config(loncUser="nobody-of-that-name", loncAllowUsers="nor-this-one")
    found = check(place)
    assert [trouble[:2] for trouble in found.troubles if trouble[0] == "user"] == [
        ("user", "error"), ("user", "warning"),
    ]  # fmt: skip


def test_a_dead_parent_with_its_pid_file(place: Site) -> None:
    place.start()
    place.signal(signal.SIGKILL)
    wait_until(lambda: not place.running(), 20, "the parent's end")
    wait_until(lambda: not place.processes(), 20, "the children's end")
    check(place).only("lonc", "warning", f"{place.pid_path} is there: it was killed")


@pytest.fixture
def original(place: Site) -> Iterator[Path]:
    """Return a program that is called as the original is, and sleeps; what was started of it is ended."""
    path = place.root / "lonc"
    path.write_text("#!/bin/sh\nsleep 1000 & echo $!; wait\n")
    path.chmod(0o755)
    process = subprocess.Popen([str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    sleeper = int(process.stdout.readline())
    place.pid_path.write_text(f"{process.pid}\n")
    yield path
    os.kill(sleeper, signal.SIGKILL)
    process.kill()
    process.wait(10)
    process.stdout.close()


@pytest.mark.usefixtures("original")
def test_a_living_original(place: Site) -> None:
    check(place).only("lonc", "error", "another lonc may live")


def test_lond_is_asked_where_it_is_configured(place: Site) -> None:
    place.write_config(londListen="127.0.0.1", londIdleWorkers="3")
    found = check(place)
    assert found.troubles == []
    assert "store: sqlite" in found.said
    (place.root / "users").rmdir()
    (place.root / "users").touch()
    check(place).only("directories", "error", "(lonUsersDir) is no directory")
    (place.root / "users").unlink()
    (place.root / "users").mkdir()
    place.write_config(londListen="192.0.2.1")
    check(place).only("lond", "error", "cannot listen on 192.0.2.1")
    assert check(place, "--no-lond").troubles == []


def test_a_password_in_what_lond_says_is_masked(place: Site) -> None:
    place.write_config(londStore="postgresql://u:s3cr3t@127.0.0.1:1/x")
    found = check(place)
    assert [trouble[:2] for trouble in found.troubles] == [("lond", "error")]
    done = run(place)
    assert "s3cr3t" not in found.said + done.stdout + done.stderr


def test_no_configuration_at_all(place: Site) -> None:
    shutil.rmtree(place.conf_dir)
    check(place).only("configuration", "error", "neither loncapa_apache.conf nor loncapa.conf is there")
