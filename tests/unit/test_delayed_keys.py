"""What is said of the key file and of sealed messages that do not open: the whole text each time."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from lonc.delayed import sealing
from lonc.delayed.sealing import KEEP_MIN_S, SealBrokenError, SealError
from tests.unit.delayed_desk import Desk, broken, why


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_is_said_of_keys(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, path, files = desk.keys, desk.base / "lonc.keys", desk.files
    opened = "open lonc.keys NONBLOCK"

    def seal() -> bytes:
        return keys.seal(b"x", "p1")

    files.before("open .lonc.keys.* WRONLY|CREAT|EXCL 600", broken(errno.ENOSPC))
    assert why(SealError, seal) == f"{path}: No space left on device"
    sealed = seal()
    files.before("fsync .", broken())
    assert why(SealError, seal) == f"{desk.base}: Input/output error"
    files.before(opened, broken(errno.ELOOP))
    assert why(SealError, seal) == f"{path}: the key file cannot be used: a symbolic link is not followed"
    files.before(opened, broken())
    assert why(SealError, seal) == f"{path}: the key file cannot be used: Input/output error"
    files.before("read lonc.keys 1048576", broken())
    assert why(SealError, lambda: keys.unseal(sealed, "p1")) == f"{path}: Input/output error"
    files.before("listdir .", lambda: None)
    files.before("rename .lonc.keys.* lonc.keys", broken())
    assert why(SealError, keys.rotate) == f"{path}: Input/output error"
    assert why(ValueError, lambda: keys.rotate(keep_s=KEEP_MIN_S - 1)) == (
        "keys are kept for 3600 s at least, not for 3599"
    )
    assert keys.rotate(keep_s=KEEP_MIN_S).dropped == ()
    monkeypatch.setattr(sealing, "_LOCK_LIMIT_S", 0.0)
    fd = os.open(path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert why(SealError, keys.rotate) == f"{path}: another process is rotating the keys"
    os.close(fd)
    path.write_text("# none\n")
    assert why(SealError, seal) == f"{path}: it holds no key"
    path.write_text("# none\nno key\n")
    assert why(SealError, seal) == f"{path}: line 2 is no key: restore it from a backup"
    assert files.descriptors == []
    assert sorted(os.listdir(desk.base)) == ["delayed", "lonc.keys"]


def test_what_is_said_of_sealed_messages_that_do_not_open(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, path = desk.keys, desk.base / "lonc.keys"
    sealed = keys.seal(b"x", "p1")
    key = sealing.key_of(sealed)
    form = "sealed in a form that is not known here: restore it from a copy"
    for text in (b"sealed:2:a:AAAA", sealed + b"!", b"x" + sealed, sealed + b"\n"):
        assert why(SealBrokenError, lambda text=text: keys.unseal(text, "p1")) == form  # type: ignore[misc]  # bound
    changed = f"sealed with the key {key}, but changed since, or not sealed for p1"
    assert key is not None
    for data in (b"AAAA", b"AAAA="):
        text = b"sealed:1:%b:%b" % (key.encode(), data)
        assert why(SealBrokenError, lambda text=text: keys.unseal(text, "p1")) == (  # type: ignore[misc]  # bound
            f"{changed}: if there is a copy of it, move that into delayed"
        )
    lost = f"sealed with the key other, which is not in {path}"
    assert why(SealBrokenError, lambda: keys.unseal(b"sealed:1:other:AAAA", "p1")) == (
        f"{lost}: restore that line there, then move this file back into delayed"
    )
    monkeypatch.setitem(__import__("sys").modules, "Crypto.Cipher", None)
    assert why(SealError, lambda: keys.seal(b"x", "p1")) == "the library pycryptodome is missing: install it"
