"""The one mail (spec lonc.md 1.2): a real program in sendmail's place; nothing ever waits or fails for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lonc.system.mail import recipients, send_mail


@pytest.fixture
def mailer(tmp_path: Path) -> str:
    path = tmp_path / "sendmail"
    path.write_text(f'#!/bin/sh\nprintf "%s|" "$@" > {tmp_path}/args\ncat > {tmp_path}/mail\n')
    path.chmod(0o755)
    return str(path)


def test_it_hands_over_recipients_subject_and_text(mailer: str, tmp_path: Path) -> None:
    assert send_mail(("a@b.c,d", "a@b.c"), "LON: User\nID mismatch", "text\udcff", mailers=("/nowhere", mailer))
    assert (tmp_path / "args").read_text() == "-i|a@b.c|d|"
    assert (tmp_path / "mail").read_text() == "To: a@b.c, d\nSubject: LON: User ID mismatch\n\ntext\\udcff\n"


def test_only_plain_addresses_are_taken(mailer: str, tmp_path: Path) -> None:
    assert recipients(("-oQ/tmp", "a;b", "|sh", "x@y,,z@w", "a b", "", "/etc/passwd", "x@y")) == ["x@y", "z@w"]
    assert not send_mail(("-oQ/tmp", ""), "s", "t", mailers=(mailer,))
    assert not (tmp_path / "args").exists()


def test_a_missing_failing_or_unable_mailer_is_no_error(tmp_path: Path) -> None:
    assert not send_mail(("a",), "s", "t", mailers=(str(tmp_path / "none"),))
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\nexit 75\n")
    failing.chmod(0o755)
    assert not send_mail(("a",), "s", "t" * 1_000_000, mailers=(str(failing),))
    unable = tmp_path / "unable"
    unable.write_text("#!/no/interpreter\n")
    unable.chmod(0o755)
    assert not send_mail(("a",), "s", "t", mailers=(str(unable),))


def test_a_slow_mailer_is_not_waited_for(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    before = time.monotonic()
    assert not send_mail(("a",), "s", "t", timeout_s=0.2, mailers=(str(slow),))
    assert time.monotonic() - before < 5
