"""What the command lines of our daemons have in common: options, ways to fail, and how to become oneself again."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from lonc import __version__
from lonc.errors import ConfigError, ExitCode, LoncError
from lonc.system.daemonize import ensure_stdio, incomplete, say


def daemon_options(program: str, description: str, epilog: str) -> argparse.ArgumentParser:
    """Return the options of a daemon; the manual pages are compared with them."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-t", "--check", action="store_true", help="check configuration and program, then exit")
    parser.add_argument("-n", "--foreground", action="store_true", help="stay in the foreground")
    parser.add_argument("--conf-dir", metavar="DIR", help="directory of loncapa_apache.conf and loncapa.conf")
    parser.add_argument("--version", action="version", version=f"{program} {__version__}")
    # The hand-over of a restart: descriptor of the parent's notes. Only the parent itself uses it.
    parser.add_argument("--resume", metavar="FD", type=_descriptor, help=argparse.SUPPRESS)
    return parser


def run_command(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, run: Callable[[argparse.Namespace], int]
) -> int:
    """Return the exit code of `run(options)`; whatever LoncError or ImportError ends it is told on stderr."""
    ensure_stdio()
    try:
        options = parser.parse_args(argv)
    except SystemExit as stop:  # --help, --version, or a usage error that argparse has told
        return stop.code if isinstance(stop.code, int) else ExitCode.FAILED
    try:
        return run(options)
    except LoncError as error:
        say("\n".join(f"{parser.prog}: {line}" for line in str(error).splitlines()))
        return ExitCode.CONFIG if isinstance(error, ConfigError) else ExitCode.FAILED
    except ImportError as error:
        say(f"{parser.prog}: {incomplete(error)}")
        return ExitCode.FAILED


class Aloud:
    """Readiness of a start that nobody waits for: a failure is told on stderr."""

    def __init__(self, program: str) -> None:
        self._program = program

    def __call__(self, failure: str | None) -> None:
        """Tell why the daemon does not serve; None: it does, and nothing is said."""
        if failure is not None:
            say(f"{self._program}: {failure}")


def own_command(conf_dir: str, foreground: bool) -> tuple[str, ...]:
    """Return what to exec to become this daemon again: absolute, whatever directory or environment then is.

    The script's path is not resolved: a link that was put on a newer release is what a restart should use.
    """
    options = ("--conf-dir", conf_dir, *(("--foreground",) if foreground else ()))
    return (sys.executable, os.path.abspath(sys.argv[0]), *options)


def _descriptor(word: str) -> int:
    """Return the number of a descriptor; ValueError for what can be none, which argparse tells."""
    number = int(word)
    if not 0 <= number < 1 << 31:
        raise ValueError(word)
    return number
