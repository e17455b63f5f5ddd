"""Turns the command line of `lonc` into one call, a check or a start, and one exit code.

Without arguments it starts like the original, as the watchdog does. All that can fail for reasons of the
administrator's (configuration, user, another daemon) is found here, before anything heavy is imported or
forked: a watchdog may start it fifty times at once.
Source: spec lonc.md 1; exit codes: errors.ExitCode.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from lonc import __version__
from lonc.config import ENV_CONF_DIR, SETTINGS, Config, find_conf_dir, load_config, load_hosts
from lonc.errors import AlreadyRunning, ExitCode
from lonc.system import signals
from lonc.system.daemonize import (
    Readiness,
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
signals to the running daemon: TERM ends it, HUP restarts it in place, USR1 reports and dials again,
USR2 reads hosts.tab again.
The configuration is read from --conf-dir, else ${ENV_CONF_DIR}, else /etc/httpd/conf."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name; None: sys.argv) and return the exit code."""
    return run_command(command_line(), argv, _run)


def command_line() -> argparse.ArgumentParser:
    """Return what the command line may hold; the manual page is compared with it."""
    does = "The daemon that keeps a link to every other server of a LON-CAPA network."
    return daemon_options("lonc", does, _EPILOG)


def _run(options: argparse.Namespace) -> int:
    conf_dir = find_conf_dir(options.conf_dir, os.environ)
    if options.check:
        return check(conf_dir)
    own = own_command(conf_dir, options.foreground)
    if options.resume is not None:
        return _resume(conf_dir, options, own)
    signals.reset_inherited()
    config = load_config(conf_dir)
    require_user(config, "lonc")
    require_alone(config)
    table = load_hosts(config)

    def run(ready: Readiness | Aloud) -> int:
        # Only now: the losers of many starts at once, and a refused one, need none of it.
        from lonc.parent import serve

        return serve(Start(config, table, own, options.foreground, ready, None))

    if options.foreground:
        settle_foreground()
        return run(Aloud("lonc"))
    return start_detached(run, errors_path=config.errors_path)


def _resume(conf_dir: str, options: argparse.Namespace, own: tuple[str, ...]) -> int:
    """Go on as the daemon that this process was before it executed itself; user and lock are as they were."""
    # The old self has blocked everything for us, so that no signal of a restart is lost.
    signals.reset_inherited(blocked=True)
    forbid_dumps()
    from lonc.parent import load_or_keep, serve

    found = load_or_keep(conf_dir, options.resume)
    aloud = Aloud("lonc")
    return serve(
        Start(found.config, found.table, own, options.foreground, aloud, options.resume, found.troubles)
    )


def check(conf_dir: str) -> int:
    """Load all that a start would load, let a child serve one request, print what was checked, return OK.

    Raises ConfigError (exit code 2) for the files, ImportError and StartError (1) for a broken or incomplete
    program: a restart asks this before it gives up a running daemon (promises.md P22).
    """
    config = load_config(conf_dir)
    table = load_hosts(config)
    from lonc.parent import try_out

    try_out(config)
    say(f"lonc {__version__}: configuration of {config.host_id}", error=False)
    say(f"files: {', '.join((*config.sources, table.path))}", error=False)
    say(f"settings: {config.given} given, {len(SETTINGS) - config.given} at their defaults", error=False)
    refused = f", {len(table.refused)} refused" if table.refused else ""
    say(f"hosts: {len(table.hosts)} usable{refused}", error=False)
    for text in (*config.warnings, *table.warnings, *_surroundings(config)):
        say(f"WARNING: {text}", error=False)
    say("The configuration can be used.", error=False)
    return ExitCode.OK


def _surroundings(config: Config) -> list[str]:
    """Return what a start would stumble over though the configuration is right."""
    found = [] if os.path.isdir(config.logs_dir) else [f"{config.logs_dir} is no directory"]
    if user_id(config.user) is None:
        found.append(f"loncUser {config.user} is no user of this machine")
    return found


def require_alone(config: Config) -> None:
    """Raise AlreadyRunning when the lock is held: cheaper than to find it out after the fork.

    Only an early answer: the lock itself is taken by the parent, which decides.
    """
    holder = lock_holder(config.lock_path, SystemFiles())
    if holder and is_alive(holder):
        raise AlreadyRunning(holder, f"process {holder} holds {config.lock_path}")
