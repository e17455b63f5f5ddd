"""The key file at its limits, and what is said of it and of sealed messages that do not open, whole."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from lonc.delayed import sealing
from lonc.delayed.sealing import KEEP_MIN_S, Keys, SealBrokenError, SealError, key_of, sealed_size, sealed_with
from lonc.system.files import SystemFiles
from tests.unit.delayed_calls import Recorder
from tests.unit.delayed_desk import Desk, Time, broken, why
from tests.unit.delayed_ground import Ground

FILES = SystemFiles()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


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
    path.write_bytes(b"# none\n\xff\xfe\n")
    assert why(SealError, seal) == f"{path}: line 2 is no key: restore it from a backup"
    assert files.descriptors == []
    assert sorted(os.listdir(desk.base)) == ["delayed", "lonc.keys"]


def test_a_key_file_that_cannot_be_written_leaves_nothing_behind(desk: Desk) -> None:
    for call in ("write", "fsync", "close"):
        desk.files.before(f"{call} .lonc.keys.*", broken(errno.ENOSPC))
        told = f"{desk.base}/lonc.keys: No space left on device"
        assert why(SealError, lambda: desk.keys.seal(b"x", "p1")) == told
        assert call == "close" or os.listdir(desk.base) == ["delayed"]
    desk.keys.rotate()
    desk.files.before("flock lonc.keys 6", broken(errno.ENOLCK))
    assert why(SealError, desk.keys.rotate) == f"{desk.base}/lonc.keys: No locks available"
    assert desk.files.descriptors == []


def test_a_rotation_waits_for_another_one_ten_seconds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.keys.rotate()
    clock = Time()
    monkeypatch.setattr(sealing, "time", clock)
    desk.files.before("flock lonc.keys 6", broken(errno.EWOULDBLOCK))
    desk.keys.rotate()
    assert clock.slept == [0.01]
    fd = os.open(desk.base / "lonc.keys", os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    with pytest.raises(SealError, match="another process"):
        desk.keys.rotate()
    os.close(fd)
    assert sum(clock.slept) == pytest.approx(10.01, abs=0.015)
    assert set(clock.slept) == {0.01}
    assert desk.files.descriptors == []


def test_bytes_that_are_no_text_keep_no_key_from_unsealing(desk: Desk) -> None:
    sealed = desk.keys.seal(b"x", "p1")
    with (desk.base / "lonc.keys").open("ab") as file:
        file.write(b"\xff\xfe\n")
    assert desk.keys.unseal(sealed, "p1") == b"x"


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


def test_the_size_of_what_is_sealed_is_never_underrated(ground: Ground) -> None:
    keys = Keys(str(ground.path / "lonc.keys"), files=FILES, clock=ground.clock)
    for size in range(8):
        sealed = keys.seal(b"x" * size, "p1")
        assert sealed_size(size) - len(sealed) == 32 - 8  # the longest id of a key, and ours
    assert key_of(b"sealed:1:" + b"Z9a" * 10 + b"xy:") == "Z9a" * 10 + "xy"
    assert key_of(b"sealed:1:" + b"a" * 33 + b":") is None
    assert key_of(b" sealed:1:a:") is None


def test_a_key_is_kept_exactly_as_long_as_it_is_to_be(ground: Ground) -> None:
    path = ground.path / "lonc.keys"
    keys = Keys(str(path), files=FILES, clock=ground.clock)
    wall = int(ground.clock.now_wall)
    lines = [f"k{n} {'00' * 32} {wall - age}\n" for n, age in enumerate((20_000, 7201, 7200, 100))]
    path.write_text("".join(lines))
    path.chmod(0o600)
    assert keys.rotate(keep_s=7200.0).dropped == ("k0",)  # replaced 7201 s ago
    assert [line.split()[0] for line in path.read_text().splitlines()[:-1]] == ["k1", "k2", "k3"]
    ground.clock.advance(KEEP_MIN_S + 100)
    assert keys.rotate(keep_s=KEEP_MIN_S, in_use=["k2"]).dropped == ("k1", "k3")


def test_every_place_is_looked_into_for_keys_that_are_needed(ground: Ground) -> None:
    assert sealed_with(FILES, str(ground.path)) == set()
    for n, folder in enumerate(("", "rejected", "corrupt", "held", "dropped")):
        (ground.path / folder).mkdir(exist_ok=True)
        ground.put(os.path.join(folder, "x"), b"sealed:1:k%d:AAAA\n" % n)
        assert sealed_with(FILES, str(ground.path)) == {f"k{m}" for m in range(n + 1)}
    ground.put("y", b"sealed:1:" + b"k" * 32 + b":" + b"A" * 64)
    (ground.path / "corrupt" / "x").unlink()
    (ground.path / "corrupt").rmdir()
    assert sealed_with(FILES, str(ground.path)) == {"k0", "k1", "k3", "k4", "k" * 32}
    files = Recorder(ground.path)
    files.before("listdir held", broken(errno.EACCES))
    assert sealed_with(files, str(ground.path)) is None
    files.before("open held/x NONBLOCK", broken(errno.EACCES))
    assert sealed_with(files, str(ground.path)) is None
    files.before("open held/x NONBLOCK", broken(errno.ENOENT))
    assert sealed_with(files, str(ground.path)) == {"k0", "k1", "k4", "k" * 32}
    files.before("read held/x 64", broken())
    assert sealed_with(files, str(ground.path)) is None
    assert files.descriptors == []
    assert sealing.KEEP_S == 366 * 86400
