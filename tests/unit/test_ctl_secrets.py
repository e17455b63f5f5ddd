"""No verb shows request text or passwords, whatever requests lie in files, stand in logs and on the scoreboard.

A verb is added by adding its command lines to RUNS: only such as read, and end by themselves. {id} becomes the
name of a rejected message, {line} a line of the log.
"""

from __future__ import annotations

import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lonc.system.logs import Severity, shown_command
from lonc.system.scoreboard import ChildRecord
from tests.unit.ctl_ground import Ground

RUNS: list[list[str]] = [
    ["status"],
    ["status", "--json"],
    ["status", "msul1"],
    ["explain", "{line}"],
    ["explain", "{line}", "--json"],
    ["queue"],
    ["queue", "--json"],
    ["queue", "shape"],
    ["queue", "show", "rejected/{id}"],
    ["queue", "show", "rejected/{id}", "--json"],
    ["queue", "show", "{id}"],  # which lies in several places
    ["queue", "show", "{id}.x"],  # which there is not
    ["metrics"],
    ["page"],
    ["config", "--origin"],
]
SHOWN = 5  # so many characters of a secret in a row may stand anywhere by chance

# Letters that no path, date or word of ours has in a row.
SECRET = st.text("QXZqxzJjWw", min_size=12, max_size=24)
WORD = st.sampled_from(["put", "auth", "passwd", "makeuser", "changeuserauth", "log", "cput", "x"])
FIELD = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), max_size=8)


@dataclass(frozen=True)
class Request:
    """A request with a secret in it."""

    line: bytes
    secret: str


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Return requests of every shape: with and without `encrypt:`, few and many fields, any characters."""
    secret = draw(SECRET)
    fields = draw(st.lists(FIELD, max_size=3))
    fields.insert(draw(st.integers(0, len(fields))), secret)
    line = ":".join([draw(WORD), *fields])
    return Request(f"{draw(st.sampled_from(['', 'encrypt:']))}{line}".encode("latin-1"), secret)


def leaks(output: str, secret: str) -> list[str]:
    """Return the pieces of a secret that stand in an output."""
    pieces = {secret[at : at + SHOWN + 1] for at in range(len(secret) - SHOWN)}
    return sorted(piece for piece in pieces if piece in output)


def prepare(place: Path, request: Request) -> tuple[Ground, ChildRecord, str]:
    """Put a request wherever one can be; return the ground, a child's record, and a line of the log."""
    ground = Ground(place)
    raw = request.line
    # As lonnet names them: the first word characters of the command, with the beginning of a secret in them.
    word = re.sub(r"\W", "", raw.decode("latin-1"), flags=re.ASCII)[:16]
    name = f"{int(time.time()) - 90}.1.812.{word}.msul1"
    ground.message(name, raw + b"\n")
    ground.message(name, raw + b"\n", "rejected")
    ground.message(f"{name}.reply", b"error: " + raw + b"\n", "rejected")
    ground.message(name, raw + b"\n" + raw + b"\n", "corrupt")
    ground.message(f"{name}.reason", b"more than one line\n", "corrupt")
    ground.message(name, raw + b"\n", "held")
    log = ground.log
    log.write(f"Timeout: {shown_command(raw)}", Severity.WARNING)
    log.write(f"Delayed {shown_command(raw)}: no reply, it stays", Severity.WARNING)
    child = ground.ready("msul1")
    child.last_line, child.warning, child.warned = log.last_line, log.warning, log.warned
    child.rejected = 1
    # As an original writes it, which masks nothing: the file may be one that it has left.
    line = f"Sat Nov 21 03:27:08 2026 (812) [msul1] [Sat Nov 21 03:27:08 2026: Online] Delayed {raw!r}: >ok<\n"
    with open(ground.config.log_path, "a", encoding="latin-1") as file:
        file.write(line)
    return ground, child, line


def test_a_leak_would_be_found() -> None:
    assert leaks("a line with QXZ012345678 in it", "QXZ0123456789")
    assert leaks("put (30 bytes)", "QXZ0123456789") == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(requests())
def test_no_verb_shows_request_text(request: Request) -> None:
    with tempfile.TemporaryDirectory(prefix="lonc-") as folder:
        ground, child, line = prepare(Path(folder), request)
        identity = next((ground.delayed / "rejected").glob("*[!y]")).name
        for run in RUNS:
            words = [word.replace("{id}", identity).replace("{line}", line) for word in run]
            for alive in (True, False):
                if alive:
                    with ground.alive(msul1=child):
                        _code, out, errors = ground.run(*words)
                else:
                    _code, out, errors = ground.run(*words)
                assert leaks(out + errors, request.secret) == [], (run, out, errors)
        pages = [path.read_text("utf-8") for path in Path(ground.config.doc_root, "lon-status").iterdir()]
        assert [leaks(page, request.secret) for page in pages] == [[], []]
