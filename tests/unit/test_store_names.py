"""Names of the store: what is taken, and which directory of the original it means."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lonc.lond.store import NameRefused, Owner, StoreError
from lonc.lond.store.names import (
    check,
    check_owner,
    check_user,
    directory_of,
    has_journal,
    parts_of,
    valid_domain,
    valid_name,
    valid_namespace,
)
from lonc.system.files import SystemFiles
from tests.fakes.faulty_files import FaultyFiles

FILES = SystemFiles()


@pytest.mark.parametrize(
    ("name", "directory"),
    [
        (b"albertel", "msu/a/l/b/albertel"),  # as the original's propath has it
        (b"abc", "msu/a/b/c/abc"),
        (b"ab", "msu/a/b/_/ab"),
        (b"a", "msu/a/_/_/a"),
        (b"_", "msu/_/_/_/_"),
        (b"a.b", "msu/a/./b/a.b"),
        (b"a..", "msu/a/././a.."),
        (b"", "msu"),
    ],
)
def test_the_directory_is_the_originals(name: bytes, directory: str) -> None:
    assert "/".join(parts_of(Owner(b"msu", name))) == directory


@pytest.mark.parametrize("text", [b"msu", b"a", b"a.b-c_d", b"9", b"_x", b"a" * 64])
def test_domains_that_are_taken(text: bytes) -> None:
    assert valid_domain(text)
    check_user(Owner(text, b"ann@msu.edu"))
    check(Owner(text, b""), b"ids")


@pytest.mark.parametrize(
    "text", [b"", b".", b"..", b".a", b"-a", b"a/b", b"a\n", b"a\0", b"a b", b"\xc3\xa4", b"a" * 129]
)
def test_names_that_are_not_taken(text: bytes) -> None:
    assert not valid_domain(text)
    assert not valid_name(text)
    assert not valid_namespace(text)
    with pytest.raises(NameRefused):
        check_owner(Owner(text, b"ann"))
    with pytest.raises(NameRefused):
        check_user(Owner(b"msu", text))
    with pytest.raises(NameRefused):
        check(Owner(b"msu", b"ann"), text)


@given(domain=st.binary(max_size=20), name=st.binary(max_size=20))
def test_no_owner_leaves_the_users_directory(domain: bytes, name: bytes) -> None:
    try:
        check_owner(Owner(domain, name))
    except NameRefused:
        return
    path = os.path.normpath("/".join(["/users", *parts_of(Owner(domain, name))]))
    assert path.startswith("/users/" + domain.decode())


def test_nohist_has_no_journal() -> None:
    assert has_journal(b"environment")
    assert not has_journal(b"nohist_resevaldata")


def test_directories_are_made_for_us_alone_and_only_when_asked(tmp_path: Path) -> None:
    users, owner = tmp_path / "lonUsers", Owner(b"msu", b"a.b")
    assert directory_of(FILES, str(users), owner, make=False) is None
    assert not users.exists()
    made = directory_of(FILES, str(users), owner, make=True)
    assert made is not None
    assert Path(made).resolve() == users / "msu" / "a" / "b" / "a.b"
    for path in (users, *users.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) == 0o700
    assert directory_of(FILES, str(users), owner, make=False) == made


@pytest.mark.parametrize("part", ["msu", "msu/a", "msu/a/n/n/ann"])
def test_a_link_below_the_users_directory_is_not_followed(tmp_path: Path, part: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = tmp_path / "lonUsers" / part
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    for make in (True, False):
        with pytest.raises(StoreError, match="a symbolic link"):
            directory_of(FILES, str(tmp_path / "lonUsers"), Owner(b"msu", b"ann"), make=make)
    assert list(elsewhere.iterdir()) == []


def test_the_users_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "lonUsers").symlink_to(tmp_path / "disk")
    directory_of(FILES, str(tmp_path / "lonUsers"), Owner(b"msu", b"ann"), make=True)
    assert (tmp_path / "disk/msu/a/n/n/ann").is_dir()


def test_what_stands_in_the_way_is_told_without_names(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="lonUsersDir cannot be used: Not a directory"):
        directory_of(FILES, str(tmp_path / "file" / "users"), Owner(b"msu", b"ann"), make=True)
    with pytest.raises(StoreError, match="lonUsersDir cannot be used: No such file"):
        directory_of(FILES, str(tmp_path / "missing" / "users"), Owner(b"msu", b"ann"), make=True)
    files = FaultyFiles(errno.EIO)
    files.broken = True
    with pytest.raises(StoreError, match="Input/output error"):
        directory_of(files, str(tmp_path), Owner(b"msu", b"ann"), make=False)
