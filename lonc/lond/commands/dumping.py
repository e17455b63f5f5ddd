"""Owns the command dump: which keys of a namespace an expression chooses, within bounds of time and memory.

The expression comes from another server, is matched by a library that tracks back, and may be written to take
for ever or to eat all memory; neither may cost more than this one command.
"""

from __future__ import annotations

import re
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Final

import regex

from lonc.lond.commands import answers, fields
from lonc.lond.commands.answers import CannotAnswer
from lonc.lond.commands.fields import DOMAIN, NAMESPACE, USER
from lonc.lond.commands.homes import at_home
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply
from lonc.wire import words

EXPRESSION_BYTES: Final = 1000
# What compiling and matching may take beyond what the worker has already; `(((a{999}){999}){999}` asks for all.
MEMORY_BYTES: Final = 134217728
_AT_ONCE: Final = 500  # keys matched between two looks at the store
_RANGE = re.compile(rb"([0-9]{1,9})(?:-([0-9]{1,9}))?")
Pair = tuple[bytes, bytes]


def expression(data: bytes) -> bytes | None:
    """Return what is searched for in the keys; None for all of them (`.` or nothing)."""
    source = fields.unescaped(data)
    if len(source) > EXPRESSION_BYTES:
        raise BadField(f"must have at most {EXPRESSION_BYTES} bytes")
    return None if source in (b"", b".") else source


def span(data: bytes) -> tuple[int, int | None]:
    """Return which of the matches are wanted, as a slice has it: `n` the first n, `a-b` those from a to b.

    Counted from 1; nothing means all of them; an end behind the last match is no error.
    """
    if not data:
        return 0, None
    found = _RANGE.fullmatch(data)
    if not found:
        raise BadField("must be n for the first n matches, or a-b, counted from 1")
    if not found[2]:
        return 0, int(found[1])
    first, last = int(found[1]), int(found[2])
    if not 1 <= first <= last:
        raise BadField("must be a-b with 1 <= a <= b")
    return first - 1, last


def matching(items: Iterable[Pair], source: bytes, limit_s: float) -> Iterator[Pair]:
    """Yield those of the items whose unescaped key the expression matches anywhere.

    limit_s: seconds that matching may take in all, what the store takes not counted. Raises CannotAnswer for
    an expression that is invalid, too slow or too big.
    """
    with _bounded():
        search = regex.compile(source, cache_pattern=False).search
    left = limit_s
    waiting = iter(items)
    while some := list(islice(waiting, _AT_ONCE)):
        began = time.monotonic()
        with _bounded():
            chosen = _chosen(some, search, began + left)
        left -= time.monotonic() - began
        yield from chosen


def _chosen(items: list[Pair], search: Callable[..., object], end: float) -> list[Pair]:
    found = []
    for item in items:
        # Never 0, which the library would take for "no limit".
        left = max(0.001, end - time.monotonic())
        if search(words.unescape(item[0]), timeout=left):
            found.append(item)
        if time.monotonic() > end:
            raise TimeoutError
    return found


@contextmanager
def _bounded() -> Iterator[None]:
    """Let no more than MEMORY_BYTES be taken meanwhile, and tell in plain words what went wrong."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [bound for bound in (soft, hard, _size() + MEMORY_BYTES) if bound != resource.RLIM_INFINITY]
    try:
        resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
        yield
    except TimeoutError:
        raise CannotAnswer("matching the expression took too long") from None
    except (MemoryError, RecursionError):
        raise CannotAnswer("the expression is too big") from None
    except (regex.error, ValueError, OverflowError):  # the texts of these may quote it
        raise CannotAnswer("the expression is invalid") from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _size() -> int:
    """Return how many bytes of addresses this process has taken."""
    with open("/proc/self/statm", "rb") as stream:
        return int(stream.read().split()[0]) * resource.getpagesize()


def _dump(
    context: Context,
    domain: bytes,
    user: bytes,
    namespace: bytes,
    source: bytes | None,
    wanted: tuple[int, int | None] | None,
) -> Reply:
    """`k=v&k=v`, sorted by key, of the keys that match: `.` or nothing is all; a range counts the matches."""
    with context.store.reading(at_home(context, domain, user), namespace) as space:
        items: Iterator[Pair] = space.items()
        if source is not None:
            items = matching(items, source, context.config.regexp_timeout_s)
        return Reply(answers.joined(b"=".join(item) for item in islice(items, *(wanted or (0, None)))))


ROWS: tuple[Command, ...] = (
    Command(
        b"dump",
        (
            DOMAIN,
            USER,
            NAMESPACE,
            Field("regexp", expression, optional=True),
            Field("range", span, optional=True),
        ),
        _dump,
    ),
)
