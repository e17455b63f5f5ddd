"""The command `python -m lonc.cli.demo [--stay]`; bin/demo calls it when the environment is ready."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from types import FrameType

from lonc.cli.demo.narrative import tell
from lonc.cli.demo.network import Network
from lonc.cli.demo.screen import DemoError, Screen
from lonc.cli.demo.staying import stay


def main() -> int:
    """Tell the story; return 0 when all of it was true, 1 when not, 130 after Ctrl-C in the middle of it."""
    parser = argparse.ArgumentParser(prog="bin/demo", description="Shows lonc at work on this machine.")
    parser.add_argument("--stay", action="store_true", help="leave the network running until Ctrl-C")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # INT is ignored in a shell's background
        signal.signal(number, _interrupt)
    return run(Screen(sys.stdout), options.stay)


def run(screen: Screen, staying: bool) -> int:
    """Make the network, tell the story, and end every process of it whatever happens."""
    network = Network(screen)
    try:
        tell(network, screen, stay if staying else None)
    except (DemoError, OSError, subprocess.SubprocessError) as error:
        network.keep_files = True
        screen.failure(f"This did not go as it should: {error}", network.tails())
        return 1
    except KeyboardInterrupt:
        screen.say("Interrupted: stopping everything.")
        return 130
    finally:
        left = network.end()
        if left:
            screen.failure(f"processes had to be killed: {', '.join(map(str, left))}", [])
        if network.keep_files:
            screen.say(f"The files of this run are in {network.root}")
    return 1 if left else 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
