"""The table of verbs, the exit codes they share, and the configuration that each of them begins with.

A verb is a module (or package) with

    def arguments(parser: argparse.ArgumentParser) -> None      # adds its own; --conf-dir and --json are there
    def run(options: argparse.Namespace, out: Output) -> int    # does it and returns the exit code

whose docstring begins with the line that `loncctl --help` shows. It is imported only when it is wanted.
`options.verb` is the word of the table, so a module may serve several verbs.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
from enum import IntEnum
from typing import Final, Protocol, cast

from lonc.cli.ctl.output import Output
from lonc.config import Config, find_conf_dir, load_config

VERBS: Final[dict[str, str]] = {
    "status": "lonc.cli.ctl.status",
    "top": "lonc.cli.ctl.top",
    "queue": "lonc.cli.ctl.queue",
    "doctor": "lonc.cli.ctl.doctor",
    "check": "lonc.cli.ctl.check",
    "config": "lonc.cli.ctl.config",
    "retry": "lonc.cli.ctl.retry",
    "rehash": "lonc.cli.ctl.rehash",
    "restart": "lonc.cli.ctl.restart",
    "stop": "lonc.cli.ctl.stop",
    "pause": "lonc.cli.ctl.pause",
    "resume": "lonc.cli.ctl.resume",
    "reconnect": "lonc.cli.ctl.reconnect",
    "debug": "lonc.cli.ctl.debug",
    "trace": "lonc.cli.ctl.trace",
    "explain": "lonc.cli.ctl.explain",
    "metrics": "lonc.cli.ctl.metrics",
    "page": "lonc.cli.ctl.page",
    "completion": "lonc.cli.ctl.completion",
}


class Exit(IntEnum):
    """How a verb ended. `status` alone uses 1 for dead with pid file, 3 and 4 for itself (LSB)."""

    DONE = 0
    FAILED = 1  # the effect did not come; status: dead, and the pid file is there
    USAGE = 2  # usage or configuration; status --healthy: something is wrong
    NOT_RUNNING = 3
    UNKNOWN = 4  # status: it cannot be known


class Verb(Protocol):
    """A module that does one verb; see the head of this file."""

    __doc__: str | None

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the verb's own arguments."""

    def run(self, options: argparse.Namespace, out: Output) -> int:
        """Do it; return the exit code."""


def names() -> list[str]:
    """Return the verbs that this installation has, in the order of the table; nothing of them is imported."""
    return [name for name, module in VERBS.items() if importlib.util.find_spec(module) is not None]


def verb(name: str) -> Verb:
    """Return the module of a verb. KeyError: there is none of that name. ImportError: it is broken."""
    return cast(Verb, importlib.import_module(VERBS[name]))


def summary_of(found: Verb) -> str:
    """Return the first line of a verb's docstring, without its full stop."""
    return (found.__doc__ or "").partition("\n")[0].rstrip(".")


def config_of(options: argparse.Namespace) -> Config:
    """Return the configuration that --conf-dir, the environment or the default names. Raises ConfigError."""
    return load_config(find_conf_dir(options.conf_dir, os.environ))
