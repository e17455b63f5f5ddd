"""Gives the sealed delayed messages of this machine a new key: `python3 -m lonc.lonnet.rotate_keys`.

Old keys stay until they were out of use for --keep-days and no message in the delayed directory, or set aside in
it, needs them. To be run as lonc's user or as root; running daemons and clients need not be told.
"""

from __future__ import annotations

import argparse
import os
import sys

from lonc.config import find_conf_dir, load_config
from lonc.delayed.sealing import KEEP_S, Keys, SealError, sealed_with
from lonc.errors import ConfigError, ExitCode
from lonc.system.clock import SystemClock
from lonc.system.files import SystemFiles


def main(arguments: list[str] | None = None) -> int:
    """Rotate the keys, say so on stdout, and return the exit code; on stderr why not."""
    parser = argparse.ArgumentParser(prog="rotate_keys", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--conf-dir", help="where the configuration is (files.md 1)")
    parser.add_argument("--keep-days", type=float, default=KEEP_S / 86400, help="default: %(default)g")
    options = parser.parse_args(arguments)
    files = SystemFiles()
    try:
        config = load_config(find_conf_dir(options.conf_dir, os.environ))
        keys = Keys(config.keys_path, files=files, clock=SystemClock())
        in_use = sealed_with(files, config.delayed_dir)
        rotation = keys.rotate(keep_s=options.keep_days * 86400, in_use=in_use)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    except (SealError, ValueError) as error:
        print(error, file=sys.stderr)
        return ExitCode.FAILED
    print(f"new key {rotation.new}; dropped: {' '.join(rotation.dropped) or 'none'}")
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
