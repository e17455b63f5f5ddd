"""Owns the harnesses of what is read once: hosts.tab, the settings, and the operator's wishes.

`hosts`: any table gives hosts or an error that names file and line. `settings`: a text for each of the two
files, with
a line of three dashes between. `wanted`: any file is read and changed without an error, other lines kept.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import re
from pathlib import Path

from lonc.child.wishes import PAUSED, Wish, read_wanted, wish_of, wishes_for, wishes_in
from lonc.cli.ctl.wanted import remove_wish, set_wish
from lonc.cli.ctl.ways import all_wishes
from lonc.config import SETTINGS, Config, Host, load_config, load_with_origins
from lonc.config.hosts import WARNING_LIMIT, table_of
from lonc.config.model import ID_LIMIT
from lonc.config.plain import config_of, settings_of
from lonc.errors import ConfigError
from lonc.system.files import SystemFiles
from tests.fuzz.harness import Harness, rule, scratch

_ID = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_NAME = re.compile(rb"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
FILES = SystemFiles()


@functools.cache
def _config() -> Config:
    place = scratch("config")
    (place / "loncapa.conf").write_text("PerlSetVar lonHostID own1\nPerlSetVar lonSockDir /s\n")
    return load_config(str(place))


def hosts(data: bytes) -> None:
    """Whatever a table holds: the hosts that the spec sees in it, or ConfigError; nothing else is raised."""
    config = _config()
    usable = _usable(data)
    path = config.hosts_path
    try:
        table = table_of(config, data)
    except ConfigError as error:
        rule(not usable, "a table with usable hosts was refused")
        rule(all(one.path == path and "no usable host" in one.text for one in error.problems), "no place is named")
        return
    rule([host.id.encode() for host in table.hosts] == list(usable), "other hosts than the spec's")
    for host in table.hosts:
        _check_host(host)
        rule(host.address == usable[host.id.encode()], "another address")
    rule(len(table.warnings) <= WARNING_LIMIT + 1, "too many warnings")
    for text in table.warnings:
        rule(text.startswith(path), "a warning without the file's name")
        rule(text.isprintable() and len(text) < 700, "a warning that cannot be shown")
        rule("malformed" not in text or re.match(r":\d+: ", text.removeprefix(path)), "a warning without its line")


def _check_host(host: Host) -> None:
    rule(_ID.fullmatch(host.id.encode()) and len(host.id) <= ID_LIMIT and host.id != "delayed", "a bad id")
    rule(all(text.isprintable() for text in (host.domain, host.role, host.name)), "a field that cannot be shown")
    rule(host.protocol in ("http", "https"), "a protocol of another kind")


def _usable(data: bytes) -> dict[bytes, str]:
    """Return the address of each usable id, "" where a name is to be resolved, read once more by the spec."""
    found: dict[bytes, str] = {}
    for raw in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        line = raw.strip()
        fields = line.split(b":", 4)
        if line[:1] in (b"", b"#", b"^") or len(fields) < 5 or fields[4].strip()[:1] in (b"", b":"):
            continue
        name, last = fields[0], fields[4].strip()
        if not _ID.fullmatch(name) or len(name) > ID_LIMIT or name == b"delayed":
            continue
        word = last.split(b":", 1)[0].strip()
        if word in (b"http", b"https"):
            if _NAME.fullmatch(fields[3]):
                found[name] = ""
            continue
        address = _address(last, word)
        if address is not None:
            found[name] = address
    return found


def _address(last: bytes, word: bytes) -> str | None:
    """Return the address that stands in the last field, None when none does."""
    kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address] = ipaddress.IPv4Address
    if last.startswith(b"["):
        kind, word = ipaddress.IPv6Address, last[1:].split(b"]", 1)[0]
    try:
        text = word.decode("ascii")
        if "%" in text:  # a zone, which the library takes and the table does not
            return None
        kind(text)
    except ValueError:
        return None
    return text


# --- settings -------------------------------------------------------------------------------------------


@functools.cache
def _place() -> Path:
    return scratch("settings")


def settings(data: bytes) -> None:
    """Whatever the two files hold: a Config whose values are all allowed, or every problem with file and line."""
    place = _place()
    first, _, second = data.partition(b"\n---\n")
    (place / "loncapa_apache.conf").write_bytes(first)
    (place / "loncapa.conf").write_bytes(second)
    try:
        config, given = load_with_origins(str(place))
    except ConfigError as error:
        rule(error.problems, "an error without a problem")
        for problem in error.problems:
            rule(problem.path.startswith(str(place)), "a problem of another file")
            rule(str(problem).isprintable() and len(problem.text) < 1000, "a problem that cannot be shown")
        return
    for setting in SETTINGS:
        value = getattr(config, setting.field)
        rule(not isinstance(value, float) or setting.low <= value <= setting.high, "a number out of its range")
        rule(not setting.high or setting.low <= value <= setting.high, "a number out of its range")
    rule(config.retry_min_s <= config.retry_max_s and config.handover_s < config.stop_timeout_s, "a wrong pair")
    rule(_ID.fullmatch(config.host_id.encode()), "a bad id")
    rule(all(0 < one.line <= data.count(b"\n") + 1 for one in given.values()), "a line that is not there")
    plain = json.loads(json.dumps(settings_of(config)))
    rule(config_of(plain) == config, "it does not come back from its plain form")


# --- wishes ---------------------------------------------------------------------------------------------


def wanted(data: bytes) -> None:
    """Whatever lonc.wanted holds: it is read by all its readers, and a change keeps the lines of others."""
    path = str(_place() / "lonc.wanted")
    Path(path).write_bytes(data)
    before = [wish for wish in wishes_in(read_wanted(path, FILES)) if wish.peer != "msul1"]
    known = all_wishes(path)
    for wish in before:
        rule(wish_of(wish.line().rstrip("\n")) == wish or not wish.line().isprintable(),
            "a wish does not come back")
    rule(not before or known, "one reader sees wishes and the other none")
    set_wish(FILES, path, Wish("msul1", PAUSED, None))
    rule(wishes_for(path, "msul1", FILES)[PAUSED] is None, "a wish is not there after it was set")
    rule(PAUSED in all_wishes(path)["msul1"], "the other reader does not see it")
    remove_wish(FILES, path, "msul1", PAUSED)
    rule(PAUSED not in wishes_for(path, "msul1", FILES), "a wish is there after it was removed")
    after = {wish for wish in wishes_in(read_wanted(path, FILES)) if wish.peer != "msul1"}
    now_valid = {wish for wish in before if wish.until is None}
    rule(now_valid <= after <= set(before), "wishes of others were changed")


_TABLE = b"""# sample
msul1:msu:library:zaphod.lite.msu.edu:35.8.63.51
own1:msu:access:own.example:127.0.0.1
^table:dns.example
msul1:msu:library:other.example:127.0.0.2
v6:msu:library:six.example:[::1]:more
new:msu:library:new.example:https:example.org
short:line
"""
_ROW22 = (
    _TABLE, _TABLE[:130], b"", _TABLE.replace(b"\n", b"\r\n"), b"\x00\xff\xfe" * 50, b"\xef\xbb\xbf" + _TABLE,
    b"a:b:c:d:\n", b"delayed:a:b:c:127.0.0.1\n", b"-x:a:b:c:127.0.0.1\n", b":::::\n" * 60,
    b"x" * 65 + b":a:b:c:1.2.3.4", b"a:b:c:d:[::1%lo]\n", b"a:b:c:d:1.2.3.4 \t\x0b:x\n", b"a:b:c:d:01.2.3.4\n",
)  # fmt: skip
_CONF = b"""PerlSetVar lonHostID msul1
# PerlSetVar loncUser nobody
PerlSetVar lonTabDir ../tabs
  PerlSetVar loncGrace 0.5 more words
PerlSetVar loncAllowUsers a,b
PerlSetVar loncPong off
<Location />
---
PerlSetVar lonHostID ncsu1
PerlSetVar loncRetryMin 130
PerlSetVar londStore postgresql://u:secret@h/db
"""
_NAMES = tuple(b"\nPerlSetVar %s " % setting.name.encode() for setting in SETTINGS)
_VALUES = (b"on", b"off", b"0", b"-1", b"1e3", b"nan", b"1_0", b".5", b"86400", b"/a/../b", b"\x85", b"*",
    b"[::1]")
HARNESSES = (
    Harness("hosts", hosts, 80, (b":", b"\r\n", b"[::1]", b"https", b"#", b"^", b"127.0.0.1",
        b"x:a:b:c:1.2.3.4\n"), _ROW22),
    Harness("settings", settings, 15, (*_NAMES, *_VALUES, b"\n---\n", b"PerlSetVar lonc"), (_CONF, b"",
        b"\n---\n")),
    Harness(
        "wanted", wanted, 4, (b"\tpaused\n", b"\tdebug\t", b"\ttrace", b"\t2000000000\n", b"\x85", b"\x0c", b"\r"),
        (b"msul1\tpaused\np2\tdebug\t2000000000\np3\ttrace\n", b"p\tdebug\t" + b"9" * 5000 + b"\n",
        b"\t\t\t\n\t\n"),
    ),
)  # fmt: skip
