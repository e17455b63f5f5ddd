"""Owns how a message lies encrypted on the disk: its form, the keys, and what can be wrong with either.

A command that begins `encrypt:` must not lie on a disk in clear: who writes one seals it, who sends it unseals it.

    message   sealed:1:<key id>:<base64 of 12 bytes of nonce, the ciphertext, 16 bytes of tag>
              AES-256-GCM; associated data `lonc-delayed-1:<peer>`, so that it opens for this peer alone
    keys      logs/lonc.keys, mode 0600, lines `<key id> <64 hex digits> <unix time it was made>`;
              the last one seals, all unseal; blank lines and lines that begin `#` are passed over

States of the key file, as any crash may leave it: absent, or whole. A key is on the disk, under its final name,
before the first message is sealed with it. `.lonc.keys.<anything>` beside it is left over and was never used.
The library is imported at the first sealed message only: a child that never meets one does not pay for it.
"""

from __future__ import annotations

import base64
import binascii
import errno
import fcntl
import os
import re
import time
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from lonc.delayed.leftovers import give_to_owner_of, remove_leftovers
from lonc.errors import LoncError
from lonc.system.clock import Clock
from lonc.system.files import Files, open_with_facts, read_all, sync_directory, write_all

if TYPE_CHECKING:
    from Crypto.Cipher._mode_gcm import GcmMode

SEALED = b"sealed:"
KEEP_MIN_S = 3600.0  # nobody who has just read the old keys may still be sealing with one that is dropped
KEEP_S = 366 * 86400.0
_FORM = re.compile(rb"sealed:1:([0-9A-Za-z]{1,32}):([A-Za-z0-9+/]+={0,2})")
_KEY = re.compile(r"([0-9A-Za-z]{1,32}) ([0-9a-f]{64}) ([0-9]{1,12})")
_NONCE_BYTES, _TAG_BYTES, _KEY_BYTES = 12, 16, 32
_FILE_LIMIT = 1 << 20
_LOCK_LIMIT_S = 10.0
_FRESH_S = 3600.0  # so long a key may have been made by somebody who has not yet put its name on the disk


class SealError(LoncError):
    """Nothing can be sealed or unsealed now: a message in clear is not written, a sealed one stays as it is."""


class SealBrokenError(SealError):
    """This message cannot be unsealed with the keys there are: it is set aside with this text, nothing is lost."""


class Key(NamedTuple):
    """One line of the key file; made: seconds since 1970."""

    id: str
    secret: bytes
    made: int


class Rotation(NamedTuple):
    """What a rotation did: the id of the key that seals from now on, and of those that are gone."""

    new: str
    dropped: tuple[str, ...]


def sealed_size(size: int) -> int:
    """Return the length at most of the sealed form of `size` bytes, without a newline."""
    return len(b"sealed:1:") + 32 + 1 + 4 * ((_NONCE_BYTES + size + _TAG_BYTES + 2) // 3)


def key_of(sealed: bytes) -> str | None:
    """Return the id of the key that sealed this, None when it has not the sealed form; a beginning is enough."""
    found = re.match(rb"sealed:1:([0-9A-Za-z]{1,32}):", sealed)
    return found[1].decode() if found else None


class Keys:
    """The keys in one file, read anew at each use: they are few, and may change at any time."""

    def __init__(self, path: str, *, files: Files, clock: Clock) -> None:
        self.path = path
        self._folder, self._name = os.path.split(path)
        self._files = files
        self._clock = clock

    def seal(self, line: bytes, peer: str) -> bytes:
        """Return the sealed form of a command for this peer; the first use makes the key file.

        The key is on the disk before the return. Raises SealError: the file is refused (it is a link, others can
        read it, it is another user's, a line is damaged), cannot be made or read, or the library is missing.
        """
        try:
            keys = self._load()
            if keys is None:
                self._make()
                keys = self._load()
        except OSError as error:
            raise SealError(f"{self.path}: {error.strerror or error}") from error
        if not keys:
            raise SealError(f"{self.path}: it holds no key")
        key = keys[-1]
        if self._clock.wall() - key.made < _FRESH_S:
            try:
                sync_directory(self._files, self._folder)
            except OSError as error:
                raise SealError(f"{self._folder}: {error.strerror or error}") from error
        return b"sealed:1:%b:%b" % (key.id.encode(), base64.b64encode(_encrypt(key.secret, line, peer)))

    def unseal(self, sealed: bytes, peer: str) -> bytes:
        """Return the command that was sealed for this peer.

        Raises SealBrokenError (no sealed form, key not in the file, changed, sealed for another peer) or SealError
        (the key file is refused or cannot be read, the library is missing: it may go later).
        """
        found = _FORM.fullmatch(sealed)
        if found is None:
            raise SealBrokenError("sealed in a form that is not known here: restore it from a copy")
        name = found[1].decode()
        try:
            keys = self._load(damaged=True) or []
        except OSError as error:
            raise SealError(f"{self.path}: {error.strerror or error}") from error
        secret = next((key.secret for key in reversed(keys) if key.id == name), None)
        if secret is None:
            what = f"sealed with the key {name}, which is not in {self.path}"
            raise SealBrokenError(f"{what}: restore that line there, then move this file back into delayed")
        try:
            return _decrypt(secret, base64.b64decode(found[2], validate=True), peer)
        except (ValueError, binascii.Error) as error:
            what = f"sealed with the key {name}, but changed since, or not sealed for {peer}"
            raise SealBrokenError(f"{what}: if there is a copy of it, move that into delayed") from error

    def rotate(self, *, keep_s: float = KEEP_S, in_use: Collection[str] | None = ()) -> Rotation:
        """Add a new key, which seals from now on, and drop those that were replaced longer than keep_s ago.

        in_use: ids that are kept in any case, see sealed_with(); None: it is not known which, so none is dropped.
        The file is replaced at once and whole. Raises ValueError when keep_s is under an hour; SealError when
        the file cannot be used: then it is as before.
        """
        if keep_s < KEEP_MIN_S:
            raise ValueError(f"keys are kept for {KEEP_MIN_S:.0f} s at least, not for {keep_s:.0f}")
        try:
            if self._load() is None:
                self._make()
            fd = self._locked()
            try:
                rotation = self._replace(self._load() or [], keep_s, in_use)
            finally:
                self._files.close(fd)
            remove_leftovers(self._files, self._clock, self._folder, rf"\.{re.escape(self._name)}\.[0-9a-f]+")
        except OSError as error:
            raise SealError(f"{self.path}: {error.strerror or error}") from error
        return rotation

    # --- the file -------------------------------------------------------------------------------------

    def _load(self, *, damaged: bool = False) -> list[Key] | None:
        """Return the keys, None when there is no file. damaged: pass over what is no key, for unsealing."""
        try:
            fd, facts = open_with_facts(self._files, self.path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = "a symbolic link is not followed" if error.errno == errno.ELOOP else error.strerror
            raise SealError(f"{self.path}: the key file cannot be used: {why}") from error
        try:
            self._check(facts)
            text = read_all(self._files, fd, _FILE_LIMIT).decode("ascii", "replace")
        finally:
            self._files.close(fd)
        keys = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _KEY.fullmatch(line.strip())
            if found is not None:
                keys.append(Key(found[1], bytes.fromhex(found[2]), int(found[3])))
            elif not damaged:
                raise SealError(f"{self.path}: line {number} is no key: restore it from a backup")
        return keys

    def _check(self, facts: os.stat_result) -> None:
        """Refuse a file that another user may know or have made. For root the owner of the directory is right."""
        owners = {os.geteuid()}
        if os.geteuid() == 0:
            owners.add(self._files.lstat(os.path.join(self._folder, ".")).st_uid)
        if facts.st_uid not in owners:
            raise SealError(f"{self.path}: the key file belongs to user id {facts.st_uid}, not to us")
        if facts.st_mode & 0o077:
            mode = f"{facts.st_mode & 0o7777:04o}"
            raise SealError(f"{self.path}: others can use the key file (mode {mode}): make it 0600")

    def _make(self) -> None:
        """Make the file with a first key, unless another process just does: whose link comes first has made it."""
        fresh = self._write([self._new_key(())])
        try:
            with suppress(FileExistsError):
                self._files.link(fresh, self.path)
        finally:
            self._files.unlink(fresh)

    def _write(self, keys: list[Key]) -> str:
        """Return the path of a new file beside the key file that holds these keys, on the disk."""
        path = os.path.join(self._folder, f".{self._name}.{os.urandom(8).hex()}")
        fd = self._files.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            give_to_owner_of(self._files, fd, self._folder)
            lines = [f"{key.id} {key.secret.hex()} {key.made}\n" for key in keys]
            write_all(self._files, fd, "".join(lines).encode())
            self._files.fsync(fd)
        except OSError:
            self._files.unlink(path)
            raise
        finally:
            self._files.close(fd)
        return path

    def _new_key(self, taken: Collection[str]) -> Key:
        while (name := os.urandom(4).hex()) in taken:
            pass
        return Key(name, os.urandom(_KEY_BYTES), int(self._clock.wall()))

    def _locked(self) -> int:
        """Return a descriptor that holds the lock of the key file of this moment: one rotation at a time."""
        give_up = time.monotonic() + _LOCK_LIMIT_S
        while True:
            fd, here = open_with_facts(self._files, self.path, os.O_RDWR)
            try:
                self._files.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                there = self._files.lstat(self.path)
                if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
                    return fd
            except BlockingIOError:
                pass
            except BaseException:
                self._files.close(fd)
                raise
            self._files.close(fd)
            if time.monotonic() >= give_up:
                raise SealError(f"{self.path}: another process is rotating the keys")
            time.sleep(0.01)

    def _replace(self, keys: list[Key], keep_s: float, in_use: Collection[str] | None) -> Rotation:
        now = self._clock.wall()
        kept: list[Key] = []
        for number, key in enumerate(keys):
            replaced = keys[number + 1].made if number + 1 < len(keys) else now
            if in_use is None or key.id in in_use or now - replaced <= keep_s:
                kept.append(key)
        new = self._new_key([key.id for key in keys])
        fresh = self._write([*kept, new])
        try:
            self._files.rename(fresh, self.path)
        except OSError:
            self._files.unlink(fresh)
            raise
        sync_directory(self._files, self._folder)
        return Rotation(new.id, tuple(key.id for key in keys if key not in kept))


def sealed_with(files: Files, directory: str) -> set[str] | None:
    """Return the ids of all keys that messages in a delayed directory, and set aside in it, need.

    None: not all of it could be read, so any key may be needed.
    """
    found: set[str] = set()
    for folder in ("", "rejected", "corrupt", "held", "dropped"):
        place = os.path.join(directory, folder)
        try:
            names = files.listdir(place)
        except FileNotFoundError:
            continue
        except OSError:
            return None
        for name in names:
            try:
                fd, _facts = open_with_facts(files, os.path.join(place, name), os.O_RDONLY)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP, errno.EINVAL, errno.ENXIO):
                    continue  # gone, or no file
                return None
            try:
                key = key_of(files.read(fd, 64))
            except OSError:
                return None
            finally:
                files.close(fd)
            found |= {key} if key else set()
    return found


def _encrypt(secret: bytes, line: bytes, peer: str) -> bytes:
    cipher = _cipher(secret, os.urandom(_NONCE_BYTES), peer)
    ciphertext, tag = cipher.encrypt_and_digest(line)
    return bytes(cipher.nonce) + ciphertext + tag


def _decrypt(secret: bytes, data: bytes, peer: str) -> bytes:
    """Return the line; ValueError: not what was sealed."""
    if len(data) < _NONCE_BYTES + _TAG_BYTES:
        raise ValueError("too short")
    cipher = _cipher(secret, data[:_NONCE_BYTES], peer)
    return bytes(cipher.decrypt_and_verify(data[_NONCE_BYTES:-_TAG_BYTES], data[-_TAG_BYTES:]))


def _cipher(secret: bytes, nonce: bytes, peer: str) -> GcmMode:
    try:
        from Crypto.Cipher import AES
    except ImportError as error:
        raise SealError("the library pycryptodome is missing: install it") from error
    cipher = AES.new(secret, AES.MODE_GCM, nonce=nonce, mac_len=_TAG_BYTES)
    cipher.update(b"lonc-delayed-1:" + peer.encode())
    return cipher
