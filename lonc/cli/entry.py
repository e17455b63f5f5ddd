"""What the command `lonc` of an installed package calls; in the tree bin/lonc does the same."""

from __future__ import annotations

import sys

from lonc.system.titles import restore_short_name


def main() -> int:
    """Run the command line of this process and return the exit code."""
    restore_short_name("lonc", sys.argv)
    from lonc.cli.daemon import main as run  # not before: it takes the time that the name would be wrong

    return run()
