"""Sealed messages: their form, the key file, and everything that can be wrong with either."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from lonc.delayed.sealing import (
    KEEP_MIN_S,
    Keys,
    SealBrokenError,
    SealError,
    key_of,
    sealed_size,
    sealed_with,
)
from lonc.system.files import SystemFiles
from tests.unit.delayed_ground import Crash, FakeClock, FaultyFiles

LINE = b"encrypt:passwd:msu:u:old:new\x00\xff"


class Place:
    """A directory for a key file, a clock set by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path / "lonc.keys"
        self.clock = FakeClock()
        self.keys = Keys(str(self.path), files=SystemFiles(), clock=self.clock)

    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("line", [b"", b"x", LINE, bytes(range(256)).replace(b"\n", b""), b"y" * 100_000])
def test_what_was_sealed_is_unsealed(place: Place, line: bytes) -> None:
    sealed = place.keys.seal(line, "msul1")
    assert sealed.startswith(b"sealed:1:")
    assert b"\n" not in sealed
    assert len(line) < 4 or line not in sealed
    assert len(sealed) <= sealed_size(len(line))
    assert place.keys.unseal(sealed, "msul1") == line


def test_the_form_is_the_documented_one(place: Place) -> None:
    """A message sealed by other means, from the documented form alone, is understood."""
    import base64

    from Crypto.Cipher import AES

    place.path.write_text("# made by hand\n\nk1 " + "00" * 32 + " 5\nk2 " + "ab" * 32 + " 6\n")
    place.path.chmod(0o600)
    cipher = AES.new(b"\xab" * 32, AES.MODE_GCM, nonce=b"n" * 12)
    cipher.update(b"lonc-delayed-1:msul1")
    ciphertext, tag = cipher.encrypt_and_digest(LINE)
    sealed = b"sealed:1:k2:" + base64.b64encode(b"n" * 12 + ciphertext + tag)
    assert place.keys.unseal(sealed, "msul1") == LINE
    assert key_of(place.keys.seal(LINE, "msul1")) == "k2"


def test_no_two_sealed_forms_are_alike(place: Place) -> None:
    assert len({place.keys.seal(LINE, "msul1") for _ in range(200)}) == 200


def test_the_first_use_makes_the_key_file_for_us_alone(place: Place) -> None:
    old = os.umask(0)
    try:
        place.keys.seal(LINE, "msul1")
    finally:
        os.umask(old)
    facts = place.path.stat()
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert facts.st_nlink == 1
    assert len(place.lines()) == 1
    assert os.listdir(place.path.parent) == ["lonc.keys"]
    place.keys.seal(LINE, "msul1")
    assert len(place.lines()) == 1


def test_every_changed_byte_is_found(place: Place) -> None:
    sealed = place.keys.seal(b"encrypt:put:msu:u:ns:a=b", "msul1")
    for n in range(len(sealed)):
        for bit in (1, 32):
            changed = sealed[:n] + bytes([sealed[n] ^ bit]) + sealed[n + 1 :]
            with pytest.raises(SealBrokenError):
                assert place.keys.unseal(changed, "msul1") != b"", (n, bit)
    for cut in (sealed[:-4], sealed[:20], b"sealed:", b"sealed:1:", b"sealed:2:a:AAAA", sealed + b"AAAA"):
        with pytest.raises(SealBrokenError):
            place.keys.unseal(cut, "msul1")


def test_what_was_sealed_for_one_peer_opens_for_no_other(place: Place) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    with pytest.raises(SealBrokenError, match="not sealed for msul2"):
        place.keys.unseal(sealed, "msul2")


def test_a_lost_key_is_named_with_what_to_do(place: Place) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    kept = place.path.read_bytes()
    place.path.unlink()
    with pytest.raises(SealBrokenError, match=f"key {key_of(sealed)}, which is not in {place.path}: restore"):
        place.keys.unseal(sealed, "msul1")
    other = place.keys.seal(LINE, "msul1")
    with place.path.open("ab") as file:
        file.write(kept)
    assert place.keys.unseal(sealed, "msul1") == place.keys.unseal(other, "msul1") == LINE


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o601, 0o666])
def test_a_key_file_that_others_can_use_is_refused(place: Place, mode: int) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    place.path.chmod(mode)
    for use in (place.keys.seal, place.keys.unseal):
        with pytest.raises(SealError, match=f"mode {mode:04o}") as caught:
            use(sealed, "msul1")
        assert not isinstance(caught.value, SealBrokenError)  # the message stays where it is
    place.path.chmod(0o600)
    assert place.keys.unseal(sealed, "msul1") == LINE


def test_a_link_a_directory_and_a_fifo_are_refused(place: Place, tmp_path: Path) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    elsewhere = place.path.rename(tmp_path / "elsewhere")
    place.path.symlink_to(elsewhere)
    with pytest.raises(SealError, match="a symbolic link is not followed"):
        place.keys.unseal(sealed, "msul1")
    with pytest.raises(SealError, match="a symbolic link"):
        place.keys.seal(LINE, "msul1")
    place.path.unlink()
    os.mkfifo(place.path, 0o600)
    with pytest.raises(SealError, match="FIFO"):
        place.keys.seal(LINE, "msul1")
    place.path.unlink()
    place.path.mkdir(mode=0o700)
    with pytest.raises(SealError, match="directory"):
        place.keys.seal(LINE, "msul1")


def test_another_users_key_file_is_refused(place: Place) -> None:
    place.keys.seal(LINE, "msul1")

    class Foreign(SystemFiles):
        def fstat(self, fd: int) -> os.stat_result:
            facts = list(super().fstat(fd))
            facts[4] += 4711  # st_uid
            return os.stat_result(facts)

    keys = Keys(str(place.path), files=Foreign(), clock=place.clock)
    with pytest.raises(SealError, match="belongs to user id"):
        keys.seal(LINE, "msul1")


def test_a_damaged_line_stops_sealing_and_not_the_rest_of_unsealing(place: Place) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    with place.path.open("a") as file:
        file.write("k2 abc 5\n")
    with pytest.raises(SealError, match="line 2 is no key"):
        place.keys.seal(LINE, "msul1")
    assert place.keys.unseal(sealed, "msul1") == LINE


@pytest.mark.parametrize("content", ["", "# nothing\n"])
def test_a_file_without_a_key_is_told(place: Place, content: str) -> None:
    place.path.write_text(content)
    place.path.chmod(0o600)
    with pytest.raises(SealError, match="it holds no key"):
        place.keys.seal(LINE, "msul1")


def test_a_missing_library_leaves_the_message_where_it_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = place.keys.seal(LINE, "msul1")
    monkeypatch.setitem(__import__("sys").modules, "Crypto.Cipher", None)
    for use in (place.keys.seal, place.keys.unseal):
        with pytest.raises(SealError, match="pycryptodome") as caught:
            use(sealed, "msul1")
        assert not isinstance(caught.value, SealBrokenError)


# --- rotation -------------------------------------------------------------------------------------------


def test_a_new_key_seals_and_the_old_ones_unseal(place: Place) -> None:
    first = place.keys.seal(LINE, "msul1")
    rotation = place.keys.rotate()
    second = place.keys.seal(LINE, "msul1")
    assert rotation.dropped == ()
    assert key_of(second) == rotation.new != key_of(first)
    assert place.keys.unseal(first, "msul1") == place.keys.unseal(second, "msul1") == LINE
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert os.listdir(place.path.parent) == ["lonc.keys"]


def test_keys_are_dropped_when_they_were_replaced_long_ago_and_nothing_needs_them(place: Place) -> None:
    old = key_of(place.keys.seal(LINE, "msul1"))
    place.clock.advance(10 * 86400)
    needed = place.keys.rotate(keep_s=86400).new  # sealed until now: the first one is kept a day from now
    place.clock.advance(2 * 86400)
    assert place.keys.rotate(keep_s=86400, in_use=None).dropped == ()
    place.clock.advance(2 * 86400)
    assert place.keys.rotate(keep_s=86400, in_use={needed}).dropped == (old,)
    assert len(place.lines()) == 3


def test_keys_are_kept_an_hour_at_least(place: Place) -> None:
    with pytest.raises(ValueError, match="kept for 3600 s"):
        place.keys.rotate(keep_s=KEEP_MIN_S - 1)


def test_a_rotation_of_a_damaged_file_changes_nothing(place: Place) -> None:
    place.keys.seal(LINE, "msul1")
    with place.path.open("a") as file:
        file.write("half a li")
    before = place.path.read_bytes()
    with pytest.raises(SealError, match="is no key"):
        place.keys.rotate()
    assert place.path.read_bytes() == before


def test_left_over_key_files_are_removed_when_they_are_old(place: Place) -> None:
    for name, age in ((".lonc.keys.0123abcd", 4000), (".lonc.keys.4567abcd", 100), (".lonc.keysx", 4000)):
        path = place.path.parent / name
        path.touch()
        moment = place.clock.wall() - age
        os.utime(path, (moment, moment))
    place.keys.rotate()
    assert sorted(os.listdir(place.path.parent)) == [".lonc.keys.4567abcd", ".lonc.keysx", "lonc.keys"]


def test_the_keys_that_messages_need_are_found(place: Place, tmp_path: Path) -> None:
    directory = tmp_path / "delayed"
    wanted = set()
    for folder in ("", "rejected", "corrupt", "held"):
        (directory / folder).mkdir(exist_ok=True)
        sealed = place.keys.seal(LINE, "msul1")
        wanted.add(key_of(sealed))
        (directory / folder / "5.1.1.encrypt.msul1").write_bytes(sealed + b"\n")
        (directory / folder / "5.2.1.put.msul1").write_bytes(b"put:x\n")
        place.keys.rotate()
    (directory / "5.3.1.x.msul1").symlink_to("nowhere")
    os.mkfifo(directory / "5.4.1.x.msul1")
    assert sealed_with(SystemFiles(), str(directory)) == wanted
    assert sealed_with(SystemFiles(), str(tmp_path / "none")) == set()
    assert sealed_with(Blind(), str(directory)) is None


class Blind(SystemFiles):
    """No file can be read."""

    def read(self, fd: int, n: int) -> bytes:
        raise OSError(5, "Input/output error")


# --- faults ---------------------------------------------------------------------------------------------


def crash() -> None:
    raise Crash


def fail() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("rotating", [False, True])
@pytest.mark.parametrize("fault", [crash, fail])
def test_a_crash_or_an_error_at_any_call_leaves_a_whole_file(
    tmp_path: Path, rotating: bool, fault: Callable[[], None]
) -> None:
    """No key that sealed anything is ever lost, and the next use works without a hand's turn."""
    for n in range(60):
        (tmp_path / str(n)).mkdir()
        place = Place(tmp_path / str(n))
        sealed = [place.keys.seal(LINE, "msul1")] if rotating else []
        files = FaultyFiles(n, fault)
        keys = Keys(str(place.path), files=files, clock=place.clock)
        try:
            if rotating:
                keys.rotate()
            else:
                sealed.append(keys.seal(LINE, "msul1"))
        except (Crash, SealError):
            pass
        files.die()
        sealed.append(place.keys.seal(LINE, "msul1"))
        assert [place.keys.unseal(one, "msul1") for one in sealed] == [LINE] * len(sealed)
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
        if not files.hit:
            assert n > 8
            return
    raise AssertionError("never reached the end")
