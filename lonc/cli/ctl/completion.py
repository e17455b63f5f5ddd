"""Print what bash has to read to complete command lines of loncctl, lonc or lond.

An installed package has it in share/bash-completion/completions; this is for a tree, or for a shell's start file.
"""

from __future__ import annotations

import argparse

from lonc.cli import completion
from lonc.cli.ctl.output import Output
from lonc.cli.ctl.verbs import Exit

COMMANDS = ("loncctl", "lonc", "lond")
_EPILOG = """\
In a shell: eval "$(loncctl completion)"
exit codes: 0 done, 2 usage.
PEER is completed with the ids in the file that the environment's LONC_HOSTS_TAB names, else in
/home/httpd/lonTabs/hosts.tab."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.epilog = _EPILOG
    parser.add_argument("command", nargs="?", choices=COMMANDS, default=COMMANDS[0], help="whose (loncctl)")


def run(options: argparse.Namespace, out: Output) -> int:
    """Print the script; return the exit code."""
    script = completion.script(completion.commands()[options.command])
    out.json({"command": options.command, "shell": "bash", "script": script})
    if not out.as_json:
        out.stream.write(script)  # as it is: a program reads it
    return Exit.DONE
