"""Owns the one table of all commands, and the carrying out of a line by it.

A row is made beside its handler; here they are joined. What a row says about its arguments, about encryption and
about who may ask is enforced here and nowhere else, so a handler is only ever called with what it can use.
"""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any, Final

from lonc.lond.commands import (
    accounts,
    administration,
    answers,
    data,
    dumping,
    homes,
    records,
    resources,
    roles,
    server,
    temporary,
)
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.model import BadField, Command, Context, Reply, Who
from lonc.lond.store.model import StoreError
from lonc.system.logs import Severity, printable
from lonc.wire import words

_TEXT_LIMIT: Final = 300  # characters of an engine's words


def _ping(context: Context) -> Reply:
    """The id that the client talks to: ours, or the one of ours that `sethost` chose."""
    return Reply(context.own_id)


ROWS: tuple[Command, ...] = (Command(words.PING, (), _ping),)
_MODULES: Final = (
    ROWS,
    server.ROWS,
    accounts.ROWS,
    homes.ROWS,
    data.ROWS,
    dumping.ROWS,
    records.ROWS,
    roles.ROWS,
    resources.ROWS,
    temporary.ROWS,
    administration.ROWS,
)
TABLE: Final[dict[bytes, Command]] = {command.word: command for rows in _MODULES for command in rows}


def carry_out(line: bytes, encrypted: bool, context: Context) -> Reply:
    """Return the reply to a request, one line whatever the request holds.

    line: without its newline. encrypted: it came as an `enc:` frame. Nothing that a client can send raises:
    a word that is no command, or an empty line, is `unknown_cmd`; a row that must come encrypted or from a
    manager, and did not, `refused`; arguments that do not fit, and what cannot be done, `error: ...`. An
    error of the store is logged, one of the program too, by its kind and place: its text may hold data (P30).
    """
    word, colon, tail = line.partition(b":")
    command = TABLE.get(word)
    if command is None:
        return answers.UNKNOWN_CMD
    if command.encrypted and not encrypted:
        return answers.REFUSED
    try:
        if command.who is Who.MANAGER and not administration.is_manager(context):
            return answers.REFUSED
        reply = command.handler(context, *_arguments(command, tail if colon else None))
        if b"\n" in reply.line:
            raise ValueError("a reply is one line")
    except (BadField, CannotAnswer) as refusal:
        return answers.error(str(refusal))
    except StoreError as error:
        said = printable(str(error), _TEXT_LIMIT)
        context.log.write(f"Cannot carry out {_shown(command)}: {said}", Severity.CRITICAL)
        return answers.error(said)
    except Exception as error:  # noqa: BLE001 - told with its place; one bad request must not end the worker
        _tell_defect(command, error, context)
        return answers.error("the server has failed at this request; its administrator finds more in the log")
    return reply


def _arguments(command: Command, tail: bytes | None) -> list[Any]:
    """Return the parsed arguments, None for an optional one that is missing; tail None: there was no colon."""
    fields = command.fields
    # An empty tail is one empty argument where there are any: `tmpput:` keeps nothing, `ping:` is a ping.
    given = [] if tail is None or not (tail or fields) else _split(tail, len(fields), command.rest)
    needed = sum(not field.optional for field in fields)
    if not needed <= len(given) <= len(fields):
        raise BadField(command.usage)
    found = []
    for field, value in zip(fields, given, strict=False):
        try:
            found.append(field.parse(value))
        except BadField as refusal:
            raise BadField(f"{field.name} {refusal}") from None
    return found + [None] * (len(fields) - len(given))


def _split(tail: bytes, count: int, rest: bool) -> list[bytes]:
    """Return the arguments, one too many at most: 16 MiB of colons are not worth 16 million objects."""
    return tail.split(b":", count - 1) if rest else tail.split(b":", count)


def _shown(command: Command) -> str:
    return command.word.decode("ascii")


def _tell_defect(command: Command, error: Exception, context: Context) -> None:
    """Log an error that nobody expected: its kind and place; the way there goes to stderr."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else "nowhere"
    kind = type(error).__name__
    context.log.write(f"A fault of the program at {_shown(command)}: {kind} at {place}", Severity.CRITICAL)
    try:
        sys.stderr.write(f"lond: {_shown(command)}: {kind}\n{''.join(traceback.format_list(frames))}")
    except (OSError, ValueError):  # closed, or a full disk; the log has what matters
        return
