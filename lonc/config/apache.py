"""Owns the reading of loncapa_apache.conf and loncapa.conf into a Config.

Only lines that contain `PerlSetVar` count; a line whose first non-blank is `#` is a comment; anything else
is Apache's and passed over. Work is done on bytes until a word is known to be ours, so no content of the
files can end the reading: names and values are shown through repr(), which escapes what is not printable.
Source: spec files.md 1.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Final, NamedTuple

from lonc.config.masking import masked, suspicious
from lonc.config.model import Config
from lonc.config.settings import BY_NAME, PATH, SETTINGS, STORE, TUNNELS, VIA, Setting, Value, show
from lonc.errors import ConfigError, Problem

DEFAULT_CONF_DIR: Final = "/etc/httpd/conf"
ENV_CONF_DIR: Final = "LONCAPA_CONF_DIR"
FILE_NAMES: Final = ("loncapa_apache.conf", "loncapa.conf")  # read in this order, the later wins
READ_LIMIT: Final = 64 << 20  # bytes; far beyond any real file, so that a wrong one cannot fill the memory
_SHOWN: Final = 80  # characters of a foreign value in an error text


class Given(NamedTuple):
    """A value, and where it was given. earlier: the same name's lines that it wins over, oldest first."""

    value: Value
    path: str
    line: int
    earlier: tuple[tuple[str, int], ...] = ()


def find_conf_dir(option: str | None, environ: Mapping[str, str]) -> str:
    """Return the absolute configuration directory: the option, else LONCAPA_CONF_DIR, else the default."""
    return os.path.abspath(option or environ.get(ENV_CONF_DIR) or DEFAULT_CONF_DIR)


def load_config(conf_dir: str) -> Config:
    """Return the checked configuration of conf_dir; raises ConfigError as load_with_origins does."""
    return load_with_origins(conf_dir)[0]


def load_with_origins(conf_dir: str) -> tuple[Config, dict[str, Given]]:
    """Return the checked configuration of conf_dir, and by name of each setting that a file gives, where.

    Raises ConfigError with every problem of both files at once: nothing to read, unreadable, unknown
    `lonc...` or `lond...` names, values of the wrong kind or out of range, no lonHostID, settings that exclude
    each other.
    """
    conf_dir = os.path.abspath(conf_dir)
    problems: list[Problem] = []
    given: dict[str, Given] = {}
    sources: list[str] = []
    for file_name in FILE_NAMES:
        path = os.path.join(conf_dir, file_name)
        try:
            data = read_file(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(Problem(path, 0, f"cannot be read: {error.strerror or error}"))
            continue
        sources.append(path)
        _read_lines(path, data, given, problems)
    if not sources and not problems:
        both = " nor ".join(FILE_NAMES)
        raise ConfigError([Problem(conf_dir, 0, f"neither {both} is there")])
    _check_together(conf_dir, sources, given, problems)
    if problems:
        raise ConfigError(problems)
    return _build(conf_dir, sources, given), given


def read_file(path: str) -> bytes:
    """Return the content of a regular file (a link is followed: the administrator's own).

    Raises OSError, also for anything that is no regular file or larger than READ_LIMIT.
    """
    # Non-blocking: opening a FIFO for reading would otherwise wait for a writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "it is no regular file")
        data = file.read(READ_LIMIT + 1)
    if len(data) > READ_LIMIT:
        raise OSError(0, f"it is larger than {READ_LIMIT} bytes")
    return data


def shown(word: str) -> str:
    """Return a foreign word for an error text: quoted, unprintable characters escaped, cut."""
    return repr(word if len(word) <= _SHOWN else word[:_SHOWN] + "...")


def _read_lines(path: str, data: bytes, given: dict[str, Given], problems: list[Problem]) -> None:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if b"PerlSetVar" not in line or line.lstrip().startswith(b"#"):
            continue
        words = [os.fsdecode(word) for word in line.split()]
        if len(words) < 2:
            continue
        name, word = words[1], words[2] if len(words) > 2 else ""
        setting = BY_NAME.get(name)
        if setting is None:
            if name.startswith(("lonc", "lond")):
                problems.append(Problem(path, number, _unknown(name, word)))
            continue  # another program's setting
        if setting.kind in (VIA, TUNNELS):
            word = " ".join(words[2:])  # what is passed over behind other settings would here be a peer in clear
        try:
            before = given.get(name)
            earlier = (*before.earlier, (before.path, before.line)) if before else ()
            given[name] = Given(setting.parse(word), path, number, earlier)
        except ValueError:
            is_what = shown(masked(word) if setting.kind is STORE else word) if word else "without a value"
            problems.append(Problem(path, number, f"{name} is {is_what}; {setting.allowed()} is allowed"))


def _unknown(name: str, word: str) -> str:
    import difflib  # here: a start without mistakes does not need it

    ours = [setting.name for setting in SETTINGS if setting.name.startswith(("lonc", "lond"))]
    # Compared without case: the case is what people get wrong most.
    folded = {known.lower(): known for known in ours}
    close = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.7)
    hint = f"; is {folded[close[0]]} meant?" if close else "; etc/sample/loncapa.conf lists all settings"
    value = shown(masked(word) if suspicious(word) else word)  # a misspelt londStore has a password all the same
    return f"{shown(name)} with the value {value} is not a setting of lonc{hint}"


def _check_together(
    conf_dir: str, sources: list[str], given: dict[str, Given], problems: list[Problem]
) -> None:
    """Find what no single line shows: a setting that must be given, and pairs that exclude each other."""
    for setting in SETTINGS:
        wrong_there = any(problem.text.startswith(f"{setting.name} is ") for problem in problems)
        if setting.default is None and setting.name not in given and not wrong_there:
            where = sources[-1] if sources else conf_dir
            problems.append(Problem(where, 0, f"{setting.name} is not set; {setting.allowed()} is needed"))
    for low, high, or_equal in (
        ("loncRetryMin", "loncRetryMax", True),
        ("loncHandover", "loncStopTimeout", False),  # a hand-over ends within the time to stop (house.md 3)
    ):
        low_value, high_value = (
            given[name].value if name in given else BY_NAME[name].default for name in (low, high)
        )
        assert isinstance(low_value, float)
        assert isinstance(high_value, float)
        if low_value < high_value or (or_equal and low_value == high_value):
            continue
        wrong = given[low] if low in given else given[high]
        limit = "at most" if or_equal else "less than"
        text = f"{low} is '{show(low_value)}'; {limit} {high} ('{show(high_value)}') is allowed"
        problems.append(Problem(wrong.path, wrong.line, text))


def _absolute(conf_dir: str, path: str) -> str:
    """Return path relative to conf_dir, tidied; `..` behind a link means what the kernel takes it for."""
    joined = os.path.join(conf_dir, path)
    return os.path.realpath(joined) if ".." in joined.split("/") else os.path.normpath(joined)


def _without_effect(setting: Setting, given: dict[str, Given]) -> list[str]:
    """Return a warning if none of the settings that this one needs is set to more than its default."""
    needed = [BY_NAME[name] for name in setting.needs]
    if any(other.name in given and given[other.name].value != other.default for other in needed):
        return []
    at = given[setting.name]
    defaults = " and ".join(f"{other.name} is {other.default_text()}" for other in needed)
    return [f"{at.path}:{at.line}: {setting.name} {show(at.value)} has no effect while {defaults}"]


def _build(conf_dir: str, sources: list[str], given: dict[str, Given]) -> Config:
    fields: dict[str, Value | None] = {}
    warnings: list[str] = []
    for setting in SETTINGS:
        value = given[setting.name].value if setting.name in given else setting.default
        if setting.kind is PATH:
            value = _absolute(conf_dir, str(value))
        fields[setting.field] = value
        if setting.needs and value != setting.default:
            warnings += _without_effect(setting, given)
    # The table has a field of the right type for each attribute: tests/unit/test_config.py compares them.
    return Config(
        conf_dir=conf_dir,
        sources=tuple(sources),
        given=len(given),
        warnings=tuple(warnings),
        via_places=tuple(_place(given.get(name)) for name in ("loncVia", "londVia")),
        **fields,  # type: ignore[arg-type]  # built by the table, see above
    )


def _place(given: Given | None) -> str:
    return f"{given.path}:{given.line}" if given and given.value else ""
