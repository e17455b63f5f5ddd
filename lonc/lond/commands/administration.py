"""Owns the commands that only the servers named in managers.tab may give: reinit and pushfile."""

from __future__ import annotations

import os
import signal
from typing import Final

from lonc.config.apache import read_file
from lonc.config.hosts import table_of
from lonc.config.model import Config, valid_id
from lonc.errors import ConfigError
from lonc.lond.commands import answers, fields
from lonc.lond.commands.homes import served_domains
from lonc.lond.commands.model import BadField, Command, Context, Field, Reply, Who
from lonc.system.files import Files, SystemFiles, replace_file
from lonc.system.lock import foreign_holder, lock_holder
from lonc.system.logs import Severity

TABLE_MODE: Final = 0o644  # tables are no secret, and other programs of the server read them
BEFORE: Final = ".before-push"
MANAGERS: Final = "managers.tab"
HOSTS: Final = "hosts.tab"
DOMAINS: Final = "domain.tab"
FILES: Files = SystemFiles()


def is_manager(context: Context) -> bool:
    """Return whether the client that asks stands in managers.tab, by the id that its address belongs to.

    One id per line; what follows a `:` or a `#` is nothing to us. Without the file nobody is a manager.
    """
    try:
        data = read_file(os.path.join(context.config.tab_dir, MANAGERS))
    except FileNotFoundError:
        return False
    except OSError as error:
        context.log.write(f"{MANAGERS} cannot be read: {error.strerror or error}", Severity.WARNING)
        return False
    named = (line.partition(b"#")[0].partition(b":")[0].strip() for line in data.split(b"\n"))
    return valid_id(context.client.decode("ascii", "replace")) and context.client in named


def asked_by(context: Context) -> str:
    """Return the id of the client for the log."""
    return context.client.decode("ascii", "replace")


# --- reinit -----------------------------------------------------------------------------------------------


def _daemon(data: bytes) -> str:
    if data not in (b"lonc", b"lond"):
        raise BadField("must be lonc or lond")
    return data.decode("ascii")


def _reinit(context: Context, program: str) -> Reply:
    """`ok`; lonc or lond of this server has been told (USR2) to read its tables again."""
    problem = tell_tables_changed(context.config, program)
    if problem:
        return answers.error(problem)
    context.log.write(f"{asked_by(context)} has {program} read its tables again")
    return answers.OK


def tell_tables_changed(config: Config, program: str) -> str:
    """Send USR2 to the daemon that serves this installation; return why that was not possible, '' when it was.

    It is who holds its lock, or for lonc an original named in the pid file. The pid is pinned before it is looked
    at once more, so that a process that only has the same number never gets the signal.
    """
    pid = _holder(config, program)
    if not pid:
        return f"{program} is not running"
    try:
        pinned = os.pidfd_open(pid)
    except OSError:
        return f"{program} is not running"
    try:
        if _holder(config, program) != pid:
            return f"{program} is just being restarted"
        signal.pidfd_send_signal(pinned, signal.SIGUSR2)
    except PermissionError:
        return f"{program} runs as another user"
    except OSError:
        return f"{program} is not running"
    finally:
        os.close(pinned)
    return ""


def _holder(config: Config, program: str) -> int:
    """Return the pid of a daemon's parent, 0 when it does not run. The lock of lond is that of our own parent."""
    if program == "lond":
        return lock_holder(config.server_path(".lock"), FILES)
    return lock_holder(config.lock_path, FILES) or foreign_holder(FILES, config.pid_path)


# --- pushfile ---------------------------------------------------------------------------------------------


def _table_name(data: bytes) -> str:
    if data not in (b"host", b"domain"):
        raise BadField("must be host or domain")
    return HOSTS if data == b"host" else DOMAINS


def _pushfile(context: Context, name: str, contents: bytes) -> Reply:
    """`ok`; the table, complete and usable, has taken the place of the old one, which is kept beside it."""
    problem = host_problem(context.config, contents) if name == HOSTS else domain_problem(context, contents)
    if problem:
        return answers.error(f"{name} was not installed: {problem}")
    # A link that the administrator has made stays one: what it points at is replaced.
    path = os.path.realpath(os.path.join(context.config.tab_dir, name))
    try:
        changed = install(path, contents)
    except OSError as error:
        context.log.write(f"{name} was pushed and cannot be installed: {error.strerror}", Severity.CRITICAL)
        return answers.error(f"{name} was not installed: {error.strerror}")
    if changed:
        context.log.write(f"{name} was replaced by order of {asked_by(context)}; the old one is {name}{BEFORE}")
    return answers.OK


def install(path: str, data: bytes) -> bool:
    """Make a table hold data, durably and at once; return False when it does already.

    What it held before is kept beside it first, so the one before the last real change can be brought back.
    """
    try:
        before: bytes | None = read_file(path)
    except FileNotFoundError:
        before = None
    if before == data:
        return False
    if before is not None:
        replace_file(FILES, path + BEFORE, before, TABLE_MODE, sync=True)
    replace_file(FILES, path, data, TABLE_MODE, sync=True)
    return True


def host_problem(config: Config, data: bytes) -> str:
    """Return why a table of hosts must not be installed, '' when it may be; nothing of it is quoted.

    It is read as lonc reads it, and stricter: a line that lonc would pass over with a warning refuses the whole
    table, because one that was cut on its way looks like that.
    """
    try:
        table = table_of(config, data)
    except ConfigError as error:
        unfit = all(problem.text.startswith(("loncVia", "londVia")) for problem in error.problems)
        return "it lacks a host that loncVia or londVia names" if unfit else "it has no usable host"
    for warning in table.warnings:
        line = warning.removeprefix(f"{config.hosts_path}:").partition(":")[0]
        if line.isdecimal():
            return f"line {line} is malformed, or its id stands twice"
    if config.host_id not in (host.id for host in table.hosts):
        return f"our own id {config.host_id} is not in it"
    return "a host in it cannot be served: its socket path would be too long" if table.warnings else ""


def domain_problem(context: Context, data: bytes) -> str:
    """Return why a table of domains (`domain:description:...`) must not be installed, '' when it may be.

    Every line needs a domain and a description, no domain stands twice, and those of our own ids are there.
    """
    found: set[bytes] = set()
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.strip()
        if not line or line[0] in b"#^":
            continue
        name, colon, rest = line.partition(b":")
        try:
            fields.text(line.replace(b"\t", b" "))
            fields.domain(name)
        except BadField:
            return f"line {number} is malformed"
        if not colon or not rest.partition(b":")[0].strip():
            return f"line {number} is malformed"
        if name in found:
            return f"the domain of line {number} stands twice"
        found.add(name)
    missing = served_domains(context) - found
    return "a domain of this server is not in it" if missing or not found else ""


ROWS: tuple[Command, ...] = (
    Command(b"reinit", (Field("lonc|lond", _daemon),), _reinit, encrypted=True, who=Who.MANAGER),
    Command(
        b"pushfile", (Field("host|domain", _table_name), Field("contents", fields.unescaped)), _pushfile,
        encrypted=True, who=Who.MANAGER, rest=True,
    ),
)  # fmt: skip
