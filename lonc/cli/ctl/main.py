"""Turns the command line of `loncctl` into the call of one verb and one exit code.

Only the verb that is asked for is imported; `--help` alone imports all, for their first lines.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lonc import __version__
from lonc.cli.ctl import verbs
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit
from lonc.config import ENV_CONF_DIR
from lonc.errors import ConfigError, LoncError
from lonc.system.daemonize import ensure_stdio, incomplete

_EPILOG = f"""\
exit codes: 0 done, 1 failed, 2 usage or configuration, 3 lonc is not running; `status --help` has its own.
The configuration is read from --conf-dir, else ${ENV_CONF_DIR}, else /etc/httpd/conf.
Begin with `loncctl status`: it says what is wrong, why, and what to do. `loncctl explain WORD` explains a message
of the log, a state, an exit code or a count of the watchdog. loncctl never starts the daemon: `lonc` does."""

INTERRUPTED = 130  # as a shell says it of a command that INT ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name; None: sys.argv) and return the exit code."""
    ensure_stdio()
    words = list(sys.argv[1:] if argv is None else argv)
    out = Output(as_json="--json" in words)
    try:
        options = parser(_wanted(words)).parse_args(words)
    except SystemExit as stop:  # --help, --version, or a usage error that argparse has told
        return stop.code if isinstance(stop.code, int) else Exit.USAGE
    except ImportError as error:
        out.complain(incomplete(error))
        return Exit.FAILED
    out.as_json = options.json
    return _run(options, out)


def _run(options: argparse.Namespace, out: Output) -> int:
    try:
        code = verbs.verb(options.verb).run(options, out)
        out.stream.flush()
    except BrokenPipeError:  # `| head`: who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.DONE
    except KeyboardInterrupt:
        return INTERRUPTED
    except LoncError as error:
        out.complain(str(error))
        return Exit.USAGE if isinstance(error, ConfigError) else Exit.FAILED
    except ImportError as error:
        out.complain(incomplete(error))
        return Exit.FAILED
    return code


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of all verbs, or of one alone, which costs the import of that one only."""
    made = argparse.ArgumentParser(
        prog="loncctl",
        description="What lonc is doing, why, and what to do: the operator's tool.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"loncctl {__version__}")
    _common(made, first=True)
    table = made.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name in [only] if only else verbs.names():
        found = verbs.verb(name)
        about = verbs.summary_of(found)
        one = table.add_parser(
            name, help=about, description=about + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        )  # fmt: skip
        _common(one, first=False)
        found.arguments(one)
    return made


def _common(parser: argparse.ArgumentParser, *, first: bool) -> None:
    """Add what stands before or behind the verb; behind it nothing is set that was not given there."""
    missing = None if first else argparse.SUPPRESS
    parser.add_argument(
        "--conf-dir", metavar="DIR", default=missing, help="directory of loncapa_apache.conf and loncapa.conf"
    )
    parser.add_argument(
        "--json", action="store_true", default=False if first else argparse.SUPPRESS,
        help="print one JSON document and nothing else",
    )  # fmt: skip


def _wanted(words: Sequence[str]) -> str | None:
    """Return the verb that the words begin with; None when all verbs are needed (help, a mistake)."""
    left = iter(words)
    for word in left:
        if word == "--conf-dir":
            next(left, None)
        elif not word.startswith("-"):
            return word if word in verbs.names() else None
        elif word != "--json" and not word.startswith("--conf-dir="):
            return None
    return None
