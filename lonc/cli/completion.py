"""Owns the completion of command lines in bash, made by shtab from the parsers of the commands.

Directories, files and peers are known by the word that stands for a value in the help: DIR, FILE, PEER.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Final

import shtab

from lonc.cli import daemon
from lonc.cli.ctl import main as ctl
from lonc.system.program import daemon_options

_PEERS: Final = "_lonc_peers"
_PREAMBLE: Final = f"""\
# The ids of the table of hosts, for what is called PEER.
{_PEERS}() {{
  local table="${{LONC_HOSTS_TAB:-/home/httpd/lonTabs/hosts.tab}}"
  compgen -W "$(sed -n 's/^\\([A-Za-z0-9_][A-Za-z0-9_.-]*\\):.*/\\1/p' "$table" 2>/dev/null)" -- "$1"
}}
"""
_KINDS: Final = {"DIR": shtab.DIRECTORY, "FILE": shtab.FILE, "PEER": {"bash": _PEERS}}


def commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of every command that has a completion, by its name."""
    return {
        "lonc": daemon.command_line(),
        "lond": daemon_options("lond", "", ""),
        "loncctl": ctl.parser(),
    }


def script(parser: argparse.ArgumentParser) -> str:
    """Return what bash has to read to complete this command."""
    peers = False
    for action in _actions(parser):
        kind = _KINDS.get(action.metavar) if isinstance(action.metavar, str) else None
        if kind is not None:
            action.complete = kind  # type: ignore[attr-defined]  # what shtab looks for
            peers = peers or action.metavar == "PEER"
    text = shtab.complete(parser, shell="bash", preamble=_PREAMBLE if peers else "")
    return text.rstrip("\n") + "\n"


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of a parser and of all its verbs."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _actions(inner)
        else:
            yield action
