"""Turns the command line of `lond` into one call, a check or a start, and one exit code.

Without arguments it starts like the original, as the watchdog does. All that can fail for reasons of the
administrator's (configuration, user, another daemon) is found here, before anything heavy is imported or forked.
Source: spec lond.md 1, lonc.md 1; exit codes: errors.ExitCode.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from lonc import __version__
from lonc.config import ENV_CONF_DIR, Config, find_conf_dir, load_config, load_hosts
from lonc.errors import AlreadyRunning, ConfigError, ExitCode, Problem, StartError
from lonc.system import signals
from lonc.system.daemonize import (
    Start,
    forbid_dumps,
    say,
    settle_foreground,
    start_detached,
)
from lonc.system.files import SystemFiles
from lonc.system.lock import is_alive, lock_holder
from lonc.system.program import Aloud, daemon_options, own_command, run_command
from lonc.system.user import require_user, user_id

_EPILOG = f"""\
exit codes: 0 started (or checked, or ended as ordered), 1 cannot start, 2 configuration unusable.
signals to the running daemon: TERM ends it, HUP restarts it in place, USR1 writes lon-status/londstatus.txt,
USR2 reads hosts.tab again, TTIN and TTOU keep one idle worker more or less.
The configuration is read from --conf-dir, else ${ENV_CONF_DIR}, else /etc/httpd/conf."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name; None: sys.argv) and return the exit code."""
    return run_command(command_line(), argv, _run)


def command_line() -> argparse.ArgumentParser:
    """Return what the command line may hold; the manual page is compared with it."""
    return daemon_options("lond", "The daemon that answers the other servers of a LON-CAPA network.", _EPILOG)


def _run(options: argparse.Namespace) -> int:
    conf_dir = find_conf_dir(options.conf_dir, os.environ)
    if options.check:
        return check(conf_dir)
    own = own_command(conf_dir, options.foreground)
    if options.resume is not None:
        return _resume(conf_dir, options, own)
    signals.reset_inherited()
    config = load_config(conf_dir)
    require_user(config, "lond")
    holder = lock_holder(config.server_path(".lock"), SystemFiles())
    if holder and is_alive(holder):  # only an early answer: the lock itself is taken by the parent, which decides
        raise AlreadyRunning(holder, f"process {holder} holds {config.server_path('.lock')}", "lond")
    table = load_hosts(config)

    def run(ready: Callable[[str | None], None]) -> int:
        # Only now: the losers of many starts at once, and a refused one, need none of it.
        from lonc.lond.daemon import serve

        return serve(Start(config, table, own, options.foreground, ready, None))

    if options.foreground:
        settle_foreground()
        return run(Aloud("lond"))
    return start_detached(run, errors_path=config.server_path("_errors"), program="lond")


def _resume(conf_dir: str, options: argparse.Namespace, own: tuple[str, ...]) -> int:
    """Go on as the daemon that this process was before it executed itself; user and lock are as they were."""
    # The old self has blocked everything for us, so that no signal of a restart is lost.
    signals.reset_inherited(blocked=True)
    forbid_dumps()
    from lonc.lond.daemon import serve
    from lonc.lond.restart import load_or_keep

    found = load_or_keep(conf_dir, options.resume)
    return serve(
        Start(found.config, found.table, own, options.foreground, Aloud("lond"), options.resume, found.troubles)
    )


def check(conf_dir: str) -> int:
    """Load and try all that a start would need, print what was checked to stdout, return OK.

    Raises ConfigError (exit code 2) for the files, the store and the port, and ImportError (1) for a broken or
    incomplete program: a restart asks this before it gives up a running daemon (promises.md P22).
    """
    config = load_config(conf_dir)
    table = load_hosts(config)
    import lonc.lond.daemon  # noqa: F401 - that it can be imported is what is checked

    problems = [*_surroundings(config), *_store(config), *_port(config)]
    if problems:
        raise ConfigError([Problem(conf_dir, 0, text) for text in problems])
    refused = f", {len(table.refused)} refused" if table.refused else ""
    say(f"lond {__version__}: configuration of {config.host_id}", error=False)
    say(f"files: {', '.join((*config.sources, table.path))}", error=False)
    say(f"hosts: {len(table.hosts)} usable{refused}", error=False)
    say(f"store: {config.store.partition(':')[0]}", error=False)
    say(f"port: {config.listen} {config.port}", error=False)
    for warning in (*config.warnings, *table.warnings):
        say(f"WARNING: {warning}", error=False)
    say("The configuration can be used.", error=False)
    return ExitCode.OK


def _surroundings(config: Config) -> list[str]:
    """Return what a start would stumble over though the configuration is right."""
    found = [] if os.path.isdir(config.logs_dir) else [f"{config.logs_dir} is no directory"]
    if user_id(config.user) is None:
        found.append(f"loncUser {config.user} is no user of this machine")
    return found


def _store(config: Config) -> list[str]:
    from lonc.lond.store import StoreError, open_store

    try:
        open_store(config).close()
    except (StoreError, ImportError) as error:
        return [f"the store cannot be used: {error}"]
    return []


def _port(config: Config) -> list[str]:
    """Return why nobody could listen; a port that our own running daemon has is in order."""
    from lonc.pool import listen_tcp

    holder = lock_holder(config.server_path(".lock"), SystemFiles())
    if holder and is_alive(holder):
        return []
    try:
        listen_tcp(config.listen, config.port).close()
    except StartError as error:
        return [str(error)]
    return []
