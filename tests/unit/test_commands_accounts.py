"""Accounts and passwords: what each mechanism answers, what is kept of a password, and that none is ever told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from passlib import exc
from passlib import hash as crypts

from lonc.lond.commands import accounts, passwords
from lonc.lond.store import Owner
from lonc.system.clock import SystemClock
from lonc.system.logs import RepeatedWarnings
from lonc.wire.words import escape
from tests.unit.command_stage import Stage, stages

ANNA = Owner(b"home", b"anna")
SECRET = b"a Secret:&=%\xc3\xa9\n!"
CRYPTS = {
    "des": crypts.des_crypt,
    "bsdi": crypts.bsdi_crypt,
    "md5": crypts.md5_crypt,
    "sha256": crypts.sha256_crypt.using(rounds=1000),
    "sha512": crypts.sha512_crypt.using(rounds=1000),
}


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(accounts, "_REPEATED", RepeatedWarnings(SystemClock()))
    for stage in stages(tmp_path):
        assert stage.store.change_account(ANNA, b"internal:" + passwords.hashed(SECRET))
        yield stage


def auth(stage: Stage, password: bytes, user: bytes = b"anna") -> str:
    return stage.said(b"auth:home:%s:%s" % (user, escape(password)))


def test_the_right_password_alone_opens(stage: Stage) -> None:
    assert auth(stage, SECRET) == "authorized"
    for wrong in (b"", b"x", SECRET + b"x", SECRET[:-1], SECRET.lower(), b"\0", SECRET + b"\0", b"x" * 1001):
        assert auth(stage, wrong) == "non_authorized", wrong
    assert auth(stage, SECRET, b"nobody") == "unknown_user"
    assert stage.said(b"auth:away:anna:" + escape(SECRET)) == "unknown_user"


def test_new_hashes_are_argon2id_and_salted(stage: Stage) -> None:
    kept = stage.store.account(ANNA)
    assert kept is not None
    assert kept.startswith(b"internal:$argon2id$v=19$m=19456,t=2,p=1$")
    assert passwords.hashed(SECRET) != passwords.hashed(SECRET)


@pytest.mark.parametrize("kind", CRYPTS)
def test_crypt_strings_of_the_original_are_verified(stage: Stage, kind: str) -> None:
    secret = b"Sesame 1"
    stage.store.change_account(ANNA, b"internal:" + CRYPTS[kind].hash(secret).encode())
    assert auth(stage, secret) == "authorized"
    for wrong in (b"", b"sesame 1", b"Sesame ", b"Sesame 1"[::-1], b"Sesame \0", b"\xff\xfe"):
        assert auth(stage, wrong) == "non_authorized"
    assert stage.said(b"passwd:home:anna:Sesame%201:" + escape(SECRET)) == "ok"
    assert auth(stage, SECRET) == "authorized"
    assert b"$argon2id$" in (stage.store.account(ANNA) or b"")


@pytest.mark.parametrize(
    ("password", "kept"),
    [
        (b"secret", b"abNANd1rDfiNc"),
        (b"a\xe9b", b"zz0B98w/QCM.I"),
        (b"secret", b"$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1"),
        (b"Hello world!", b"$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
    ],
)
def test_what_perl_wrote_is_verified(password: bytes, kept: bytes) -> None:
    assert passwords.fits(password, kept)
    assert not passwords.fits(password[1:], kept)


@pytest.mark.parametrize(
    ("kept", "kind"),
    [
        (b"", "unknown"),
        (b"short", "unknown"),
        (b"$y$j9T$abc$def", "unknown"),
        (b"\xff\xfe", "unknown"),
        (b"$1$broken", "md5_crypt, damaged"),
        (b"$6$rounds=x$a$b", "sha512_crypt, damaged"),
        (b"!!!!!!!!!!!!!", "des_crypt, damaged"),
        (b"$argon2id$broken", "argon2, damaged"),
        (b"$argon2id$v=19$m=19456,t=2,p=1$I/Zyv9aHkFW9lAqtGv2TWg$", "argon2, damaged"),
    ],
)
def test_a_hash_that_cannot_be_verified_is_told_by_its_kind(stage: Stage, kept: bytes, kind: str) -> None:
    stage.store.change_account(ANNA, b"internal:" + kept)
    for _ in range(3):
        assert auth(stage, SECRET) == "non_authorized"
    assert stage.said(b"passwd:home:anna:x:y") == "non_authorized"
    assert stage.log.count(f"A kept password cannot be verified here: its kind is {kind}\n") == 1
    assert "WARNING" in stage.log
    assert "CRITICAL" not in stage.log


def test_bcrypt_is_verified_where_its_library_is(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"  # `U*U`, of the library's own tests

    def missing(_secret: bytes, _hash: str) -> bool:
        raise exc.MissingBackendError("bcrypt: no backends available")

    if not crypts.bcrypt.has_backend():
        with pytest.raises(passwords.CannotVerify, match=r"^bcrypt$"):
            passwords.fits(b"U*U", kept)
    else:
        assert passwords.fits(b"U*U", kept)
        assert not passwords.fits(b"U*V", kept)
    monkeypatch.setattr(crypts.bcrypt, "verify", missing)
    with pytest.raises(passwords.CannotVerify, match=r"^bcrypt$"):
        passwords.fits(b"U*U", kept)


@pytest.mark.parametrize("account", ["unix:", "krb4:REALM", "krb5:REALM", "localauth:x"])
def test_other_mechanisms_are_known_but_not_verified(stage: Stage, account: str) -> None:
    stage.store.change_account(ANNA, account.encode())
    mechanism = account.partition(":")[0]
    assert auth(stage, SECRET) == "non_authorized"
    assert auth(stage, b"REALM") == "non_authorized"
    assert stage.said(b"passwd:home:anna:%s:new" % escape(SECRET)) == "auth_mode_error"
    assert stage.said("currentauth:home:anna") == account
    assert stage.log.count(f"Passwords of this mechanism are not verified here: {mechanism}\n") == 1
    assert "anna" not in stage.log


def test_an_unknown_mechanism_tells_nothing(stage: Stage) -> None:
    stage.store.change_account(ANNA, b"plain\xff<text:SecretInfo")
    assert auth(stage, b"SecretInfo") == "non_authorized"
    assert stage.said("currentauth:home:anna") == "plain%3f%3ctext:"
    assert "not verified here: unknown\n" in stage.log


def test_the_hash_is_never_handed_out(stage: Stage) -> None:
    assert stage.said("currentauth:home:anna") == "internal:"
    assert stage.said("currentauth:home:nobody") == "unknown_user"
    stage.store.change_account(ANNA, b"localauth:a\x1b\nb")
    assert stage.said("currentauth:home:anna") == "localauth:"


def test_passwd_needs_the_old_one(stage: Stage) -> None:
    old = escape(SECRET)
    assert stage.said(b"passwd:home:anna:wrong:new") == "non_authorized"
    assert stage.said(b"passwd:home:anna::new") == "non_authorized"
    assert stage.said(b"passwd:home:nobody:%s:new" % old) == "non_authorized"
    assert stage.said(b"passwd:home:anna:%s:" % old) == "error: new must have 1 to 1000 bytes"
    assert auth(stage, SECRET) == "authorized"
    assert stage.said(b"passwd:home:anna:%s:new%%20one" % old) == "ok"
    assert auth(stage, SECRET) == "non_authorized"
    assert auth(stage, b"new one") == "authorized"


def test_an_account_that_goes_meanwhile_is_a_failure(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.store, "change_account", lambda _owner, _info: False)
    assert stage.said(b"passwd:home:anna:%s:new" % escape(SECRET)) == "pwchange_failure"


@pytest.mark.parametrize(
    ("mode", "password", "kept"),
    [
        ("internal", "pass%3A", None),
        ("unix", "", "unix:"),
        ("unix", "clear%20text", "unix:"),
        ("krb4", "REALM.EXAMPLE", "krb4:REALM.EXAMPLE"),
        ("krb5", "REALM", "krb5:REALM"),
        ("localauth", "", "localauth:"),
        ("localauth", "arg%2F1", "localauth:arg/1"),
    ],
)
def test_accounts_are_made_and_changed(stage: Stage, mode: str, password: str, kept: str | None) -> None:
    for line in (f"makeuser:home:new.user:{mode}:{password}", f"changeuserauth:home:anna:{mode}:{password}"):
        assert stage.said(line) == "ok"
        owner = Owner(b"home", line.split(":")[2].encode())
        info = stage.store.account(owner)
        assert info is not None
        assert info == kept.encode() if kept else info.startswith(b"internal:$argon2id$")
        assert stage.said(f"home:home:{owner.name.decode()}") == "found"
        if kept is None:
            assert auth(stage, b"pass:", owner.name) == "authorized"
    assert stage.said(f"makeuser:home:new.user:{mode}:{password}") == "already_exists"


@pytest.mark.parametrize(
    ("mode", "password"),
    [("internal", ""), ("internal", "x" * 1001), ("krb4", ""), ("krb5", ""), ("krb5", "a%20b"), ("krb4", "a%3Ab"),
     ("localauth", "%0Ax"), ("localauth", "%00"), ("krb5", "x" * 201), ("krb5", "%C3%A9")],
)  # fmt: skip
def test_what_a_mechanism_cannot_use_is_refused(stage: Stage, mode: str, password: str) -> None:
    before = stage.store.account(ANNA)
    for line in (f"makeuser:home:bert:{mode}:{password}", f"changeuserauth:home:anna:{mode}:{password}"):
        assert stage.said(line).startswith("error: password must ")
    assert stage.store.account(ANNA) == before
    assert stage.said("home:home:bert") == "not_found"


def test_accounts_are_of_our_domains(stage: Stage) -> None:
    assert stage.said("makeuser:second:bert:internal:x") == "ok"
    for domain in ("away", "third", "nowhere"):
        assert stage.said(f"makeuser:{domain}:bert:internal:x") == "not_right_domain"
        assert stage.said(f"changeuserauth:{domain}:bert:internal:x") == "not_right_domain"
    reply = stage.said("changeuserauth:home:nobody:internal:x")
    assert reply == "error: not_home: this user has no account on this server"


def test_data_from_before_does_not_prevent_an_account(stage: Stage) -> None:
    with stage.store.writing(Owner(b"home", b"old"), b"n", b"") as space:
        space.put(b"a", b"1")
    assert stage.said("currentauth:home:old") == "unknown_user"
    assert stage.said("makeuser:home:old:internal:x") == "ok"
    assert stage.said("get:home:old:n:a") == "1"


@dataclass
class Counting:
    """Stands before passwords.fits and counts what it was asked."""

    asked: list[bytes] = field(default_factory=list)

    def __call__(self, password: bytes, kept: bytes) -> bool:
        self.asked.append(kept[:10])
        return False


def test_nobody_is_verified_as_well_as_somebody(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting()
    monkeypatch.setattr(passwords, "fits", counting)
    for line in ("auth:home:anna:x", "auth:home:nobody:x", "passwd:home:anna:x:y", "passwd:home:nobody:x:y"):
        stage.said(line)
    assert counting.asked == [b"$argon2id$"] * 4


def test_no_password_is_ever_logged(stage: Stage) -> None:
    secret = b"TopSecretWord"
    for line in (
        b"auth:home:anna:%s", b"auth:home:nobody:%s", b"auth:%s", b"auth:home:anna:%s:%%",
        b"auth:home:anna:%%zz%s",
        b"passwd:home:anna:%s:%s2", b"passwd:home:anna:%s", b"makeuser:home:x1:internal:%s",
        b"makeuser:home:x2:%s:y", b"changeuserauth:home:anna:unix:%s", b"auth:home:anna:%s", b"%s:x", b"auth%s",
        b"changeuserauth:home:anna:krb5:%s",
    ):  # fmt: skip
        filled = line.replace(b"%s", secret).replace(b"%%", b"%")
        for encrypted in (False, True):
            assert secret not in stage.ask(filled, encrypted=encrypted).line
    assert "not verified here: unix" in stage.log
    assert "Secret" not in stage.log
    stored = b"".join(path.read_bytes() for path in stage.root.rglob("*") if path.is_file())
    assert stored.count(secret) == stored.count(b"krb5:" + secret)  # a realm is no secret
