"""Owns what a row of the command table is, and what a handler is given and gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from lonc.config import Config, Host
from lonc.lond.store.model import Store
from lonc.system.logs import Log


class BadField(Exception):
    """A field is not what its command needs; the text says what is allowed and quotes nothing of it."""


class Who(Enum):
    """Who may ask."""

    ANY = "any server of the network"
    MANAGER = "servers named in managers.tab"


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a command: one line without newline. encrypted: it goes out as an `enc:` frame."""

    line: bytes
    encrypted: bool = False


@dataclass(slots=True)
class Context:
    """What a handler may use: the server, its data, and who asks.

    client: the id that the client's address belongs to; own_id: the one of our ids that it talks to; now: wall
    seconds. hosts: every host of hosts.tab.
    """

    config: Config
    store: Store
    log: Log
    hosts: tuple[Host, ...]
    client: bytes
    client_address: str
    own_id: bytes
    now: float


@dataclass(frozen=True, slots=True)
class Field:
    """One argument: how it is called in messages, and what its bytes mean (raises BadField)."""

    name: str
    parse: Callable[[bytes], Any]
    optional: bool = False  # only the last ones; a missing one is None


@dataclass(frozen=True, slots=True)
class Command:
    """One row: a word, its arguments, who may use it and how, and what is done.

    encrypted: only when it came as `enc:`, else `refused`. rest: the last argument takes the rest of the line,
    colons included. handler: called with the context and the parsed arguments.
    """

    word: bytes
    fields: tuple[Field, ...]
    handler: Callable[..., Reply]
    encrypted: bool = False
    who: Who = Who.ANY
    rest: bool = False

    @property
    def usage(self) -> str:
        """Return `put needs domain:user:namespace:data`; optional arguments stand in brackets."""
        parts = [f"[{field.name}]" if field.optional else field.name for field in self.fields]
        return f"{self.word.decode('ascii')} needs {':'.join(parts) or 'no arguments'}"
