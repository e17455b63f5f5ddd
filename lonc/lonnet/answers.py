"""Owns what the client library gives back: replies with a status, values with their reply, never an exception.

Nothing that a network, a peer or a disk can do raises: it is a status. Exceptions are for what a program does
wrong (ValueError: a newline in a command) and for a configuration that cannot be read (ConfigError).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from lonc.wire.words import CON_DELAYED, CON_FAILED, CON_LOST, NO_SUCH_HOST, OK, is_failure

T = TypeVar("T")


class Status(Enum):
    """What a reply means for the caller."""

    OK = "ok"  # the peer answered, and not with a failure
    FAILED = "failed"  # the peer answered that it did not do it: error, refused, rejected, unknown_cmd
    LOST = "lost"  # no answer (con_lost): whether the peer did it is not known
    DELAYED = "delayed"  # kept on the disk, will be sent when the peer is back (con_delayed)
    NOT_KEPT = "not kept"  # no answer, and it could not be kept either (con_failed)
    NO_HOST = "no host"  # the id is not in the table, or nobody is at home (no_such_host, no_host)


NO_HOST = b"no_host"
_STATUS = {
    CON_LOST: Status.LOST,
    CON_DELAYED: Status.DELAYED,
    CON_FAILED: Status.NOT_KEPT,
    NO_SUCH_HOST: Status.NO_HOST,
    NO_HOST: Status.NO_HOST,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply line, bytes as they came, without the newline; status follows from it."""

    line: bytes

    @property
    def status(self) -> Status:
        """What it means; see Status."""
        return _STATUS.get(self.line) or (Status.FAILED if is_failure(self.line) else Status.OK)

    @property
    def text(self) -> str:
        """The line as text: UTF-8, any other byte as a surrogate, so that nothing is lost."""
        return self.line.decode("utf-8", "surrogateescape")

    @property
    def answered(self) -> bool:
        """Whether the peer answered, and not with a failure."""
        return self.status is Status.OK

    @property
    def done(self) -> bool:
        """Whether the peer said `ok`, as it does when it carried out what has no other result."""
        return self.line == OK

    @property
    def settled(self) -> bool:
        """Whether the caller need do nothing more: done, or kept and sent later."""
        return self.done or self.status is Status.DELAYED


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A value and the reply it was read from; when that is not `answered`, value is an empty one."""

    reply: Reply
    value: T

    @property
    def ok(self) -> bool:
        """Whether the value is what the peer has, not a stand-in."""
        return self.reply.answered


@dataclass(frozen=True, slots=True)
class Home:
    """Where a user lives. host: "" when nobody is known; certain: whether every server that could know said so."""

    host: str
    certain: bool = True

    def __bool__(self) -> bool:
        """Return whether there is one."""
        return bool(self.host)


class AuthKind(Enum):
    """How an authentication ended."""

    AUTHORIZED = "authorized"
    NOT_AUTHORIZED = "non_authorized"  # the password is wrong
    UNKNOWN_USER = "unknown_user"  # no account, as the home server says
    NO_HOST = "no_host"  # every server of the domain says that nobody of this name lives there
    UNDECIDED = "undecided"  # no answer, or a failure: to be tried again, never to be taken for a wrong password


@dataclass(frozen=True, slots=True)
class AuthResult:
    """The end of an authentication; home: the server that decided, "" when none was found."""

    kind: AuthKind
    home: str
    reply: Reply

    def __bool__(self) -> bool:
        """Return whether the user is who they say."""
        return self.kind is AuthKind.AUTHORIZED


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a record: its number from 1, when it was stored (seconds since 1970), what was stored."""

    number: int
    time: float
    values: dict[str, str]


@dataclass(frozen=True, slots=True)
class Record:
    """A versioned record: all versions in order, and each key's last value."""

    versions: tuple[Version, ...] = ()

    @property
    def number(self) -> int:
        """The number of the last version, 0 when there is none."""
        return self.versions[-1].number if self.versions else 0

    @property
    def latest(self) -> dict[str, str]:
        """Each key with its value in the last version that has it."""
        merged: dict[str, str] = {}
        for version in self.versions:
            merged.update(version.values)
        return merged
