"""What orders stand on: who the operator is, and the log that is followed for what an order brings."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lonc.cli.ctl.log_tail import LogTail
from lonc.cli.ctl.operator import NotAllowedError, Person, become_operator

LINE = "Sat Nov 21 10:33:25 2026 (%d) [%s] [Sat Nov 21 10:33:25 2026: Idle]: %s\n"


def config(user: str) -> Any:
    return SimpleNamespace(user=user)


def in_child(deed: Callable[[], bool]) -> bool:
    """Return what a forked process found: it may give up its rights for good."""
    pid = os.fork()
    if pid == 0:
        found = 1
        try:
            found = 0 if deed() else 1
        finally:
            os._exit(found)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_the_daemons_own_user_stays_as_he_is() -> None:
    name = pwd.getpwuid(os.geteuid()).pw_name
    assert become_operator(config(name)).uid == os.getuid()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_daemons_user_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "1234")
    nobody = pwd.getpwnam("nobody")

    def deed() -> bool:
        person = become_operator(config("nobody"))
        groups = set(os.getgroups())
        ids = (os.getresuid(), os.getresgid())
        right = ids == ((nobody.pw_uid,) * 3, (nobody.pw_gid,) * 3) and groups <= {nobody.pw_gid}
        return right and str(person) == "user id 0, by sudo from 1234"

    assert in_child(deed)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def deed() -> bool:
        os.setresuid(*(pwd.getpwnam("nobody").pw_uid,) * 3)
        try:
            become_operator(config("root"))
        except NotAllowedError:
            return True
        return False

    assert in_child(deed)


def test_a_user_that_is_none_is_told() -> None:
    with pytest.raises(NotAllowedError, match="no user nobody-of-that-name"):
        become_operator(config("nobody-of-that-name"))


def test_a_person_in_the_log() -> None:
    assert str(Person(33, None)) == "user id 33"


def test_only_what_comes_after_the_beginning_is_heard_also_after_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "lonc.log"
    path.write_text(LINE % (7, "PARENT", "Restarting"))
    tail = LogTail(str(path))
    assert tail.said("PARENT", "Restarting") == ""
    with path.open("a") as log:
        log.write(LINE % (8, "PARENT", '<font color="red">CRITICAL: Restart refused: why</font>'))
        log.write((LINE % (7, "p1", "Paused"))[:30])
        log.flush()
        assert tail.said("PARENT", "refused", pid=8) == "CRITICAL: Restart refused: why"
        assert tail.said("PARENT", "refused", pid=7) == ""
        assert tail.said("p1", "Paused") == ""
        log.write((LINE % (7, "p1", "Paused"))[30:])
    assert tail.said("p1", "nothing", "Paused") == "Paused"
    with path.open("a") as log:
        path.rename(tmp_path / "lonc.log.1")
        log.write(LINE % (7, "p1", "Resumed"))
    path.write_text("")
    assert tail.said("p1", "Resumed") == "Resumed"
    assert tail.said("p2", "Online") == ""
    path.write_text(LINE % (9, "p2", "Online"))
    assert tail.said("p2", "Online") == "Online"


def test_a_log_that_comes_later_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "lonc.log"
    tail = LogTail(str(path))
    path.write_text("no line\n" + LINE % (9, "p2", "Online"))
    assert tail.said("p2", "Online") == "Online"
